"""A fresh PostgreSQL in a container of the official image, or of one that speaks its contract.

Owns: where its cluster comes from: a copy of one that is kept, or the image's own first boot; what the image is told.
Promises: the data is in memory and gone with the run (guard.py); `docker inspect` shows no secret; the password that
    the first boot or the kept cluster has is replaced by the first statement that is sent.
Never: pulls an image (open.py decides that), makes one, or uses a fixed name or port.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from scripts.errors.docker import ContainerEndedError, DockerError
from scripts.errors.room import DiskFullError
from scripts.errors.server import StartError, WrongPasswordError
from scripts.errors.unfit import MAJOR, TooNewError, TooOldError
from scripts.server.cluster.archive import Owner, parcel_of, read_archive
from scripts.server.cluster.cache import key_of
from scripts.server.cluster.kept import Kept, not_fresh, unusable
from scripts.server.cluster.packing import PoisonedError, pack
from scripts.server.containers.contained import ContainedHolder
from scripts.server.containers.engine import PROBE_TIMEOUT_S, REQUEST_TIMEOUT_S, Engine
from scripts.server.containers.guard import PGDATA, VOLUME, Guard, MakeUp
from scripts.server.containers.lifetime import open_guard
from scripts.server.containers.reach import Reach
from scripts.server.containers.unstarted import sweep
from scripts.server.containers.words import hung_up, one_line
from scripts.server.embedded.layout import CONFIG
from scripts.server.facts import Since, found_before, read_facts, require_fresh
from scripts.server.model import Server
from scripts.server.places import own_dsn
from scripts.server.provision import (
    INITDB_OPTIONS,
    SUPERUSER,
    Provisioned,
    provision,
    random_password,
    renew_both,
    renew_password,
)
from scripts.server.readiness import address_of, connect, parse_dsn, require_version, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.settings import Settings

PASSWORD_FILE = f"{VOLUME}/parity/password"
CONFIG_FILE = f"{VOLUME}/parity/postgresql.conf"
_INITDB = [option for option in INITDB_OPTIONS if not option.startswith("--username=")]  # POSTGRES_USER says it
ENVIRONMENT = {
    "POSTGRES_USER": SUPERUSER,
    "POSTGRES_DB": "postgres",
    "POSTGRES_PASSWORD_FILE": PASSWORD_FILE,
    "POSTGRES_INITDB_ARGS": " ".join([*_INITDB, "--no-sync", "--no-instructions"]),
    "PGDATA": PGDATA,
    "TZ": "UTC",
}
COMMAND = ["postgres", "-c", f"config_file={CONFIG_FILE}", "-c", "listen_addresses=*"]

_Started: TypeAlias = "tuple[Provisioned, str, dict[str, str]]"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What every step of one start needs. `deadline` is a moment of `time.monotonic`, in seconds."""

    engine: Engine
    settings: Settings
    make_up: MakeUp
    kept: Kept
    deadline: float


@contextmanager
def open_container(  # noqa: PLR0913 - what a container depends on
    engine: Engine,
    settings: Settings,
    *,
    run_id: str,
    reason: str,
    report: Callable[[str], None],
    keep_as: str = "",
) -> Iterator[Server]:
    """Start a container on a copy of a kept cluster, or let the image make one; remove it at the end.

    Args:
        engine: one that answers and has the image.
        settings: the image, the database's name, the folder for kept clusters, the start's deadline.
        run_id: goes into a label.
        reason: why this origin was chosen.
        report: takes a line about a kept cluster that was not what it should be.
        keep_as: the name under which it may be let stay; goes into a label.

    Raises:
        DockerError: the engine refuses, or the server in the container ends.
        StartError: it does not answer in time.
    """
    since = Since()
    deadline = time.monotonic() + settings.server_start_timeout_ms / 1000
    timeout_s = min(REQUEST_TIMEOUT_S, settings.server_start_timeout_ms / 1000)
    with _telling(engine, settings.pg_image, timeout_s, DockerError.left_early):
        sweep(engine)
        image = engine.client.api.inspect_image(settings.pg_image)
    key = key_of(f"{image['Id']} {' '.join(_INITDB)}", settings.postgres_db, other_user=False)
    # Thirty megabytes over a network take longer than a first boot.
    kept = Kept.of(None if engine.remote else settings.cluster_cache, key, report)
    make_up = MakeUp(
        *(settings.pg_image, str(image["Id"]), run_id, ENVIRONMENT, COMMAND),
        keep_as=keep_as,
        data_mb=settings.container_data_mb,
    )
    plan = _Plan(engine, settings, make_up, kept, deadline)
    facts_of_image = {
        "image": settings.pg_image,
        "image_id": make_up.image_id,
        "image_digests": ", ".join(image.get("RepoDigests") or []) or "none: built here",
        "engine_version": engine.version,
        "data_directory": f"tmpfs:{PGDATA}",
    }
    with (
        _telling(engine, settings.pg_image, timeout_s, DockerError.went_away),
        _opened(plan) as (guard, (made, version, facts)),
    ):
        require_fresh(facts, address_of(made.owner_dsn), up_at_most_s=since.seconds())
        told, holder = facts | facts_of_image, ContainedHolder(guard)
        yield Server(made.owner_dsn, made.admin_dsn, "docker", reason, version, told, holder)


