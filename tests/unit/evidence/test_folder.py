"""Writing whole or not at all: every refusal of the operating system is told, and no link is followed."""

from __future__ import annotations

import errno
import os
import subprocess  # noqa: TID251 - a disk is filled by a process of its own
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results import SOURCE, TOOLS, inventory, passing, ticking

from scripts.errors.base import ExitCode
from scripts.errors.evidence import EvidenceError
from scripts.evidence.folder import Folder
from scripts.evidence.read import read_run
from scripts.evidence.store import EvidenceRun, open_run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]


def opened(place: Path) -> EvidenceRun:
    """A run of three gates."""
    return open_run(
        place, None, inventory("g-0", "g-1", "g-2"), source=SOURCE, tools=TOOLS, command="x", clock=ticking()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An open folder."""
    found = Folder.open(tmp_path)
    yield found
    found.close()
    found.close()


@given(st.binary(max_size=300), st.booleans())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes, durable: bool) -> None:  # noqa: FBT001 - drawn
    """Any bytes come back, an older file is replaced, and nothing else stays behind."""
    place = tmp_path_factory.mktemp("f")
    folder = Folder.open(place)
    try:
        folder.write("a", b"old", durable=False)
        folder.write("a", data, durable=durable)
        assert folder.read("a") == data
        assert folder.names() == ["a"]
    finally:
        folder.close()


@pytest.mark.parametrize(
    ("number", "what", "help_"),
    [
        (errno.ENOSPC, "the disk is full", "free some space, or point EVIDENCE_ROOT at another disk"),
        (errno.EDQUOT, "the disk quota is used up", "free some space, or point EVIDENCE_ROOT at another disk"),
        (errno.EFBIG, "the file would be larger than this process may write", "raise the limit (`ulimit -f`)"),
        (errno.EROFS, "the file system is read-only", "point EVIDENCE_ROOT at a folder that can be written"),
        (
            errno.EACCES,
            "permission denied",
            "make the folder writable for this user, or point EVIDENCE_ROOT elsewhere",
        ),
        (errno.EPERM, "permission denied", "make the folder writable for this user, or point EVIDENCE_ROOT elsewhere"),
        (
            errno.ENOTDIR,
            "a file stands where a folder is needed",
            "move the file away, or point EVIDENCE_ROOT elsewhere",
        ),
        (
            errno.ELOOP,
            "a symbolic link stands where none may be",
            "remove the link; evidence is never written through one",
        ),
        (
            errno.ENOENT,
            "the folder has gone",
            "leave the evidence folder alone while a run writes to it, then run again",
        ),
        (
            errno.EIO,
            "the disk reports an input/output error",
            "check the disk, or point EVIDENCE_ROOT at another one",
        ),
        (errno.EBUSY, "it cannot be written", "see the cause above, or point EVIDENCE_ROOT elsewhere"),
    ],
)
@pytest.mark.parametrize("call", ["open", "fsync", "rename"])
def test_every_refusal_is_told(  # noqa: PLR0917 - fixtures and one case
    folder: Folder, monkeypatch: pytest.MonkeyPatch, call: str, number: int, what: str, help_: str
) -> None:
    """Whatever step is refused: one error with cause and help, exit 1, the older file untouched, nothing half left."""
    folder.write("a", b"old", durable=False)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(EvidenceError) as caught:
            folder.write("a", b"new", durable=True)
    assert str(caught.value) == (
        f"error[evidence]: {folder.shown}/a: {what}\n  cause  {os.strerror(number)}\n  help: {help_}"
    )
    assert caught.value.exit_code is ExitCode.FAILED
    assert folder.read("a") == b"old"
    assert folder.names() == ["a"]


def test_a_disk_that_lies(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back differently is an error."""
    monkeypatch.setattr(Folder, "read", lambda *_: b"other")
    with pytest.raises(EvidenceError) as caught:
        folder.write("a", b"new", durable=False)
    assert str(caught.value) == (
        f"error[evidence]: {folder.shown}/a: what was read back is not what was written\n"
        "  help: find out who else writes there, or check the disk; then run again"
    )


def test_no_link_is_followed(folder: Folder, tmp_path: Path) -> None:
    """A link in place of a file is replaced, not written through; none is read or entered."""
    outside = tmp_path.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "f").write_text("precious")
    (tmp_path / "a").symlink_to(outside / "f")
    (tmp_path / "d").symlink_to(outside)
    for enter in (lambda: folder.read("a"), lambda: folder.inside("d")):
        with pytest.raises(EvidenceError, match=r"a symbolic link stands where none may be|a file stands where"):
            enter()
    folder.write("a", b"new", durable=False)
    assert (outside / "f").read_text() == "precious"
    assert not (tmp_path / "a").is_symlink()


