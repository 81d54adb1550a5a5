"""A run's folder: everything expected is written first, settled once, and closed or aborted; nothing old survives."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess  # noqa: TID251 - a run is killed as a process of its own
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from make_results import NOW, SOURCE, TOOLS, failing, inventory, mixes, passing, ticking

from scripts.errors.base import ExitCode, Interrupted
from scripts.errors.evidence import EvidenceError, SecretInEvidenceError
from scripts.evidence.read import read_run
from scripts.evidence.store import EvidenceRun, new_run_id, open_run
from scripts.result import Check, Outcome, Result
from scripts.server.model import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.evidence.expected import Expected

ROOT = Path(__file__).resolve().parents[3]
GATES = ("g-0", "g-1", "g-2")


def opened(place: Path, run_id: str | None = None, expected: Sequence[Expected] = inventory(*GATES)) -> EvidenceRun:
    """A run as `invoke pre-ci` opens it, with a clock that ticks."""
    return open_run(place, run_id, expected, source=SOURCE, tools=TOOLS, command="invoke pre-ci", clock=ticking())


def status_of(place: Path, gate: str) -> str:
    """What a gate's file says, read without our own code."""
    name = gate.replace("-", "_")
    return str(json.loads((place / "latest" / "phase0" / f"{name}.json").read_text())["status"])


def record_of(place: Path) -> Any:
    """run.json, read without our own code."""
    return json.loads((place / "latest" / "run.json").read_text())


def test_everything_expected_is_there_before_anything_runs(tmp_path: Path) -> None:
    """Every gate has its file, all say NOT_RUN, and `latest` points there (D-20)."""
    with opened(tmp_path) as run:
        assert {status_of(tmp_path, gate) for gate in GATES} == {"NOT_RUN"}
        assert os.readlink(tmp_path / "latest") == run.run_id  # noqa: PTH115 - the target as written
        record = record_of(tmp_path)
        assert record["state"] == "running"
        assert record["passed"] is None
        assert [gate["gate"] for gate in record["gates"]] == list(GATES)
        assert {gate["state"] for gate in record["gates"]} == {"expected"}
        assert read_run(tmp_path / "latest").state == "running"


def test_a_gate_that_is_being_run_shows(tmp_path: Path) -> None:
    """run.json says started, with the time; the file still says NOT_RUN."""
    with opened(tmp_path) as run:
        run.start("g-1")
        line = record_of(tmp_path)["gates"][1]
        assert (line["state"], line["status"]) == ("started", "NOT_RUN")
        assert line["started_at"].startswith("2026-03-01T10:22:05.")
        assert status_of(tmp_path, "g-1") == "NOT_RUN"


def test_a_good_run(tmp_path: Path) -> None:
    """All settled and closed: counts from the files, passed, readable, modes for everybody to read."""
    old = os.umask(0o022)
    try:
        with opened(tmp_path) as run:
            for gate in GATES:
                run.start(gate)
                assert run.settle(passing(gate)) == passing(gate)
            counts = run.close()
    finally:
        os.umask(old)
    assert counts == {"PASS": 3, "FAIL": 0, "ERROR": 0, "SKIPPED": 0, "NOT_RUN": 0, "ABORTED": 0, "WAIVED": 0}
    record = read_run(tmp_path / "latest")
    assert record.passed
    assert (record.state, record.counts, record.commit, record.dirty) == ("finished", counts, SOURCE.commit, False)
    assert record_of(tmp_path)["passed"] is True
    folder = tmp_path / run.run_id
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "phase0",
        "phase0/g_0.json",
        "phase0/g_1.json",
        "phase0/g_2.json",
        "run.json",
    ]
    assert stat.S_IMODE((folder / "run.json").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "phase0").stat().st_mode) == 0o755


