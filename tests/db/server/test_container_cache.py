"""Kept clusters in containers: a copy is as good as a first boot, and one that anybody has touched is never used."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - runs that start at once
import sys
from typing import TYPE_CHECKING, Any

import pytest
from make_images import derived
from make_runs import processes, quiet

from scripts.catalog.read import read_catalog
from scripts.errors.server import WrongPasswordError
from scripts.server.cluster.archive import Owner, read_archive
from scripts.server.cluster.cache import SUFFIX
from scripts.server.cluster.packing import pack, read_checked, read_known, seal
from scripts.server.containers.engine import Engine, find_engine
from scripts.server.containers.guard import SHUT_DOWN
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.origin import PASSWORD_FILE
from scripts.server.open import open_server
from scripts.server.readiness import connect, parse_dsn, with_database
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker
ONE_RUN = """
import sys
from pathlib import Path
from scripts.server.open import open_server
from scripts.server.readiness import connect
from scripts.settings import Settings
settings = Settings(server="docker", pg_image=sys.argv[1], cluster_cache=Path(sys.argv[2]))
with open_server(settings, run_id="at-once", report=lambda line: None) as server:
    with connect(server.dsn) as conn:
        print(conn.execute("SELECT count(*) FROM pg_database").fetchone(), server.facts["cluster"], flush=True)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


@pytest.fixture(scope="module")
def first(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, str]]:
    """A kept cluster's bytes, and what the run that made it said of it."""
    folder = tmp_path_factory.mktemp("first") / "kept"
    facts = start(folder)
    return entry_of(folder).read_bytes(), facts


@pytest.fixture
def kept(first: tuple[bytes, dict[str, str]], tmp_path: Path) -> Path:
    """A folder with that cluster in it."""
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    entry = folder / f"{first[1]['cluster_key']}{SUFFIX}"
    entry.write_bytes(first[0])
    entry.chmod(0o600)
    return folder


@pytest.fixture
def lines() -> list[str]:
    """What was reported."""
    return []


def settings_of(kept: Path | None, image: str = TAG) -> Settings:
    """A container, and nothing else."""
    return Settings(server="docker", pg_image=image, cluster_cache=kept)


def start(kept: Path | None, lines: list[str] | None = None, image: str = TAG) -> dict[str, str]:
    """Open a server and end it; returns its facts."""
    said: list[str] = [] if lines is None else lines
    with open_server(settings_of(kept, image), run_id="cache", report=said.append) as server:
        with connect(server.dsn) as conn:
            assert conn.execute("SELECT current_user").fetchone() == ("symphony_owner",)
        said[:] = [line for line in said if "kept" in line]
        return dict(server.facts)


def entry_of(kept: Path) -> Path:
    """The one entry there is; nothing else lies beside it."""
    (entry,) = kept.iterdir()
    return entry


def known_of(entry: Path) -> tuple[str, dict[str, Any]]:
    """Its first two lines."""
    with entry.open("rb") as file:
        return read_known(file.fileno())


def reseal(entry: Path, packed: bytes | None = None, **known: object) -> None:
    """What somebody would do who knows the form: another content under a right digest."""
    digest, before = known_of(entry)
    there = bytes(read_checked(str(entry), digest)).split(b"\n", 1)[1]
    entry.write_bytes(seal({**before, **known}, there if packed is None else packed))


def test_the_second_run_starts_on_a_copy_and_says_so(
    kept: Path, first: tuple[bytes, dict[str, str]], lines: list[str], engine: Engine
) -> None:
    """Key, age, digest, whose the identity is; no user relation, not an object number more; and no image is made."""
    images = {image["Id"] for image in engine.client.api.images(all=True)}
    made, copied = first[1], start(kept, lines)
    assert lines == []
    assert (made["cluster"], copied["cluster"]) == ("made for this run", "kept")
    assert made["cluster_key"] == copied["cluster_key"]
    assert copied["cluster_sha256"] == first[0][:64].decode()
    assert int(copied["cluster_age_s"]) >= 0
    assert "of the kept cluster" in copied["cluster_identity"]
    assert made["system_identifier"] == copied["system_identifier"]
    assert (copied["user_relations_before"], copied["next_oid"]) == ("0", made["next_oid"])
    assert made["postmaster_started_at"] < copied["postmaster_started_at"]
    assert {image["Id"] for image in engine.client.api.images(all=True)} == images


