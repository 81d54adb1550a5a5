"""The ledger on a real server: the chain it keeps, the older ledger it adopts, the repairs it records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from db.ledger.conftest import by_a_name_put_together, change, ledger_of, write

from scripts.digest import sha256_hex
from scripts.errors.history import CommentsDifferError, HistoryError, LedgerShapeError, TamperedError
from scripts.errors.ledger import HalfAppliedError, LedgerChainError, RepairRefusedError
from scripts.errors.migration import MadeAgainError, MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.migrations.ledger.chain import Head, record_hash
from scripts.migrations.ledger.repair import abandon, accept
from scripts.migrations.ledger.table import LEDGER_SQL, require_true_traces
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

REASON = "a typing error in a comment"


def older(database: ScratchDatabase) -> None:
    """Make the ledger one of a runner that kept no history."""
    change(database, "DROP TABLE public.schema_migrations_history, public.schema_migrations_journal")


def test_every_file_is_a_record(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Number, sums, who and when; and the hash can be made again from what is stored."""
    ledger = ledger_of(three)
    files = migrations.files()
    assert [(r.seq, r.kind, r.version, r.checksum, r.statements_digest) for r in ledger.records] == [
        (number, "applied", file.name, file.checksum, file.statements_digest) for number, file in enumerate(files, 1)
    ]
    assert {r.recorded_by for r in ledger.records} == {"symphony_owner"}
    assert all(record_hash(record) == record.hash for record in ledger.records)
    assert ledger.head == Head(3, ledger.records[-1].hash)
    assert (
        three.value(
            "SELECT bool_and(m.applied_at = h.recorded_at) FROM schema_migrations m"
            " JOIN schema_migrations_history h USING (version)"
        )
        is True
    )


