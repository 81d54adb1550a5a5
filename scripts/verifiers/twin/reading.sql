-- What the twin is made of beside functions, as this transaction sees it, for the tables in $1: kind, the table it belongs
-- to, name, definition, the rest.
-- $2: their reviewed columns, as table.column. Others no probe names: they are left out, and what hangs on them, since of
-- what their types and defaults are made nothing need be in the twin.
-- $3: columns that whoever writes there may have made stricter: they may be empty in the twin (../probes/stricter.py).
-- Names are written in full: the path holds pg_catalog alone.
WITH tables AS (
    SELECT c.oid, c.relname, w.place
      FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place)
      JOIN pg_class AS c ON c.oid = to_regclass('public.' || quote_ident(w.name)) AND c.relkind = 'r'
), others AS MATERIALIZED (
    SELECT a.attrelid, a.attnum
      FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE (t.relname || '.' || a.attname)::name NOT IN (SELECT k.name FROM unnest($2::name[]) AS k (name))
), hanging AS MATERIALIZED (
    SELECT d.classid, d.objid
      FROM others AS o JOIN pg_depend AS d ON (d.refclassid, d.refobjid, d.refobjsubid) = ('pg_class'::regclass, o.attrelid, o.attnum)
), told AS (
    SELECT 0 AS rank, 0::bigint AS place, 'schema' AS kind, '' AS parent, n.nspname::text AS name, '' AS text, '' AS rest
      FROM pg_namespace AS n WHERE n.nspname NOT IN ('public', 'pg_catalog')
    UNION ALL
    SELECT 2, t.place, 'table', '', t.relname::text,
           (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                       CASE WHEN a.attgenerated = 's' THEN format('GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid))
                            WHEN d.adbin IS NOT NULL THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
                       CASE WHEN a.attnotnull AND (t.relname || '.' || a.attname)::name NOT IN (SELECT s.name FROM unnest($3::name[]) AS s (name))
                            THEN 'NOT NULL' END), ', ' ORDER BY a.attnum)
              FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND (a.attrelid, a.attnum) NOT IN (SELECT o.attrelid, o.attnum FROM others AS o)), ''
      FROM tables AS t
    UNION ALL
    -- A foreign key comes after all tables, the others with theirs.
    SELECT 3, t.place + CASE k.contype WHEN 'f' THEN 1000 ELSE 0 END, 'constraint', t.relname::text, k.conname::text,
           pg_get_constraintdef(k.oid), k.contype::text
      FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid
     WHERE k.contype IN ('p', 'u', 'c', 'x', 'f')
       AND ('pg_constraint'::regclass, k.oid) NOT IN (SELECT h.classid, h.objid FROM hanging AS h)
    UNION ALL
    -- An index that refuses nothing changes no answer, it only costs time to make.
    SELECT 4, t.place, 'index', t.relname::text, c.relname::text, pg_get_indexdef(i.indexrelid), ''
      FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indisunique AND i.indisready AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid
                                                             AND k.contype IN ('p', 'u', 'x'))
       AND ('pg_class'::regclass, i.indexrelid) NOT IN (SELECT h.classid, h.objid FROM hanging AS h)
    UNION ALL
    -- Guards against TRUNCATE (32) have nothing to do there.
    SELECT 5, t.place, 'trigger', t.relname::text, g.tgname::text, pg_get_triggerdef(g.oid), g.tgenabled::text
      FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid
     WHERE NOT g.tgisinternal AND (g.tgtype & 32) = 0
       AND ('pg_trigger'::regclass, g.oid) NOT IN (SELECT h.classid, h.objid FROM hanging AS h)
)
SELECT kind, parent, name, text, rest FROM told ORDER BY rank, place, name COLLATE "C"
