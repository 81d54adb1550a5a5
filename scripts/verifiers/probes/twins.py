"""Twins: an empty copy of a table, or of a function that works on it, for questions that the original cannot be asked.

Owns: making them inside the probe's transaction.
Promises: the original table is neither locked against anybody nor written to. What is rewritten in a twin function is
one name; everything else is the body that stands in the catalog, so that what the twin does is what the original does.
When the name is not found the twin is not made, and the question fails.
Never: outlives the savepoint it was made in.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage


def bare_twin(stage: Stage, table: str, *, empty: str) -> str:
    """A temporary copy of the table with its defaults and CHECKs and no trigger; returns its qualified name.

    Args:
        stage: inside a savepoint that is rolled back.
        table: in `public`.
        empty: a column that may be null in the copy, so that what the CHECKs say of it is seen.
    """
    from psycopg import sql

    twin = f"probe_{secrets.token_hex(6)}"
    stage.run(
        sql.SQL(
            "CREATE TEMPORARY TABLE {twin} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING IDENTITY "
            "INCLUDING CONSTRAINTS); "
            "ALTER TABLE {twin} ALTER COLUMN {empty} DROP NOT NULL"
        ).format(twin=sql.Identifier(twin), table=sql.Identifier(table), empty=sql.Identifier(empty))
    )
    return f"pg_temp.{twin}"


def twin_function(stage: Stage, signature: str, *, instead_of: str, use: str) -> bool:
    """Replace the function, until the rollback, by one that is the same but for one name.

    Args:
        stage: inside a savepoint that is rolled back.
        signature: such as `public.f(integer)`.
        instead_of: the qualified name in its body.
        use: what stands there instead.

    Returns:
        False when the name does not occur in the body; nothing was replaced then.
    """
    definition: str = stage.value("SELECT pg_catalog.pg_get_functiondef(%s::pg_catalog.regprocedure)", [signature])
    head, mark, body = definition.partition("\nAS ")
    if instead_of not in body:
        return False
    stage.run((head + mark + body.replace(instead_of, use)).encode())
    return True
