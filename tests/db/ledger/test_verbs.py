"""The verbs `ledger.verify`, `ledger.accept`, `ledger.abandon` and `status`: what they say, and what they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from make_voices import Heard

from scripts.errors.base import ExitCode
from scripts.errors.ledger import LedgerChainError, RepairRefusedError
from scripts.errors.migration import MigrationFailedError
from scripts.errors.settings import UsageError
from scripts.migrations.ledger.table import read_ledger
from scripts.run.commands import COMMANDS
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

REASON = "a typing error in a comment"


@pytest.fixture
def two(empty_database: ScratchDatabase, migrations: MigrationFolder) -> Settings:
    """Two files, applied, and the settings that reach them."""
    for number in (1, 2):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (a int);")
    empty_database.apply(migrations.files())
    return Settings(
        fresh_db=False, server="external", database_url=empty_database.url, migrations_dir=migrations.folder
    )


def test_a_ledger_that_is_whole(two: Settings, empty_database: ScratchDatabase) -> None:
    """Counted, with the head that can be kept elsewhere and handed in again."""
    heard = Heard()
    assert COMMANDS["ledger.verify"](two, heard.voice()) == ExitCode.PASSED
    with empty_database.connect() as conn:
        head = read_ledger(conn).head
    assert head is not None
    assert heard.text == f"2 rows, 2 records, 2 traces: one chain, nothing changed\nhead 2:{head.hash}"
    assert COMMANDS["ledger.verify"](two, Heard().voice(), head=f"2:{head.hash}") == ExitCode.PASSED
    heard = Heard()
    COMMANDS["ledger.verify"](two, heard.voice(json=True))
    assert json.loads(heard.text) == {"rows": 2, "records": 2, "traces": 2, "head": head.hash}


def test_a_chain_that_was_cut_is_told_by_its_head(two: Settings, empty_database: ScratchDatabase) -> None:
    """Row and record of the last file removed together: only the head that was kept elsewhere tells."""
    with empty_database.connect() as conn:
        head = read_ledger(conn).head
        conn.execute("DELETE FROM schema_migrations WHERE version = '0002_t.sql'")
        conn.execute("DELETE FROM schema_migrations_history WHERE seq = 2")
    assert head is not None
    assert COMMANDS["ledger.verify"](two, Heard().voice()) == ExitCode.PASSED
    with pytest.raises(LedgerChainError) as caught:
        COMMANDS["ledger.verify"](two, Heard().voice(), head=f"2:{head.hash}")
    assert str(caught.value).startswith(
        "error[ledger chain]: public.schema_migrations_history: the ledger's history was rewritten or cut since its "
        f"head was noted\n  expected  record 2 with hash {head.hash}\n  found     1 records\n"
    )
    with pytest.raises(LedgerChainError, match="found     hash"):
        COMMANDS["ledger.verify"](two, Heard().voice(), head=f"1:{head.hash}")


@pytest.mark.parametrize("head", ["2", "0:" + "a" * 64, "2:" + "A" * 64, "2:" + "a" * 63, "two:" + "a" * 64])
def test_a_head_of_another_form(two: Settings, head: str) -> None:
    """Exit 2, before anything is asked."""
    with pytest.raises(UsageError) as caught:
        COMMANDS["ledger.verify"](two, Heard().voice(), head=head)
    assert str(caught.value) == (
        "error[usage]: not the head of a chain\n"
        "  expected  NUMBER:HASH, as `invoke ledger.verify` and evidence have it\n"
        f"  found     {head!r}\n"
        "  help: copy the line from the evidence of an earlier run"
    )


@pytest.mark.parametrize("verb", ["ledger.verify", "ledger.accept", "ledger.abandon"])
def test_a_fresh_database_has_no_ledger_to_look_at(verb: str) -> None:
    """With FRESH_DB=1 there is nothing that anybody could have changed: a mistake of the caller."""
    options = {} if verb == "ledger.verify" else {"file": "0001_t.sql", "reason": REASON}
    with pytest.raises(UsageError) as caught:
        COMMANDS[verb](Settings(), Heard().voice(), **options)
    assert str(caught.value) == (
        f"error[usage]: `invoke {verb}` works on a database that exists\n"
        "  expected  FRESH_DB=0 with DATABASE_URL\n"
        "  found     FRESH_DB=1\n"
        "  help: set FRESH_DB=0, and DATABASE_URL to the database"
    )


def test_no_ledger_and_no_history(two: Settings, empty_database: ScratchDatabase) -> None:
    """An older ledger, then none at all: each told as what it is, and never passed."""
    with empty_database.connect() as conn:
        conn.execute("DROP TABLE schema_migrations_history, schema_migrations_journal")
    with pytest.raises(RepairRefusedError, match="the ledger has no history"):
        COMMANDS["ledger.verify"](two, Heard().voice())
    with empty_database.connect() as conn:
        conn.execute("DROP TABLE schema_migrations")
    with pytest.raises(RepairRefusedError, match="there is no ledger in this database"):
        COMMANDS["ledger.verify"](two, Heard().voice())


def test_accepting_says_what_was_recorded(two: Settings, migrations: MigrationFolder) -> None:
    """Number, who, when, both sums and the reason, as text and as JSON."""
    before = migrations.files()[1].checksum
    migrations.write("0002_t.sql", "-- two\nCREATE TABLE public.t2 (a int);")
    now = migrations.files()[1].checksum
    heard = Heard()
    assert COMMANDS["ledger.accept"](two, heard.voice(), file="0002_t.sql", reason=REASON) == ExitCode.PASSED
    assert heard.text.startswith("record 3: accepted 0002_t.sql, by symphony_owner at 20")
    assert heard.text.endswith(f"\n  before  {before}\n  now     {now}\n  reason  {REASON}")
    migrations.write("0002_t.sql", "-- three\nCREATE TABLE public.t2 (a int);")
    heard = Heard()
    COMMANDS["ledger.accept"](two, heard.voice(json=True), file="0002_t.sql", reason=REASON)
    document = json.loads(heard.text)
    assert (document["seq"], document["replaces"], document["recorded_by"]) == (4, now, "symphony_owner")


def test_status_tells_a_half_done_file_and_abandon_forgets_it(
    two: Settings, empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """How many statements are done, and which one was begun; after giving it up the file is pending again."""
    migrations.write(
        "0003_i.sql",
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i1 ON public.t1 (a);\n"
        "CREATE INDEX CONCURRENTLY i2 ON public.t2 (nix);\nCREATE INDEX CONCURRENTLY i3 ON public.t2 (a);",
    )
    with pytest.raises(MigrationFailedError):
        empty_database.apply(migrations.files())
    heard = Heard()
    COMMANDS["status"](two, heard.voice())
    assert "0003_i.sql   half done: 1 of 3 statements; the next run goes on from there" in heard.text
    with empty_database.connect() as conn:  # as a run that is killed leaves it
        conn.execute("INSERT INTO schema_migrations_journal VALUES ('0003_i.sql', 1, 'x', 'started', now())")
    heard = Heard()
    COMMANDS["status"](two, heard.voice())
    assert "half done: 1 of 3 statements, statement 2 was begun; the next run goes on from there" in heard.text
    heard = Heard()
    COMMANDS["status"](two, heard.voice(json=True))
    assert json.loads(heard.text)["half_done"] == {"0003_i.sql": {"done": 1, "begun": 2}}
    heard = Heard()
    assert COMMANDS["ledger.abandon"](two, heard.voice(), file="0003_i.sql", reason=REASON) == ExitCode.PASSED
    assert heard.text.startswith("record 3: abandoned 0003_i.sql, by symphony_owner at 20")
    heard = Heard()
    COMMANDS["status"](two, heard.voice())
    assert "0003_i.sql   pending" in heard.text
