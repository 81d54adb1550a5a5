"""A long question about the catalog, planned once a session: planning it takes as long as answering it.

Owns: the name a plan goes by, and the settings under which it is asked.
Promises: what is asked is what was written: the text is in the plan's name, so that a plan which another version left
in the session is not taken for it. The server writes names in full, whatever the session's own path.
Never: knows what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scripts.digest import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

# JIT would take longer than the question.
_SETTINGS = (
    "SET LOCAL search_path TO pg_catalog; SET LOCAL quote_all_identifiers TO off; SET LOCAL jit TO off; "
    "SET LOCAL standard_conforming_strings TO on; "
    "SET LOCAL plan_cache_mode TO force_generic_plan; "
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = '{plan}')"
)


@dataclass(frozen=True)
class Planned:
    """A question; each of its parameters, $1 and so on, is a list of names."""

    query: str
    parameters: int

    def ask(self, cursor: psycopg.Cursor[tuple[Any, ...]], *names: Iterable[str]) -> list[tuple[Any, ...]]:
        """Every row of the answer.

        Args:
            cursor: inside a savepoint or transaction that is rolled back, and the settings with it.
            names: a list for each parameter.
        """
        from psycopg import sql

        lists = sql.SQL(", ").join(sql.Literal(list(one)) for one in names)
        cursor.execute(_SETTINGS.format(plan=self._plan).encode(), prepare=False)
        while cursor.nextset():
            pass
        if cursor.fetchall() != [(True,)]:
            types = ", ".join(["name[]"] * self.parameters)
            cursor.execute(f"PREPARE {self._plan} ({types}) AS {self.query}".encode(), prepare=False)
        execute = sql.SQL("EXECUTE {} ({})").format(sql.Identifier(self._plan), lists)
        cursor.execute(execute, prepare=False)
        return cursor.fetchall()

    @cached_property
    def _plan(self) -> str:
        return f"verifiers_{sha256_hex(self.query.encode())[:16]}"
