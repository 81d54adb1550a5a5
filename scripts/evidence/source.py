"""Which source was run: the commit, and whether the bytes on disk are the bytes of that commit.

Owns: the one use of git by the evidence. Starts `git` with a cleaned environment and a deadline.
Promises: "clean" means that every file of the commit below the root is byte-for-byte what lies on disk and nothing else
    lies there; no git setting, filter, hook, index flag or private ignore list can make a changed tree look clean.
Never: fails the run. A tree without a commit is commit `none` and dirty, with the reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess  # noqa: TID251 - the owner of git
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.digest import digest_of, sha256_hex
from scripts.settings import user_home

NO_COMMIT: Final = "none"
# What a run reads. A file in there counts even if an ignore rule hides it; only these names are no input.
INPUTS: Final = ("schema", "scripts", "infra")
_NO_INPUT: Final = ("__pycache__", ".env")

# The environment is replaced, not extended: GIT_DIR, GIT_INDEX_FILE, GIT_CONFIG_* and their kin stay outside.
_ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
# Settings of the repository that start a program or let a cache answer. The command line outranks every file.
_OVERRIDES: Final = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
)


@dataclass(frozen=True, slots=True)
class Source:
    """What was run.

    `commit` and `tree` are object names (40 or 64 hex), or `none` and None. `dirty_digest` names the changed paths with
    their content, so two runs of the same changed tree agree; the paths themselves are not shown. `reason` says in a
    sentence why the source is not simply a clean commit, `help` what to do about it; both are empty otherwise.
    """

    commit: str
    tree: str | None
    branch: str | None
    dirty: bool
    dirty_count: int = 0
    dirty_digest: str | None = None
    reason: str = ""
    help: str = ""


class _GitTroubleError(Exception):
    """Git could not say; carries the sentence and the help."""

    def __init__(self, reason: str, help_: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.help = help_


def read_source(root: Path, *, git: str | None = None, deadline_s: float = 10.0) -> Source:
    """Say which commit the tree below `root` is, and whether it is exactly that.

    The comparison reads the commit's tree and the files themselves, not the index, so what is merely staged does not
    count, and `assume-unchanged`, filters or line-ending settings do not hide a difference.

    Args:
        root: the project's folder: a work tree, or a folder inside one.
        git: path of the program; looked up on the PATH when None.
        deadline_s: longest wait for one git command, in seconds.
    """
    try:
        return _Repository(root, git or _find_git(), deadline_s).read()
    except _GitTroubleError as trouble:
        return Source(NO_COMMIT, None, None, dirty=True, reason=trouble.reason, help=trouble.help)


def _find_git() -> str:
    found = shutil.which("git")
    if found is None:
        raise _GitTroubleError("git is not installed", "install git, or accept evidence that names no commit")
    return found


class _Repository:
    """One work tree, asked by one git program."""

    def __init__(self, root: Path, git: str, deadline_s: float) -> None:
        self._root = root
        self._git = git
        self._deadline_s = deadline_s

    def read(self) -> Source:
        commit, tree = self._head()
        committed = self._committed()
        if not committed:
            raise _GitTroubleError(
                "the folder lies inside a git repository that does not track it",
                "run from a clone, or accept evidence that names no commit",
            )
        changes = self._changes(committed)
        count = len(changes)
        return Source(
            commit,
            tree,
            self._branch(),
            dirty=bool(changes),
            dirty_count=count,
            dirty_digest=digest_of(sorted(changes)) if changes else None,
            reason=f"{count} file{' differs' if count == 1 else 's differ'} from the commit" if changes else "",
            help="commit the changes, or accept evidence marked dirty" if changes else "",
        )

    def _head(self) -> tuple[str, str]:
        code, out, err = self._run("rev-parse", "HEAD^{commit}", "HEAD^{tree}")
        if code == 0:
            commit, tree = out.decode().split()
            return commit, tree
        if b"dubious ownership" in err:
            raise _GitTroubleError(
                "git refuses to read this repository, because it belongs to another user",
                "run as its owner, or trust it: git config --global --add safe.directory <this folder>",
            )
        if b"not a git repository" in err:
            raise _GitTroubleError(
                "the folder is not a git repository", "run from a clone, or accept evidence that names no commit"
            )
        if self._run("rev-parse", "--git-dir")[0] == 0:
            raise _GitTroubleError("the repository has no commit yet, or its HEAD is broken", "commit first")
        raise _GitTroubleError("git cannot read this repository", "run `git status` there to see why")

    def _branch(self) -> str | None:
        code, out, _ = self._run("symbolic-ref", "--quiet", "--short", "HEAD")
        return out.decode("utf-8", "replace").strip() if code == 0 else None

    def _committed(self) -> dict[bytes, tuple[str, str]]:
        """Path → (mode, object name) of every file of the commit below the root."""
        files: dict[bytes, tuple[str, str]] = {}
        for entry in self._listing("ls-tree", "-r", "-z", "HEAD"):
            head, _, path = entry.partition(b"\t")
            mode, _, name = head.decode().split(" ")
            files[path] = (mode, name)
        return files

    def _changes(self, committed: dict[bytes, tuple[str, str]]) -> list[list[str]]:
        """[path, what it is now] of everything on disk that is not in the commit, or not like in the commit."""
        others = self._listing("ls-files", "-z", "--cached", "--others", "--exclude-per-directory=.gitignore")
        hidden = self._listing("ls-files", "-z", "--others", "--", *INPUTS)
        extra = {path for path in others if path not in committed}
        extra |= {path for path in hidden if not any(part in _NO_INPUT for part in os.fsdecode(path).split("/"))}
        now = {path: _on_disk(self._root, path, like=found) for path, found in committed.items()}
        changed = {path: found for path, found in now.items() if found != committed[path]}
        for path in extra - committed.keys():
            found = _on_disk(self._root, path, like=None)
            if found is not None:
                changed[path] = found
        return [[_spelled(path), *(found or ("gone",))] for path, found in changed.items()]

    def _listing(self, *arguments: str) -> list[bytes]:
        code, out, _ = self._run(*arguments)
        if code != 0:
            raise _GitTroubleError("git cannot list the files of this repository", "run `git status` there to see why")
        return [entry for entry in out.split(b"\0") if entry]

    def _run(self, *arguments: str) -> tuple[int, bytes, bytes]:
        overrides = [part for override in _OVERRIDES for part in ("-c", override)]
        # Home is needed for `safe.directory`, which git honours in the user's own configuration only.
        home = user_home()
        environment = _ENVIRONMENT | {"PATH": f"{Path(self._git).parent}:{os.defpath}"}
        environment |= {} if home is None else {"HOME": str(home)}
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, no shell, our own arguments
                [self._git, "--no-pager", *overrides, "-C", str(self._root), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _GitTroubleError(
                f"git gave no answer within {self._deadline_s:g} s", "run `git status` there to see why"
            ) from None
        except OSError as exc:
            raise _GitTroubleError(f"git cannot be started: {exc.strerror}", "check the installation of git") from exc
        return done.returncode, done.stdout, done.stderr


def _on_disk(root: Path, path: bytes, *, like: tuple[str, str] | None) -> tuple[str, str] | None:
    """(mode, object name) of what lies at the path, in git's terms; None when nothing does.

    `like` is the committed entry: it chooses the hash. A submodule is not looked into, and so never counts as clean.
    """
    full = os.path.join(os.fsencode(root), path)  # noqa: PTH118 - names are bytes, which Path does not take
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            return "120000", _blob_name(os.readlink(full), like)  # noqa: PTH115 - as above
        if stat.S_ISDIR(status.st_mode) and like is not None and like[0] == "160000":
            return "160000", "a submodule that was not looked into"
        if not stat.S_ISREG(status.st_mode):
            return "special", "no regular file"
        with open(full, "rb", opener=_open_regular) as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        return "unreadable", exc.strerror or type(exc).__name__
    return "100755" if status.st_mode & stat.S_IXUSR else "100644", _blob_name(content, like)


def _open_regular(path: str, flags: int) -> int:
    # Neither a link nor a pipe that was put there since the look.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _blob_name(content: bytes, like: tuple[str, str] | None) -> str:
    blob = b"blob %d\0" % len(content) + content
    if like is None or len(like[1]) == 64:
        return sha256_hex(blob)
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _spelled(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