def test_a_planted_temporary_name_is_not_written_through(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever guesses the temporary name and puts a link there gains nothing."""
    outside = tmp_path.parent / f"{tmp_path.name}-precious"
    outside.write_text("precious")
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / ".a.guessed.tmp").symlink_to(outside)
    with pytest.raises(EvidenceError, match=r"a: it cannot be written\n  cause  File exists"):
        folder.write("a", b"new", durable=False)
    assert outside.read_text() == "precious"
    assert not (tmp_path / "a").exists()


def test_pipes_and_folders_are_no_files(folder: Folder, tmp_path: Path) -> None:
    """Reading what is no regular file is an error, and does not wait for a writer."""
    os.mkfifo(tmp_path / "p")
    (tmp_path / "d").mkdir()
    for name in ("p", "d"):
        with pytest.raises(EvidenceError, match=f"{name}: a file stands where a folder is needed|{name}: it cannot"):
            folder.read(name)


def test_evidence_folder_is_a_file(tmp_path: Path) -> None:
    """A file where the evidence folder should be: told, not deleted."""
    (tmp_path / "evidence").write_text("mine")
    with pytest.raises(EvidenceError) as caught:
        opened(tmp_path / "evidence")
    assert str(caught.value) == (
        f"error[evidence]: {tmp_path}/evidence: a file stands where a folder is needed\n"
        "  cause  a file of that name exists\n"
        "  help: move the file away, or point EVIDENCE_ROOT elsewhere"
    )
    with pytest.raises(EvidenceError, match="a file stands where a folder is needed"):
        opened(tmp_path / "evidence" / "below")
    assert (tmp_path / "evidence").read_text() == "mine"


def test_evidence_folder_may_be_a_link(tmp_path: Path) -> None:
    """Evidence kept on another disk by a link is the user's choice."""
    (tmp_path / "real").mkdir()
    (tmp_path / "evidence").symlink_to("real")
    with opened(tmp_path / "evidence") as run:
        for gate in ("g-0", "g-1", "g-2"):
            run.settle(passing(gate))
        run.close()
    assert read_run(tmp_path / "real" / "latest").passed


@pytest.mark.parametrize("how", ["moved", "exchanged", "removed"])
def test_the_folder_is_taken_away(tmp_path: Path, how: str) -> None:
    """A folder moved, exchanged or removed during a run is no success."""
    run = opened(tmp_path)
    for gate in ("g-0", "g-1"):
        run.settle(passing(gate))
    if how == "removed":
        import shutil

        shutil.rmtree(run.path)
        with pytest.raises(EvidenceError, match=r"g_2.json: the folder has gone"):
            run.settle(passing("g-2"))
    else:
        run.path.rename(tmp_path / "elsewhere")
        if how == "exchanged":
            (tmp_path / "decoy").mkdir()
            run.path.symlink_to("decoy")
        run.settle(passing("g-2"))
        assert not list((tmp_path / "decoy").glob("*"))
    with pytest.raises(EvidenceError) as caught:
        run.close()
    assert str(caught.value) == (
        f"error[evidence]: {run.path}: the folder of this run was moved or replaced while the run was going on\n"
        "  help: leave the evidence folder alone while a run writes to it, then run again"
    )
    run.release()


def test_a_file_changed_behind_our_back(tmp_path: Path) -> None:
    """Somebody edits a settled file before the run closes: the run does not close as passed."""
    with pytest.raises(EvidenceError) as caught, opened(tmp_path) as run:  # noqa: PT012 - the block is the test
        for gate in ("g-0", "g-1", "g-2"):
            run.settle(passing(gate))
        file = run.path / "phase0" / "g_1.json"
        file.write_bytes(file.read_bytes().replace(b"true", b"True"))
        run.close()
    assert str(caught.value) == (
        f"error[evidence]: {run.path}: the evidence is not what the run left behind\n"
        "  found  phase0/g_1.json: it was changed after it was written\n"
        "  help: trust none of it; run again, and keep the damaged folder if you need to know who changed it"
    )


FILL = """
import resource, sys
from pathlib import Path
from make_results import SOURCE, TOOLS, inventory, passing
from scripts.errors.evidence import EvidenceError
from scripts.evidence.store import open_run
from scripts.result import Check
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    with open_run(Path(sys.argv[1]), None, inventory("g-0", "g-1"), source=SOURCE, tools=TOOLS, command="x") as run:
        run.settle(passing("g-0"))
        run.settle(passing("g-1", checks=(Check("big", "x" * 200_000, "x" * 200_000),)))
        run.close()
except EvidenceError as error:
    sys.stdout.write(str(error))
    sys.exit(1)
"""


def fill(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own that writes more than there is room for."""
    return subprocess.run(
        [sys.executable, "-c", FILL, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )


def require_red(place: Path) -> None:
    """The folder is intact, not passed, and holds no half file."""
    record = read_run(place / "latest")
    assert not record.passed
    assert not list(place.rglob("*.tmp"))
    assert record.counts["PASS"] == 1


def test_a_limit_on_file_size(tmp_path: Path) -> None:
    """A write that is cut short: one error, exit 1, nothing half written, never passed."""
    done = fill(str(tmp_path), "50000")
    assert done.returncode == 1, done.stderr
    assert "g_1.json: the file would be larger than this process may write" in done.stdout
    require_red(tmp_path)


def test_a_full_disk(tmp_path: Path) -> None:
    """ENOSPC on a real, tiny file system: one error, exit 1, nothing half written, never passed.

    Only root on Linux may mount one; for everybody else the test above, with a limit in place of a disk, is the proof.
    """
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        done = fill(str(place / "evidence"), *([] if mounted else ["50000"]))
        assert done.returncode == 1, done.stderr
        if mounted:
            assert "g_1.json: the disk is full" in done.stdout
            assert "cause  No space left on device" in done.stdout
        require_red(place / "evidence")
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def test_latest_is_gone_when_it_cannot_be_switched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk too full for a new link: no link is better than one to an older, passed run."""
    with opened(tmp_path) as run:
        for gate in ("g-0", "g-1", "g-2"):
            run.settle(passing(gate))
        run.close()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(EvidenceError, match="latest: the disk is full"):
        opened(tmp_path)
    assert not (tmp_path / "latest").is_symlink()


def test_latest_has_left_the_older_run_before_the_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk too full for the first NOT_RUN: `latest` does not show the older, passed run any more (D-20)."""
    with opened(tmp_path) as run:
        for gate in ("g-0", "g-1", "g-2"):
            run.settle(passing(gate))
        run.close()

    def refuse(_: Folder, name: str, *__: Any, **___: Any) -> None:
        raise EvidenceError.unwritable(name, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(Folder, "write", refuse)
    with pytest.raises(EvidenceError, match=r"g_0\.json: the disk is full"):
        opened(tmp_path)
    with pytest.raises(EvidenceError, match="no evidence of a run here"):
        read_run(tmp_path / "latest")
    assert read_run(run.path).passed


def test_abort_goes_on_past_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One refused file does not keep the others from saying ABORTED; the first trouble joins the run's own."""
    real = Folder.write

    def refuse(self: Folder, name: str, data: bytes, *, durable: bool) -> None:
        if name == "g_1.json":
            raise EvidenceError.unwritable(name, OSError(errno.ENOSPC, "No space left on device"))
        real(self, name, data, durable=durable)

    with pytest.raises(ValueError, match="broken") as caught, opened(tmp_path) as run:  # noqa: PT012 - the same
        run.settle(passing("g-0"))
        monkeypatch.setattr(Folder, "write", refuse)
        msg = "broken"
        raise ValueError(msg)
    (note,) = caught.value.__notes__
    assert note == (
        "error[evidence]: g_1.json: the disk is full\n"
        "  cause  No space left on device\n"
        "  help: free some space, or point EVIDENCE_ROOT at another disk"
    )
    assert [gate.result.outcome.value for gate in read_run(tmp_path / "latest").gates] == ["PASS", "NOT_RUN", "ABORTED"]
