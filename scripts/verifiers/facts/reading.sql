-- Everything the fact checks look at, in one question and one answer: a row for each relation, for each function, and
-- one for the rest. Read with search_path = pg_catalog, so that the server writes every other name in full:
-- public.tenants and squatter.tenants can then never be taken for each other.
-- $1: the roles asked for. $2: the tables whose owners need no way around. $3 and $4: the reviewed columns and indexes:
-- what else is on their tables is told by added.sql, which is put in below, and
-- publications in the way of their rows by refusing.sql; who can act as a role is in logins.sql.
-- Nothing is left out because it is said to be an extension's: one statement says so of whatever there is, and a dump then
-- leaves it out.
WITH member AS MATERIALIZED (
    SELECT d.classid, d.objid, e.extname, e.oid >= 16384 AS installed  -- below lies what came with the server
      FROM pg_catalog.pg_extension AS e
      JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
     WHERE d.deptype = 'e'
), bound AS MATERIALIZED (
    -- No member, and gone all the same as soon as somebody drops the extension.
    SELECT d.classid, d.objid, string_agg(e.extname, ', ' ORDER BY e.extname COLLATE "C") AS extensions
      FROM pg_catalog.pg_extension AS e
      JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
     WHERE d.deptype = 'x'
     GROUP BY d.classid, d.objid
), relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relowner, c.relacl, c.reloptions,
           c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reltoastrelid,
           (SELECT m.extname FROM member AS m WHERE (m.classid, m.objid) = ('pg_catalog.pg_class'::pg_catalog.regclass, c.oid))
               AS extension
      FROM pg_catalog.pg_class AS c
     WHERE c.relnamespace = 'public'::pg_catalog.regnamespace
       AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
), columns AS (
    SELECT a.attrelid,
           json_agg(json_build_object(
               'name', a.attname,
               'type', format_type(a.atttypid, a.atttypmod),
               -- attnotnull is also true while the NOT NULL is only NOT VALID: then old rows may hold nulls.
               'not_null', a.attnotnull AND NOT EXISTS (
                   SELECT FROM pg_catalog.pg_constraint AS n
                    WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),
               'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
               'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
               'virtual', a.attgenerated = 'v',
               'identity', a.attidentity,
               'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END,
               -- A value that may be long cannot leave the row then, and one that is too long for a page is refused (54000).
               'plain', a.attstorage = 'p' AND t.typstorage <> 'p',
               'grants', (SELECT json_agg(json_build_array(
                                     CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                     x.privilege_type, x.is_grantable))
                            FROM aclexplode(a.attacl) AS x)
           ) ORDER BY a.attnum) AS rows
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM relation)
     GROUP BY a.attrelid
), constraints AS (
    SELECT k.conrelid,
           json_agg(json_build_object(
               'name', k.conname,
               'kind', k.contype,
               'columns', (SELECT json_agg(a.attname ORDER BY u.n)
                             FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, n)
                             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
               'expression', pg_get_expr(k.conbin, k.conrelid),
               'references', CASE WHEN k.contype = 'f' THEN k.confrelid::pg_catalog.regclass::text END,
               'referenced', (SELECT json_agg(a.attname ORDER BY u.n)
                                FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, n)
                                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
               'on_update', k.confupdtype,
               'on_delete', k.confdeltype,
               'match', k.confmatchtype,
               'valid', k.convalidated,
               'enforced', k.conenforced,
               'deferrable', k.condeferrable,
               'nulls_not_distinct', coalesce(i.indnullsnotdistinct, false),
               -- What enforces a foreign key: DISABLE TRIGGER ALL puts these to sleep, and no other column shows it.
               'guards', (SELECT json_agg(json_build_array(g.tgrelid::pg_catalog.regclass::text, f.proname, g.tgenabled)
                                          ORDER BY f.proname COLLATE "C")
                            FROM pg_catalog.pg_trigger AS g
                            JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
                           WHERE k.contype = 'f' AND g.tgconstraint = k.oid AND g.tgisinternal),
               -- With the index or the trigger behind it the constraint goes.
               'goes_with', (SELECT string_agg(DISTINCT b.extensions, ', ') FROM bound AS b
                              WHERE (b.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND b.objid = i.indexrelid)
                                 OR (b.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass
                                     AND b.objid IN (SELECT g.oid FROM pg_catalog.pg_trigger AS g WHERE g.tgconstraint = k.oid)))
           ) ORDER BY k.conname COLLATE "C") AS rows
      FROM pg_catalog.pg_constraint AS k
      LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u', 'x')
     WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conrelid IN (SELECT oid FROM relation)
     GROUP BY k.conrelid
), indexes AS (
    SELECT i.indrelid,
           json_agg(json_build_object(
               'name', c.relname,
               'method', m.amname,
               'unique', i.indisunique,
               'keys', (SELECT json_agg(pg_get_indexdef(i.indexrelid, n, false)
                                -- Unlike the whole definition, a key by itself is told without its collation.
                                || CASE WHEN i.indcollation[n - 1] IN (0, coalesce(a.attcollation, 100)) THEN ''
                                        ELSE ' COLLATE ' || i.indcollation[n - 1]::pg_catalog.regcollation::text END
                                || CASE WHEN o.opcdefault THEN '' ELSE ' ' || o.opcname END
                                || CASE i.indoption[n - 1] WHEN 0 THEN '' WHEN 1 THEN ' DESC NULLS LAST'
                                                           WHEN 2 THEN ' NULLS FIRST' ELSE ' DESC' END ORDER BY n)
                          FROM generate_series(1, i.indnkeyatts) AS n
                          JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[n - 1]
                          LEFT JOIN pg_catalog.pg_attribute AS a
                                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1] AND a.attnum <> 0),
               'include', (SELECT json_agg(pg_get_indexdef(i.indexrelid, n, false) ORDER BY n)
                             FROM generate_series(i.indnkeyatts + 1, i.indnatts) AS n),
               'predicate', pg_get_expr(i.indpred, i.indrelid),
               'nulls_not_distinct', i.indnullsnotdistinct,
               'valid', i.indisvalid AND i.indislive,
               'ready', i.indisready,
               'immediate', i.indimmediate,
               'goes_with', (SELECT b.extensions FROM bound AS b
                              WHERE (b.classid, b.objid) = ('pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid))
           ) ORDER BY c.relname COLLATE "C") AS rows
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
     WHERE i.indrelid IN (SELECT oid FROM relation)
     GROUP BY i.indrelid
), triggers AS (
    SELECT g.tgrelid,
           json_agg(json_build_object(
               'name', g.tgname,
               'bits', g.tgtype,
               'columns', (SELECT json_agg(a.attname ORDER BY u.n)
                             FROM unnest(g.tgattr::smallint[]) WITH ORDINALITY AS u (attnum, n)
                             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = g.tgrelid AND a.attnum = u.attnum),
               'definition', pg_get_triggerdef(g.oid),
               'guarded', g.tgqual IS NOT NULL,
               'function', g.tgfoid::pg_catalog.regprocedure::text,
               'arguments', g.tgnargs,
               'enabled', g.tgenabled,
               'deferrable', g.tgdeferrable OR g.tgconstraint <> 0,
               'goes_with', (SELECT b.extensions FROM bound AS b
                              WHERE (b.classid, b.objid) = ('pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid))
           ) ORDER BY g.tgname COLLATE "C") AS rows
      FROM pg_catalog.pg_trigger AS g
     WHERE NOT g.tgisinternal AND g.tgrelid IN (SELECT oid FROM relation)
     GROUP BY g.tgrelid
), added AS (
/* added.sql */
), refusing AS (
/* refusing.sql */
), functions AS (
    SELECT json_build_object(
               'name', p.proname,
               'arguments', pg_get_function_identity_arguments(p.oid),
               'signature', p.oid::pg_catalog.regprocedure::text,
               'required', p.pronargs - p.pronargdefaults,
               'defaults', pg_get_expr(p.proargdefaults, 0),
               'result', pg_get_function_result(p.oid),
               'kind', p.prokind,
               'language', l.lanname,
               'volatility', p.provolatile,
               'definer', p.prosecdef,
               'strict', p.proisstrict,
               'leakproof', p.proleakproof,
               'parallel', p.proparallel,
               'settings', p.proconfig,
               'owner', pg_get_userbyid(p.proowner),
               'source', coalesce(pg_get_function_sqlbody(p.oid), p.prosrc),
               'grants', (SELECT json_agg(json_build_array(
                                     CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                     x.privilege_type, x.is_grantable))
                            FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x),
               'extension', m.extname,
               'installed', m.installed,
               'goes_with', b.extensions
           )::text AS body
      FROM pg_catalog.pg_proc AS p
      JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
      LEFT JOIN member AS m ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid
      LEFT JOIN bound AS b ON b.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND b.objid = p.oid
     WHERE p.pronamespace = 'public'::pg_catalog.regnamespace
),
/* logins.sql */
SELECT 'relation' AS kind, json_build_object(
                   'name', r.relname,
                   'kind', r.relkind,
                   'persistence', r.relpersistence,
                   'owner', pg_get_userbyid(r.relowner),
                   'options', r.reloptions,
                   'row_security', r.relrowsecurity OR r.relforcerowsecurity,
                   'extension', r.extension,
                   'toast_options', (SELECT to_json(t.reloptions) FROM pg_catalog.pg_class AS t WHERE t.oid = r.reltoastrelid),
                   'policies', (SELECT json_agg(p.polname ORDER BY p.polname COLLATE "C") FROM pg_catalog.pg_policy AS p
                                 WHERE p.polrelid = r.oid),
                   'identity', r.relreplident,
                   'refusing', refusing.names,
                   'added', added.rows,
                   'rules', (SELECT json_agg(w.rulename ORDER BY w.rulename COLLATE "C") FROM pg_catalog.pg_rewrite AS w
                              WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN'),
                   'parents', (SELECT json_agg(h.inhparent::pg_catalog.regclass::text) FROM pg_catalog.pg_inherits AS h
                                WHERE h.inhrelid = r.oid),
                   'children', (SELECT json_agg(h.inhrelid::pg_catalog.regclass::text) FROM pg_catalog.pg_inherits AS h
                                 WHERE h.inhparent = r.oid),
                   'grants', (SELECT json_agg(json_build_array(
                                         CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                         x.privilege_type, x.is_grantable))
                                FROM aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS x),
                   -- ctid and its like can be granted as well: whoever has one can count the rows.
                   'system_grants', (SELECT json_agg(json_build_object('name', a.attname, 'grants', (
                                                SELECT json_agg(json_build_array(
                                                           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                                           x.privilege_type, x.is_grantable))
                                                  FROM aclexplode(a.attacl) AS x)))
                                       FROM pg_catalog.pg_attribute AS a
                                      WHERE a.attrelid = r.oid AND a.attnum < 0 AND a.attacl IS NOT NULL),
                   'columns', columns.rows, 'constraints', constraints.rows, 'indexes', indexes.rows,
                   'triggers', triggers.rows)::text AS body
                 FROM relation AS r
                 LEFT JOIN columns ON columns.attrelid = r.oid
                 LEFT JOIN constraints ON constraints.conrelid = r.oid
                 LEFT JOIN indexes ON indexes.indrelid = r.oid
                 LEFT JOIN triggers ON triggers.tgrelid = r.oid
                 LEFT JOIN added ON added.relid = r.oid
                 LEFT JOIN refusing ON refusing.relid = r.oid
 UNION ALL
SELECT 'function', body FROM functions
 UNION ALL
SELECT 'rest', json_build_object(
    'enums', (SELECT json_object_agg(t.typname, (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)
                                                   FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid))
                FROM pg_catalog.pg_type AS t
               WHERE t.typnamespace = 'public'::pg_catalog.regnamespace AND t.typtype = 'e'),
    'enum_rights', (SELECT json_object_agg(t.typname, json_build_object(
                               'owner', pg_get_userbyid(t.typowner),
                               'extension', (SELECT m.extname FROM member AS m
                                              WHERE (m.classid, m.objid) = ('pg_catalog.pg_type'::pg_catalog.regclass, t.oid)),
                               'grants', (SELECT json_agg(json_build_array(
                                                     CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                                     x.privilege_type, x.is_grantable))
                                            FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) AS x)))
                      FROM pg_catalog.pg_type AS t
                     WHERE t.typnamespace = 'public'::pg_catalog.regnamespace AND t.typtype = 'e'),
    'schema_grants', (SELECT json_agg(json_build_array(
                                 CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                 x.privilege_type, x.is_grantable))
                        FROM pg_catalog.pg_namespace AS n,
                             aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
                       WHERE n.nspname = 'public'),
    'schema_extension', (SELECT m.extname FROM member AS m
                          WHERE (m.classid, m.objid) = ('pg_catalog.pg_namespace'::pg_catalog.regclass, 'public'::pg_catalog.regnamespace)),
    'schema_owner', (SELECT pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'public'),
    'database_owner', (SELECT pg_get_userbyid(d.datdba) FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()),
    -- Of the owners of schema and database those who could do anyway what they may do as such: with ADMIN by handing the
    -- tables' owner to themselves.
    'insiders', (SELECT json_agg(a.rolname)
                   FROM pg_catalog.pg_roles AS a
                  WHERE a.oid IN (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'public'
                                   UNION SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
                    AND (a.rolsuper OR EXISTS (SELECT FROM keepers AS k
                                                WHERE pg_has_role(a.oid, k.oid, 'USAGE') OR pg_has_role(a.oid, k.oid, 'SET')
                                                   OR pg_has_role(a.oid, k.oid, 'USAGE WITH ADMIN OPTION')))),
    'reader', current_user,
    'default_grants', (SELECT json_agg(json_build_array(
                                  pg_get_userbyid(f.defaclrole), coalesce(n.nspname, ''), f.defaclobjtype,
                                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
                                  x.privilege_type))
                         FROM pg_catalog.pg_default_acl AS f
                         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = f.defaclnamespace
                         LEFT JOIN LATERAL aclexplode(f.defaclacl) AS x ON true),
    'settings', (SELECT json_agg(json_build_array(
                            CASE s.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(s.setrole) END, e.entry,
                            (SELECT json_agg(o.rolname) FROM ours AS o
                              WHERE s.setrole <> 0 AND (pg_has_role(s.setrole, o.oid, 'USAGE')
                                                        OR pg_has_role(s.setrole, o.oid, 'SET')))))
                   FROM pg_catalog.pg_db_role_setting AS s, unnest(s.setconfig) AS e (entry)
                  WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()))
                    AND (s.setrole = 0 OR s.setrole IN (SELECT oid FROM callers UNION SELECT oid FROM actors))),
    -- One in C that came with an extension, as its trigger did, is as trusted as the extension's library.
    'event_triggers', (SELECT json_agg(json_build_array(t.evtname, t.evtevent, p.oid::pg_catalog.regprocedure::text))
                         FROM pg_catalog.pg_event_trigger AS t
                         JOIN pg_catalog.pg_proc AS p ON p.oid = t.evtfoid
                         JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
                        WHERE t.evtenabled <> 'D'
                          AND NOT (l.lanname = 'c' AND EXISTS (
                              SELECT FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_depend AS f USING (refclassid, refobjid)
                               WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid >= 16384
                                 AND d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND d.objid = t.oid
                                 AND f.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.objid = p.oid
                                 AND (d.deptype, f.deptype) = ('e', 'e')))),
    'logins', (SELECT l.rows FROM logins AS l),
    'holdings', (SELECT json_agg(json_build_array(h.who, h.owned, h.catalog, h.what, h.privileges, h.supplied, h.acts_as))
                   FROM (SELECT o.who, s.deptype = 'o' AS owned, s.classid::pg_catalog.regclass::text AS catalog,
                                i.type || ' ' || i.identity AS what,
                                (SELECT json_agg(x.privilege_type ORDER BY x.privilege_type COLLATE "C")
                                   FROM pg_catalog.pg_database AS d, aclexplode(d.datacl) AS x
                                  WHERE s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.oid = s.objid
                                    AND x.grantee = o.oid AND s.deptype = 'a') AS privileges,
                                s.classid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
                                AND s.objid < 16384 AS supplied,
                                o.acts_as
                           FROM pg_catalog.pg_shdepend AS s
                           JOIN holders AS o ON o.oid = s.refobjid
                          CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, 0) AS i
                          WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype IN ('o', 'a')
                            AND s.dbid IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()))
                            -- Default privileges and parameters are asked for by themselves, and so are tables, functions and
                            -- schemas of anybody's making, except who owns them.
                            AND s.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                                                  'pg_catalog.pg_parameter_acl'::pg_catalog.regclass)
                            AND (s.deptype = 'o' OR s.objid < 16384 OR o.reads_only
                                 OR s.classid NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass,
                                                      'pg_catalog.pg_proc'::pg_catalog.regclass,
                                                      'pg_catalog.pg_namespace'::pg_catalog.regclass))
                            AND NOT (s.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                                     AND s.objid = 'public'::pg_catalog.regnamespace)
                            -- What a login has of another database is not ours to say; that it owns this one is told of it.
                            AND NOT (o.acts_as IS NOT NULL AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
                                     AND (s.deptype = 'o' OR s.objid <> (SELECT d.oid FROM pg_catalog.pg_database AS d
                                                                          WHERE d.datname = current_database())))
                          UNION ALL
                         SELECT 'PUBLIC', false, p.catalog, p.what, NULL, false, NULL
                           FROM (SELECT 'pg_foreign_data_wrapper' AS catalog,
                                        'foreign-data wrapper ' || quote_ident(f.fdwname) AS what, f.fdwacl AS acl
                                   FROM pg_catalog.pg_foreign_data_wrapper AS f
                                  UNION ALL
                                 SELECT 'pg_foreign_server', 'server ' || quote_ident(f.srvname), f.srvacl
                                   FROM pg_catalog.pg_foreign_server AS f
                                  UNION ALL
                                 SELECT 'pg_tablespace', 'tablespace ' || quote_ident(f.spcname), f.spcacl
                                   FROM pg_catalog.pg_tablespace AS f
                                  UNION ALL
                                 SELECT 'pg_largeobject', 'large object ' || f.oid, f.lomacl
                                   FROM pg_catalog.pg_largeobject_metadata AS f) AS p
                          WHERE EXISTS (SELECT FROM aclexplode(p.acl) AS x WHERE x.grantee = 0)) AS h),
    'parameters', (SELECT json_agg(json_build_array(found.who, found.what))
                     FROM (SELECT 'PUBLIC' AS who, x.privilege_type || ' ' || p.parname AS what
                             FROM pg_catalog.pg_parameter_acl AS p, aclexplode(p.paracl) AS x WHERE x.grantee = 0
                            UNION
                           SELECT c.rolname, v.privilege || ' ' || p.parname
                             FROM pg_catalog.pg_parameter_acl AS p, callers AS c, (VALUES ('SET'), ('ALTER SYSTEM')) AS v (privilege)
                            WHERE has_parameter_privilege(c.oid, p.parname, v.privilege)) AS found),
    'schema_makers', (SELECT json_agg(json_build_array(found.who, 'CREATE'))
                        FROM (SELECT 'PUBLIC' AS who
                                FROM pg_catalog.pg_database AS d, aclexplode(d.datacl) AS x
                               WHERE d.datname = current_database() AND (x.grantee, x.privilege_type) = (0::oid, 'CREATE')
                               UNION
                              SELECT c.rolname FROM callers AS c
                               WHERE has_database_privilege(c.oid, current_database(), 'CREATE')) AS found),
    'roles', (SELECT json_agg(json_build_object(
                  'name', a.rolname, 'superuser', a.rolsuper, 'inherit', a.rolinherit, 'createrole', a.rolcreaterole,
                  'createdb', a.rolcreatedb, 'login', a.rolcanlogin, 'replication', a.rolreplication,
                  'bypassrls', a.rolbypassrls,
                  'limits', array_remove(ARRAY[
                      CASE WHEN a.rolconnlimit <> -1 THEN 'connection limit ' || a.rolconnlimit END,
                      CASE WHEN a.rolvaliduntil <> 'infinity' THEN 'valid until ' || a.rolvaliduntil END], NULL),
                  'member_of', (SELECT json_agg(pg_get_userbyid(m.roleid) ORDER BY m.roleid) FROM pg_catalog.pg_auth_members AS m
                                 WHERE m.member = a.oid)) ORDER BY a.rolname COLLATE "C")
                FROM pg_catalog.pg_roles AS a
               WHERE a.rolname = ANY ($1::name[])))::text