def test_umask_is_respected(tmp_path: Path) -> None:
    """Who keeps evidence private gets it private."""
    old = os.umask(0o077)
    try:
        run = opened(tmp_path)
        run.release()
    finally:
        os.umask(old)
    assert stat.S_IMODE((run.path / "run.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700


def test_a_failure_turns_the_run_red(tmp_path: Path) -> None:
    """One failed gate, and the run has not passed (D-22)."""
    with opened(tmp_path) as run:
        for gate in GATES:
            run.settle(failing(gate) if gate == "g-1" else passing(gate))
        run.close()
    assert not read_run(tmp_path / "latest").passed
    assert status_of(tmp_path, "g-1") == "FAIL"


def test_a_gate_left_out_turns_the_run_red(tmp_path: Path) -> None:
    """Closed with a gate never settled: it stays NOT_RUN and the run has not passed (D-20)."""
    with opened(tmp_path) as run:
        run.settle(passing("g-0"))
        run.settle(passing("g-1"))
        assert run.close()["NOT_RUN"] == 1
    assert not read_run(tmp_path / "latest").passed


@settings(max_examples=40)
@given(mixes())
def test_any_mix_adds_up(tmp_path_factory: pytest.TempPathFactory, mix: list[Result]) -> None:
    """Whatever became of the gates: counts add up, files say the same, and only all-passed is a pass."""
    place = tmp_path_factory.mktemp("mix")
    with opened(place, expected=inventory(*(result.gate for result in mix))) as run:
        for result in mix:
            run.settle(result)
        counts = run.close()
    record = read_run(place / "latest")
    assert sum(counts.values()) == len(mix) == sum(record.counts.values())
    assert record.passed is all(result.outcome is Outcome.PASS for result in mix)
    assert [gate.result.outcome for gate in record.gates] == [result.outcome for result in mix]


def test_phases_have_their_folders(tmp_path: Path) -> None:
    """A gate of another phase goes to that phase's folder."""
    with opened(tmp_path, expected=(*inventory("a"), *inventory("b", folder="phase1"))) as run:
        run.settle(passing("a"))
        run.settle(passing("b"))
        run.close()
    assert (tmp_path / "latest" / "phase1" / "b.json").is_file()


def test_what_is_learned_goes_into_later_files(tmp_path: Path) -> None:
    """Server, migrations and catalog appear in what is settled after they are known."""
    server = Server(dsn="password=x", admin_dsn=None, origin="embedded", reason="r", version="18.6", facts={"a": "b"})
    with opened(tmp_path) as run:
        run.settle(passing("g-0"))
        run.learn(server=server, migrations_digest="d", catalog_before="e")
        run.learn(catalog_after="f")
        run.settle(passing("g-1"))
    first, second = (json.loads((run.path / f"phase0/g_{n}.json").read_text()) for n in (0, 1))
    assert first["volatile"]["server"] is None
    assert second["volatile"]["server"]["version"] == "18.6"
    assert (second["migrations_digest"], second["catalog"]) == ("d", {"before": "e", "after": "f"})
    assert second["schema_fingerprint"] == "f"


# --- what must not happen -------------------------------------------------------------------------------------------


def test_a_gate_is_settled_once(tmp_path: Path) -> None:
    """A second verdict on one gate, an unknown gate, or a verdict after the end is a fault of ours."""
    with opened(tmp_path) as run:
        run.settle(failing("g-0"))
        with pytest.raises(RuntimeError, match=r"^gate g-0 was settled before$"):
            run.settle(passing("g-0"))
        with pytest.raises(RuntimeError, match=r"^gate nope is not in the inventory$"):
            run.start("nope")
        run.close()
        with pytest.raises(RuntimeError, match=f"^run {run.run_id} is over: finished$"):
            run.settle(passing("g-1"))
        with pytest.raises(RuntimeError, match=r"is over: finished$"):
            run.close()
        run.abort("too late")
    assert read_run(tmp_path / "latest").state == "finished"


def test_a_run_id_is_used_once(tmp_path: Path) -> None:
    """A folder of evidence belongs to one run for ever, whoever chose the name."""
    with opened(tmp_path, "mine") as run:
        run.close()
    before = (tmp_path / "mine" / "run.json").read_bytes()
    with pytest.raises(EvidenceError, match="this run already has its evidence") as caught:
        opened(tmp_path, "mine")
    assert str(caught.value) == (
        f"error[evidence]: {tmp_path}/mine: this run already has its evidence\n"
        "  expected  a run id that was never used\n"
        "  found     a folder of that name\n"
        "  help: unset PRE_CI_RUN_ID, or give it a value that was never used"
    )
    assert caught.value.exit_code is ExitCode.FAILED
    assert (tmp_path / "mine" / "run.json").read_bytes() == before


@pytest.mark.parametrize("run_id", ["latest", "", "../x", ".hidden", "a/b", "a b", "x" * 81, "a\n"])
def test_a_name_that_cannot_be_a_run(tmp_path: Path, run_id: str) -> None:
    """Nothing leads out of the evidence folder or stands in the way of `latest`."""
    with pytest.raises(EvidenceError) as caught:
        opened(tmp_path, run_id)
    assert str(caught.value) == (
        "error[evidence]: not a run id\n"
        "  expected  letters, digits, dot, dash, underscore; at most 80; not `latest`\n"
        f"  found     {run_id!r}\n"
        "  help: unset PRE_CI_RUN_ID, or give it another value"
    )
    assert list(tmp_path.iterdir()) == []


def test_run_ids_sort_and_never_collide() -> None:
    """Two runs of the same microsecond have different folders (D-48)."""
    ids = {new_run_id(NOW) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(name.startswith("2026-03-01T102205.123456Z-") for name in ids)
    assert new_run_id(NOW) < new_run_id(NOW.replace(second=6))


def test_runs_side_by_side(tmp_path: Path) -> None:
    """Eight runs at once in one folder: each whole, none disturbs another (D-48)."""
    failures: list[BaseException] = []

    def one() -> None:
        try:
            with opened(tmp_path) as run:
                for gate in GATES:
                    run.start(gate)
                    run.settle(passing(gate))
                run.close()
        except BaseException as exc:  # noqa: BLE001 - carried to the test's own thread
            failures.append(exc)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    runs = [path for path in tmp_path.iterdir() if not path.is_symlink()]
    assert len(runs) == 8
    assert all(read_run(path).passed for path in (*runs, tmp_path / "latest"))


def test_gates_settled_from_several_threads(tmp_path: Path) -> None:
    """Verifiers may run side by side in one run."""
    gates = [f"g-{number}" for number in range(24)]
    with opened(tmp_path, expected=inventory(*gates)) as run:

        def some(first: int) -> None:
            for gate in gates[first::4]:
                run.start(gate)
                run.settle(passing(gate))

        threads = [threading.Thread(target=some, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert run.close()["PASS"] == 24
    assert read_run(tmp_path / "latest").passed


def test_latest_leaves_an_older_pass_at_once(tmp_path: Path) -> None:
    """As soon as a run is open, `latest` no longer shows the green one before it (D-20, D-22)."""
    with opened(tmp_path) as run:
        for gate in GATES:
            run.settle(passing(gate))
        run.close()
    assert read_run(tmp_path / "latest").passed
    second = opened(tmp_path)
    second.release()
    assert not read_run(tmp_path / "latest").passed
    assert read_run(tmp_path / run.run_id).passed


@pytest.mark.parametrize(("make", "found"), [(Path.mkdir, "a folder"), (Path.touch, "a file")])
def test_a_latest_that_somebody_made(tmp_path: Path, make: Any, found: str) -> None:
    """It is theirs: an error, nothing deleted, nothing left behind."""
    make(tmp_path / "latest")
    with pytest.raises(EvidenceError) as caught:
        opened(tmp_path)
    assert str(caught.value) == (
        f"error[evidence]: {tmp_path}/latest: `latest` is not ours to replace\n"
        "  expected  a symbolic link, or nothing\n"
        f"  found     {found}\n"
        "  help: move it away; every run points `latest` at its own folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_dangling_latest_is_replaced(tmp_path: Path) -> None:
    """Somebody removed the folder of an older run: no reason to stop."""
    (tmp_path / "latest").symlink_to("gone")
    with opened(tmp_path) as run:
        run.close()
    assert read_run(tmp_path / "latest").run_id == run.run_id


def test_what_cannot_be_stored_turns_its_gate_red(tmp_path: Path) -> None:
    """A value without an exact JSON form costs its gate, not the run."""
    bad: list[Any] = [2**53, 1.5, {"a": object()}, "\ud800", {1: 2}]
    gates = [f"g-{number}" for number in range(len(bad))]
    with opened(tmp_path, expected=inventory(*gates)) as run:
        for gate, value in zip(gates, bad, strict=True):
            stored = run.settle(passing(gate, checks=(Check("x", value, value),)))
            assert stored.outcome is Outcome.ERROR
            assert stored.checks == ()
            assert stored.error.startswith("the gate's evidence is withheld: it cannot be stored: ")
        stolen = opened(tmp_path / "other")
        stored = stolen.settle(passing("g-0", details={"status": "x"}))
        stolen.release()
        assert stored.error == ("the gate's evidence is withheld: it cannot be stored: details may not be named status")
        assert run.close()["ERROR"] == len(bad)


def test_what_would_read_back_otherwise_is_not_stored(tmp_path: Path) -> None:
    """A tuple and a list differ here and are the same in JSON: the file must not say more than the run saw."""
    check: Any = Check("x", (1,), [1])  # type: ignore[arg-type]
    with opened(tmp_path) as run:
        assert failing("g-0", checks=(check,)).outcome is Outcome.FAIL
        assert run.settle(failing("g-0", checks=(check,))).outcome is Outcome.ERROR
    assert status_of(tmp_path, "g-0") == "ERROR"


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leak", ['pass"wörd', 'x pass\\"wörd', "pass%22w%C3%B6rd", "cGFzcyJ3w7ZyZA==", "706173732277c3b67264"]
)
def test_no_file_holds_a_password(tmp_path: Path, leak: str) -> None:
    """A password in evidence, in whatever spelling, is not stored: the gate turns red instead and does not show it."""
    with opened(tmp_path) as run:
        run.guard(["", 'pass"wörd'])
        stored = run.settle(passing("g-0", checks=(Check("x", leak, leak),)))
        assert stored.outcome is Outcome.ERROR
        assert stored.error == (
            "the gate's evidence is withheld: "
            "a password of this run would have been written into evidence, so the file was not written"
        )
        run.close()
    assert all(json.dumps(leak)[1:-1].encode() not in path.read_bytes() for path in run.path.rglob("*.json"))
    assert status_of(tmp_path, "g-0") == "ERROR"


def test_a_password_in_the_runs_own_facts_stops_it(tmp_path: Path) -> None:
    """Where even the red file would hold it, nothing is written and the error says where."""
    server = Server(
        dsn="", admin_dsn=None, origin="embedded", reason="r", version="18.6", facts={"oops": "hunter2hunter2"}
    )
    with opened(tmp_path, "mine") as run:
        run.guard(["hunter2hunter2"])
        run.learn(server=server)
        with pytest.raises(SecretInEvidenceError) as caught:
            run.settle(passing("g-0"))
        run.facts = replace(run.facts, server=None)
    assert str(caught.value) == (
        "error[evidence]: mine/phase0/g_0.json: a password of this run would have been written into evidence, "
        "so the file was not written\n"
        "  help: report this as a bug and name the gate; change the password if it is not a throw-away one"
    )
    assert all(b"hunter2" not in path.read_bytes() for path in run.path.rglob("*.json"))


def test_a_password_in_the_reason_of_an_abort(tmp_path: Path) -> None:
    """Neither a gate's file nor run.json takes it over."""
    run = opened(tmp_path)
    run.guard(["hunter2hunter2"])
    with pytest.raises(SecretInEvidenceError):
        run.abort("cannot log in as hunter2hunter2")
    run.release()
    assert all(b"hunter2" not in path.read_bytes() for path in run.path.rglob("*.json"))
    assert read_run(run.path).state == "running"


# --- ends that are not planned --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exc", "reason"),
    [
        (Interrupted(signal.SIGTERM), "interrupted by signal 15"),
        (KeyboardInterrupt(), "interrupted"),
        (ValueError("row data"), "the run broke: ValueError"),
    ],
)
def test_an_exception_aborts_the_run(tmp_path: Path, exc: BaseException, reason: str) -> None:
    """What was settled stays, everything else says ABORTED and why; the exception's own text is not stored."""
    with pytest.raises(type(exc)), opened(tmp_path) as run:  # noqa: PT012 - the block is the test
        run.settle(passing("g-0"))
        run.start("g-1")
        raise exc
    record = read_run(tmp_path / "latest")
    assert (record.state, record.reason, record.passed) == ("aborted", reason, False)
    assert [gate.result.outcome for gate in record.gates] == [Outcome.PASS, Outcome.ABORTED, Outcome.ABORTED]
    assert record.gates[1].result.error == reason
    assert record.gates[1].result.started_at is not None
    assert record.gates[2].result.started_at is None
    assert all(b"row data" not in path.read_bytes() for path in run.path.rglob("*.json"))


def test_a_run_that_is_just_left_is_aborted(tmp_path: Path) -> None:
    """Forgetting `close` never reads as a pass."""
    with opened(tmp_path) as run:
        for gate in GATES:
            run.settle(passing(gate))
    record = read_run(tmp_path / "latest")
    assert (record.state, record.reason, record.passed) == ("aborted", "the run ended without being closed", False)
    assert run.head.state == "aborted"


def test_an_interrupt_at_any_write_leaves_a_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal at every single system call of a settle: the abort works, the folder is intact, and it never passed."""
    real = {name: getattr(os, name) for name in ("rename", "fsync", "open", "fdopen")}
    for name, call in real.items():
        for number in range(8):
            place = tmp_path / f"{name}-{number}"
            count = iter(range(1000))

            def trip(*args: Any, number: int = number, count: Any = count, call: Any = call, **kwargs: Any) -> Any:
                if next(count) == number:
                    raise Interrupted(signal.SIGINT)
                return call(*args, **kwargs)

            run = opened(place)
            with pytest.raises(Interrupted), run:  # noqa: PT012 - the block is the test
                for gate in GATES:
                    with monkeypatch.context() as patch:
                        patch.setattr(os, name, trip)
                        run.settle(passing(gate))
                raise Interrupted(signal.SIGINT)
            record = read_run(place / "latest")
            assert (record.state, record.passed) == ("aborted", False)
            assert record.counts["ABORTED"] + record.counts["PASS"] == 3


def test_an_interrupt_while_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All gates passed, the signal comes with the last write: the run is aborted, not passed."""
    run = opened(tmp_path)
    real = os.rename

    def trip(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(os, "rename", real)
        real(*args, **kwargs)
        raise Interrupted(signal.SIGTERM)

    with pytest.raises(Interrupted), run:  # noqa: PT012 - the block is the test
        for gate in GATES:
            run.settle(passing(gate))
        monkeypatch.setattr(os, "rename", trip)
        run.close()
    record = read_run(run.path)
    assert (record.state, record.reason, record.passed) == ("aborted", "interrupted by signal 15", False)


CHILD = """
import os, signal, sys, time
from pathlib import Path
from make_results import SOURCE, TOOLS, inventory, passing
from scripts.evidence.store import open_run
run = open_run(Path(sys.argv[1]), None, inventory("g-0", "g-1", "g-2"), source=SOURCE, tools=TOOLS, command="x")
with run:
    run.settle(passing("g-0"))
    run.start("g-1")
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    time.sleep(60)
"""


def child(place: Path) -> subprocess.Popen[str]:
    """A process in the middle of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_minus_nine_leaves_no_pass(tmp_path: Path) -> None:
    """A run killed outright: `latest` shows it, unfinished, with the gate it was at; no older pass (D-20)."""
    with opened(tmp_path) as green:
        for gate in GATES:
            green.settle(passing(gate))
        green.close()
    process = child(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    record = read_run(tmp_path / "latest")
    assert record.run_id != green.run_id
    assert (record.state, record.passed) == ("running", False)
    assert [gate.state for gate in record.gates] == ["settled", "started", "expected"]
    assert [gate.result.outcome for gate in record.gates] == [Outcome.PASS, Outcome.NOT_RUN, Outcome.NOT_RUN]


def test_control_c_says_aborted(tmp_path: Path) -> None:
    """SIGINT in the middle: the evidence says ABORTED."""
    process = child(tmp_path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    record = read_run(tmp_path / "latest")
    assert (record.state, record.reason) == ("aborted", "interrupted")
    assert [gate.result.outcome for gate in record.gates] == [Outcome.PASS, Outcome.ABORTED, Outcome.ABORTED]


def test_killed_between_a_file_and_its_note(tmp_path: Path) -> None:
    """Killed after a gate's file was written, before run.json knew: the gate is not counted, the rest is whole."""
    run = opened(tmp_path)
    before = (run.path / "run.json").read_bytes()
    run.settle(passing("g-0"))
    (run.path / "run.json").write_bytes(before)
    (run.path / "phase0" / ".g_1.json.abc.tmp").write_bytes(b"half")
    run.release()
    record = read_run(tmp_path / "latest")
    assert (record.state, record.passed) == ("running", False)
    assert record.gates[0].result.outcome is Outcome.NOT_RUN
    assert record.gates[0].result.not_run_because == "the run died before it noted this gate"
