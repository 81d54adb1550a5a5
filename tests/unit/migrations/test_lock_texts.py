"""What is said of locks: modes in SQL's words, who is in the way, and the errors of the runner lock and of poolers."""

from __future__ import annotations

import pytest

from scripts.errors.migration import PoolerError, RunnerLockedError
from scripts.migrations.waiting.lock_modes import mode_words, modes_conflict
from scripts.migrations.waiting.waits import read_wait

MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)


def test_conflicts_are_mutual() -> None:
    """If one keeps out the other, the other keeps out the one; what is not known is taken to."""
    for one in MODES:
        for other in MODES:
            assert modes_conflict(one, other) == modes_conflict(other, one)
    assert modes_conflict("SIReadLock", "AccessShareLock")
    assert mode_words("ShareRowExclusiveLock") == "SHARE ROW EXCLUSIVE"
    assert mode_words("SIReadLock") == "SIReadLock"


def test_nothing_is_waited_for() -> None:
    """No edge, no wait."""
    assert read_wait(1, {}) is None
    assert read_wait(1, {"edges": None, "sessions": None}) is None


@pytest.mark.parametrize(
    ("want", "words"),
    [
        ({"type": "relation", "mode": "ShareLock", "name": "public.t"}, "SHARE on public.t"),
        ({"type": "relation", "mode": "ShareLock", "name": None}, "SHARE on something of another database"),
        ({"type": "object", "mode": "AccessShareLock", "name": "schema s"}, "ACCESS SHARE on schema s"),
        ({"type": "virtualxid", "mode": "ShareLock", "name": None}, "the end of a transaction that began earlier"),
        ({"type": "transactionid", "mode": "ShareLock", "name": "733"}, "the end of transaction 733"),
        ({"type": "tuple", "mode": "ExclusiveLock", "name": "public.t"}, "a row of public.t"),
        ({"type": "advisory", "mode": "ExclusiveLock", "name": None}, "an advisory lock"),
        ({"type": "extend", "mode": "ExclusiveLock", "name": "public.t"}, "a lock on extend of public.t"),
        (None, "a lock"),
    ],
)
def test_what_is_waited_for(want: dict[str, object] | None, words: str) -> None:
    """Every kind of lock in words; parts of the answer may be missing: the server collects them one by one."""
    wanted = [] if want is None else [{"pid": 1, "object": "o", "waited_s": 0.26, **want}]
    wait = read_wait(1, {"edges": [[1, 2]], "wanted": wanted})
    assert wait is not None
    assert wait.wants == words
    waited = "0.0" if want is None else "0.3"
    assert str(wait) == (f"waiting {waited} s for {words}; in the way: pid 2, role (none), application (none)")


def test_many_blockers_are_counted() -> None:
    """Five are shown; a prepared transaction that cannot be told is still one of them."""
    wait = read_wait(1, {"edges": [[1, number] for number in (0, *range(10, 17))]})
    assert wait is not None
    assert len(wait.blockers) == 8
    assert str(wait).count("pid ") == 4
    assert str(wait).startswith(
        "waiting 0.0 s for a lock; in the way: a prepared transaction: see pg_prepared_xacts; pid 10"
    )
    assert str(wait).endswith("; and 3 more")


def test_a_worker_of_the_server_is_named_as_such() -> None:
    """Autovacuum against wraparound does not let go by itself."""
    session = {
        "pid": 2,
        "role": None,
        "application": "",
        "kind": "autovacuum worker",
        "state": "active",
        "query": "autovacuum: VACUUM public.t (to prevent wraparound)",
        "transaction_s": 61.2,
        "state_s": 61.2,
    }
    wait = read_wait(1, {"edges": [[1, 2]], "sessions": [session]})
    assert wait is not None
    assert str(wait.blockers[0]) == (
        "pid 2, role (none), application (none), autovacuum worker, active for 61 s, "
        "running: autovacuum: VACUUM public.t (to prevent wraparound)"
    )


def test_a_long_transaction_is_told_beside_its_state() -> None:
    """Idle for a moment, open for an hour: the second is what matters."""
    session = {"pid": 2, "role": "app", "application": "web", "kind": "client backend", "query": "SELECT 4111"}
    session |= {"state": "idle in transaction", "transaction_s": 3600.0, "state_s": 0.4}
    wait = read_wait(1, {"edges": [[1, 2]], "sessions": [session]})
    assert wait is not None
    assert str(wait.blockers[0]) == (
        "pid 2, role app, application web, idle in transaction for 0 s, its transaction open for 3600 s, "
        "last query: SELECT ?"
    )


def test_errors_of_the_lock() -> None:
    """Whole texts."""
    assert str(RunnerLockedError.building("pid 7", waited_ms=400)) == (
        "error[locked]: another runner's session is still building an index on this database\n"
        "  holder  pid 7\n"
        "  waited  400 ms\n"
        "  help: wait for the build to end, or raise INDEX_TIMEOUT_MS; pg_cancel_backend ends one that nobody wants"
    )
    assert str(PoolerError.found(1, 2)) == (
        "error[pooler]: a pooler in transaction mode stands between the runner and the server\n"
        "  expected  backend 1 throughout\n"
        "  found     backend 2\n"
        "  help: point DATABASE_URL at the server itself, or at a pool in session mode"
    )
    assert str(PoolerError.shared(1)) == (
        "error[pooler]: a pooler in transaction mode stands between the runner and the server\n"
        "  expected  backend 1 for one connection\n"
        "  found     a second connection got it too\n"
        "  help: point DATABASE_URL at the server itself, or at a pool in session mode"
    )
    assert str(PoolerError.not_tested("no answer")) == (
        "error[pooler]: something stands between the runner and the server, and it does not show that a session stays a"
        " session\n"
        "  expected  a backend for each connection, as in a pool's session mode\n"
        "  found     no answer\n"
        "  help: point DATABASE_URL at the server itself, or at a pool in session mode with two connections to spare"
    )
