"""What a run was made with is read, not assumed."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from scripts.digest import sha256_hex
from scripts.evidence.tools import PACKAGES, read_tools

if TYPE_CHECKING:
    from pathlib import Path


def test_versions_are_those_installed(tmp_path: Path) -> None:
    """Interpreter, platform, packages and the digest of the pinned set; what is missing says absent."""
    (tmp_path / "requirements.txt").write_text("x==1\n")
    tools = read_tools(tmp_path, (*PACKAGES, "no-such-distribution"))
    assert tools["python"].endswith(platform.python_version())
    assert tools["psycopg"] == metadata.version("psycopg")
    assert tools["no-such-distribution"] == "absent"
    assert tools["requirements.txt"] == "sha256:" + sha256_hex(b"x==1\n")
    assert set(PACKAGES) <= tools.keys()


def test_no_pinned_set(tmp_path: Path) -> None:
    """Without requirements.txt nothing is claimed."""
    assert read_tools(tmp_path)["requirements.txt"] == "absent"
