"""Evidence read back: not one byte changed, nothing missing, nothing added, or it is refused with every reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results import SOURCE, TOOLS, failing, inventory, passing, ticking

from scripts.digest import digest_of
from scripts.errors.base import ExitCode
from scripts.errors.evidence import EvidenceError
from scripts.evidence.read import read_run
from scripts.evidence.statement import render_document
from scripts.evidence.store import open_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A closed, passed run of three gates."""
    return closed_run(tmp_path)


def closed_run(place: Path, run_id: str | None = None) -> Path:
    """Make a closed, passed run."""
    gates = ("g-0", "g-1", "g-2")
    with open_run(
        place, run_id, inventory(*gates), source=SOURCE, tools=TOOLS, command="invoke pre-ci", clock=ticking()
    ) as run:
        for gate in gates:
            run.settle(passing(gate))
        run.close()
    return run.path


@given(st.data())
def test_any_flipped_byte_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One changed byte in any file of a run, run.json included, and the run is refused."""
    run = closed_run(tmp_path_factory.mktemp("flip"))
    file = data.draw(st.sampled_from(sorted(run.rglob("*.json"))))
    stored = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(stored)
    with pytest.raises(EvidenceError, match="the evidence is not what the run left behind"):
        read_run(run)


def problems_of(run: Path) -> list[str]:
    """What is found wrong with a run."""
    with pytest.raises(EvidenceError) as caught:
        read_run(run)
    assert caught.value.exit_code is ExitCode.FAILED
    return [value for _, value in caught.value.facts]


DAMAGES: dict[str, tuple[Any, list[str]]] = {
    "a file is missing": (lambda run: (run / "phase0/g_1.json").unlink(), ["phase0/g_1.json: the folder has gone"]),
    "a file was added": (
        lambda run: (run / "phase0/extra.json").write_text("{}"),
        ["phase0/extra.json: it does not belong to this run"],
    ),
    "a folder was added": (lambda run: (run / "phase9").mkdir(), ["phase9: it does not belong to this run"]),
    "a temporary file in a closed run": (
        lambda run: (run / "phase0/.x.tmp").write_text(""),
        ["phase0/.x.tmp: it does not belong to this run"],
    ),
    "two files changed places": (
        lambda run: _swap(run / "phase0/g_0.json", run / "phase0/g_1.json"),
        [
            "phase0/g_0.json: it belongs to another run or gate",
            "phase0/g_1.json: it belongs to another run or gate",
        ],
    ),
    "a file of another run": (
        lambda run: _swap(run / "phase0/g_0.json", closed_run(run.parent) / "phase0/g_0.json"),
        ["phase0/g_0.json: it belongs to another run or gate"],
    ),
    "an older file of this run": (
        lambda run: _resealed(run / "phase0/g_0.json", "title", "other"),
        ["phase0/g_0.json: it is not the file that run.json names"],
    ),
    "a link in place of a file": (
        lambda run: _relink(run / "phase0/g_0.json"),
        ["phase0/g_0.json: a symbolic link stands where none may be"],
    ),
    "run.json is empty": (lambda run: (run / "run.json").write_text(""), ["run.json: it is not JSON"]),
    "run.json of another format": (
        lambda run: _resealed(run / "run.json", "format", "x", digest="record_sha256"),
        ["run.json: its format is not parity-run/1"],
    ),
    "run.json names another status": (
        lambda run: _resealed(
            run / "run.json",
            "gates",
            [gate | {"status": "FAIL"} for gate in json.loads((run / "run.json").read_text())["gates"][:1]]
            + json.loads((run / "run.json").read_text())["gates"][1:],
            digest="record_sha256",
        ),
        ["phase0/g_0.json: its status is not the one that run.json names"],
    ),
    "run.json counts otherwise": (
        lambda run: _resealed(run / "run.json", "passed", False, digest="record_sha256"),
        ["run.json: its counts are not what the files add up to"],
    ),
}


def _swap(one: Path, two: Path) -> None:
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _relink(path: Path) -> None:
    target = path.parent.parent.parent / "target.json"
    path.rename(target)
    path.symlink_to(target)


def _resealed(path: Path, key: str, value: Any, *, digest: str = "document_sha256") -> None:
    """Change a field and make all digests inside the file fit again."""
    document = json.loads(path.read_text()) | {key: value}
    if "core_sha256" in document:
        from scripts.evidence.statement import core_of

        document["core_sha256"] = digest_of(core_of(document))
    document[digest] = digest_of({name: item for name, item in document.items() if name != digest})
    path.write_bytes(render_document(document))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(run: Path, damage: str) -> None:
    """Each kind of damage is refused, and the file is named."""
    inflict, problems = DAMAGES[damage]
    inflict(run)
    assert problems_of(run) == problems


def test_every_problem_is_told_at_once(run: Path) -> None:
    """Two damaged files: both are named, and the number is right."""
    (run / "phase0/g_0.json").write_text("{}")
    (run / "phase0/g_1.json").unlink()
    with pytest.raises(EvidenceError) as caught:
        read_run(run)
    assert str(caught.value) == (
        f"error[evidence]: {run}: the evidence is not what the run left behind, in 2 ways\n"
        "  found  phase0/g_0.json: its bytes are not in the form they were written in\n"
        "  found  phase0/g_1.json: the folder has gone\n"
        "  help: trust none of it; run again, and keep the damaged folder if you need to know who changed it"
    )


def test_a_forged_pass_is_refused(tmp_path: Path) -> None:
    """A FAIL rewritten as a pass, with every digest made to fit, does not survive the computing anew (D-22)."""
    with open_run(tmp_path, None, inventory("g-0"), source=SOURCE, tools=TOOLS, command="x", clock=ticking()) as run:
        run.settle(failing("g-0"))
        run.close()
    _resealed(run.path / "phase0/g_0.json", "status", "PASS")
    assert problems_of(run.path) == ["phase0/g_0.json: its status is PASS, but its checks say FAIL"]


@pytest.mark.parametrize("make", [str, Path.mkdir, Path.touch])
def test_no_run_there(tmp_path: Path, make: Any) -> None:
    """Nothing, an empty folder, or a file: no evidence of a run."""
    place = tmp_path / "run"
    make(place)
    with pytest.raises(EvidenceError) as caught:
        read_run(place)
    assert str(caught.value) == (
        f"error[evidence]: {place}: no evidence of a run here\n"
        "  expected  a folder with run.json\n"
        "  found     none\n"
        "  help: name a folder below evidence/, or `evidence/latest`"
    )
