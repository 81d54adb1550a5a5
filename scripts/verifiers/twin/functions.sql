-- The functions of the twin, as this transaction sees them: all of the names in $1, or only those of the OIDs in $2.
SELECT 'function', pg_get_function_identity_arguments(p.oid), p.proname::text, pg_get_functiondef(p.oid),
       CASE WHEN p.prosqlbody IS NULL THEN p.prosrc END
  FROM pg_proc AS p
 WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proname = ANY ($1)
   AND (cardinality($2) = 0 OR p.oid::text = ANY ($2::text[]))
 ORDER BY p.oid
