"""Which migrations have landed, and what became of them: the files against a commit.

Owns: the one use of git by the lints. Starts `git` with a cleaned environment and a deadline.
Promises: the comparison reads the commit and the bytes on disk, never the index; what it was made with is said. The
    project's own folder is compared or the gate is an error, and so is any folder on CI; elsewhere a folder of somebody
    else's, outside of every repository, passes with the sentence that nothing has landed.
Never: fetches.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess  # noqa: TID251 - an owner of git
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scripts.errors.history import FileNameError
from scripts.errors.lint import LandedError
from scripts.lint.model import Finding
from scripts.migrations.folder.files import number_of
from scripts.settings import ROOT, user_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scripts.migrations.folder.files import MigrationFile

DEADLINE_S: Final = 20.0
OWN_FOLDER: Final = ROOT / "schema" / "migrations"
RULES: Final = {
    "landed-edited": "A migration that has landed keeps its bytes",
    "landed-renamed": "A migration that has landed keeps its name",
    "landed-removed": "A migration that has landed stays",
    "landed-late": "A new migration has a number above every one that has landed",
}
_ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_OVERRIDES: Final = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the files were compared with, and what came of it.

    how: a sentence for the record. base: the commit, None when there was none. landed: how many files it holds.
    new: how many files lie on the disk that it does not hold.
    """

    how: str
    base: str | None
    landed: int
    new: int
    findings: tuple[Finding, ...]

    @property
    def examined(self) -> int:
        """How many files were compared, those that are gone included."""
        return self.landed + self.new


def compare_landed(
    files: Sequence[MigrationFile], folder: Path, base_ref: str, *, ci: bool, git: str | None = None
) -> Comparison:
    """Compare the files with what had landed where this change began.

    That is the merge base of HEAD and `base_ref`. Without such a ref, and not on CI, it is HEAD: what is committed.

    Args:
        files: what lies in the folder now.
        folder: of the migrations; where it is the project's own, a comparison with nothing is an error everywhere.
        base_ref: a ref or commit that holds what has landed.
        ci: whether a missing base, or repository, is an error for every folder.
        git: path of the program; looked up on the PATH when None.

    Raises:
        LandedError: git cannot say, and may not be passed over.
    """
    own = folder.resolve() == OWN_FOLDER.resolve()
    must = ci or own
    program = git or shutil.which("git")
    if program is None:
        if must or any((parent / ".git").exists() for parent in (folder, *folder.resolve().parents)):
            raise LandedError.no_git()
        return _nothing_landed(files, "no repository")
    repository = _Repository(folder, program)
    code, _, err = repository.run("rev-parse", "--show-prefix")
    if b"dubious ownership" in err:
        raise LandedError.git("git refuses to read this repository", "it belongs to another user")
    missing = "no repository" if code != 0 else "a repository without a commit" if not repository.commit("HEAD") else ""
    if missing:
        if must:
            raise LandedError.not_tracked(missing)
        return _nothing_landed(files, missing)
    if own and not repository.files_of("HEAD"):
        # Unpacked inside somebody else's repository: there is a commit, and it holds none of this.
        raise LandedError.not_tracked("a repository whose HEAD holds none of the files")
    how, base = _base(repository, base_ref, ci=ci)
    committed = repository.files_of(base)
    new = sum(file.name not in committed for file in files)
    return Comparison(how, base, len(committed), new, tuple(_differences(files, committed)))


def _nothing_landed(files: Sequence[MigrationFile], why: str) -> Comparison:
    return Comparison(f"{why}: nothing has landed", None, 0, len(files), ())


