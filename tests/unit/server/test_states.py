"""What is known of servers that stay: names, records, whose turn it is, and what can be said from here."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess  # noqa: TID251 - somebody else, who works on a name and is killed
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_root import only_as_root
from make_runs import python_for_others

from scripts.errors.residents import ResidentError, ResidentNameError
from scripts.report.servers import Listed, render_servers
from scripts.run import stay
from scripts.server import owner
from scripts.server.embedded import watched
from scripts.server.embedded.binaries import find_psql
from scripts.server.embedded.watched import FOLDERS, WatchedHolder, judge_watched
from scripts.server.owner import HOST, PID, PLACE, owner_labels
from scripts.server.states import (
    NAME,
    Resident,
    default_name,
    name_of_run,
    names_in,
    open_place,
    read_state,
    require_name,
)
from scripts.server.stay import claims, staying
from scripts.server.stay.claims import Claim, claimed
from scripts.server.stay.staying import forget_dead, url_of, ways_to
from scripts.settings import ROOT, client_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = """
import sys, time
from pathlib import Path
from scripts.server.stay.claims import claimed
with claimed(Path(sys.argv[1]), "dev", make=True, waiting=print):
    print("claimed", flush=True)
    time.sleep(60)
"""
DEV = Resident(
    name="dev",
    origin="embedded",
    version="18.6",
    database="symphony",
    since="2026-03-01T10:00:00Z",
    host="/dev/shm/parity-0123456789/s",  # noqa: S108 - shown, not used
    port="5432",
    owner="symphony_owner",
    superuser="postgres",
    project="/src/main",
    holder={},
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty place."""
    return open_place(tmp_path / "state" / "parity-runner" / "servers")


@pytest.fixture
def holder(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the name "dev"."""
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(place)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    assert run.stdout.readline() == "claimed\n"
    yield run
    run.kill()
    run.wait()
    run.stdout.close()


def written(place: Path, resident: Resident = DEV) -> Path:
    """A record; returns its folder."""
    with claimed(place, resident.name, make=True, waiting=print) as claim:
        assert claim is not None
        claim.write(resident, {"symphony_owner": "o:w\\n", "postgres": "s"})
    return place / resident.name


# --- names ------------------------------------------------------------------------------------------------------------


def test_two_worktrees_of_one_name_have_two_servers(tmp_path: Path) -> None:
    """The default is the folder's name, and a digest of where it is."""
    names = []
    for parent in ("a", "b"):
        (tmp_path / parent / "Pay Ments").mkdir(parents=True)
        names.append(default_name(tmp_path / parent / "Pay Ments"))
    assert names[0] != names[1]
    assert all(name.startswith("pay-ments-") and len(name) == len("pay-ments-") + 6 for name in names)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "Pay Ments")
    assert default_name(tmp_path / "link").rpartition("-")[2] == names[0].rpartition("-")[2]


@given(st.text(max_size=120), st.text(max_size=120))
def test_every_default_is_a_name(folder: str, run_id: str) -> None:
    """Whatever a folder or a run is called."""
    assert NAME.fullmatch(default_name(Path("/x") / (folder.replace("\0", "").replace("/", "") or "x")))
    assert NAME.fullmatch(name_of_run(run_id, Path("/nowhere")))


def test_a_run_of_the_same_id_gets_another_name(place: Path) -> None:
    """PRE_CI_RUN_ID may be set to the same twice."""
    assert name_of_run("Nightly_7", place) == "run-nightly-7"
    (place / "run-nightly-7").mkdir()
    assert name_of_run("Nightly_7", place).startswith("run-nightly-7-")


@given(st.text(max_size=60))
def test_a_name_is_taken_as_it_is_or_refused(name: str) -> None:
    """Nothing is made of it."""
    try:
        assert require_name(name) == name
    except ResidentNameError:
        assert NAME.fullmatch(name) is None


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_record_is_read_back_and_the_password_file_is_libpqs(place: Path) -> None:
    """Colons and backslashes are escaped there; the record holds no password."""
    folder = written(place, replace(DEV, host="/a:b", holder={"x": "1"}))
    assert read_state(folder) == replace(DEV, host="/a:b", holder={"x": "1"})
    assert (folder / "pgpass").read_text() == "/a\\:b:5432:*:symphony_owner:o\\:w\\\\n\n/a\\:b:5432:*:postgres:s\n"
    assert {path.name for path in folder.iterdir()} == {"alive", "pgpass", "server.json"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 60000,
        "null",
        json.dumps(asdict(DEV) | {"form": "2"}),
        json.dumps(asdict(DEV) | {"name": "other"}),
        json.dumps(asdict(DEV) | {"port": 5432}),
        json.dumps(asdict(DEV) | {"holder": {"pid": 1}}),
        json.dumps(asdict(DEV) | {"origin": "elsewhere"}),
        json.dumps(asdict(DEV) | {"more": ""}),
        json.dumps({"name": "dev"}),
    ],
)
def test_what_we_did_not_write_is_not_read(place: Path, text: str) -> None:
    """Another form, another name, half a file: told with the file's name."""
    folder = written(place)
    (folder / "server.json").write_text(text)
    with pytest.raises(ResidentError, match=r"server\.json: what is known of a server that stays cannot be read"):
        read_state(folder)


