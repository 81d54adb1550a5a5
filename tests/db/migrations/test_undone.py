"""A file without a transaction that makes, drops and makes one thing: it is completed by what it did to it last."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import MadeAgainError, MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

MARK = "-- symphony:no_tx\n"
FAILS = "VACUUM public.nix;"
MADE, GONE = True, False


@dataclass(frozen=True)
class Kind:
    """A kind of thing, and one that is not there yet. present: a query for whether it is."""

    database: ScratchDatabase
    make: str
    drop: str
    drop_if_there: str
    present: str

    def is_there(self) -> bool:
        """Whether it is, in a state to be used."""
        with self.database.connect_admin() as conn:
            return bool(conn.execute(self.present.encode()).fetchone())

    def by_hand(self, text: str) -> None:
        """As a superuser."""
        with self.database.connect_admin() as conn:
            conn.execute(text.encode())

    def recorded(self) -> list[str]:
        """What the ledger, which is the superuser's here, has."""
        with self.database.connect_admin() as conn:
            rows = conn.execute(b"SELECT version FROM public.schema_migrations").fetchall()
        return [version for (version,) in rows]

    def run(self, migrations: MigrationFolder) -> list[str]:
        """Migrate as a superuser, and return the progress lines."""
        told: list[str] = []
        with self.database.connect_admin() as conn:
            migrate(conn, migrations.files(), Settings(), report=told.append)
        return [line for line in told if "superuser" not in line]


@pytest.fixture(params=["index", "database", "tablespace"])
def kind(request: pytest.FixtureRequest, empty_database: ScratchDatabase, databases: Databases) -> Iterator[Kind]:
    """One of each kind in turn; gone afterwards."""
    name = f"undone_{secrets.token_hex(4)}"
    if request.param == "index":
        with empty_database.connect_admin() as conn:
            conn.execute(b"CREATE TABLE public.t (a int)")
        yield Kind(
            empty_database,
            f"CREATE INDEX CONCURRENTLY {name} ON public.t (a)",
            f"DROP INDEX CONCURRENTLY public.{name}",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            f"SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('public.{name}') AND indisvalid",
        )
    elif request.param == "database":
        present = f"SELECT 1 FROM pg_database WHERE datname = '{name}'"
        make, drop = f"CREATE DATABASE {name}", f"DROP DATABASE {name}"
        yield Kind(empty_database, make, drop, f"DROP DATABASE IF EXISTS {name}", present)
        databases.drop(name)
    else:
        data = Path(str(empty_database.value("SELECT current_setting('data_directory')")))
        place = data.parent / name
        place.mkdir()
        os.chown(place, data.stat().st_uid, data.stat().st_gid)
        present = f"SELECT 1 FROM pg_tablespace WHERE spcname = '{name}'"
        make = f"CREATE TABLESPACE {name} LOCATION '{place}'"
        gone = f"DROP TABLESPACE IF EXISTS {name}"
        yield Kind(empty_database, make, f"DROP TABLESPACE {name}", gone, present)
        with databases.admin() as conn:
            conn.execute(gone.encode())
        place.rmdir()


def fails_at_the_end(kind: Kind, migrations: MigrationFolder, *statements: str) -> None:
    """All is done but the last statement, which is then corrected."""
    text = MARK + "".join(f"{statement};\n" for statement in statements)
    migrations.write("0001_a.sql", text + FAILS)
    with pytest.raises(MigrationFailedError, match="nix"):
        kind.run(migrations)
    migrations.write("0001_a.sql", text)


def done(*numbers: int) -> list[str]:
    """What is told of statements that are left as they are."""
    return [f"0001_a.sql: statement {number} was done by an earlier run" for number in numbers]


def test_what_the_file_dropped_and_made_is_no_strangers(kind: Kind, migrations: MigrationFolder) -> None:
    """The third statement was corrected; the run said that somebody else had made what the second one made."""
    fails_at_the_end(kind, migrations, kind.drop_if_there, kind.make)
    assert kind.run(migrations)[0] == done(1)[0]
    assert kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]


def test_what_the_file_made_and_dropped_is_not_made_again(kind: Kind, migrations: MigrationFolder) -> None:
    """It was sent again because it was gone, and then the drop, being done, accused somebody of having made it."""
    fails_at_the_end(kind, migrations, kind.make, kind.drop)
    assert kind.run(migrations)[:2] == done(1, 2)
    assert not kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]


@pytest.mark.parametrize("last", [MADE, GONE])
def test_the_last_word_counts(kind: Kind, migrations: MigrationFolder, *, last: bool) -> None:
    """However often it was made and dropped."""
    words = [kind.make, kind.drop, kind.make, *([] if last else [kind.drop])]
    fails_at_the_end(kind, migrations, *words)
    kind.run(migrations)
    assert kind.is_there() is last
    assert kind.recorded() == ["0001_a.sql"]


def test_what_the_file_made_last_and_is_gone_is_made_again(kind: Kind, migrations: MigrationFolder) -> None:
    """By whom ever: the catalog is believed; and what this run makes is never taken for somebody else's."""
    fails_at_the_end(kind, migrations, kind.drop_if_there, kind.make)
    kind.by_hand(kind.drop)
    kind.run(migrations)
    assert kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]


def test_what_is_gone_before_its_drop_is_made_for_it(kind: Kind, migrations: MigrationFolder) -> None:
    """The drop was never begun, and without the thing it could never be."""
    fails_at_the_end(kind, migrations, kind.make)
    kind.by_hand(kind.drop)
    migrations.write("0001_a.sql", f"{MARK}{kind.make};\n{kind.drop};")
    kind.run(migrations)
    assert not kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]


def test_what_somebody_made_since_still_stays(kind: Kind, migrations: MigrationFolder) -> None:
    """The file's last word on it was the drop: what is there again is theirs, though the file made one, too."""
    fails_at_the_end(kind, migrations, kind.make, kind.drop)
    kind.by_hand(kind.make)
    for _ in range(2):
        with pytest.raises(MadeAgainError, match=r"0001_a\.sql:3:1: .* was taken away by an earlier run"):
            kind.run(migrations)
        assert kind.is_there()


@pytest.mark.parametrize("was_made", [True, False])
def test_a_thing_whose_second_making_was_cut_short(kind: Kind, migrations: MigrationFolder, *, was_made: bool) -> None:
    """Begun, and there or not: that statement finds out, and the drop before it accuses nobody."""
    fails_at_the_end(kind, migrations, kind.drop_if_there, kind.make)
    kind.by_hand("UPDATE public.schema_migrations_journal SET state = 'started', done_at = NULL WHERE statement = 1")
    if not was_made:
        kind.by_hand(kind.drop)
    kind.run(migrations)
    assert kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]


@pytest.mark.parametrize("was_dropped", [True, False])
def test_a_thing_whose_drop_was_cut_short(kind: Kind, migrations: MigrationFolder, *, was_dropped: bool) -> None:
    """Begun: gone or not, it is not made again for it."""
    fails_at_the_end(kind, migrations, kind.make, kind.drop)
    kind.by_hand("UPDATE public.schema_migrations_journal SET state = 'started', done_at = NULL WHERE statement = 1")
    if not was_dropped:
        kind.by_hand(kind.make)
    assert kind.run(migrations)[0] == done(1)[0]
    assert not kind.is_there()
    assert kind.recorded() == ["0001_a.sql"]
