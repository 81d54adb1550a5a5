"""infra/docker/.env.example names every variable the project reads, and its values are the defaults."""

from __future__ import annotations

import ast
import re
from typing import get_args

from scripts import settings as module
from scripts.settings import BYPASS_VARIABLES, ROOT, DockerVariable, Settings, read_settings

EXAMPLE = ROOT / "infra" / "docker" / ".env.example"


def test_as_it_stands_it_changes_nothing() -> None:
    """Copied to .env, it gives the defaults."""
    assert read_settings({}, env_file=EXAMPLE) == Settings()


def test_it_names_every_variable_and_no_other() -> None:
    """Those that settings.py spells out; a bypass has no place in an example."""
    tree = ast.parse((ROOT / "scripts" / "settings.py").read_text(encoding="utf-8"))
    read = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[A-Z][A-Z_]{1,}", node.value)
    }
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    aliases = {
        "KEEP_TEMP_DB",
        "HOME",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
        "PARITY_NOX_PID",
        *get_args(DockerVariable),
    }  # an older name, what the login sets, what noxfile.py does, and the docker command's own
    assert named == read - set(BYPASS_VARIABLES) - aliases - {"ROOT"}
    assert not aliases & named
    assert module.ENV_FILE.parent == EXAMPLE.parent
