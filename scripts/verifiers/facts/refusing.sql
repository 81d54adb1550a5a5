-- Publications under which the server refuses an UPDATE or DELETE (42P10, 55000): they need, to tell a replica which row it was,
-- what the table's replica identity has not, or does not publish of it. A row for each table. Put into reading.sql.
SELECT r.oid AS relid, json_agg(p.pubname ORDER BY p.pubname COLLATE "C") AS names
  FROM relation AS r
  JOIN LATERAL (
       SELECT p.pubname, p.pubgencols, e.prattrs::smallint[] AS attrs, e.prqual
         FROM pg_catalog.pg_publication AS p
         LEFT JOIN pg_catalog.pg_publication_rel AS e ON e.prpubid = p.oid AND e.prrelid = r.oid
        WHERE (p.pubupdate OR p.pubdelete)
          AND (p.puballtables OR e.oid IS NOT NULL
               OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS n
                           WHERE n.pnpubid = p.oid AND n.pnnspid = 'public'::pg_catalog.regnamespace))) AS p ON true
  LEFT JOIN LATERAL (
       SELECT (i.indkey::smallint[])[0:i.indnkeyatts - 1] AS key
         FROM pg_catalog.pg_index AS i
        WHERE i.indrelid = r.oid AND i.indisvalid AND i.indimmediate
          AND CASE r.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) AS i ON true
 -- What is not kept is published by nobody.
 WHERE r.relkind IN ('r', 'p') AND r.relpersistence = 'p'
   AND CASE WHEN r.relreplident <> 'f' THEN
            i.key IS NULL
            OR NOT i.key <@ p.attrs
            OR EXISTS (SELECT FROM regexp_matches(p.prqual::text, ':varattno (-?[0-9]+)', 'g') AS v (found)
                        WHERE v.found[1]::smallint <> ALL (i.key))
            OR p.attrs IS NULL AND p.pubgencols <> 's'
               AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                            WHERE a.attrelid = r.oid AND a.attnum = ANY (i.key) AND a.attgenerated <> '')
       ELSE p.attrs IS NOT NULL
            OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                        WHERE a.attrelid = r.oid AND NOT a.attisdropped
                          AND (a.attgenerated = 'v' OR a.attgenerated = 's' AND p.pubgencols <> 's')) END
 GROUP BY r.oid