def test_what_is_returned_is_the_head(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The run hands on where the chain ends: for evidence, where nobody who can write to the database can reach it."""
    write(migrations, 4)
    applied = three.apply(migrations.files())
    assert applied.head == ledger_of(three).head
    assert applied.head is not None
    assert applied.as_json()["ledger"] == {"records": 4, "head": applied.head.hash}
    assert three.apply(migrations.files()).head == applied.head


def test_traces_are_kept_with_their_digest(three: ScratchDatabase) -> None:
    """The trace is stored as text; its digest is part of the chain, and a changed trace is found."""
    trace = three.value("SELECT trace FROM schema_migrations_history WHERE seq = 2")
    assert '"statements"' in trace
    assert '"baseline"' in trace
    assert ledger_of(three).records[1].trace_digest == sha256_hex(trace.encode())
    with three.connect() as conn:
        assert require_true_traces(conn) == 3
    change(three, "UPDATE schema_migrations_history SET trace = replace(trace, 'CREATE', 'DROP') WHERE seq = 2")
    with three.connect() as conn, pytest.raises(LedgerChainError) as caught:
        require_true_traces(conn)
    assert str(caught.value).startswith(
        "error[ledger chain]: public.schema_migrations_history: the trace of 0002_t.sql was changed after"
    )


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("UPDATE schema_migrations SET checksum = 'ab' WHERE version LIKE '0002%'", "the checksum of 0002_t.sql was"),
        ("UPDATE schema_migrations SET applied_at = now() WHERE version LIKE '0002%'", "the time of 0002_t.sql"),
        ("UPDATE schema_migrations SET applied_at = 'infinity' WHERE version LIKE '0002%'", "the time of 0002_t.sql"),
        ("DELETE FROM schema_migrations WHERE version LIKE '0003%'", "the row of 0003_t.sql was removed"),
        ("INSERT INTO schema_migrations VALUES ('0004_t.sql', 'ab')", "0004_t.sql was put into the ledger by hand"),
        ("DELETE FROM schema_migrations_history WHERE seq = 3", "0003_t.sql was put into the ledger by hand"),
        ("DELETE FROM schema_migrations_history WHERE seq = 2", "record 2 is missing"),
        ("UPDATE schema_migrations_history SET recorded_by = 'nobody' WHERE seq = 1", "record 1 of 0001_t.sql was"),
        ("UPDATE schema_migrations_history SET recorded_at = '-infinity' WHERE seq = 1", "record 1 of 0001_t.sql was"),
        ("UPDATE schema_migrations_history SET hash = 'ab' WHERE seq = 1", "record 1 of 0001_t.sql was"),
        ("DROP TABLE schema_migrations", "the ledger is gone, its history is there"),
        ("TRUNCATE schema_migrations_history", "0001_t.sql was put into the ledger by hand"),
    ],
)  # fmt: skip
def test_a_change_by_hand_stops_every_verb(
    three: ScratchDatabase, migrations: MigrationFolder, query: str, text: str
) -> None:
    """Whatever it is, the next run, with something pending or without, refuses before anything runs."""
    change(three, query)
    write(migrations, 5)
    with pytest.raises(LedgerChainError) as caught:
        three.apply(migrations.files())
    assert text in str(caught.value)
    assert three.value("SELECT to_regclass('public.t5')") is None


def test_a_dropped_journal_is_told(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A part of the ledger is gone: refused where it would be written."""
    change(three, "DROP TABLE public.schema_migrations_journal")
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i ON public.t1 (a);")
    with pytest.raises(LedgerShapeError) as caught:
        three.apply(migrations.files())
    assert str(caught.value) == (
        "error[ledger]: a part of the ledger is gone\n"
        "  missing  public.schema_migrations_journal\n"
        "  help: find out who dropped it, and restore it: an empty one would not be the one that is missing"
    )


def test_an_older_ledger_is_adopted(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Rows without a history get one, told as what they are, even when nothing is pending; then it is a chain."""
    older(three)
    assert ledger_of(three).head is None
    told: list[str] = []
    applied = migrate(three.connect(), migrations.files(), Settings(), report=told.append)
    assert told == ["the ledger has no history: 3 rows were recorded before there was one, and are adopted"]
    assert applied.files == ()
    assert [record.kind for record in ledger_of(three).records] == ["adopted"] * 3
    write(migrations, 4)
    assert [file.name for file in three.apply(migrations.files()).files] == ["0004_t.sql"]
    assert [record.kind for record in ledger_of(three).records] == ["adopted"] * 3 + ["applied"]


def test_only_comments_differ(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Refused all the same, in words of its own, with the way out; a file that also has another statement is not."""
    (before,) = [file.checksum for file in migrations.files() if file.name == "0002_t.sql"]
    migrations.write("0002_t.sql", "-- the second\nCREATE TABLE public.t2 (a int); -- done\n")
    with pytest.raises(CommentsDifferError) as caught:
        three.apply(migrations.files())
    when = ledger_of(three).records[1].recorded_at
    (after,) = [file.checksum for file in migrations.files() if file.name == "0002_t.sql"]
    assert str(caught.value) == (
        "error[tampered]: 0002_t.sql is not the file that was applied: only comments differ\n"
        f"  ledger   sha256:{before}   applied_at {when}\n"
        f"  on disk  sha256:{after}\n"
        "  help: restore the file from git, or record that you accept it: `invoke ledger.accept 0002_t.sql --reason …`"
    )
    migrations.write("0002_t.sql", "-- the second\nCREATE TABLE public.t2 (a bigint);")
    with pytest.raises(TamperedError) as other:
        three.apply(migrations.files())
    assert not isinstance(other.value, CommentsDifferError)
    migrations.write("0002_t.sql", "-- the second\nCREATE TABLE public.t2 (a int")
    with pytest.raises(TamperedError, match="put the change in 0004"):
        three.apply(migrations.files())


def test_accepting_appends_a_record(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Who, when, old and new sum, why; the row that ran stays as it was, and the file is taken from then on."""
    (before,) = [file.checksum for file in migrations.files() if file.name == "0002_t.sql"]
    migrations.write("0002_t.sql", "-- the second\nCREATE TABLE public.t2 (a int);")
    files = migrations.files()
    record = accept(three.connect(), files, "0002_t.sql", Settings(), reason=REASON, report=lambda _: None)
    assert (record.seq, record.kind, record.version) == (4, "accepted", "0002_t.sql")
    assert (record.replaces, record.checksum) == (before, files[1].checksum)
    assert (record.recorded_by, record.reason) == ("symphony_owner", REASON)
    assert three.value("SELECT checksum FROM schema_migrations WHERE version = '0002_t.sql'") == before
    assert three.apply(files).files == ()
    assert {row.version: row.checksum for row in ledger_of(three).rows}["0002_t.sql"] == files[1].checksum
    # And again: the record is one more, not another.
    migrations.write("0002_t.sql", "CREATE TABLE public.t2 (a int);")
    again = accept(three.connect(), migrations.files(), "0002_t.sql", Settings(), reason=REASON, report=lambda _: None)
    assert (again.seq, again.replaces) == (5, record.checksum)
    assert [r.kind for r in ledger_of(three).records] == ["applied"] * 3 + ["accepted"] * 2


@pytest.mark.parametrize(
    ("name", "text", "reason", "expected"),
    [
        ("0002_t.sql", None, REASON, "0002_t.sql is the file that was applied: there is nothing to accept"),
        ("0004_t.sql", "SELECT 4;", REASON, "0004_t.sql is not recorded in the ledger"),
        ("0009_t.sql", None, REASON, "0009_t.sql is not in the folder of migrations"),
        (
            "0002_t.sql",
            "CREATE TABLE public.t2 (a text);",
            REASON,
            "the statements of 0002_t.sql are not those that were",
        ),
        ("0002_t.sql", "CREATE TABLE public.t2 (a int);", "  because ", "a repair needs a reason"),
    ],
)
def test_what_is_not_accepted(
    three: ScratchDatabase, migrations: MigrationFolder, *, name: str, text: str | None, reason: str, expected: str
) -> None:
    """Anything but other comments, and anything without a reason, is refused; nothing is recorded."""
    if text is not None:
        migrations.write(name, text)
    with pytest.raises(RepairRefusedError) as caught:
        accept(three.connect(), migrations.files(), name, Settings(), reason=reason, report=lambda _: None)
    assert str(caught.value).startswith(f"error[repair refused]: {expected}")
    assert len(ledger_of(three).records) == 3


def test_no_ledger_to_repair(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """An empty database: told so."""
    write(migrations, 1)
    with pytest.raises(RepairRefusedError, match="there is no ledger in this database"):
        accept(
            empty_database.connect(), migrations.files(), "0001_t.sql", Settings(), reason=REASON, report=lambda _: None
        )


def half_done(database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """0004 has two builds; the second one fails."""
    migrations.write(
        "0004_i.sql",
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i1 ON public.t1 (a);\n"
        "CREATE INDEX CONCURRENTLY i2 ON public.t2 (b);",
    )
    with pytest.raises(MigrationFailedError, match="its first 1 statements stay"):
        database.apply(migrations.files())


def journal(database: ScratchDatabase) -> list[tuple[Any, ...]]:
    """Statement and state, in order."""
    with database.connect() as conn:
        return conn.execute(
            "SELECT version, statement, state, done_at IS NOT NULL FROM schema_migrations_journal ORDER BY 1, 2"
        ).fetchall()


def test_the_journal_says_how_far_a_file_came(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Done; what was refused has left nothing, not even an entry; after its repair all are done, and kept."""
    half_done(three, migrations)
    assert journal(three) == [("0004_i.sql", 0, "done", True)]
    migrations.write("0004_i.sql", (migrations.folder / "0004_i.sql").read_text().replace("(b)", "(a)"))
    three.apply(migrations.files())
    assert journal(three) == [("0004_i.sql", 0, "done", True), ("0004_i.sql", 1, "done", True)]
    assert three.recorded()[-1] == "0004_i.sql"


@pytest.mark.parametrize(
    ("old", "new", "where", "found"),
    [
        ("i1 ON public.t1", "i1 ON public.t3", "0004_i.sql:2:1", "another statement"),
        ("CREATE INDEX CONCURRENTLY i1 ON public.t1 (a);\n", "", "0004_i.sql:2:1", "another statement"),
    ],
)
def test_a_file_edited_after_a_part_of_it_ran(
    three: ScratchDatabase, migrations: MigrationFolder, *, old: str, new: str, where: str, found: str
) -> None:
    """What is done cannot be done in other words: refused by name, and a comment more is no other word."""
    half_done(three, migrations)
    text = (migrations.folder / "0004_i.sql").read_text()
    migrations.write("0004_i.sql", text.replace(old, new))
    with pytest.raises(HalfAppliedError) as caught:
        three.apply(migrations.files())
    assert str(caught.value) == (
        f"error[half applied]: {where}: the file was changed after its statement 1 had run\n"
        "  journal  statement 1 is done, in other words\n"
        f"  on disk  {found}\n"
        "  help: restore that statement and run again; or give the run up with `invoke ledger.abandon`, and see by "
        "hand to what it left"
    )
    migrations.write("0004_i.sql", text.replace("(a)", "/* the column */ (a)").replace("(b)", "(a)"))
    three.apply(migrations.files())
    assert three.recorded()[-1] == "0004_i.sql"


def test_giving_an_unfinished_file_up(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The journal's digest goes into the chain, the file begins anew, and the catalog still decides."""
    half_done(three, migrations)
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i2 ON public.t2 (a);")
    record = abandon(
        three.connect(), migrations.files(), "0004_i.sql", Settings(), reason=REASON, report=lambda _: None
    )
    assert (record.kind, record.version, len(record.replaces)) == ("abandoned", "0004_i.sql", 64)
    assert journal(three) == []
    three.apply(migrations.files())
    assert three.recorded()[-1] == "0004_i.sql"
    assert [r.kind for r in ledger_of(three).records] == ["applied"] * 3 + ["abandoned", "applied"]


def test_what_cannot_be_given_up(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A file that is applied, and one that was never begun."""
    write(migrations, 4)
    for name, text in (
        ("0003_t.sql", "0003_t.sql is applied: there is nothing to abandon"),
        ("0004_t.sql", "no statement of 0004_t.sql was begun: there is nothing to abandon"),
    ):
        with pytest.raises(RepairRefusedError, match=text):
            abandon(three.connect(), migrations.files(), name, Settings(), reason=REASON, report=lambda _: None)


def test_an_older_ledger_whose_file_changed_is_not_repaired(
    three: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Without a digest of the statements nobody can say that only comments differ."""
    older(three)
    migrations.write("0002_t.sql", "CREATE TABLE public.t2 (a int);")
    with pytest.raises(RepairRefusedError, match="no digest of the statements"):
        accept(three.connect(), migrations.files(), "0002_t.sql", Settings(), reason=REASON, report=lambda _: None)
    with pytest.raises(TamperedError, match="put the change in 0004"):
        three.apply(migrations.files())


def test_the_sql_makes_nothing_twice(empty_database: ScratchDatabase) -> None:
    """The ledger's SQL on a database that has one fails, and changes nothing: only the first table may be there."""
    with empty_database.connect() as conn:
        conn.execute(LEDGER_SQL.read_bytes())
        with pytest.raises(psycopg.errors.DuplicateTable):
            conn.execute(LEDGER_SQL.read_bytes())


def test_a_file_that_lets_go_of_the_lock_is_not_recorded(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """pg_advisory_unlock_all() in a file: refused before COMMIT, and nothing of it stays (D-17)."""
    migrations.write("0004_u.sql", "CREATE TABLE public.t4 (a int);\nSELECT pg_advisory_unlock_all();")
    with pytest.raises(Exception, match="the runner lock is not held any more") as caught:
        three.apply(migrations.files())
    assert not isinstance(caught.value, HistoryError)
    assert three.value("SELECT to_regclass('public.t4')") is None
    assert len(ledger_of(three).records) == 3


@pytest.mark.parametrize("trace", [True, False])
def test_a_file_that_drops_prepared_statements(
    three: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """DEALLOCATE ALL, said outright or put together at run time, takes ours away too; the file is applied once.

    What the second file says is known while the first one runs, and must not be taken for what the first one did.
    """
    migrations.write(
        "0004_d.sql", "CREATE TABLE public.t4 (a int);\nDO $$ BEGIN EXECUTE 'DEALLO' || 'CATE ALL'; END $$;"
    )
    migrations.write("0005_d.sql", "PREPARE p AS SELECT 1;\nDEALLOCATE ALL;\nCREATE TABLE public.t5 (a int);")
    migrations.write("0006_d.sql", "CREATE TABLE public.t6 (a int);")
    three.apply(migrations.files(), Settings(migrate_trace=trace))
    assert [r.version for r in ledger_of(three).records][3:] == ["0004_d.sql", "0005_d.sql", "0006_d.sql"]


@pytest.mark.parametrize("trace", [True, False])
def test_a_file_before_one_that_prepares(three: ScratchDatabase, migrations: MigrationFolder, *, trace: bool) -> None:
    """While a file runs, the next one is prepared; that it drops prepared statements is no word on those of now."""
    migrations.write("0004_p.sql", "CREATE TABLE public.t4 (a int);")
    migrations.write("0005_p.sql", "PREPARE p AS SELECT 1;\nCREATE TABLE public.t5 (a int);")
    migrations.write("0006_p.sql", "CREATE TABLE public.t6 (a int);")
    done = three.apply(migrations.files(), Settings(migrate_trace=trace)).files
    assert [(file.name, file.attempts) for file in done] == [("0004_p.sql", 1), ("0005_p.sql", 1), ("0006_p.sql", 1)]
    assert [file.trace is not None and file.trace.complete for file in done] == [trace] * 3


@pytest.mark.parametrize("trace", [True, False])
def test_a_hash_that_the_server_returns_is_a_value(
    three: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """A trigger may make anything of a record's hash: the next record holds it, and runs nothing of it."""
    change(
        three,
        "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " $f$ BEGIN NEW.hash := $h$x'); CREATE TABLE public.spoilt (a int); --$h$; RETURN NEW; END $f$",
    )
    planting = (
        "CREATE TRIGGER spoil BEFORE INSERT ON public.schema_@@_history FOR EACH ROW EXECUTE FUNCTION public.spoil()"
    )
    migrations.write("0004_h.sql", by_a_name_put_together(planting))
    migrations.write("0005_h.sql", "CREATE TABLE public.t5 (a int);")
    with pytest.raises(LedgerChainError, match="trigger spoil on schema_migrations_history"):
        three.apply(migrations.files(), Settings(migrate_trace=trace))
    assert three.value("SELECT to_regclass('public.t5')") is not None
    assert three.value("SELECT to_regclass('public.spoilt')") is None
    with pytest.raises(LedgerChainError):
        ledger_of(three)


def test_a_statement_found_done_is_in_the_trace_as_that(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """An adopted index was never sent: its line in the trace says so, and has no time."""
    change(three, "CREATE INDEX i1 ON public.t1 (a)")
    migrations.write(
        "0004_i.sql",
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i1 ON public.t1 (a);\n"
        "CREATE INDEX CONCURRENTLY i2 ON public.t2 (a);",
    )
    (done,) = three.apply(migrations.files()).files
    assert done.trace is not None
    told = [(trace.index, trace.kind, trace.effect, trace.duration_us is None) for trace in done.trace.statements]
    assert told == [(0, "CREATE INDEX", "none", True), (1, "CREATE INDEX", "index", False)]


def cut_short(database: ScratchDatabase, migrations: MigrationFolder, text: str) -> None:
    """0004 is begun and runs out of time, because a writer is open."""
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text}")
    writer = database.connect(autocommit=False)
    writer.execute("INSERT INTO public.t1 VALUES (1)")
    with pytest.raises(MigrationFailedError) as caught:
        database.apply(migrations.files(), Settings(index_timeout_ms=300))
    assert caught.value.sqlstate == "57014"
    writer.rollback()


def test_a_file_edited_after_a_statement_was_cut_short(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """What it left is not known from other words: refused; with its own words it is completed."""
    text = "CREATE INDEX CONCURRENTLY i1 ON public.t1 (a);"
    cut_short(three, migrations, text)
    assert journal(three) == [("0004_i.sql", 0, "started", False)]
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i2 ON public.t1 (a);")
    with pytest.raises(HalfAppliedError) as caught:
        three.apply(migrations.files())
    assert str(caught.value).startswith(
        "error[half applied]: 0004_i.sql:2:1: the file was changed after its statement 1 had been begun\n"
        "  journal  statement 1 was cut short, in other words\n"
    )
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text}")
    assert three.apply(migrations.files()).files[0].notes == (
        "public.i1 was left invalid by an interrupted build: dropped and built again",
    )


def test_a_refused_build_leaves_no_index_behind(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """A build that fails in the middle (a division by zero in a row): its rest is dropped, and it may be corrected."""
    change(three, "INSERT INTO public.t1 VALUES (0)")
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i1 ON public.t1 ((1 / a));")
    with pytest.raises(MigrationFailedError):
        three.apply(migrations.files())
    assert three.value("SELECT to_regclass('public.i1')") is None
    assert journal(three) == []
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i1 ON public.t1 ((a / 1));")
    three.apply(migrations.files())


def test_a_drop_that_is_undone_stops_the_run(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The journal says done, the catalog says no: forged, or somebody made it since. Nothing is dropped or recorded."""
    change(three, "CREATE INDEX old ON public.t1 (a); CREATE TYPE public.mood AS ENUM ('ok')")
    text = "DROP INDEX CONCURRENTLY public.old;\nALTER TYPE public.mood ADD VALUE 'bad';\nVACUUM public.nix;"
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text}")
    with pytest.raises(MigrationFailedError):
        three.apply(migrations.files())
    change(three, "CREATE INDEX old ON public.t1 (a)")
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text.replace('nix', 't1')}")
    with pytest.raises(MadeAgainError, match=r"old. was taken away by an earlier run, and is there again"):
        three.apply(migrations.files())
    assert three.value("SELECT to_regclass('public.old')") is not None
    assert "0004_i.sql" not in three.recorded()
    change(three, "DROP INDEX public.old")
    assert three.apply(migrations.files()).files[0].notes == (
        "statement 1 was done by an earlier run",
        "statement 2 was done by an earlier run",
    )


def test_a_drop_in_another_schema_is_another_index(three: ScratchDatabase, migrations: MigrationFolder) -> None:
    """s.i1 is dropped, public.i1 is to be there: proved at the end, although an earlier run had built it."""
    change(three, "CREATE SCHEMA s; CREATE TABLE s.x (a int); CREATE INDEX i1 ON s.x (a)")
    text = (
        "CREATE INDEX CONCURRENTLY i1 ON public.t1 (a);\nDROP INDEX CONCURRENTLY s.i1;\n"
        "CREATE INDEX CONCURRENTLY i3 ON public.t3 (nix);"
    )
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text}")
    with pytest.raises(MigrationFailedError):
        three.apply(migrations.files())
    change(three, "DROP INDEX public.i1")
    migrations.write("0004_i.sql", f"-- symphony:no_tx\n{text.replace('nix', 'a')}")
    three.apply(migrations.files())
    assert three.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.i1'::regclass") is True
