"""Where no twin of a table can be made: an index is known as ours by the journal and its words, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from db.migrations.hand_runs import MARK, begun, execute, oid, run, spoil

from scripts.errors.migration import ConnectionLostError, IndexConflictError
from scripts.migrations.no_tx.indexes.sameness import says_the_same
from scripts.parser.statements import parse_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase

TABLE = "CREATE TABLE public.t (x int, y int, w text); INSERT INTO public.t VALUES (1, 1, 'a'), (2, 1, 'b');"


@pytest.fixture
def table(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """0001 made public.t."""
    migrations.write("0001_t.sql", TABLE)
    empty_database.apply(migrations.files())
    return empty_database


@pytest.fixture
def no_twins(table: ScratchDatabase) -> ScratchDatabase:
    """A database in which an event trigger refuses the twin."""
    with table.connect_admin() as conn:
        conn.execute(
            "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'every table needs a primary key, not %', tg_tag; END $$;"
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE')"
            " EXECUTE FUNCTION public.refuse()"
        )
    return table


def test_an_index_that_cannot_be_compared_is_done_when_the_journal_says_so(
    no_twins: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Done and valid: nothing is left to be compared for."""
    # The server writes a list of values in other words.
    index = "i ON public.t (x) WHERE y IN (1, 2)"
    begun(no_twins, migrations, f"CREATE INDEX CONCURRENTLY {index}", done=True)
    execute(no_twins, f"CREATE INDEX {index}")
    assert run(no_twins, migrations)[0] == (
        "0002_i.sql: public.i is already there, valid, and an earlier run had built it; it cannot be compared"
    )
    assert no_twins.recorded() == ["0001_t.sql", "0002_i.sql"]


@pytest.mark.parametrize(
    "index",
    ["i ON public.t (x)", "i ON public.t (x ASC, y DESC NULLS FIRST)", "i ON t ((abs(x))) WHERE w = 'it''s'::text"],
)
def test_a_valid_index_of_the_same_words_needs_no_twin(
    no_twins: ScratchDatabase, migrations: MigrationFolder, index: str
) -> None:
    """What the server writes of it makes the same index in this session, so a statement of these words does."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY {index};")
    execute(no_twins, f"CREATE INDEX {index}")
    told = "public.i is already there, valid and of this definition: adopted"
    assert run(no_twins, migrations)[0] == f"0002_i.sql: {told}"


@pytest.mark.parametrize(
    ("there", "valid"),
    [
        ("(y)", True),
        ("(y)", False),
        ("(x DESC)", False),
        ("(x NULLS FIRST)", False),
        ("(x) INCLUDE (y)", False),
        ("(x) WHERE y > 0", False),
        ("(x) WITH (fillfactor=70)", False),
        ("USING hash (x)", False),
        ("(abs(x))", False),
    ],
)
def test_an_index_that_cannot_be_compared_stops_the_run(
    no_twins: ScratchDatabase, migrations: MigrationFolder, there: str, *, valid: bool
) -> None:
    """Whose it is, nobody knows: it is left, and what to do is said, and why the server did not help."""
    begun(no_twins, migrations, "CREATE INDEX CONCURRENTLY i ON public.t (x)")
    execute(no_twins, f"CREATE INDEX i ON public.t {there}")
    if not valid:
        spoil(no_twins, "i")
    theirs = oid(no_twins, "public.i")
    found = no_twins.value("SELECT pg_get_indexdef('public.i'::regclass)")
    for _ in range(2):
        with pytest.raises(IndexConflictError) as caught:
            no_twins.apply(migrations.files())
        assert str(caught.value) == (
            "error[index conflict]: 0002_i.sql:2:1: public.i is there, and cannot be compared with its statement\n"
            "  wanted   CREATE INDEX CONCURRENTLY i ON public.t (x)\n"
            f"  found    {found}\n"
            "  refused  every table needs a primary key, not … (SQLSTATE P0001)\n"
            "  help: the server refused the statement on an empty copy of the table, so compare the two by eye: if this"
            " file left the index, drop it with DROP INDEX CONCURRENTLY, else rename it; run again, and it is built"
        )
        assert oid(no_twins, "public.i") == theirs
    execute(no_twins, "DROP INDEX public.i")
    no_twins.apply(migrations.files())


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("INDEX", "i ON public.t (x)"),
        ("UNIQUE INDEX", "i ON public.t (x ASC NULLS LAST, y DESC NULLS FIRST)"),
        ("UNIQUE INDEX", "i ON t USING btree (y DESC NULLS LAST, x NULLS FIRST) INCLUDE (w) NULLS NOT DISTINCT"),
        ("INDEX", 'i ON public.t (w text_pattern_ops, w COLLATE "C")'),
        ("INDEX", "i ON public.t USING hash (w) WITH (fillfactor=70)"),
        ("INDEX", "i ON public.t (x) WITH (fillfactor=70, deduplicate_items=off) WHERE x > 0"),
        ("INDEX", "i ON public.t USING gin (to_tsvector('english'::regconfig, w)) WITH (fastupdate)"),
    ],
)
def test_our_own_invalid_index_is_rebuilt_where_no_twin_can_be_made(
    no_twins: ScratchDatabase, migrations: MigrationFolder, word: str, written: str
) -> None:
    """Begun and left invalid, and what is there says in the server's words what the statement says: it stopped here."""
    begun(no_twins, migrations, f"CREATE {word} CONCURRENTLY {written}")
    execute(no_twins, f"CREATE {word} {written}")
    spoil(no_twins, "i")
    old = oid(no_twins, "public.i")
    assert run(no_twins, migrations)[0] == (
        "0002_i.sql: public.i was left invalid by an interrupted build: dropped and built again"
    )
    assert oid(no_twins, "public.i") != old
    assert no_twins.recorded() == ["0001_t.sql", "0002_i.sql"]