def test_a_record_that_others_could_have_written_is_not_read(place: Path) -> None:
    """A link, a pipe, a mode that lets others in."""
    folder = written(place)
    record = folder / "server.json"
    record.chmod(0o644)
    with pytest.raises(ResidentError, match="cannot be read"):
        read_state(folder)
    record.rename(folder / "elsewhere")
    record.symlink_to(folder / "elsewhere")
    with pytest.raises(ResidentError, match="cannot be read"):
        read_state(folder)
    record.unlink()
    os.mkfifo(record, 0o600)
    with pytest.raises(ResidentError, match="cannot be read"):
        read_state(folder)


@only_as_root
def test_another_user_can_read_none_of_it(place: Path, tmp_path: Path) -> None:
    """Neither the list nor a file; and a place that belongs to another is not ours to use."""
    folder = written(place)
    for path in (tmp_path, *tmp_path.parents):
        path.chmod(path.stat().st_mode | 0o005)
    look = "import os, sys\nfor path in sys.argv[1:]:\n    print(os.access(path, os.R_OK))"
    shown = subprocess.check_output(
        [python_for_others()[-1], "-c", look, str(place), str(folder / "pgpass"), str(folder / "server.json")],
        user="nobody",
        group="nogroup",
        extra_groups=[],
        text=True,
        cwd="/",
    )
    assert shown.split() == ["False"] * 3
    os.chown(place, 65534, 65534)
    with pytest.raises(ResidentError, match="it belongs to another user"):
        raise_of_place(place)
    os.chown(place, 0, 0)
    os.chown(folder, 65534, 65534)
    with pytest.raises(ResidentError, match="another owner"), claimed(place, "dev", make=False, waiting=print):
        pytest.fail("it was claimed")


def raise_of_place(place: Path) -> None:
    """Open it with what was found said in the error's text."""
    try:
        open_place(place)
    except ResidentError as error:
        raise ResidentError(error.facts[1][1], help=error.help) from None


def test_what_a_killed_removal_left_is_removed(place: Path) -> None:
    """A folder is renamed before it is emptied."""
    (place / ".gone-0123456789abcdef").mkdir()
    (place / ".gone-0123456789abcdef" / "pgpass").write_text("secret")
    open_place(place)
    assert list(place.iterdir()) == []


def test_a_question_makes_no_folder(tmp_path: Path) -> None:
    """Nothing is known, and nothing is there to be read: that is no error, even in a home that cannot be written to."""
    from make_stays import Stays

    stays = Stays(tmp_path)
    assert stays.do("servers").out == ["no server stays"]
    assert stays.do("down", name="dev").out == ["down     there is no server dev"]
    assert stays.do("down", every=True).out == ["down     no server stays"]
    with pytest.raises(ResidentError, match='there is no server "dev"'):
        stays.do("psql", name="dev")
    assert list(tmp_path.iterdir()) == []


# --- whose turn -------------------------------------------------------------------------------------------------------


def test_only_one_works_on_a_name_and_others_wait(place: Path, holder: subprocess.Popen[str]) -> None:
    """Said once; too long is an error; a name beside it is free; when the other is killed it is our turn at once."""
    said: list[str] = []
    with (
        pytest.raises(ResidentError, match='another process is at work on the server "dev"'),
        claimed(place, "dev", make=False, waiting=said.append, timeout_s=0.6),
    ):
        pytest.fail("it was claimed")
    assert said == ["server   another process is at work on dev: waiting for it"]
    with claimed(place, "other", make=True, waiting=said.append, timeout_s=0) as claim:
        assert claim is not None
    threading.Timer(0.1, holder.kill).start()
    began = time.monotonic()
    with claimed(place, "dev", make=True, waiting=said.append, timeout_s=10) as claim:
        assert claim is not None
        assert claim.read() is None
    assert time.monotonic() - began < 5
    assert len(said) == 1  # a moment's waiting is not told
    assert list(place.iterdir()) == []


