"""What a role of the schema owns, or was given, apart from tables and functions; and what its logins do.

Owns: which of it a role may hold, and a login that may act as one.
Promises: every kind of object counts, in this database and shared by all: the server keeps one list of whose name
stands in an owner's or grantee's place. Of tables, views and functions reach.py and the matrices tell; of a login of
the regulator's, which may have no more than the seat, they count here.
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
_MADE_BY_ANYBODY = frozenset({"pg_largeobject"})
# A worker's login has the right to connect from the role, where everybody's was taken away; so it may be with the
# right to make temporary tables, which everybody has otherwise.
_OF_DATABASES = frozenset({"CONNECT", "TEMPORARY"})
_OF_THE_SEAT = frozenset({"CONNECT"})


@dataclass(frozen=True, slots=True)
class Holding:
    """One thing a role owns or was given.

    who: the role, or PUBLIC; of a login, its name and what it becomes for it. owned: it is the owner. catalog: the kind
    of object, as the catalog that lists it. what: the object. privileges: what was given, of a database alone.
    supplied: the object came with the server. acts_as: the roles of the schema that a login may act as; empty for a
    role itself.
    """

    who: str
    owned: bool
    catalog: str
    what: str
    privileges: tuple[str, ...] = ()
    supplied: bool = False
    acts_as: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line."""
        given = f" ({', '.join(self.privileges)})" if self.privileges else ""
        return f"{self.who} {'owns' if self.owned else 'was given'} {self.what}{given}"


def holdings_of(rows: Iterable[Any] | None) -> tuple[Holding, ...]:
    """Holdings from the catalog's rows."""
    # A set: a table of which several columns were granted is one.
    found = {
        Holding(who, owned, catalog, what, tuple(privileges or ()), supplied, tuple(sorted(acts_as or ())))
        for who, owned, catalog, what, privileges, supplied, acts_as in rows or ()
    }
    return tuple(sorted(found, key=lambda one: one.text))


def held_by_workers(holdings: Iterable[Holding]) -> str:
    """What the roles of the schema but the regulator's, and their logins, hold and must not, one line."""
    return _told(one for one in holdings if not _is_the_seats(one) and _is_power(one))


def held_by_the_seat(holdings: Iterable[Holding]) -> str:
    """What the regulator's seat and its logins hold, alone or with everybody, and must not, one line."""
    return _told(one for one in holdings if _is_the_seats(one) and not _is_harmless(one, _OF_THE_SEAT))


def _is_the_seats(one: Holding) -> bool:
    return one.who in (BOZ_ROLE, _PUBLIC) if not one.acts_as else BOZ_ROLE in one.acts_as


def _is_power(one: Holding) -> bool:
    if one.supplied:
        return True
    if one.owned:
        # A worker's login may have tables of its own, and large objects, which anybody can make; a role that all of the
        # workers share may not.
        return not one.acts_as or one.catalog in _POWERFUL - _MADE_BY_ANYBODY
    return one.catalog in _POWERFUL and not _is_harmless(one, _OF_DATABASES)


def _is_harmless(one: Holding, of_databases: frozenset[str]) -> bool:
    return not one.owned and one.catalog == "pg_database" and set(one.privileges) <= of_databases


def _told(holdings: Iterable[Holding]) -> str:
    return "; ".join(one.text for one in holdings) or NOTHING
