"""Who works on an index that is not valid: whoever is seen to, and nobody who merely holds its table."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from scripts.errors.migration import IndexConflictError, InvalidIndexError, MigrationFailedError
from scripts.migrations.no_tx.indexes.builders import Builder
from scripts.migrations.no_tx.indexes.invalid import invalid_indexes, reindex_leftovers
from scripts.migrations.no_tx.indexes.state import find_index
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

TABLE = "CREATE TABLE public.t (id int, a text);\nINSERT INTO public.t SELECT g, 'k' || g FROM generate_series(1, 9) g;"
BUILD = "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY gi ON public.t (a);"
IDLE = [
    "COMMENT ON TABLE public.t IS 'x'",
    "ANALYZE public.t",
    "ALTER TABLE public.t ALTER a SET STATISTICS 5",
    "COMMENT ON TABLE public.t IS 'x'; COMMENT ON INDEX public.gi IS 'x'",
]
idle = pytest.mark.parametrize("touched", IDLE, ids=["comment", "analyze", "statistics", "comments on both"])


@pytest.fixture
def invalid(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """0001 made public.t; by hand, public.gi was left invalid on it."""
    migrations.write("0001_t.sql", TABLE)
    empty_database.apply(migrations.files())
    with empty_database.connect() as conn:
        conn.execute("CREATE INDEX gi ON public.t (a)")
    spoil(empty_database, "gi")
    return empty_database


def spoil(database: ScratchDatabase, index: str) -> None:
    """As an interrupted build leaves it."""
    with database.connect_admin() as conn:
        conn.execute(b"UPDATE pg_index SET indisvalid = false WHERE indexrelid = %b::regclass" % f"'{index}'".encode())


@contextmanager
def copied(database: ScratchDatabase, databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's open transaction in a copy of the database, in which every relation has the number it has here."""
    name = f"{database.name}_copy"
    database.close()
    with databases.admin() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {database.name}".encode())
    try:
        with psycopg.connect(make_conninfo(database.admin_dsn, dbname=name)) as conn:
            yield conn
            conn.rollback()
    finally:
        databases.drop(name)


# What another role's session with locks on both does is hidden: it is waited for.
@pytest.mark.parametrize(
    ("touched", "as_admin"), [*((touched, False) for touched in IDLE), *((touched, True) for touched in IDLE[:-1])]
)
def test_a_session_that_only_holds_the_table_hides_nothing(
    invalid: ScratchDatabase, migrations: MigrationFolder, touched: str, *, as_admin: bool
) -> None:
    """Every SHARE UPDATE EXCLUSIVE lock was taken for a build: the sweep was green over an index that nobody builds."""
    other = invalid.connect_admin(autocommit=False) if as_admin else invalid.connect(autocommit=False)
    other.execute(touched.encode())
    with pytest.raises(InvalidIndexError, match=r"public\.gi on public\.t"):
        invalid.apply(migrations.files())


@idle
def test_nobody_is_said_to_build_who_does_not(
    invalid: ScratchDatabase, migrations: MigrationFolder, migrating: Callable[..., Any], touched: str
) -> None:
    """It waits for the table as anybody would, with the words of such a wait, and then rebuilds."""
    migrations.write("0002_i.sql", BUILD)
    other = invalid.connect(autocommit=False)
    other.execute(touched.encode())
    with pytest.raises(MigrationFailedError) as caught:
        invalid.apply(migrations.files(), Settings(index_timeout_ms=600, lock_attempts=1))
    assert caught.value.sqlstate in ("55P03", "57014")
    assert f"pid {other.info.backend_pid}" in dict(caught.value.facts)["in the way"]
    assert "being built" not in str(caught.value)

    call = migrating(invalid, migrations)
    call.until_told("waiting")
    other.commit()
    call.join()
    assert not [line for line in call.told if "being built" in line]
    assert any("public.gi was left invalid by an interrupted build" in line for line in call.told)
    assert invalid_indexes(invalid.connect()) == ()


