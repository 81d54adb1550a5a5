"""Lanes: processes that judge mutants at the same time, each on a database of its own.

Owns: the processes, and who gets which mutant next.
Promises: verdicts come back in the order of the mutants, whoever judged them; mutants of what all databases share are
judged one at a time; no process outlives the call, and none goes on when the one that started it is gone.
Never: makes a database (clones.py), or prints.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from scripts.errors.mutants import LaneLostError, NotGreenError
from scripts.verifiers.mutants.model import Fate, Mutant, Verdict
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

# Small enough that no lane is left alone with much, large enough that handing them over costs nothing.
CHUNK = 20
_JOIN_S = 5.0
_Told = list[tuple[int, str, str, str]]


@dataclass(frozen=True, slots=True)
class Lane:
    """One database to break: how to reach it as superuser and as owner, and the folder that it was made from."""

    admin_dsn: str
    owner_dsn: str
    folder: Path

    def __repr__(self) -> str:
        """Both DSNs hold a password."""
        return "Lane(…)"


def judge_mutants(
    mutants: Sequence[Mutant],
    lanes: Sequence[Lane],
    *,
    progress: Callable[[int], None] = lambda _: None,
    began: Callable[[], None] = lambda: None,
) -> tuple[Verdict, ...]:
    """Judge every mutant, in as many processes as there are lanes.

    Args:
        mutants: in the order in which their verdicts are wanted.
        lanes: one database each, none of which anybody else uses.
        progress: told how many are judged, now and then.
        began: called once everything is seen to be green, before the first is judged.

    Raises:
        NotGreenError: an owner is red, or gives no answer, while nothing is changed.
        LaneLostError: a process ended before it had answered.
    """
    owners = sorted({owner for mutant in mutants for owner in mutant.owners})
    if any(mutant.given for mutant in mutants):
        owners = [invariant.id for invariant in INVARIANTS]
    found: dict[int, Verdict] = {}
    with _started(lanes) as pipes:
        pipes[0].send(("green", owners))
        red = _received(pipes[0])
        if red:
            raise NotGreenError.of(red)
        began()
        for told in _dealt(mutants, pipes):
            for index, fate, by, reason in told:
                found[index] = Verdict(mutants[index], Fate(fate), by, reason)
            progress(len(found))
    return tuple(found[index] for index in range(len(mutants)))


def _dealt(mutants: Sequence[Mutant], pipes: Sequence[Connection]) -> Iterator[_Told]:
    """Deal the mutants out and yield what comes back."""
    local = [index for index, mutant in enumerate(mutants) if not mutant.cluster]
    shared = [index for index, mutant in enumerate(mutants) if mutant.cluster]
    queues = {True: _chunks(shared), False: _chunks(local)}
    busy: dict[Connection, bool] = {}
    idle = list(pipes)
    while True:
        for pipe in list(idle):
            # One lane at a time has what all databases share.
            cluster = bool(queues[True]) and True not in busy.values()
            if not queues[cluster]:
                continue
            chunk = queues[cluster].popleft()
            pipe.send(("judge", [(index, mutants[index]) for index in chunk]))
            busy[pipe] = cluster
            idle.remove(pipe)
        if not busy:
            return
        for ready in wait(list(busy)):
            pipe = next(one for one in busy if one is ready)
            told = _received(pipe)
            del busy[pipe]
            idle.append(pipe)
            yield told


def _chunks(indexes: Sequence[int]) -> deque[Sequence[int]]:
    return deque(indexes[at : at + CHUNK] for at in range(0, len(indexes), CHUNK))


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError) as exc:
        raise LaneLostError.of() from exc


@contextmanager
def _started(lanes: Sequence[Lane]) -> Iterator[list[Connection]]:
    """A process a lane, ended with the block."""
    # Not forked: a copy of a connection would be closed twice.
    context = get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    try:
        for lane in lanes:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, lane), daemon=True)
            process.start()
            there.close()
            processes.append(process)
            pipes.append(here)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        deadline = time.monotonic() + _JOIN_S
        for process in processes:
            # An idle one ends by itself at the end of its pipe; one in the middle of a mutant need not finish it.
            process.join(0.2)
            process.terminate()
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _serve(pipe: Connection, lane: Lane) -> None:
    """The process of a lane: answers until its pipe ends."""
    # Ctrl-C reaches every process of the terminal; it is the parent that ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from scripts.migrations.folder.files import read_files
    from scripts.server.readiness import connect
    from scripts.verifiers.mutants.ask import Bench

    bench = Bench(lambda: connect(lane.admin_dsn), lambda: connect(lane.owner_dsn), read_files(lane.folder))
    try:
        while True:
            word, what = pipe.recv()
            if word == "green":
                pipe.send(bench.green(what))
                continue
            told: _Told = []
            for index, mutant in what:
                one = bench.judge(mutant)
                told.append((index, one.fate.value, one.by, one.reason))
            pipe.send(told)
    except (EOFError, OSError):
        return
    finally:
        bench.close()
