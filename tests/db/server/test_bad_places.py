"""A run in a place that cannot hold its server: each is told in one paragraph, with the next step, and exit 3.

The places are real: file systems of a name space of the test's own, which needs root; limits, which need nobody.
"""

from __future__ import annotations

import shutil
import subprocess  # noqa: TID251 - the whole program is what is looked at
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_root import only_as_root
from make_runs import AS_NOBODY, SITE, python_for_others

from scripts.errors.binaries import BinariesError
from scripts.server import folders
from scripts.server.embedded.origin import open_embedded
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = f"cd {ROOT} && exec {sys.executable} -m invoke migrate"


@pytest.fixture
def place() -> Iterator[Path]:
    """Not in memory, and short: a home, and a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="b-"))
    folder.chmod(0o711)
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    (folder / "tmp").chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def migrate(place: Path, before: str = "", *, mounted: bool = False, run: str = RUN) -> tuple[int, str]:
    """Run `invoke migrate` after some shell commands; its exit code and what it said."""
    done = subprocess.run(
        [*(["unshare", "--mount"] if mounted else []), "/bin/sh", "-ec", f"{before}\n{run}"],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": f"{ROOT}:{SITE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(place / "home"),
            "TMPDIR": str(place / "tmp"),
            "SERVER": "embedded",
            "PARITY_CACHE_DIR": str(place / "home" / "clusters"),
        },
    )
    return done.returncode, done.stdout


def paragraph(text: str) -> str:
    """The error, which is all that comes after the line about the server."""
    first, _, rest = text.partition("\n")
    assert first == "server   embedded: SERVER=embedded"
    return rest


@only_as_root
@pytest.mark.parametrize(
    ("size", "warm", "step"),
    [
        ("size=8k,nr_inodes=5", False, "the creation of the server's folder"),
        ("size=4m", False, "initdb"),
        ("size=4m", True, "the copy of the kept cluster"),
    ],
)
def test_a_file_system_without_room_is_told_with_step_and_place(
    place: Path, size: str, step: str, *, warm: bool
) -> None:
    """Memory has too little, so that the temporary folder is taken, and that is full before the server runs."""
    if warm:
        assert migrate(place)[0] == 0
    temporary = place / "tmp"
    mount = f"mount -t tmpfs -o mode=1777,{size} none"
    status, text = migrate(place, f"{mount} /dev/shm\n{mount} {temporary}", mounted=True)
    assert paragraph(text) == (
        f"error[disk full]: {temporary}: no space left during {step}\n"
        "  expected  about 100 MB for a fresh server, and room for the data\n"
        "  found     disk full\n"
        "  help: free space there; TMPDIR says where files go while /dev/shm has less than 512 MB free\n"
    )
    assert status == 3


def kept_in(place: Path) -> dict[str, bytes]:
    """The kept clusters."""
    folder = place / "home" / "clusters"
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@only_as_root
@pytest.mark.parametrize("user", [AS_NOBODY])
def test_a_full_disk_costs_no_kept_cluster(place: Path, user: str) -> None:
    """At whatever size it is full, as a user without rights: one error, the disk's, and the entry stays as it was."""
    for name in ("home", "tmp"):
        shutil.chown(place / name, user)
    run = RUN.replace(sys.executable, f"setpriv --reuid={user} --regid=nogroup --clear-groups {python_for_others()[0]}")
    assert migrate(place, run=run)[0] == 0
    before, ended = kept_in(place), False
    assert before
    for size in range(8_000, 16_000, 500):
        mount = "mount -t tmpfs -o mode=1777,size={} none {}"
        full = f"{mount.format('100m', folders.MEMORY)}\n{mount.format(f'{size}k', place / 'tmp')}"
        status, text = migrate(place, full, mounted=True, run=run)
        assert kept_in(place) == before, (size, text)
        assert text.count("error[") == text.count("error[disk full]: ") == 1, (size, text)
        assert "the kept cluster is not used" not in text
        assert status == 3
        ended = ended or "no space left during the start on a copy of the kept cluster" in text
    assert ended


@pytest.mark.parametrize(("warm", "step"), [(False, "initdb"), (True, "the copy of the kept cluster")])
def test_a_limit_on_the_size_of_files_is_told_as_one(place: Path, step: str, *, warm: bool) -> None:
    """There is room, and no file may grow: `ulimit -f`, or a file system with a small limit."""
    if warm:
        assert migrate(place)[0] == 0
    status, text = migrate(place, "ulimit -f 100")
    home = folders.data_home(for_other_user=False)
    assert paragraph(text) == (
        f"error[disk full]: {home}: a file may not become as large as {step} needs\n"
        "  expected  no limit on the size of a file, or one above 16 MB\n"
        "  found     File too large\n"
        "  help: ulimit -f unlimited; if it is the file system's, TMPDIR names another while /dev/shm is full\n"
    )
    assert status == 3


