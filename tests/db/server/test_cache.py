"""Kept clusters: a copy is as good as a new one, and one that anybody has touched is never used."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import subprocess  # noqa: TID251 - runs that start at once, or are killed
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from make_kills import gone_within_s
from make_runs import processes

from scripts.catalog.read import read_catalog
from scripts.errors.server import StartError, WrongPasswordError
from scripts.errors.unfit import NotFreshError
from scripts.server import facts as facts_module
from scripts.server import folders
from scripts.server.cluster import cache
from scripts.server.cluster.packing import pack_tree, read_checked, read_known, seal
from scripts.server.embedded import boot as boot_module
from scripts.server.embedded import leash as leashes
from scripts.server.embedded import origin
from scripts.server.embedded.binaries import Binaries, copy_binaries, digest_of_binary, find_binaries
from scripts.server.embedded.origin import open_embedded
from scripts.server.facts import read_facts
from scripts.server.provision import provision
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

ONE_RUN = """
import sys
from pathlib import Path
import scripts.server.folders as folders
folders.MEMORY, folders.ROOM_IN_MEMORY = Path(sys.argv[1]), 0
from scripts.server.embedded.origin import open_embedded
from scripts.server.readiness import connect
from scripts.settings import Settings
with open_embedded(Settings(server="embedded", cluster_cache=Path(sys.argv[2])), reason="", report=print) as server:
    with connect(server.dsn) as conn:
        print(conn.execute("SELECT count(*) FROM pg_database").fetchone(), server.facts["cluster"], flush=True)
"""


@pytest.fixture
def kept(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for kept clusters; the servers' own files go beside it."""
    servers = run_folder / "m"
    servers.mkdir()
    servers.chmod(0o1777)
    monkeypatch.setattr(folders, "MEMORY", servers)
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(run_folder))
    return run_folder / "kept"


def start(kept: Path | None, lines: list[str] | None = None) -> dict[str, str]:
    """Open a server and end it; returns its facts."""
    report: Callable[[str], None] | None = None if lines is None else lines.append
    with open_embedded(Settings(cluster_cache=kept), reason="", report=report) as server:
        with connect(server.dsn) as conn:
            assert conn.execute("SELECT current_user").fetchone() == ("symphony_owner",)
        return dict(server.facts)


def entry_of(kept: Path) -> Path:
    """The one entry there is; nothing else lies beside it."""
    (entry,) = kept.iterdir()
    assert entry.suffix == cache.SUFFIX
    return entry


def test_the_second_run_starts_on_a_copy_and_says_so(kept: Path, lines: list[str]) -> None:
    """Key, age, digest, and whose the identity is; still no user relation, and not an object number more."""
    first = start(kept, lines)
    began = time.time()
    second = start(kept, lines)
    assert lines == []
    assert first["cluster"] == "made for this run"
    assert first["cluster_key"] == second["cluster_key"]
    assert second["cluster"] == "kept"
    assert second["cluster_sha256"] == entry_of(kept).read_bytes()[:64].decode()
    assert 0 <= int(second["cluster_age_s"]) <= began - int(first["initdb_epoch"]) + 2
    assert "of the kept cluster" in second["cluster_identity"]
    assert "cluster_identity" not in first
    assert first["system_identifier"] == second["system_identifier"]
    assert (second["user_relations_before"], second["next_oid"]) == ("0", first["next_oid"])
    assert first["postmaster_started_at"] < second["postmaster_started_at"]
    assert entry_of(kept).stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_mode & 0o777 == 0o700
    assert list(folders.MEMORY.iterdir()) == []


def test_every_run_has_passwords_of_its_own(kept: Path) -> None:
    """Whoever reads the kept cluster's password can enter no server that starts on a copy of it."""
    start(kept)
    seen = set()
    for _ in range(2):
        with open_embedded(Settings(cluster_cache=kept), reason="") as server:
            assert server.admin_dsn is not None
            with entry_of(kept).open("rb") as file:
                _, known = read_known(file.fileno())
            parts = parse_dsn(server.admin_dsn)
            seen |= {parts["password"], parse_dsn(server.dsn)["password"], known["password"]}
            stale = f"host={parts['host']} user=postgres password={known['password']} dbname=postgres"
            with pytest.raises(WrongPasswordError):
                connect(stale)
            text = str(server.facts) + (Path(parts["host"]).parent / "log").read_text()
            assert not [secret for secret in seen if secret in text]
    assert len(seen) == 5


