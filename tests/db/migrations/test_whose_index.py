"""What somebody else left, or made again, under a name of ours stays; what is ours is known by its definition alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from db.migrations.hand_runs import MARK, begun, execute, oid, run, spoil

from scripts.errors.migration import IndexConflictError, MadeAgainError, MigrationFailedError
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

TABLE = """
CREATE TABLE public.t (x int, y int, w text);
INSERT INTO public.t VALUES (1, 1, 'a'), (2, 1, 'b');
CREATE FUNCTION public.f(public.t) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1.x';
CREATE FUNCTION public.g(record) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
"""


@pytest.fixture
def table(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """0001 made public.t, whose y is not unique."""
    migrations.write("0001_t.sql", TABLE)
    empty_database.apply(migrations.files())
    return empty_database


def test_an_invalid_index_of_another_definition_is_somebody_elses(
    table: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The statement had been begun, and made nothing; what a failed build by hand left there was dropped as ours."""
    begun(table, migrations, "CREATE INDEX CONCURRENTLY i ON public.t (x)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(table, "CREATE UNIQUE INDEX CONCURRENTLY i ON public.t (y) WHERE x > 0")
    theirs = oid(table, "public.i")
    for _ in range(2):
        with pytest.raises(IndexConflictError) as caught:
            table.apply(migrations.files())
        assert str(caught.value) == (
            "error[index conflict]: 0002_i.sql:2:1: public.i is there with another definition\n"
            "  wanted  CREATE INDEX i ON public.t USING btree (x)\n"
            "  found   CREATE UNIQUE INDEX i ON public.t USING btree (y) WHERE (x > 0)\n"
            "  help: find out who made it; drop it with DROP INDEX CONCURRENTLY, or rename it, and run again"
        )
        assert oid(table, "public.i") == theirs
    execute(table, "DROP INDEX public.i")
    table.apply(migrations.files())
    assert table.recorded() == ["0001_t.sql", "0002_i.sql"]


def test_an_invalid_index_of_our_definition_is_rebuilt(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The neighbour of the one above: nothing tells it from the rest of our own build."""
    begun(table, migrations, "CREATE INDEX CONCURRENTLY i ON public.t (x)")
    execute(table, "CREATE INDEX i ON public.t (x)")
    spoil(table, "i")
    assert "public.i was left invalid by an interrupted build: dropped and built again" in run(table, migrations)[0]
    assert table.recorded() == ["0001_t.sql", "0002_i.sql"]


@pytest.mark.parametrize("dropped", ["public.i", "i"])
def test_a_dropped_index_that_is_there_again_stays(
    table: ScratchDatabase, migrations: MigrationFolder, dropped: str
) -> None:
    """The drop is done, the build behind it failed; the index that somebody made since was dropped, too."""
    execute(table, "CREATE INDEX i ON public.t (x)")
    migrations.write(
        "0002_d.sql",
        f"{MARK}DROP INDEX CONCURRENTLY {dropped};\nCREATE UNIQUE INDEX CONCURRENTLY j ON public.t (y);",
    )
    with pytest.raises(MigrationFailedError, match="duplicate"):
        table.apply(migrations.files())
    execute(table, "CREATE INDEX i ON public.t (w); UPDATE public.t SET y = x")
    theirs = oid(table, "public.i")
    name = ".".join(f'"{part}"' for part in dropped.split("."))
    for _ in range(2):
        with pytest.raises(MadeAgainError) as caught:
            table.apply(migrations.files())
        assert str(caught.value) == (
            f"error[made again]: 0002_d.sql:2:1: index {name} was taken away by an earlier run, and is there again\n"
            "  found  CREATE INDEX i ON public.t USING btree (w)\n"
            "  help: somebody else made it since, so the run leaves it alone: find out who; take it away or rename it"
            " by hand, and run again"
        )
        assert oid(table, "public.i") == theirs
    execute(table, "ALTER INDEX public.i RENAME TO theirs")
    assert "statement 1 was done by an earlier run" in run(table, migrations)[0]
    assert oid(table, "public.theirs") == theirs


def test_a_file_that_drops_and_builds_one_name_goes_on(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The index that is there again may be the file's own, further down."""
    execute(table, "CREATE INDEX i ON public.t (x)")
    migrations.write(
        "0002_d.sql",
        f"{MARK}DROP INDEX CONCURRENTLY public.i;\nCREATE INDEX CONCURRENTLY i ON public.t (w);\n"
        "CREATE UNIQUE INDEX CONCURRENTLY j ON public.t (y);",
    )
    with pytest.raises(MigrationFailedError, match="duplicate"):
        table.apply(migrations.files())
    execute(table, "UPDATE public.t SET y = x")
    run(table, migrations)
    assert table.recorded() == ["0001_t.sql", "0002_d.sql"]


def test_a_partition_that_is_attached_again_stays(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """DETACH takes away, too; it would be sent again."""
    execute(
        table,
        "CREATE TABLE public.p (a int) PARTITION BY LIST (a);"
        "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES IN (1)",
    )
    migrations.write(
        "0002_d.sql",
        f"{MARK}ALTER TABLE public.p DETACH PARTITION public.p1 CONCURRENTLY;\n"
        "CREATE UNIQUE INDEX CONCURRENTLY j ON public.t (y);",
    )
    with pytest.raises(MigrationFailedError, match="duplicate"):
        table.apply(migrations.files())
    execute(table, "ALTER TABLE public.p ATTACH PARTITION public.p1 FOR VALUES IN (1)")
    words = 'partition "public"."p1" of "public"."p" was taken away by an earlier run, and is there again'
    for _ in range(2):
        with pytest.raises(MadeAgainError, match=words):
            table.apply(migrations.files())


WHOLE_ROW = [
    "(public.f(t))",
    "(public.f(t.*), x)",
    "((t))",
    "((t.*) DESC NULLS FIRST, y)",
    "((public.f(t) + (t).y))",
    "((t.x), ((t).y), (x(t)), (t.f))",
    "(x) WHERE t IS NOT NULL AND public.f(t) > 0",
    "(public.g(t), public.g(ROW(t.*, 1)), public.g(ROW(t)))",
    "(coalesce(t, NULL))",
]


@pytest.mark.parametrize("keys", WHOLE_ROW)
def test_an_index_on_the_whole_row_is_compared(table: ScratchDatabase, migrations: MigrationFolder, keys: str) -> None:
    """Killed before its end was noted, a valid index of the row is taken over; it was refused, for want of a twin."""
    execute(table, "SET search_path = public, pg_temp")
    begun(table, migrations, f"CREATE INDEX CONCURRENTLY i ON public.t {keys}")
    execute(table, f"CREATE INDEX i ON public.t {keys}")
    assert "public.i is already there, valid and of this definition: adopted" in run(table, migrations)[0]
    assert table.recorded() == ["0001_t.sql", "0002_i.sql"]


def test_the_rest_of_an_index_on_the_whole_row_is_rebuilt(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Cut short by a writer in the way, it is left invalid, known again, and built."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY i ON public.t (public.f(t));")
    writer = table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (3, 3, 'c')")
    with pytest.raises(MigrationFailedError):
        table.apply(migrations.files(), Settings(index_timeout_ms=300))
    writer.commit()
    assert not table.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.i'::regclass")
    assert "dropped and built again" in run(table, migrations)[0]
    assert table.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.i'::regclass")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("(public.f(t))", "(public.f(ROW(x, y, w)::public.t))"),
        ("((t))", "((t) DESC)"),
        ("(x) WHERE t IS NOT NULL", "(x) WHERE t IS NULL"),
        ("(public.g(t))", "(public.g(ROW(t.*)))"),
    ],
)
def test_another_index_on_the_whole_row_stops_the_run(
    table: ScratchDatabase, migrations: MigrationFolder, ours: str, theirs: str
) -> None:
    """Both definitions are told, in the server's words for the row."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY i ON public.t {ours};")
    execute(table, f"CREATE INDEX i ON public.t {theirs}")
    with pytest.raises(IndexConflictError, match="with another definition") as caught:
        table.apply(migrations.files())
    assert "t.*" in dict(caught.value.facts)["wanted"]
    assert "twin" not in str(caught.value)


def test_a_table_with_a_column_of_its_own_name(table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Then the name means the column, and nothing is the row."""
    execute(table, 'CREATE TABLE public."T x" ("T x" int)')
    migrations.write("0002_i.sql", f'{MARK}CREATE INDEX CONCURRENTLY i ON public."T x" (abs("T x"));')
    execute(table, 'CREATE INDEX i ON public."T x" (abs("T x"))')
    assert "adopted" in run(table, migrations)[0]


@pytest.fixture
def elsewhere(databases: Databases, empty_database: ScratchDatabase) -> Iterator[str]:
    """A tablespace that the owner may use; gone afterwards."""
    name = f"ts_{secrets.token_hex(4)}"
    place = Path("/dev/shm") / name  # noqa: S108 - the server's user must reach it
    place.mkdir()
    owner = Path(str(empty_database.value("SELECT setting FROM pg_settings WHERE name = 'data_directory'"))).stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    with databases.admin() as conn:
        conn.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'".encode())
        conn.execute(f"GRANT CREATE ON TABLESPACE {name} TO symphony_owner".encode())
    yield name
    execute(empty_database, "DROP INDEX IF EXISTS public.i")
    with databases.admin() as conn:
        conn.execute(f"DROP TABLESPACE {name}".encode())
    place.rmdir()


def test_an_index_in_another_tablespace_is_another(
    table: ScratchDatabase, migrations: MigrationFolder, elsewhere: str
) -> None:
    """Where the statement names a tablespace, an index that lies elsewhere is not what it builds."""
    build = f"{MARK}CREATE INDEX CONCURRENTLY i ON public.t (x) TABLESPACE {elsewhere};"
    migrations.write("0002_i.sql", build)
    execute(table, "CREATE INDEX i ON public.t (x)")
    with pytest.raises(IndexConflictError) as caught:
        table.apply(migrations.files())
    assert dict(caught.value.facts) == {
        "wanted": f"CREATE INDEX i ON public.t USING btree (x) TABLESPACE {elsewhere}",
        "found": "CREATE INDEX i ON public.t USING btree (x) TABLESPACE pg_default",
    }
    execute(table, f"ALTER INDEX public.i SET TABLESPACE {elsewhere}")
    assert "adopted" in run(table, migrations)[0]


@pytest.mark.parametrize("named", ["", " TABLESPACE pg_default"])
def test_an_index_in_the_tablespace_that_is_meant_is_adopted(
    table: ScratchDatabase, migrations: MigrationFolder, elsewhere: str, named: str
) -> None:
    """The database's own tablespace by its name; and where none is named, any."""
    migrations.write("0002_i.sql", f"{MARK}CREATE INDEX CONCURRENTLY i ON public.t (x){named};")
    execute(table, f"CREATE INDEX i ON public.t (x){named or f' TABLESPACE {elsewhere}'}")
    assert "adopted" in run(table, migrations)[0]
