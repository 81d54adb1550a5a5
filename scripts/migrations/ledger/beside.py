"""What stands beside the ledger and could change what is written to it, or lose it: found whenever it is read.

Owns: the question for it; and what the catalog notes of a table that has anything of the kind, so that a ledger with
    nothing beside it, which almost every one is, costs a look at three rows.
Promises: a BEFORE trigger, a rule, forced row security, a child, a column more or less, and a table that a crash would
    empty are told before anything is applied, and at the end of a run that made them. What only reads the ledger, who
    may, and what is done after a row is written (the chain shows what was) is not asked.
Why: a file that walks over every table of a schema (an audit trigger, a housekeeping loop) walks over the ledger, too,
    and no text of it says so.
"""

from __future__ import annotations

_COLUMNS = {"schema_migrations": 3, "schema_migrations_history": 13, "schema_migrations_journal": 6}
_WANTED = ", ".join(f"('{name}'::name, {count})" for name, count in _COLUMNS.items())
_COUNT = " ".join(f"WHEN '{name}' THEN {count}" for name, count in _COLUMNS.items())
# Whether there may be anything: the server sets each of these when it is made, and takes them back late if at all.
SUSPECT = f"""EXISTS (
SELECT FROM pg_catalog.pg_class AS c
 WHERE c.relname = ANY ('{{{", ".join(_COLUMNS)}}}'::name[]) AND c.relnamespace = pg_catalog.to_regnamespace('public')
   AND (c.relhastriggers OR c.relhasrules OR c.relhassubclass OR c.relforcerowsecurity OR c.relpersistence <> 'p'
        OR c.relnatts <> CASE c.relname {_COUNT} END
        OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a  -- a dropped one is counted above
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attisdropped)))"""  # noqa: S608 - our own names
# One text, or NULL. It takes a millisecond to plan, and is put where there may be something.
BESIDE = f"""(
SELECT pg_catalog.string_agg(f.what, ', ' ORDER BY f.what)
  FROM (VALUES {_WANTED}) AS w (name, columns)
  JOIN pg_catalog.pg_class AS c ON c.relname = w.name AND c.relnamespace = pg_catalog.to_regnamespace('public')
 CROSS JOIN LATERAL (
    SELECT pg_catalog.format('trigger %I on %I', g.tgname, c.relname) AS what
      FROM pg_catalog.pg_trigger AS g
     WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 2 <> 0
     UNION ALL
    SELECT pg_catalog.format('rule %I on %I', r.rulename, c.relname)
      FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid AND c.relkind = 'r'
     UNION ALL
    SELECT pg_catalog.format('child %I.%I of %I', n.nspname, k.relname, c.relname)
      FROM pg_catalog.pg_inherits AS h JOIN pg_catalog.pg_class AS k ON k.oid = h.inhrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = k.relnamespace WHERE h.inhparent = c.oid
     UNION ALL
    SELECT pg_catalog.format('row security forced on %I', c.relname)
     WHERE c.relforcerowsecurity AND pg_catalog.row_security_active(c.oid)
     UNION ALL
    SELECT pg_catalog.format('%I is unlogged: a crash empties it', c.relname) WHERE c.relpersistence = 'u'
     UNION ALL
    SELECT pg_catalog.format('%I has %s columns instead of %s', c.relname, a.count, w.columns)
      FROM (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS a
     WHERE c.relkind = 'r' AND a.count <> w.columns) AS f)"""  # noqa: S608 - our own names
