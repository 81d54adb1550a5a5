"""KEEP_DB=1 on a server of the run's own: it stays however the run ends, and the printed lines are enough to use it."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from make_stays import exported, passwords

from scripts.errors.base import Interrupted
from scripts.errors.binaries import BinariesError
from scripts.errors.migration import MigrationError
from scripts.errors.residents import ResidentError
from scripts.run.rehearsal import open_rehearsal
from scripts.server.open import open_server
from scripts.server.states import names_in
from scripts.server.staying_on import begin_anew, told_of_kept

if TYPE_CHECKING:
    from pathlib import Path

    from make_stays import Stays


def test_verify_works_on_the_kept_server_with_the_lines_as_printed(stays: Stays) -> None:
    """`invoke migrate` keeps its server; whoever pastes the line and runs `verify` proves that very database."""
    heard = stays.invoke("migrate", KEEP_DB="1")
    connect, remove = (line for line in heard.progress if line.startswith("server   ") and "run-" in line)
    found = re.fullmatch(
        r"server   kept: invoke psql --name (run-[a-z0-9-]+)   or   "
        r"export PGPASSFILE=(\S+) DATABASE_URL='(postgresql://symphony_owner@/symphony\?host=%2F\S+&port=5432)'",
        connect,
    )
    assert found is not None, connect
    name = found[1]
    assert remove == f"server   invoke down --name {name} removes it"
    assert names_in(stays.place) == (name,)
    variables = exported(connect)
    assert variables == {"PGPASSFILE": found[2], "DATABASE_URL": found[3]}
    printed = "\n".join(heard.out + heard.progress)
    assert not [secret for secret in passwords(stays.place / name) if secret in printed]

    verified = stays.invoke("verify", FRESH_DB="0", SERVER="auto", **variables)
    assert "FAIL" not in verified.text
    assert verified.out[-1].startswith("PASSED")

    assert stays.invoke(*remove.split()[2:5]).out == [f"down     {name}: server and data are gone"]
    assert stays.leftovers() == []


def test_a_whole_run_keeps_its_server_and_says_nothing_secret_in_its_evidence(stays: Stays) -> None:
    """`verify` on a fresh database: the name is the run's, and no file of the evidence holds a password."""
    run_id = "2026-11-30T081200.123456Z-ab12cd34"
    heard = stays.invoke("verify", "--only", "baseline-drift", KEEP_DB="1", PRE_CI_RUN_ID=run_id)
    (name,) = names_in(stays.place)
    assert name == "run-2026-11-30t081200-123456z-ab12cd34"
    assert any(line.startswith(f"server   kept: invoke psql --name {name}") for line in heard.progress)
    evidence = [path for path in (stays.base / "evidence").rglob("*") if path.is_file()]
    assert evidence
    text = b"".join(path.read_bytes() for path in evidence).decode()
    assert not [secret for secret in passwords(stays.place / name) if secret in text]


