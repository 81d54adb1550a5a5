"""What a start in a container cannot do without: create and start it, copy a cluster's files there, connect.

Owns: the floor that containers on a kept cluster are compared with: what somebody would do by hand, who has baked the
    cluster into an image. It checks no digest, renews no password, and its container outlives a run that is killed.
"""

from __future__ import annotations

import io
import secrets
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.server.cluster.archive import Owner, parcel_of
from scripts.server.cluster.cache import SUFFIX
from scripts.server.cluster.packing import read_checked, read_known
from scripts.server.containers.engine import LOOPBACK, find_engine
from scripts.server.containers.guard import PGDATA, PORT, VOLUME
from scripts.server.embedded.layout import CONFIG
from scripts.server.provision import SUPERUSER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.server.cluster.archive import Parcel
    from scripts.server.containers.engine import Engine

BAKED = "/baked"
CONFIG_FILE = "/etc/baked.conf"
LIMIT_S = 30.0
# Running as root would be refused; the image's own user is taken, as its entry point does.
SERVE = f"""
mkdir -p {PGDATA} && cp -R -p {BAKED}/. {PGDATA} && chmod 700 {PGDATA} && exec docker-entrypoint.sh "$@"
"""


@contextmanager
def open_docker_floor(kept: Path, image: str, engine_ms: list[float]) -> Iterator[Callable[[], float]]:
    """A candidate for `measure.in_turn`: one call creates, starts, connects, asks `SELECT 1`, and cleans up.

    Args:
        kept: a folder whose latest kept cluster is that image's (`Settings.cluster_cache` after one start with it).
        image: the name.
        engine_ms: takes how long the engine alone had of each call, for create, attach and start, in milliseconds.

    Yields:
        A function that returns the milliseconds up to the answer; cleaning up is not counted.
    """
    entry = max(kept.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    with entry.open("rb") as file:
        digest, known = read_known(file.fileno())
    parcel = parcel_of(read_checked(str(entry), digest), Owner.of(known))
    with find_engine() as engine:
        api = engine.client.api
        name = f"parity-bench-{secrets.token_hex(4)}"
        maker = api.create_container(image, entrypoint=["sleep", "60"])["Id"]
        try:
            api.start(maker)
            _bake(engine, maker, parcel)
            api.commit(maker, name)
        finally:
            api.remove_container(maker, force=True, v=True)
        try:
            yield _Case(engine, name, str(known["password"]), engine_ms).measure
        finally:
            api.remove_image(name, force=True)


def _bake(engine: Engine, maker: str, parcel: Parcel) -> None:
    api = engine.client.api

    def run(*words: str) -> None:
        command = api.exec_create(maker, list(words))
        api.exec_start(command)
        if api.exec_inspect(command)["ExitCode"] != 0:
            raise RuntimeError("the cluster cannot be baked")

    run("mkdir", "-m", "700", BAKED)
    api.put_archive(maker, BAKED, parcel.first)
    for source, to in parcel.copies:
        run("cp", "-R", "-p", f"{BAKED}/{source}", f"{BAKED}/{to}")
    api.put_archive(maker, BAKED, parcel.rest)
    api.put_archive(maker, "/", _one_file(CONFIG_FILE, CONFIG.read_bytes()))


def _one_file(path: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mode = len(content), 0o644
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Case:
    engine: Engine
    image: str
    password: str
    engine_ms: list[float]

    def measure(self) -> float:
        import psycopg

        api = self.engine.client.api
        began = time.perf_counter()
        container = api.create_container(
            self.image,
            entrypoint=["sh", "-c", SERVE, "sh"],
            command=["postgres", "-c", f"config_file={CONFIG_FILE}", "-c", "listen_addresses=*"],
            environment={"PGDATA": PGDATA},
            ports=["5432"],
            host_config=api.create_host_config(port_bindings={PORT: (LOOPBACK, None)}, tmpfs={VOLUME: "rw"}),
            stdin_open=True,
        )["Id"]
        try:
            stream = api.attach_socket(container, params={"stdin": 1, "stream": 1})
            api.start(container)
            self.engine_ms.append((time.perf_counter() - began) * 1000)
            port = api.inspect_container(container)["NetworkSettings"]["Ports"][PORT][0]["HostPort"]
            conn = None
            while conn is None:
                try:
                    conn = psycopg.connect(
                        host=LOOPBACK, port=port, user=SUPERUSER, password=self.password, dbname="template1"
                    )
                except psycopg.OperationalError:
                    if time.perf_counter() - began > LIMIT_S:
                        raise
                    time.sleep(0.001)
            conn.execute("SELECT 1")
            took_ms = (time.perf_counter() - began) * 1000
            conn.close()
            stream.close()
            return took_ms
        finally:
            api.remove_container(container, force=True, v=True)
