"""Landed migrations: the files on disk against the commit where this change began, in real repositories."""

from __future__ import annotations

import subprocess  # noqa: TID251 - makes repositories
from typing import TYPE_CHECKING

import pytest

from scripts.errors.lint import LandedError
from scripts.lint import landed
from scripts.lint.landed import Comparison, compare_landed
from scripts.migrations.folder.files import read_files

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"0001_a.sql": "SELECT 1;\n", "0002_b.sql": "SELECT 2;\n", "0003_c.sql": "SELECT 3;\n"}


class Repository:
    """A repository with a folder of migrations in it."""

    def __init__(self, root: Path, *, algorithm: str = "sha1") -> None:
        self.root = root
        self.folder = root / "db" / "migrations"
        self.folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", f"--object-format={algorithm}")

    def git(self, *arguments: str) -> str:
        """Run git there and give back what it says."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.root), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        """Put files into the folder."""
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def commit(self, files: dict[str, str]) -> str:
        """Put files into the folder and commit whatever is there; the commit's name."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def compare(self, base_ref: str = "main", *, ci: bool = False) -> Comparison:
        """Compare what lies in the folder now."""
        return compare_landed(read_files(self.folder), self.folder, base_ref, ci=ci)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three landed migrations on main, and a branch that began there."""
    repository = Repository(tmp_path / "r")
    repository.commit(FILES)
    repository.git("checkout", "-q", "-b", "change")
    return repository


def found(comparison: Comparison) -> list[str]:
    """Rule and message of each finding."""
    return [f"{finding.rule} {finding.message}" for finding in comparison.findings]


def test_a_new_file_at_the_end_is_what_a_change_is(repository: Repository) -> None:
    """A file above the landed ones may come and be edited as long as it has not landed."""
    base = repository.git("rev-parse", "main")
    repository.commit({"0004_d.sql": "SELECT 4;\n"})
    repository.commit({"0004_d.sql": "SELECT 44;\n"})

    comparison = repository.compare()

    assert found(comparison) == []
    assert (comparison.base, comparison.landed) == (base, 3)
    assert comparison.how == f"compared with {base[:12]}, where HEAD left main"


def test_edited(repository: Repository) -> None:
    """D-19: a landed file that was edited is found, committed or not."""
    repository.write({"0002_b.sql": "SELECT 22;\n"})
    assert found(repository.compare()) == ["landed-edited 0002_b.sql is not the file that landed"]

    repository.commit({})
    assert found(repository.compare()) == ["landed-edited 0002_b.sql is not the file that landed"]


def test_renamed_and_removed(repository: Repository) -> None:
    """D-19: a landed file under another name, or none, is found."""
    (repository.folder / "0003_c.sql").rename(repository.folder / "0003_cc.sql")
    assert found(repository.compare()) == [
        "landed-renamed 0003_c.sql has become 0003_cc.sql",
        "landed-late 0003_cc.sql comes after number 0003 has landed",
    ]

    (repository.folder / "0003_cc.sql").unlink()
    assert found(repository.compare()) == ["landed-removed 0003_c.sql is gone"]


def test_late(repository: Repository) -> None:
    """D-19: a new file below the highest landed number would run in another order elsewhere."""
    (repository.folder / "0000_z.sql").write_text("SELECT 0;\n", encoding="utf-8")

    assert found(repository.compare()) == ["landed-late 0000_z.sql comes after number 0003 has landed"]


def test_what_landed_meanwhile_is_not_held_against_the_change(repository: Repository) -> None:
    """Base is where the change began; what main gained since is main's."""
    repository.commit({"0004_d.sql": "SELECT 4;\n"})
    repository.git("checkout", "-q", "main")
    repository.commit({"0004_other.sql": "SELECT 5;\n"})
    repository.git("checkout", "-q", "change")

    assert found(repository.compare()) == []


def test_on_the_base_itself_the_disk_is_compared(repository: Repository) -> None:
    """On main everything committed has landed: only the files on disk can differ, and the record says so."""
    repository.git("checkout", "-q", "main")
    comparison = repository.compare()
    assert comparison.how.endswith("all of which is part of main")

    repository.write({"0001_a.sql": "SELECT 11;\n"})
    assert found(repository.compare()) == ["landed-edited 0001_a.sql is not the file that landed"]


def test_the_commit_before_a_push_shows_what_was_pushed(repository: Repository) -> None:
    """BASE_REF may be a commit: a pipeline after a push compares with the one before it."""
    before = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "main")
    repository.commit({"0001_a.sql": "SELECT 11;\n"})

    assert found(repository.compare(before)) == ["landed-edited 0001_a.sql is not the file that landed"]


def test_without_remote_the_disk_is_compared_with_head(repository: Repository) -> None:
    """A repository without any remote has no base: HEAD stands in, on CI too, and the record says so."""
    for ci in (False, True):
        comparison = repository.compare("origin/main", ci=ci)
        assert comparison.how.endswith("there is no origin/main: no remote")
        assert comparison.landed == 3

    repository.write({"0001_a.sql": "SELECT 11;\n"})
    assert found(repository.compare("origin/main")) == ["landed-edited 0001_a.sql is not the file that landed"]