def test_every_run_has_passwords_of_its_own(kept: Path, engine: Engine) -> None:
    """Neither the kept cluster's password nor the one that the entry point reads enters a server that is handed out."""
    _, known = known_of(entry_of(kept))
    seen = {known["password"]}
    for run_id in ("one", "two"):
        with open_server(settings_of(kept), run_id=run_id, report=quiet) as server:
            assert server.admin_dsn is not None
            (found,) = engine.client.api.containers(filters={"label": f"parity-runner.run-id={run_id}"})
            command = engine.client.api.exec_create(found["Id"], ["cat", PASSWORD_FILE])
            unused = engine.client.api.exec_start(command).decode()
            parts = parse_dsn(server.admin_dsn)
            seen |= {parts["password"], parse_dsn(server.dsn)["password"], unused}
            for stale in (known["password"], unused):
                with pytest.raises(WrongPasswordError):
                    connect(f"host={parts['host']} port={parts['port']} user=postgres password={stale} dbname=postgres")
            text = json.dumps(engine.client.api.inspect_container(found["Id"])) + str(server.facts)
            text += engine.client.api.logs(found["Id"]).decode()
            assert not [secret for secret in seen if secret in text]
    assert len(seen) == 7


def test_no_secret_is_in_an_argument_a_layer_or_an_image(kept: Path, engine: Engine) -> None:
    """Everybody may list processes; who may use the engine may read what it has on its disk."""
    _, known = known_of(entry_of(kept))
    api = engine.client.api
    images = {image["Id"] for image in api.images(all=True)}
    for run_id, folder in (("copy", kept), ("first boot", None)):
        with open_server(settings_of(folder), run_id=run_id, report=quiet) as server:
            secret = {parse_dsn(str(dsn))["password"] for dsn in (server.dsn, server.admin_dsn)} | {known["password"]}
            (found,) = api.containers(filters={"label": f"parity-runner.run-id={run_id}"})
            arguments = str(processes()) + json.dumps(api.top(found["Id"], "-eo pid,args"))
            assert "postgres" in arguments
            assert not [word for word in secret if word in arguments]
            # The data, the configuration and the password are in memory; the layer has where those are put.
            changed = {change["Path"] for change in api.diff(found["Id"]) or []}
            assert {path for path in changed if not path.startswith(("/run", "/var/run", "/tmp"))} <= {  # noqa: S108
                "/var",
                "/var/lib",
                "/var/lib/postgresql",
            }
    assert {image["Id"] for image in api.images(all=True)} == images


def test_a_copy_has_the_catalog_of_a_first_boot(kept: Path) -> None:
    """Kept or not: the same reading."""
    readings = []
    for folder in (kept, None):
        with open_server(settings_of(folder), run_id="cache", report=quiet) as server, connect(server.dsn) as conn:
            settings = {name: value for name, value in server.facts.items() if name.startswith("setting.")}
            readings.append((read_catalog(conn), settings, server.facts["collate"], server.facts["locale"]))
    assert readings[0] == readings[1]


def flip_a_page(entry: Path) -> None:
    """One bit of it."""
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)


def unpacked(entry: Path) -> dict[str, tuple[int, bytes | None]]:
    """Paths, modes and contents."""
    digest, _ = known_of(entry)
    _, index, contents = bytes(read_checked(str(entry), digest)).split(b"\n", 2)
    lists = json.loads(index)
    found: dict[str, tuple[int, bytes | None]] = {path: (mode, None) for path, mode in lists["folders"]}
    return found | {path: (mode, contents[at : at + size]) for path, mode, at, size in lists["files"]}


def lose_a_file(entry: Path) -> None:
    """Without it no server starts."""
    reseal(entry, pack((path, *rest) for path, rest in unpacked(entry).items() if path != "global/pg_control"))


def lead_out(entry: Path) -> None:
    """A path that would be written over the container's own programs."""
    reseal(entry, pack([*((path, *rest) for path, rest in unpacked(entry).items()), ("../../x", 0o755, b"")]))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a page changed": (flip_a_page, "its bytes are not those of its digest"),
    "nobody's files": (lambda entry: reseal(entry, owner=None), "it does not say whose the files are"),
    "a path that leads out": (lead_out, "'../../x' leads out of the folder"),
    "another password": (
        lambda entry: reseal(entry, password="x" * 32),
        "a server on it cannot be used (the server refuses the user or the password)",
    ),
    "a file lost": (lose_a_file, "a server on it cannot be used (the container ended before the server answered)"),
    "another identity": (lambda entry: reseal(entry, system_identifier="1"), "its system_identifier is "),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_was_touched_is_not_used_and_made_again(kept: Path, lines: list[str], name: str, engine: Engine) -> None:
    """Whatever was done: one line that says how it showed, a first boot, and a kept cluster that is right again."""
    spoil, how = SPOILED[name]
    spoil(entry_of(kept))
    second = start(kept, lines)
    assert len(lines) == 1
    assert lines[0].startswith(f"server   the kept cluster is not used: {how}")
    assert lines[0].endswith("; a new one is made")
    assert (second["cluster"], second["cluster_poisoned"]) == ("made for this run", "1")
    third = start(kept, lines)
    assert (third["cluster"], third["system_identifier"]) == ("kept", second["system_identifier"])
    assert len(lines) == 1
    assert engine.client.api.containers(all=True, filters={"label": "parity-runner.run-id=cache"}) == []


