"""Eight real runs at once, from several copies of the project and of several users, with nothing kept yet."""

from __future__ import annotations

import json
import shutil
import subprocess  # noqa: TID251 - a test starts the program it looks at
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_kills import Place
from make_runs import AS_OTHERS, SITE, python_for_others

from scripts.server.cluster.cache import SUFFIX
from scripts.server.folders import MEMORY
from scripts.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 8
COPIED = ("scripts", "schema", "infra", "tasks.py", "pyproject.toml")


@dataclass(frozen=True)
class User:
    """Who runs: None for ourselves."""

    name: str | None
    home: Path

    @property
    def clusters(self) -> Path:
        """What this user keeps."""
        return self.home / "clusters"


@pytest.fixture
def place() -> Iterator[Place]:
    """Open to every user's runs."""
    folder = Path(tempfile.mkdtemp(prefix="m-", dir=MEMORY if MEMORY.is_dir() else None))
    folder.chmod(0o711)
    place = Place(folder)
    for name in ("tmp", "site"):
        (folder / name).chmod(0o1777 if name == "tmp" else 0o755)
    yield place
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def copies(place: Place) -> list[Path]:
    """Three copies of the project, as worktrees are."""
    made = []
    for number in range(3):
        copy = place.folder / f"copy{number}"
        copy.mkdir(mode=0o755)
        copy.chmod(0o755)
        for name in COPIED:
            source, target = ROOT / name, copy / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".env"))
            else:
                shutil.copy(source, target)
        made.append(copy)
    return made


@pytest.fixture(params=[False, pytest.param(True, marks=AS_OTHERS)], ids=["one user", "three users"])
def users(place: Place, request: pytest.FixtureRequest) -> list[User]:
    """Ourselves; and as root two users without rights, too."""
    names = [None, "nobody", "daemon"] if request.param else [None]
    users = [User(name, place.folder / f"home-{name}") for name in names]
    for user in users:
        user.home.mkdir(mode=0o700)
        if user.name is not None:
            shutil.chown(user.home, user.name, "nogroup")
    return users


def begin(place: Place, copy: Path, user: User) -> subprocess.Popen[str]:
    """A fresh server, all migrations, and its end."""
    python = sys.executable if user.name is None else python_for_others()[0]
    return subprocess.Popen(
        [python, "-m", "invoke", "migrate", "--json"],
        cwd=copy,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user.name,
        group=None if user.name is None else "nogroup",
        extra_groups=None if user.name is None else [],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{place.folder / 'site'}:{copy}:{SITE}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(user.home),
            "TMPDIR": str(place.folder / "tmp"),
            "SERVER": "embedded",
            "PARITY_CACHE_DIR": str(user.clusters),
        },
    )


def finish(runs: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all; each has applied every migration, and nothing was thrown away. Returns what they said."""
    said = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs), [text for _, text in said]
    wanted = len(list((ROOT / "schema" / "migrations").glob("*.sql")))
    assert [len(json.loads(text)["applied"]) for text, _ in said] == [wanted] * len(runs)
    return [text for _, text in said]


def test_eight_runs_pass_and_leave_one_kept_cluster_a_user(place: Place, copies: list[Path], users: list[User]) -> None:
    """Each has its own server with all migrations, none touches another's, and nothing else stays."""
    runs = [begin(place, copies[n % len(copies)], users[n // 2 % len(users)]) for n in range(RUNS)]
    said = finish(runs)
    assert not [text for text in said if "removed what a killed run" in text or "not used" in text]
    assert place.what_stays() == []
    kept = {}
    for user in users:
        (entry,) = user.clusters.iterdir()
        assert entry.suffix == SUFFIX
        assert entry.stat().st_uid == user.home.stat().st_uid
        assert user.clusters.stat().st_mode & 0o777 == 0o700
        kept[entry] = entry.stat().st_ino
    finish([begin(place, copies[0], user) for user in users])
    assert {entry: entry.stat().st_ino for user in users for entry in user.clusters.iterdir()} == kept
    assert place.what_stays() == []
