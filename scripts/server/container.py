"""A fresh PostgreSQL in a container of the official image, or of one that speaks its contract.

Owns: the container's make-up: its name, labels, command, files, published port; and its end.
Promises: the data is in memory and nothing is left behind, not even when the run is killed with -9: the container's
    first process waits for the end of its stdin, which only this run holds open; the engine then removes the container.
    `docker inspect` shows no secret; the password that the image's first boot sees is replaced before it is of use.
Never: pulls an image (open.py decides that), or uses a fixed name or port.
"""

from __future__ import annotations

import io
import secrets
import tarfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.clock import iso_utc, utc_now
from scripts.errors.server import DiskFullError, DockerError, StartError
from scripts.server.engine import LOOPBACK, Engine, one_line
from scripts.server.facts import read_facts
from scripts.server.layout import CONFIG, DISK_FULL
from scripts.server.leftover import LABEL, owner_labels, sweep
from scripts.server.model import Server
from scripts.server.provision import INITDB_OPTIONS, SUPERUSER, provision, random_password, renew_password
from scripts.server.readiness import connect, require_version, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from scripts.settings import Settings

PORT = "5432/tcp"
# Of major 18: the declared volume is the parent, the data a folder named after the version.
VOLUME = "/var/lib/postgresql"
PGDATA = f"{VOLUME}/18/docker"
PASSWORD_FILE = "/etc/parity/password"  # noqa: S105 - a path
CONFIG_FILE = "/etc/parity/postgresql.conf"
ENDED = "parity-runner: the server ended with status"
LOG_LINES = 30
LOOK_S = 0.2
REMOVE_TIMEOUT_S = 15.0
# The image's own entry point, unchanged, as a child; when stdin closes, this shell ends and the kernel ends the rest. A
# server that fails leaves the container standing, so that its log can still be read: with AutoRemove it would vanish.
GUARD = f"""
exec 3<&0
(docker-entrypoint.sh "$@" </dev/null 3<&-; echo "{ENDED} $?") &
trap 'exit 0' TERM INT
cat <&3 >/dev/null &
wait $!
"""


@dataclass(frozen=True, slots=True)
class _Container:
    """One container of ours."""

    engine: Engine
    image: str
    id: str

    def log(self) -> str:
        """The last lines it wrote."""
        return str(self.engine.client.api.logs(self.id, tail=LOG_LINES).decode(errors="replace")).strip()


@contextmanager
def open_container(engine: Engine, settings: Settings, *, run_id: str, reason: str) -> Iterator[Server]:
    """Create, start and provision a container; remove it at the end.

    Args:
        engine: one that answers and has the image.
        settings: the image, the database's name, the start's deadline.
        run_id: goes into a label.
        reason: why this origin was chosen.

    Raises:
        DockerError: the engine refuses, or the server in the container ends.
        StartError: it does not answer in time.
    """
    image = settings.pg_image
    password = random_password()
    name = f"{LABEL}-{secrets.token_hex(6)}"
    with _telling(image), ExitStack() as opened:
        sweep(engine)
        try:
            container = _Container(engine, image, _create(engine, image, name, run_id))
            _put_files(container, password)
            opened.enter_context(_attached(container))
            engine.client.api.start(container.id)
            dsn = f"{_address(container)} user={SUPERUSER} password={password} dbname=postgres"
            conn = _wait(container, dsn, timeout_ms=settings.server_start_timeout_ms)
            with conn:
                version = require_version(conn, dsn)
                dsn = renew_password(conn, dsn)
                made = provision(conn, dsn, settings.postgres_db)
            with connect(made.admin_dsn) as conn:
                facts = read_facts(conn) | _facts_of(container)
            yield Server(made.owner_dsn, made.admin_dsn, "docker", reason, version, facts)
        finally:
            opened.close()
            _remove(engine, name)


@contextmanager
def _telling(image: str) -> Iterator[None]:
    """Turn the SDK's errors into ours. An OSError of the block's own is none of the engine's: requests' are."""
    import docker.errors
    import requests

    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as exc:
        raise DockerError.refused("run the container", image, one_line(exc)) from exc


