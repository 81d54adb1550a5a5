"""The Docker origin on a real engine, image built from this environment: the official contract, no leaks."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from make_runs import fail_inside, quiet
from make_variables import ASTRAY

from scripts.errors.docker import DockerError
from scripts.migrations.waiting.beside import connect_beside
from scripts.server.containers import image as image_module
from scripts.server.containers import origin as container_module
from scripts.server.containers.engine import find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.open import open_server
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.server.containers.engine import Engine
    from scripts.server.model import Server

pytestmark = pytest.mark.docker
GONE_WITHIN_S = 2.0
CHILD = """
import sys, time
from scripts.server.open import open_server
from scripts.settings import Settings
say = lambda text: print(text, flush=True)
with open_server(Settings(server="docker", pg_image=sys.argv[1]), run_id=sys.argv[2], report=say):
    say("ready")
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


@pytest.fixture(scope="module")
def docker_server(engine: Engine) -> Iterator[Server]:
    """A server in a container."""
    settings = Settings(server="docker", pg_image=TAG)
    with open_server(settings, run_id="docker-tests", report=quiet) as opened:
        yield opened


def containers(engine: Engine, run_id: str) -> list[Any]:
    """Containers with a run's label, stopped ones included."""
    found: list[Any] = engine.client.api.containers(all=True, filters={"label": f"parity-runner.run-id={run_id}"})
    return found


def test_it_is_the_same_server_as_the_embedded_one(docker_server: Server, server: Server) -> None:
    """Every setting and every property of the database that could change a catalog is equal."""
    for name in ("server_version", "data_checksums", "encoding", "locale_provider", "locale", "collate", "ctype"):
        assert docker_server.facts[name] == server.facts[name], name
    different = {"setting.unix_socket_permissions"}
    ours, theirs = (
        {name: value for name, value in facts.items() if name.startswith("setting.")}
        for facts in (server.facts, docker_server.facts)
    )
    assert {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)} <= different
    with connect(docker_server.dsn) as conn:
        assert conn.execute("SELECT current_user, current_database()").fetchone() == ("symphony_owner", "symphony")


@pytest.mark.parametrize(
    "name", ["PGHOSTADDR", "PGPORT", "PGSSLMODE", "PGCHANNELBINDING", "PGSERVICE", "PGTZ", "PGOPTIONS", None]
)
def test_no_variable_of_libpqs_reaches_it(
    docker_server: Server, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """Alone, and all that there are together; as on the embedded one (test_variables.py)."""
    for known, value in ASTRAY:
        if name in (known, None):
            monkeypatch.setenv(known, value)
    with connect(docker_server.dsn) as conn, connect_beside(conn) as beside:
        for each in (conn, beside):
            found = each.execute("SELECT current_user, current_setting('DateStyle'), current_setting('TimeZone')")
            assert found.fetchone() == ("symphony_owner", "ISO, MDY", "UTC")


@pytest.mark.parametrize("cache", [False, True])
def test_it_starts_whatever_the_variables_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, cache: bool
) -> None:
    """From nothing, and on a cluster that is kept for the next one."""
    assert engine.has_image(TAG)
    for known, value in ASTRAY:
        monkeypatch.setenv(known, value)
    kept = tmp_path / "kept" if cache else None
    settings = Settings(server="docker", pg_image=TAG, cluster_cache=kept, server_start_timeout_ms=20_000)
    for _ in range(2 if cache else 1):
        with open_server(settings, run_id="docker-variables", report=quiet) as opened, connect(opened.dsn) as conn:
            assert conn.execute("SELECT current_database()").fetchone() == ("symphony",)


def test_its_facts_name_the_image_by_content(docker_server: Server) -> None:
    """And show that the cluster was made for this run."""
    assert docker_server.origin == "docker"
    assert docker_server.facts["image_id"].startswith("sha256:")
    assert docker_server.facts["user_relations_before"] == "0"
    assert int(docker_server.facts["next_oid"]) < 16384
    assert docker_server.facts["data_directory"].startswith("tmpfs:")


def test_its_data_is_in_a_part_of_the_machines_memory(docker_server: Server, engine: Engine) -> None:
    """Bounded: a migration that runs away meets "no room left", and nobody else does."""
    assert docker_server.holder is not None
    container = docker_server.holder.identity()["container"]
    mounted = engine.client.api.inspect_container(container)["HostConfig"]["Tmpfs"]
    assert mounted == {"/var/lib/postgresql": "rw,size=2048m"}


def test_inspect_shows_no_secret_and_the_port_is_loopback_only(docker_server: Server, engine: Engine) -> None:
    """The password of the first boot is worthless by now; the file that held it is all there was."""
    (found,) = containers(engine, "docker-tests")
    inspected = engine.client.api.inspect_container(found["Id"])
    text = json.dumps(inspected)
    for dsn in (docker_server.dsn, str(docker_server.admin_dsn)):
        assert parse_dsn(dsn)["password"] not in text
    assert f"POSTGRES_PASSWORD_FILE={container_module.PASSWORD_FILE}" in inspected["Config"]["Env"]
    assert not [entry for entry in inspected["Config"]["Env"] if entry.startswith("POSTGRES_PASSWORD=")]
    assert {binding["HostIp"] for binding in inspected["NetworkSettings"]["Ports"]["5432/tcp"]} == {"127.0.0.1"}
    assert not [mount for mount in inspected["Mounts"] if mount["Type"] == "volume"]
    assert inspected["Config"]["Labels"]["parity-runner.owner-pid"] == str(os.getpid())


