"""The engine is found where the docker command finds it, or where one listens that nobody named; a real one answers."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import TYPE_CHECKING

import pytest

from scripts.errors.base import ExitCode
from scripts.errors.docker import DockerError
from scripts.server.containers import engine as engine_module
from scripts.server.containers.engine import find_engine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker


@pytest.fixture
def address() -> str:
    """Where the engine of these tests is, as a URL; its socket is a local one."""
    with find_engine() as engine:
        base = engine.client.api.get_adapter("http+docker://x")
        return f"unix://{base.socket_path}"


@pytest.fixture
def nothing_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a word about Docker, and no engine at the system's place; returns the session's folder."""
    assert address.startswith("unix:///")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engine_module, "SYSTEM_SOCKET", tmp_path / "none.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("place", ["docker.sock", ".docker/run/docker.sock", "podman/podman.sock"])
def test_an_engine_nobody_named_is_found(address: str, nothing_named: Path, place: str) -> None:
    """Rootless Docker's socket, Docker Desktop's, Podman's."""
    path = nothing_named / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(address.removeprefix("unix://"))
    with find_engine() as engine:
        assert engine.version
        assert not engine.remote


def test_a_dead_socket_is_passed_over(address: str, nothing_named: Path) -> None:
    """A file that the last session's engine left says nothing about the next place."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(nothing_named / "docker.sock"))
    (nothing_named / "podman").mkdir()
    (nothing_named / "podman" / "podman.sock").symlink_to(address.removeprefix("unix://"))
    with find_engine() as engine:
        assert engine.version


def test_what_was_named_is_never_replaced(address: str, nothing_named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST says where; an engine that answers elsewhere is somebody else's."""
    (nothing_named / "docker.sock").symlink_to(address.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{nothing_named}/gone.sock")
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert caught.value.exit_code == ExitCode.NO_SERVER
    assert f"found     {nothing_named}/gone.sock: No such file or directory" in str(caught.value)


@pytest.mark.parametrize("by", ["currentContext", "DOCKER_CONTEXT"])
def test_a_context_is_followed(address: str, nothing_named: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """As `docker context use` and the variable leave it."""
    config = nothing_named / "config"
    meta = config / "contexts" / "meta" / hashlib.sha256(b"ours").hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"docker": {"Host": address, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "ours", "Metadata": {}, "Endpoints": endpoint}))
    (config / "config.json").write_text(json.dumps({"currentContext": "ours"} if by == "currentContext" else {}))
    if by == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", "ours")
    with find_engine() as engine:
        assert engine.version


def test_a_context_that_is_not_there_is_an_error(
    address: str, nothing_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The docker command refuses it, too; another engine would be a surprise."""
    (nothing_named / "docker.sock").symlink_to(address.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert "the Docker context that is asked for does not exist, or names no host" in str(caught.value)


def test_the_version_that_is_asked_for_is_spoken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the docker command does; one that the engine does not speak is told with its own words."""
    monkeypatch.setenv("DOCKER_HOST", address)
    monkeypatch.setenv("DOCKER_API_VERSION", "v1.40")
    with find_engine() as engine:
        assert engine.client.api.api_version == "1.40"
        assert engine.version
    for version, words in (("1.999", "client version 1.999 is too new"), ("1.10", "1.10")):
        monkeypatch.setenv("DOCKER_API_VERSION", version)
        with pytest.raises(DockerError) as caught, find_engine():
            pass
        assert str(caught.value).startswith(
            "error[docker]: DOCKER_API_VERSION: the Docker engine cannot be spoken to in this version\n  expected  1."
        )
        assert words in caught.value.facts[-1][1]