def _create(engine: Engine, image: str, name: str, run_id: str) -> str:
    """Create it; nothing in here is secret, since `docker inspect` shows all of it."""
    api = engine.client.api
    # Loopback, a port of the engine's choice. An engine on another machine has to publish where we can reach it.
    host_config = api.create_host_config(
        auto_remove=True,
        port_bindings={PORT: None if engine.remote else (LOOPBACK, None)},
        tmpfs={VOLUME: "rw"},
    )
    options = [option for option in INITDB_OPTIONS if not option.startswith("--username=")]  # POSTGRES_USER says it
    created = api.create_container(
        image,
        entrypoint=["sh", "-c", GUARD, "sh"],
        command=["postgres", "-c", f"config_file={CONFIG_FILE}", "-c", "listen_addresses=*"],
        name=name,
        environment={
            "POSTGRES_USER": SUPERUSER,
            "POSTGRES_DB": "postgres",
            "POSTGRES_PASSWORD_FILE": PASSWORD_FILE,
            "POSTGRES_INITDB_ARGS": " ".join([*options, "--no-sync", "--no-instructions"]),
            "PGDATA": PGDATA,
            "TZ": "UTC",
        },
        ports=["5432"],
        host_config=host_config,
        stdin_open=True,  # with StdinOnce: the engine closes it when our connection ends
        labels={
            LABEL: "1",
            f"{LABEL}.run-id": run_id,
            **owner_labels(),
            f"{LABEL}.started-at": iso_utc(utc_now()),
        },
    )
    return str(created["Id"])


def _put_files(container: _Container, password: str) -> None:
    """The configuration and the first boot's password, by the engine's API: no file of ours on any disk."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("etc/parity")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        # Readable for all in the container: the entry point reads it as the image's own user, whose number varies.
        for path, content in ((PASSWORD_FILE, password.encode()), (CONFIG_FILE, CONFIG.read_bytes())):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o444
            archive.addfile(entry, io.BytesIO(content))
    container.engine.client.api.put_archive(container.id, "/", buffer.getvalue())


@contextmanager
def _attached(container: _Container) -> Iterator[None]:
    """Hold the container's stdin open, for as long as this process lives or until the block is left."""
    stream = container.engine.client.api.attach_socket(container.id, params={"stdin": 1, "stream": 1})
    try:
        yield
    finally:
        # The SDK hands out one layer of three; the connection stays open until all are closed.
        for layer in (stream._response, stream, getattr(stream, "_sock", None)):  # noqa: SLF001 - it has no other way
            if layer is not None:
                layer.close()


def _address(container: _Container) -> str:
    """Where the published port is, as conninfo. The engine fills it in a moment after the start."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        bindings = container.engine.client.api.inspect_container(container.id)["NetworkSettings"]["Ports"].get(PORT)
        if bindings:
            # Podman writes "5432/tcp" in places; one entry an address family, all on the same port or IPv4 first.
            return f"host={container.engine.host} port={str(bindings[0]['HostPort']).split('/')[0]}"
        time.sleep(0.01)
    raise DockerError.refused("publish the port", container.image, "no port after 5 s")


def _wait(container: _Container, dsn: str, *, timeout_ms: int) -> Connection:
    """Wait over TCP from outside: the first boot's temporary server listens on its Unix socket only."""
    looked_at = time.monotonic()

    def require_alive() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at < LOOK_S:
            return
        looked_at = time.monotonic()
        log = container.log()
        if ENDED in log:
            if any(words in log for words in DISK_FULL):
                raise DiskFullError.during("the start of the container", VOLUME)
            said, _, status = log.rpartition(ENDED)
            raise DockerError.ended(container.image, f"exit status {status.strip()}", said.strip())

    conn = wait_until_ready(dsn, timeout_ms=timeout_ms, require_alive=require_alive)
    if conn is None:
        raise StartError.not_ready("the container's server", timeout_ms, container.log())
    return conn


def _facts_of(container: _Container) -> dict[str, str]:
    """What ran: the image by content, not by a tag that moves."""
    api = container.engine.client.api
    image = api.inspect_image(container.image)
    return {
        "image": container.image,
        "image_id": str(image["Id"]),
        "image_digests": ", ".join(image.get("RepoDigests") or []) or "none: built here",
        "engine_version": container.engine.version,
        "data_directory": f"tmpfs:{PGDATA}",
    }


def _remove(engine: Engine, name: str) -> None:
    """Remove it and wait until it is gone. The name is random and ours; AutoRemove may be at it already."""
    import docker.errors

    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with suppress(docker.errors.APIError):
                engine.client.api.remove_container(name, force=True, v=True)
            engine.client.api.inspect_container(name)
        except docker.errors.NotFound:
            return
        time.sleep(0.02)
    raise DockerError.refused("remove the container", name, f"it is still there after {REMOVE_TIMEOUT_S:.0f} s")
