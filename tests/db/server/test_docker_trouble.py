"""What goes wrong with a real engine, image or container: one paragraph, the cause and the next step, exit 3."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess  # noqa: TID251 - a user without rights
import tempfile
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psycopg
import pytest
from fix_elsewhere import another_machine
from make_images import derived
from make_registry import open_registry
from make_runs import AS_NOBODY, SITE, python_for_others, quiet

from scripts.errors.base import ExitCode
from scripts.errors.docker import DockerError
from scripts.errors.room import DiskFullError
from scripts.errors.server import ServerError
from scripts.errors.unfit import TooOldError
from scripts.run.history import migrate_database
from scripts.run.voice import Voice
from scripts.server.containers.engine import LOOPBACK, Engine, find_engine, pull_image
from scripts.server.containers.guard import PGDATA
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.origin import open_container
from scripts.server.open import open_server
from scripts.server.readiness import connect
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


def refused(image: str = TAG, cache: Path | None = None, data_mb: int = 2048) -> ServerError:
    """What opening a server raises: one paragraph, exit 3; and nothing of it stays in the engine."""
    run_id = secrets.token_hex(6)
    settings = Settings(server="docker", pg_image=image, cluster_cache=cache, container_data_mb=data_mb)
    with pytest.raises(ServerError) as caught, open_server(settings, run_id=run_id, report=quiet):
        pass
    assert caught.value.exit_code == ExitCode.NO_SERVER
    assert caught.value.facts
    assert caught.value.help
    assert "\n\n" not in str(caught.value)
    with find_engine() as engine:
        assert engine.client.api.containers(all=True, filters={"label": f"parity-runner.run-id={run_id}"}) == []
    return caught.value


def test_an_engine_that_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its socket is still there."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "docker.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(DockerError) as caught, open_server(Settings(server="docker"), run_id="r", report=quiet):
        pass
    assert str(caught.value) == (
        "error[docker]: no Docker engine answers\n"
        "  expected  an engine at DOCKER_HOST or the current context\n"
        f"  found     {tmp_path}/docker.sock: Connection refused\n"
        "  help: start Docker, or use SERVER=embedded, which needs none"
    )


def test_an_engine_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that takes the connection and never answers costs seconds, not minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        with pytest.raises(DockerError) as caught, find_engine():
            pass
    assert "it takes connections, and does not answer within 2 s" in str(caught.value)
    assert "read timeout" not in str(caught.value).lower()


@pytest.mark.parametrize("user", [AS_NOBODY])
def test_a_socket_without_permission(user: str) -> None:
    """It names the group, and not the engine's start: it runs."""
    place = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    place.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(place / "docker.sock"))
        (place / "docker.sock").chmod(0o600)
        closed.listen()
        code = "from scripts.server.containers.engine import find_engine\nwith find_engine(): pass"
        auto = (
            "from scripts.server.open import open_server\nfrom scripts.settings import Settings\n"
            "with open_server(Settings(), run_id='r', report=print): pass"
        )
        environment = {"PYTHONPATH": f"{ROOT}:{SITE}", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        done, chosen = (
            subprocess.run(
                [python_for_others()[0], "-c", program],
                user=user,
                group="nogroup",
                extra_groups=[],
                env={**environment, "DOCKER_HOST": f"unix://{place}/docker.sock"},
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
            )
            for program in (code, auto)
        )
    (place / "docker.sock").unlink()
    place.rmdir()
    assert done.stderr.rpartition("scripts.errors.docker.DockerError: ")[2].strip() == (
        f"error[docker]: {place}/docker.sock: the Docker engine is closed to this user\n"
        "  expected  a socket that this user may write to\n"
        "  found     permission denied\n"
        "  help: usermod -aG docker USER and log in again, or run a rootless engine, or use SERVER=embedded"
    )
    assert chosen.stdout == (
        f"server   embedded: the Docker engine is closed to this user ({place}/docker.sock: permission denied)\n"
    )


def test_a_limit_that_is_too_short_does_not_blame_the_engine(engine: Engine) -> None:
    """It answers; only the start takes longer than it may."""
    settings = Settings(server="docker", pg_image=TAG, server_start_timeout_ms=20)
    with pytest.raises(DockerError) as caught, open_server(settings, run_id="short", report=quiet):
        pass
    assert str(caught.value) == (
        f"error[docker]: {TAG}: the container was not started in time\n"
        "  expected  a start within SERVER_START_TIMEOUT_MS, 20 ms\n"
        "  found     an engine that answers, and is not done yet\n"
        "  help: raise SERVER_START_TIMEOUT_MS: a start takes a second or less, 60000 is the default"
    )
    assert engine.client.api.containers(all=True, filters={"label": "parity-runner.run-id=short"}) == []


@pytest.mark.root
def test_an_engine_that_stops_in_the_middle_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's own trouble is told as what it is a part of."""
    with another_machine() as machine:
        client = docker.DockerClient(base_url=f"unix://{machine.socket}")
        build_offline_image(Engine(client, LOOPBACK, ""))
        client.close()
        for name, value in machine.by_tls().items():
            monkeypatch.setenv(name, value)
        settings = Settings(server="docker", pg_image=TAG)
        with pytest.raises(DockerError) as caught:
            ask_after_the_end(settings, machine.engine)
    assert isinstance(caught.value.__context__, Exception)
    assert caught.value.exit_code == ExitCode.NO_SERVER
    said = str(caught.value)
    assert said.startswith(
        f"error[docker]: {TAG}: the Docker engine went away during the run\n"
        "  expected  an engine that answers until the run ends\n"
        "  found     "
    )
    assert said.endswith(
        "  help: start Docker and run again; the container ended with the engine, or, if that was killed, goes on "
        "until it is started again, which ends it; else: docker rm -f what `docker ps` lists of this image"
    )


@pytest.mark.root
@pytest.mark.parametrize("kept", [False, True])
def test_an_engine_whose_ports_are_in_another_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, kept: bool
) -> None:
    """Its socket is on this file system, as where a container was lent its host's engine: no minute of waiting."""
    with another_machine() as machine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{machine.socket}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        with find_engine() as engine:
            build_offline_image(engine)
        began = time.monotonic()
        error = refused(cache=tmp_path / "kept" if kept else None)
        assert time.monotonic() - began < 15
    assert str(error).startswith(
        f"error[docker]: {TAG}: the server in the container cannot be reached from here\n"
        "  expected  its published port at 127.0.0.1:"
    )
    assert "\n  found     Connection refused, while inside it is ready\n  help: the engine publishes in" in str(error)


