-- Who can act as one of the roles, what else he can reach by it, and whose things are asked for; parts of reading.sql,
-- whose parameters and names these are. A superuser or an owner of the tables needs no way around them.
owners AS (
    SELECT d.datdba AS oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()
     UNION SELECT r.relowner FROM relation AS r WHERE r.relname = ANY ($2::name[])
), keepers AS (
    -- Whoever owns the tables needs no way around; whoever owns the database alone is told where it is a worker as well.
    SELECT r.relowner AS oid FROM relation AS r WHERE r.relname = ANY ($2::name[])
     UNION SELECT d.datdba FROM pg_catalog.pg_database AS d
            WHERE d.datname = current_database() AND NOT EXISTS (SELECT FROM relation AS r WHERE r.relname = ANY ($2::name[]))
), callers AS (
    -- The roles asked for, and every login that may act as one; a superuser or an owner needs no way around.
    SELECT a.oid, a.rolname
      FROM pg_catalog.pg_roles AS a
     WHERE a.rolname = ANY ($1::name[])
        OR (NOT a.rolsuper
            AND EXISTS (SELECT FROM pg_catalog.pg_roles AS t WHERE t.rolname = ANY ($1::name[])
                           AND (pg_has_role(a.oid, t.oid, 'USAGE') OR pg_has_role(a.oid, t.oid, 'SET')))
            AND NOT EXISTS (SELECT FROM owners AS o
                             WHERE pg_has_role(a.oid, o.oid, 'USAGE') OR pg_has_role(a.oid, o.oid, 'SET')))
), ours AS (
    SELECT a.oid, a.rolname FROM pg_catalog.pg_roles AS a WHERE a.rolname = ANY ($1::name[])
), actors AS (
    -- Whoever can reach one of the roles through memberships that somebody gave. Who made a role administers it, by the
    -- server's own doing, and cannot act as it; that one is no worker, and neither is an owner.
    WITH RECURSIVE given AS (
        SELECT m.member, m.roleid
          FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS a ON a.oid = m.member
         WHERE m.member NOT IN (SELECT oid FROM keepers)
           AND (m.inherit_option OR m.set_option
                OR NOT (a.rolcreaterole OR a.rolsuper
                        OR EXISTS (SELECT FROM pg_catalog.pg_database AS d WHERE d.datdba = a.oid)))
    ), upwards (oid) AS (
        SELECT g.member FROM given AS g WHERE g.roleid IN (SELECT oid FROM ours)
         UNION SELECT g.member FROM upwards AS u JOIN given AS g ON g.roleid = u.oid
    )
    SELECT a.oid, a.rolname FROM upwards AS u JOIN pg_catalog.pg_roles AS a ON a.oid = u.oid
     WHERE a.rolcanlogin AND a.oid NOT IN (SELECT oid FROM ours)
), becomes AS (
    -- What each of those can reach. What is only inherited gives no attribute; what may be handed on may be taken.
    WITH RECURSIVE downwards (actor, oid, whole, handed) AS (
        SELECT a.oid, a.oid, true, false FROM actors AS a
         UNION
        SELECT d.actor, m.roleid, d.whole AND (m.set_option OR m.admin_option), m.admin_option
          FROM downwards AS d JOIN pg_catalog.pg_auth_members AS m ON m.member = d.oid
         -- An owner is told of; what it can reach is its own matter.
         WHERE d.oid = d.actor OR d.oid NOT IN (SELECT oid FROM owners)
    )
    SELECT d.actor, d.oid, a.rolname, bool_or(d.whole) AS whole, bool_or(d.handed) AS handed,
           d.oid IN (SELECT oid FROM ours) AS is_ours, d.oid IN (SELECT oid FROM owners) AS is_owner,
           a.rolsuper, a.rolcreaterole, a.rolcreatedb, a.rolreplication, a.rolbypassrls
      FROM downwards AS d JOIN pg_catalog.pg_roles AS a ON a.oid = d.oid
     GROUP BY d.actor, d.oid, a.rolname, a.rolsuper, a.rolcreaterole, a.rolcreatedb, a.rolreplication, a.rolbypassrls
), logins AS (
    SELECT json_agg(json_build_object(
               'name', a.rolname,
               'acts_as', (SELECT json_agg(b.rolname) FROM becomes AS b WHERE b.actor = a.oid AND b.is_ours),
               -- Reserved connections let nobody do more.
               'beside', (SELECT json_agg(CASE b.oid WHEN a.oid THEN 'owner of the database' ELSE b.rolname END) FROM becomes AS b
                           WHERE b.actor = a.oid AND NOT b.is_ours
                             AND (b.is_owner OR (b.oid < 16384 AND b.rolname <> 'pg_use_reserved_connections'))),
               'powers', (SELECT json_agg(DISTINCT v.power) FROM becomes AS b
                           CROSS JOIN LATERAL (VALUES ('superuser', b.rolsuper), ('createrole', b.rolcreaterole),
                                                      ('createdb', b.rolcreatedb), ('replication', b.rolreplication),
                                                      ('bypassrls', b.rolbypassrls)) AS v (power, has)
                           WHERE b.actor = a.oid AND b.whole AND v.has AND NOT b.is_ours AND (b.oid = a.oid OR NOT b.is_owner)),
               'hands_on', (SELECT json_agg(b.rolname) FROM becomes AS b
                             WHERE b.actor = a.oid AND b.is_ours AND b.handed))) AS rows
      FROM actors AS a
), holders AS MATERIALIZED (
    -- Worked out once: with many logins, and statistics of a certain moment, the server would for each thing that is owned.
    -- Whose things are asked for: the roles', and those of every login that may act as one, its own and of whatever else it
    -- can become. The server's roles, an owner and a superuser are told of the login itself. A login of the seat may have no
    -- more than the seat: with it every table that was granted counts.
    SELECT o.oid, o.rolname::text AS who, NULL::json AS acts_as, false AS reads_only FROM ours AS o
     UNION ALL
    SELECT b.oid, a.rolname || CASE b.oid WHEN a.oid THEN '' ELSE ' as ' || b.rolname END,
           (SELECT json_agg(c.rolname) FROM becomes AS c WHERE c.actor = a.oid AND c.is_ours),
           EXISTS (SELECT FROM becomes AS c WHERE c.actor = a.oid AND c.is_ours AND c.rolname = 'boz_auditor')
      FROM actors AS a JOIN becomes AS b ON b.actor = a.oid
     WHERE NOT b.is_ours AND NOT b.is_owner AND NOT b.rolsuper AND b.oid >= 16384
)