@pytest.mark.parametrize(("warm", "step"), [(False, "initdb"), (True, "the server")])
def test_a_limit_on_open_files_is_told_as_one(place: Path, step: str, *, warm: bool) -> None:
    """And says nothing of the kept cluster, which stays."""
    if warm:
        assert migrate(place)[0] == 0
    before = kept_in(place)
    status, text = migrate(place, "ulimit -n 50")
    assert paragraph(text) == (
        f"error[limit]: too few files may be open at once for {step}\n"
        "  expected  256 for each process, and as many left of the machine's\n"
        "  found     insufficient file descriptors available to start server process\n"
        "  help: ulimit -n 1024; where that is not allowed, whoever set the limit can raise it "
        "(limits.conf, LimitNOFILE=, --ulimit nofile=)\n"
    )
    assert kept_in(place) == before
    assert status == 3


@only_as_root
@pytest.mark.parametrize(
    "shell",
    [
        "mount -t tmpfs -o mode=755,ro none /dev/shm",
        "mount -t tmpfs -o mode=755,ro none {0}/home",
        "mount -t tmpfs -o mode=1777,ro none {0}/tmp",
        "mount -t tmpfs -o mode=1777,noexec none {0}/tmp",
    ],
    ids=["memory closed", "home read-only", "temporary folder read-only", "temporary folder noexec"],
)
def test_a_place_that_cannot_be_used_is_passed_over(place: Path, shell: str) -> None:
    """Where there is another one, the run is as any."""
    status, text = migrate(place, shell.format(place), mounted=True)
    assert status == 0, text
    assert text.endswith("27 files = 0 applied before + 27 applied now\n")
    if "home" in shell:
        assert f"no cluster can be kept in {place}/home/clusters: it cannot be written to" in text or (
            f"no cluster can be kept in {place}/home/clusters: read-only file system" in text
        )


