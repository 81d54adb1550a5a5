"""The bench of these tests, and the counts that are printed at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from db.killed.bench import Bench
from db.killed.cluster import open_cluster
from db.killed.folders import EVERY_KIND, MID_BUILD, write_folder
from db.killed.runs import Zygote

from scripts.migrations.folder.files import read_files
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261124


def pytest_configure(config: pytest.Config) -> None:
    """The counts are printed by a plugin, so that the process that prints knows it, too."""
    config.pluginmanager.import_plugin("fix_killed")


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server, a zygote and the folders."""
    base = tmp_path_factory.mktemp("killed")
    folders = {
        "every kind": write_folder(base / "every_kind", EVERY_KIND),
        "mid build": write_folder(base / "mid_build", MID_BUILD),
        "project": Settings().migrations_dir,
    }
    # The same files under another name: what an undisturbed run does is another thing there.
    folders["older ledger"] = folders["every kind"]
    folders["every kind to 6"] = write_folder(base / "every_kind_6", EVERY_KIND, up_to=6)
    for number in range(1, 6):
        folders[f"mid build to {number}"] = write_folder(base / f"mid_build_{number}", MID_BUILD, up_to=number)
    files = {name: read_files(folder) for name, folder in folders.items()}
    with open_cluster() as cluster:
        zygote = Zygote(folders)
        try:
            made = Bench(cluster, zygote, files, frozenset(folders) - {"project"})
            for folder in ("every kind", "mid build", "project"):
                made.prepare(folder)
            yield made
        finally:
            zygote.close()


@pytest.fixture(scope="session")
def seed() -> int:
    """What every random moment is drawn from; KILLED_SEED sets it."""
    return int(os.environ.get("KILLED_SEED", SEED))  # noqa: TID251 - a switch of these tests alone
