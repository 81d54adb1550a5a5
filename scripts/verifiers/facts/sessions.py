"""What a session of a runtime role may start with or bring along: settings stored for it, parameters, schemas.

Owns: the settings that decide whose rules hold, and the words for whoever could change them.
Promises: what a role has through PUBLIC or through another role counts as its own; a login that may act as a runtime
role is asked like the role; whoever owns the database or its tables is not.
Never: reads the catalog (reading.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOBODY = "nobody"
_PUBLIC = "PUBLIC"
# In a session that starts with any of these, triggers and foreign keys sleep, a name means another table, rows are
# hidden, or somebody else acts.
DECISIVE = frozenset({"role", "row_security", "search_path", "session_authorization", "session_replication_role"})
# Parameters of the schema's own: a worker's session may set them, and the functions ask who it was.
_OWN = "SET symphony."


@dataclass(frozen=True, slots=True)
class Power:
    """What somebody may do that no table's grants show; `who` is a role's name or PUBLIC."""

    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that sessions start with, for one role or, with an empty `role`, for every role."""

    role: str
    name: str
    value: str

    @property
    def text(self) -> str:
        """One setting, as it would be looked for."""
        return f"{self.role or 'every role'}: {self.name}={self.value}"


def settings_of(rows: Iterable[tuple[str, str]] | None) -> tuple[Setting, ...]:
    """Settings from the catalog's pairs of role and `name=value`."""
    pairs = [(role, *entry.partition("=")[::2]) for role, entry in rows or ()]
    return tuple(Setting(role, name, value) for role, name, value in pairs)


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


def decisive(settings: Iterable[Setting]) -> str:
    """The stored settings that decide whose rules hold, one line; `none` without any."""
    return ", ".join(sorted(one.text for one in settings if one.name in DECISIVE)) or "none"
