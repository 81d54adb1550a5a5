-- Which row versions the definitions of reading.sql are made from: another once any of them was written.
-- $1: tables, $2: functions, $3: enum types.
WITH tables AS (
    SELECT c.oid, c.ctid, c.xmin FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
), versions AS (
    SELECT 1 AS kind, p.oid, 0 AS number, p.ctid, p.xmin FROM pg_proc AS p
     WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($2)
    UNION ALL SELECT 2, t.oid, 0, t.ctid, t.xmin FROM tables AS t
    UNION ALL SELECT 3, a.attrelid, a.attnum, a.ctid, a.xmin
      FROM pg_attribute AS a WHERE a.attrelid IN (SELECT t.oid FROM tables AS t) AND a.attnum > 0
    UNION ALL SELECT 4, d.oid, 0, d.ctid, d.xmin
      FROM pg_attrdef AS d WHERE d.adrelid IN (SELECT t.oid FROM tables AS t)
    UNION ALL SELECT 5, k.oid, 0, k.ctid, k.xmin
      FROM pg_constraint AS k WHERE k.conrelid IN (SELECT t.oid FROM tables AS t)
    UNION ALL SELECT 6, i.indexrelid, 0, i.ctid, i.xmin
      FROM pg_index AS i WHERE i.indrelid IN (SELECT t.oid FROM tables AS t)
    UNION ALL SELECT 7, g.oid, 0, g.ctid, g.xmin
      FROM pg_trigger AS g WHERE g.tgrelid IN (SELECT t.oid FROM tables AS t)
    UNION ALL SELECT 8, y.oid, 0, y.ctid, y.xmin FROM pg_type AS y
     WHERE y.typnamespace = 'public'::regnamespace AND y.typname = ANY ($3)
)
SELECT string_agg(concat_ws('.', kind, oid, number) || '=' || concat_ws('.', ctid, xmin),
                             ' ' ORDER BY kind, oid, number)
  FROM versions
