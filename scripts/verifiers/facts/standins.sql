-- What could be meant where ours, or the server's, is: found earlier under the same name, or chosen for its types.
-- $1: the roles asked for. $2: our tables. $3: our functions. $4: our enum types. A row: kind, object.
WITH keeper AS MATERIALIZED (
    SELECT DISTINCT c.relowner AS oid
      FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($2::name[])
), session AS MATERIALIZED (
    -- The roles asked for, and who may act as one, or make himself one without having made it: the sessions meant here.
    SELECT r.oid, r.rolname, f.acts
      FROM pg_roles AS r
     CROSS JOIN LATERAL (SELECT bool_or(pg_has_role(r.oid, t.oid, 'USAGE') OR pg_has_role(r.oid, t.oid, 'SET')) AS acts,
                                bool_or(pg_has_role(r.oid, t.oid, 'MEMBER')) AS related
                           FROM pg_roles AS t WHERE t.rolname = ANY ($1::name[])) AS f
     WHERE r.rolname = ANY ($1::name[])
        OR (NOT r.rolsuper
            AND (f.acts OR (f.related AND NOT r.rolcreaterole
                            AND NOT EXISTS (SELECT FROM pg_database AS d WHERE d.datdba = r.oid)))
            -- Who acts as the owner is bound by nothing here.
            AND NOT EXISTS (SELECT FROM keeper AS k
                             WHERE pg_has_role(r.oid, k.oid, 'USAGE') OR pg_has_role(r.oid, k.oid, 'SET')))
), listed AS MATERIALIZED (
    -- Schemas that somebody put on a path of theirs. That public stands before them is role-login-posture's to say.
    SELECT COALESCE(replace(m.found[1], '""', '"'), lower(m.found[2] COLLATE "C"))::name AS name
      FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS e (entry)
     CROSS JOIN LATERAL regexp_matches(substr(e.entry, strpos(e.entry, '=') + 1),
                                       '"((?:[^"]|"")*)"|([^",\s][^,\s]*)', 'g') AS m (found)
     WHERE lower(split_part(e.entry, '=', 1)) = 'search_path'
       AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
       AND (s.setrole = 0 OR s.setrole IN (SELECT oid FROM session))
), path AS MATERIALIZED (
    -- Where a name is looked for: in our functions, and as the server has it by default, or somebody stored it, in a
    -- session of a role of ours, or of a login that may act as one.
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl, w.whose
      FROM pg_namespace AS n
     CROSS JOIN LATERAL (SELECT CASE WHEN n.nspname = 'pg_catalog' THEN 'server'
                                     WHEN n.nspname = 'public' THEN 'ours'
                                     WHEN n.nspname IN (SELECT s.rolname FROM session AS s
                                                         WHERE s.acts OR s.rolname = ANY ($1::name[])) THEN 'role'
                                     WHEN n.nspname IN (SELECT name FROM listed) THEN 'behind' END AS whose) AS w
     WHERE w.whose IS NOT NULL
), member AS MATERIALIZED (
    -- Of extensions that were installed here: to one that came with the server only somebody's hand adds anything.
    SELECT d.classid, d.objid
      FROM pg_depend AS d
     WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid >= 16384 AND d.deptype = 'e' AND d.objid >= 16384
), ours AS MATERIALIZED (
    SELECT v.oid
      FROM pg_type AS t CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray)) AS v (oid)
     WHERE t.typnamespace = 'public'::regnamespace AND t.typname = ANY ($2::name[] || $4::name[])
), operators AS (
    -- Nothing that we write has operands of any other type.
    SELECT o.oid, o.oprname, o.oprleft, o.oprright,
           EXISTS (SELECT FROM member AS m WHERE (m.classid, m.objid) = ('pg_operator'::regclass, o.oid)) AS brought
      FROM pg_operator AS o JOIN path AS n ON n.oid = o.oprnamespace
     WHERE o.oid >= 16384
       AND (o.oprleft < 16384 OR o.oprleft IN (SELECT oid FROM ours))
       AND (o.oprright < 16384 OR o.oprright IN (SELECT oid FROM ours))
), functions AS (
    SELECT p.oid, p.proname, p.proargtypes, n.whose,
           EXISTS (SELECT FROM member AS m WHERE (m.classid, m.objid) = ('pg_proc'::regclass, p.oid)) AS brought
      FROM pg_proc AS p JOIN path AS n ON n.oid = p.pronamespace
     WHERE p.oid >= 16384
), found AS (
    -- What no extension brought into public is read with what is ours.
    SELECT 'function' AS kind, 'pg_proc'::regclass AS class, f.oid
      FROM functions AS f
     WHERE (f.whose = 'server' AND NOT f.brought)
        OR (f.whose <> 'ours' AND f.proname = ANY ($3::name[])
            -- Behind ours, only one that takes something else is ever found.
            AND NOT (f.whose = 'behind'
                     AND EXISTS (SELECT FROM pg_proc AS b WHERE b.proname = f.proname AND b.proargtypes = f.proargtypes
                                    AND b.pronamespace = 'public'::regnamespace)))
        OR ((f.brought OR f.whose IN ('role', 'behind'))
            AND EXISTS (SELECT FROM pg_proc AS b WHERE b.proname = f.proname AND b.oid < 16384
                           AND b.pronamespace = 'pg_catalog'::regnamespace)
            -- The server's own of the same signature comes first, and one that takes other types is never meant.
            AND NOT EXISTS (SELECT FROM pg_proc AS b WHERE b.proname = f.proname AND b.proargtypes = f.proargtypes
                               AND b.oid < 16384 AND b.pronamespace = 'pg_catalog'::regnamespace)
            AND NOT EXISTS (SELECT FROM unnest(f.proargtypes::oid[]) AS a (oid)
                             WHERE a.oid >= 16384 AND a.oid NOT IN (SELECT oid FROM ours)))
     UNION ALL
    SELECT 'operator', 'pg_operator'::regclass, o.oid
      FROM operators AS o
     WHERE NOT o.brought
        -- An extension's, where the server has one that takes these types but is not of exactly these.
        OR (EXISTS (SELECT FROM pg_operator AS b
                     WHERE b.oprname = o.oprname AND b.oid < 16384 AND (b.oprleft = 0) = (o.oprleft = 0)
                       AND NOT EXISTS (
                           SELECT FROM (VALUES (o.oprleft, b.oprleft), (o.oprright, b.oprright)) AS v (given, taken)
                             LEFT JOIN pg_type AS g ON g.oid = v.given LEFT JOIN pg_type AS t ON t.oid = v.taken
                            WHERE v.given <> v.taken AND NOT CASE
                                      WHEN t.typname IN ('anyarray', 'anycompatiblearray') THEN g.typcategory = 'A'
                                      WHEN t.typname = 'anyenum' THEN g.typtype = 'e'
                                      WHEN t.typname IN ('anyrange', 'anycompatiblerange') THEN g.typtype = 'r'
                                      WHEN t.typname IN ('anymultirange', 'anycompatiblemultirange') THEN g.typtype = 'm'
                                      WHEN t.typname = 'record' THEN g.typtype = 'c'
                                      WHEN t.typtype = 'p' OR g.typtype = 'p' THEN true
                                      ELSE EXISTS (SELECT FROM pg_cast AS k WHERE k.castsource = v.given
                                                      AND k.casttarget = v.taken AND k.castcontext = 'i') END))
            AND NOT EXISTS (SELECT FROM pg_operator AS b
                             WHERE (b.oprname, b.oprleft, b.oprright) = (o.oprname, o.oprleft, o.oprright) AND b.oid < 16384))
     UNION ALL
    -- The order and equality of a type are those of its default class, in whatever schema that lies.
    SELECT 'operator', 'pg_opclass'::regclass, c.oid
      FROM pg_opclass AS c JOIN pg_am AS a ON a.oid = c.opcmethod
     WHERE c.oid >= 16384 AND c.opcdefault AND a.amname IN ('btree', 'hash')
       AND (c.opcintype < 16384 OR c.opcintype IN (SELECT oid FROM ours))
     UNION ALL
    SELECT 'operator', 'pg_amop'::regclass, o.oid
      FROM pg_amop AS o JOIN pg_am AS a ON a.oid = o.amopmethod
     WHERE o.oid >= 16384 AND o.amopfamily < 16384 AND a.amname IN ('btree', 'hash')
       AND (o.amoplefttype < 16384 OR o.amoplefttype IN (SELECT oid FROM ours))
       AND (o.amoprighttype < 16384 OR o.amoprighttype IN (SELECT oid FROM ours))
     UNION ALL
    SELECT 'operator', 'pg_amproc'::regclass, p.oid
      FROM pg_amproc AS p JOIN pg_opfamily AS f ON f.oid = p.amprocfamily JOIN pg_am AS a ON a.oid = f.opfmethod
     WHERE p.oid >= 16384 AND f.oid < 16384 AND a.amname IN ('btree', 'hash')
       AND (p.amproclefttype < 16384 OR p.amproclefttype IN (SELECT oid FROM ours))
       AND (p.amprocrighttype < 16384 OR p.amprocrighttype IN (SELECT oid FROM ours))
     UNION ALL
    -- A cast lies in no schema. What an extension makes of our values for itself, nothing of ours asks for.
    SELECT 'cast', 'pg_cast'::regclass, c.oid
      FROM pg_cast AS c
     WHERE c.oid >= 16384 AND (c.castsource < 16384 OR c.castsource IN (SELECT oid FROM ours))
       AND (NOT EXISTS (SELECT FROM member AS m WHERE (m.classid, m.objid) = ('pg_cast'::regclass, c.oid))
            OR c.casttarget < 16384 OR c.casttarget IN (SELECT oid FROM ours))
     UNION ALL
    SELECT 'name', 'pg_class'::regclass, c.oid
      FROM pg_class AS c JOIN path AS n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND n.whose IN ('server', 'role') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
       AND (c.relname = ANY ($2::name[])
            OR (n.whose = 'server'
                AND NOT EXISTS (SELECT FROM member AS m WHERE (m.classid, m.objid) = ('pg_class'::regclass, c.oid))))
     UNION ALL
    SELECT 'name', 'pg_type'::regclass, t.oid
      FROM pg_type AS t JOIN path AS n ON n.oid = t.typnamespace
     WHERE t.oid >= 16384 AND n.whose IN ('server', 'role') AND t.typrelid = 0 AND t.typcategory <> 'A'
       AND (t.typname = ANY ($4::name[])
            OR (n.whose = 'server'
                AND NOT EXISTS (SELECT FROM member AS m WHERE (m.classid, m.objid) = ('pg_type'::regclass, t.oid))))
)
SELECT f.kind, i.type || ' ' || i.identity FROM found AS f, pg_identify_object(f.class, f.oid, 0) AS i
 UNION ALL
-- What is behind public today is asked above; who creates there could plant a better match tomorrow.
SELECT 'function', 'whatever ' || CASE w.oid WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(w.oid) END
                   || ' makes in schema ' || quote_ident(n.nspname)
  FROM path AS n
 CROSS JOIN LATERAL (
     SELECT CASE x.maker WHEN 'pg_database_owner'::regrole THEN d.datdba ELSE x.maker END AS oid
       FROM pg_database AS d,
            (SELECT n.nspowner AS maker
              UNION SELECT g.grantee FROM aclexplode(n.nspacl) AS g WHERE g.privilege_type = 'CREATE') AS x
      WHERE d.datname = current_database()) AS w
 WHERE n.whose = 'behind' AND n.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = w.oid AND r.rolsuper)
   AND NOT EXISTS (SELECT FROM keeper AS k WHERE w.oid <> 0
                      AND (pg_has_role(w.oid, k.oid, 'USAGE') OR pg_has_role(w.oid, k.oid, 'SET')
                           OR pg_has_role(w.oid, k.oid, 'USAGE WITH ADMIN OPTION')))