# What is asked of an engine before there is a container.
EARLY: dict[str, Callable[[Engine], object]] = {
    "look": lambda engine: engine.has_image(TAG),
    "pull": lambda engine: pull_image(engine, TAG),
    "open": lambda engine: open_container(
        engine, Settings(server="docker", pg_image=TAG), run_id="early", reason="", report=quiet
    ).__enter__(),
}


@pytest.mark.root
@pytest.mark.parametrize("asked", EARLY.values(), ids=EARLY)
def test_an_engine_that_is_killed_before_there_is_a_container(
    monkeypatch: pytest.MonkeyPatch, asked: Callable[[Engine], object]
) -> None:
    """While it is asked: there are no words of its own to refer to, and there is nothing to remove."""
    with another_machine() as machine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{machine.socket}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        with find_engine() as engine:
            machine.engine.send_signal(signal.SIGSTOP)
            killing = threading.Timer(1, machine.engine.kill)
            killing.start()
            with pytest.raises(DockerError) as caught:
                asked(engine)
            killing.join()
    assert caught.value.exit_code == ExitCode.NO_SERVER
    assert str(caught.value) == (
        f"error[docker]: {TAG}: the Docker engine went away before a container was made\n"
        "  expected  an engine that answers until the run ends\n"
        "  found     Connection reset by peer\n"
        "  help: start Docker and run again: nothing of this run is left in it; SERVER=embedded needs no engine"
    )


