"""What a trace hands on: one record for a statement, one for a file.

Owns: the words of a trace (effects, sources, lock modes) and its JSON form. Times are whole microseconds: evidence
holds no floating-point numbers.
Never: holds a row, a literal or a parameter of a statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from scripts.digest import Json

# From weakest to strongest, as the server names them in pg_locks.
LOCK_MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_WORDS = dict(
    zip(
        LOCK_MODES,
        (
            "ACCESS SHARE",
            "ROW SHARE",
            "ROW EXCLUSIVE",
            "SHARE UPDATE EXCLUSIVE",
            "SHARE",
            "SHARE ROW EXCLUSIVE",
            "EXCLUSIVE",
            "ACCESS EXCLUSIVE",
        ),
        strict=True,
    )
)
_STRENGTH = {mode: strength for strength, mode in enumerate(LOCK_MODES)}

# What a statement did to relations that existed before its file began, the costliest alone: wrote a table anew;
# emptied it; built an index; read it from end to end; changed or read rows as rows; touched the catalog only; was not
# seen to do anything, while a block of it that was rolled back may have; or was never sent, because its work was found
# done.
Effect: TypeAlias = Literal["rewrite", "truncate", "index", "scan", "data", "catalog", "unseen", "none"]
# measured: the session's own locks, asked for in its own transaction. sampled: seen from a second session, now and
# then. documented: not seen at all; what PostgreSQL's manual and source say the statement takes.
Source: TypeAlias = Literal["measured", "sampled", "documented"]


def mode_words(mode: str) -> str:
    """A lock mode as the manual writes it, such as ACCESS EXCLUSIVE; an unknown one as it is."""
    return _WORDS.get(mode, mode)


def strength(mode: str) -> int:
    """The place of a mode in the order of strength, from 0; an unknown one counts as the strongest."""
    return _STRENGTH.get(mode, len(LOCK_MODES))


@dataclass(frozen=True, slots=True)
class LockTaken:
    """A lock that a statement took, and its transaction had not held before.

    relation: `schema.name`, as it was before the file. relkind: one letter, as in pg_class. mode: as in pg_locks.
    on: the table of an index; empty otherwise. source: whether it was seen.
    """

    relation: str
    relkind: str
    mode: str
    on: str = ""
    source: Source = "measured"

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence; an empty `on`, and `measured`, are left out."""
        document: dict[str, Json] = {
            "relation": self.relation,
            "relkind": self.relkind,
            "mode": mode_words(self.mode),
        }
        if self.on:
            document["on"] = self.on
        if self.source != "measured":
            document["source"] = self.source
        return document


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the server. message: empty when the text may hold a value that is not in the file."""

    severity: str
    sqlstate: str
    message: str = ""

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence."""
        return {"severity": self.severity, "sqlstate": self.sqlstate, "message": self.message}


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """A state in which a second session saw a statement outside a transaction.

    phase: of pg_stat_progress_create_index; empty when the server shows none. relation, mode: of a lock;
    granted: False while it waits for it. first_us, last_us: since the statement was sent; samples: how often.
    """

    phase: str
    relation: str
    mode: str
    granted: bool
    first_us: int
    last_us: int
    samples: int

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence."""
        return {
            "phase": self.phase,
            "relation": self.relation,
            "mode": mode_words(self.mode),
            "granted": self.granted,
            "first_us": self.first_us,
            "last_us": self.last_us,
            "samples": self.samples,
        }


@dataclass(frozen=True, slots=True)
class StatementTrace:
    """What one statement did.

    index: 0-based in the file; line: 1-based. kind: its first words, such as ALTER TABLE.
    duration_us: on the server's clock; None for a setting, whose time counts with the next statement's.
    locks: newly taken, on relations that existed before the file.
    rewritten, truncated, scanned, built: names of such relations (of indexes for `built`); `proved`: columns whose scan
    the server left out because a constraint proves the result. rows: changed; None when the statement changes none.
    catches: whether it is a program that catches errors; what is rolled back in it is known only as far as the server
    told of it.
    phases, samples: of a statement outside a transaction; samples is 0 when it was over before the first look.
    """

    index: int
    line: int
    kind: str
    duration_us: int | None
    locks: tuple[LockTaken, ...] = ()
    effect: Effect = "catalog"
    rewritten: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    scanned: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    proved: tuple[str, ...] = ()
    rows: int | None = None
    notices: tuple[Notice, ...] = ()
    source: Source = "measured"
    phases: tuple[PhaseSeen, ...] = ()
    samples: int | None = None
    catches: bool = False

    @property
    def strongest(self) -> str:
        """The strongest mode among its locks, as in pg_locks; empty when it took none."""
        return max([lock.mode for lock in self.locks], key=strength, default="")

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence; parts that are empty, and `measured`, are left out."""
        document: dict[str, Json] = {
            "index": self.index,
            "line": self.line,
            "kind": self.kind,
            "duration_us": self.duration_us,
            "effect": self.effect,
        }
        if self.source != "measured":
            document["source"] = self.source
        if self.locks:
            document["locks"] = [lock.as_json() for lock in self.locks]
            document["strongest"] = mode_words(self.strongest)
        for name in ("rewritten", "truncated", "scanned", "built", "proved"):
            names: tuple[str, ...] = getattr(self, name)
            if names:
                document[name] = list(names)
        if self.rows is not None:
            document["rows"] = self.rows
        if self.notices:
            document["notices"] = [notice.as_json() for notice in self.notices]
        if self.catches:
            document["catches"] = True
        if self.samples is not None:
            document["samples"] = self.samples
            document["phases"] = [phase.as_json() for phase in self.phases]
        return document


@dataclass(frozen=True, slots=True)
class HeldLock:
    """An ACCESS EXCLUSIVE lock that was held while later statements of its file ran.

    taken_by: index of the statement that took it. statements: how many ran after that one.
    exclusive_held_us: from the start of the statement that took it to the end of the file's last statement.
    """

    relation: str
    taken_by: int
    statements: int
    exclusive_held_us: int

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence."""
        return {
            "relation": self.relation,
            "taken_by": self.taken_by,
            "statements": self.statements,
            "exclusive_held_us": self.exclusive_held_us,
        }


@dataclass(frozen=True, slots=True)
class FileTrace:
    """What the statements of one file did.

    unplaced: notices that could not be given to one of them. complete: False when the file had to be sent without the
    questions, because they failed in its session; then there are no statements here.
    """

    statements: tuple[StatementTrace, ...]
    held: tuple[HeldLock, ...] = ()
    unplaced: tuple[Notice, ...] = ()
    complete: bool = True

    def as_json(self) -> dict[str, Json]:
        """For the ledger and for evidence."""
        document: dict[str, Json] = {
            "complete": self.complete,
            "statements": [statement.as_json() for statement in self.statements],
        }
        if self.held:
            document["held"] = [lock.as_json() for lock in self.held]
        if self.unplaced:
            document["unplaced"] = [notice.as_json() for notice in self.unplaced]
        return document