@contextmanager
def _opened(plan: _Plan) -> Iterator[tuple[Guard, _Started]]:
    """A container with a server that is ours alone: the first, or a second where the kept cluster was of no use."""
    with open_guard(plan.engine, plan.make_up) as guard:
        plan.kept.find()
        # The driver takes a tenth of a second to load the first time; the container starts meanwhile.
        import psycopg  # noqa: F401 - loaded here for its time

        with _blaming_the_image(plan, guard):
            started = _make(plan, guard) if plan.kept.found is None else _from_kept(plan, guard)
        if started is not None:
            yield guard, started
            return
    with open_guard(plan.engine, plan.make_up) as guard:
        with _blaming_the_image(plan, guard):
            started = _make(plan, guard)
        yield guard, started


@contextmanager
def _blaming_the_image(plan: _Plan, guard: Guard) -> Iterator[None]:
    """Another PostgreSQL says of our options only that it does not know them; memory that is full is not a disk."""
    image = plan.settings.pg_image
    try:
        yield
    except DiskFullError as exc:
        raise DiskFullError.in_container("the start of the container", image) from exc
    except (ContainerEndedError, TooOldError, TooNewError) as exc:
        version = re.match(r"postgres \(PostgreSQL\) ((\d+)\S*)", guard.ask("postgres", "--version"))
        if version is None or int(version[2]) == MAJOR:
            raise
        kind = TooOldError if int(version[2]) < MAJOR else TooNewError
        raise kind.image(image, version[1]) from exc


@contextmanager
def _telling(engine: Engine, image: str, timeout_s: float, gone: Callable[[str, str], DockerError]) -> Iterator[None]:
    """Bound how long the engine is waited for, and turn the SDK's errors into ours.

    An OSError of the block's own is none of the engine's: requests' are. `gone` is what an engine that went away is
    told as, which depends on whether there may be a container.
    """
    import docker.errors
    import requests

    engine.client.api.timeout = timeout_s
    try:
        yield
    except requests.Timeout as exc:
        if timeout_s < REQUEST_TIMEOUT_S and _answers(engine):
            raise DockerError.limit_too_short(image, round(timeout_s * 1000)) from exc
        raise DockerError.silent(image, timeout_s) from exc
    except hung_up() as exc:
        raise gone(image, one_line(exc)) from exc
    except (docker.errors.DockerException, requests.RequestException) as exc:
        raise DockerError.refused("run the container", image, one_line(exc)) from exc


