-- Everything the roles in $1 can get at. A row: object, privileges in alphabetical order.
WITH me AS (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = ANY ($1::name[])
), things AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relnamespace AS schema, n.nspname,
           CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END AS kind, c.relacl AS acl, c.relowner AS owner
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 't') AND n.oid <> pg_catalog.pg_my_temp_schema()
     UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.pronamespace, n.nspname,
           'f', p.proacl, p.proowner
      FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.oid <> pg_catalog.pg_my_temp_schema()
), told AS (
    -- 16384 is the first OID that initdb does not give. What is said to belong to an extension of the server's own, or
    -- lies beside it, and has one from there on was put there by somebody.
    SELECT t.*, t.oid < 16384
                OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                            WHERE d.classid = t.class AND d.objid = t.oid AND d.deptype = 'e'
                              AND d.refobjid >= 16384) AS supplied
      FROM things AS t
), reach AS (
    SELECT t.class, t.oid, v.privilege
      FROM told AS t CROSS JOIN me
     CROSS JOIN LATERAL pg_catalog.unnest(CASE t.kind
               WHEN 'r' THEN '{SELECT,INSERT,UPDATE,REFERENCES,DELETE,TRUNCATE,TRIGGER,MAINTAIN}'::text[]
               WHEN 's' THEN '{SELECT,UPDATE,USAGE}'::text[] ELSE '{EXECUTE}'::text[] END) AS v (privilege)
     WHERE NOT t.supplied AND pg_catalog.has_schema_privilege(me.oid, t.schema, 'USAGE')
       AND CASE WHEN t.kind = 'f' THEN pg_catalog.has_function_privilege(me.oid, t.oid, v.privilege)
                WHEN t.kind = 's' THEN pg_catalog.has_sequence_privilege(me.oid, t.oid, v.privilege)
                WHEN v.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                    THEN pg_catalog.has_any_column_privilege(me.oid, t.oid, v.privilege)
                ELSE pg_catalog.has_table_privilege(me.oid, t.oid, v.privilege) END
     UNION
    SELECT t.class, t.oid, x.privilege_type
      FROM told AS t CROSS JOIN me
      LEFT JOIN pg_catalog.pg_init_privs AS i ON i.classoid = t.class AND i.objoid = t.oid AND i.objsubid = 0
     CROSS JOIN LATERAL pg_catalog.aclexplode(t.acl) AS x
     WHERE t.supplied AND t.acl IS NOT NULL AND x.grantee IN (0, me.oid)
       -- Nearly all of them are as they came, and are looked into no further.
       AND t.acl IS DISTINCT FROM coalesce(i.initprivs, pg_catalog.acldefault(t.kind::"char", t.owner))
       AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(
                                       i.initprivs, pg_catalog.acldefault(t.kind::"char", t.owner))) AS g
                        WHERE (g.grantee, g.privilege_type) = (x.grantee, x.privilege_type))
       -- Made after the server wrote its first privileges down: everybody reads its views.
       AND (t.nspname, x.grantee, x.privilege_type) <> ('information_schema', 0::oid, 'SELECT')
     UNION
    SELECT t.class, t.oid, g.privilege_type
      FROM told AS t CROSS JOIN me
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid
     CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) AS g
     WHERE t.kind = 'r' AND a.attacl IS NOT NULL
       -- Of ctid and its like has_any_column_privilege() does not speak.
       AND (t.supplied AND g.grantee = me.oid
            OR a.attnum < 0 AND g.grantee IN (0, me.oid) AND pg_catalog.has_schema_privilege(me.oid, t.schema, 'USAGE'))
     UNION
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, 'CREATE'
      FROM pg_catalog.pg_namespace AS n CROSS JOIN me
     WHERE n.oid <> pg_catalog.pg_my_temp_schema() AND pg_catalog.has_schema_privilege(me.oid, n.oid, 'CREATE')
     UNION
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, g.privilege_type
      FROM pg_catalog.pg_namespace AS n CROSS JOIN me CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS g
     WHERE g.grantee = me.oid
)
-- Named only now: what a role can get at is a few of the thousands of things that there are.
SELECT CASE r.class WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
                        (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c
                           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = r.oid)
                    WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN
                        (SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                                                  pg_catalog.pg_get_function_identity_arguments(p.oid))
                           FROM pg_catalog.pg_proc AS p
                           JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE p.oid = r.oid)
                    ELSE (SELECT pg_catalog.format('schema %I', n.nspname) FROM pg_catalog.pg_namespace AS n
                           WHERE n.oid = r.oid) END,
       pg_catalog.array_agg(r.privilege::text ORDER BY r.privilege::text COLLATE "C")
  FROM reach AS r GROUP BY r.class, r.oid
