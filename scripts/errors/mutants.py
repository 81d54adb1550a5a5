"""Troubles of the mutant suite: a score that would mean nothing is not given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode, ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 20


class UnownedError(ProjectError):
    """An object that no invariant owns: a mutant of it could be killed by nobody."""

    kind = "unowned"
    exit_code = ExitCode.FAILED

    @classmethod
    def of(cls, objects: Sequence[str]) -> UnownedError:
        """Name the objects."""
        return cls(
            "an object of the schema has no owner",
            facts=[
                ("expected", "an invariant for each, in scripts/verifiers/mutants/owners.py"),
                ("found", _some(objects)),
            ],
            help="name the invariant that must turn red when it is broken",
        )


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return "\n".join([*names[:_SHOWN], *more])


class NotGreenError(ProjectError):
    """A red invariant would kill every mutant."""

    kind = "not green"

    @classmethod
    def of(cls, red: Mapping[str, str]) -> NotGreenError:
        """Name each invariant with what was red in it, or why it gave no answer."""
        return cls(
            "an invariant is not green while nothing is changed",
            facts=[("expected", "green"), ("found", _some([f"{name}: {why}" for name, why in sorted(red.items())]))],
            help="`invoke verify` says more; mutants mean nothing before it passes",
        )


class LaneLostError(ProjectError):
    """A process of the suite ended early."""

    kind = "lane"

    @classmethod
    def of(cls) -> LaneLostError:
        """It gives no reason: its own words are on stderr."""
        return cls(
            "a process of the suite ended before it had answered",
            facts=[("expected", "a verdict for each mutant"), ("found", "the end of its pipe")],
            help="read what it wrote above; if nothing stands there, look for a lack of memory, and repeat",
        )


class NoSuperuserError(ProjectError):
    """Roles, owners and the server's own triggers are broken by a superuser alone."""

    kind = "superuser"
    exit_code = ExitCode.USAGE

    @classmethod
    def of(cls) -> NoSuperuserError:
        """The server gives us none."""
        return cls(
            "mutants need a superuser",
            facts=[("expected", "a fresh server of the runner's own"), ("found", "a login that is none")],
            help="set SERVER=embedded or SERVER=docker",
        )


class SelectionError(ProjectError):
    """The call asks for no mutant, or in another form than is known."""

    kind = "usage"
    exit_code = ExitCode.USAGE

    @classmethod
    def bad_shard(cls, text: str) -> SelectionError:
        """`--shard` in another form."""
        return cls(
            "not a shard",
            facts=[("expected", "K/N with 1 ≤ K ≤ N, such as 2/4"), ("found", repr(text))],
            help="give each of N jobs one number from 1 to N",
        )

    @classmethod
    def existing_database(cls) -> SelectionError:
        """FRESH_DB=0: a database that somebody uses is not broken, not even for a moment."""
        return cls(
            "mutants are never put into a database that exists",
            facts=[("expected", "FRESH_DB=1"), ("found", "FRESH_DB=0")],
            help="unset FRESH_DB: mutants lock whole tables and break roles, and it is the verifiers that are judged, "
            "not a database",
        )

    @classmethod
    def nothing(cls) -> SelectionError:
        """No mutant is left after --only and --shard."""
        return cls(
            "no mutant is selected",
            facts=[("expected", "at least one"), ("found", "none")],
            help="leave --only out, or name an invariant that owns an object; ask for fewer shards",
        )