def _base(repository: _Repository, base_ref: str, *, ci: bool) -> tuple[str, str]:
    """(sentence, commit) of what is taken as landed."""
    head = repository.commit("HEAD") or ""
    base = repository.commit(base_ref)
    shallow = repository.text("rev-parse", "--is-shallow-repository") == "true"
    if base is None:
        remotes = repository.text("remote")
        if ci and remotes:
            raise LandedError.no_base(base_ref, shallow=shallow)
        why = f"{base_ref} is not in this clone" if remotes else f"there is no {base_ref}: no remote"
        return f"compared with HEAD, {head[:12]}: {why}", head
    merge_base = repository.text("merge-base", head, base)
    if not merge_base:
        raise LandedError.no_merge_base(base_ref, shallow=shallow)
    if merge_base == head:
        return f"compared with HEAD, {head[:12]}, all of which is part of {base_ref}", head
    return f"compared with {merge_base[:12]}, where HEAD left {base_ref}", merge_base


def _differences(files: Sequence[MigrationFile], committed: Mapping[str, str]) -> Iterator[Finding]:
    now = {file.name: file for file in files}
    names = {
        _blob_name(file.data, length): file.name for file in files for length in {len(n) for n in committed.values()}
    }
    highest = max((number_of(name) for name in committed), default=-1)
    for name, blob in committed.items():
        file = now.get(name)
        successor = names.get(blob)
        if file is not None and _blob_name(file.data, len(blob)) == blob:
            continue
        if file is not None:
            yield _finding("landed-edited", name, f"{name} is not the file that landed")
        elif successor is not None and successor not in committed:
            yield _finding("landed-renamed", name, f"{name} has become {successor}")
        else:
            yield _finding("landed-removed", name, f"{name} is gone")
    for file in files:
        if file.name not in committed and file.number <= highest:
            yield _finding("landed-late", file.name, f"{file.name} comes after number {highest:04d} has landed")


def _finding(rule: str, name: str, message: str) -> Finding:
    late = rule == "landed-late"
    help_text = (
        "give it the next free number: other databases have gone past this one"
        if late
        else "restore the file from git and put the change into a new migration"
    )
    return Finding(rule, name, 1, 1, name, message, help_text)


def _blob_name(data: bytes, length: int) -> str:
    """Git's name for the bytes: sha1 for names of 40 digits, sha256 for 64."""
    blob = b"blob %d\0" % len(data) + data
    if length == 64:
        return hashlib.sha256(blob).hexdigest()
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


class _Repository:
    """One work tree, asked from the folder of migrations."""

    def __init__(self, folder: Path, git: str) -> None:
        self._folder = folder
        self._git = git

    def commit(self, ref: str) -> str | None:
        """The commit a ref names, or None."""
        return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") or None

    def text(self, *arguments: str) -> str:
        """What git answers; empty when it refuses."""
        code, out, _ = self.run(*arguments)
        return out.decode("utf-8", "replace").strip() if code == 0 else ""

    def files_of(self, commit: str) -> dict[str, str]:
        """Name → blob of every migration that the commit holds in this folder."""
        code, out, err = self.run("ls-tree", "-z", commit)
        if code != 0:
            raise LandedError.git(f"git cannot list the files of {commit[:12]}", err.decode("utf-8", "replace").strip())
        found: dict[str, str] = {}
        for entry in out.split(b"\0"):
            head, _, path = entry.partition(b"\t")
            name = os.fsdecode(path)
            try:
                number_of(name)
            except FileNameError:
                continue
            found[name] = head.split()[2].decode()
        return found

    def run(self, *arguments: str) -> tuple[int, bytes, bytes]:
        """Exit code, stdout and stderr of one git command."""
        overrides = [part for override in _OVERRIDES for part in ("-c", override)]
        # Home is needed for `safe.directory`, which git honours in the user's own configuration only.
        home = user_home()
        environment = _ENVIRONMENT | {"PATH": f"{Path(self._git).parent}:{os.defpath}"}
        environment |= {} if home is None else {"HOME": str(home)}
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, no shell, our own arguments
                [self._git, "--no-pager", *overrides, "-C", str(self._folder), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise LandedError.git("git gave no answer", f"nothing within {DEADLINE_S:g} s") from exc
        except OSError as exc:
            raise LandedError.git("git cannot be started", exc.strerror or type(exc).__name__) from exc
        return done.returncode, done.stdout, done.stderr
