-- What opens our tables to somebody whom their grants keep out, in any schema, whoever is said to have brought it:
-- views and rules that read or write them, what runs with the rights of somebody who may, and schemas to make things in.
-- $1: the roles asked for. $2: our tables. $3: our functions. A row: way, who ('public': everybody), privilege, object.
WITH RECURSIVE core AS MATERIALIZED (
    SELECT c.oid, c.relowner AS owner
      FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($2::name[]) AND c.relkind IN ('r', 'p', 'f')
), places AS MATERIALIZED (
    -- Not where a verifier's two sessions meet, as long as its lock says that they live.
    SELECT n.oid, n.nspname, n.nspacl
      FROM pg_namespace AS n
     WHERE n.nspname !~ '^pg_(temp|toast)'
       AND NOT (n.nspname ~ '^parity_twin_[0-9a-f]{16}$' AND EXISTS (
                SELECT FROM pg_locks AS k JOIN pg_database AS d ON d.oid = k.database AND d.datname = current_database()
                 WHERE k.locktype = 'advisory' AND k.objsubid = 1 AND k.granted
                   AND (k.classid::int8, k.objid::int8) = (('x' || substr(n.nspname, 13, 8))::bit(32)::int8,
                                                           ('x' || substr(n.nspname, 21, 8))::bit(32)::int8)))
), edges AS MATERIALIZED (
    -- What a rule reads or writes, column by column; below 16384 lies what initdb made.
    SELECT w.ev_class AS relation, w.ev_type AS event, d.refobjid AS at, d.refobjsubid AS col
      FROM pg_rewrite AS w
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
     WHERE w.oid >= 16384
), through AS (
    SELECT e.relation, e.event, e.at, e.col FROM edges AS e
     UNION
    SELECT t.relation, t.event, e.at, e.col FROM through AS t JOIN edges AS e ON e.relation = t.at
), strangers AS MATERIALIZED (
    -- Functions that run with their owner's rights and are not ours.
    SELECT p.oid, p.proowner AS owner
      FROM pg_proc AS p
     WHERE p.oid >= 16384 AND p.prosecdef
       AND p.prorettype <> 'event_trigger'::regtype  -- nobody but a superuser can have it called
       AND NOT (p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($3::name[]))
       -- The library of an extension that was installed here is a superuser's, as the server's own is.
       AND NOT (p.prolang IN (SELECT l.oid FROM pg_language AS l WHERE l.lanname IN ('c', 'internal'))
                AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                               AND d.deptype = 'e' AND d.refobjid >= 16384))
), called AS MATERIALIZED (
    -- What runs one: whoever may call an aggregate need not be allowed to call what it is made of.
    SELECT s.oid, s.oid AS runs FROM strangers AS s
     UNION ALL
    SELECT g.aggfnoid::oid, s.oid
      FROM pg_aggregate AS g
      JOIN strangers AS s ON s.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
                                       g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
     WHERE g.aggfnoid >= 16384
), relations AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace AS schema, c.relowner AS owner, c.relacl AS acl, found.event,
           -- A view that asks as whoever looks at it opens nothing; its other rules ask as its owner.
           found.event = '1' AND c.relkind = 'v'
               AND EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
                            WHERE o.option_name = 'security_invoker' AND o.option_value::boolean) AS invoker
      FROM (SELECT t.relation, t.event FROM through AS t WHERE t.at IN (SELECT oid FROM core)
             UNION
            SELECT g.tgrelid, 't' FROM pg_trigger AS g WHERE g.tgfoid IN (SELECT oid FROM strangers)) AS found
      JOIN pg_class AS c ON c.oid = found.relation
     WHERE c.oid NOT IN (SELECT oid FROM core)
), able AS MATERIALIZED (
    -- Whose rights on our tables could be lent.
    SELECT o.owner
      FROM (SELECT owner FROM strangers UNION SELECT owner FROM relations) AS o
     WHERE EXISTS (SELECT FROM core AS c
                    WHERE has_table_privilege(o.owner, c.oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER')
                       OR has_any_column_privilege(o.owner, c.oid, 'SELECT,INSERT,UPDATE,REFERENCES'))
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
SELECT CASE r.event WHEN 't' THEN 'function' ELSE 'view' END, a.name, v.privilege, format('%I.%I', n.nspname, r.relname)
  FROM relations AS r
  JOIN able ON able.owner = r.owner
  JOIN places AS n ON n.oid = r.schema
 CROSS JOIN audience AS a
 CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS v (privilege)
 WHERE NOT r.invoker AND a.oid <> r.owner AND has_schema_privilege(a.name, n.oid, 'USAGE')
   -- The server's own roles reach every schema; who is a member of one is asked himself.
   AND (a.caller OR EXISTS (SELECT FROM aclexplode(r.acl) AS x
                             WHERE x.grantee = a.oid OR (x.grantee = 0 AND a.oid >= 16384))
                 OR EXISTS (SELECT FROM pg_attribute AS f, aclexplode(f.attacl) AS x
                             WHERE f.attrelid = r.oid AND x.grantee = a.oid))
   AND v.privilege = ANY (CASE r.event WHEN '1' THEN '{SELECT,INSERT,UPDATE,DELETE}'::text[] WHEN '2' THEN '{UPDATE}'
                                       WHEN '3' THEN '{INSERT}' WHEN '4' THEN '{DELETE}'
                                       ELSE '{INSERT,UPDATE,DELETE,TRUNCATE}' END)
   AND CASE WHEN v.privilege IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(a.name, r.oid, v.privilege)
            ELSE has_any_column_privilege(a.name, r.oid, v.privilege) END
   -- What who looks through it could see without it is not opened.
   AND (r.event <> '1' OR EXISTS (
           SELECT FROM through AS t JOIN core AS c ON c.oid = t.at
            WHERE (t.relation, t.event) = (r.oid, r.event)
              AND NOT CASE WHEN v.privilege <> 'SELECT' THEN has_table_privilege(a.name, t.at, v.privilege)
                           WHEN t.col = 0 THEN has_any_column_privilege(a.name, t.at, 'SELECT')
                           ELSE has_column_privilege(a.name, t.at, t.col::smallint, 'SELECT') END))
 UNION
SELECT 'function', a.name, 'EXECUTE', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
  FROM called AS c
  JOIN strangers AS s ON s.oid = c.runs
  JOIN able ON able.owner = s.owner
  JOIN pg_proc AS p ON p.oid = c.oid
  JOIN places AS n ON n.oid = p.pronamespace
  JOIN audience AS a ON a.caller AND a.oid <> s.owner
 WHERE has_function_privilege(a.name, p.oid, 'EXECUTE')
   AND (has_schema_privilege(a.name, n.oid, 'USAGE')
        -- An operator, a cast or a default calls it without anybody naming its schema.
        OR EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                      AND d.classid <> 'pg_proc'::regclass))
 UNION
SELECT 'schema', a.name, 'CREATE', format('schema %I', n.nspname)
  FROM places AS n JOIN audience AS a ON a.caller
 WHERE n.nspname <> 'public' AND has_schema_privilege(a.name, n.oid, 'CREATE')