def test_a_failed_run_keeps_its_server(stays: Stays, tmp_path: Path) -> None:
    """That is what KEEP_DB=1 is for; the error is the run's own, and what was applied can be looked at."""
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE public.good (id int);\n")
    (tmp_path / "0002_bad.sql").write_text("SELECT 1/0;\n")
    with pytest.raises(MigrationError, match=r"0002_bad\.sql"):
        stays.do("migrate", given={"migrations_dir": tmp_path, "keep_db": True})
    (name,) = names_in(stays.place)
    asked = "SELECT relname FROM pg_catalog.pg_class WHERE relname = 'good'"
    assert stays.invoke("psql", "--name", name, "--", "-XAtc", asked).out == ["good"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_server_and_does_not_say_that_it_is_gone(stays: Stays, signum: int) -> None:
    """A statement that hangs is a reason to look; who asked for it to be kept gets it, and the shell's exit code."""
    folder = stays.base / "migrations"
    folder.mkdir()
    (folder / "0001_slow.sql").write_text("SELECT pg_sleep(60);\n")
    run = stays.begin("migrate", KEEP_DB="1", MIGRATIONS_DIR=str(folder))
    deadline = time.monotonic() + 30
    while not stays.watchers():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    run.send_signal(signum)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 128 + signum, said
    assert "server   kept: invoke psql --name run-" in said
    (name,) = names_in(stays.place)
    left = f"interrupted by signal {signum:d}: the server {name} stays (`invoke down --name {name}` removes it)"
    assert said.splitlines()[-1] == f"{left}; evidence that was opened says ABORTED"
    assert stays.invoke("psql", "--name", name, "--", "-XAtc", "SELECT 1").out == ["1"]


def test_a_run_killed_with_9_keeps_nothing(stays: Stays) -> None:
    """Nobody is left to hand it over: it ends as without KEEP_DB=1."""
    folder = stays.base / "migrations"
    folder.mkdir()
    (folder / "0001_slow.sql").write_text("SELECT pg_sleep(60);\n")
    run = stays.begin("migrate", KEEP_DB="1", MIGRATIONS_DIR=str(folder))
    while not stays.watchers():
        time.sleep(0.02)
    run.kill()
    run.wait()
    deadline = time.monotonic() + 2
    while stays.leftovers():
        assert time.monotonic() < deadline, stays.leftovers()
        time.sleep(0.02)


def test_a_run_that_cannot_keep_its_server_does_not_begin(stays: Stays) -> None:
    """The place is looked at first: nothing is started."""
    (stays.base / "state" / "parity-runner").write_text("")
    lines: list[str] = []
    with (
        pytest.raises(ResidentError, match="there is no place"),
        open_server(stays.settings(keep_db=True), run_id="r", report=lines.append),
    ):
        pytest.fail("it was opened")
    assert lines == []
    assert list(stays.memory.iterdir()) == []


def test_a_server_that_did_not_come_up_is_not_kept(stays: Stays, tmp_path: Path) -> None:
    """Nor is anything known of it."""
    with (
        pytest.raises(BinariesError),
        open_server(stays.settings(keep_db=True, pg_bindir=tmp_path), run_id="r", report=print),
    ):
        pytest.fail("it was opened")
    assert stays.leftovers() == []


def test_what_went_wrong_first_is_what_is_raised(stays: Stays) -> None:
    """The keeping fails at the end of a run that failed: it is told, and the run's own error stays its error."""
    lines: list[str] = []

    def fail() -> None:
        with open_server(stays.settings(keep_db=True), run_id="r", report=lines.append):
            (stays.place / "run-r").write_text("in the way")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lines[-1].startswith(f"error[server that stays]: {stays.place}/run-r: there is no place")
    (stays.place / "run-r").unlink()
    assert stays.leftovers() == []


def test_an_interruption_says_that_it_was_kept(stays: Stays) -> None:
    """The edge needs to know."""
    begin_anew()
    with (
        pytest.raises(Interrupted),
        open_server(stays.settings(keep_db=True), run_id="r", report=print),
    ):
        raise Interrupted(signal.SIGINT)
    assert told_of_kept() == "the server run-r stays (`invoke down --name run-r` removes it)"
    assert names_in(stays.place) == ("run-r",)


def test_the_copy_of_a_plan_is_kept_and_that_of_drift_never(stays: Stays) -> None:
    """`plan --trace` shows a copy that one may want to look at; nobody asked for the one that drift compares with."""
    heard = stays.do("plan", trace=True, given={"keep_db": True})
    (name,) = names_in(stays.place)
    assert f"copy     server   invoke down --name {name} removes it" in heard.progress
    stays.do("down", name=name)
    settings = stays.settings(keep_db=True)
    with open_rehearsal(settings, (), ledger=False, superuser=False, report=print):
        pass
    assert stays.leftovers() == []


def test_it_is_listed_with_the_project_it_came_from(stays: Stays) -> None:
    """As any other; a dead one of an earlier run is forgotten when the next is kept."""
    with open_server(stays.settings(keep_db=True), run_id="one", report=print):
        pass
    (listed,) = json.loads(stays.do("servers", json=True).out[0])
    assert (listed["name"], listed["standing"]) == ("run-one", "runs")
    (stays.place / "run-two").mkdir(mode=0o700)  # of a run that was killed in the middle of it
    with open_server(stays.settings(keep_db=True), run_id="three", report=print):
        pass
    assert names_in(stays.place) == ("run-one", "run-three")
    stays.do("down", every=True)
    assert stays.leftovers() == []