def test_a_copy_has_the_catalog_of_a_new_cluster(kept: Path) -> None:
    """Kept or not: the same reading."""
    start(kept)
    readings = []
    for folder in (kept, None):
        with open_embedded(Settings(cluster_cache=folder), reason="") as server, connect(server.dsn) as conn:
            settings = {name: value for name, value in server.facts.items() if name.startswith("setting.")}
            readings.append((read_catalog(conn), settings, server.facts["collate"], server.facts["locale"]))
    assert readings[0] == readings[1]


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder anybody may run programs from."""
    base = Path(tempfile.mkdtemp(prefix="b-", dir=folders.program_home()))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


@pytest.mark.parametrize("name", ["share/system_views.sql", "share/postgres.bki", "share/extension/plpgsql--1.0.sql"])
def test_what_initdb_reads_belongs_to_the_key(kept: Path, programs: Path, name: str) -> None:
    """A patched script makes another cluster, though the server's program is the same; put back, the first one's is."""
    copy = copy_binaries(find_binaries(None), programs)
    settings = Settings(cluster_cache=kept, pg_bindir=copy.bindir)

    def facts() -> tuple[str, str]:
        with open_embedded(settings, reason="") as server:
            return server.facts["cluster"], server.facts["cluster_key"]

    start(kept)  # with the wheel's own: the same content at another place
    (made, key), script = facts(), copy.bindir.parent / name
    before = script.read_bytes()
    script.write_bytes(before + b"\n")
    changed = facts()
    script.write_bytes(before)
    assert (made, changed[0]) == ("kept", "made for this run")
    assert changed[1] != key
    assert facts() == ("kept", key)


def flip(position: Callable[[bytes], int]) -> Callable[[Path], None]:
    """One bit of one byte."""

    def spoil(entry: Path) -> None:
        data = bytearray(entry.read_bytes())
        data[position(bytes(data))] ^= 1
        entry.write_bytes(data)

    return spoil


def become_a_link(entry: Path) -> None:
    """To the very same bytes, elsewhere."""
    elsewhere = entry.parent.parent / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)


def become_a_pipe(entry: Path) -> None:
    """A reader that waits for a writer would wait for ever."""
    entry.unlink()
    os.mkfifo(entry, 0o600)


def be_of_another_key(entry: Path) -> None:
    """Whole and sealed, and somebody else's."""
    digest, known = read_known_of(entry)
    packed = bytes(read_checked(str(entry), digest)).split(b"\n", 1)[1]
    entry.write_bytes(seal({**known, "key": "0" * 64}, packed))


def become_a_folder(entry: Path) -> None:
    """With something in it."""
    entry.unlink()
    (entry / "inside").mkdir(parents=True)


