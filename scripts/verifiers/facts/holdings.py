"""What a role of the schema owns, or was given, apart from tables and functions.

Owns: which of it a role may hold.
Promises: every kind of object counts, in this database and shared by all: the server keeps one list of whose name
stands in an owner's or grantee's place. Of tables, views and functions reach.py and the matrices tell.
Never: reads the catalog (reading.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.roles import BOZ_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = "nothing"
_PUBLIC = "PUBLIC"
# With one of these a role brings code or data in or out, or makes or ends what others need.
_POWERFUL = frozenset(
    {"pg_foreign_data_wrapper", "pg_foreign_server", "pg_language", "pg_largeobject", "pg_tablespace", "pg_database"}
)
# A worker's login has the right to connect from the role, where everybody's was taken away; so it may be with the
# right to make temporary tables, which everybody has otherwise.
_OF_DATABASES = frozenset({"CONNECT", "TEMPORARY"})
_OF_THE_SEAT = frozenset({"CONNECT"})


@dataclass(frozen=True, slots=True)
class Holding:
    """One thing a role owns or was given.

    who: the role, or PUBLIC. owned: it is the owner. catalog: the kind of object, as the catalog that lists it.
    what: the object. privileges: what was given, of a database alone. supplied: the object came with the server.
    """

    who: str
    owned: bool
    catalog: str
    what: str
    privileges: tuple[str, ...] = ()
    supplied: bool = False

    @property
    def text(self) -> str:
        """One line."""
        given = f" ({', '.join(self.privileges)})" if self.privileges else ""
        return f"{self.who} {'owns' if self.owned else 'was given'} {self.what}{given}"


def holdings_of(rows: Iterable[Any] | None) -> tuple[Holding, ...]:
    """Holdings from the catalog's rows."""
    found = (
        Holding(who, owned, catalog, what, tuple(privileges or ()), supplied)
        for who, owned, catalog, what, privileges, supplied in rows or ()
    )
    return tuple(sorted(found, key=lambda one: one.text))


def held_by_workers(holdings: Iterable[Holding]) -> str:
    """What the roles of the schema but the regulator's hold and must not, one line."""
    return _told(one for one in holdings if one.who not in (BOZ_ROLE, _PUBLIC) and _is_power(one))


def held_by_the_seat(holdings: Iterable[Holding]) -> str:
    """What the regulator's seat holds, alone or with everybody, and must not, one line."""
    return _told(one for one in holdings if one.who in (BOZ_ROLE, _PUBLIC) and not _is_harmless(one, _OF_THE_SEAT))


def _is_power(one: Holding) -> bool:
    if one.owned or one.supplied:
        return True
    return one.catalog in _POWERFUL and not _is_harmless(one, _OF_DATABASES)


def _is_harmless(one: Holding, of_databases: frozenset[str]) -> bool:
    return not one.owned and one.catalog == "pg_database" and set(one.privileges) <= of_databases


def _told(holdings: Iterable[Holding]) -> str:
    return "; ".join(one.text for one in holdings) or NOTHING
