"""docs/servers.md names what exists: verbs, settings, kinds of error, standings and decisions."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args, get_type_hints

import tasks
from scripts.errors import account, binaries, docker, output, residents, room, server, unfit
from scripts.errors.base import ProjectError
from scripts.server.standing import Standing

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")


def test_every_kind_of_error_is_named_and_exists() -> None:
    """Both ways."""
    kinds = {
        error.kind
        for module in (server, room, binaries, docker, account, unfit, residents, output)
        for error in vars(module).values()
        if isinstance(error, type) and issubclass(error, ProjectError) and error.__module__ == module.__name__
    }
    assert set(re.findall(r"error\[([a-z ]+)\]", TEXT)) == kinds


def test_every_verb_exists_with_its_options() -> None:
    """As `invoke --list` and its help have them."""
    for verb, options in re.findall(r"^invoke (\w+)( \[[^\n]*?\])?  ", TEXT, flags=re.MULTILINE):
        known = {
            f"--{name.replace('_', '-')}"
            for name in tasks.namespace[verb].argspec(tasks.namespace[verb].body).parameters
        }
        assert set(re.findall(r"--[a-z-]+", options)) <= known, verb
    assert set(re.findall(r"`(?:\w+=\w+ )?invoke ([a-z.]+)", TEXT)) <= set(tasks.namespace.task_names)


def test_every_variable_is_one_that_is_read() -> None:
    """Upper-case names are settings, or the login's and the system's own."""
    tree = ast.parse((ROOT / "scripts" / "settings.py").read_text(encoding="utf-8"))
    read = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = set(re.findall(r"\b([A-Z]{2,}(?:_[A-Z]+)+)\b", TEXT))
    assert named - read == set()


def test_every_standing_is_explained() -> None:
    """Those of a record, and the two of a folder without one."""
    rows = set(re.findall(r"^\| `([a-z]+)` \|", TEXT, flags=re.MULTILINE))
    assert rows == {*get_args(get_type_hints(Standing)["kind"]), "starting", "unreadable"}


def test_every_link_leads_somewhere() -> None:
    """Decisions lie beside it."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / target).is_file(), target