def test_a_folder_that_was_removed_while_one_waited_is_not_taken_for_the_new_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred turns of four on one name: never two at once, and nothing stays."""
    monkeypatch.setattr(claims, "_POLL_S", 0.0001)
    inside, most, turns = [0], [0], [0]

    def work() -> None:
        for _ in range(50):
            with claimed(place, "dev", make=True, waiting=lambda _: None, timeout_s=60):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                turns[0] += 1
                time.sleep(0.0005)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == ([1], [200])
    assert list(place.iterdir()) == []


def test_a_link_in_the_way_is_not_followed(place: Path, tmp_path: Path) -> None:
    """Nor is a file taken for a folder."""
    (tmp_path / "target").mkdir(mode=0o700)
    (place / "dev").symlink_to(tmp_path / "target")
    (place / "file").write_text("")
    for name in ("dev", "file"):
        with pytest.raises(ResidentError, match="there is no place"), claimed(place, name, make=True, waiting=print):
            pytest.fail("it was claimed")


def test_nothing_of_that_name_is_nothing(place: Path) -> None:
    """Without `make` no folder comes to be."""
    with claimed(place, "dev", make=False, waiting=print) as claim:
        assert claim is None
    assert list(place.iterdir()) == []


# --- what can be said from here ---------------------------------------------------------------------------------------


def standing(where: Path, *, locked: bool, **labels: str) -> tuple[str, str]:
    """How one with these labels stands; the others are of this process."""
    names = {"place": PLACE, "host": HOST}
    holder = owner_labels() | {names[name]: value for name, value in labels.items()}
    folder = written(where, replace(DEV, holder=holder))
    resident = read_state(folder)
    assert resident is not None
    with (folder / "alive").open("rb") as file:
        if locked:
            fcntl.flock(file, fcntl.LOCK_EX)
        found = judge_watched(resident, folder)
    return found.kind, found.why


HERE = owner_labels()
BOOT, _, SPACE = HERE[PLACE].partition("/")


@pytest.mark.skipif(not HERE[PLACE], reason="the system does not number its boots")
@pytest.mark.parametrize(
    ("locked", "labels", "kind", "why"),
    [
        (True, {}, "runs", ""),
        (False, {}, "gone", "it ended"),
        (True, {"place": f"{BOOT}/1"}, "elsewhere", "it runs in another container of this machine"),
        (False, {"place": f"{BOOT}/1"}, "gone", "it ended"),
        (True, {"place": f"{BOOT}/1", "host": "c1/"}, "elsewhere", "it runs in another container of this machine"),
        (False, {"place": f"{BOOT}/1", "host": "c1/"}, "gone", "it ended"),
        (False, {"place": f"other/{SPACE}"}, "gone", "the machine was started anew since"),
        (True, {"place": f"other/{SPACE}"}, "elsewhere", "its lock is held"),
        (False, {"place": f"other/{SPACE}", "host": "build7/ab"}, "elsewhere", "it was made on the machine build7"),
        (True, {"place": f"other/{SPACE}", "host": "build7/ab"}, "elsewhere", "it was made on the machine build7"),
        (False, {"place": ""}, "gone", "the machine was started anew since"),
    ],
)
def test_the_lock_decides_where_it_can_be_believed(
    place: Path, *, locked: bool, labels: dict[str, str], kind: str, why: str
) -> None:
    """The same boot: the lock alone; another boot of this host: gone; another host: not ours to judge."""
    assert standing(place, locked=locked, **labels) == (kind, why)


@pytest.mark.parametrize(("locked", "kind"), [(True, "runs"), (False, "gone")])
def test_where_boots_have_no_number_the_lock_decides(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, locked: bool, kind: str
) -> None:
    """On macOS."""
    monkeypatch.setattr(owner, "_place", lambda: "")
    assert standing(place, locked=locked)[0] == kind


def test_down_of_one_elsewhere_forgets_nothing(place: Path, tmp_path: Path) -> None:
    """The error names the machine and the folder; `--all` goes on to the next, and ends with 3."""
    from make_stays import Stays
    from make_voices import Heard

    from scripts.run.commands import COMMANDS

    assert standing(place, locked=False, place="other/1", host="build7/ab")[0] == "elsewhere"
    written(place, replace(DEV, name="dead", holder=owner_labels()))
    stays = Stays(tmp_path)
    with pytest.raises(ResidentError, match='the server "dev" cannot be reached from here') as caught:
        stays.do("down", name="dev")
    assert str(place / "dev") in caught.value.help
    heard = Heard()
    assert COMMANDS["down"](stays.settings(), heard.voice(), every=True) == 3
    assert heard.out == ["down     dead was gone (it ended); what was known of it is removed"]
    assert "it was made on the machine build7" in heard.progress[0]
    assert names_in(place) == ("dev",)
    for verb in ("up", "psql"):
        with pytest.raises(ResidentError, match="cannot be reached from here"):
            stays.do(verb, name="dev")
    assert "elsewhere" in stays.do("servers").text


def test_an_unreadable_record_goes_only_if_its_server_is_gone(place: Path, tmp_path: Path) -> None:
    """While somebody holds the lock, the error is what there is to say."""
    from make_stays import Stays

    stays = Stays(tmp_path)
    folder = written(place)
    (folder / "server.json").write_text("{}")
    assert stays.do("servers").out == ["dev   unreadable   another form, or another name"]
    with (folder / "alive").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ResidentError, match="cannot be read") as caught:
            stays.do("down", name="dev")
        assert caught.value.help.endswith(f"or end the server and remove {folder}")
    heard = stays.do("down", name="dev")
    assert heard.out == ["down     dev is gone; what was known of it could not be read, and is removed"]
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_not_taken_for_a_start(place: Path, tmp_path: Path, kind: str) -> None:
    """It is told as what it is, and left to whoever put it there."""
    from make_stays import Stays

    if kind == "file":
        (place / "dev").write_text("")
    else:
        (place / "dev").symlink_to(tmp_path if kind == "link" else tmp_path / "absent")
    assert Stays(tmp_path).do("servers").out == ["dev   unreadable   a link or a file, not a folder"]


def test_a_start_that_was_killed_is_removed(place: Path, tmp_path: Path) -> None:
    """A folder without a record: listed as starting, removed by `down`, or in passing by the next start."""
    from make_stays import Stays

    stays = Stays(tmp_path)
    (place / "dev").mkdir(mode=0o700)
    assert stays.do("servers").out == ["dev   starting"]
    assert stays.do("down", name="dev").out == [
        "down     dev was being made when its maker was killed; that is removed"
    ]
    (place / "dev").mkdir(mode=0o700)
    forget_dead(place, print)
    assert list(place.iterdir()) == []


def test_what_is_dead_is_forgotten_in_passing_and_said(place: Path, holder: subprocess.Popen[str]) -> None:
    """One that somebody works on is not waited for; one elsewhere and a container stay."""
    written(place, replace(DEV, name="dead", holder=owner_labels()))
    written(place, replace(DEV, name="far", holder=owner_labels() | {HOST: "build7/ab", PLACE: "other/1"}))
    written(place, replace(DEV, name="box", origin="docker"))
    said: list[str] = []
    forget_dead(place, said.append)
    assert said == ["server   dead is gone (it ended): what was known of it is removed"]
    assert names_in(place) == ("box", "dev", "far")
    assert holder.poll() is None


def test_a_watcher_that_does_not_end_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock stays held: neither signal helps; nobody who is not that watcher is signalled."""
    monkeypatch.setattr(watched, "END_TIMEOUT_S", 0.05)
    monkeypatch.setattr(watched, "KILLED_TIMEOUT_S", 0.05)
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: signalled.append(pid))
    gone = owner_labels() | {PID: "4194000"}
    folder = written(place, replace(DEV, holder=gone | {FOLDERS: ""}))
    resident = read_state(folder)
    assert resident is not None
    with (folder / "alive").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ResidentError, match='the server "dev" does not end'):
            watched.end_watched(resident, folder, print)
    assert [pid for pid in signalled if pid != 4194000] == []


