"""Which source was run: a clean commit is exactly that, and nothing can make a changed tree look like one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess  # noqa: TID251 - a test plays the developer
from pathlib import Path

import pytest

from scripts.evidence.source import NO_COMMIT, read_source


def git(root: Path, *arguments: str) -> str:
    """Run git as a developer would; tests plant what the product must see through."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit: a migration, a script, an ignore file."""
    root = tmp_path / "project"
    (root / "schema").mkdir(parents=True)
    (root / "schema" / "0001.sql").write_text("SELECT 1;\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / ".gitignore").write_text("/cache/\n*.log\n")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(root))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def test_a_clean_commit_is_named(repository: Path) -> None:
    """Commit, tree and branch are git's own; nothing is dirty (D-21)."""
    source = read_source(repository)
    assert source.commit == git(repository, "rev-parse", "HEAD")
    assert source.tree == git(repository, "rev-parse", "HEAD^{tree}")
    assert (source.branch, source.dirty, source.dirty_count, source.dirty_digest) == ("main", False, 0, None)
    assert (source.reason, source.help) == ("", "")


def test_the_working_directory_of_the_caller_does_not_matter(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From anywhere the commit is the project's, never UNKNOWN (D-21, D-47)."""
    monkeypatch.chdir("/")
    assert read_source(repository).commit == git(repository, "rev-parse", "HEAD")


def test_ignored_files_are_clean_and_a_detached_head_has_no_branch(repository: Path) -> None:
    """What the project itself ignores is no change."""
    (repository / "cache").mkdir()
    (repository / "cache" / "x").write_text("x")
    (repository / "run.log").write_text("x")
    git(repository, "checkout", "--quiet", "--detach")
    source = read_source(repository)
    assert (source.dirty, source.branch) == (False, None)


EVIL = "printf '#!/bin/sh\\nevil\\n' > run.sh"
# What somebody did to the work tree, as a shell would: name → commands.
CHANGES = {
    "edited": "echo 'SELECT 2;' > schema/0001.sql",
    "edited, same size and time": (
        "touch -r schema/0001.sql ../stamp; echo 'SELECT 9;' > schema/0001.sql; "
        "touch -r ../stamp schema/0001.sql; rm ../stamp"
    ),
    "removed": "rm schema/0001.sql",
    "untracked": "echo x > new.txt",
    "untracked in a folder": "mkdir docs; echo x > docs/new.txt",
    "staged as new": "echo x > new.txt; git add new.txt",
    "no longer executable": "chmod 644 run.sh",
    "became a link": "mv run.sh run.log; ln -s run.log run.sh",
    "became a folder": "rm run.sh; mkdir run.sh",
    "became a pipe": "rm run.sh; mkfifo run.sh",
    "input hidden by the project's ignore rules": "echo x > schema/0002.log",
    "input hidden by a nested ignore file": "echo '*' > schema/.gitignore; echo x > schema/0002.sql",
    "hidden by .git/info/exclude": "echo '*' > .git/info/exclude; echo x > new.txt",
    "hidden by assume-unchanged": f"git update-index --assume-unchanged run.sh; {EVIL}",
    "hidden by skip-worktree": f"git update-index --skip-worktree run.sh; {EVIL}",
    "hidden by core.ignoreStat": f"git config core.ignoreStat true; git config core.fileMode false; {EVIL}",
    "hidden by status.showUntrackedFiles": "git config status.showUntrackedFiles no; echo x > new.txt",
    "hidden by a filter": (
        f"git config filter.lie.clean 'git show HEAD:run.sh'; echo 'run.sh filter=lie' > .git/info/attributes; {EVIL}"
    ),
    "hidden by line-ending conversion": "git config core.autocrlf true; printf 'SELECT 1;\\r\\n' > schema/0001.sql",
    "hidden by a replaced object": f"{EVIL}; git replace $(git rev-parse HEAD:run.sh) $(git hash-object -w run.sh)",
    "hidden by a replaced tree": (
        f"{EVIL}; git add run.sh; git replace $(git rev-parse HEAD^{{tree}}) $(git write-tree); git reset --quiet"
    ),
    "hidden by another work tree": f"{EVIL}; git config core.worktree /",
    "a repository inside": "git init --quiet inner",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_tree_is_dirty(repository: Path, change: str) -> None:
    """Whatever was changed, and however it is hidden from `git status`, the tree is dirty (D-21)."""
    subprocess.run(["sh", "-ec", CHANGES[change]], cwd=repository, check=True)
    source = read_source(repository)
    assert source.dirty, change
    assert source.reason


def test_the_digest_of_changes_names_their_content(repository: Path) -> None:
    """The same change gives the same digest, another one another; the texts count files rightly."""
    file = repository / "schema/0001.sql"
    file.write_text("SELECT 2;\n")
    first = read_source(repository)
    file.write_text("SELECT 3;\n")
    second = read_source(repository)
    file.write_text("SELECT 2;\n")
    assert read_source(repository) == first != second
    assert first.reason == "1 file differs from the commit"
    assert first.help == "commit the changes, or accept evidence marked dirty"
    (repository / "other").write_text("x")
    assert read_source(repository).reason == "2 files differ from the commit"


def test_nothing_of_the_repository_is_executed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, monitors, pagers and filters set in the repository or by the environment do not run."""
    trap = repository.parent / "trap.sh"
    sprung = repository.parent / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    trap.chmod(0o755)
    hooks = repository.parent / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "pre-commit", "reference-transaction"):
        (hooks / name).symlink_to(trap)
    for name, value in {
        "core.fsmonitor": str(trap),
        "core.hooksPath": str(hooks),
        "core.pager": str(trap),
        "pager.ls-files": "true",
        "pager.rev-parse": "true",
        "core.sshCommand": str(trap),
        "core.alternateRefsCommand": str(trap),
        "filter.evil.clean": str(trap),
        "filter.evil.process": str(trap),
        "diff.external": str(trap),
        "alias.ls-files": f"!{trap}",
    }.items():
        git(repository, "config", name, value)
    (repository / ".git/info/attributes").write_text("* filter=evil\n")
    (repository / "run.sh").write_text("touched\n")
    monkeypatch.setenv("GIT_PAGER", str(trap))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(trap))
    assert read_source(repository).dirty
    assert not sprung.exists()


def test_variables_of_git_do_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_DIR and its kin, as set inside a hook, do not choose what is read."""
    commit = git(repository, "rev-parse", "HEAD")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    assert read_source(repository).commit == commit


def test_reading_writes_nothing(repository: Path) -> None:
    """The index and every other file of git stay as they are."""
    (repository / "run.sh").touch()
    before = {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    read_source(repository)
    assert {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before


def test_no_repository(tmp_path: Path) -> None:
    """An export can be run, and its evidence says that it names no commit; that is never clean."""
    source = read_source(tmp_path)
    assert (source.commit, source.tree, source.dirty) == (NO_COMMIT, None, True)
    assert source.reason == "the folder is not a git repository"
    assert source.help == "run from a clone, or accept evidence that names no commit"


def test_no_commit_yet(tmp_path: Path) -> None:
    """A repository with an unborn HEAD names no commit."""
    git(tmp_path, "init", "--quiet")
    source = read_source(tmp_path)
    assert (source.commit, source.dirty) == (NO_COMMIT, True)
    assert source.reason == "the repository has no commit yet, or its HEAD is broken"
    assert source.help == "commit first"


def test_an_export_inside_another_repository(repository: Path) -> None:
    """The commit of a repository that merely lies around the project is not the project's."""
    export = repository / "cache" / "export"
    export.mkdir(parents=True)
    (export / "tasks.py").write_text("x")
    source = read_source(export)
    assert (source.commit, source.dirty) == (NO_COMMIT, True)
    assert source.reason == "the folder lies inside a git repository that does not track it"


def test_a_project_below_the_top_of_its_repository(repository: Path) -> None:
    """Only the project's own folder decides whether it is clean."""
    (repository / "run.sh").write_text("changed beside it\n")
    source = read_source(repository / "schema")
    assert (source.commit, source.dirty) == (git(repository, "rev-parse", "HEAD"), False)


def test_git_is_not_installed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program, no commit; said so."""
    monkeypatch.setenv("PATH", "")
    source = read_source(repository)
    assert (source.commit, source.dirty) == (NO_COMMIT, True)
    assert source.reason == "git is not installed"
    assert source.help == "install git, or accept evidence that names no commit"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exec sleep 60", "git gave no answer within 0.3 s"),
        ("echo broken >&2; exit 3", "git cannot read this repository"),
        ('case "$*" in *ls-tree*) exit 3;; *) echo a b;; esac', "git cannot list the files of this repository"),
    ],
)
def test_a_git_that_does_not_answer(repository: Path, tmp_path: Path, script: str, reason: str) -> None:
    """A git that hangs or breaks ends in a reason, within the deadline."""
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    source = read_source(repository, git=str(program), deadline_s=0.3)
    assert (source.commit, source.dirty, source.reason) == (NO_COMMIT, True, reason)
    assert source.help == "run `git status` there to see why"


def test_a_git_that_cannot_be_started(repository: Path, tmp_path: Path) -> None:
    """The operating system's word for it is passed on."""
    source = read_source(repository, git=str(tmp_path / "absent"))
    assert source.reason == "git cannot be started: No such file or directory"
    assert source.help == "check the installation of git"


def test_another_users_repository(repository: Path, tmp_path: Path) -> None:
    """Git's refusal to read what belongs to somebody else is passed on, with the way out."""
    program = tmp_path / "git"
    real = shutil.which("git")
    # Git's own switch for its test suite: behave as if the repository were somebody else's.
    program.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
    program.chmod(stat.S_IRWXU)
    source = read_source(repository, git=str(program))
    assert (source.commit, source.dirty) == (NO_COMMIT, True)
    assert source.reason == "git refuses to read this repository, because it belongs to another user"
    assert source.help == "run as its owner, or trust it: git config --global --add safe.directory <this folder>"
    assert str(repository) not in source.reason + source.help


def test_file_names_that_are_not_text(repository: Path) -> None:
    """Names with line feeds or bytes outside UTF-8 are compared like any other."""
    (repository / "a\nb").write_text("x")
    Path(os.fsdecode(os.fsencode(repository) + b"/\xff\xfe")).write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "two")
    assert not read_source(repository).dirty
    (repository / "a\nb").write_text("y")
    assert read_source(repository).dirty_count == 1


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    """64-digit object names are compared by their own hash."""
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    (tmp_path / "file").write_text("x")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    source = read_source(tmp_path)
    assert (len(source.commit), source.dirty) == (64, False)
    (tmp_path / "file").write_text("y")
    assert read_source(tmp_path).dirty


def test_a_submodule_never_counts_as_clean(repository: Path, tmp_path: Path) -> None:
    """What was not looked into is not vouched for."""
    inner = tmp_path / "inner"
    git(tmp_path, "init", "--quiet", str(inner))
    (inner / "x").write_text("x")
    git(inner, "add", ".")
    git(inner, "commit", "--quiet", "-m", "one")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(repository, "commit", "--quiet", "-m", "two")
    assert read_source(repository).dirty_count == 1


def test_an_unreadable_file_counts_as_changed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read cannot be vouched for."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    source = read_source(repository)
    monkeypatch.undo()
    assert source.dirty_count == 3