def test_a_table_that_was_sealed_in_is_found(kept: Path, lines: list[str], engine: Engine) -> None:
    """The digest is right: somebody started the cluster, made a table, and packed it anew. The server itself tells."""
    with open_server(settings_of(kept), run_id="planted", report=quiet) as server:
        assert server.admin_dsn is not None
        with connect(server.admin_dsn) as conn:
            conn.execute("CREATE TABLE public.planted (id int)")
        password = parse_dsn(server.admin_dsn)["password"]
        (found,) = engine.client.api.containers(filters={"label": "parity-runner.run-id=planted"})
        command = engine.client.api.exec_create(found["Id"], ["sh", "-c", SHUT_DOWN])
        parts = engine.client.api.exec_start(command, stream=True, demux=True)
        owner, content = read_archive(b"".join(part or b"" for part, _ in parts))
        reseal(entry_of(kept), pack(content), password=password, owner=owner.known())
    facts = start(kept, lines)
    assert lines == ["server   the kept cluster is not used: it holds 1 relations; a new one is made"]
    assert (facts["cluster"], facts["user_relations_before"]) == ("made for this run", "0")
    assert start(kept)["cluster"] == "kept"


def test_the_files_belong_to_the_image_s_own_user(kept: Path) -> None:
    """As the image's tar said."""
    _, known = known_of(entry_of(kept))
    assert Owner.of(known) == Owner("postgres", "postgres", 999, 999)


@pytest.fixture
def other_image(engine: Engine) -> Iterator[Callable[..., str]]:
    """Images that differ from the offline one; gone with the test."""
    names: list[str] = []

    def make(**files: str | None) -> str:
        names.append(derived(engine, f"parity-test-{len(names)}:18", **files))
        return names[-1]

    yield make
    for name in names:
        engine.client.api.remove_image(name, force=True)


def test_another_content_of_the_image_is_another_cluster(
    kept: Path, first: tuple[bytes, dict[str, str]], lines: list[str], other_image: Callable[..., str]
) -> None:
    """The name says nothing: the key is the content's, and the first one's cluster stays for its next use."""
    image = other_image(harmless="#!/bin/sh\n")
    facts = start(kept, lines, image)
    assert lines == []
    assert facts["cluster"] == "made for this run"
    assert facts["cluster_key"] != first[1]["cluster_key"]
    assert len(list(kept.iterdir())) == 2
    assert start(kept, lines, image)["cluster"] == start(kept, lines)["cluster"] == "kept"


def test_an_image_without_tar_makes_a_cluster_each_time(
    tmp_path: Path, lines: list[str], other_image: Callable[..., str]
) -> None:
    """And says why none is kept."""
    image = other_image(tar=None)
    for _ in range(2):
        assert start(tmp_path / "kept", lines, image)["cluster"] == "made for this run"
    assert lines == ["server   the cluster could not be kept: the image has no tar"] * 2


def test_nobody_is_handed_a_server_whose_cluster_is_not_whole(
    tmp_path: Path, lines: list[str], other_image: Callable[..., str]
) -> None:
    """The other databases come while it starts: it waits for them, and one that never comes spoils the cluster."""
    slow = other_image(cp='#!/bin/sh\nsleep 0.5\nexec /usr/bin/cp "$@"\n')
    assert start(tmp_path / "slow", lines, slow)["cluster"] == "made for this run"
    with open_server(settings_of(tmp_path / "slow", slow), run_id="whole", report=quiet) as server:
        assert server.facts["cluster"] == "kept"
        for name in ("template1", "postgres"):
            with connect(with_database(str(server.admin_dsn), name)) as conn:
                assert conn.execute("SELECT pg_catalog.count(*) > 400 FROM pg_catalog.pg_class").fetchone() == (True,)
    broken = other_image(cp='#!/bin/sh\nmkdir "$4"\nsleep 0.5\nexit 1\n')
    assert start(tmp_path / "broken", lines, broken)["cluster"] == "made for this run"
    assert lines == []
    assert start(tmp_path / "broken", lines, broken)["cluster_poisoned"] == "1"
    assert len(lines) == 1
    assert "a server on it cannot be used (the container ended before the server answered)" in lines[0]


def test_an_engine_on_another_machine_makes_its_own(
    kept: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster takes longer over a network than a first boot."""
    monkeypatch.setattr(Engine, "remote", property(lambda _: True))
    facts = start(kept, lines)
    assert (facts["cluster"], lines) == ("made for this run", [])
    assert "cluster_key" not in facts


def test_four_at_once_with_nothing_kept_all_start(tmp_path: Path) -> None:
    """Each makes its own; one is kept; nothing half-made stays."""
    kept = tmp_path / "kept"
    docker = {name: value for name, value in os.environ.items() if name.startswith("DOCKER")}  # noqa: TID251 - this engine
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **docker}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_RUN, TAG, str(kept)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(4)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4
    assert all(text.startswith("(4,) ") and text.count("\n") == 1 for text in said), said
    assert entry_of(kept).is_file()
    assert start(kept)["cluster"] == "kept"
