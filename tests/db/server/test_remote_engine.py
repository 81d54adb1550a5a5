"""An engine on another machine: the server is reached where the port really is, by TLS and by ssh; nothing is left."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
from fix_elsewhere import SSH_PORT, Elsewhere
from make_runs import processes, quiet

from scripts.errors.base import ExitCode
from scripts.errors.docker import DockerError
from scripts.errors.residents import ResidentError
from scripts.server.containers.engine import find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.reaper import PATIENCE_S
from scripts.server.open import open_server
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# The other machine is a network of its own; where none can be made that is red (fix_elsewhere).
pytestmark = [pytest.mark.docker, pytest.mark.root]
GONE_WITHIN_S = 2.0
CHILD = """
import sys, time
from scripts.server.open import open_server
from scripts.settings import Settings
with open_server(Settings(server="docker", pg_image=sys.argv[1]), run_id=sys.argv[2], report=lambda line: None):
    print("ready", flush=True)
    time.sleep(60)
"""
# A run that creates its container and never starts it.
UNSTARTED = """
import time
from scripts.server.containers import lifetime
lifetime._start = lambda *_: time.sleep(60)
"""
# A run whose engine stops in the moment in which it is asked for a container, and which does not wait for it for long.
STOPPED = """
import os, signal
from scripts.server.containers import lifetime
lifetime.ANSWER_S = lifetime.LATE_S = 0.3
tell = lifetime.tell
def told(reaper, word):
    tell(reaper, word)
    if word == lifetime.ASKED:
        os.kill(int(sys.argv[3]), signal.SIGSTOP)
        print("asked", flush=True)
lifetime.tell = told
"""


@pytest.fixture
def by_tls(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one uses an engine on another machine without ssh."""
    for name, value in elsewhere.by_tls().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def by_ssh(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one uses it with ssh; the folder of sockets goes where the test can look for it."""
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(elsewhere.ssh), prepend=os.pathsep)
    monkeypatch.setenv("DOCKER_HOST", f"ssh://root@{elsewhere.address}:{SSH_PORT}")


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A temporary folder with a short name; the test runner has made its own before."""
    assert tmp_path.is_dir()
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def there(elsewhere: Elsewhere) -> Iterator[Any]:
    """The engine itself, asked by its own socket; it has the offline image."""
    client = docker.DockerClient(base_url=f"unix://{elsewhere.socket}")
    from scripts.server.containers.engine import LOOPBACK, Engine

    build_offline_image(Engine(client, LOOPBACK, ""))
    yield client.api
    client.close()


def one_run(kept: Path, there: Any) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Open a server and ask it; returns its facts, where it was reached, and what the engine says of the container."""
    run_id = secrets.token_hex(6)
    settings = Settings(server="docker", pg_image=TAG, cluster_cache=kept)
    with open_server(settings, run_id=run_id, report=quiet) as server:
        with connect(server.dsn) as conn:
            assert conn.execute("SELECT current_user").fetchone() == ("symphony_owner",)
        (found,) = there.containers(filters={"label": f"parity-runner.run-id={run_id}"})
        inspected = there.inspect_container(found["Id"])
        facts = dict(server.facts)
        parts = parse_dsn(server.dsn)
        text = json.dumps(inspected) + there.logs(found["Id"]).decode()
        for dsn in (server.dsn, str(server.admin_dsn)):
            assert parse_dsn(dsn)["password"] not in text
    assert there.containers(all=True, filters={"label": "parity-runner=1"}) == []
    return facts, parts, inspected


def test_by_tls_it_is_reached_at_the_engine_s_address(
    by_tls: None, there: Any, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Published on all addresses of that machine; a cluster is not sent over the network."""
    facts, parts, inspected = one_run(tmp_path / "kept", there)
    assert parts["host"] == elsewhere.address
    assert {binding["HostIp"] for binding in inspected["NetworkSettings"]["Ports"]["5432/tcp"]} >= {"0.0.0.0"}  # noqa: S104 - expected
    assert facts["cluster"] == "made for this run"
    assert not (tmp_path / "kept").exists()


def test_by_ssh_it_is_reached_through_the_tunnel(by_ssh: None, there: Any, short_tmp: Path, tmp_path: Path) -> None:
    """Published on that machine's loopback only, reached by a socket in a folder of our own; all is gone afterwards."""
    facts, parts, inspected = one_run(tmp_path / "kept", there)
    assert parts["host"].startswith(f"{short_tmp}/parity-ssh-")
    assert {binding["HostIp"] for binding in inspected["NetworkSettings"]["Ports"]["5432/tcp"]} == {"127.0.0.1"}
    assert parts["port"] == inspected["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
    assert facts["cluster"] == "made for this run"
    assert list(short_tmp.iterdir()) == []
    assert tunnels(short_tmp) == []


def test_by_ssh_no_server_stays(by_ssh: None, there: Any, short_tmp: Path, tmp_path: Path) -> None:
    """Its port is reached by the run's own ssh, which ends with the run: told before anything is made."""
    settings = Settings(server="docker", pg_image=TAG, keep_db=True, state_dir=tmp_path / "a" / "b" / "servers")
    lines: list[str] = []
    with (
        pytest.raises(ResidentError, match="a server in an engine behind ssh cannot stay"),
        open_server(settings, run_id="r", report=lines.append),
    ):
        pytest.fail("it was opened")
    assert lines == []
    assert there.containers(all=True, filters={"label": "parity-runner=1"}) == []
    assert list(short_tmp.iterdir()) == []


def test_only_this_user_may_enter_the_tunnel(by_ssh: None, there: Any, short_tmp: Path) -> None:
    """Whoever reaches the engine's socket is root on that machine."""
    with find_engine() as engine:
        assert engine.tunnel is not None
        assert engine.tunnel.folder.stat().st_mode & 0o777 == 0o700
        assert engine.tunnel.docker.stat().st_mode & 0o077 == 0


def tunnels(folder: Path) -> list[str]:
    """Processes that name the folder."""
    return [line for _, _, line in processes() if str(folder) in line and "ssh" in line]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_neither_container_nor_tunnel(
    by_ssh: None, there: Any, short_tmp: Path, signum: int
) -> None:
    """Here nor there."""
    run_id = secrets.token_hex(6)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, TAG, run_id],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},  # noqa: TID251 - with the engine's place
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        assert tunnels(short_tmp)
        run.send_signal(signum)
        run.wait()
    deadline = time.monotonic() + GONE_WITHIN_S

    def left() -> list[Any]:
        return [*there.containers(all=True), *tunnels(short_tmp), *short_tmp.iterdir()]

    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left() == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("way", ["by_tls", "by_ssh"])
