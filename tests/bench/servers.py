"""Servers and databases to the first query, each beside its floor of the same run: the table "servers".

Owns: their targets. A start ends with the answer to `SELECT 1` over a connection of the owner; its floor is what nobody
    can do without (floor.py, docker_floor.py).
On a disk without a journal, what was removed a moment ago makes every new file slower, for both (docs/adr/0024).
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from bench.docker_floor import open_docker_floor
from bench.floor import open_floor, open_initdb_floor
from bench.measure import Line, in_turn, ms, ratios
from psycopg import sql

from scripts.errors.docker import DockerError
from scripts.migrations.folder.files import read_migrations
from scripts.migrations.template import recipe_of
from scripts.server import folders
from scripts.server.clones.templates import MAINTENANCE, open_templates
from scripts.server.containers.engine import find_engine
from scripts.server.folders import data_home
from scripts.server.open import open_server
from scripts.server.readiness import parse_dsn, with_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scripts.server.clones.marks import Recipe
    from scripts.server.clones.templates import Templates
    from scripts.server.model import Server
    from scripts.settings import Settings

NOTHING_MS, MEMORY_MS, DISK_MS, DOCKER_MS, CLONE_MS, STOP_MS = 700, 100, 350, 400, 20, 30
FLOOR_TIMES = 1.5
REST_S = 0.3


@dataclass(slots=True)
class _Stopped:
    """How long the ends of servers took, in seconds."""

    seconds: list[float]


def measure_servers(settings: Settings, rounds: int, report: Callable[[str], None]) -> Iterator[Line]:
    """Measure every kind of start.

    Args:
        settings: the image, and the folder of migrations for the clones.
        rounds: counted ones.
        report: told what comes next.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        base = Path(made)
        base.chmod(0o711)  # the server's user passes through
        report("embedded servers, from nothing and on kept clusters")
        yield from _embedded(replace(settings, server="embedded"), rounds, base)
        report("clones of a migrated template")
        yield from _clones(settings, rounds)
        report("servers in containers")
        yield from _docker(replace(settings, server="docker"), rounds, base / "docker")


def _embedded(settings: Settings, rounds: int, base: Path) -> Iterator[Line]:
    kept = replace(settings, cluster_cache=base / "kept")
    nothing = replace(settings, cluster_cache=None)
    memory, disk = data_home(for_other_user=False), base / "data"
    disk.mkdir()
    disk.chmod(0o1777)
    stopped, elsewhere = _Stopped([]), _Stopped([])
    start(kept, elsewhere)
    with (
        open_initdb_floor(memory) as initdb_floor,
        open_floor(base / "kept", memory) as memory_floor,
        open_floor(base / "kept", disk) as disk_floor,
    ):
        found = in_turn(
            rounds,
            {
                "nothing": partial(start, nothing, elsewhere),
                "nothing floor": _in_seconds(initdb_floor),
                "memory": partial(start, kept, stopped),
                "memory floor": _in_seconds(memory_floor),
                "disk": partial(start, kept, elsewhere, disk),
                "disk floor": _in_seconds(disk_floor),
            },
        )
    yield from _beside(found, "nothing", "embedded, from nothing", NOTHING_MS)
    yield from _beside(found, "memory", "embedded, on a kept cluster", MEMORY_MS)
    yield from _beside(found, "disk", "embedded, on a kept cluster, on a disk", DISK_MS)
    yield Line("embedded: stop", ms(stopped.seconds[1:]), "ms", STOP_MS)


def start(settings: Settings, stopped: _Stopped, home: Path | None = None) -> float:
    """The seconds from nothing running to the first answer; the end's are noted.

    Args:
        settings: which server, and where clusters are kept.
        stopped: takes the time that the end took.
        home: where the data goes; where it goes by itself when None.
    """
    with ExitStack() as opened:
        if home is not None:
            opened.enter_context(_placed(home))
        began = time.perf_counter()
        server = opened.enter_context(open_server(settings, run_id="bench", report=_quiet))
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            conn.execute("SELECT 1")
            seconds = time.perf_counter() - began
        began = time.perf_counter()
    stopped.seconds.append(time.perf_counter() - began)
    return seconds