def read_known_of(entry: Path) -> tuple[str, dict[str, object]]:
    """The first two lines."""
    with entry.open("rb") as file:
        return read_known(file.fileno())


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "digest changed": (flip(lambda _: 5), "its bytes are not those of its digest"),
    "known changed": (flip(lambda data: data.index(b"next_oid") + 13), "its bytes are not those of its digest"),
    "a mode changed": (flip(lambda data: data.index(b'"global",') + 11), "its bytes are not those of its digest"),
    "a page changed": (flip(lambda data: len(data) // 2), "its bytes are not those of its digest"),
    "the last byte changed": (flip(lambda data: len(data) - 1), "its bytes are not those of its digest"),
    "cut short": (lambda entry: os.truncate(entry, entry.stat().st_size - 1), "its bytes are not those of its digest"),
    "something added": (
        lambda entry: entry.write_bytes(entry.read_bytes() + b"x"),
        "its bytes are not those of its digest",
    ),
    "empty": (lambda entry: entry.write_bytes(b""), "it has not the form of a kept cluster"),
    "no JSON": (lambda entry: entry.write_bytes(b"0" * 64 + b"\n{\n{}\n"), "it has not the form of a kept cluster"),
    "JSON without end": (
        lambda entry: entry.write_bytes(b"0" * 64 + b"\n" + b"[" * 5000 + b"\n{}\n"),
        "it has not the form of a kept cluster",
    ),
    "another key": (be_of_another_key, "it is another cluster's"),
    "open to others": (lambda entry: entry.chmod(0o644), "it is not this user's alone"),
    "a second name": (lambda entry: os.link(entry, entry.parent.parent / "second"), "it is not this user's alone"),
    "a link": (become_a_link, "too many levels of symbolic links"),
    "a pipe": (become_a_pipe, "it is not a file"),
    "a folder": (become_a_folder, "it is not a file"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_was_touched_is_not_used_and_made_again(kept: Path, lines: list[str], name: str) -> None:
    """Whatever was done to it: one line that says how it showed, a new cluster, and a kept one that is right again."""
    spoil, how = SPOILED[name]
    first = start(kept)
    spoil(entry_of(kept))
    second = start(kept, lines)
    assert len(lines) == 1
    assert lines[0].startswith("server   the kept cluster is not used: ")
    assert how in lines[0]
    assert lines[0].endswith("; a new one is made")
    assert (second["cluster"], second["cluster_poisoned"]) == ("made for this run", "1")
    assert second["system_identifier"] != first["system_identifier"]
    third = start(kept, lines)
    assert (third["cluster"], third["system_identifier"]) == ("kept", second["system_identifier"])
    assert len(lines) == 1
    assert entry_of(kept).is_file()


def test_a_table_that_was_sealed_in_is_found(kept: Path, lines: list[str]) -> None:
    """The digest is right: somebody started the cluster, made a table, and packed it anew. The server itself tells."""
    start(kept)
    entry = entry_of(kept)
    _, known = read_known_of(entry)
    with open_embedded(Settings(cluster_cache=kept), reason="") as server:
        assert server.admin_dsn is not None
        password = parse_dsn(server.admin_dsn)["password"]
        with connect(server.admin_dsn) as conn:
            conn.execute("CREATE TABLE public.planted (id int)")
            conn.execute("CHECKPOINT")
        packed = pack_tree(str(Path(parse_dsn(server.dsn)["host"]).parent / "d"))
    entry.write_bytes(seal({**known, "password": password}, packed))
    facts = start(kept, lines)
    assert lines == ["server   the kept cluster is not used: it holds 1 relations; a new one is made"]
    assert (facts["cluster"], facts["user_relations_before"]) == ("made for this run", "0")
    assert start(kept)["cluster"] == "kept"


def begun(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Takes the first letters of every cluster that a server is begun on."""
    seen: list[bytes] = []
    begin = origin._begin

    def noted(boot: Any, checked: memoryview | None) -> Any:
        if checked is not None:
            seen.append(bytes(checked[:2000]))
        return begin(boot, checked)

    monkeypatch.setattr(origin, "_begin", noted)
    return seen


def test_the_server_is_begun_on_the_likely_cluster_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the programs are digested; and it is the one that the key names."""
    start(kept)
    digests: list[int] = []
    seen = begun(monkeypatch)

    def digest(found: Binaries) -> str:
        digests.append(len(seen))
        return digest_of_binary(found)

    monkeypatch.setattr(origin, "digest_of_binary", digest)
    assert start(kept)["cluster"] == "kept"
    assert (digests, len(seen)) == ([1], 1)


# Sealed by somebody; the last of them as if the file system had refused a part.
OTHERS: dict[str, bytes] = {
    "whole": b"",
    "a path that leads out": b'{"folders": [], "files": [["../x", 384, 0, 0]]}\n',
    "a path twice": b'{"folders": [], "files": [["x", 384, 0, 0], ["x", 384, 0, 0]]}\n',
    "refused": b"",
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_server_begun_on_another_cluster_than_the_wanted_one_is_ended(
    kept: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """The hint is that of another key: nobody connects to it, nothing of it stays, and neither entry is to blame."""
    monkeypatch.setattr(origin, "hint_of", lambda *_, **__: "the same")
    seen = begun(monkeypatch)

    def start_with(database: str) -> dict[str, str]:
        settings = Settings(cluster_cache=kept, postgres_db=database)
        with open_embedded(settings, reason="", report=lines.append) as server:
            with connect(server.dsn) as conn:
                rows = conn.execute("SELECT datname FROM pg_database WHERE oid > 16383").fetchall()
            assert rows == [(database,)]
            return dict(server.facts)

    one, two = start_with("one"), start_with("two")
    assert [facts["cluster"] for facts in (one, two)] == ["made for this run", "made for this run"]
    assert len(seen) == 1  # two's server was begun on one's cluster
    if OTHERS[other]:
        entry = kept / f"{two['cluster_key']}{cache.SUFFIX}"
        _, known = read_known_of(entry)
        entry.write_bytes(seal(known, OTHERS[other]))
    if other == "refused":
        real = leashes.Leash.finish_unpack

        def refuse_once(self: leashes.Leash) -> str:
            monkeypatch.setattr(leashes.Leash, "finish_unpack", real)
            real(self)
            raise leashes.RefusedError("File exists", errno.EEXIST)

        monkeypatch.setattr(leashes.Leash, "finish_unpack", refuse_once)
    os.utime(kept / f"{two['cluster_key']}{cache.SUFFIX}", (time.time() + 60, time.time() + 60))
    again = start_with("one")
    assert (again["cluster"], again["cluster_key"]) == ("kept", one["cluster_key"])
    assert again["system_identifier"] == one["system_identifier"]
    assert len(seen) == 3
    assert lines == []
    assert len(list(kept.iterdir())) == 2
    assert list(folders.MEMORY.iterdir()) == []


def test_a_kept_cluster_that_does_not_let_us_in_is_made_again(kept: Path, lines: list[str]) -> None:
    """Sealed with another password: a poisoned cache never stops a run."""
    start(kept)
    entry = entry_of(kept)
    digest, known = read_known_of(entry)
    packed = bytes(read_checked(str(entry), digest)).split(b"\n", 1)[1]
    entry.write_bytes(seal({**known, "password": "x" * 32}, packed))
    assert start(kept, lines)["cluster"] == "made for this run"
    assert len(lines) == 1
    assert "a server on it cannot be used (the server refuses the user or the password); a new one" in lines[0]
    assert start(kept)["cluster"] == "kept"


def test_a_deadline_that_ran_out_does_not_cost_the_kept_cluster(
    kept: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the run's own, at once, with the limit that was set; the next run starts on the same entry."""
    first = start(kept)
    before = entry_of(kept).stat()
    settings = Settings(cluster_cache=kept, server_start_timeout_ms=1)
    with monkeypatch.context() as patched:
        patched.setattr(boot_module, "_is_ready", lambda _: False)  # it may be up before the first look
        with (
            pytest.raises(StartError, match="the server did not answer in time") as caught,
            open_embedded(settings, reason="", report=lines.append),
        ):
            pass
    assert caught.value.facts[0] == ("expected", "an answer within 1 ms")
    assert lines == []
    after = entry_of(kept).stat()
    # The same file; when it was used last is noted in its times.
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    third = start(kept, lines)
    assert (third["cluster"], third["system_identifier"]) == ("kept", first["system_identifier"])
    assert lines == []


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("CREATE TABLE public.planted (id int)", "1 relations"),
        ("CREATE SCHEMA planted", "1 schemas"),
        ("CREATE FUNCTION public.planted() RETURNS int LANGUAGE sql RETURN 1", "1 functions"),
        # Numbers that PostgreSQL keeps for itself do not hide it.
        (
            """SET allow_system_table_mods = on; CREATE VIEW public.planted AS SELECT 1 AS a;
               UPDATE pg_class SET oid = 16000 WHERE relname = 'planted'""",
            "1 relations",
        ),
    ],
)
@pytest.mark.parametrize("keeping", [False, True])
def test_a_new_cluster_that_is_not_empty_is_refused(
    kept: Path, monkeypatch: pytest.MonkeyPatch, made: str, found: str, *, keeping: bool
) -> None:
    """Whatever put it there, and whatever number it has: exit 3 before the first migration."""

    def spoiled(conn: Any, admin_dsn: str, database: str, **more: Any) -> Any:
        provisioned = provision(conn, admin_dsn, database, **more)
        with connect(provisioned.admin_dsn) as own:
            own.execute(made.encode())
        return provisioned

    monkeypatch.setattr(origin, "provision", spoiled)
    settings = Settings(cluster_cache=kept if keeping else None)
    with pytest.raises(NotFreshError, match="not empty before") as caught, open_embedded(settings, reason=""):
        pass
    assert caught.value.facts[1] == ("found", found)
    assert not keeping or not [*kept.glob(f"*{cache.SUFFIX}")]


def test_a_server_that_ran_before_the_run_did_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's, at the address of ours."""
    monkeypatch.setattr(origin, "read_facts", lambda conn: read_facts(conn) | {"postmaster_age_s": "3600"})
    with pytest.raises(NotFreshError, match="started before") as caught, open_embedded(Settings(), reason=""):
        pass
    assert caught.value.facts[1] == ("found", "one that is up for 3600 s")
    assert not kept.exists()


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_is_set_while_a_server_starts_makes_it_no_older(
    kept: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """An hour on: the server says it is up for an hour, and so does the run. An hour back: younger than nothing."""
    real = time.time
    jumped = iter([0])  # before the jump, once

    def read(conn: Connection) -> dict[str, str]:
        found = read_facts(conn)
        return found | {"postmaster_age_s": str(int(found["postmaster_age_s"]) + jump_s)}

    clock = SimpleNamespace(time=lambda: real() + next(jumped, jump_s), monotonic=time.monotonic)
    monkeypatch.setattr(origin, "read_facts", read)
    monkeypatch.setattr(facts_module, "time", clock)
    with open_embedded(Settings(), reason="") as server, connect(server.dsn) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert not kept.exists()


def no_folder(path: Path) -> None:
    """A file."""
    path.write_text("")


def open_folder(path: Path) -> None:
    """Its group may write."""
    path.mkdir()
    path.chmod(0o770)


def linked_folder(path: Path) -> None:
    """A link to a good one."""
    (path.parent / "real").mkdir(mode=0o700)
    path.symlink_to(path.parent / "real")


def foreign_folder(path: Path) -> None:
    """Another user's."""
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)


FOLDERS = {
    "a link or a file, not a folder": no_folder,
    "its mode is 0770, which lets others in; expected 0700": open_folder,
    "a link or a file, not a folder ": linked_folder,
    **({"it belongs to another user": foreign_folder} if os.geteuid() == 0 else {}),
}


@pytest.mark.parametrize("reason", FOLDERS)
def test_a_folder_that_is_not_ours_alone_is_not_used(kept: Path, lines: list[str], reason: str) -> None:
    """It is named, left as it is, and the temporary folder serves."""
    FOLDERS[reason](kept)
    before = kept.lstat()
    assert start(kept, lines)["cluster"] == "made for this run"
    assert lines == [f"server   no cluster can be kept in {kept}: {reason.strip()}, so they go to the temporary folder"]
    assert kept.lstat() == before or before.st_mode == kept.lstat().st_mode
    assert start(kept)["cluster"] == "kept"
    assert entry_of(kept.parent / f"parity-runner-{os.geteuid()}").is_file()


def test_a_home_that_is_not_there_is_not_made(kept: Path, lines: list[str]) -> None:
    """An account that has one in name only."""
    start(kept.parent / "home" / ".cache" / "parity-runner" / "clusters", lines)
    assert f"{kept.parent / 'home'} is not there, so they go to the temporary folder" in lines[0]
    assert not (kept.parent / "home").exists()


def test_without_any_folder_a_cluster_is_made_for_each_run(
    kept: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache and a temporary folder that are files: two lines, and no error."""
    no_folder(kept)
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    assert start(kept / "below", lines)["cluster"] == "made for this run"
    assert [line.rpartition(": ")[2] for line in lines] == [
        "file exists, so they go to the temporary folder",
        "file exists",
    ]


def test_a_full_disk_keeps_nothing_and_stops_nobody(
    kept: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is written by half: it is taken away again."""
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 1 << 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    assert start(kept, lines)["cluster"] == "made for this run"
    assert lines == [f"server   the cluster could not be kept in {kept}: no space left on device"]
    assert list(kept.iterdir()) == []


def begin(servers: Path, kept: Path) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", ONE_RUN, str(servers), str(kept)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_eight_at_once_with_nothing_kept_all_start(kept: Path) -> None:
    """Each makes its own; one is kept; nothing half-made stays."""
    runs = [begin(folders.MEMORY, kept) for _ in range(8)]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 8
    assert all(text.startswith("(4,) ") and text.count("\n") == 1 for text in said), said
    assert entry_of(kept).is_file()
    assert start(kept)["cluster"] == "kept"
    assert list(folders.MEMORY.iterdir()) == []


def test_runs_killed_at_any_moment_leave_nothing_but_what_is_kept(kept: Path) -> None:
    """Half of them make a cluster, half copy one; neither a server nor a folder of theirs is there 2 s later."""
    chance = random.Random(24)  # noqa: S311 - moments, not secrets
    for number in range(20):
        if number % 2 == 0:
            for path in kept.glob(f"*{cache.SUFFIX}"):
                path.unlink()
        run = begin(folders.MEMORY, kept)
        time.sleep(chance.uniform(0.1, 1.2 if number % 2 == 0 else 0.6))
        run.send_signal(signal.SIGKILL)
        run.communicate()
    deadline = time.monotonic() + gone_within_s()
    while leftovers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert leftovers() == []
    start(kept)  # whoever makes the next one takes away what killed makers left
    for path in kept.glob(f"*{cache.SUFFIX}"):
        path.unlink()
    start(kept)
    assert entry_of(kept).is_file()


def leftovers() -> list[str]:
    """Folders of servers, and processes that name one."""
    folder = str(folders.MEMORY)
    return [*map(str, folders.MEMORY.iterdir()), *(line for _, _, line in processes() if folder in line)]


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder for kept clusters, open to us alone."""
    folder = tmp_path / "clusters"
    folder.mkdir(mode=0o700)
    return folder


def test_four_are_kept_and_none_for_longer_than_a_month(ours: Path, lines: list[str]) -> None:
    """Those last used stay; a name that is not of our form is nobody's business."""
    now = time.time()
    for number in range(3):
        path = ours / f"{number:064x}{cache.SUFFIX}"
        path.write_bytes(b"")
        os.utime(path, (now - 60 * (number + 1), now - 60 * (number + 1)))
    old = ours / f"{9:064x}{cache.SUFFIX}"
    old.write_bytes(b"")
    os.utime(old, (now - cache.KEEP_S - 60,) * 2)
    (ours / "letters").write_text("mine")
    cache.keep(ours, "a" * 64, b"{}\n", {}, lines.append)
    cache.keep(ours, "b" * 64, b"{}\n", {}, lines.append)
    assert sorted(path.name[-9:] for path in ours.iterdir()) == sorted(
        ["letters", *(f"{end}{cache.SUFFIX}" for end in "01ab")]
    )
    assert lines == []


def test_what_a_killed_maker_left_goes_and_what_a_live_one_writes_stays(ours: Path, lines: list[str]) -> None:
    """The lock on the file tells them apart, whatever the clock says."""
    dead, alive = (ours / f"unfinished-{number:016x}" for number in (1, 2))
    for path in (dead, alive):
        path.write_bytes(b"half")
    with alive.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        cache.keep(ours, "a" * 64, b"{}\n", {}, lines.append)
        assert alive.exists()
    assert not dead.exists()
    cache.keep(ours, "b" * 64, b"{}\n", {}, lines.append)
    assert not alive.exists()


def test_the_first_of_two_makers_is_kept(ours: Path, lines: list[str]) -> None:
    """The other one's goes; both have a server."""
    for content in (b"first\n", b"second\n"):
        cache.keep(ours, "a" * 64, content, {}, lines.append)
    assert entry_of(ours).read_bytes().endswith(b"first\n")


def test_the_key_depends_on_all_that_is_in_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program, database, user, option or form: another cluster."""
    keys = {
        cache.key_of("a", "db", other_user=False),
        cache.key_of("b", "db", other_user=False),
        cache.key_of("a", "other", other_user=False),
        cache.key_of("a", "db", other_user=True),
    }
    monkeypatch.setattr(cache, "FORM", cache.FORM + 1)
    keys.add(cache.key_of("a", "db", other_user=False))
    monkeypatch.setattr(cache, "INITDB_OPTIONS", ())
    keys.add(cache.key_of("a", "db", other_user=False))
    assert len(keys) == 6
    assert all(len(key) == 64 for key in keys)


def test_a_cluster_with_a_link_in_it_is_not_packed(tmp_path: Path) -> None:
    """Where it leads is not ours to keep."""
    (tmp_path / "pg_wal").symlink_to("/elsewhere")
    assert cache.pack_cluster(tmp_path) is None
