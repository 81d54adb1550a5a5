"""Troubles with the ledger itself: a chain that does not fit, and repairs that are refused. Exit 4.

Owns: one class for each; the text of each.
"""

from __future__ import annotations

from scripts.errors.history import HistoryError

_HELP = (
    "nothing was run; compare with the chain's head in the evidence of an earlier run, find out who wrote to the "
    "ledger, and restore it"
)


class LedgerChainError(HistoryError):
    """Ledger and history disagree, or the history is not one chain: somebody wrote to them by hand."""

    kind = "ledger chain"

    @classmethod
    def missing_record(cls, expected: int, *, found: int) -> LedgerChainError:
        """A number is missing."""
        return cls(
            f"record {expected} is missing from the ledger's history",
            where="public.schema_migrations_history",
            facts=[("expected", f"record {expected}"), ("found", f"record {found}")],
            help=_HELP,
        )

    @classmethod
    def broken_link(cls, seq: int, version: str) -> LedgerChainError:
        """A record does not follow the one before it."""
        return cls(
            f"record {seq} of {version} does not follow record {seq - 1}",
            where="public.schema_migrations_history",
            facts=[("expected", f"the hash of record {seq - 1}"), ("found", "another")],
            help=_HELP,
        )

    @classmethod
    def changed_record(cls, seq: int, version: str, *, recorded_at: str) -> LedgerChainError:
        """A record's fields do not make its hash."""
        return cls(
            f"record {seq} of {version} was changed after it was written",
            where="public.schema_migrations_history",
            facts=[("says", f"recorded at {recorded_at}"), ("expected", "fields that make its hash")],
            help=_HELP,
        )

    @classmethod
    def recorded_twice(cls, version: str, first: int, second: int) -> LedgerChainError:
        """A file that ran twice, as the history has it."""
        return cls(
            f"{version} is recorded twice",
            where="public.schema_migrations_history",
            facts=[("records", f"{first} and {second}")],
            help=_HELP,
        )

    @classmethod
    def removed_row(cls, version: str, seq: int, *, recorded_at: str) -> LedgerChainError:
        """The ledger lacks a row that the history has."""
        return cls(
            f"the row of {version} was removed from the ledger",
            where="public.schema_migrations",
            facts=[("expected", f"a row, as record {seq} of {recorded_at} has it"), ("found", "none")],
            help=_HELP,
        )

    @classmethod
    def changed_checksum(cls, version: str, seq: int, *, expected: str, found: str) -> LedgerChainError:
        """The ledger's checksum is not the one that was recorded."""
        return cls(
            f"the checksum of {version} was changed in the ledger",
            where="public.schema_migrations",
            facts=[(f"record {seq}", f"sha256:{expected}"), ("ledger", f"sha256:{found}")],
            help=_HELP,
        )

    @classmethod
    def changed_time(cls, version: str, seq: int, *, recorded_at: str) -> LedgerChainError:
        """The ledger's time is not the one that was recorded."""
        return cls(
            f"the time of {version} was changed in the ledger",
            where="public.schema_migrations",
            facts=[(f"record {seq}", recorded_at), ("ledger", "another time")],
            help=_HELP,
        )

    @classmethod
    def strange_row(cls, version: str) -> LedgerChainError:
        """A row that no record knows."""
        return cls(
            f"{version} was put into the ledger by hand",
            where="public.schema_migrations",
            facts=[("expected", "a record for every row"), ("found", "none")],
            help=_HELP,
        )

    @classmethod
    def no_ledger_table(cls) -> LedgerChainError:
        """The history is there, the ledger is not."""
        return cls(
            "the ledger is gone, its history is there",
            where="public.schema_migrations",
            facts=[("expected", "the table"), ("found", "none")],
            help=_HELP,
        )

    @classmethod
    def not_kept(cls, version: str) -> LedgerChainError:
        """A rule or a trigger on the ledger: what was written is not what is there."""
        return cls(
            f"the row of {version} was not kept as it was written",
            where="public.schema_migrations",
            facts=[("expected", "a table without rules and triggers"), ("found", "a row that is changed, or none")],
            help="nothing of this file is recorded; find out who put a rule or a trigger on the ledger, and drop it",
        )

    @classmethod
    def record_not_kept(cls, version: str) -> LedgerChainError:
        """A rule or a trigger on the history: the record of a file was swallowed."""
        return cls(
            f"the record of {version} was not kept",
            where="public.schema_migrations_history",
            facts=[("expected", "a table without rules and triggers"), ("found", "no record")],
            help="nothing of this file is recorded; find out who put a rule or a trigger on the history, and drop it",
        )

    @classmethod
    def beside(cls, found: str) -> LedgerChainError:
        """Something that changes what is written to the ledger, or loses it; `found`: names of objects."""
        return cls(
            "what stands beside the ledger can change or lose what is recorded",
            where="public.schema_migrations",
            facts=[("expected", "three plain tables that nobody but the runner changes"), ("found", found)],
            help="a file that walks over all tables may have made it: drop it, or SET LOGGED what is unlogged, and "
            "leave the ledger's three tables out where such things are made",
        )

    @classmethod
    def gone(cls, version: str) -> LedgerChainError:
        """The ledger's tables were there when the file began, and are not at its end."""
        return cls(
            "the file took the ledger away",
            where=version,
            facts=[
                ("expected", "public.schema_migrations and its history, as before the file"),
                ("found", "none"),
            ],
            help="nothing of this file is recorded, and all of it is rolled back; leave schema public and the ledger's "
            "three tables where they are (DROP SCHEMA public, DROP OWNED and loops over all tables take them along)",
        )

    @classmethod
    def written_by(cls, version: str, *, found: str) -> LedgerChainError:
        """In its own transaction, by SQL made at run time or a function it called; `found`: what does not fit now."""
        return cls(
            "the file wrote to the ledger",
            where=version,
            facts=[("expected", "the ledger as it was before the file"), ("found", found)],
            help="nothing of this file is recorded, and all of it is rolled back; take out what writes to the ledger",
        )

    @classmethod
    def changed_trace(cls, seq: int, version: str) -> LedgerChainError:
        """The stored trace is not the one whose digest the record holds."""
        return cls(
            f"the trace of {version} was changed after it was written",
            where="public.schema_migrations_history",
            facts=[(f"record {seq}", "a trace with the recorded digest"), ("found", "another")],
            help=_HELP,
        )

    @classmethod
    def unlike_pin(cls, seq: int, *, pinned: str, found: str) -> LedgerChainError:
        """The chain does not hold the head that was kept elsewhere: it was cut or rewritten."""
        return cls(
            "the ledger's history was rewritten or cut since its head was noted",
            where="public.schema_migrations_history",
            facts=[("expected", f"record {seq} with hash {pinned}"), ("found", found)],
            help=_HELP,
        )


