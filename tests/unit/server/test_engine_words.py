"""Where the engine is, and that it answers: what the SDK passes over, or says in its own words, is told in ours."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.errors.docker import DockerError
from scripts.server.containers.engine import find_engine
from scripts.server.containers.named import NOT_SHOWN
from scripts.server.containers.words import why_none

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the docker command reads; no variable names an engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


@pytest.fixture
def silent() -> Iterator[Path]:
    """A socket that takes connections and says nothing, as that of an engine that is stopped by SIGSTOP."""
    with tempfile.TemporaryDirectory(prefix="e-") as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/docker.sock")
        listening.listen()
        yield Path(folder) / "docker.sock"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"currentContext": "ot', "is not JSON, so which engine is meant is not known"),
        ("[" * 100_000, "is not JSON, so which engine is meant is not known"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}", "is not JSON, so which engine is meant is not known"),
        ("[]", "is not a JSON object, so which engine is meant is not known"),
    ],
    ids=["half-written", "without end", "a text", "a list"],
)
def test_a_configuration_that_cannot_be_read_is_named(nothing_named: Path, content: str, words: str) -> None:
    """It may name another engine than the usual one: that is not taken in its place."""
    nothing_named.write_text(content, encoding="utf-8")
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert caught.value.facts[-1] == ("found", f"{nothing_named} {words}")


def test_a_folder_in_its_place_is_named(nothing_named: Path) -> None:
    """The system's words, and the name."""
    nothing_named.mkdir()
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert caught.value.facts[-1] == ("found", f"{nothing_named} cannot be read: is a directory")


def test_a_variable_that_names_the_engine_needs_no_configuration(
    nothing_named: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor is an empty file a trouble: the docker command takes it for none."""
    nothing_named.write_text("{")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerError, match=r"nobody\.sock: No such file or directory"), find_engine():
        pass


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("fd://", "a URL of the kind fd://"),
        ("foo://me:secret@x", "a URL of the kind foo://"),
        ("tcp://", f"a URL of the kind tcp://, of another form {NOT_SHOWN}"),
        ("tcp://me:secret@x:2375", f"a URL of the kind tcp://, of another form {NOT_SHOWN}"),
        ("tcp://x:secret", f"a URL of the kind tcp://, of another form {NOT_SHOWN}"),
        ("ssh://me:secret@x", f"a URL of the kind ssh://, of another form {NOT_SHOWN}"),
        ("npipe:////./pipe/docker_engine", f"a URL of the kind npipe://, of another form {NOT_SHOWN}"),
        ("secret", f"something else {NOT_SHOWN}"),
    ],
)
@pytest.mark.parametrize("by", ["DOCKER_HOST", "the Docker context ours"])
def test_a_host_of_no_engine_is_a_wrong_setting(
    nothing_named: Path, monkeypatch: pytest.MonkeyPatch, host: str, found: str, by: str
) -> None:
    """The setting is named, not an engine that is to be started; what may be a password is not shown."""
    if by == "DOCKER_HOST":
        monkeypatch.setenv("DOCKER_HOST", host)
    else:
        meta = nothing_named.parent / "contexts" / "meta" / hashlib.sha256(b"ours").hexdigest()
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(
            json.dumps({"Name": "ours", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}})
        )
        nothing_named.write_text('{"currentContext": "ours"}')
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert "secret" not in str(caught.value)
    assert str(caught.value) == str(DockerError.bad_host(by, found))
    assert "start Docker" not in caught.value.help


@pytest.mark.parametrize(("name", "value"), [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "keys")])
def test_keys_that_are_not_there_are_told_as_that(
    nothing_named: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """With the folder in which they are looked for."""
    monkeypatch.delenv("DOCKER_CERT_PATH", raising=False)
    monkeypatch.setenv("HOME", str(nothing_named.parent))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv(name, str(nothing_named.parent / value) if name == "DOCKER_CERT_PATH" else value)
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    place = nothing_named.parent / (".docker" if name == "DOCKER_TLS_VERIFY" else value)
    assert (caught.value.where, caught.value.what) == (name, "the keys for the Docker engine are not there")
    assert caught.value.facts[-1][1].startswith(f"{place}: no cert.pem, no key.pem")


@pytest.mark.parametrize("value", ["x", "1", "1.2.3", "auto"])
def test_a_version_that_is_none_is_told_as_that(
    silent: Path, nothing_named: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Before the engine is asked."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{silent}")
    monkeypatch.setenv("DOCKER_API_VERSION", value)
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert str(caught.value) == str(DockerError.other_api(repr(value), "two numbers with a dot between, as in 1.41"))


@pytest.mark.parametrize(
    ("host", "reason"),
    [("tcp://127.0.0.1:1", "Connection refused"), ("tcp://nowhere.invalid:2375", "")],
)
def test_a_host_without_an_engine_is_told_in_the_systems_words(
    host: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place as it was named; none of the pools, retries and objects of the SDK's libraries."""
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    found = caught.value.facts[-1][1]
    assert found.startswith(f"{host}: {reason}")
    assert not re.search(r"Pool|retries|object|Caused|Errno", found), found
    assert why_none(caught.value) == f"no Docker engine answers ({found})"


def test_an_engine_that_hangs_is_told_in_our_words(silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place and how long it was waited for; none of the SDK's classes."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{silent}")
    with pytest.raises(DockerError) as caught, find_engine():
        pass
    assert str(caught.value) == (
        "error[docker]: no Docker engine answers\n"
        "  expected  an engine at DOCKER_HOST or the current context\n"
        f"  found     unix://{silent}: it takes connections, and does not answer within 2 s\n"
        "  help: start Docker, or use SERVER=embedded, which needs none"
    )
