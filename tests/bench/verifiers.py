"""The verifiers on our own schema: a run as evidence has it, a pass without controls, the reading, and its repetition.

Owns: their targets. What a pass costs beside as many empty round trips says how much of it is the schema's own work.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from bench.candidates import engine
from bench.measure import Line, in_turn, ms, ratios

from scripts.migrations.folder.files import read_migrations
from scripts.verifiers.ahead import Ahead
from scripts.verifiers.facts.reading import read_facts
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.model import Database
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import verify_invariant
from scripts.verifiers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.scratch import Scratch

    from scripts.migrations.folder.files import MigrationFile
    from scripts.settings import Settings

WHOLE_MS = 1_000
# What a mutant costs before anybody looks at it: forty a second leave 25 ms for all of it.
AGAIN_MS = 12
_CHANGE = "ALTER TABLE public.tenants ADD COLUMN bench text"
_EMPTY = b"SAVEPOINT bench; ROLLBACK TO SAVEPOINT bench; RELEASE SAVEPOINT bench"


class Counting(psycopg.Connection[Any]):
    """A connection that counts how often its server is waited for."""

    waits = 0

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Count, and wait."""
        self.waits += 1
        return super().wait(*args, **kwargs)


def measure_verifiers(scratch: Scratch, settings: Settings, rounds: int) -> Iterator[Line]:
    """Measure them on a migrated database of their own.

    Args:
        scratch: makes the database.
        settings: the project's own folder is its `migrations_dir`.
        rounds: counted ones.
    """
    files = read_migrations(settings.migrations_dir)
    with scratch.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            engine(conn, settings)
        sent = _statements_of_a_pass(dsn, files)
        found = in_turn(
            rounds,
            {
                "whole": partial(_settle, dsn, files, controls=True),
                "pass": partial(_settle, dsn, files, controls=False),
                "empty": partial(_round_trips, dsn, sent),
                "first": partial(_read, dsn),
                "again": partial(_read_again, dsn),
            },
        )
    yield Line("verify ours: facts, probes, controls", ms(found["whole"]), "ms", WHOLE_MS)
    yield Line("verify ours: without controls", ms(found["pass"]), "ms")
    yield Line(
        "verify ours: without controls over as many empty savepoints", ratios(found["pass"], found["empty"]), "times"
    )
    yield Line("read the facts of ours: first of a session", ms(found["first"]), "ms")
    yield Line("read the facts of ours: again after a change", ms(found["again"]), "ms", AGAIN_MS)
    yield Line("read the facts of ours: again over first", ratios(found["again"], found["first"]), "times")


def _settle(dsn: str, files: tuple[MigrationFile, ...], *, controls: bool) -> float:
    """A run of its own session: nothing is planned, read or built yet."""
    connect = partial(psycopg.connect, dsn, autocommit=True)
    with connect() as conn:
        started = time.perf_counter()
        # As a run does it: with controls, what takes two sessions is played meanwhile.
        ahead = Ahead(connect, files, INVARIANTS) if controls else None
        database = Database(conn, connect, files, ahead=ahead, whole=True)
        turns = Turns(database, INVARIANTS)
        settle = turns.settle if controls else partial(verify_invariant, database=database)
        results = [settle(invariant) for invariant in INVARIANTS]
        database.close()
        seconds = time.perf_counter() - started
    wrong = [result.gate for result in results if not result.passed]
    if wrong:
        msg = f"not passed: {', '.join(wrong)}"
        raise RuntimeError(msg)
    return seconds


def _statements_of_a_pass(dsn: str, files: tuple[MigrationFile, ...]) -> int:
    """How many messages a pass without controls waits for over its main connection."""
    connect = partial(psycopg.connect, dsn, autocommit=True)
    with Counting.connect(dsn, autocommit=True) as conn:
        database = Database(conn, connect, files)
        for invariant in INVARIANTS:
            verify_invariant(invariant, database)
        database.close()
        return conn.waits


def _round_trips(dsn: str, count: int) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn, conn.transaction(force_rollback=True), conn.cursor() as cursor:
        started = time.perf_counter()
        for _ in range(count):
            cursor.execute(_EMPTY, prepare=False)
        return time.perf_counter() - started


def _read(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn:
        started = time.perf_counter()
        read_facts(conn, ROLES, TABLES)
        return time.perf_counter() - started


def _read_again(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as conn:
        read_facts(conn, ROLES, TABLES)
        with conn.transaction(force_rollback=True):
            conn.execute(_CHANGE)
            started = time.perf_counter()
            read_facts(conn, ROLES, TABLES)
            return time.perf_counter() - started
