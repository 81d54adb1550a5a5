"""Who owns the schema, and which roles the verifying one must first be let act as.

Owns: the question for it, asked once a database.
Never: changes anything (stage.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.probes.stricter import NAMES

if TYPE_CHECKING:
    import psycopg

# Whoever made the ledger, or where it is gone the first tables, is the owner.
# The owner made the tables and functions, so it is the owner that plants rows and makes twins, also when a superuser
# verifies: what a superuser may do proves nothing.
_SURROUNDINGS: LiteralString = """
    SELECT coalesce((SELECT pg_catalog.pg_get_userbyid(c.relowner)::text
                       FROM pg_catalog.unnest(ARRAY['schema_migrations', 'payment_outbox_pending', 'policy_versions'])
                            WITH ORDINALITY AS made (name, n)
                       JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass('public.' || made.name)
                      WHERE pg_catalog.pg_has_role(current_user, c.relowner, 'SET') ORDER BY made.n LIMIT 1),
                    current_user::text),
           EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attname = 'client_key'
                      AND a.attrelid = pg_catalog.to_regclass('public.billable_clients')),
           ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
                  WHERE r.rolname = ANY (%s) AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'SET')
                  ORDER BY r.rolname),
           ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
                  WHERE r.rolname = ANY (%s) AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'SET')
                    AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION')
                  ORDER BY r.rolname),
           ARRAY(SELECT c.relname || '.' || a.attname FROM pg_catalog.pg_attribute AS a
                   JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
                  WHERE c.relnamespace = pg_catalog.to_regnamespace('public') AND c.relkind = 'r' AND a.attnotnull
                    AND c.relname || '.' || a.attname = ANY (%s) ORDER BY 1),
           pg_catalog.to_regprocedure('public.outbox_retry_ceiling()') IS NOT NULL
           AND EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS s
                         JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                        CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS e (entry)
                        WHERE d.datname = pg_catalog.current_database() AND e.entry LIKE %s)
"""

_CEILING = "symphony.outbox_retry_ceiling"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a stage must know of the database.

    `home`: the schema's owner, or the verifying role where it may not act as that. `keyed`: payers have keys already.
    `beyond`: the roles of the schema that the verifying role may not act as; `out_of_reach`: those of them that it
    may not let itself act as either.
    `stricter`: columns, as in `stricter.NAMES`, that are NOT NULL and need not be.
    `ceiling`: a retry ceiling is stored for the database. `bodies`: see `Stage`.
    """

    home: str
    keyed: bool
    beyond: tuple[str, ...]
    out_of_reach: tuple[str, ...] = ()
    stricter: tuple[str, ...] = ()
    ceiling: bool = False
    bodies: dict[str, str] = field(default_factory=dict)


def read_surroundings(conn: psycopg.Connection[Any]) -> Surroundings:
    """Ask for them."""
    from psycopg.rows import tuple_row

    with conn.cursor(row_factory=tuple_row) as cursor:
        asked = cursor.execute(_SURROUNDINGS, [list(ROLES), list(ROLES), list(NAMES), f"{_CEILING}=%"], prepare=False)
        ((home, keyed, beyond, out_of_reach, stricter, ceiling),) = asked.fetchall()
    return Surroundings(home, keyed, tuple(beyond), tuple(out_of_reach), tuple(stricter), ceiling)
