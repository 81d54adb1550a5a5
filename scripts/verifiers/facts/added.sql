-- What is on the reviewed tables beside the reviewed: columns, indexes and statistics, and what each works out.
-- $3 and $4, side by side: tables and names of their reviewed columns and indexes; whatever else is on those tables is told. A row
-- for each table. Put into reading.sql, where the whole catalog is asked for in one question.
WITH known AS MATERIALIZED (
    SELECT k.relname, k.name FROM unnest($3::name[], $4::name[]) AS k (relname, name)
), ruled AS MATERIALIZED (
    -- Domains with a rule, their own or one of those that they are made of.
    WITH RECURSIVE of (oid) AS (
        SELECT k.contypid FROM pg_catalog.pg_constraint AS k WHERE k.contypid <> 0
         UNION SELECT t.oid FROM of JOIN pg_catalog.pg_type AS t ON t.typbasetype = of.oid AND t.typtype = 'd')
    SELECT oid FROM of
), zone AS MATERIALIZED (
    -- Asked only where a time is shown in one: the server looks through its files for them.
    SELECT json_agg(lower(z.name)) AS names FROM pg_catalog.pg_timezone_names AS z
), strange AS MATERIALIZED (
    -- What is left out of an INSERT is the column's default, else its domain's.
    SELECT a.attrelid AS relid, 'column' AS kind, a.attname::text AS name, concat_ws(' ', coalesce(d.adbin, domain.bin)) AS tree,
           '' AS condition,
           concat_ws(' ', coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(domain.bin, 0))) AS said,
           a.attnotnull AS filled, a.attgenerated <> '' AS generated,
           a.attstorage = 'p' AND t.typstorage <> 'p' AND a.attgenerated <> 'v' AS plain,
           (SELECT json_build_object('lowest', s.seqmin, 'highest', s.seqmax, 'step', s.seqincrement, 'cached', s.seqcache,
                                     'again', s.seqcycle, 'last', v.last_value, 'given', v.is_called)
              FROM pg_catalog.pg_depend AS g
              JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = g.objid
             -- Of a sequence that the verifier may not read, nulls.
             CROSS JOIN pg_get_sequence_data(s.seqrelid) AS v
             WHERE (g.refclassid, g.refobjid, g.refobjsubid, g.classid, g.deptype)
                   = ('pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum, 'pg_catalog.pg_class'::pg_catalog.regclass, 'i')
               AND a.attidentity <> '') AS numbers,
           a.atttypid IN (SELECT oid FROM ruled) AS ruled,
           NULL::name AS method, NULL::json AS keys
      FROM relation AS r
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN LATERAL (SELECT t.typdefaultbin AS bin WHERE a.attidentity = '' AND a.attgenerated = '') AS domain ON true
     WHERE r.relname IN (SELECT k.relname FROM known AS k)
       AND (r.relname, a.attname) NOT IN (SELECT k.relname, k.name FROM known AS k)
     UNION ALL
    SELECT i.indrelid, 'index', c.relname::text, concat_ws(' ', i.indexprs), concat_ws(' ', i.indpred),
           concat_ws(' ', pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)), false, false, false, NULL, false, m.amname,
           (SELECT json_agg(json_build_object(
                       'column', h.attname, 'type', CASE WHEN t.typname = 'citext' AND t.typtype = 'b' THEN 'citext' ELSE t.oid::pg_catalog.regtype::text END,
                       'wide', t.typlen < 0 AND t.typtype <> 'e',
                       'class', o.opcname,
                       -- Who may make such a class is a superuser; what an installed extension has in C is its library's.
                       'code', EXISTS (SELECT FROM pg_catalog.pg_amproc AS s
                                         JOIN pg_catalog.pg_proc AS p ON p.oid = s.amproc
                                         JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
                                        WHERE o.oid >= 16384 AND s.amprocfamily = o.opcfamily AND p.oid >= 16384
                                          AND NOT (l.lanname = 'c' AND EXISTS (
                                                  SELECT FROM member AS m WHERE m.installed AND m.objid = p.oid
                                                     AND m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass))
                                          -- Another name for something of the server's own that only compares.
                                          AND NOT (l.lanname = 'internal' AND EXISTS (
                                                  SELECT FROM pg_catalog.pg_proc AS b
                                                   WHERE b.oid < 16384 AND b.prolang = p.prolang AND b.prosrc = p.prosrc
                                                     AND b.provolatile = 'i'))))
                       ORDER BY x.attnum)
              FROM pg_catalog.pg_attribute AS x
              LEFT JOIN pg_catalog.pg_attribute AS h ON h.attrelid = i.indrelid AND h.attnum = i.indkey[x.attnum - 1] AND h.attnum > 0
              -- What an index keeps of a column may have a type of the operator class's own.
              JOIN pg_catalog.pg_type AS t ON t.oid = coalesce(h.atttypid, x.atttypid)
              LEFT JOIN pg_catalog.pg_opclass AS o ON x.attnum <= i.indnkeyatts AND o.oid = i.indclass[x.attnum - 1]
             WHERE x.attrelid = i.indexrelid)
      FROM relation AS r
      JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid AND NOT i.indisprimary
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
     WHERE r.relname IN (SELECT k.relname FROM known AS k)
       AND (r.relname, c.relname) NOT IN (SELECT k.relname, k.name FROM known AS k)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                        WHERE k.conrelid = r.oid AND k.conindid = i.indexrelid AND k.contype IN ('u', 'x'))
     UNION ALL
    -- Worked out when the table is analysed, by its owner.
    SELECT x.stxrelid, 'statistics', x.stxname::text, x.stxexprs::text, '', pg_get_expr(x.stxexprs, x.stxrelid), false, false, false, NULL,
           false, NULL, NULL
      FROM relation AS r
      JOIN pg_catalog.pg_statistic_ext AS x ON x.stxrelid = r.oid AND x.stxexprs IS NOT NULL
     WHERE r.relname IN (SELECT k.relname FROM known AS k)
)
SELECT s.relid,
       json_agg(json_build_object(
           'kind', s.kind, 'name', s.name, 'said', s.said, 'filled', s.filled, 'generated', s.generated, 'plain', s.plain, 'numbers', s.numbers,
           'ruled', s.ruled, 'method', s.method, 'keys', s.keys,
           -- The stored tree and not its text: a cast that was put in by itself is not written there.
           'tree', s.tree, 'condition', s.condition,
           'functions', (SELECT json_object_agg(DISTINCT n.found[1], n.found[1]::oid::pg_catalog.regprocedure)
                           FROM regexp_matches(s.tree || s.condition, ':funcid ([0-9]+)', 'g') AS n (found)),
           'operators', (SELECT json_object_agg(DISTINCT n.found[1], n.found[1]::oid::pg_catalog.regoperator)
                           FROM regexp_matches(s.tree || s.condition, ':opno ([0-9]+)', 'g') AS n (found)),
           'settled', (SELECT json_agg(DISTINCT n.found[1])
                         FROM regexp_matches(s.tree || s.condition, ':funcid ([0-9]+)', 'g') AS n (found)
                         JOIN pg_catalog.pg_proc AS p ON p.oid = n.found[1]::oid AND p.oid < 16384 AND p.provolatile = 'i'),
           -- timezone(text, …), date_trunc(text, …, text)
           'zones', CASE WHEN s.tree || s.condition ~ ':funcid (1159|2069|1284) ' THEN (SELECT z.names FROM zone AS z) END,
           'columns', (SELECT json_object_agg(a.attnum, a.attname) FROM pg_catalog.pg_attribute AS a
                        WHERE a.attrelid = s.relid AND s.tree || s.condition ~ (':varattno ' || a.attnum || ' ')),
           'types', (SELECT json_object_agg(t.oid, json_build_array(
                                t.oid::pg_catalog.regtype, t.typtype, t.typlen, t.oid IN (SELECT oid FROM ruled)))
                       FROM pg_catalog.pg_type AS t
                      WHERE t.oid IN (SELECT n.found[1]::oid
                                        FROM regexp_matches(s.tree || s.condition, 'type(?:id)? ([0-9]+)', 'g') AS n (found)))
       ) ORDER BY s.kind, s.name COLLATE "C") AS rows
  FROM strange AS s
 GROUP BY s.relid