def test_an_invalid_index_that_was_never_begun_is_nobodys_rest(
    no_twins: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The words are the same; but only a twin proves what this file never began."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY i ON public.t (x);")
    execute(no_twins, "CREATE INDEX i ON public.t (x)")
    spoil(no_twins, "i")
    with pytest.raises(IndexConflictError, match="cannot be compared"):
        no_twins.apply(migrations.files())


def test_an_index_of_the_same_words_on_another_table_is_another(
    no_twins: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Words without the table say nothing."""
    begun(no_twins, migrations, "CREATE INDEX CONCURRENTLY i ON public.t (x)")
    execute(no_twins, "ALTER TABLE public.t RENAME TO o; SELECT * INTO public.t FROM public.o")
    execute(no_twins, "CREATE INDEX i ON public.o (x)")
    spoil(no_twins, "i")
    with pytest.raises(IndexConflictError, match="is there with another definition"):
        no_twins.apply(migrations.files())


def test_a_build_that_is_killed_is_rebuilt(
    no_twins: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """A writer is open, the building backend is killed, and the next run is told of an index of its own making."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t (y, x DESC);")
    writer = no_twins.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (9, 9, 'open')")
    call = background(lambda: no_twins.apply(migrations.files()))
    pid = call.until(lambda: no_twins.value("SELECT pid FROM pg_stat_progress_create_index"))
    no_twins.value("SELECT pg_terminate_backend(%s)", pid)
    with pytest.raises(ConnectionLostError):
        call.join()
    writer.commit()
    assert run(no_twins, migrations)[0] == (
        "0002_i.sql: public.i was left invalid by an interrupted build: dropped and built again"
    )
    assert no_twins.recorded() == ["0001_t.sql", "0002_i.sql"]


@pytest.mark.parametrize("constraint", ["UNIQUE (x)", "PRIMARY KEY (x)", "UNIQUE (x) DEFERRABLE"])
def test_the_index_of_a_constraint_never_says_the_same(constraint: str) -> None:
    """Its shape has the constraint behind it."""
    (statement,) = parse_raw("CREATE UNIQUE INDEX CONCURRENTLY i ON t (x)")
    assert says_the_same(statement.node, "UNIQUE btree (x)")
    assert not says_the_same(statement.node, f"UNIQUE btree (x) {constraint}")
    assert not says_the_same(statement.node, "btree (x)")