def _answers(engine: Engine) -> bool:
    """Whether it is well: the limit may have been too short for it."""
    import docker.errors
    import requests

    engine.client.api.timeout = PROBE_TIMEOUT_S
    try:
        return bool(engine.client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False


def _from_kept(plan: _Plan, guard: Guard) -> _Started | None:
    """Start a server on a copy of the kept cluster; None where it cannot be trusted, and the container is of no use."""
    if plan.kept.found is None:
        raise RuntimeError("no kept cluster was found")
    entry, checked = plan.kept.found
    try:
        parcel = parcel_of(checked, Owner.of(entry.known))
        _put_settings(guard, random_password())  # the entry point wants a password, and does not use it
        guard.put_tree(PGDATA, parcel.first)
        guard.serve()
        # The other databases come while it starts: no part of a clean start opens them, nobody is connected to them.
        for source, to in parcel.copies:
            guard.copy_tree(f"{PGDATA}/{source}", f"{PGDATA}/{to}")
        guard.put_tree(PGDATA, parcel.rest)
        guard.ask_for_a_sign()
        dsn = _dsn(guard, entry.password, plan.settings.postgres_db)
        with _wait(plan, guard, dsn) as conn:
            made, version, facts = _hand_over(conn, dsn)
            _require_whole(plan, guard)
        why = not_fresh(facts, entry)
    except PoisonedError as exc:
        why = str(exc)
    except (ContainerEndedError, StartError, WrongPasswordError) as exc:
        if ContainedHolder(guard).out_of_room():  # that says nothing of the cluster
            raise DiskFullError.in_container("the start on a copy of the kept cluster", plan.settings.pg_image) from exc
        why = unusable(exc)
    if why:
        plan.kept.discard(why)
        return None
    return made, version, facts | plan.kept.facts()


def _make(plan: _Plan, guard: Guard) -> _Started:
    """Let the image make its cluster, provision it, and keep it for the next run where it can be kept."""
    password = random_password()
    _put_settings(guard, password)
    dsn = _serve(guard, password, "postgres")
    to_be_kept = plan.kept.folder is not None
    with _wait(plan, guard, dsn) as conn:
        version = require_version(conn, dsn)
        dsn = renew_password(conn, dsn)
        made = provision(conn, dsn, plan.settings.postgres_db, to_be_kept=to_be_kept)
    # What is kept has been shut down, so this run, too, goes on from that.
    archive = guard.shut_down() if to_be_kept else None
    if archive is None:
        if to_be_kept:
            plan.kept.report("server   the cluster could not be kept: the image has no tar")
        with connect(made.admin_dsn) as conn:
            return made, version, read_facts(conn) | plan.kept.facts()
    password = parse_dsn(dsn)["password"]
    _serve(guard, password, plan.settings.postgres_db)
    with _wait(plan, guard, made.admin_dsn) as conn:
        made, version, facts = _hand_over(conn, made.admin_dsn)
    if not found_before(facts):
        _keep(plan, archive, facts, password)
    return made, version, facts | plan.kept.facts()


def _keep(plan: _Plan, archive: bytes, facts: dict[str, str], password: str) -> None:
    try:
        owner, found = read_archive(archive)
        plan.kept.keep(pack(found), facts, password, owner=owner.known())
    except PoisonedError as exc:
        plan.kept.report(f"server   the cluster could not be kept: {exc}")


def _put_settings(guard: Guard, password: str) -> None:
    guard.put_file(CONFIG_FILE, CONFIG.read_bytes())
    guard.put_file(PASSWORD_FILE, password.encode())


def _serve(guard: Guard, password: str, database: str) -> str:
    """Start the server; returns where it will answer."""
    guard.serve()
    return _dsn(guard, password, database)


def _dsn(guard: Guard, password: str, database: str) -> str:
    return own_dsn(**parse_dsn(guard.address()), user=SUPERUSER, password=password, dbname=database)


def _wait(plan: _Plan, guard: Guard, dsn: str) -> Connection:
    """Wait over TCP from outside: the first boot's temporary server listens on its Unix socket only."""
    left_ms = max(1, int((plan.deadline - time.monotonic()) * 1000))
    parts = parse_dsn(dsn)
    # A tunnel's socket is in a folder, and reaches where the engine is.
    reach = None if parts["host"].startswith("/") else Reach(guard, parts["host"], int(parts["port"]))

    def require_alive() -> None:
        guard.require_alive()
        if reach is not None:
            reach.look()

    conn = wait_until_ready(dsn, timeout_ms=left_ms, require_alive=require_alive)
    if conn is None:
        raise StartError.not_ready("the container's server", plan.settings.server_start_timeout_ms, guard.log())
    return conn


def _require_whole(plan: _Plan, guard: Guard) -> None:
    """Nobody is handed a server while a part of its cluster is missing."""
    if not guard.wait_for_the_sign(plan.deadline):
        raise StartError.not_ready("the copy of the cluster", plan.settings.server_start_timeout_ms, guard.log())


def _hand_over(conn: Connection, dsn: str) -> _Started:
    version = require_version(conn, dsn)
    made = renew_both(conn, dsn)
    return made, version, read_facts(conn)