class WaiverError(ProjectError):
    """The list of waivers cannot be used, or does not belong to these mutants any more."""

    kind = "waivers"

    @classmethod
    def unreadable(cls, name: str, found: str) -> WaiverError:
        """No JSON, or not the list's shape."""
        return cls(
            "cannot be read",
            where=name,
            facts=[("expected", 'JSON: {"waivers": [{name, reason}]}'), ("found", found)],
            help="correct it: a waiver that cannot be read would hide a survivor, or show one twice",
        )

    @classmethod
    def malformed(cls, name: str, number: int, found: str) -> WaiverError:
        """One entry that is not what it should be."""
        return cls(
            f"waiver {number} is not complete",
            where=name,
            facts=[("expected", "name and reason, each with text, each name once"), ("found", found)],
            help="`invoke mutants` prints the name; the reason says why nobody can see the change",
        )

    @classmethod
    def unused(cls, name: str, names: Sequence[str], why: str) -> WaiverError:
        """A waiver that nothing needs."""
        return cls(
            f"a waiver {why}",
            where=name,
            facts=[("expected", "a mutant of that name that survives"), ("found", _some(names))],
            help="remove it from the list",
        )


class BlockError(ProjectError):
    """A file of mutants that cannot be used, or a block of one; nothing of it was run."""

    kind = "mutants"
    exit_code = ExitCode.USAGE
    _FORM = "SQL statements behind lines `-- mutant: NAME`"

    @classmethod
    def unreadable(cls, where: str, found: str) -> BlockError:
        """Not there, not a file, or not UTF-8."""
        return cls(
            "cannot be read",
            where=where,
            facts=[("expected", f"a UTF-8 file: {cls._FORM}"), ("found", found)],
            help="give the path of such a file to --from",
        )

    @classmethod
    def no_mutant(cls, where: str) -> BlockError:
        """No header at all."""
        return cls(
            "no mutant",
            where=where,
            facts=[("expected", cls._FORM), ("found", "no such line")],
            help="write `-- mutant: NAME` at the beginning of the line before each change",
        )

    @classmethod
    def before_first(cls, where: str) -> BlockError:
        """SQL before the first header."""
        return cls(
            "SQL before the first mutant",
            where=where,
            facts=[("expected", "comments alone before the first `-- mutant: NAME`"), ("found", "a statement")],
            help="give it a name, or move it into the mutant that needs it",
        )

    @classmethod
    def empty(cls, name: str, where: str) -> BlockError:
        """A header with nothing behind it."""
        return cls(
            "a mutant without a statement",
            where=where,
            facts=[("expected", "at least one statement"), ("found", f"{name}: none")],
            help="write what it changes, or remove the line",
        )

    @classmethod
    def refused(cls, what: str, *, where: str) -> BlockError:
        """PostgreSQL's grammar refuses it."""
        return cls(
            what,
            where=where,
            facts=[("expected", "SQL that PostgreSQL's grammar takes"), ("found", "what it does not")],
            help="correct the statement; psql's own commands and COPY data are none",
        )

    @classmethod
    def transaction(cls, word: str, where: str) -> BlockError:
        """It would end the transaction that undoes the mutant."""
        return cls(
            f"{word} in a mutant",
            where=where,
            facts=[("expected", "no transaction control: each mutant is rolled back"), ("found", word)],
            help="remove the statement",
        )

    @classmethod
    def outside(cls, what: str, where: str) -> BlockError:
        """It reads or writes something that is not the database."""
        return cls(
            f"{what} in a mutant",
            where=where,
            facts=[("expected", "statements that stay in the database"), ("found", what)],
            help="write INSERT … VALUES",
        )

    @classmethod
    def session(cls, word: str, where: str) -> BlockError:
        """It would change how the verifiers ask, not what they ask about."""
        return cls(
            f"{word} in a mutant",
            where=where,
            facts=[
                ("expected", "a change of the schema, of rows or of roles"),
                ("found", f"{word}, a change of the session"),
            ],
            help="use ALTER ROLE … SET, ALTER DATABASE … SET or ALTER FUNCTION … SET for what sessions start with",
        )

    @classmethod
    def not_undone(cls, reason: str, where: str) -> BlockError:
        """The server takes it outside a transaction only."""
        return cls(
            f"{reason} cannot be undone",
            where=where,
            facts=[("expected", "statements that run inside a transaction"), ("found", reason)],
            help="write it without CONCURRENTLY; databases, tablespaces and the server's settings stay as they are",
        )