def test_a_lock_in_a_copy_of_the_database_hides_nothing(
    invalid: ScratchDatabase, migrations: MigrationFolder, databases: Databases
) -> None:
    """A copy has the numbers of its template: a lock there is none here."""
    with copied(invalid, databases) as there:
        there.execute("COMMENT ON TABLE public.t IS 'x'; COMMENT ON INDEX public.gi IS 'x'")
        there.execute("LOCK TABLE public.t IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(InvalidIndexError, match=r"public\.gi on public\.t"):
            invalid.apply(migrations.files())
        here = invalid.connect()
        found = find_index(here, "public", "gi")
        assert found is not None
        assert found.builder is None


def test_a_lock_in_a_copy_does_not_keep_what_a_reindex_left(invalid: ScratchDatabase, databases: Databases) -> None:
    """The rest of an interrupted REINDEX is found beside a copy that is being worked on."""
    with invalid.connect() as conn:
        conn.execute("CREATE INDEX keep ON public.t (id); CREATE INDEX keep_ccnew ON public.t (id)")
    spoil(invalid, "keep_ccnew")
    with copied(invalid, databases) as there:
        there.execute("COMMENT ON TABLE public.t IS 'x'")
        assert reindex_leftovers(invalid.connect(), '"public"."t"') == [("public", "keep_ccnew")]


@pytest.mark.parametrize("as_admin", [False, True], ids=["our role", "another role"])
def test_a_drop_by_another_session_is_waited_for(
    invalid: ScratchDatabase,
    migrations: MigrationFolder,
    background: Callable[..., Any],
    migrating: Callable[..., Any],
    *,
    as_admin: bool,
) -> None:
    """DROP INDEX CONCURRENTLY is in no progress view; it holds the index itself, and that is all that is said of it."""
    reader = invalid.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.t")
    dropping = invalid.connect_admin() if as_admin else invalid.connect()
    theirs = background(lambda: dropping.execute("DROP INDEX CONCURRENTLY public.gi"))
    theirs.until(lambda: invalid.value("SELECT true FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted"))
    assert invalid_indexes(invalid.connect()) == ()
    migrations.write("0002_i.sql", BUILD)
    words = f"pid {dropping.info.backend_pid} holds it and its table, as DROP and REINDEX do"
    with pytest.raises(IndexConflictError) as caught:
        invalid.apply(migrations.files(), Settings(index_timeout_ms=300))
    told = str(caught.value).split("waited   ")
    assert told[0] == (
        f"error[index conflict]: 0002_i.sql:2:1: public.gi may be another session's work still\n  builder  {words}\n  "
    )
    ours = migrating(invalid, migrations)
    ours.until_told(f"public.gi is not valid, and {words}: waiting for it")
    reader.commit()
    theirs.join()
    ours.join()
    assert invalid.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.gi'::regclass")


@pytest.mark.parametrize("as_admin", [False, True], ids=["our role", "another role"])
def test_a_reindex_by_another_session_is_no_invalid_index(
    invalid: ScratchDatabase, background: Callable[..., Any], *, as_admin: bool
) -> None:
    """REINDEX TABLE CONCURRENTLY builds several twins, TOAST's too: none of them is anybody's rest while it runs."""
    with invalid.connect() as conn:
        conn.execute("DROP INDEX public.gi; CREATE INDEX one ON public.t (a); CREATE INDEX two ON public.t (id)")
    writer = invalid.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    rebuilding = invalid.connect_admin() if as_admin else invalid.connect()
    theirs = background(lambda: rebuilding.execute("REINDEX TABLE CONCURRENTLY public.t"))
    # Not one, two and TOAST's.
    theirs.until(lambda: invalid.value("SELECT count(*) = 3 FROM pg_index WHERE NOT indisvalid"))
    with invalid.connect() as conn:
        assert invalid_indexes(conn) == ()
        assert reindex_leftovers(conn, '"public"."t"') == []
    writer.commit()
    theirs.join()


def test_a_build_of_another_index_of_the_table_hides_nothing(
    invalid: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """Which index is built, the server says: a table can have one build at a time, so the other index is nobody's."""
    writer = invalid.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    theirs = background(lambda: invalid.connect().execute("CREATE INDEX CONCURRENTLY other ON public.t (id)"))
    theirs.until(lambda: invalid.value("SELECT index_relid <> 0 FROM pg_stat_progress_create_index"))
    with pytest.raises(InvalidIndexError) as caught:
        invalid.apply(migrations.files())
    assert dict(caught.value.facts)["found"] == "public.gi on public.t"
    writer.commit()
    theirs.join()


def test_what_was_done_to_the_index_and_is_not_committed_is_waited_for(invalid: ScratchDatabase) -> None:
    """A REINDEX in an open transaction has made it valid for nobody else yet."""
    other = invalid.connect(autocommit=False)
    other.execute("REINDEX INDEX public.gi")
    with invalid.connect() as conn:
        found = find_index(conn, "public", "gi")
        assert found is not None
        assert found.builder == Builder(other.info.backend_pid, "holds")
        other.commit()
        assert invalid_indexes(conn) == ()


def test_a_session_that_tells_the_server_nothing_is_waited_for(
    invalid: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Without track_activities a build shows nowhere: whoever holds the table may be building, and no more is said."""
    with invalid.connect_admin() as conn:
        conn.execute(f"ALTER DATABASE {invalid.name} SET track_activities = off".encode())
    other = invalid.connect(autocommit=False)
    other.execute("COMMENT ON TABLE public.t IS 'x'")
    migrations.write("0002_i.sql", BUILD)
    with pytest.raises(IndexConflictError, match="may be another session's work still") as caught:
        invalid.apply(migrations.files(), Settings(index_timeout_ms=300))
    assert dict(caught.value.facts)["builder"] == (
        f"pid {other.info.backend_pid} holds its table; what it does there is not known, for its activities are not"
        " tracked"
    )