class RepairRefusedError(HistoryError):
    """A repair of the ledger that its own words do not allow."""

    kind = "repair refused"

    @classmethod
    def not_recorded(cls, version: str) -> RepairRefusedError:
        """Nothing to accept: the file was never applied."""
        return cls(
            f"{version} is not recorded in the ledger",
            help="an unapplied file may be edited freely; `invoke status` says what is applied",
        )

    @classmethod
    def recorded(cls, version: str) -> RepairRefusedError:
        """Nothing to abandon: the file is applied."""
        return cls(f"{version} is applied: there is nothing to abandon", help="put a change into a new migration")

    @classmethod
    def no_file(cls, version: str) -> RepairRefusedError:
        """No file of that name in the folder."""
        return cls(
            f"{version} is not in the folder of migrations",
            help="name the file with its ending, as `invoke status` lists it",
        )

    @classmethod
    def nothing_differs(cls, version: str) -> RepairRefusedError:
        """The bytes are those that are recorded."""
        return cls(f"{version} is the file that was applied: there is nothing to accept", help="run `invoke migrate`")

    @classmethod
    def statements_differ(cls, version: str, *, recorded: str, found: str) -> RepairRefusedError:
        """More than comments differ."""
        return cls(
            f"the statements of {version} are not those that were applied",
            facts=[
                ("recorded", f"sha256:{recorded} of the statements" if recorded else "no digest of the statements"),
                ("on disk", f"sha256:{found} of the statements"),
            ],
            help="only comments and white space can be accepted; restore the file and write a new migration",
        )

    @classmethod
    def no_journal(cls, version: str) -> RepairRefusedError:
        """No statement of it was ever begun."""
        return cls(
            f"no statement of {version} was begun: there is nothing to abandon",
            help="`invoke status` says which files are half done",
        )

    @classmethod
    def no_ledger(cls) -> RepairRefusedError:
        """The database has none."""
        return cls("there is no ledger in this database", help="check DATABASE_URL; `invoke migrate` makes the ledger")

    @classmethod
    def no_history(cls) -> RepairRefusedError:
        """A ledger of a runner that kept none."""
        return cls(
            "the ledger has no history",
            where="public.schema_migrations_history",
            help="the next `invoke migrate` that applies a file begins one, and adopts the rows that are there",
        )

    @classmethod
    def no_reason(cls) -> RepairRefusedError:
        """A record without a reason is worth nothing to whoever reads it later."""
        return cls(
            "a repair needs a reason",
            facts=[("expected", "--reason with at least ten characters")],
            help="say why, for whoever reads the ledger in a year",
        )


class HalfAppliedError(HistoryError):
    """A file without a transaction was changed after a part of it had run."""

    kind = "half applied"

    @classmethod
    def edited(cls, *, where: str, statement: int, done: bool, found: str) -> HalfAppliedError:
        """Statement number `statement`, from 1, ran or was cut short in other words, or the file has it no more."""
        return cls(
            f"the file was changed after its statement {statement} had {'run' if done else 'been begun'}",
            where=where,
            facts=[
                ("journal", f"statement {statement} {'is done' if done else 'was cut short'}, in other words"),
                ("on disk", found),
            ],
            help="restore that statement and run again; or give the run up with `invoke ledger.abandon`, and see by "
            "hand to what it left",
        )
