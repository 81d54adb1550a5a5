-- The functions of the twin, as this transaction sees them: all of the names in $1, or only those of the OIDs in $2.
-- What is stored for the database, a retry ceiling, is no matter of the probes' (probes/ceiling.py).
SELECT 'function', pg_get_function_identity_arguments(p.oid), p.proname::text,
       replace(pg_get_functiondef(p.oid), v.old, v.new),
       CASE WHEN p.prosqlbody IS NULL THEN replace(p.prosrc, v.old, v.new) END
  FROM pg_proc AS p
 CROSS JOIN (VALUES ('FROM pg_catalog.pg_db_role_setting AS s',
                     'FROM (SELECT * FROM pg_catalog.pg_db_role_setting WHERE false) AS s')) AS v (old, new)
 WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proname = ANY ($1)
   AND (cardinality($2) = 0 OR p.oid::text = ANY ($2::text[]))
 ORDER BY p.oid
