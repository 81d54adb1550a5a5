"""Servers that stay: made once, found again, reached without a password on any command line, and gone when told."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_leases import dead_folder
from make_runs import alive
from make_stays import exported, passwords

from scripts.errors.migration import MigrationError
from scripts.errors.residents import ResidentError, ResidentNameError
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from make_stays import Stays

KILLS = 20


def connected(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    """A connection as whoever pastes a printed line gets it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return psycopg.connect(variables["DATABASE_URL"], autocommit=True)


def test_up_makes_a_migrated_server_and_says_how_to_reach_and_remove_it(
    stays: Stays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four lines; the printed variables connect as the owner; the process that made it has long ended."""
    heard = stays.invoke("up", "--name", "dev")
    known, state = stays.known("dev"), stays.place / "dev"
    about = f"embedded   PostgreSQL {known.version}   database symphony"
    url = f"postgresql://symphony_owner@/symphony?host={known.host.replace('/', '%2F')}&port=5432"
    assert heard.out == [
        f"up       dev   {about}   made now   27 migrations applied now",
        "psql     invoke psql --name dev",
        f"or       export PGPASSFILE={state}/pgpass DATABASE_URL='{url}'",
        "down     invoke down --name dev",
    ]
    assert heard.progress[0] == "server   embedded: SERVER=embedded"
    with connected(exported(heard.out[2]), monkeypatch) as conn:
        asked = "SELECT current_user, (SELECT count(*) FROM public.schema_migrations)"
        assert conn.execute(asked).fetchone() == ("symphony_owner", 27)
    assert stays.invoke("down", "--name", "dev").out == ["down     dev: server and data are gone"]
    assert stays.leftovers() == []


def test_up_again_finds_it_and_applies_what_came_since(
    stays: Stays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same server, said since when it is there; a new file is applied, --no-migrate leaves it."""
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE public.one (id int);\n")
    given = {"migrations_dir": tmp_path}
    first = stays.do("up", name="dev", given=given)
    assert first.out[0].split("\n")[0].endswith("made now   1 migrations applied now")
    known = stays.known("dev")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE public.two (id int);\n")
    untouched = stays.do("up", name="dev", no_migrate=True, given=given)
    assert untouched.out[0].split("\n")[0].endswith(f"there since {known.since}   not migrated")
    again = stays.do("up", name="dev", given=given)
    assert again.out[0].split("\n")[0].endswith(f"there since {known.since}   1 migrations applied now")
    assert again.out[0].split("\n")[1:] == first.out[0].split("\n")[1:]
    assert stays.known("dev") == known
    with connected(exported(again.out[0].split("\n")[2]), monkeypatch) as conn:
        assert conn.execute("SELECT count(*) FROM public.two").fetchone() == (0,)
    value = json.loads(stays.do("up", name="dev", json=True, given=given).out[0])
    assert (value["name"], value["was_there"], value["applied"]) == ("dev", True, 0)
    assert not [secret for secret in passwords(stays.place / "dev") if secret in json.dumps(value)]


def test_one_crashed_backend_costs_a_recovery_and_not_the_server(stays: Stays, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh server of a run ends with the first crash; one that stays holds somebody's work."""
    heard = stays.do("up", name="dev", no_migrate=True)
    variables = exported(heard.out[0].split("\n")[2])
    with connected(variables, monkeypatch) as conn:
        conn.execute("SET synchronous_commit = on")
        conn.execute("CREATE TABLE public.work AS SELECT 7 AS done")
        os.kill(conn.info.backend_pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(variables["DATABASE_URL"]) as again:
                assert again.execute("SELECT done FROM public.work").fetchone() == (7,)
                break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert stays.do("down", name="dev").out == ["down     dev: server and data are gone"]
    assert stays.leftovers() == []


def test_a_server_that_could_not_be_migrated_does_not_stay(stays: Stays, tmp_path: Path) -> None:
    """The error is the migration's; server and record are gone."""
    (tmp_path / "0001_bad.sql").write_text("SELECT 1/0;\n")
    with pytest.raises(MigrationError, match=r"0001_bad\.sql"):
        stays.do("up", name="dev", given={"migrations_dir": tmp_path})
    assert stays.leftovers() == []


def test_a_server_that_is_there_is_not_taken_for_another(stays: Stays) -> None:
    """SERVER and POSTGRES_DB that differ are told, and nothing is changed; SERVER=external cannot be made."""
    stays.do("up", name="dev", no_migrate=True)
    with pytest.raises(ResidentNameError, match='the server "dev" is there, and is another') as caught:
        stays.do("up", name="dev", given={"postgres_db": "ledger"})
    assert caught.value.facts == (("expected", "ledger"), ("found", "symphony"))
    with pytest.raises(ResidentNameError) as caught:
        stays.do("up", name="dev", given={"server": "docker"})
    assert (caught.value.where, caught.value.exit_code) == ("SERVER", 2)
    with pytest.raises(ResidentNameError, match="makes a server of its own"):
        stays.do("up", name="dev", given={"server": "external", "database_url": "postgresql://h/d"})
    heard = stays.do("up", name="dev", no_migrate=True, given={"fresh_db": False, "database_url": "postgresql://h/d"})
    assert heard.progress == ["server   DATABASE_URL is not used: `invoke up` makes a server of its own"]
    assert "there since" in heard.out[0]


def test_down_is_for_one_or_all_and_asks_for_nothing_to_be_there(stays: Stays) -> None:
    """Sentences; with --json the names that were removed."""
    assert stays.do("down", name="dev").out == ["down     there is no server dev"]
    assert stays.do("down", every=True).out == ["down     no server stays"]
    for name in ("one", "two"):
        stays.do("up", name=name, no_migrate=True)
    assert json.loads(stays.do("down", every=True, json=True).out[0]) == {"removed": ["one", "two"]}
    assert stays.leftovers() == []
    with pytest.raises(ResidentNameError, match="exclude each other"):
        stays.do("down", name="one", every=True)


@pytest.mark.parametrize("name", ["", "-x", "../x", "A", "a b", "a" * 41, "ä", "a/b", ".half-x", "a\n"])
def test_a_name_that_no_server_can_have_is_refused(stays: Stays, name: str) -> None:
    """By each verb, before anything is looked at. An empty one is the default."""
    for verb in ("up", "down", "psql") if name else ():
        with pytest.raises(ResidentNameError, match="a server cannot have this name"):
            stays.do(verb, name=name)
    assert stays.leftovers() == []


def test_psql_takes_arguments_as_they_are_and_shows_no_password(stays: Stays) -> None:
    """Blanks survive; variables of other servers do not count; neither its arguments nor its environment tell."""
    stays.do("up", name="dev", no_migrate=True)
    astray = {"PGHOST": "nowhere", "PGPORT": "1", "PGUSER": "x", "PGDATABASE": "x", "PGSERVICE": "x", "PGPASSWORD": "x"}
    look = r"\! tr '\0' '\n' < /proc/$PPID/environ; tr '\0' ' ' < /proc/$PPID/cmdline"
    heard = stays.invoke("psql", "--name", "dev", "--", "-XAtc", "SELECT 'a  b', current_user", "-c", look, **astray)
    assert heard.out[0] == "a  b|symphony_owner"
    shown = "\n".join(heard.out)
    assert f"PGPASSFILE={stays.place}/dev/pgpass" in shown
    assert "PGPASSWORD" not in shown
    assert not [secret for secret in passwords(stays.place / "dev") if secret in shown]
    asked = "SELECT current_user, current_setting('is_superuser')"
    assert stays.invoke("psql", "--name", "dev", "--superuser", "--", "-XAtc", asked).out == ["postgres|on"]
    assert stays.invoke("psql", "--name", "dev", "--", "-XAt", "-d", "postgres", "-c", "SELECT 1").out == ["1"]
    code, heard = stays.ended("psql", "--name", "dev", "--", "-XAtc", "SELECT 1/0")
    assert (code, heard.progress) == (1, ["ERROR:  division by zero"])


def test_psql_says_what_is_there_when_the_name_is_not(stays: Stays) -> None:
    """Exit 3, and the names to choose from."""
    with pytest.raises(ResidentError, match='there is no server "dev"') as caught:
        stays.do("psql", name="dev")
    assert caught.value.facts == (("expected", "a server that `invoke up` made"),)
    stays.do("up", name="other", no_migrate=True)
    with pytest.raises(ResidentError) as caught:
        stays.do("psql", name="dev")
    assert caught.value.facts == (("expected", "one of other"),)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("who", ["server", "watcher"])
def test_one_that_ended_is_known_to_be_gone_and_made_anew(stays: Stays, who: str) -> None:
    """Server or watcher killed with -9: nobody is led to it, `servers` says so, and `up` cleans, says so, goes on."""
    stays.do("up", name="dev", no_migrate=True)
    (watcher,) = stays.watchers()
    folder = stays.known("dev").holder["folders"]
    os.kill(watcher if who == "watcher" else server_of(stays), signal.SIGKILL)
    wait_until(lambda: "gone" in stays.do("servers").text)
    assert stays.do("servers").text.endswith("   it ended")
    with pytest.raises(ResidentError, match='the server "dev" is gone') as caught:
        stays.do("psql", name="dev")
    assert caught.value.facts == (("found", "it ended"),)
    heard = stays.do("up", name="dev", no_migrate=True)
    assert "server   dev is gone (it ended): what was known of it is removed" in heard.progress
    assert "made now" in heard.text
    assert not os.path.lexists(folder)
    stays.do("down", name="dev")
    assert stays.leftovers() == []


def test_down_of_one_that_ended_says_so(stays: Stays) -> None:
    """Its watcher was killed: its folder goes, too."""
    stays.do("up", name="dev", no_migrate=True)
    os.kill(stays.watchers()[0], signal.SIGKILL)
    wait_until(lambda: "gone" in stays.do("servers").text)
    heard = stays.do("down", name="dev")
    assert heard.out == ["down     dev was gone (it ended); what was known of it is removed"]
    assert stays.leftovers() == []


def server_of(stays: Stays) -> int:
    """The postmaster below the test's folder."""
    return int(next(stays.memory.glob("*/d/postmaster.pid")).read_text().split()[0])


def wait_until(condition: Callable[[], bool]) -> None:
    """Fail unless it becomes true within half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_outlives_its_maker_the_terminal_and_ctrl_c_elsewhere(stays: Stays) -> None:
    """The maker's whole session gets SIGHUP, SIGINT and SIGTERM while it still prints, and the server answers."""
    run = stays.begin("up", "--name", "dev", "--no-migrate")
    wait_until(lambda: bool(stays.watchers()) and "runs" in stays.do("servers").text)
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        try:
            os.killpg(run.pid, signum)
        except ProcessLookupError:
            break
    run.wait()
    time.sleep(0.7)
    assert "runs" in stays.do("servers").text
    assert alive(server_of(stays))
    assert stays.invoke("psql", "--name", "dev", "--", "-XAtc", "SELECT 1").out == ["1"]


def test_four_at_once_make_one_server(stays: Stays) -> None:
    """One makes it, three wait and are told that it is there; nothing else is left."""
    runs = [stays.begin("up", "--name", "dev", "--no-migrate") for _ in range(4)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, said
    assert sorted("made now" in out for out, _ in said) == [False, False, False, True]
    assert len(stays.watchers()) == 1
    stays.do("down", name="dev")
    assert stays.leftovers() == []


def test_up_and_down_at_once_take_turns(stays: Stays) -> None:
    """Whoever comes last has its way; no server that nobody knows of."""
    runs = [stays.begin(*words) for words in [("up", "--name", "dev", "--no-migrate"), ("down", "--name", "dev")] * 4]
    for run in runs:
        _, said = run.communicate(timeout=120)
        assert run.returncode == 0, said
    stays.do("down", name="dev")
    assert stays.leftovers() == []


def test_a_killed_up_leaves_no_server_that_nobody_knows_of(stays: Stays) -> None:
    """SIGKILL at random moments of `up`: what is there is known and can be ended, what is not leaves nothing."""
    stays.do("up", name="dev", no_migrate=True)  # from here on there is a cluster to copy
    stays.do("down", name="dev")
    began = time.monotonic()
    stays.invoke("up", "--name", "dev", "--no-migrate")
    takes_s = time.monotonic() - began
    stays.do("down", name="dev")
    pick = random.Random(7)  # noqa: S311 - the moments of a test
    survived = 0
    for _ in range(KILLS):
        run = stays.begin("up", "--name", "dev", "--no-migrate")
        time.sleep(pick.uniform(0.2, 1.1) * takes_s)
        run.kill()
        run.wait()
        time.sleep(0.1)
        there = bool(stays.watchers()) and "runs" in stays.do("servers").text
        survived += there
        if pick.random() < 0.5:
            assert ("there since" if there else "made now") in stays.do("up", name="dev", no_migrate=True).text
        stays.do("down", name="dev")
        wait_until(lambda: stays.leftovers() == [])
    print(f"{KILLS} kills of up, {survived} of them after it was kept; nothing left")  # noqa: T201 - shown when it fails


def test_a_kill_at_every_step_of_the_handing_over(stays: Stays) -> None:
    """Before and after each thing that it does: the server is known and there, or it is neither."""
    killed = there = 0
    for number in itertools.count():
        code = stays.step(number, signal.SIGKILL)
        wait_until(lambda: bool(stays.watchers()) == ("runs" in stays.do("servers").text))
        there += bool(stays.watchers())
        stays.do("down", name="dev")
        wait_until(lambda: stays.leftovers() == [])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
    assert killed > 10
    assert 0 < there < killed


def test_an_interruption_at_every_step_of_the_handing_over(stays: Stays) -> None:
    """The same with Ctrl-C: a server that is known, or none, and the last line says which.

    Of none nothing is left, but for an empty folder when the signal came before it was locked.
    """
    stopped = 0
    for number in itertools.count():
        code = stays.step(number, signal.SIGINT)
        said = stays.said[-1] if stays.said else ""
        if code == 0:
            stays.do("down", name="dev")
            break
        assert code == 130
        if stays.watchers():
            assert "the server dev stays (`invoke down --name dev` removes it)" in said
            assert "runs" in stays.do("servers").text
            stays.do("down", name="dev")
        else:
            assert "what was started is gone" in said
            assert stays.leftovers() in ([], [str(stays.place / "dev")])
            assert list(stays.place.glob("dev/*")) == []
            stays.do("down", name="dev")
        assert stays.leftovers() == [], number
        stopped += 1
    assert stopped > 10


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_while_it_is_told_says_that_it_stays(stays: Stays, signum: int) -> None:
    """The lines go into a pipe that nobody empties; the server is there, and so it is told."""
    run = stays.begin_into_a_full_pipe("up", "--name", "dev", "--no-migrate")
    wait_until(lambda: (stays.place / "dev" / "server.json").exists() and bool(stays.watchers()))
    time.sleep(1)
    assert run.poll() is None
    run.send_signal(signum)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 128 + signum
    left = f"interrupted by signal {signum:d}: the server dev stays (`invoke down --name dev` removes it)"
    assert said.splitlines()[-1] == f"{left}; evidence that was opened says ABORTED"
    assert stays.watchers()
    assert "runs" in stays.do("servers").text


def test_a_reader_that_has_gone_is_told_that_it_stays(stays: Stays) -> None:
    """`up | head -0`: what stays is said on the other stream."""
    run = stays.begin("up", "--name", "dev", "--no-migrate")
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    said = run.stderr.read()
    run.wait()
    assert said.endswith(
        "nobody reads the output any more: the server dev stays (`invoke down --name dev` removes it)\n"
    )
    assert stays.watchers()


def test_nobody_else_can_read_what_is_known(stays: Stays) -> None:
    """Folders 0700, files 0600, whatever the umask; a place that others may enter is refused, and not repaired."""
    before = os.umask(0)
    try:
        stays.do("up", name="dev", no_migrate=True)
    finally:
        os.umask(before)
    for path in (stays.place, stays.place / "dev"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (stays.place / "dev").iterdir()} == {"alive", "pgpass", "server.json"}
    assert {path.stat().st_mode & 0o777 for path in (stays.place / "dev").iterdir()} == {0o600}
    assert not re.search("|".join(passwords(stays.place / "dev")), (stays.place / "dev" / "server.json").read_text())
    stays.do("down", name="dev")
    stays.place.chmod(0o755)
    for verb in ("up", "down", "psql", "servers"):
        with pytest.raises(ResidentError, match="there is no place") as caught:
            stays.do(verb)
        assert caught.value.facts[1] == ("found", "its mode is 0755, which lets others in; expected 0700")
    stays.place.chmod(0o700)


def test_without_a_home_there_is_no_place(stays: Stays) -> None:
    """Neither variable set."""
    with pytest.raises(ResidentError) as caught:
        stays.do("up", given={"state_dir": None})
    assert str(caught.value).startswith("error[server that stays]: XDG_STATE_HOME: there is no place")
    assert caught.value.exit_code == 3


def test_servers_lists_each_and_whether_it_is_there(stays: Stays) -> None:
    """As lines and as JSON; none is a sentence."""
    assert stays.do("servers").out == ["no server stays"]
    stays.do("up", name="dev", no_migrate=True)
    known = stays.known("dev")
    about = f"embedded   PostgreSQL {known.version}   database symphony"
    assert stays.do("servers").out == [f"dev   runs       {about}   since {known.since}"]
    (listed,) = json.loads(stays.do("servers", json=True).out[0])
    assert listed["standing"] == "runs"
    assert listed["project"] == str(ROOT)
    assert listed["url"].startswith("postgresql://symphony_owner@/symphony?host=%2F")


@pytest.mark.parametrize("verb", ["servers", "down"])
def test_looking_and_ending_remove_what_killed_runs_left(stays: Stays, verb: str) -> None:
    """Whoever asks what there is need not start a server to be rid of it."""
    left = dead_folder(stays.memory)
    (left / "d").mkdir()
    heard = stays.do(verb)
    assert f"server   removed what a killed run had left: {left}" in heard.progress
    assert stays.leftovers() == []
