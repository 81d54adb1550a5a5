"""The ledger's history is a chain: whatever is changed, removed or put in by hand does not fit any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.ledger import LedgerChainError
from scripts.migrations.ledger.chain import GENESIS, Entry, Head, Record, Row, audit, hash_prefix, record_hash

HISTORY = "error[ledger chain]: public.schema_migrations_history"
WHEN = "2026-03-01T10:22:05.000001Z"


def made(entries: list[Entry]) -> tuple[list[Row], list[Record]]:
    """Rows and records as the database would hold them."""
    rows: list[Row] = []
    records: list[Record] = []
    previous = GENESIS
    for seq, entry in enumerate(entries, start=1):
        record = Record(
            seq,
            entry.kind,
            entry.version,
            entry.checksum,
            entry.replaces,
            entry.statements_digest,
            WHEN,
            entry.recorded_by,
            entry.reason,
            entry.trace_digest,
            previous,
            "",
            fits_row=entry.kind in ("applied", "adopted"),
        )
        record = record._replace(hash=record_hash(record))
        previous = record.hash
        records.append(record)
        if entry.kind in ("applied", "adopted"):
            rows.append(Row(entry.version, entry.checksum, datetime(2026, 3, 1, tzinfo=UTC)))
    return rows, records


def applied(count: int) -> list[Entry]:
    """Files that ran, one after the other."""
    return [Entry("applied", f"{n:04d}_f.sql", f"{n:064x}", "owner", f"{n + 1:064x}") for n in range(1, count + 1)]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.builds(Entry, st.just("applied"), texts, texts, texts, texts, texts, texts, texts), max_size=6))
def test_whatever_is_recorded_is_a_chain(entries: list[Entry]) -> None:
    """Any texts at all: the audit passes, and its head is the last record's."""
    entries = [replace(entry, version=f"{number}{entry.version}") for number, entry in enumerate(entries)]
    rows, records = made(entries)
    assert audit(rows[::-1], records[::-1]) == (Head(len(records), records[-1].hash) if records else Head())


@given(st.data())
def test_any_change_of_any_field_is_found(data: st.DataObject) -> None:
    """One field of one record, or of one row, is given another value: refused."""
    rows, records = made(applied(5))
    index = data.draw(st.integers(0, 4))
    changed: Any
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(list(Record._fields)))
        old = getattr(records[index], name)
        changed = not old if isinstance(old, bool) else old + 7 if isinstance(old, int) else old + "x"
        records[index] = records[index]._replace(**{name: changed})
    else:
        name = data.draw(st.sampled_from(["version", "checksum"]))
        rows[index] = replace(rows[index], **{name: getattr(rows[index], name) + "x"})
    with pytest.raises(LedgerChainError):
        audit(rows, records)


@given(st.data())
def test_anything_removed_or_doubled_is_found(data: st.DataObject) -> None:
    """A row or a record that is gone, or there twice under another name; save the end of both at once."""
    rows, records = made(applied(5))
    index = data.draw(st.integers(0, 4))
    what = data.draw(st.sampled_from(["row", "record", "both", "strange row", "strange record"]))
    if what in ("row", "both"):
        del rows[index]
    if what in ("record", "both"):
        del records[index]
    if what == "strange row":
        rows.append(Row("9999_x.sql", "0" * 64, None))
    if what == "strange record":
        records.append(records[index]._replace(seq=6))
    if what == "both" and index == 4:
        # The one thing that a chain cannot tell; the head in the evidence of an earlier run can.
        assert audit(rows, records).seq == 4
        return
    with pytest.raises(LedgerChainError):
        audit(rows, records)


@given(st.lists(texts, min_size=10, max_size=10), st.lists(texts, min_size=10, max_size=10))
def test_no_field_runs_into_the_next(one: list[str], other: list[str]) -> None:
    """Two records with different fields never give the same bytes to hash."""

    def prefix(values: list[str]) -> bytes:
        entry = Record(
            1,
            values[0],
            values[1],
            values[2],
            values[3],
            values[4],
            WHEN,
            values[5],
            values[6],
            values[7],
            "",
            "",
            True,
        )
        return hash_prefix(1, values[8], entry)

    assert (prefix(one) == prefix(other)) == (one[:9] == other[:9])


