"""Servers that stay, in containers of a real engine: the guard lets go, and only the very container is removed."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from make_runs import fail_inside
from make_stays import passwords

from scripts.errors.docker import DockerError
from scripts.errors.residents import ResidentError
from scripts.server.containers import contained
from scripts.server.containers.engine import find_engine
from scripts.server.containers.guard import KEPT_AS
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.lifetime import remove_container
from scripts.server.open import open_server
from scripts.server.states import names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from make_stays import Stays

    from scripts.server.containers.engine import Engine

pytestmark = pytest.mark.docker
DOCKER = {"server": "docker", "pg_image": TAG}
KILLS = 8


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


@pytest.fixture
def here(engine: Engine, stays: Stays, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a command that is to find this engine."""
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    address = contained._address_of(engine)
    return {"DOCKER_HOST": address, "SERVER": "docker", "PG_IMAGE": TAG} if address.startswith("unix:") else {}


def kept_as(engine: Engine, name: str) -> list[Any]:
    """Containers with the label of a name, stopped ones included."""
    found: list[Any] = engine.client.api.containers(all=True, filters={"label": f"{KEPT_AS}={name}"})
    return found


def wait_until(condition: Callable[[], bool], within_s: float = 5) -> None:
    """Fail unless it becomes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_outlives_its_maker_and_is_gone_when_told(engine: Engine, stays: Stays, here: dict[str, str]) -> None:
    """Up, again, psql, servers, down: as with the other origin; nothing of it is left in the engine."""
    heard = stays.invoke("up", "--name", "dk", **here)
    known = stays.known("dk")
    about = f"docker   PostgreSQL {known.version}   database symphony"
    assert heard.out[0] == f"up       dk   {about}   made now   27 migrations applied now"
    assert heard.out[2].endswith(f"DATABASE_URL=postgresql://symphony_owner@127.0.0.1:{known.port}/symphony")
    (container,) = kept_as(engine, "dk")
    assert container["Id"] == known.holder["container"]
    time.sleep(1)
    assert stays.invoke("psql", "--name", "dk", "--", "-XAtc", "SELECT current_user", **here).out == ["symphony_owner"]
    assert "there since" in stays.invoke("up", "--name", "dk", **here).text
    assert stays.invoke("servers", **here).out == [f"dk   runs       {about}   since {known.since}"]
    seen = str(engine.client.api.inspect_container(container["Id"])) + str(engine.client.api.logs(container["Id"]))
    assert not [secret for secret in passwords(stays.place / "dk") if secret in seen]
    assert stays.invoke("down", "--name", "dk", **here).out == ["down     dk: server and data are gone"]
    assert kept_as(engine, "dk") == []
    assert stays.leftovers() == []


def test_keep_db_hands_it_over_after_a_failure_and_not_without(engine: Engine, stays: Stays) -> None:
    """A run that fails with KEEP_DB=1 leaves its container running; a run without leaves none."""
    with pytest.raises(ZeroDivisionError):
        fail_inside(open_server(stays.settings(**DOCKER, keep_db=True), run_id="dkrun", report=print))
    (name,) = names_in(stays.place)
    time.sleep(0.5)
    (container,) = kept_as(engine, name)
    assert container["State"] == "running"
    stays.do("down", name=name)
    assert kept_as(engine, name) == []
    with pytest.raises(ZeroDivisionError):
        fail_inside(open_server(stays.settings(**DOCKER), run_id="dkrun", report=print))
    filters = {"label": "parity-runner.run-id=dkrun"}
    assert engine.client.api.containers(all=True, filters=filters) == []


def test_a_container_that_ended_is_known_to_be_gone(engine: Engine, stays: Stays) -> None:
    """Stopped by hand, or its server killed: the engine removes it, and `up` makes another."""
    stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    engine.client.api.exec_start(
        engine.client.api.exec_create(
            stays.known("dk").holder["container"], ["sh", "-c", 'read -r pid <"$PGDATA/postmaster.pid"; kill -9 "$pid"']
        )["Id"]
    )
    wait_until(lambda: "gone" in stays.do("servers").text)
    heard = stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    assert any(line.startswith("server   dk is gone (its container ") for line in heard.progress)
    engine.client.api.stop(stays.known("dk").holder["container"])
    wait_until(lambda: kept_as(engine, "dk") == [])
    assert "dk was gone (its container is not there any more)" in stays.do("down", name="dk").text


def test_a_paused_container_is_told_as_that(engine: Engine, stays: Stays) -> None:
    """`docker pause`: it is there and does not answer; `up` and `psql` say so at once, `down` ends it, and its data."""
    stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    known = stays.known("dk")
    container = known.holder["container"]
    engine.client.api.pause(container)
    about = f"docker   PostgreSQL {known.version}   database symphony   since {known.since}"
    assert stays.do("servers").out == [f"dk   paused     {about}   docker unpause {container[:12]} lets it go on"]
    for verb, options in (("up", {"no_migrate": True}), ("up", {}), ("psql", {})):
        began = time.monotonic()
        with pytest.raises(ResidentError, match='the server "dk" is paused') as caught:
            stays.do(verb, name="dk", given=DOCKER, **options)
        assert f"help: docker unpause {container[:12]} lets it go on; invoke down --name dk" in str(caught.value)
        assert time.monotonic() - began < 5
    engine.client.api.unpause(container)
    assert "there since" in stays.do("up", name="dk", no_migrate=True, given=DOCKER).text
    engine.client.api.pause(container)
    assert stays.do("down", name="dk").out == ["down     dk: server and data are gone"]
    assert kept_as(engine, "dk") == []


def test_a_container_that_was_started_anew_is_gone(engine: Engine, stays: Stays) -> None:
    """`docker restart`: it runs, with nobody to tell its guard anything and no server; `down` and `up` remove it."""
    why = "its container was started anew, without a server"
    for ends in ("down", "up"):
        stays.do("up", name="dk", no_migrate=True, given=DOCKER)
        container = stays.known("dk").holder["container"]
        engine.client.api.restart(container, timeout=2)
        assert engine.client.api.inspect_container(container)["State"]["Running"]
        assert "gone" in stays.do("servers").text
        if ends == "down":
            said = f"down     dk was gone ({why}); what was known of it is removed"
            assert said in stays.do("down", name="dk").out
        else:
            said = f"server   dk is gone ({why}): what was known of it is removed"
            assert said in stays.do("up", name="dk", no_migrate=True, given=DOCKER).progress
        assert container not in [found["Id"] for found in kept_as(engine, "dk")]
    assert len(kept_as(engine, "dk")) == 1
    stays.do("down", name="dk")
    assert kept_as(engine, "dk") == []


def test_what_is_gone_before_it_is_written_down_is_not_kept(engine: Engine, stays: Stays) -> None:
    """Its container was removed during the run: an error, and no record."""
    settings = stays.settings(**DOCKER, keep_db=True)

    def lose() -> None:
        with open_server(settings, run_id="dkrun", report=print) as server:
            assert isinstance(server.holder, contained.ContainedHolder)
            remove_container(engine, server.holder.guard.id)

    with pytest.raises(DockerError, match="the Docker engine refused to inspect the container") as caught:
        lose()
    assert "it is not there any more" in str(caught.value)
    assert [name for name in names_in(stays.place) if (stays.place / name / "server.json").exists()] == []


def test_a_start_is_the_same_in_every_zone() -> None:
    """Docker says UTC with nanoseconds, Podman the zone of its machine; what is no time is taken as it is."""
    for text, moment in (
        ("2026-11-30T10:12:22.031092144Z", "2026-11-30T10:12:22.031092Z"),
        ("2026-11-30T11:12:22.031092144+01:00", "2026-11-30T10:12:22.031092Z"),
        ("2026-11-30T10:12:22", "2026-11-30T10:12:22"),
        ("soon", "soon"),
    ):
        assert contained._started_at({"State": {"StartedAt": text}}) == moment


def test_another_engine_is_asked_nothing(stays: Stays, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, or one of another identity: it cannot be told, nothing is forgotten, and the old place is named."""
    stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    with monkeypatch.context() as without:
        without.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        with pytest.raises(ResidentError, match='whether the server "dk" is there cannot be told') as caught:
            stays.do("down", name="dk")
        assert contained._address_of(engine) in str(caught.value)
        assert "unclear" in stays.do("servers").text
    with monkeypatch.context() as other:
        other.setattr(contained, "_identity_of", lambda _: "another")
        with pytest.raises(ResidentError, match="cannot be told") as caught:
            stays.do("psql", name="dk")
        assert "another engine answers" in str(caught.value)
    assert len(kept_as(engine, "dk")) == 1