def test_the_first_boots_password_opens_nothing(docker_server: Server, engine: Engine) -> None:
    """It stays in the environment of the container's processes, as the official image leaves it."""
    (found,) = containers(engine, "docker-tests")
    command = engine.client.api.exec_create(found["Id"], ["cat", container_module.PASSWORD_FILE])
    first = engine.client.api.exec_start(command).decode()
    assert len(first) == 32
    assert first != parse_dsn(str(docker_server.admin_dsn))["password"]
    from psycopg.conninfo import make_conninfo

    from scripts.errors.server import WrongPasswordError

    with pytest.raises(WrongPasswordError):
        connect(make_conninfo(str(docker_server.admin_dsn), password=first))


def test_the_block_left_the_container_gone(engine: Engine) -> None:
    """Also when the run failed."""
    run_id = secrets.token_hex(6)
    settings = Settings(server="docker", pg_image=TAG)
    with open_server(settings, run_id=run_id, report=quiet):
        assert len(containers(engine, run_id)) == 1
    assert containers(engine, run_id) == []
    with pytest.raises(ZeroDivisionError):
        fail_inside(open_server(settings, run_id=run_id, report=quiet))
    assert containers(engine, run_id) == []


@pytest.mark.parametrize("word", ["server", "ready"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_takes_its_container_along(engine: Engine, word: str, signum: int) -> None:
    """While it starts and while it runs: the container waits on its stdin, which dies with the run."""
    run_id = secrets.token_hex(6)
    environment = {name: value for name, value in os.environ.items() if name.startswith("DOCKER")}  # noqa: TID251 - the engine of this run
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, TAG, run_id],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **environment},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(word):
                break
        deadline = time.monotonic() + 10
        while not containers(engine, run_id) or containers(engine, run_id)[0]["State"] != "running":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signum)
        process.wait()
    deadline = time.monotonic() + GONE_WITHIN_S
    while containers(engine, run_id) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert containers(engine, run_id) == []


def test_a_server_that_ends_shows_the_container_s_log(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause in the server's own words, and no container left."""
    monkeypatch.setitem(container_module.ENVIRONMENT, "PGDATA", "/proc/nowhere")
    run_id = secrets.token_hex(6)
    with (
        pytest.raises(DockerError) as caught,
        open_server(Settings(server="docker", pg_image=TAG), run_id=run_id, report=quiet),
    ):
        pass
    text = str(caught.value)
    assert text.startswith(
        f"error[docker]: {TAG}: the container ended before the server answered\n  found  exit status "
    )
    assert "/proc/nowhere" in text
    assert containers(engine, run_id) == []


def test_an_image_that_cannot_be_had_is_named(engine: Engine) -> None:
    """With the three ways to get one."""
    settings = Settings(server="docker", pg_image="localhost:1/no-such-image:18")
    lines: list[str] = []
    with pytest.raises(DockerError) as caught, open_server(settings, run_id="r", report=lines.append):
        pass
    assert "localhost:1/no-such-image:18: the image is not there and cannot be pulled" in str(caught.value)
    assert "SERVER=embedded" in caught.value.help
    assert lines == ["server   docker: pulling localhost:1/no-such-image:18, which is not there yet"]


def test_auto_takes_docker_when_the_image_is_there(engine: Engine) -> None:
    """And embedded, with the reason, when it is not: nothing is pulled."""
    for image, origin in ((TAG, "docker"), ("no-such-image:18", "embedded")):
        lines: list[str] = []
        with open_server(Settings(pg_image=image), run_id="r", report=lines.append) as opened:
            assert opened.origin == origin
        assert lines == [
            f"server   {origin}: an engine answers and {image} is " + ("there" if origin == "docker" else "not there")
        ]


def test_the_offline_image_is_made_once_for_each_content(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files: the same image. Others: it is replaced, and the one before goes, unless somebody needs it."""
    api = engine.client.api
    tag = f"parity-test-{secrets.token_hex(4)}:18"
    files = image_module.filesystem_archive()
    try:
        first = build_offline_image(engine, tag=tag)
        assert build_offline_image(engine, tag=tag) == first
        api.tag(first, tag.partition(":")[0], "kept")
        monkeypatch.setattr(image_module, "filesystem_archive", lambda: files + bytes(512))
        second = build_offline_image(engine, tag=tag)
        (name,) = api.inspect_image(first)["RepoTags"]
        assert name.endswith(tag.replace(":18", ":kept"))  # Podman says where it thinks it came from
        monkeypatch.setattr(image_module, "filesystem_archive", lambda: files)
        assert build_offline_image(engine, tag=tag) not in (first, second)
        assert second not in {image["Id"] for image in api.images(all=True)}
    finally:
        for name in (tag, tag.replace(":18", ":kept")):
            api.remove_image(name, force=True)


def test_an_image_that_was_not_built_here_does_not_lose_its_name_without_a_word(engine: Engine) -> None:
    """It stays under its id, which the line names; one of ours is replaced in silence."""
    api = engine.client.api
    tag = f"parity-test-{secrets.token_hex(4)}:18"
    lines: list[str] = []
    told = json.loads(str(api.import_image_from_data(bytes(1024))).splitlines()[-1])
    foreign = str(api.inspect_image(told["status"])["Id"])
    api.tag(foreign, *tag.split(":"))
    try:
        ours = build_offline_image(engine, tag=tag, report=lines.append)
        assert ours != foreign
        assert api.inspect_image(tag)["Id"] == ours
        assert api.inspect_image(foreign)["Id"] == foreign
        said = f"image    {foreign} was called {tag} and was not built here: it stays, without that name"
        assert lines == [said]
        build_offline_image(engine, tag=tag, report=lines.append)
        assert lines == [said]
    finally:
        api.remove_image(tag, force=True)
        api.remove_image(foreign, force=True)