def test_a_hash_can_be_made_by_hand() -> None:
    """The recipe of the documentation, with nothing of ours: netstrings, then sha256."""
    import hashlib

    (record,) = made([Entry("applied", "0001_ä.sql", "c", "owner as dba", "d", reason="why,", trace="{}")])[1]
    values = (
        GENESIS, "1", "applied", "0001_ä.sql", "c", "", "d", "owner as dba", "why,",
        hashlib.sha256(b"{}").hexdigest(), WHEN,
    )  # fmt: skip
    text = b"".join(str(len(v.encode())).encode() + b":" + v.encode() + b"," for v in values)
    assert record.hash == hashlib.sha256(text).hexdigest()


def test_a_record_of_another_kind_needs_no_row() -> None:
    """Accepted and abandoned files: records beside the rows."""
    entries = [
        *applied(1),
        Entry("accepted", "0001_f.sql", "e" * 64, "owner", replaces="1"),
        Entry("abandoned", "0002", "", "o"),
    ]
    rows, records = made(entries)
    assert audit(rows, records).seq == 3


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (
            lambda _, records: records.pop(1),
            (f"{HISTORY}: record 2 is missing from the ledger's history\n  expected  record 2\n  found     record 3\n"),
        ),
        (
            lambda _, records: records.__setitem__(1, records[1]._replace(previous_hash=GENESIS)),
            (
                f"{HISTORY}: record 2 of 0002_f.sql does not follow record 1\n"
                "  expected  the hash of record 1\n"
                "  found     another\n"
            ),
        ),
        (
            lambda _, records: records.__setitem__(1, records[1]._replace(reason="because")),
            (
                f"{HISTORY}: record 2 of 0002_f.sql was changed after it was "
                "written\n"
                f"  says      recorded at {WHEN}\n"
                "  expected  fields that make its hash\n"
            ),
        ),
        (
            lambda rows, _: rows.pop(1),
            (
                "error[ledger chain]: public.schema_migrations: the row of 0002_f.sql was removed from the ledger\n"
                f"  expected  a row, as record 2 of {WHEN} has it\n"
                "  found     none\n"
            ),
        ),
        (
            lambda rows, _: rows.__setitem__(1, replace(rows[1], checksum="ab")),
            (
                "error[ledger chain]: public.schema_migrations: the checksum of 0002_f.sql was changed in the ledger\n"
                f"  record 2  sha256:{2:064x}\n"
                "  ledger    sha256:ab\n"
            ),
        ),
        (
            lambda _, records: records.__setitem__(1, records[1]._replace(fits_row=False)),
            (
                "error[ledger chain]: public.schema_migrations: the time of 0002_f.sql was changed in the ledger\n"
                f"  record 2  {WHEN}\n"
                "  ledger    another time\n"
            ),
        ),
        (
            lambda rows, _: rows.append(Row("0009_x.sql", "", None)),
            (
                "error[ledger chain]: public.schema_migrations: 0009_x.sql was put into the ledger by hand\n"
                "  expected  a record for every row\n"
                "  found     none\n"
            ),
        ),
    ],
)
def test_texts(break_it: Any, text: str) -> None:
    """What was done is told, with the record's number and time."""
    rows, records = made(applied(3))
    break_it(rows, records)
    with pytest.raises(LedgerChainError) as caught:
        audit(rows, records)
    help_text = (
        "  help: nothing was run; compare with the chain's head in the evidence of an earlier run, find out who wrote "
        "to the ledger, and restore it"
    )
    assert str(caught.value) == text + help_text
    assert caught.value.exit_code == 4


def test_a_file_that_ran_twice() -> None:
    """Two records of one file that are a chain: whoever wrote them knew how."""
    rows, records = made([*applied(1), *applied(1)])
    with pytest.raises(LedgerChainError, match=r"0001_f\.sql is recorded twice\n  records  1 and 2"):
        audit(rows, records)