@pytest.mark.root
def test_an_engine_that_is_killed_while_it_pulls(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of its answer."""
    with another_machine() as machine:
        here = str(ip_address(machine.address) - 1)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{machine.socket}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        with socket.create_server((here, 0)) as registry, find_engine() as engine:
            image = f"{here}:{registry.getsockname()[1]}/parity:18"
            killing = threading.Timer(1, machine.engine.kill)
            killing.start()
            with pytest.raises(DockerError) as caught:
                pull_image(engine, image)
            killing.join()
    assert str(caught.value).startswith(
        f"error[docker]: {image}: the Docker engine went away before a container was made\n"
    )


@pytest.mark.root
def test_an_engine_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dockerd --bridge none`: its container runs and gets no port; the engine says nothing of it, so we do."""
    with another_machine("--bridge=none", "--iptables=false") as machine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{machine.socket}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        with find_engine() as engine:
            build_offline_image(engine)
        error = refused()
    assert str(error) == (
        f"error[docker]: {TAG}: the container got no port\n"
        "  expected  a published port, in the engine's own network (bridge)\n"
        "  found     none after 5 s, in no network\n"
        '  help: the engine has no network for containers: start it with one (no `--bridge none`, no "bridge": "none" '
        "in daemon.json), name another engine with DOCKER_HOST, or use SERVER=embedded"
    )


def ask_after_the_end(settings: Settings, dockerd: subprocess.Popen[bytes]) -> None:
    """Of the engine."""
    with open_server(settings, run_id="stopped", report=quiet) as server, connect(server.dsn) as conn:
        dockerd.terminate()
        dockerd.wait()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "name", ["UPPER:18", "a b", "-x", "x:18:18", "n@sha256:12", "é", "a" * 300, "/", "%00", "a/../../info"]
)
def test_a_name_that_no_image_can_have(engine: Engine, name: str) -> None:
    """Nothing is pulled."""
    error = refused(name)
    assert str(error).startswith(f"error[docker]: PG_IMAGE={name}: no image can have this name\n"), error
    assert "correct PG_IMAGE, or unset it" in error.help


def test_an_image_that_is_not_there_and_no_network(engine: Engine) -> None:
    """In the engine's own words, and the three ways to get one."""
    error = refused("127.0.0.1:1/parity:18")
    assert str(error).startswith(
        "error[docker]: 127.0.0.1:1/parity:18: the image is not there and cannot be pulled\n  found  "
    )
    assert "connection refused" in str(error)
    assert "docker pull 127.0.0.1:1/parity:18, or SERVER=embedded; invoke image.build --offline" in error.help


@pytest.mark.parametrize("size", [1, 8, 24, 28])
@pytest.mark.parametrize("kept", [False, True])
def test_a_memory_that_is_full(engine: Engine, size: int, tmp_path: Path, *, kept: bool) -> None:
    """While a kept cluster is unpacked, in initdb, and when the database is made; a good entry is not thrown away."""
    settings = Settings(server="docker", pg_image=TAG, cluster_cache=tmp_path / "kept")
    if kept:
        with open_server(settings, run_id="full", report=quiet):
            pass
    error = refused(cache=settings.cluster_cache if kept else None, data_mb=size)
    assert isinstance(error, DiskFullError)
    assert str(error) == (
        f"error[disk full]: {TAG}: no space left during the start of the container\n"
        "  expected  memory of the engine's machine for about 100 MB and the data\n"
        "  found     the container's data folder, which is in memory, is full\n"
        "  help: raise CONTAINER_DATA_MB, how much of its machine's memory the data may take, or free some there; "
        "SERVER=embedded can put the data on a disk"
    )
    assert len(list(tmp_path.glob("kept/*"))) == int(kept)


