"""The client killed while a concurrent statement waits in one of its phases; its backend then ends in four ways."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from db.killed.holding import PHASES, STRANGER, Backend, Holders, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.killed.bench import Bench
    from db.killed.runs import Run

FOLDER = "mid build"
_BUILT = "SELECT pg_catalog.to_regclass('public.things_a')::oid::bigint"
phases = pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)


@phases
def test_the_orphan_ends_by_itself(bench: Bench, tally: Callable[[str, int], None], phase: Phase) -> None:
    """The server's side goes on without its client: the next run waits for it, and takes over what it made."""
    with held(bench, phase) as (database, killed, backend, holders):
        built = backend.value(_BUILT)
        recovery = bench.zygote.start(FOLDER, bench.cluster.dsn(database))
        recovery.wait_for(lambda: recovery.told or recovery.ended, "the next run says nothing")
        assert not recovery.ended, f"{phase.name}: the next run did not wait for the orphan:\n{recovery.story}"
        assert backend.seen, f"{phase.name}: the orphan is gone:\n{recovery.story}"
        holders.let_go()
        recovery.wait()
        if phase.number == 2:
            assert backend.value(_BUILT) == built, f"what the orphan built was not kept:\n{recovery.story}"
        backend.close()
        require_recovered(bench, database, f"{phase.name}, orphan ends by itself", killed, recovery)
    tally("mid", 1)


@phases
def test_the_orphan_is_terminated(bench: Bench, tally: Callable[[str, int], None], phase: Phase) -> None:
    """It leaves what it was at; the next run makes that good."""
    with held(bench, phase) as (database, killed, backend, holders):
        built = backend.value(_BUILT)
        backend.end()
        assert backend.value(phase.leftover), f"{phase.name}: nothing was left to be made good"
        holders.let_go()
        recovery = bench.zygote.run(FOLDER, bench.cluster.dsn(database))
        if phase.number == 2:
            assert backend.value(_BUILT) != built, f"an index that is not valid was kept:\n{recovery.story}"
        backend.close()
        require_recovered(bench, database, f"{phase.name}, orphan terminated", killed, recovery)
    tally("mid", 1)


@phases
def test_the_orphan_is_terminated_while_it_is_waited_for(
    bench: Bench, tally: Callable[[str, int], None], phase: Phase
) -> None:
    """The next run waits already when the orphan dies: it does not take its work for done."""
    with held(bench, phase) as (database, killed, backend, holders):
        recovery = bench.zygote.start(FOLDER, bench.cluster.dsn(database))
        recovery.wait_for(lambda: recovery.told or recovery.ended, "the next run says nothing")
        backend.end()
        holders.let_go()
        recovery.wait()
        backend.close()
        require_recovered(bench, database, f"{phase.name}, orphan terminated later", killed, recovery)
    tally("mid", 1)


@phases
def test_the_server_stops_at_once(bench: Bench, tally: Callable[[str, int], None], phase: Phase) -> None:
    """Client and server both go; the next run meets what crash recovery left."""
    with held(bench, phase) as (database, killed, backend, holders):
        bench.cluster.stop_at_once()
        holders.let_go()
        backend.close()
        bench.cluster.start()
        with psycopg.connect(bench.cluster.admin_dsn(database), autocommit=True) as conn:
            left = conn.execute(phase.leftover.encode()).fetchone()
        assert left == (True,), f"{phase.name}: nothing was left to be made good"
        recovery = bench.zygote.run(FOLDER, bench.cluster.dsn(database))
        require_recovered(bench, database, f"{phase.name}, server stopped", killed, recovery)
    tally("mid", 1)


@contextmanager
def held(bench: Bench, phase: Phase) -> Iterator[tuple[str, Run, Backend, Holders]]:
    """A run killed in the phase: the database, the run, its backend that lives on, and those who hold it."""
    with bench.database(FOLDER, template=bench.template(f"mid build to {phase.number - 1}")) as database:
        dsn = bench.cluster.admin_dsn(database)
        holders = Holders(dsn)
        try:
            phase.before(holders)
            run = bench.zygote.start(FOLDER, bench.cluster.dsn(database))
            backend = Backend(dsn, run.wait_for_start())
            try:
                phase.reach(holders, backend)
                run.kill()
                assert run.killed, f"{phase.name}: the run was not killed:\n{run.story}"
                assert backend.seen, f"{phase.name}: the backend went with its client"
                yield database, run, backend, holders
            finally:
                backend.close()
        finally:
            holders.let_go()


def require_recovered(bench: Bench, database: str, what: str, killed: Run, recovery: Run) -> None:
    """As everywhere, once the rows that holders committed are out again."""
    with psycopg.connect(bench.cluster.admin_dsn(database), autocommit=True) as conn:
        conn.execute("DELETE FROM public.things WHERE a >= %s", (STRANGER,))
    bench.require_recovered(FOLDER, database, what, killed, recovery)