def test_only_the_very_container_is_removed(stays: Stays, engine: Engine) -> None:
    """A record that names somebody else's container: refused, and the container stays."""
    stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    record = stays.place / "dk" / "server.json"
    ours = stays.known("dk").holder["container"]
    foreign = str(engine.client.api.create_container(TAG, entrypoint=["sh", "-c", "sleep 60"])["Id"])
    try:
        engine.client.api.start(foreign)
        record.write_text(record.read_text().replace(ours, foreign))
        with pytest.raises(ResidentError, match="cannot be read"):
            stays.do("down", name="dk")
        assert engine.client.api.inspect_container(foreign)["State"]["Running"]
        record.write_text(record.read_text().replace(foreign, ours))
    finally:
        engine.client.api.remove_container(foreign, force=True)


def test_a_killed_up_leaves_no_container_that_nobody_knows_of(
    engine: Engine, stays: Stays, here: dict[str, str]
) -> None:
    """SIGKILL at random moments: what runs is known and can be ended; what was never started goes with the next run."""
    began = time.monotonic()
    stays.invoke("up", "--name", "dk", "--no-migrate", **here)
    takes_s = time.monotonic() - began
    stays.do("down", name="dk")
    pick = random.Random(3)  # noqa: S311 - the moments of a test
    for _ in range(KILLS):
        run = stays.begin("up", "--name", "dk", "--no-migrate", **here)
        time.sleep(pick.uniform(0.3, 1.1) * takes_s)
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(0.5)
        running = [found for found in kept_as(engine, "dk") if found["State"] == "running"]
        if "runs" in stays.do("servers").text:
            assert len(running) == 1
        else:
            wait_until(lambda: not [found for found in kept_as(engine, "dk") if found["State"] == "running"])
        stays.do("down", name="dk")
    stays.do("up", name="dk", no_migrate=True, given=DOCKER)
    stays.do("down", name="dk")
    assert kept_as(engine, "dk") == []
    assert stays.leftovers() == []
