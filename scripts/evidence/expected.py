"""What a run promises to leave behind: one `Expected` a gate, written down before anything runs.

Owns: the inventory's shape, the place of each file, and the default texts of a failure.
Never: knows what became of a gate; that is its Result.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,99}")


@dataclass(frozen=True, slots=True)
class Expected:
    """One gate and the file its evidence goes to.

    Args:
        gate: kebab-case name, unique in a run, e.g. `business-foundation-hooks`.
        check_id: interface name, e.g. `DB-BUSINESS-FOUNDATION-HOOKS`.
        folder: `phase0` or `phase1`.
        stem: file name without `.json`, e.g. `business_foundation_hooks`.
        verb: first word of the gate's line: lint, migrate, verify, …
        title: the promise in a few words; shown beside the gate.
        failure_signature: dotted name of the failure; made from the check id when empty.
        origin_task_id: the task that owes the guarantee.
        repro_command: one line that can be pasted, with no secret in it; made from the gate when empty.
        invariants, criteria, answers: what the gate stands for (INV-…, AC…, D-…): the trace.
    """

    gate: str
    check_id: str
    folder: str
    stem: str
    verb: str = "verify"
    title: str = ""
    failure_signature: str = ""
    origin_task_id: str = ""
    repro_command: str = ""
    invariants: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Path of the evidence below the run's folder, with forward slashes."""
        return f"{self.folder}/{self.stem}.json"

    @property
    def signature(self) -> str:
        """The failure's name, never empty."""
        phase = self.folder.removeprefix("phase")
        return self.failure_signature or f"P{phase}.{self.check_id.replace('-', '_')}.FAILED"

    @property
    def repeat(self) -> str:
        """The command that repeats this gate alone, never empty."""
        return self.repro_command or f"invoke verify --only {self.gate}"


def require_inventory(expected: Sequence[Expected]) -> None:
    """Refuse an inventory that cannot be kept: a wrong call by our own code.

    Raises:
        RuntimeError: nothing is expected, a name cannot be a file, or two gates share a name or a file.
    """
    if not expected:
        msg = "a run that expects no evidence proves nothing"
        raise RuntimeError(msg)
    for one in expected:
        if not one.gate or not one.check_id or not _NAME.fullmatch(one.folder) or not _NAME.fullmatch(one.stem):
            msg = f"not a place for evidence: {one!r}"
            raise RuntimeError(msg)
    for what, names in (("gate", [one.gate for one in expected]), ("file", [one.file for one in expected])):
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            msg = f"two gates share one {what}: {', '.join(twice)}"
            raise RuntimeError(msg)