@pytest.mark.parametrize("first", ["", "CREATE TABLE public.t (x text);\n"], ids=["a table", "the log"])
def test_a_memory_that_becomes_full_while_files_run(engine: Engine, tmp_path: Path, first: str) -> None:
    """A real one, of eighty megabytes: the server refuses, or ends since it cannot write ahead; the place is told."""
    made = "INSERT INTO public.t" if first else "CREATE TABLE public.t AS"
    rows = "string_agg(gen_random_uuid()::text, '') AS x FROM generate_series(1, 90) AS g, generate_series(1, 30000)"
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_fill.sql").write_text(f"{first}{made} SELECT {rows} GROUP BY g;\n")
    settings = Settings(server="docker", pg_image=TAG, cluster_cache=None, migrations_dir=folder, container_data_mb=80)
    with pytest.raises(DiskFullError) as caught:
        migrate_database(settings, Voice(quiet, quiet, json=False, color=False))
    assert caught.value.exit_code == ExitCode.NO_SERVER
    assert str(caught.value).startswith(f"error[disk full]: tmpfs:{PGDATA}: the server has no room left for ")
    assert "  help: raise CONTAINER_DATA_MB" in str(caught.value)


def test_an_image_of_an_older_major(engine: Engine) -> None:
    """It says which, where the older one's initdb says only that it does not know an option."""
    old = '#!/bin/sh\n[ "$1" = --version ] && echo "postgres (PostgreSQL) 16.4 (Debian 16.4-1)"\nexit 1\n'
    initdb = '#!/bin/sh\necho "initdb: unrecognized option --builtin-locale" >&2\nexit 1\n'
    name = f"parity-test-{secrets.token_hex(4)}:16"
    derived(engine, name, postgres=old, initdb=initdb)
    try:
        error = refused(name)
    finally:
        engine.client.api.remove_image(name, force=True)
    assert isinstance(error, TooOldError)
    assert str(error) == (
        f"error[too old]: PG_IMAGE={name}: the image is too old\n"
        "  expected  PostgreSQL 18\n"
        "  found     16.4\n"
        "  help: name one of PostgreSQL 18 in PG_IMAGE, or unset it for the one that is pinned"
    )


def test_an_image_without_a_shell(engine: Engine) -> None:
    """In the engine's own words."""
    name = f"parity-test-{secrets.token_hex(4)}:18"
    api = engine.client.api
    api.tag(api.inspect_image(TAG)["Id"], *name.split(":"))
    api.remove_image(name, force=True)
    derived(engine, name, sh=None)
    try:
        error = refused(name)
    finally:
        api.remove_image(name, force=True)
    assert str(error).startswith(f"error[docker]: {name}: the Docker engine refused to run the container\n  found  ")
    assert '"sh": executable file not found' in str(error)


def test_an_image_is_pulled_by_tag_and_by_digest(engine: Engine, tmp_path: Path) -> None:
    """From a registry, once; its digest is in the facts; without the registry, it is still there."""
    api = engine.client.api
    names: list[str] = []
    lines: list[str] = []
    try:
        with open_registry(api, TAG, "18.9") as registry:
            names += [f"{registry.name}:18.9", f"{registry.name}@{registry.digest}"]
            for name in names:
                with open_server(Settings(server="docker", pg_image=name), run_id="r", report=lines.append) as server:
                    assert server.facts["image"] == name
                    assert server.facts["image_digests"] == f"{registry.name}@{registry.digest}"
                    assert server.facts["image_id"] == api.inspect_image(TAG)["Id"]
                api.remove_image(name, noprune=True)
            assert [line for line in lines if "pulling" in line] == [
                f"server   docker: pulling {name}, which is not there yet" for name in names
            ]
            missing = refused(f"{registry.name}:17.1")
            assert "the image is not there and cannot be pulled" in str(missing)
            assert "manifest unknown" in str(missing) or "not found" in str(missing)
            engine.client.images.pull(registry.name, tag="18.9")
        lines.clear()
        with open_server(Settings(server="docker", pg_image=names[0]), run_id="r", report=lines.append):
            assert not [line for line in lines if "pulling" in line]
    finally:
        for name in names:
            if engine.has_image(name):
                api.remove_image(name, noprune=True)
