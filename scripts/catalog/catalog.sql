-- The whole catalog of the user's schemas, one row an object: kind, name, facts. Read only; needs no privilege.
-- A fact at its default is left out (null), so that a new default of a later server does not touch every object.
-- No OID, no attnum, no statistics: nothing that differs between two databases of the same schema.
WITH
migrator AS (  -- the role that owns the ledger, else the database; it is written <owner>, whatever it is called
    SELECT coalesce((SELECT relowner FROM pg_class WHERE oid = to_regclass('public.schema_migrations')),
                    (SELECT datdba FROM pg_database WHERE datname = current_database())) AS oid
),
roles AS (
    SELECT r.oid, CASE WHEN r.oid = m.oid THEN '<owner>' ELSE quote_ident(r.rolname) END AS name
      FROM pg_roles r, migrator m
    UNION ALL SELECT 0, 'PUBLIC'
),
twins AS MATERIALIZED (  -- where a verifier's two sessions meet, as long as its lock says that they live; then it is gone
    SELECT n.oid FROM pg_namespace n
     WHERE n.nspname ~ '^parity_twin_[0-9a-f]{16}$' AND EXISTS (
           SELECT FROM pg_locks k JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()
            WHERE k.locktype = 'advisory' AND k.objsubid = 1 AND k.granted
              AND (k.classid::int8, k.objid::int8) = (('x' || substr(n.nspname, 13, 8))::bit(32)::int8,
                                                      ('x' || substr(n.nspname, 21, 8))::bit(32)::int8))
       AND obj_description(n.oid, 'pg_namespace') LIKE 'A copy that the parity runner probes%'
       AND NOT EXISTS (SELECT FROM pg_class c  -- it has tables for the owner alone
                        WHERE c.relnamespace = n.oid AND (c.relkind IN ('v', 'm', 'f') OR c.relacl IS NOT NULL))
),
spaces AS (
    SELECT n.oid, nspname, nspowner, nspacl FROM pg_namespace n
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM twins t WHERE t.oid = n.oid)
),
places AS (  -- where a user can put things: a superuser also into the server's own schemas
    SELECT n.oid, nspname FROM pg_namespace n
     WHERE nspname !~ '^pg_(toast_temp|temp)_' AND NOT EXISTS (SELECT FROM twins t WHERE t.oid = n.oid)
),
members AS (  -- of extensions; and what the server makes for something else, such as the constructors of a range type
    SELECT classid, objid FROM pg_depend  -- what was added to an extension that came with the server hides nothing
     WHERE (deptype = 'e' AND refobjid >= 16384)
        OR (deptype = 'i' AND classid IN ('pg_proc'::regclass, 'pg_cast'::regclass))
),
bound AS (  -- what goes with an extension as soon as that is dropped, and is no member of it
    SELECT d.classid, d.objid, jsonb_agg(quote_ident(e.extname) ORDER BY e.extname COLLATE "C") AS extensions
      FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x' GROUP BY d.classid, d.objid
),
extended AS (  -- what extensions have: of those that came with the server, what was added since
    SELECT d.refobjid AS oid, i.type || ' ' || i.identity AS member
      FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) AS i
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
       AND (d.refobjid >= 16384 OR d.objid >= 16384 OR d.classid = 'pg_namespace'::regclass)  -- public is initdb's
),
relations AS (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS name
      FROM pg_class c JOIN places s ON s.oid = c.relnamespace
     WHERE c.oid >= 16384  -- FirstNormalObjectId: below it lies what initdb made
       AND s.nspname <> 'pg_toast'  -- where the server keeps long values, a table for each of ours; functions could be put there
       AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
),
functions AS (
    SELECT p.*, format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name
      FROM pg_proc p JOIN places s ON s.oid = p.pronamespace
     WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
),
types AS (  -- neither arrays nor the row types of tables
    SELECT t.*, format('%I.%I', s.nspname, t.typname) AS name
      FROM pg_type t JOIN places s ON s.oid = t.typnamespace
      LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE t.oid >= 16384 AND (t.typrelid = 0 OR c.relkind = 'c')
       AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
       AND NOT EXISTS (SELECT FROM pg_range g WHERE g.rngmultitypid = t.oid)
       AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_type'::regclass AND objid = t.oid)
),
acl_sources AS (
    SELECT 'pg_namespace'::regclass::oid AS classid, oid AS objid, 0 AS objsubid,
           coalesce(nspacl, acldefault('n', nspowner)) AS acl, nspowner AS owner FROM spaces
    UNION ALL
    SELECT 'pg_class'::regclass, oid, 0,
           coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)), relowner
      FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'pg_class'::regclass, r.oid, a.attnum, a.attacl, r.relowner
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
     WHERE a.attacl IS NOT NULL AND NOT a.attisdropped  -- ctid and its like can be granted as well
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, 0, coalesce(proacl, acldefault('f', proowner)), proowner FROM functions
    UNION ALL
    SELECT 'pg_type'::regclass, oid, 0, coalesce(typacl, acldefault('T', typowner)), typowner FROM types
    UNION ALL  -- the row type of a table can be granted too
    SELECT 'pg_type'::regclass, t.oid, 0, t.typacl, t.typowner
      FROM relations r JOIN pg_type t ON t.oid = r.reltype WHERE r.relkind <> 'c' AND t.typacl IS NOT NULL
    UNION ALL
    SELECT 'pg_language'::regclass, oid, 0, coalesce(lanacl, acldefault('l', lanowner)), lanowner
      FROM pg_language WHERE oid >= 16384
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, 0, coalesce(srvacl, acldefault('S', srvowner)), srvowner
      FROM pg_foreign_server
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, coalesce(fdwacl, acldefault('F', fdwowner)), fdwowner
      FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_default_acl'::regclass, oid, 0, defaclacl, defaclrole FROM pg_default_acl
),
acl_entries AS (
    SELECT s.classid, s.objid, s.objsubid,
           grantee.name || '=' || string_agg(e.privilege_type || CASE WHEN e.is_grantable THEN '*' ELSE '' END, ','
                                             ORDER BY e.privilege_type COLLATE "C")
           || CASE WHEN e.grantor <> s.owner THEN '/' || grantor.name ELSE '' END AS entry
      FROM acl_sources s CROSS JOIN migrator m CROSS JOIN aclexplode(s.acl) e
      JOIN roles grantee ON grantee.oid = e.grantee
      JOIN roles grantor ON grantor.oid = e.grantor
     -- That the migrating role may make things in a schema of somebody else is how the machine was prepared.
     WHERE NOT (s.classid = 'pg_namespace'::regclass AND e.grantee = m.oid AND s.owner <> m.oid)
     GROUP BY s.classid, s.objid, s.objsubid, s.owner, e.grantee, e.grantor, grantee.name, grantor.name
),
acls AS (
    SELECT classid, objid, objsubid, jsonb_agg(entry ORDER BY entry COLLATE "C") AS entries
      FROM acl_entries GROUP BY classid, objid, objsubid
),
system_grants AS (  -- in pg_catalog, where privileges are no longer those that initdb gave
    SELECT s.classid, s.objid, s.objsubid, (
               SELECT jsonb_agg(e.entry ORDER BY e.entry COLLATE "C")
                 FROM (SELECT n.name || '=' || string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END,
                                                          ',' ORDER BY x.privilege_type COLLATE "C") AS entry
                         FROM aclexplode(s.acl) x JOIN roles n ON n.oid = x.grantee
                        WHERE x.grantee <> s.owner GROUP BY n.name) AS e) AS entries
      FROM (SELECT 'pg_class'::regclass::oid AS classid, oid AS objid, 0 AS objsubid, relowner AS owner, relacl AS acl,
                   acldefault('r', relowner) AS by_default
              FROM pg_class WHERE oid < 16384 AND relnamespace = 'pg_catalog'::regnamespace AND relacl IS NOT NULL
            UNION ALL
            SELECT 'pg_class'::regclass, a.attrelid, a.attnum, c.relowner, a.attacl, NULL
              FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attrelid < 16384 AND a.attacl IS NOT NULL
            UNION ALL
            SELECT 'pg_proc'::regclass, oid, 0, proowner, proacl, acldefault('f', proowner)
              FROM pg_proc WHERE oid < 16384 AND pronamespace = 'pg_catalog'::regnamespace AND proacl IS NOT NULL
            UNION ALL
            SELECT 'pg_type'::regclass, oid, 0, typowner, typacl, acldefault('T', typowner)
              FROM pg_type WHERE oid < 16384 AND typnamespace = 'pg_catalog'::regnamespace AND typacl IS NOT NULL
            UNION ALL
            SELECT 'pg_language'::regclass, oid, 0, lanowner, lanacl, acldefault('l', lanowner)
              FROM pg_language WHERE oid < 16384 AND lanacl IS NOT NULL
            UNION ALL
            SELECT 'pg_namespace'::regclass, oid, 0, nspowner, nspacl, acldefault('n', nspowner)
              FROM pg_namespace WHERE nspname = 'pg_catalog' AND nspacl IS NOT NULL) AS s
      LEFT JOIN pg_init_privs p ON p.classoid = s.classid AND p.objoid = s.objid AND p.objsubid = s.objsubid
     WHERE s.acl IS DISTINCT FROM p.initprivs
       AND ARRAY(SELECT unnest(s.acl)::text COLLATE "C" ORDER BY 1)
           IS DISTINCT FROM ARRAY(SELECT unnest(coalesce(p.initprivs, s.by_default))::text COLLATE "C" ORDER BY 1)
),
mentioned AS (  -- roles that own or are granted something here, or stand in a policy
    SELECT DISTINCT d.refobjid AS oid FROM pg_shdepend d, pg_database b
     WHERE b.datname = current_database() AND d.dbid = b.oid AND d.refclassid = 'pg_authid'::regclass
),
objects AS (
    SELECT 'schema' AS kind, quote_ident(s.nspname) AS name, jsonb_build_object(
               'owner', o.name, 'acl', acl.entries, 'comment', obj_description(s.oid, 'pg_namespace')) AS facts
      FROM spaces s JOIN roles o ON o.oid = s.nspowner
      LEFT JOIN acls acl ON acl.classid = 'pg_namespace'::regclass AND acl.objid = s.oid

    UNION ALL
    SELECT CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                          WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END,
           r.name, jsonb_build_object(
               'owner', o.name, 'acl', acl.entries,
               'persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
               'access_method', CASE WHEN am.amname <> 'heap' THEN quote_ident(am.amname) END,
               'tablespace', CASE WHEN ts.spcname IS NOT NULL THEN quote_ident(ts.spcname) END,
               'options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(r.reloptions) AS v),
               'toast_options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(toast.reloptions) AS v),
               'row_security', nullif(r.relrowsecurity, false),
               'force_row_security', nullif(r.relforcerowsecurity, false),
               'replica_identity', CASE WHEN r.relkind IN ('r', 'p', 'm') THEN
                   CASE r.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' END END,
               'of_type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
               'inherits', (SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno)
                              FROM pg_inherits i WHERE i.inhrelid = r.oid),
               'detach_pending', (SELECT true FROM pg_inherits i WHERE i.inhrelid = r.oid AND i.inhdetachpending),
               'partition_bound', pg_get_expr(r.relpartbound, r.oid),
               'partition_key', CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
               'populated', CASE WHEN r.relkind = 'm' THEN nullif(r.relispopulated, true) END,
               'definition', CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
               'goes_with', CASE WHEN r.relkind = 'm' THEN (SELECT b.extensions FROM bound b WHERE b.classid = 'pg_class'::regclass AND b.objid = r.oid) END,
               'server', (SELECT quote_ident(v.srvname) FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver
                           WHERE f.ftrelid = r.oid),
               'fdw_options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM pg_foreign_table f, unnest(f.ftoptions) AS v
                                WHERE f.ftrelid = r.oid),
               'row_type_acl', CASE WHEN r.relkind <> 'c' THEN row_acl.entries END,
               'row_type_comment', CASE WHEN r.relkind <> 'c' THEN obj_description(r.reltype, 'pg_type') END,
               'comment', CASE WHEN r.relkind = 'c' THEN obj_description(r.reltype, 'pg_type')
                               ELSE obj_description(r.oid, 'pg_class') END)
      FROM relations r JOIN roles o ON o.oid = r.relowner
      LEFT JOIN pg_am am ON am.oid = r.relam
      LEFT JOIN pg_tablespace ts ON ts.oid = r.reltablespace
      LEFT JOIN pg_class toast ON toast.oid = r.reltoastrelid
      LEFT JOIN acls acl ON acl.objsubid = 0  -- one equality: a condition by cases would be a loop in a loop
           AND acl.classid = CASE r.relkind WHEN 'c' THEN 'pg_type' ELSE 'pg_class' END::regclass
           AND acl.objid = CASE r.relkind WHEN 'c' THEN r.reltype ELSE r.oid END
      LEFT JOIN acls row_acl ON row_acl.classid = 'pg_type'::regclass AND row_acl.objid = r.reltype
     WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

    UNION ALL
    SELECT 'column', format('%s.%I', r.name, a.attname), jsonb_build_object(
               'position', row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum),
               'type', format_type(a.atttypid, a.atttypmod),
               'not_null', nullif(a.attnotnull, false),
               'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
               'generated', CASE a.attgenerated WHEN 's' THEN pg_get_expr(d.adbin, d.adrelid) || ' stored'
                                                WHEN 'v' THEN pg_get_expr(d.adbin, d.adrelid) || ' virtual' END,
               'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
               'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
               'storage', CASE WHEN a.attstorage <> t.typstorage THEN
                   CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
               'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
               'statistics', a.attstattarget, 'options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(a.attoptions) AS v),
               'fdw_options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(a.attfdwoptions) AS v),
               'inherited', nullif(a.attinhcount, 0), 'local', CASE WHEN a.attinhcount > 0 THEN a.attislocal END,
               'acl', acl.entries, 'comment', col_description(a.attrelid, a.attnum))
      FROM relations r
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN acls acl ON acl.classid = 'pg_class'::regclass AND acl.objid = r.oid AND acl.objsubid = a.attnum
     WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

    UNION ALL  -- ctid and its like, where somebody was granted one
    SELECT 'column', format('%s.%I', r.name, a.attname), jsonb_build_object('acl', acl.entries)
      FROM relations r
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum < 0
      JOIN acls acl ON acl.classid = 'pg_class'::regclass AND acl.objid = r.oid AND acl.objsubid = a.attnum

    UNION ALL
    SELECT 'constraint', format('%s.%I', coalesce(r.name, t.name), k.conname), jsonb_build_object(
               'type', CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'not null'
                                      WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion'
                                      ELSE 'constraint trigger' END,
               'definition', pg_get_constraintdef(k.oid),
               'validated', k.convalidated, 'enforced', nullif(k.conenforced, true),
               'deferrable', nullif(k.condeferrable, false), 'deferred', nullif(k.condeferred, false),
               'inherited', nullif(k.coninhcount, 0), 'local', CASE WHEN k.coninhcount > 0 THEN k.conislocal END,
               'no_inherit', CASE WHEN k.contype IN ('c', 'n') THEN nullif(k.connoinherit, false) END,
               'index', CASE WHEN k.contype IN ('p', 'u', 'x', 'f') AND k.conindid <> 0 THEN k.conindid::regclass::text END,
               -- The server's own triggers behind a key can be disabled one by one.
               'triggers', CASE WHEN k.contype = 'f' OR k.condeferrable THEN (
                   SELECT jsonb_agg(format('%s %s on %s', g.tgenabled, g.tgtype, g.tgrelid::regclass)
                                    ORDER BY g.tgrelid::regclass::text COLLATE "C", g.tgtype)
                     FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgisinternal AND g.tgenabled <> 'O') END,
               -- By one of them the constraint goes; by its index, that is told of the index.
               'goes_with', (SELECT jsonb_agg(DISTINCT e.extension)
                               FROM bound b JOIN pg_trigger g ON g.oid = b.objid AND g.tgconstraint = k.oid AND g.tgisinternal,
                                    jsonb_array_elements(b.extensions) AS e (extension)
                              WHERE b.classid = 'pg_trigger'::regclass),
               'comment', obj_description(k.oid, 'pg_constraint'))
      FROM pg_constraint k
      LEFT JOIN relations r ON r.oid = k.conrelid
      LEFT JOIN types t ON t.oid = k.contypid
     WHERE r.oid IS NOT NULL OR t.oid IS NOT NULL

    UNION ALL
    SELECT 'index', x.name, jsonb_build_object(
               'table', r.name, 'definition', CASE WHEN cardinality(x.reloptions) > 1 THEN (
                   SELECT replace(pg_get_indexdef(x.oid), ' WITH (' || string_agg(w.option, ', ' ORDER BY w.n) || ')',
                                  ' WITH (' || string_agg(w.option, ', ' ORDER BY w.option COLLATE "C") || ')')
                     FROM (SELECT o.n, quote_ident(o.name) || '=' ||
                                  CASE quote_ident(o.value) WHEN o.value THEN o.value ELSE quote_literal(o.value) END AS option
                             FROM pg_options_to_table(x.reloptions) WITH ORDINALITY AS o (name, value, n)) AS w)
                   ELSE pg_get_indexdef(x.oid) END, 'unique', nullif(i.indisunique, false),
               'primary', nullif(i.indisprimary, false), 'immediate', nullif(i.indimmediate, true),
               'valid', i.indisvalid, 'ready', i.indisready, 'live', nullif(i.indislive, true),
               'clustered', nullif(i.indisclustered, false), 'replica_identity', nullif(i.indisreplident, false),
               'options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(x.reloptions) AS v),
               'tablespace', (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = x.reltablespace),
               'statistics', (SELECT jsonb_object_agg(a.attname, a.attstattarget) FROM pg_attribute a
                               WHERE a.attrelid = x.oid AND a.attstattarget IS NOT NULL),
               'parent', (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = x.oid),
               'goes_with', (SELECT b.extensions FROM bound b WHERE b.classid = 'pg_class'::regclass AND b.objid = x.oid),
               'comment', obj_description(x.oid, 'pg_class'))
      FROM relations x JOIN pg_index i ON i.indexrelid = x.oid JOIN relations r ON r.oid = i.indrelid

    UNION ALL
    SELECT 'trigger', format('%s.%I', r.name, g.tgname), jsonb_build_object(
               'definition', pg_get_triggerdef(g.oid), 'function', g.tgfoid::regprocedure::text,
               'enabled', CASE g.tgenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
               'type', g.tgtype, 'cloned', nullif(g.tgparentid <> 0, false),
               'goes_with', (SELECT b.extensions FROM bound b WHERE b.classid = 'pg_trigger'::regclass AND b.objid = g.oid),
               'comment', obj_description(g.oid, 'pg_trigger'))
      FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal

    UNION ALL
    SELECT 'policy', format('%s.%I', r.name, p.polname), jsonb_build_object(
               'permissive', p.polpermissive,
               'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
               'roles', (SELECT jsonb_agg(n.name ORDER BY n.name COLLATE "C") FROM roles n WHERE n.oid = ANY (p.polroles)),
               'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid),
               'comment', obj_description(p.oid, 'pg_policy'))
      FROM pg_policy p JOIN relations r ON r.oid = p.polrelid

    UNION ALL
    SELECT 'rule', format('%s.%I', r.name, w.rulename), jsonb_build_object(
               'definition', pg_get_ruledef(w.oid),
               'enabled', CASE w.ev_enabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
               'comment', obj_description(w.oid, 'pg_rewrite'))
      FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class
     WHERE w.rulename <> '_RETURN' OR r.relkind NOT IN ('v', 'm')

    UNION ALL
    SELECT 'sequence', r.name, jsonb_build_object(
               'owner', o.name, 'acl', acl.entries, 'type', format_type(q.seqtypid, NULL),
               'start', q.seqstart::text, 'increment', q.seqincrement::text, 'minimum', q.seqmin::text,
               'maximum', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', nullif(q.seqcycle, false),
               'persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
               'owned_by', (SELECT format('%s.%I', d.refobjid::regclass, a.attname) FROM pg_depend d
                              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                             WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i')
                               AND d.refclassid = 'pg_class'::regclass),
               'comment', obj_description(r.oid, 'pg_class'))
      FROM relations r JOIN pg_sequence q ON q.seqrelid = r.oid JOIN roles o ON o.oid = r.relowner
      LEFT JOIN acls acl ON acl.classid = 'pg_class'::regclass AND acl.objid = r.oid AND acl.objsubid = 0

    UNION ALL
    SELECT CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window function' ELSE 'function' END,
           f.name, jsonb_build_object(
               'owner', o.name, 'acl', acl.entries, 'arguments', pg_get_function_arguments(f.oid),
               'result', pg_get_function_result(f.oid), 'language', quote_ident(l.lanname),
               'volatility', CASE f.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
               'security', CASE WHEN f.prosecdef THEN 'definer' ELSE 'invoker' END,
               'leakproof', nullif(f.proleakproof, false), 'strict', nullif(f.proisstrict, false),
               'parallel', CASE f.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END,
               'cost', f.procost::text, 'rows', CASE WHEN f.proretset THEN f.prorows::text END,
               'support', CASE WHEN f.prosupport <> 0 THEN f.prosupport::oid::regprocedure::text END,
               'config', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(f.proconfig) AS v),
               'transforms', (SELECT jsonb_agg(format_type(x.type, NULL) ORDER BY x.n)
                                FROM unnest(f.protrftypes) WITH ORDINALITY AS x (type, n)),
               'body', CASE WHEN f.prokind <> 'a' THEN coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) END,
               'library', f.probin,
               'aggregate', CASE WHEN f.prokind = 'a' THEN (SELECT jsonb_build_object(
                   'kind', nullif(g.aggkind, 'n'), 'direct', nullif(g.aggnumdirectargs, 0),
                   'transition', g.aggtransfn::oid::regprocedure::text, 'final', nullif(g.aggfinalfn::oid, 0)::regprocedure::text,
                   'combine', nullif(g.aggcombinefn::oid, 0)::regprocedure::text,
                   'serial', nullif(g.aggserialfn::oid, 0)::regprocedure::text,
                   'deserial', nullif(g.aggdeserialfn::oid, 0)::regprocedure::text,
                   'state', format_type(g.aggtranstype, NULL), 'space', nullif(g.aggtransspace, 0), 'initial', g.agginitval,
                   'final_extra', nullif(g.aggfinalextra, false), 'final_modify', nullif(g.aggfinalmodify, 'r'),
                   'sort', nullif(g.aggsortop, 0)::regoperator::text,
                   'moving', CASE WHEN g.aggmtransfn <> 0 THEN jsonb_build_object(
                       'transition', g.aggmtransfn::oid::regprocedure::text, 'inverse', g.aggminvtransfn::oid::regprocedure::text,
                       'final', nullif(g.aggmfinalfn::oid, 0)::regprocedure::text, 'state', format_type(g.aggmtranstype, NULL),
                       'space', nullif(g.aggmtransspace, 0), 'initial', g.aggminitval,
                       'final_extra', nullif(g.aggmfinalextra, false), 'final_modify', nullif(g.aggmfinalmodify, 'r')) END)
                   FROM pg_aggregate g WHERE g.aggfnoid = f.oid) END,
               'goes_with', (SELECT b.extensions FROM bound b WHERE b.classid = 'pg_proc'::regclass AND b.objid = f.oid),
               'comment', obj_description(f.oid, 'pg_proc'))
      FROM functions f JOIN roles o ON o.oid = f.proowner JOIN pg_language l ON l.oid = f.prolang
      LEFT JOIN acls acl ON acl.classid = 'pg_proc'::regclass AND acl.objid = f.oid

    UNION ALL
    SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range type' ELSE 'base type' END,
           t.name, jsonb_build_object(
               'owner', o.name, 'acl', acl.entries,
               'values', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
               'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
               'not_null', CASE WHEN t.typtype = 'd' THEN nullif(t.typnotnull, false) END,
               'default', CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) END,
               'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation
                                 THEN t.typcollation::regcollation::text END,
               'subtype', (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
               'range', CASE WHEN t.typtype = 'r' THEN (SELECT jsonb_build_object(
                   'multirange', format_type(g.rngmultitypid, NULL), 'collation', nullif(g.rngcollation, 0)::regcollation::text,
                   'operator_class', (pg_identify_object('pg_opclass'::regclass, g.rngsubopc, 0)).identity,
                   'canonical', nullif(g.rngcanonical::oid, 0)::regprocedure::text,
                   'difference', nullif(g.rngsubdiff::oid, 0)::regprocedure::text)
                   FROM pg_range g WHERE g.rngtypid = t.oid) END,
               'representation', CASE WHEN t.typtype = 'b' THEN jsonb_build_object(
                   'defined', nullif(t.typisdefined, true), 'length', t.typlen, 'by_value', t.typbyval, 'align', t.typalign,
                   'storage', t.typstorage, 'category', t.typcategory, 'preferred', nullif(t.typispreferred, false),
                   'delimiter', nullif(t.typdelim, ','), 'default', t.typdefault,
                   'element', CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END,
                   'collatable', nullif(t.typcollation <> 0, false),
                   'input', nullif(t.typinput::oid, 0)::regprocedure::text, 'output', nullif(t.typoutput::oid, 0)::regprocedure::text,
                   'receive', nullif(t.typreceive::oid, 0)::regprocedure::text, 'send', nullif(t.typsend::oid, 0)::regprocedure::text,
                   'modifier_in', nullif(t.typmodin::oid, 0)::regprocedure::text,
                   'modifier_out', nullif(t.typmodout::oid, 0)::regprocedure::text,
                   'analyze', nullif(t.typanalyze::oid, 0)::regprocedure::text,
                   'subscript', nullif(t.typsubscript::oid, 0)::regprocedure::text) END,
               'comment', obj_description(t.oid, 'pg_type'))
      FROM types t JOIN roles o ON o.oid = t.typowner LEFT JOIN pg_type b ON b.oid = t.typbasetype
      LEFT JOIN acls acl ON acl.classid = 'pg_type'::regclass AND acl.objid = t.oid
     WHERE t.typtype <> 'c'

    UNION ALL
    SELECT 'statistics', format('%I.%I', s.nspname, e.stxname), jsonb_build_object(
               'owner', o.name, 'definition', pg_get_statisticsobjdef(e.oid), 'target', e.stxstattarget,
               'comment', obj_description(e.oid, 'pg_statistic_ext'))
      FROM pg_statistic_ext e JOIN places s ON s.oid = e.stxnamespace JOIN roles o ON o.oid = e.stxowner

    UNION ALL
    SELECT 'event trigger', quote_ident(e.evtname), jsonb_build_object(
               'owner', o.name, 'event', e.evtevent, 'function', e.evtfoid::regprocedure::text, 'tags', to_jsonb(e.evttags),
               'enabled', CASE e.evtenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
               'comment', obj_description(e.oid, 'pg_event_trigger'))
      FROM pg_event_trigger e JOIN roles o ON o.oid = e.evtowner
     WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid)

    UNION ALL
    SELECT 'extension', quote_ident(e.extname), jsonb_build_object(
               'schema', e.extnamespace::regnamespace::text,
               -- That of the server's own, and what is said of it, is the server's.
               'version', CASE WHEN e.oid >= 16384 THEN e.extversion END,
               'comment', CASE WHEN e.oid >= 16384 THEN obj_description(e.oid, 'pg_extension') END,
               -- So that nothing is hidden by adding it to one that is known.
               'members', CASE WHEN e.oid < 16384 THEN x.members
                               ELSE to_jsonb(jsonb_array_length(x.members) || ', sha256:' || left(
                                        encode(sha256(convert_to(x.members::text, 'UTF8')), 'hex'), 16)) END)
      FROM pg_extension e
      LEFT JOIN (SELECT oid, jsonb_agg(member ORDER BY member COLLATE "C") AS members FROM extended GROUP BY oid) AS x USING (oid)
     WHERE e.oid >= 16384 OR x.members IS NOT NULL

    UNION ALL
    SELECT 'default privileges', concat_ws(' ', o.name, 'in ' || nullif(d.defaclnamespace, 0)::regnamespace::text,
               CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                    WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects'
                                    ELSE d.defaclobjtype::text END),
           jsonb_build_object('acl', coalesce(acl.entries, '[]'::jsonb))
      FROM pg_default_acl d JOIN roles o ON o.oid = d.defaclrole
      LEFT JOIN acls acl ON acl.classid = 'pg_default_acl'::regclass AND acl.objid = d.oid

    UNION ALL
    SELECT 'publication', quote_ident(p.pubname), jsonb_build_object(
               'owner', o.name, 'all_tables', nullif(p.puballtables, false), 'insert', p.pubinsert, 'update', p.pubupdate,
               'delete', p.pubdelete, 'truncate', p.pubtruncate, 'via_root', nullif(p.pubviaroot, false),
               'generated', nullif(p.pubgencols::text, 'n'),
               'schemas', (SELECT jsonb_agg(n.pnnspid::regnamespace::text ORDER BY n.pnnspid::regnamespace::text COLLATE "C")
                             FROM pg_publication_namespace n WHERE n.pnpubid = p.oid),
               'tables', (SELECT jsonb_agg(concat(
                                 t.prrelid::regclass, ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
                                    FROM pg_attribute a WHERE a.attrelid = t.prrelid AND a.attnum = ANY (t.prattrs)) || ')',
                                 ' where ' || pg_get_expr(t.prqual, t.prrelid)) ORDER BY t.prrelid::regclass::text COLLATE "C")
                            FROM pg_publication_rel t WHERE t.prpubid = p.oid),
               'comment', obj_description(p.oid, 'pg_publication'))
      FROM pg_publication p JOIN roles o ON o.oid = p.pubowner

    UNION ALL
    SELECT 'foreign server', quote_ident(s.srvname), jsonb_build_object(
               'owner', o.name, 'acl', acl.entries, 'wrapper', quote_ident(w.fdwname), 'type', s.srvtype, 'version', s.srvversion,
               -- A password belongs into a user mapping; one that was put here instead is not shown.
               'options', (SELECT jsonb_agg(x.option_name || '=' || CASE WHEN x.option_name ~* 'pass|secret|token|key'
                                                                         THEN '(not shown)' ELSE x.option_value END
                                            ORDER BY x.option_name COLLATE "C") FROM pg_options_to_table(s.srvoptions) x),
               'comment', obj_description(s.oid, 'pg_foreign_server'))
      FROM pg_foreign_server s JOIN roles o ON o.oid = s.srvowner JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
      LEFT JOIN acls acl ON acl.classid = 'pg_foreign_server'::regclass AND acl.objid = s.oid

    UNION ALL  -- parameters that a role of the schema's, or everybody, may set; they are the whole server's
    SELECT 'parameter', p.parname, jsonb_build_object('acl', jsonb_agg(x.entry ORDER BY x.entry COLLATE "C"))
      FROM pg_parameter_acl p CROSS JOIN LATERAL (
               SELECT n.name || '=' || string_agg(DISTINCT e.privilege_type || CASE WHEN e.is_grantable THEN '*' ELSE '' END, ',') AS entry
                 FROM aclexplode(p.paracl) e JOIN roles n ON n.oid = e.grantee
                WHERE e.grantee = 0
                   OR e.grantee >= 16384 AND n.name <> '<owner>' AND e.grantee IN (SELECT oid FROM mentioned)
                GROUP BY n.name) AS x
     GROUP BY p.parname

    UNION ALL  -- privileges on what the server brings along
    SELECT 'system object', i.identity, jsonb_build_object('acl', coalesce(g.entries, '[]'::jsonb))
      FROM system_grants g, LATERAL pg_identify_object(g.classid, g.objid, g.objsubid) AS i

    UNION ALL  -- rarer kinds
    SELECT i.type, i.identity, rare.facts || jsonb_build_object(
               'owner', o.name, 'acl', acl.entries,
               'comment', (SELECT d.description FROM pg_description d
                            WHERE d.objoid = rare.oid AND d.classoid = rare.classid AND d.objsubid = 0))
      FROM (SELECT 'pg_operator'::regclass AS classid, o.oid, o.oprowner AS owner, jsonb_build_object(
                       'function', nullif(o.oprcode::oid, 0)::regprocedure::text, 'result', format_type(nullif(o.oprresult, 0), NULL),
                       'commutator', nullif(o.oprcom, 0)::regoperator::text, 'negator', nullif(o.oprnegate, 0)::regoperator::text,
                       'restrict', nullif(o.oprrest::oid, 0)::regprocedure::text, 'join', nullif(o.oprjoin::oid, 0)::regprocedure::text,
                       'merges', nullif(o.oprcanmerge, false), 'hashes', nullif(o.oprcanhash, false)) AS facts
              FROM pg_operator o WHERE o.oid >= 16384
            UNION ALL
            SELECT 'pg_opclass'::regclass, c.oid, c.opcowner, jsonb_build_object(
                       'family', (pg_identify_object('pg_opfamily'::regclass, c.opcfamily, 0)).identity,
                       'input', format_type(c.opcintype, NULL), 'default', nullif(c.opcdefault, false),
                       'key', CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END)
              FROM pg_opclass c WHERE c.oid >= 16384
            UNION ALL
            SELECT 'pg_opfamily'::regclass, f.oid, f.opfowner, jsonb_build_object(
                       'operators', (SELECT jsonb_agg(x.entry ORDER BY x.entry COLLATE "C") FROM (
                           SELECT format('%s %s', m.amopstrategy, m.amopopr::regoperator) ||
                                  CASE WHEN m.amopsortfamily <> 0 THEN
                                  ' for order by ' || (pg_identify_object('pg_opfamily'::regclass, m.amopsortfamily, 0)).identity
                                  ELSE '' END AS entry FROM pg_amop m WHERE m.amopfamily = f.oid) AS x),
                       'functions', (SELECT jsonb_agg(x.entry ORDER BY x.entry COLLATE "C") FROM (
                           SELECT format('%s (%s, %s) %s', m.amprocnum, format_type(m.amproclefttype, NULL),
                                         format_type(m.amprocrighttype, NULL), m.amproc::oid::regprocedure) AS entry
                             FROM pg_amproc m WHERE m.amprocfamily = f.oid) AS x))
              FROM pg_opfamily f WHERE f.oid >= 16384
            UNION ALL
            SELECT 'pg_cast'::regclass, c.oid, NULL, jsonb_build_object(
                       'function', nullif(c.castfunc, 0)::regprocedure::text,
                       'context', CASE c.castcontext WHEN 'e' THEN 'explicit' WHEN 'a' THEN 'assignment' ELSE 'implicit' END,
                       'method', CASE c.castmethod WHEN 'f' THEN 'function' WHEN 'i' THEN 'inout' ELSE 'binary' END)
              FROM pg_cast c WHERE c.oid >= 16384
            UNION ALL  -- not its version: that is the machine's library
            SELECT 'pg_collation'::regclass, c.oid, c.collowner, jsonb_build_object(
                       'provider', CASE c.collprovider WHEN 'b' THEN 'builtin' WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'default' END,
                       'deterministic', nullif(c.collisdeterministic, true), 'encoding', nullif(pg_encoding_to_char(c.collencoding), ''),
                       'collate', c.collcollate, 'ctype', c.collctype, 'locale', c.colllocale, 'rules', c.collicurules)
              FROM pg_collation c WHERE c.oid >= 16384
            UNION ALL
            SELECT 'pg_conversion'::regclass, c.oid, c.conowner, jsonb_build_object(
                       'from', pg_encoding_to_char(c.conforencoding), 'to', pg_encoding_to_char(c.contoencoding),
                       'function', c.conproc::oid::regprocedure::text, 'default', nullif(c.condefault, false))
              FROM pg_conversion c WHERE c.oid >= 16384
            UNION ALL
            SELECT 'pg_language'::regclass, l.oid, l.lanowner, jsonb_build_object(
                       'trusted', l.lanpltrusted, 'handler', nullif(l.lanplcallfoid, 0)::regprocedure::text,
                       'inline', nullif(l.laninline, 0)::regprocedure::text, 'validator', nullif(l.lanvalidator, 0)::regprocedure::text)
              FROM pg_language l WHERE l.oid >= 16384
            UNION ALL
            SELECT 'pg_am'::regclass, a.oid, NULL, jsonb_build_object(
                       'type', CASE a.amtype WHEN 'i' THEN 'index' ELSE 'table' END, 'handler', a.amhandler::oid::regprocedure::text)
              FROM pg_am a WHERE a.oid >= 16384
            UNION ALL
            SELECT 'pg_transform'::regclass, t.oid, NULL, jsonb_build_object(
                       'from_sql', nullif(t.trffromsql::oid, 0)::regprocedure::text, 'to_sql', nullif(t.trftosql::oid, 0)::regprocedure::text)
              FROM pg_transform t WHERE t.oid >= 16384
            UNION ALL
            SELECT 'pg_ts_config'::regclass, c.oid, c.cfgowner, jsonb_build_object(
                       'parser', (pg_identify_object('pg_ts_parser'::regclass, c.cfgparser, 0)).identity,
                       'mappings', (SELECT jsonb_object_agg(x.alias, x.dictionaries) FROM (
                           SELECT k.alias, jsonb_agg(m.mapdict::regdictionary::text ORDER BY m.mapseqno) AS dictionaries
                             FROM pg_ts_config_map m JOIN ts_token_type(c.cfgparser) k ON k.tokid = m.maptokentype
                            WHERE m.mapcfg = c.oid GROUP BY k.alias) AS x))
              FROM pg_ts_config c WHERE c.oid >= 16384
            UNION ALL
            SELECT 'pg_ts_dict'::regclass, d.oid, d.dictowner, jsonb_build_object(
                       'template', (pg_identify_object('pg_ts_template'::regclass, d.dicttemplate, 0)).identity, 'options', d.dictinitoption)
              FROM pg_ts_dict d WHERE d.oid >= 16384
            UNION ALL
            SELECT 'pg_ts_parser'::regclass, p.oid, NULL, jsonb_build_object(
                       'start', p.prsstart::oid::regprocedure::text, 'token', p.prstoken::oid::regprocedure::text,
                       'end', p.prsend::oid::regprocedure::text, 'types', p.prslextype::oid::regprocedure::text,
                       'headline', nullif(p.prsheadline::oid, 0)::regprocedure::text)
              FROM pg_ts_parser p WHERE p.oid >= 16384
            UNION ALL
            SELECT 'pg_ts_template'::regclass, t.oid, NULL, jsonb_build_object(
                       'init', nullif(t.tmplinit::oid, 0)::regprocedure::text, 'lexize', t.tmpllexize::oid::regprocedure::text)
              FROM pg_ts_template t WHERE t.oid >= 16384
            UNION ALL
            SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, w.fdwowner, jsonb_build_object(
                       'handler', nullif(w.fdwhandler, 0)::regprocedure::text, 'validator', nullif(w.fdwvalidator, 0)::regprocedure::text,
                       'options', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM unnest(w.fdwoptions) AS v))
              FROM pg_foreign_data_wrapper w WHERE w.oid >= 16384) AS rare
      LEFT JOIN roles o ON o.oid = rare.owner
      LEFT JOIN acls acl ON acl.classid = rare.classid AND acl.objid = rare.oid AND acl.objsubid = 0,
           LATERAL pg_identify_object(rare.classid, rare.oid, 0) AS i
     WHERE NOT EXISTS (SELECT FROM members WHERE members.classid = rare.classid AND members.objid = rare.oid)

    UNION ALL
    SELECT 'role', n.name, jsonb_build_object(
               'superuser', r.rolsuper, 'inherit', r.rolinherit, 'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb,
               'login', r.rolcanlogin, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls,
               'connection_limit', nullif(r.rolconnlimit, -1), 'valid_until', r.rolvaliduntil::text,
               'config', (SELECT jsonb_agg(v ORDER BY v COLLATE "C") FROM pg_db_role_setting c, unnest(c.setconfig) AS v
                           WHERE c.setrole = r.oid AND c.setdatabase = 0),
               'config_here', (SELECT jsonb_agg(v ORDER BY v COLLATE "C")
                                 FROM pg_db_role_setting c JOIN pg_database b ON b.oid = c.setdatabase, unnest(c.setconfig) AS v
                                WHERE c.setrole = r.oid AND b.datname = current_database()),
               'member_of', (SELECT jsonb_agg(x.entry ORDER BY x.entry COLLATE "C") FROM (
                   SELECT DISTINCT format('%s admin=%s inherit=%s set=%s', g.name, m.admin_option, m.inherit_option, m.set_option) AS entry
                     FROM pg_auth_members m JOIN roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS x),
               'comment', shobj_description(r.oid, 'pg_authid'))
      FROM mentioned JOIN pg_roles r USING (oid) JOIN roles n USING (oid)
     WHERE n.name <> '<owner>'  -- what the migrating role may do belongs to the machine, not to the schema
)
SELECT kind, name, jsonb_strip_nulls(facts) AS facts FROM objects
