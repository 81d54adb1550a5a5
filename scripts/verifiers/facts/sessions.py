"""What a session of a runtime role starts with or may bring along: stored settings, triggers, parameters, schemas.

Owns: the shapes of these, and the words for whoever could change them.
Promises: what a role has through PUBLIC or through another role counts as its own; a login that may act as a runtime
role is asked like the role; whoever owns the database or its tables is not.
Never: reads the catalog (reading.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

NOBODY = "nobody"
_PUBLIC = "PUBLIC"
# Parameters of the schema's own: a worker's session may set them, and the functions ask who it was.
_OWN = "SET symphony."


@dataclass(frozen=True, slots=True)
class Power:
    """What somebody may do that no table's grants show; `who` is a role's name or PUBLIC."""

    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that sessions start with, for one role or, with an empty `role`, for every role.

    `acts_as`: the roles of the schema that the one role is or may act as. `of_server`: nobody stored it in a database;
    every session of the server begins with it.
    """

    role: str
    name: str
    value: str
    acts_as: tuple[str, ...] = ()
    of_server: bool = False

    @property
    def text(self) -> str:
        """One setting, as it would be looked for."""
        whose = "the server" if self.of_server else self.role or "every role"
        return f"{whose}: {self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """A trigger on an event of the whole database that is not disabled."""

    name: str
    event: str
    function: str

    @property
    def text(self) -> str:
        """One line."""
        return f"event trigger {self.name} on {self.event}: {self.function}"


def settings_of(rows: Iterable[Any] | None) -> tuple[Setting, ...]:
    """Settings from the catalog's rows: role, `name=value`, and the roles of the schema that the role may act as."""
    found = [(role, *entry.partition("=")[::2], acts_as) for role, entry, acts_as in rows or ()]
    return tuple(Setting(role, name, value, tuple(acts_as or ())) for role, name, value, acts_as in found)


def fired(triggers: Iterable[EventTrigger]) -> str:
    """The event triggers, one line; `none` without any."""
    return ", ".join(sorted(one.text for one in triggers)) or "none"


def powers_of(rows: Iterable[tuple[str, str]] | None) -> tuple[Power, ...]:
    """Powers from pairs of role and power. What everybody has is told of PUBLIC alone."""
    found = {Power(who, what) for who, what in rows or ()}
    everybody = {power.what for power in found if power.who == _PUBLIC}
    return tuple(
        sorted(
            (power for power in found if power.who == _PUBLIC or power.what not in everybody),
            key=lambda power: (power.who, power.what),
        )
    )


def told(powers: Iterable[Power]) -> str:
    """Who has what of these powers, one line; `nobody` without any."""
    return ", ".join(f"{power.who}: {power.what}" for power in powers) or NOBODY


def is_own(power: Power) -> bool:
    """Whether it is SET on a parameter of the schema's own: what another session sets it to binds nobody."""
    return power.what.startswith(_OWN)
