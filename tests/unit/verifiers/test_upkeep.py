"""When vacuum comes to the queue, from storage parameters and settings."""

from __future__ import annotations

import pytest

from scripts.verifiers.facts.sessions import Setting, settings_of
from scripts.verifiers.facts.upkeep import COMES, what_keeps_vacuum_away


def away(options: str = "", long: str = "", stored: str = "", server: str = "") -> str:
    """What keeps it away, one line; each argument `name=value` with commas between."""
    pairs = (entry.partition("=")[::2] for entry in server.split(",") if entry)
    of_server = [Setting("", name, value, of_server=True) for name, value in pairs]
    found = what_keeps_vacuum_away(
        options.split(",") if options else (),
        long.split(",") if long else (),
        settings_of([("", stored, None)]) if stored else (),
        of_server,
    )
    return "; ".join(found)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", ""),
        ("fillfactor=80", ""),
        ("autovacuum_enabled=on", ""),
        ("autovacuum_enabled=OF", "autovacuum_enabled=OF"),
        ("autovacuum_enabled=0", "autovacuum_enabled=0"),
        ("vacuum_index_cleanup=auto", ""),
        ("vacuum_index_cleanup=no", "vacuum_index_cleanup=no"),
        ("autovacuum_vacuum_threshold=979999", ""),
        ("autovacuum_vacuum_threshold=980000", "at 1,000,000 dead rows"),
        ("autovacuum_vacuum_threshold=2147483647", "at 100,000,000 dead rows"),
        ("autovacuum_vacuum_threshold=2147483647,autovacuum_vacuum_max_threshold=-1", "at 2,147,503,647 dead rows"),
        ("autovacuum_vacuum_threshold=2147483647,autovacuum_vacuum_max_threshold=5000", ""),
        ("autovacuum_vacuum_threshold=0x10", ""),
        ("autovacuum_vacuum_scale_factor=1", ""),
        ("autovacuum_vacuum_scale_factor=9.9", ""),
        ("autovacuum_vacuum_scale_factor=1e2", "at 10,000,050 dead rows"),
        ("autovacuum_vacuum_scale_factor=100,autovacuum_vacuum_max_threshold=1000000", "at 1,000,000 dead rows"),
        ("autovacuum_vacuum_scale_factor=100,autovacuum_vacuum_max_threshold=999999", ""),
        ("autovacuum_vacuum_scale_factor=0,autovacuum_vacuum_threshold=0", ""),
        ("autovacuum_vacuum_threshold=many", "at nobody knows how many dead rows"),
        ("autovacuum_vacuum_max_threshold=most", "at nobody knows how many dead rows"),
        ("autovacuum_vacuum_insert_threshold=2147483647,autovacuum_vacuum_cost_delay=100", ""),
    ],
)
def test_what_a_table_says(options: str, said: str) -> None:
    """By a million dead rows beside a hundred thousand live ones, or never; its long values go by the table's."""
    assert away(options) == said


@pytest.mark.parametrize(
    ("options", "long", "said"),
    [
        ("", "autovacuum_enabled=true", ""),
        ("", "autovacuum_enabled=false", "toast.autovacuum_enabled=false"),
        ("", "vacuum_index_cleanup=off", "toast.vacuum_index_cleanup=off"),
        ("", "autovacuum_vacuum_scale_factor=100", "long values: at 10,000,050 dead rows"),
        # As soon as they have an option of their own, none of the table's counts for them.
        ("autovacuum_vacuum_threshold=980000", "vacuum_truncate=off", "at 1,000,000 dead rows"),
        ("autovacuum_enabled=off", "autovacuum_enabled=on", "autovacuum_enabled=off"),
    ],
)
def test_where_long_values_lie(options: str, long: str, said: str) -> None:
    """They have parameters of their own, and as many dead rows."""
    assert away(options, long) == said


def test_counts_that_nobody_keeps() -> None:
    """Stored for the database, for a worker or on the server; who only reads makes no dead rows."""
    assert away(stored="track_counts=off") == "every role: track_counts=off"
    assert away(stored="track_counts=on") == away(stored="autovacuum_naptime=1") == ""
    seat = settings_of([("seat", "track_counts=off", ["boz_auditor"])])
    worker = settings_of([("w", "Track_Counts=f", ["boz_auditor", "symphony_ingest"])])
    assert what_keeps_vacuum_away((), (), seat, ()) == ()
    assert what_keeps_vacuum_away((), (), worker, ()) == ("w: Track_Counts=f",)


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        ("autovacuum=on,track_counts=on,autovacuum_naptime=60", "", ""),
        ("autovacuum=off", "", "the server: autovacuum=off"),
        ("track_counts=off", "", "the server: track_counts=off"),
        ("autovacuum_naptime=86400", "", ""),
        ("autovacuum_naptime=2147483", "", "the server: autovacuum_naptime=2147483"),
        ("autovacuum_vacuum_threshold=2147483647", "", "at 100,000,000 dead rows"),
        ("autovacuum_vacuum_threshold=2147483647", "autovacuum_vacuum_threshold=50", ""),
        ("autovacuum_vacuum_scale_factor=100,autovacuum_vacuum_max_threshold=1000", "", ""),
        ("autovacuum_vacuum_max_threshold=-1", "", ""),
    ],
)
def test_what_the_server_says(server: str, options: str, said: str) -> None:
    """Where the table says nothing the server's numbers count."""
    assert away(options, server=server) == said


def test_the_line_is_told() -> None:
    """What is expected says when vacuum must have come."""
    assert COMES == "by 1,000,000 dead rows beside 100,000 live ones"