def test_a_container_that_its_dead_run_never_started_is_gone(
    request: pytest.FixtureRequest, there: Any, short_tmp: Path, way: str, signum: int
) -> None:
    """The process beside the run asks there as the run did, with its keys or in its tunnel, and both end with it."""
    request.getfixturevalue(way)
    with subprocess.Popen(
        [sys.executable, "-c", UNSTARTED + CHILD, TAG, secrets.token_hex(6)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},  # noqa: TID251 - with the engine's place
    ) as run:
        deadline = time.monotonic() + 30
        while not (found := there.containers(all=True)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [one["State"] for one in found] == ["created"]
        assert bool(tunnels(short_tmp)) == (way == "by_ssh")
        run.send_signal(signum)
        run.wait()
    deadline = time.monotonic() + GONE_WITHIN_S

    def left() -> list[Any]:
        beside = [line for _, _, line in processes() if "reaper.py" in line and name_of(found[0]) in line]
        return [*there.containers(all=True), *beside, *tunnels(short_tmp), *short_tmp.glob("parity-*")]

    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left() == []


def test_a_container_that_comes_when_its_run_is_gone_is_removed_through_the_tunnel(
    by_ssh: None, there: Any, elsewhere: Elsewhere, short_tmp: Path
) -> None:
    """The engine stopped when it was asked: the run ends without knowing, and its tunnel stays until that is known."""
    engine = elsewhere.engine
    with subprocess.Popen(
        [sys.executable, "-c", "import sys" + STOPPED + CHILD, TAG, secrets.token_hex(6), str(engine.pid)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},  # noqa: TID251 - with the engine's place
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == b"asked\n"
            began = time.monotonic()
            run.terminate()
            run.wait()
            assert time.monotonic() - began < 10
            assert tunnels(short_tmp)
        finally:
            engine.send_signal(signal.SIGCONT)
    # Where the request had not reached the engine no container comes, and it is waited for to the end of the patience.
    deadline = time.monotonic() + PATIENCE_S + 10

    def left() -> list[Any]:
        return [*there.containers(all=True), *tunnels(short_tmp), *short_tmp.iterdir()]

    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left() == []


def name_of(container: dict[str, Any]) -> str:
    """Without the slash before it."""
    return str(container["Names"][0]).removeprefix("/")


def no_engine() -> str:
    """What is said when none is found."""
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert caught.value.exit_code == ExitCode.NO_SERVER
    return str(caught.value)


def test_a_host_that_is_not_known_is_refused(
    by_ssh: None, elsewhere: Elsewhere, short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is asked, and nothing is accepted; the same for a key that the host does not know."""
    config = (elsewhere.ssh.parent / "ssh_config").read_text()
    folder = short_tmp / "bin"
    folder.mkdir()
    for lines, words in (
        (config.replace("known_hosts", "no_known_hosts"), "Host key verification failed."),
        (config.replace("IdentityFile", "#"), "Permission denied (publickey"),
    ):
        (folder / "config").write_text(lines)
        (folder / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder / "config"} "$@"\n')
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        said = no_engine()
        assert f"found     ssh://root@{elsewhere.address}:{SSH_PORT}: " in said
        assert words in said
    assert tunnels(short_tmp) == []
    assert list(short_tmp.iterdir()) == [folder]


def test_a_socket_that_is_not_there_is_named(
    by_ssh: None, elsewhere: Elsewhere, short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL may name another place than the usual."""
    place = f"ssh://root@{elsewhere.address}:{SSH_PORT}/nowhere/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", place)
    assert f"found     {place}: no engine behind ssh, or not for this user: " in no_engine()
    assert list(short_tmp.iterdir()) == []


def test_a_machine_that_is_not_there_is_named(by_ssh: None, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In ssh's own words."""
    monkeypatch.setenv("DOCKER_HOST", "ssh://127.0.0.1:9")
    assert "found     ssh://127.0.0.1:9: ssh: connect to host 127.0.0.1 port 9: Connection refused" in no_engine()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "No such file or directory: 'sh'" in no_engine()


@pytest.mark.parametrize("place", ["ssh://", "ssh://u:p@h", "ssh://h:x", "ssh://h?x"])
def test_a_place_that_is_none_is_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not shown: it may hold a password."""
    monkeypatch.setenv("DOCKER_HOST", place)
    said = no_engine()
    assert "found     a URL of the kind ssh://, of another form (not shown: it may hold a password)" in said
    assert "u:p" not in said


def test_an_engine_at_a_port_of_this_machine_is_a_local_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """tcp://127.0.0.1: ports are on the loopback, and a kept cluster is used."""
    with find_engine() as engine:
        build_offline_image(engine)
        base = engine.client.api.get_adapter("http+docker://x").socket_path
    with relay_to(base) as port:
        for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        settings = Settings(server="docker", pg_image=TAG, cluster_cache=tmp_path / "kept")
        for cluster in ("made for this run", "kept"):
            with open_server(settings, run_id="relay", report=quiet) as server:
                assert parse_dsn(server.dsn)["host"] == "127.0.0.1"
                assert server.facts["cluster"] == cluster


@pytest.mark.parametrize(
    "word", [rb"/images/", rb"/containers/create", rb"/start HTTP", rb"/containers/\w{64}/json HTTP"]
)
def test_an_engine_that_falls_silent(monkeypatch: pytest.MonkeyPatch, word: bytes) -> None:
    """It takes a request and never answers, nor any after it: told when the start's own time is over, and once."""
    with find_engine() as engine:
        build_offline_image(engine)
        base = engine.client.api.get_adapter("http+docker://x").socket_path
        run_id = secrets.token_hex(6)
        with relay_to(base, deaf_from=word) as port:
            for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
            settings = Settings(server="docker", pg_image=TAG, server_start_timeout_ms=3000)
            began = time.monotonic()
            with pytest.raises(DockerError) as caught, open_server(settings, run_id=run_id, report=quiet):
                pytest.fail("it was opened")
            assert time.monotonic() - began < 20
        for found in engine.client.api.containers(all=True, filters={"label": f"parity-runner.run-id={run_id}"}):
            engine.client.api.remove_container(found["Id"], force=True, v=True)  # asked for, and never told
    assert str(caught.value) == (
        f"error[docker]: {TAG}: the Docker engine does not answer any more\n"
        f"  expected  an answer within {10 if word == rb'/images/' else 3} s\n"
        "  found     none\n"
        "  help: look at the engine and its machine, restart it, or use SERVER=embedded; SERVER_START_TIMEOUT_MS is how"
        " long it is waited for, 60 s at most"
    )


def pump(source: socket.socket, target: socket.socket, deaf_from: bytes, deaf: threading.Event) -> None:
    """Pass on what comes, to its end; nothing more from that word on."""
    with suppress(OSError):
        while part := source.recv(1 << 16):
            if deaf_from and re.search(deaf_from, part):
                deaf.set()
            if not deaf.is_set():
                target.sendall(part)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relay_to(place: str, deaf_from: bytes = b"") -> Iterator[int]:
    """A port of the loopback whose connections go on to a socket; none of them from that word on."""
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []
    deaf = threading.Event()

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, far = server.accept()[0], socket.socket(socket.AF_UNIX)
                ends.extend((near, far))
                far.connect(place)
                threads.extend(
                    threading.Thread(target=pump, args=(*pair, deaf_from, deaf)) for pair in ((near, far), (far, near))
                )
                for thread in threads[-2:]:
                    thread.start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept, args=(server,))
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:  # of a test that fails, too: pytest would wait for the threads without end
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
            for end in ends:
                end.close()
