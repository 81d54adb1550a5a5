"""The plan: pure, and no disagreement between files and ledger gets past it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.history import HistoryError, OutOfOrderError, TamperedError, VanishedError
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.ledger.table import LedgerRow
from scripts.migrations.plan import plan_migrations

NOW = datetime(2026, 3, 1, 10, 22, 5, tzinfo=UTC)


def files(count: int) -> list[MigrationFile]:
    """0001 … count."""
    return [MigrationFile.of_text(f"{number:04d}_f.sql", f"SELECT {number};") for number in range(1, count + 1)]


def rows(applied: list[MigrationFile]) -> list[LedgerRow]:
    """What the ledger records of them."""
    return [LedgerRow(file.name, file.checksum, NOW) for file in applied]


def test_applied_and_pending() -> None:
    """The recorded files, then the rest, each in order."""
    plan = plan_migrations(files(5), rows(files(3)))
    assert [file.number for file in plan.applied] == [1, 2, 3]
    assert [file.number for file in plan.pending] == [4, 5]
    assert not plan.sums_checked
    assert plan.as_json() == {
        "applied": [{"name": file.name, "checksum": file.checksum} for file in files(3)],
        "pending": [{"name": file.name, "checksum": file.checksum, "no_tx": False} for file in files(5)[3:]],
        "sums_checked": False,
    }


def test_tampered() -> None:
    """The text shows both sums, when it was applied, and the number a new file would take."""
    changed = files(3)
    changed[1] = MigrationFile.of_text("0002_f.sql", "SELECT 'other';")
    changed[2] = MigrationFile.of_text("0003_f.sql", "SELECT 'other';")
    with pytest.raises(TamperedError) as caught:
        plan_migrations(changed, rows(files(3)))
    assert str(caught.value) == (
        "error[tampered]: 0002_f.sql is not the file that was applied\n"
        f"  ledger    sha256:{files(3)[1].checksum}   applied_at 2026-03-01T10:22:05.000000Z\n"
        f"  on disk   sha256:{changed[1].checksum}\n"
        "  likewise  0003_f.sql\n"
        "  help: restore the file from git and put the change in 0004"
    )
    assert caught.value.exit_code == 4


def test_vanished() -> None:
    """A recorded file that is gone (D-19)."""
    with pytest.raises(VanishedError) as caught:
        plan_migrations(files(2), rows(files(4)))
    assert str(caught.value) == (
        "error[vanished]: 0003_f.sql was applied, but is not in the folder\n"
        "  ledger    applied_at 2026-03-01T10:22:05.000000Z\n"
        "  on disk   no such file\n"
        "  likewise  0004_f.sql\n"
        "  help: restore the file from git, or check that MIGRATIONS_DIR and the database belong together"
    )


def test_out_of_order() -> None:
    """A file below the highest recorded one."""
    with pytest.raises(OutOfOrderError) as caught:
        plan_migrations(files(4), [row for row in rows(files(4)) if row.version != "0002_f.sql"])
    assert str(caught.value) == (
        "error[out of order]: 0002_f.sql comes too late\n"
        "  expected  a number above 0004_f.sql, which is applied\n"
        "  found     0002_f.sql\n"
        "  help: rename it to 0005_…: other databases ran without it, in another order"
    )


@given(st.integers(1, 8), st.data())
def test_the_order_they_come_in_is_no_matter(count: int, data: st.DataObject) -> None:
    """Shuffled files and rows give the identical plan."""
    applied = data.draw(st.integers(0, count))
    shuffled = data.draw(st.permutations(files(count)))
    ledger = data.draw(st.permutations(rows(files(applied))))
    assert plan_migrations(shuffled, ledger) == plan_migrations(files(count), rows(files(applied)))


@given(st.integers(2, 8), st.data())
def test_any_tampering_with_what_is_recorded_is_refused(count: int, data: st.DataObject) -> None:
    """Flip a byte of a file or of a sum, drop a file or a row but the last, rename one: always a HistoryError."""
    applied = data.draw(st.integers(2, count))
    on_disk, ledger = files(count), rows(files(applied))
    at = data.draw(st.integers(0, applied - 1))
    match data.draw(st.sampled_from(["byte", "checksum", "drop file", "drop row", "rename file", "rename row"])):
        case "byte":
            text = bytearray(on_disk[at].data)
            position = data.draw(st.integers(0, len(text) - 1))
            text[position] = text[position] ^ 1
            on_disk[at] = MigrationFile.of_text(on_disk[at].name, text.decode())
        case "checksum":
            digits = ledger[at].checksum
            position = data.draw(st.integers(0, 63))
            other = "0" if digits[position] != "0" else "1"
            ledger[at] = LedgerRow(ledger[at].version, digits[:position] + other + digits[position + 1 :], NOW)
        case "drop file":
            del on_disk[at]
        case "drop row":
            at = min(at, applied - 2)  # the last row's loss means "not yet run": that file would be run again
            del ledger[at]
        case "rename file":
            on_disk[at] = MigrationFile.of_text(on_disk[at].name.replace("_f", "_g"), on_disk[at].text)
        case _:
            ledger[at] = LedgerRow(ledger[at].version.replace("_f", "_g"), ledger[at].checksum, NOW)
    with pytest.raises(HistoryError):
        plan_migrations(on_disk, ledger)
