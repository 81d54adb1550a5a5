"""The shape of an error: what, where, expected and found, help — and the exit code it ends the run with.

Owns: `ExitCode`, `ProjectError`.
Promises: `str(error)` is the whole text, ready to print; no secret, no row data unless its maker put it there.
Never: prints, exits, or imports anything of ours.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """How a command ends. Nox turns any failed session into 1."""

    PASSED = 0
    FAILED = 1  # a verifier, lint or gate failed or errored, or its evidence could not be kept
    USAGE = 2  # the call or the settings are wrong
    NO_SERVER = 3
    HISTORY = 4  # files and ledger disagree, or a file may not run as it is
    MIGRATION = 5
    BUG = 70  # ours: sysexits.h EX_SOFTWARE
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class ProjectError(Exception):
    """Bad data or a bad world, told in four parts.

    Subclasses fix `kind` (a word or two, shown in brackets) and `exit_code`; named constructors build the parts.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, what: str, *, where: str = "", facts: Sequence[tuple[str, str]] = (), help: str) -> None:  # noqa: A002 - the part's name
        """Keep the four parts.

        Args:
            what: one sentence without a full stop.
            where: file, file:line:column, host or setting; empty when `what` names it.
            facts: labelled lines, usually ("expected", …) and ("found", …).
            help: the next step, in the imperative.
        """
        super().__init__(what)
        self.what = what
        self.where = where
        self.facts = tuple(facts)
        self.help = help

    def __str__(self) -> str:
        head = f"error[{self.kind}]: " + (f"{self.where}: {self.what}" if self.where else self.what)
        width = max((len(label) for label, _ in self.facts), default=0)
        lines = [head]
        for label, value in self.facts:
            first, *rest = value.split("\n")
            lines.append(f"  {label:<{width}}  {first}".rstrip())
            lines.extend(f"  {'':<{width}}  {line}".rstrip() for line in rest)
        lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    @property
    def sentence(self) -> str:
        """All of it but the place in one line, for a gate's result."""
        facts = "; ".join(f"{label} {value}" for label, value in self.facts)
        return self.what + (f" ({facts})" if facts else "") + f": {self.help}"


class Interrupted(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP, raised in the main thread so that every `with` block still closes what it opened.

    A KeyboardInterrupt, so that psycopg cancels the running statement on the server before it lets go.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """The shell's convention: 128 + signal number."""
        return 128 + self.signum
