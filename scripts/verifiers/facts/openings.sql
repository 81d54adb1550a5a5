-- What opens our tables to somebody whom their grants keep out, in any schema, whoever is said to have brought it:
-- views and rules that read or write them, what runs with the rights of somebody who has any, and schemas to make things in.
-- $1: the roles asked for. $2: our tables. $3: our functions. $4: what a twin's comment begins with.
-- A row: way, who ('public': everybody), privilege, object.
WITH RECURSIVE core AS MATERIALIZED (
    SELECT c.oid, c.relowner AS owner, c.reltoastrelid AS toast
      FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($2::name[]) AND c.relkind IN ('r', 'p', 'f')
), places AS MATERIALIZED (
    SELECT n.oid, n.nspname,
           -- Where a verifier's two sessions meet, as long as its lock says that they live: copies of our functions.
           n.nspname ~ '^parity_twin_[0-9a-f]{16}$' AND n.nspowner IN (SELECT owner FROM core)
               AND obj_description(n.oid, 'pg_namespace')::name = ANY ($4::name[])
               AND EXISTS (
                SELECT FROM pg_locks AS k JOIN pg_database AS d ON d.oid = k.database AND d.datname = current_database()
                 WHERE k.locktype = 'advisory' AND k.objsubid = 1 AND k.granted
                   AND (k.classid::int8, k.objid::int8) = (('x' || substr(n.nspname, 13, 8))::bit(32)::int8,
                                                           ('x' || substr(n.nspname, 21, 8))::bit(32)::int8)) AS twin
      FROM pg_namespace AS n
     WHERE n.oid <> pg_my_temp_schema()  -- what this session makes for itself goes with it
), edges AS MATERIALIZED (
    -- What a rule reads or writes, column by column; below 16384 lies what initdb made.
    SELECT w.ev_class AS relation, w.ev_type AS event, d.refobjid AS at, d.refobjsubid AS col
      FROM pg_rewrite AS w
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
     WHERE w.oid >= 16384
     UNION ALL
    -- Long values lie in a table of their own; who reads a parent reads what inherits from it: all columns, said by -1.
    SELECT c.reltoastrelid, 'o', c.oid, -1 FROM pg_class AS c
     WHERE c.reltoastrelid <> 0 AND (c.relkind = 'm' OR c.oid IN (SELECT oid FROM core))
     UNION ALL
    SELECT i.inhparent, 'i', i.inhrelid, -1 FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent
     WHERE c.relkind IN ('r', 'p', 'f')
), through AS (
    -- From ours backwards: what others have between themselves may be large, and is not asked for.
    SELECT e.relation, e.event, e.at, e.col FROM edges AS e WHERE e.at IN (SELECT oid FROM core)
     UNION
    SELECT e.relation, e.event, t.at, t.col FROM through AS t JOIN edges AS e ON e.at = t.relation
), brought AS MATERIALIZED (
    -- What an extension that was installed here has in C: its library.
    SELECT p.oid
      FROM pg_depend AS d
      JOIN pg_proc AS p ON p.oid = d.objid AND p.oid >= 16384
      JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'c'
     WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND d.refobjid >= 16384
       AND d.refclassid = 'pg_extension'::regclass
), strangers AS MATERIALIZED (
    -- Functions that run with their owner's rights and are not ours.
    SELECT p.oid, p.proowner AS owner
      FROM pg_proc AS p JOIN places AS n ON n.oid = p.pronamespace
     WHERE p.prosecdef
       AND p.prorettype <> 'event_trigger'::regtype  -- nobody but a superuser can have it called
       AND NOT ((n.nspname = 'public' OR (n.twin AND p.proowner IN (SELECT owner FROM core)))
                AND p.proname = ANY ($3::name[]))
       -- The library of an extension that was installed here is a superuser's. The server's own code under a name, and
       -- with the rights, of somebody's choice (LANGUAGE internal) is no library's.
       AND p.oid NOT IN (SELECT oid FROM brought)
), called AS MATERIALIZED (
    -- What runs one: whoever may call an aggregate need not be allowed to call what it is made of.
    SELECT s.oid, s.oid AS runs FROM strangers AS s
     UNION ALL
    SELECT g.aggfnoid::oid, s.oid
      FROM pg_aggregate AS g
      JOIN strangers AS s ON s.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
                                       g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
     WHERE g.aggfnoid >= 16384
), written AS MATERIALIZED (
    -- What somebody wrote for this database, ours apart: a function, an operator, a class of them, a domain's check.
    SELECT 'pg_proc'::regclass AS class, p.oid
      FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
     WHERE p.oid >= 16384 AND p.oid NOT IN (SELECT oid FROM brought)
       -- Another name for something of the server's that depends on nothing but what it is given.
       AND NOT (l.lanname = 'internal' AND EXISTS (
                   SELECT FROM pg_proc AS b
                    WHERE b.oid < 16384 AND b.prolang = p.prolang AND b.prosrc = p.prosrc AND b.provolatile = 'i'))
       AND NOT (p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($3::name[]))
), operators AS MATERIALIZED (
    SELECT o.oid FROM pg_operator AS o WHERE o.oid >= 16384 AND o.oprcode IN (SELECT oid FROM written)
), families AS MATERIALIZED (
    SELECT m.amprocfamily AS oid FROM pg_amproc AS m WHERE m.oid >= 16384 AND m.amproc IN (SELECT oid FROM written)
     UNION
    SELECT m.amopfamily FROM pg_amop AS m WHERE m.oid >= 16384 AND m.amopopr IN (SELECT oid FROM operators)
), code AS MATERIALIZED (
    SELECT class, oid FROM written
     UNION ALL
    SELECT 'pg_operator'::regclass, oid FROM operators
     UNION ALL
    SELECT 'pg_opclass'::regclass, c.oid FROM pg_opclass AS c WHERE c.opcfamily IN (SELECT oid FROM families)
     UNION ALL
    SELECT 'pg_type'::regclass, k.contypid
      FROM pg_constraint AS k
      JOIN pg_depend AS d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
     WHERE k.contypid <> 0
       AND (d.refclassid, d.refobjid) IN (SELECT class, oid FROM written
                                           UNION ALL SELECT 'pg_operator'::regclass, oid FROM operators)
), uses AS MATERIALIZED (
    SELECT d.classid, d.objid FROM code AS c JOIN pg_depend AS d ON (d.refclassid, d.refobjid) = (c.class, c.oid)
), kept AS MATERIALIZED (
    -- Tables with code in what is computed of their rows when they are analysed or indexed anew, by their owner.
    SELECT i.indrelid AS oid FROM uses AS u JOIN pg_index AS i ON i.indexrelid = u.objid
     WHERE u.classid = 'pg_class'::regclass
     UNION
    SELECT x.stxrelid FROM uses AS u JOIN pg_statistic_ext AS x ON x.oid = u.objid
     WHERE u.classid = 'pg_statistic_ext'::regclass
     UNION
    SELECT a.attrelid FROM pg_opclass AS c JOIN pg_attribute AS a ON a.atttypid = c.opcintype
     WHERE c.opcdefault AND c.opcfamily IN (SELECT oid FROM families)
), busy AS MATERIALIZED (
    -- Tables with code in what happens when a row of theirs is written.
    SELECT oid FROM kept
     UNION
    SELECT f.adrelid FROM uses AS u JOIN pg_attrdef AS f ON f.oid = u.objid WHERE u.classid = 'pg_attrdef'::regclass
     UNION
    SELECT k.conrelid FROM uses AS u JOIN pg_constraint AS k ON k.oid = u.objid
     WHERE u.classid = 'pg_constraint'::regclass AND k.conrelid <> 0
     UNION
    SELECT g.tgrelid FROM pg_trigger AS g WHERE NOT g.tgisinternal
), steps AS MATERIALIZED (
    -- Where a write goes on to, and as whom: 0 as whoever writes. A referential action runs as its table's owner.
    SELECT e.relation, e.at, 0::oid AS actor,
           CASE e.event WHEN '1' THEN '{INSERT,UPDATE,DELETE}'::text[] WHEN '2' THEN '{UPDATE}' WHEN '3' THEN '{INSERT}'
                        WHEN '4' THEN '{DELETE}' ELSE '{INSERT,UPDATE,DELETE,TRUNCATE}' END AS by
      FROM edges AS e WHERE e.event <> 'o'
     UNION
    SELECT k.confrelid, k.conrelid, c.relowner,
           CASE WHEN k.confdeltype IN ('c', 'n', 'd') THEN '{DELETE}'::text[] ELSE '{}' END
               || CASE WHEN k.confupdtype IN ('c', 'n', 'd') THEN '{UPDATE}'::text[] ELSE '{}' END
      FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
     WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
), triggers AS MATERIALIZED (
    SELECT g.tgrelid AS relation, s.owner AS lender,
           ARRAY(SELECT v.privilege FROM (VALUES (4, 'INSERT'), (8, 'DELETE'), (16, 'UPDATE'), (32, 'TRUNCATE'))
                        AS v (bit, privilege) WHERE g.tgtype & v.bit <> 0) AS by
      FROM pg_trigger AS g JOIN strangers AS s ON s.oid = g.tgfoid
), writes AS (
    -- What a write comes to, backwards too: a trigger that runs as its lender, or code, as the actor.
    SELECT s.relation, s.by, s.actor, w.lender
      FROM steps AS s
      JOIN (SELECT g.relation AS at, g.lender FROM triggers AS g UNION SELECT b.oid, 0 FROM busy AS b) AS w ON w.at = s.at
     UNION
    SELECT s.relation, s.by, CASE w.actor WHEN 0 THEN s.actor ELSE w.actor END, w.lender
      FROM writes AS w JOIN steps AS s ON s.at = w.relation
), doors AS MATERIALIZED (
    -- What runs with somebody's rights for whoever may write a relation or maintain it.
    SELECT g.relation, g.by, g.lender FROM triggers AS g WHERE g.relation NOT IN (SELECT oid FROM core)
     UNION
    SELECT w.relation, w.by, l.lender
      FROM writes AS w CROSS JOIN LATERAL (VALUES (w.lender), (w.actor)) AS l (lender)
     WHERE l.lender <> 0
     UNION
    SELECT c.oid, CASE c.relkind WHEN 'm' THEN '{MAINTAIN}'::text[] ELSE '{INSERT,UPDATE,DELETE,MAINTAIN}' END, c.relowner
      FROM pg_class AS c
     WHERE c.oid NOT IN (SELECT oid FROM core) AND (c.relkind = 'm' OR c.oid IN (SELECT oid FROM kept))
     UNION
    -- A reference is looked up as the other table's owner.
    SELECT CASE v.side WHEN 1 THEN k.conrelid ELSE k.confrelid END,
           CASE v.side WHEN 1 THEN '{INSERT,UPDATE}'::text[] ELSE '{UPDATE,DELETE}' END, c.relowner
      FROM pg_constraint AS k
     CROSS JOIN (VALUES (1), (2)) AS v (side)
      JOIN pg_class AS c ON c.oid = CASE v.side WHEN 1 THEN k.confrelid ELSE k.conrelid END
     WHERE k.contype = 'f'
       AND k.conpfeqop || k.conppeqop || k.conffeqop && ARRAY(SELECT oid FROM operators)
), supports AS MATERIALIZED (
    -- Called by the server itself, which asks nobody whether he may.
    SELECT s.oid FROM strangers AS s
     WHERE EXISTS (SELECT FROM pg_amproc AS m WHERE m.amproc = s.oid)
        OR EXISTS (SELECT FROM pg_amop AS m JOIN pg_operator AS o ON o.oid = m.amopopr
                    WHERE m.oid >= 16384 AND o.oprcode = s.oid)
        OR EXISTS (SELECT FROM pg_range AS r WHERE s.oid IN (r.rngcanonical, r.rngsubdiff))
), named AS MATERIALIZED (
    -- An operator, a cast, a default or a body calls it without anybody naming its schema.
    SELECT c.oid FROM called AS c
     WHERE EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = c.oid)
), relations AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace AS schema, c.relowner AS owner, c.relacl AS acl, found.event,
           -- A view that asks as whoever looks at it opens nothing; its other rules ask as its owner.
           found.event = '1' AND c.relkind = 'v'
               AND EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
                            WHERE o.option_name = 'security_invoker' AND o.option_value::boolean) AS invoker
      FROM (SELECT DISTINCT t.relation, t.event FROM through AS t) AS found
      JOIN pg_class AS c ON c.oid = found.relation
     WHERE c.oid NOT IN (SELECT oid FROM core)
), lenders AS (
    SELECT o.owner AS oid, o.owner AS through
      FROM (SELECT owner FROM strangers UNION SELECT lender FROM doors UNION SELECT owner FROM relations) AS o
     UNION
    SELECT l.oid, m.roleid FROM lenders AS l JOIN pg_auth_members AS m ON m.member = l.through
), tabled AS MATERIALIZED (
    -- Who has any right on a table of ours.
    SELECT o.oid
      FROM (SELECT DISTINCT l.through AS oid FROM lenders AS l) AS o
     WHERE EXISTS (SELECT FROM core AS c
                    WHERE has_table_privilege(o.oid, c.oid,
                                              'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN')
                       OR has_any_column_privilege(o.oid, c.oid, 'SELECT,INSERT,UPDATE,REFERENCES'))
), strong AS MATERIALIZED (
    -- Who has any power of his own: on ours, over roles, over the server, over the settings of a session.
    SELECT r.oid
      FROM pg_roles AS r
     WHERE r.oid IN (SELECT l.through FROM lenders AS l)
       AND (r.oid < 16384 OR r.rolname = ANY ($1::name[]) OR r.oid IN (SELECT oid FROM tabled)
            OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
            OR has_database_privilege(r.oid, current_database(), 'CREATE')
            OR has_schema_privilege(r.oid, 'public', 'CREATE')
            OR EXISTS (SELECT FROM pg_proc AS p
                        WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($3::name[]) AND p.prosecdef
                          AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
            OR EXISTS (SELECT FROM pg_shdepend AS s
                        WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.deptype IN ('o', 'a')
                          AND (s.dbid = 0 AND s.classid IN ('pg_parameter_acl'::regclass, 'pg_tablespace'::regclass)
                               OR s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
                                  AND (s.classid IN ('pg_foreign_server'::regclass, 'pg_foreign_data_wrapper'::regclass)
                                       OR s.objid < 16384))))
), able AS (
    -- Whose rights are worth borrowing: his own, those of who he may become, those of whose he borrows.
    SELECT l.oid FROM lenders AS l WHERE l.through IN (SELECT oid FROM strong)
     UNION
    SELECT l.oid
      FROM able AS a
      JOIN (SELECT s.owner AS lender, c.oid AS function, NULL::oid AS relation, '{}'::text[] AS by
              FROM called AS c JOIN strangers AS s ON s.oid = c.runs
             UNION ALL
            SELECT d.lender, NULL, d.relation, d.by FROM doors AS d) AS w ON w.lender = a.oid
      JOIN (SELECT DISTINCT oid, through FROM lenders) AS l ON l.through <> a.oid
     WHERE CASE WHEN w.relation IS NULL
                THEN w.function IN (SELECT oid FROM supports) OR has_function_privilege(l.through, w.function, 'EXECUTE')
                ELSE EXISTS (SELECT FROM unnest(w.by) AS v (privilege)
                              WHERE CASE WHEN v.privilege IN ('INSERT', 'UPDATE')
                                         THEN has_any_column_privilege(l.through, w.relation, v.privilege)
                                         ELSE has_table_privilege(l.through, w.relation, v.privilege) END) END
       AND (w.function IN (SELECT oid FROM supports UNION ALL SELECT oid FROM named)
            OR has_schema_privilege(l.through, coalesce(
                   (SELECT p.pronamespace FROM pg_proc AS p WHERE p.oid = w.function),
                   (SELECT c.relnamespace FROM pg_class AS c WHERE c.oid = w.relation)), 'USAGE'))
), roles AS MATERIALIZED (
    -- Neither a superuser nor whoever may act as the tables' owner needs a way.
    SELECT r.oid, r.rolname AS name,
           r.rolname = ANY ($1::name[])
               OR EXISTS (SELECT FROM pg_roles AS t WHERE t.rolname = ANY ($1::name[])
                             AND (pg_has_role(r.oid, t.oid, 'USAGE') OR pg_has_role(r.oid, t.oid, 'SET'))) AS caller
      FROM pg_roles AS r
     WHERE NOT r.rolsuper
       AND NOT EXISTS (SELECT FROM (SELECT DISTINCT owner FROM core) AS c
                        WHERE pg_has_role(r.oid, c.owner, 'USAGE') OR pg_has_role(r.oid, c.owner, 'SET'))
), audience AS MATERIALIZED (
    SELECT 0::oid AS oid, 'public'::name AS name, true AS caller
     UNION ALL
    SELECT r.oid, r.name, r.caller FROM roles AS r
)
SELECT 'view', a.name, v.privilege, format('%I.%I', n.nspname, r.relname)
  FROM relations AS r
  JOIN places AS n ON n.oid = r.schema
 CROSS JOIN audience AS a
 CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS v (privilege)
 WHERE NOT r.invoker AND a.oid <> r.owner AND has_schema_privilege(a.name, n.oid, 'USAGE')
   -- Of what is a part of the other nobody asks whose it is.
   AND (r.event IN ('i', 'o') OR r.owner IN (SELECT oid FROM tabled))
   -- The server's own roles reach every schema; who is a member of one is asked himself.
   AND (a.caller OR EXISTS (SELECT FROM aclexplode(r.acl) AS x
                             WHERE x.grantee = a.oid OR (x.grantee = 0 AND a.oid >= 16384))
                 OR EXISTS (SELECT FROM pg_attribute AS f, aclexplode(f.attacl) AS x
                             WHERE f.attrelid = r.oid AND x.grantee = a.oid))
   AND v.privilege = ANY (CASE r.event WHEN '1' THEN '{SELECT,INSERT,UPDATE,DELETE}'::text[] WHEN '2' THEN '{UPDATE}'
                                       WHEN '3' THEN '{INSERT}' WHEN '4' THEN '{DELETE}' WHEN 'o' THEN '{SELECT}'
                                       ELSE '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}' END)
   AND CASE WHEN v.privilege IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(a.name, r.oid, v.privilege)
            ELSE has_any_column_privilege(a.name, r.oid, v.privilege)
                 -- Of ctid and its like it does not speak: whoever reads one counts the rows.
                 OR v.privilege = 'SELECT' AND EXISTS (
                        SELECT FROM pg_attribute AS f, aclexplode(f.attacl) AS x
                         WHERE f.attrelid = r.oid AND f.attnum < 0 AND x.privilege_type = 'SELECT'
                           AND (x.grantee = 0 OR pg_has_role(nullif(a.oid, 0), x.grantee, 'USAGE'))) END
   -- What who looks through it could see without it is not opened.
   AND (r.event NOT IN ('1', 'i', 'o') OR EXISTS (
           SELECT FROM through AS t
            WHERE (t.relation, t.event) = (r.oid, r.event)
              AND NOT CASE WHEN v.privilege <> 'SELECT' OR t.col < 0
                                THEN has_table_privilege(a.name, t.at, v.privilege)
                           WHEN t.col = 0 THEN has_any_column_privilege(a.name, t.at, 'SELECT')
                           ELSE has_column_privilege(a.name, t.at, t.col::smallint, 'SELECT') END))
 UNION
SELECT 'function', a.name, v.privilege, format('%I.%I', n.nspname, r.relname)
  FROM doors AS d
  JOIN pg_class AS r ON r.oid = d.relation
  JOIN places AS n ON n.oid = r.relnamespace
  JOIN audience AS a ON a.caller AND a.oid <> d.lender
 CROSS JOIN unnest(d.by) AS v (privilege)
 WHERE d.lender IN (SELECT oid FROM able) AND has_schema_privilege(a.name, n.oid, 'USAGE')
   AND CASE WHEN v.privilege IN ('INSERT', 'UPDATE') THEN has_any_column_privilege(a.name, r.oid, v.privilege)
            ELSE has_table_privilege(a.name, r.oid, v.privilege) END
 UNION
SELECT 'function', a.name, 'EXECUTE', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
  FROM called AS c
  JOIN strangers AS s ON s.oid = c.runs
  JOIN pg_proc AS p ON p.oid = c.oid
  JOIN places AS n ON n.oid = p.pronamespace
  JOIN audience AS a ON a.caller AND a.oid <> s.owner
 WHERE s.owner IN (SELECT oid FROM able)
   AND (p.oid IN (SELECT oid FROM supports)
        OR has_function_privilege(a.name, p.oid, 'EXECUTE')
           AND (has_schema_privilege(a.name, n.oid, 'USAGE') OR p.oid IN (SELECT oid FROM named)))
 UNION
SELECT 'schema', a.name, 'CREATE', format('schema %I', n.nspname)
  FROM places AS n JOIN audience AS a ON a.caller
 WHERE n.nspname <> 'public' AND has_schema_privilege(a.name, n.oid, 'CREATE')
