"""Troubles with the SQL of a file: what no migration may hold, found by the parser before anything runs. Exit 4.

Owns: one class for each thing a file may not say; the text of each.
Promises: every text names file:line:column and shows the line with a caret (`source`).
"""

from __future__ import annotations

from scripts.errors.history import HistoryError


class SqlSyntaxError(HistoryError):
    """PostgreSQL's own grammar refuses the text."""

    kind = "syntax"

    @classmethod
    def at(cls, message: str, *, where: str, source: str) -> SqlSyntaxError:
        """The parser stopped."""
        return cls(message, where=where, facts=[("source", source)], help="correct the statement")

    @classmethod
    def nul(cls, *, where: str) -> SqlSyntaxError:
        """A NUL would end the text early for the parser and for the server alike."""
        return cls("a NUL character", where=where, facts=[("expected", "text")], help="remove the NUL")

    @classmethod
    def too_deep(cls, *, where: str) -> SqlSyntaxError:
        """The grammar accepts it, but its tree cannot be read back."""
        return cls(
            "nested too deeply to be checked",
            where=where,
            facts=[("expected", "a tree that fits the parser's limit")],
            help="split the expression",
        )


class ClientCommandError(HistoryError):
    """The text was written for psql: the server knows no such thing."""

    kind = "psql"

    @classmethod
    def meta_command(cls, *, where: str, source: str) -> ClientCommandError:
        r"""A backslash command such as \i or \restrict."""
        return cls(
            "a psql command",
            where=where,
            facts=[("expected", "SQL alone"), ("source", source)],
            help="remove the line; a dump is cleaned with `grep -v '^\\\\'`",
        )

    @classmethod
    def variable(cls, *, where: str, source: str) -> ClientCommandError:
        """A psql variable such as :name or :'name'."""
        return cls(
            "a psql variable",
            where=where,
            facts=[("expected", "SQL alone"), ("source", source)],
            help="write the value itself: a migration means the same everywhere",
        )


class CopyStreamError(HistoryError):
    """COPY from or to the client: a migration has no client stream."""

    kind = "copy"

    @classmethod
    def of(cls, direction: str, *, where: str, source: str) -> CopyStreamError:
        """COPY … FROM STDIN or TO STDOUT."""
        return cls(
            f"COPY {direction}",
            where=where,
            facts=[("expected", "statements alone"), ("source", source)],
            help="write INSERT … VALUES; rows do not stream through a migration",
        )


class TransactionControlError(HistoryError):
    """A file that begins or ends a transaction takes away the one that holds its ledger row."""

    kind = "transaction control"

    @classmethod
    def of(cls, statement: str, *, where: str, source: str) -> TransactionControlError:
        """BEGIN, COMMIT, SAVEPOINT, … at the top of the file or in a DO block."""
        return cls(
            f"{statement} in a migration",
            where=where,
            facts=[("expected", "no transaction control: the runner owns the transaction"), ("source", source)],
            help="remove the statement; the file and its ledger row commit together",
        )


class MarkerError(HistoryError):
    """The `-- symphony:no_tx` marker and what the statements need do not agree."""

    kind = "no_tx"

    @classmethod
    def missing(cls, reason: str, *, where: str, source: str) -> MarkerError:
        """A statement that cannot run in a transaction, in a file without the marker."""
        return cls(
            f"{reason} cannot run inside a transaction, and the file has no marker",
            where=where,
            facts=[
                ("expected", "`-- symphony:no_tx` on a line of its own before the first statement"),
                ("source", source),
            ],
            help="add the marker, and keep only statements that need it in this file",
        )

    @classmethod
    def useless(cls, *, where: str) -> MarkerError:
        """The marker above statements that all run in a transaction."""
        return cls(
            "marked no_tx, but no statement needs it",
            where=where,
            facts=[("expected", "at least one statement that cannot run inside a transaction"), ("found", "none")],
            help="remove the marker: the file is then applied whole or not at all",
        )

    @classmethod
    def mixed(cls, statement: str, *, where: str, source: str) -> MarkerError:
        """An ordinary statement between those that need no transaction."""
        return cls(
            f"{statement} in a no_tx file",
            where=where,
            facts=[("expected", "only statements that cannot run inside a transaction"), ("source", source)],
            help="move it to a file of its own: here a failure would leave it applied and unrecorded",
        )

    @classmethod
    def unnamed_index(cls, *, where: str, source: str) -> MarkerError:
        """A concurrent build without a name cannot be recognised when the file is run again."""
        return cls(
            "a concurrent index build without a name",
            where=where,
            facts=[("expected", "CREATE INDEX CONCURRENTLY name ON …"), ("source", source)],
            help="name the index: after an interruption it is found by its name",
        )


class LedgerWriteError(HistoryError):
    """The file writes to the runner's own tables."""

    kind = "ledger write"

    @classmethod
    def of(cls, table: str, *, where: str, source: str) -> LedgerWriteError:
        """`table`: as the file names it."""
        return cls(
            f"{table} is the runner's own",
            where=where,
            facts=[("expected", "no statement that writes to the ledger"), ("source", source)],
            help="take it out: `invoke ledger.accept` and `ledger.abandon` are the repairs there are; if another table "
            "of that name is meant, write its schema",
        )
