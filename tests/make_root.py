"""What only root can do, and who is root enough for it: skipped elsewhere with the reason, and run by CI as root."""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - the program that tries it
import sys
from typing import Any

import pytest


def why_not_root() -> str:
    """Why what only root can do cannot be done here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root (`nox -s tests-root` insists)"
    if sys.platform != "linux":
        return ""
    tried = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    return "" if tried.returncode == 0 else "needs a root who may mount file systems (`nox -s tests-root` insists)"


WHY_NOT_ROOT = why_not_root()
AS_ROOT = (pytest.mark.root, pytest.mark.skipif(bool(WHY_NOT_ROOT), reason=WHY_NOT_ROOT or "root"))


def only_as_root(test: Any) -> Any:
    """Mark a test that only root can run."""
    for mark in AS_ROOT:
        test = mark(test)
    return test
