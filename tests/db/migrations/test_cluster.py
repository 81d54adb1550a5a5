"""Databases and tablespaces of files without a transaction: completed after a run that was cut short, or refused."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from scripts.errors.migration import ClusterConflictError, MadeAgainError, MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

MARK = "-- symphony:no_tx\n"


@pytest.fixture
def other(databases: Databases, empty_database: ScratchDatabase) -> Iterator[str]:
    """A name of a database that is not there, which the owner may create; gone afterwards."""
    name = f"made_{secrets.token_hex(4)}"
    with empty_database.connect_admin() as conn:
        conn.execute("ALTER ROLE symphony_owner CREATEDB")
    yield name
    with databases.admin() as conn:
        conn.execute("ALTER ROLE symphony_owner NOCREATEDB")
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            conn.execute("UPDATE pg_database SET datconnlimit = -1, datistemplate = false WHERE datname = %s", (name,))
    databases.drop(name)


def run(database: ScratchDatabase, migrations: MigrationFolder) -> list[str]:
    """Migrate and return the progress lines."""
    told: list[str] = []
    migrate(database.connect(), migrations.files(), Settings(), report=told.append)
    return told


def cut_short(database: ScratchDatabase, migrations: MigrationFolder, statement: str) -> None:
    """As a runner leaves it that is killed while its statement runs: begun in the journal, and not recorded."""
    migrations.write("0001_d.sql", f"{MARK}{statement};\nVACUUM public.nix;")
    with pytest.raises(MigrationFailedError, match="nix"):
        database.apply(migrations.files())
    with database.connect() as conn:
        conn.execute(
            "UPDATE public.schema_migrations_journal SET state = 'started', done_at = NULL WHERE statement = 0"
        )
    migrations.write("0001_d.sql", f"{MARK}{statement};")


def exists(database: ScratchDatabase, name: str) -> bool:
    """Whether there is a database of that name."""
    return bool(database.value("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", name))


@pytest.mark.parametrize(
    "options",
    [
        "",
        " OWNER symphony_owner ENCODING 'utf-8' CONNECTION LIMIT 7 TEMPLATE template0 LOCALE 'C'",
        " ENCODING 6 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc",
        " TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C' IS_TEMPLATE off OWNER DEFAULT",
        " ALLOW_CONNECTIONS on STRATEGY file_copy",
    ],
)
def test_a_database_that_was_made_before_the_run_was_cut_short_is_adopted(
    empty_database: ScratchDatabase, migrations: MigrationFolder, other: str, options: str
) -> None:
    """The server had made it, and nobody heard: the next run finds it as it should be, and records the file."""
    cut_short(empty_database, migrations, f"CREATE DATABASE {other}{options}")
    assert exists(empty_database, other)
    told = run(empty_database, migrations)
    assert told[0] == (
        f"0001_d.sql: database {other} is already there, as the statement makes it: made by an earlier run"
    )
    assert empty_database.recorded() == ["0001_d.sql"]


def test_a_database_that_the_server_took_back_is_made(
    empty_database: ScratchDatabase, databases: Databases, migrations: MigrationFolder, other: str
) -> None:
    """Begun, and not there: the statement is sent again; the same of one that was done, and dropped since."""
    cut_short(empty_database, migrations, f"CREATE DATABASE {other}")
    databases.drop(other)
    run(empty_database, migrations)
    assert exists(empty_database, other)
    assert empty_database.recorded() == ["0001_d.sql"]


def test_a_done_database_that_is_gone_is_made_again(
    empty_database: ScratchDatabase, databases: Databases, migrations: MigrationFolder, other: str
) -> None:
    """The catalog is believed, not the journal."""
    migrations.write("0001_d.sql", f"{MARK}CREATE DATABASE {other};\nVACUUM public.nix;")
    with pytest.raises(MigrationFailedError, match="nix"):
        empty_database.apply(migrations.files())
    databases.drop(other)
    migrations.write("0001_d.sql", f"{MARK}CREATE DATABASE {other};")
    told = run(empty_database, migrations)
    assert told[0] == "0001_d.sql: statement 1 was done by an earlier run, but is not any more: sent again"
    assert exists(empty_database, other)


@pytest.mark.parametrize(
    "change",
    [
        ("CONNECTION LIMIT 8", "connection_limit 7", "connection_limit 8"),
        ("OWNER TO pg_monitor", "owner symphony_owner", "owner pg_monitor"),
        ("IS_TEMPLATE true", "is_template false", "is_template true"),
    ],
)
def test_another_database_of_the_name_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, other: str, change: tuple[str, str, str]
) -> None:
    """Begun, and what is there is not what the statement says: neither adopted nor dropped, and told in four parts."""
    altered, wanted, found = change
    cut_short(empty_database, migrations, f"CREATE DATABASE {other} CONNECTION LIMIT 7 IS_TEMPLATE false")
    with empty_database.connect_admin() as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} ").format(sql.Identifier(other)) + sql.SQL(altered))
    # Twice: that it was begun is not forgotten over the refusal.
    for _ in range(2):
        with pytest.raises(ClusterConflictError) as caught:
            empty_database.apply(migrations.files())
    assert str(caught.value) == (
        f"error[cluster conflict]: 0001_d.sql:2:1: database {other} is there, and is not as the statement makes it\n"
        f"  wanted  {wanted}\n"
        f"  found   {found}\n"
        "  help: find out who made it, or changed it since; drop or alter it, and run again"
    )
    assert caught.value.exit_code == 5
    assert exists(empty_database, other)
    assert empty_database.recorded() == []


def test_a_database_that_somebody_began_to_drop_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, other: str
) -> None:
    """What an interrupted DROP DATABASE leaves is no database: nobody can connect to it."""
    cut_short(empty_database, migrations, f"CREATE DATABASE {other}")
    with empty_database.connect_admin() as conn:
        conn.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s", (other,))
    with pytest.raises(ClusterConflictError) as caught:
        empty_database.apply(migrations.files())
    assert str(caught.value) == (
        f"error[cluster conflict]: 0001_d.sql:2:1: database {other} is there, and cannot be used\n"
        "  wanted  a database to connect to\n"
        "  found   what an interrupted DROP DATABASE left\n"
        "  help: DROP DATABASE ends it; then run again"
    )


def test_a_database_that_was_there_before_is_nobody_elses_to_adopt(
    empty_database: ScratchDatabase, migrations: MigrationFolder, other: str
) -> None:
    """Never begun: the server says 42P04, the text says whose it is not, and the next run says it again."""
    assert other
    migrations.write("0001_d.sql", f"{MARK}CREATE DATABASE postgres;")
    for _ in range(2):
        with pytest.raises(MigrationFailedError, match="it was there before the statement was begun") as caught:
            empty_database.apply(migrations.files())
        assert caught.value.sqlstate == "42P04"


def test_a_drop_that_was_cut_short_is_completed(
    empty_database: ScratchDatabase, databases: Databases, migrations: MigrationFolder, other: str
) -> None:
    """Gone: dropped by the earlier run. Still there: sent again. Never begun and not there: the server says so."""
    with empty_database.connect() as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other)))
    cut_short(empty_database, migrations, f"DROP DATABASE {other}")
    told = run(empty_database, migrations)
    assert told[0] == f"0001_d.sql: database {other} is already gone: dropped by an earlier run"
    migrations.write("0002_d.sql", f"{MARK}DROP DATABASE {other};")
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files())
    assert caught.value.sqlstate == "3D000"
    assert databases


def test_a_database_that_is_there_again_stays(
    empty_database: ScratchDatabase, migrations: MigrationFolder, other: str
) -> None:
    """The drop is done, the file did not end; what somebody made since under that name is not dropped."""
    make = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other))
    with empty_database.connect() as conn:
        conn.execute(make)
        migrations.write("0001_d.sql", f"{MARK}DROP DATABASE {other};\nVACUUM public.nix;")
        with pytest.raises(MigrationFailedError, match="nix"):
            empty_database.apply(migrations.files())
        conn.execute(make)
    words = f"database {other} was taken away by an earlier run, and is there again\n  found  there"
    for _ in range(2):
        with pytest.raises(MadeAgainError, match=words):
            empty_database.apply(migrations.files())
        assert exists(empty_database, other)


def test_a_tablespace_is_adopted_by_place_and_owner(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Made by the run that was cut short: adopted; somewhere else, or somebody else's: refused; a drop is completed."""
    name = f"space_{secrets.token_hex(4)}"
    data = Path(empty_database.value("SELECT current_setting('data_directory')"))
    place = data.parent / name
    place.mkdir()
    os.chown(place, data.stat().st_uid, data.stat().st_gid)
    admin = empty_database.connect_admin()

    def apply() -> list[str]:
        told: list[str] = []
        migrate(admin, migrations.files(), Settings(), report=told.append)
        return told

    migrations.write("0001_s.sql", f"{MARK}CREATE TABLESPACE {name} LOCATION '{place}';\nVACUUM public.nix;")
    try:
        with pytest.raises(MigrationFailedError, match="nix"):
            apply()
        begin: Any = "UPDATE public.schema_migrations_journal SET state = 'started', done_at = NULL WHERE statement = 0"
        admin.execute(begin)
        migrations.write("0001_s.sql", f"{MARK}CREATE TABLESPACE {name} LOCATION '{place}';")
        admin.execute(f"ALTER TABLESPACE {name} OWNER TO pg_monitor".encode())
        with pytest.raises(ClusterConflictError, match="found   owner pg_monitor"):
            apply()
        admin.execute(f"ALTER TABLESPACE {name} OWNER TO CURRENT_USER".encode())
        assert (
            "0001_s.sql: tablespace " + name + " is already there, as the statement makes it: made by an earlier run"
            in apply()
        )
        migrations.write("0002_s.sql", f"{MARK}CREATE TABLESPACE {name} LOCATION '{place}';")
        with pytest.raises(MigrationFailedError) as caught:
            apply()
        assert caught.value.sqlstate == "42710"
    finally:
        admin.execute(f"DROP TABLESPACE IF EXISTS {name}".encode())
        place.rmdir()