# --- lines and environment --------------------------------------------------------------------------------------------


def test_a_url_is_one_that_libpq_reads() -> None:
    """A socket's folder, a name, an IPv6 address; the port is always said."""
    from scripts.server.readiness import parse_dsn

    for host in ("/dev/shm/a b", "127.0.0.1", "::1", "db.example"):  # noqa: S108 - shown, not used
        parts = parse_dsn(url_of(replace(DEV, host=host, port="6543")))
        assert parts == {"host": host, "port": "6543", "user": "symphony_owner", "dbname": "symphony"}


def test_a_path_with_blanks_is_quoted_for_the_shell(tmp_path: Path) -> None:
    """What is printed can be pasted."""
    from make_stays import exported

    variables = exported(ways_to(DEV, tmp_path / "a b" / "dev").export)
    assert variables == {"PGPASSFILE": f"{tmp_path}/a b/dev/pgpass", "DATABASE_URL": url_of(DEV)}


def test_the_list_has_a_line_for_each(tmp_path: Path) -> None:
    """Aligned by name."""
    listed = [
        Listed("dev", "runs", "", DEV, tmp_path),
        Listed("main-3f2a1c", "unclear", "no Docker engine answers", replace(DEV, origin="docker"), tmp_path),
        Listed("x", "starting", "", None, tmp_path),
    ]
    about = "PostgreSQL 18.6   database symphony   since 2026-03-01T10:00:00Z"
    assert render_servers(listed) == (
        f"dev           runs       embedded   {about}\n"
        f"main-3f2a1c   unclear    docker   {about}   no Docker engine answers\n"
        "x             starting"
    )


