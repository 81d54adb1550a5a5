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
spaces AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
members AS (  -- of extensions; and what the server makes for something else, such as the constructors of a range type
    SELECT classid, objid FROM pg_depend
     WHERE deptype = 'e' OR (deptype = 'i' AND classid IN ('pg_proc'::regclass, 'pg_cast'::regclass))
),
relations AS (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS name
      FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
     WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
),
functions AS (
    SELECT p.*, format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name
      FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
     WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
),
types AS (  -- neither arrays nor the row types of tables
    SELECT t.*, format('%I.%I', s.nspname, t.typname) AS name
      FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
      LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE (t.typrelid = 0 OR c.relkind = 'c')
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
     WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, 0, coalesce(proacl, acldefault('f', proowner)), proowner FROM functions
    UNION ALL
    SELECT 'pg_type'::regclass, oid, 0, coalesce(typacl, acldefault('T', typowner)), typowner FROM types
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
      FROM acl_sources s, aclexplode(s.acl) e
      JOIN roles grantee ON grantee.oid = e.grantee
      JOIN roles grantor ON grantor.oid = e.grantor
     GROUP BY s.classid, s.objid, s.objsubid, s.owner, e.grantee, e.grantor, grantee.name, grantor.name
),
acls AS (
    SELECT classid, objid, objsubid, jsonb_agg(entry ORDER BY entry COLLATE "C") AS entries
      FROM acl_entries GROUP BY classid, objid, objsubid
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
               'options', to_jsonb(r.reloptions), 'toast_options', to_jsonb(toast.reloptions),
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
               'server', (SELECT quote_ident(v.srvname) FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver
                           WHERE f.ftrelid = r.oid),
               'comment', obj_description(r.oid, 'pg_class'))
      FROM relations r JOIN roles o ON o.oid = r.relowner
      LEFT JOIN pg_am am ON am.oid = r.relam
      LEFT JOIN pg_tablespace ts ON ts.oid = r.reltablespace
      LEFT JOIN pg_class toast ON toast.oid = r.reltoastrelid
      LEFT JOIN acls acl ON acl.objsubid = 0 AND CASE WHEN r.relkind = 'c'
           THEN acl.classid = 'pg_type'::regclass AND acl.objid = r.reltype
           ELSE acl.classid = 'pg_class'::regclass AND acl.objid = r.oid END
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
               'statistics', a.attstattarget, 'options', to_jsonb(a.attoptions), 'fdw_options', to_jsonb(a.attfdwoptions),
               'inherited', nullif(a.attinhcount, 0), 'local', CASE WHEN a.attinhcount > 0 THEN a.attislocal END,
               'acl', acl.entries, 'comment', col_description(a.attrelid, a.attnum))
      FROM relations r
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN acls acl ON acl.classid = 'pg_class'::regclass AND acl.objid = r.oid AND acl.objsubid = a.attnum
     WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

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
               -- The server's own triggers behind a foreign key can be disabled one by one.
               'triggers', (SELECT jsonb_agg(format('%s %s on %s', g.tgenabled, g.tgtype, g.tgrelid::regclass)
                                             ORDER BY g.tgrelid::regclass::text COLLATE "C", g.tgtype)
                              FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgisinternal AND g.tgenabled <> 'O'),
               'comment', obj_description(k.oid, 'pg_constraint'))
      FROM pg_constraint k
      LEFT JOIN relations r ON r.oid = k.conrelid
      LEFT JOIN types t ON t.oid = k.contypid
     WHERE r.oid IS NOT NULL OR t.oid IS NOT NULL

    UNION ALL
    SELECT 'index', x.name, jsonb_build_object(
               'table', r.name, 'definition', pg_get_indexdef(x.oid), 'unique', nullif(i.indisunique, false),
               'primary', nullif(i.indisprimary, false), 'immediate', nullif(i.indimmediate, true),
               'valid', i.indisvalid, 'ready', i.indisready, 'live', nullif(i.indislive, true),
               'clustered', nullif(i.indisclustered, false), 'replica_identity', nullif(i.indisreplident, false),
               'options', to_jsonb(x.reloptions),
               'tablespace', (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = x.reltablespace),
               'statistics', (SELECT jsonb_object_agg(a.attname, a.attstattarget) FROM pg_attribute a
                               WHERE a.attrelid = x.oid AND a.attstattarget IS NOT NULL),
               'parent', (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = x.oid),
               'comment', obj_description(x.oid, 'pg_class'))
      FROM relations x JOIN pg_index i ON i.indexrelid = x.oid JOIN relations r ON r.oid = i.indrelid

    UNION ALL
    SELECT 'trigger', format('%s.%I', r.name, g.tgname), jsonb_build_object(
               'definition', pg_get_triggerdef(g.oid), 'function', g.tgfoid::regprocedure::text,
               'enabled', CASE g.tgenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
               'type', g.tgtype, 'cloned', nullif(g.tgparentid <> 0, false),
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
               'config', to_jsonb(f.proconfig),
               'body', CASE WHEN f.prokind <> 'a' THEN coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) END,
               'library', f.probin,
               'aggregate', CASE WHEN f.prokind = 'a' THEN (SELECT jsonb_build_object(
                   'transition', g.aggtransfn::oid::regprocedure::text, 'final', nullif(g.aggfinalfn::oid, 0)::regprocedure::text,
                   'state', format_type(g.aggtranstype, NULL), 'initial', g.agginitval)
                   FROM pg_aggregate g WHERE g.aggfnoid = f.oid) END,
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
               'comment', obj_description(t.oid, 'pg_type'))
      FROM types t JOIN roles o ON o.oid = t.typowner LEFT JOIN pg_type b ON b.oid = t.typbasetype
      LEFT JOIN acls acl ON acl.classid = 'pg_type'::regclass AND acl.objid = t.oid
     WHERE t.typtype <> 'c'

    UNION ALL
    SELECT 'statistics', format('%I.%I', s.nspname, e.stxname), jsonb_build_object(
               'owner', o.name, 'definition', pg_get_statisticsobjdef(e.oid), 'target', e.stxstattarget,
               'comment', obj_description(e.oid, 'pg_statistic_ext'))
      FROM pg_statistic_ext e JOIN spaces s ON s.oid = e.stxnamespace JOIN roles o ON o.oid = e.stxowner

    UNION ALL
    SELECT 'event trigger', quote_ident(e.evtname), jsonb_build_object(
               'owner', o.name, 'event', e.evtevent, 'function', e.evtfoid::regprocedure::text, 'tags', to_jsonb(e.evttags),
               'enabled', CASE e.evtenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
               'comment', obj_description(e.oid, 'pg_event_trigger'))
      FROM pg_event_trigger e JOIN roles o ON o.oid = e.evtowner
     WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid)

    UNION ALL
    SELECT 'extension', quote_ident(e.extname), jsonb_build_object(
               'schema', e.extnamespace::regnamespace::text, 'version', e.extversion)
      FROM pg_extension e WHERE e.extname <> 'plpgsql'

    UNION ALL
    SELECT 'default privileges', concat_ws(' ', o.name, 'in ' || nullif(d.defaclnamespace, 0)::regnamespace::text,
               CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                    WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE d.defaclobjtype::text END),
           jsonb_build_object('acl', coalesce(acl.entries, '[]'::jsonb))
      FROM pg_default_acl d JOIN roles o ON o.oid = d.defaclrole
      LEFT JOIN acls acl ON acl.classid = 'pg_default_acl'::regclass AND acl.objid = d.oid

    UNION ALL
    SELECT 'publication', quote_ident(p.pubname), jsonb_build_object(
               'owner', o.name, 'all_tables', nullif(p.puballtables, false), 'insert', p.pubinsert, 'update', p.pubupdate,
               'delete', p.pubdelete, 'truncate', p.pubtruncate, 'via_root', nullif(p.pubviaroot, false),
               'generated', nullif(p.pubgencols::text, 'n'),
               'tables', (SELECT jsonb_agg(format('%I.%I(%s) where %s', v.schemaname, v.tablename,
                                                  array_to_string(v.attnames, ', '), coalesce(v.rowfilter, 'true'))
                                           ORDER BY v.schemaname COLLATE "C", v.tablename COLLATE "C")
                            FROM pg_publication_tables v WHERE v.pubname = p.pubname))
      FROM pg_publication p JOIN roles o ON o.oid = p.pubowner

    UNION ALL
    SELECT 'foreign server', quote_ident(s.srvname), jsonb_build_object(
               'owner', o.name, 'acl', acl.entries, 'wrapper', quote_ident(w.fdwname), 'type', s.srvtype, 'version', s.srvversion)
      FROM pg_foreign_server s JOIN roles o ON o.oid = s.srvowner JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
      LEFT JOIN acls acl ON acl.classid = 'pg_foreign_server'::regclass AND acl.objid = s.oid

    UNION ALL  -- rarer kinds: that they are there, under which identity
    SELECT i.type, i.identity, '{}'::jsonb
      FROM (SELECT 'pg_operator'::regclass AS classid, oid FROM pg_operator
            UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass
            UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily
            UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
            UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
            UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion
            UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language
            UNION ALL SELECT 'pg_am'::regclass, oid FROM pg_am
            UNION ALL SELECT 'pg_transform'::regclass, oid FROM pg_transform
            UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
            UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
            UNION ALL SELECT 'pg_ts_parser'::regclass, oid FROM pg_ts_parser
            UNION ALL SELECT 'pg_ts_template'::regclass, oid FROM pg_ts_template
            UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper) AS rare,
           LATERAL pg_identify_object(rare.classid, rare.oid, 0) AS i
     WHERE rare.oid >= 16384  -- FirstNormalObjectId: below it lies what initdb made
       AND NOT EXISTS (SELECT FROM members WHERE members.classid = rare.classid AND members.objid = rare.oid)

    UNION ALL
    SELECT 'role', n.name, jsonb_build_object(
               'superuser', r.rolsuper, 'inherit', r.rolinherit, 'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb,
               'login', r.rolcanlogin, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls,
               'connection_limit', nullif(r.rolconnlimit, -1), 'valid_until', r.rolvaliduntil::text,
               'config', (SELECT to_jsonb(c.setconfig) FROM pg_db_role_setting c WHERE c.setrole = r.oid AND c.setdatabase = 0),
               'member_of', (SELECT jsonb_agg(format('%s admin=%s inherit=%s set=%s', g.name, m.admin_option, m.inherit_option, m.set_option)
                                              ORDER BY g.name COLLATE "C", m.grantor)
                               FROM pg_auth_members m JOIN roles g ON g.oid = m.roleid
                              WHERE m.member = r.oid AND m.roleid IN (SELECT oid FROM mentioned)))
      FROM mentioned JOIN pg_roles r USING (oid) JOIN roles n USING (oid)
     WHERE n.name <> '<owner>'  -- what the migrating role may do belongs to the machine, not to the schema
)
SELECT kind, name, jsonb_strip_nulls(facts) AS facts FROM objects