def write(folder: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    """A file that stands for a program."""
    (folder / name).write_bytes(content)
    (folder / name).chmod(mode)


@pytest.fixture
def programs(place: Path) -> Path:
    """A PG_BINDIR of the test's own."""
    folder = place / "bin"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just a text\n", "cannot start {0}/postgres: Exec format error"),
        (b"#!/nowhere/at/all\n", "cannot start {0}/postgres: No such file or directory"),
        (b"#!/bin/sh\necho 'libpq.so.5: cannot open shared object file' >&2\nexit 127\n",
         "libpq.so.5: cannot open shared object file"),
    ],
    ids=["text", "interpreter", "library"],
)  # fmt: skip
def test_programs_that_the_system_cannot_run_are_named(programs: Path, content: bytes, reason: str) -> None:
    """Another processor's, a text file, a library that is missing."""
    for name in ("postgres", "initdb"):
        write(programs, name, content)
    with pytest.raises(BinariesError) as caught, open_embedded(Settings(pg_bindir=programs), reason=""):
        pass
    assert str(caught.value) == (
        f"error[server]: {programs}: the PostgreSQL programs cannot be run\n"
        "  expected  programs for this system, with their libraries\n"
        f"  found     {reason.format(programs)}\n"
        "  help: set PG_BINDIR to the bin folder of a PostgreSQL 18 server of this system, or unset it"
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("missing", ["initdb", "postgres"])
@pytest.mark.parametrize("mode", [None, 0o644])
def test_programs_that_are_missing_or_no_programs_are_named(programs: Path, missing: str, mode: int | None) -> None:
    """Before anything is made."""
    for name in ("postgres", "initdb"):
        if name != missing or mode is not None:
            write(programs, name, b"#!/bin/sh\n", 0o755 if name != missing else mode or 0)
    with pytest.raises(BinariesError) as caught, open_embedded(Settings(pg_bindir=programs), reason=""):
        pass
    assert str(caught.value) == (
        f"error[server]: {programs}: the PostgreSQL programs are incomplete\n"
        "  expected  initdb and postgres\n"
        f"  found     no runnable {missing}\n"
        "  help: reinstall the requirements, or set PG_BINDIR to the bin folder of a PostgreSQL 18 server"
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("user", [AS_NOBODY])
def test_a_umask_that_takes_the_owners_rights_is_not_followed(place: Path, user: str) -> None:
    """`umask 0777`, as a user whom a folder of mode 0000 would keep out: a server that stays, and its end."""
    for name in ("home", "tmp"):
        shutil.chown(place / name, user)
    python = f"setpriv --reuid={user} --regid=nogroup --clear-groups {python_for_others()[0]}"
    up, down = (RUN.replace(sys.executable, python).replace("migrate", verb) for verb in ("up --no-migrate", "down"))
    try:
        status, text = migrate(place, "umask 0777", run=up)
        assert status == 0, text
        (state,) = (place / "home" / ".local" / "state" / "parity-runner" / "servers").iterdir()
        assert state.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    finally:
        status, text = migrate(place, "umask 0777", run=down)
    assert (status, text.splitlines()[-1].endswith("server and data are gone")) == (0, True), text


@pytest.mark.parametrize("user", [AS_NOBODY])
@pytest.mark.parametrize("verb", ["servers", "down --name a", "down --all", "psql --name a", "up --no-migrate"])
def test_what_is_known_in_a_closed_folder_is_not_taken_for_nothing(place: Path, user: str, verb: str) -> None:
    """Below another user's 0700 folder there may be any number of servers: an error, never "no server stays"."""
    shutil.chown(place / "home", user)
    shutil.chown(place / "tmp", user)
    closed = place / "closed"
    (closed / "state").mkdir(parents=True)
    closed.chmod(0o700)
    python = f"setpriv --reuid={user} --regid=nogroup --clear-groups {python_for_others()[0]}"
    run = RUN.replace(sys.executable, python).replace("migrate", verb)
    status, text = migrate(place, f"export XDG_STATE_HOME={closed}/state", run=run)
    assert text == (
        f"error[server that stays]: {closed}/state/parity-runner/servers: there is no place for what is to be known of"
        " a server that stays\n"
        "  expected  a folder that is this user's alone (mode 0700)\n"
        "  found     permission denied\n"
        "  help: point XDG_STATE_HOME at a folder of yours; without KEEP_DB=1 a run needs none\n"
    )
    assert status == 3


@only_as_root
@pytest.mark.parametrize("verb", ["up --no-migrate", "migrate"])
@pytest.mark.parametrize("full", ["size=64k", "nr_inodes=1"])
def test_a_full_folder_of_state_is_told_before_anything_is_made(place: Path, verb: str, full: str) -> None:
    """No server is started to be thrown away at the end; what only looks goes on as ever."""
    state = place / "state"
    state.mkdir()
    before = (
        f"export KEEP_DB=1 XDG_STATE_HOME={state}\nmount -t tmpfs -o mode=0700,{full} none {state}\n"
        f"mkdir -p {state}/parity-runner 2>/dev/null || true\n"
        f"dd if=/dev/zero of={state}/fill bs=4k 2>/dev/null || true"
    )
    status, text = migrate(place, before, mounted=True, run=RUN.replace("migrate", verb))
    assert text == (
        f"error[disk full]: {state}/parity-runner/servers: no space left for what is to be known of a server that"
        " stays\n"
        "  expected  room for three small files\n"
        "  found     no space left on device\n"
        "  help: free space there, or point XDG_STATE_HOME at a folder of yours on another file system; without "
        "KEEP_DB=1 a run needs none\n"
    )
    assert status == 3
    status, text = migrate(place, before, mounted=True, run=RUN.replace("migrate", "down --all"))
    assert (status, text) == (0, "down     no server stays\n")


def test_a_cluster_that_was_kept_in_the_future_is_of_unknown_age(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock was set back meanwhile: it is used, and the evidence does not say that it is new."""
    settings = Settings(cluster_cache=place / "home" / "clusters")
    real = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + 86_400)
        with open_embedded(settings, reason="") as server:
            assert server.facts["cluster"] == "made for this run"
    with open_embedded(settings, reason="") as server:
        assert (server.facts["cluster"], server.facts["cluster_age_s"]) == ("kept", "unknown")


def test_a_clock_that_jumps_ends_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are of a clock that only goes on."""
    jumps = iter(range(0, 10**12, 10**6))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** (n := next(jumps)) * n)
    with open_embedded(Settings(), reason="") as server:
        assert server.facts["user_relations_before"] == "0"


# Thirty rows of a megabyte that does not compress; the second writes ahead more than its table has.
FILLING = {
    "a table": "CREATE TABLE public.t AS SELECT string_agg(gen_random_uuid()::text, '') AS x FROM"
    " generate_series(1, 90) AS g, generate_series(1, 30000) AS h GROUP BY g;\n",
    "the log": "CREATE TABLE public.t (x text);\nINSERT INTO public.t SELECT"
    " string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 90) AS g, generate_series(1, 30000) AS h"
    " GROUP BY g;\n",
}


@only_as_root
@pytest.mark.parametrize("kind", FILLING)
def test_a_file_system_that_becomes_full_while_files_run(place: Path, kind: str) -> None:
    """A real one, of eighty megabytes: the server refuses, or ends because it cannot write ahead; both are told."""
    folder = place / "migrations"
    folder.mkdir()
    (folder / "0001_fill.sql").write_text(FILLING[kind])
    temporary = place / "tmp"
    mount = "mount -t tmpfs -o mode=1777,size=80m none"
    before = f"{mount} /dev/shm\n{mount} {temporary}\nexport MIGRATIONS_DIR={folder}"
    status, text = migrate(place, before, mounted=True)
    assert "error[disk full]: " in text, text
    assert "the server has no room left for " in text
    assert "Traceback" not in text
    assert text.endswith(
        "  help: free space or memory there; TMPDIR says where files go while /dev/shm has less than 512 MB free\n"
    )
    assert status == 3