@contextmanager
def _placed(home: Path) -> Iterator[None]:
    """Let the data go to a folder that is on a disk, as it does where memory has no room."""
    before = folders.MEMORY, folders.ROOM_IN_MEMORY
    folders.MEMORY, folders.ROOM_IN_MEMORY = home, 0
    try:
        yield
    finally:
        folders.MEMORY, folders.ROOM_IN_MEMORY = before


def _clones(settings: Settings, rounds: int) -> Iterator[Line]:
    recipe = recipe_of(read_migrations(settings.migrations_dir), settings)
    with (
        open_server(replace(settings, server="embedded"), run_id="bench", report=_quiet) as server,
        open_templates(server, report=_quiet) as templates,
        psycopg.connect(with_database(str(server.admin_dsn), MAINTENANCE), autocommit=True) as admin,
    ):
        with templates.clone(recipe):
            row = admin.execute("SELECT datname FROM pg_database WHERE datistemplate AND datname ~ 'parity'").fetchone()
        found = in_turn(
            rounds,
            {
                "clone": partial(_clone, templates, recipe),
                "clone floor": partial(_bare_clone, server, admin, str(row and row[0])),
            },
        )
    yield from _beside(found, "clone", "a migrated clone", CLONE_MS)


def _clone(templates: Templates, recipe: Recipe) -> float:
    began = time.perf_counter()
    with templates.clone(recipe) as clone, psycopg.connect(clone.dsn, autocommit=True) as conn:
        conn.execute("SELECT 1")
        return time.perf_counter() - began


def _bare_clone(server: Server, admin: psycopg.Connection, template: str) -> float:
    name, owner = "bench_clone", parse_dsn(server.dsn)["user"]
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy")
    began = time.perf_counter()
    admin.execute(statement.format(*map(sql.Identifier, (name, owner, template))))
    with psycopg.connect(with_database(server.dsn, name), autocommit=True) as conn:
        conn.execute("SELECT 1")
        seconds = time.perf_counter() - began
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    return seconds


def _docker(settings: Settings, rounds: int, kept: Path) -> Iterator[Line]:
    what = ("docker, from nothing", "docker, on a kept cluster")
    try:
        with find_engine() as engine:
            why = "" if engine.has_image(settings.pg_image) else f"the engine has no {settings.pg_image}"
    except DockerError as exc:
        why = exc.facts[-1][1]
    if why:
        yield Line(what[0], (), "ms", unmeasured=why)
        yield Line(what[1], (), "ms", DOCKER_MS, unmeasured=why)
        return
    caching = replace(settings, cluster_cache=kept)
    ends = _Stopped([])
    engine_ms: list[float] = []
    start(caching, ends)
    with open_docker_floor(kept, settings.pg_image, engine_ms) as floor:
        found = in_turn(
            rounds,
            {
                "nothing": _rested(partial(start, replace(settings, cluster_cache=None), ends)),
                "kept": _rested(partial(start, caching, ends)),
                "kept floor": _rested(_in_seconds(floor)),
            },
        )
    yield Line(what[0], ms(found["nothing"]), "ms")
    yield from _beside(found, "kept", what[1], DOCKER_MS)
    yield Line("docker: create, attach and start alone", tuple(engine_ms[1:]), "ms")
    yield Line("docker: stop", ms(ends.seconds[1:]), "ms")


def _rested(candidate: Callable[[], float]) -> Callable[[], float]:
    """After a pause: the engine still clears the container before away, which a run by itself does not meet."""

    def after_a_pause() -> float:
        time.sleep(REST_S)
        return candidate()

    return after_a_pause


def _in_seconds(floor: Callable[[], float]) -> Callable[[], float]:
    return lambda: floor() / 1000


def _quiet(_line: str) -> None:
    """Which server was chosen is known."""


def _beside(found: Mapping[str, list[float]], name: str, what: str, most_ms: float) -> Iterator[Line]:
    """A start, its floor, and the one over the other."""
    yield Line(what, ms(found[name]), "ms", most_ms)
    yield Line(f"{what}: floor", ms(found[f"{name} floor"]), "ms")
    yield Line(f"{what}: over its floor", ratios(found[name], found[f"{name} floor"]), "times", FLOOR_TIMES)