def test_a_clone_without_the_base_is_an_error_on_ci(repository: Repository, tmp_path: Path) -> None:
    """A shallow clone that lacks the base proves nothing on CI; elsewhere HEAD stands in."""
    repository.commit({"0004_d.sql": "SELECT 4;\n"})
    clone = tmp_path / "clone"
    url = f"file://{repository.root}"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", "--single-branch", "--branch", "change", url, str(clone)], check=True
    )
    folder = clone / "db" / "migrations"
    files = read_files(folder)

    with pytest.raises(LandedError) as caught:
        compare_landed(files, folder, "origin/main", ci=True)
    assert str(caught.value).splitlines() == [
        "error[landed]: no commit to compare the migrations with: origin/main is not in this clone",
        "  expected  origin/main, with history back to where this change left it",
        "  found     a shallow clone",
        "  help: fetch it (actions/checkout: fetch-depth: 0), or set BASE_REF to the commit this change starts from",
    ]
    assert "origin/main is not in this clone" in compare_landed(files, folder, "origin/main", ci=False).how


def test_histories_that_do_not_meet_are_an_error(repository: Repository) -> None:
    """Without a common ancestor nobody can say what had landed."""
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit({"0004_d.sql": "SELECT 4;\n"})

    with pytest.raises(LandedError, match="HEAD and main have no common ancestor in this clone"):
        repository.compare("main")


def test_no_repository_at_all(tmp_path: Path) -> None:
    """A foreign folder outside of git has nothing that landed, and says so; on CI that is an error."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\n", encoding="utf-8")
    files = read_files(tmp_path)

    comparison = compare_landed(files, tmp_path, "origin/main", ci=False)
    assert comparison.how == "no repository: nothing has landed"
    assert (comparison.base, comparison.landed, comparison.examined) == (None, 0, 1)
    with pytest.raises(LandedError, match="not part of a git repository"):
        compare_landed(files, tmp_path, "origin/main", ci=True)


def test_our_own_folder_is_compared_or_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-19: the project's own folder never passes for want of a repository, a commit, or files in it."""
    repository = Repository(tmp_path / "r")
    plain = tmp_path / "plain"
    plain.mkdir()
    monkeypatch.setattr(landed, "OWN_FOLDER", plain)
    repository.write(FILES)
    files = read_files(repository.folder)
    with pytest.raises(LandedError, match=r"not part of a git repository\n.*\n  found     no repository"):
        compare_landed(files, plain, "origin/main", ci=False)

    monkeypatch.setattr(landed, "OWN_FOLDER", repository.folder)
    with pytest.raises(LandedError, match="found     a repository without a commit"):
        repository.compare()

    (repository.root / "README").write_text("x", encoding="utf-8")
    repository.git("add", "README")
    repository.git("commit", "-q", "-m", "x")
    with pytest.raises(LandedError, match="found     a repository whose HEAD holds none of the files"):
        repository.compare()

    repository.commit({})
    link = tmp_path / "link"
    link.symlink_to(repository.folder)
    assert compare_landed(files, link, "main", ci=False).examined == 3


def test_no_commit_yet(tmp_path: Path) -> None:
    """Before the first commit nothing of a foreign folder has landed."""
    repository = Repository(tmp_path / "r")
    repository.write(FILES)

    assert repository.compare().how == "a repository without a commit: nothing has landed"


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git there is no comparison; only a foreign folder outside of every repository needs none."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\n", encoding="utf-8")
    files = read_files(tmp_path)

    with pytest.raises(LandedError, match="git cannot be started"):
        compare_landed(files, tmp_path, "origin/main", ci=False, git=str(tmp_path / "nothing"))

    monkeypatch.setenv("PATH", str(tmp_path))
    assert compare_landed(files, tmp_path, "origin/main", ci=False).how == "no repository: nothing has landed"
    with pytest.raises(LandedError, match="git is not installed"):
        compare_landed(files, tmp_path, "origin/main", ci=True)
    (tmp_path / ".git").mkdir()
    with pytest.raises(LandedError, match="git is not installed"):
        compare_landed(files, tmp_path, "origin/main", ci=False)
    (tmp_path / ".git").rmdir()
    monkeypatch.setattr(landed, "OWN_FOLDER", tmp_path)
    with pytest.raises(LandedError, match="git is not installed"):
        compare_landed(files, tmp_path, "origin/main", ci=False)


def test_what_was_compared_is_counted(repository: Repository) -> None:
    """Compared are the files that landed, gone or not, and the new ones."""
    (repository.folder / "0003_c.sql").rename(repository.folder / "0003_d.sql")
    repository.write({"0004_e.sql": "SELECT 4;\n"})

    comparison = repository.compare()
    assert (comparison.landed, comparison.new, comparison.examined) == (3, 2, 5)


def test_sha256_repositories_are_read_as_well(tmp_path: Path) -> None:
    """Names of 64 digits are hashed with sha256."""
    repository = Repository(tmp_path / "r", algorithm="sha256")
    repository.commit(FILES)
    assert found(repository.compare()) == []

    repository.write({"0001_a.sql": "SELECT 11;\n"})
    assert found(repository.compare()) == ["landed-edited 0001_a.sql is not the file that landed"]


def test_the_index_and_ignore_flags_hide_nothing(repository: Repository) -> None:
    """The bytes on disk count: neither assume-unchanged nor staging makes an edit invisible."""
    repository.git("update-index", "--assume-unchanged", "db/migrations/0001_a.sql")
    repository.write({"0001_a.sql": "SELECT 11;\n"})

    assert found(repository.compare()) == ["landed-edited 0001_a.sql is not the file that landed"]


def test_environment_of_git_is_not_believed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GIT_DIR and its kin, set by a hook or a wrapper, do not point the comparison elsewhere."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert repository.compare().landed == 3