def test_a_client_is_led_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that name a server, a login or a way to it are not handed on; those for a session's looks are."""
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSWORD", "PGSSLMODE", "PGREQUIREAUTH"):
        monkeypatch.setenv(name, "astray")
    for name in ("PGOPTIONS", "PGTZ", "PSQLRC", "PAGER", "PG_COLOR"):
        monkeypatch.setenv(name, "mine")
    given = client_environment({"PGHOST": "here"})
    assert {name: value for name, value in given.items() if value in ("astray", "mine")} == dict.fromkeys(
        ("PGOPTIONS", "PGTZ", "PSQLRC", "PAGER", "PG_COLOR"), "mine"
    )
    assert given["PGHOST"] == "here"


def test_psql_is_looked_for_in_three_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PG_BINDIR, the requirements' own, PATH; nowhere is an error."""
    from scripts.server.embedded import binaries

    own = find_psql(None)
    assert own.parent.name == "bin"
    assert own.parent.parent.name == "pginstall"
    assert find_psql(tmp_path) == own
    (tmp_path / "psql").write_text("#!/bin/sh\n")
    assert find_psql(tmp_path) == own  # it cannot be run
    (tmp_path / "psql").chmod(0o755)
    assert find_psql(tmp_path) == tmp_path / "psql"
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_psql(None) == tmp_path / "psql"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ResidentError, match="there is no psql"):
        find_psql(None)


def test_a_claim_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The folder went away, or the disk is full."""
    with pytest.raises(ResidentError, match="there is no place"):
        Claim(tmp_path / "gone").write(DEV, {"postgres": "s"})


def test_up_without_a_claim_cannot_be() -> None:
    """The verbs are those of the table."""
    from scripts.run.commands import COMMANDS

    assert {COMMANDS[name] for name in ("up", "down", "psql", "servers")} == {
        stay.up,
        stay.down,
        stay.psql,
        stay.servers,
    }


def test_a_server_that_cannot_be_told_to_outlive_crashes_is_handed_over_and_that_is_said(tmp_path: Path) -> None:
    """A full disk may be why somebody keeps it."""
    said: list[str] = []
    staying._outlive_crashes(f"host={tmp_path} user=postgres dbname=postgres", said.append)
    assert said == [
        "server   it will end, with its data, when one of its processes crashes: the server cannot be reached"
    ]


def test_a_colon_in_a_folder_splits_nothing(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR may hold one; what is left of such a folder is waited for by its whole name."""
    folders = (tmp_path / "a:b", tmp_path / "c")
    leash = SimpleNamespace(pid=os.getpid(), folders=tuple(str(folder) for folder in folders))
    known = WatchedHolder(leash).identity()  # type: ignore[arg-type]
    assert known[FOLDERS] == f"{folders[0]}\n{folders[1]}"
    folders[0].mkdir()
    monkeypatch.setattr(watched, "KILLED_TIMEOUT_S", 0.01)
    state = written(place, replace(DEV, holder=dict(known) | {PLACE: "another/boot"}))
    with pytest.raises(ResidentError) as caught:
        watched.end_watched(replace(DEV, holder=dict(known) | {PLACE: "another/boot"}), state, lambda _: None)
    assert f"{folders[0]} stays" in str(caught.value)
