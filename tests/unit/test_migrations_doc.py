"""docs/migrations.md names what exists: every setting, verb and kind of error, and leaves none of the engine's out."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import tasks
from scripts.errors.base import ProjectError
from scripts.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", TEXT)
# The rooms whose errors a migration can end with.
ENGINE = ("history", "ledger", "migration", "session", "sql_text", "drift")
BASES = {"history", "migration"}


def kinds_of(module: str) -> set[str]:
    """The kinds of the errors that a module makes."""
    found = importlib.import_module(f"scripts.errors.{module}")
    return {
        error.kind
        for error in vars(found).values()
        if isinstance(error, type) and issubclass(error, ProjectError) and error.__module__ == found.__name__
    }


def test_every_kind_of_error_is_named_and_exists() -> None:
    """Both ways: none is invented, none is left out."""
    named = set(re.findall(r"error\[([a-z_ ]+)\]", TEXT))
    every = {kind for module in ENGINE for kind in kinds_of(module)}
    assert named == every - BASES


def test_every_setting_exists_with_its_default() -> None:
    """Names and defaults are those of scripts/settings.py."""
    source = (ROOT / "scripts" / "settings.py").read_text(encoding="utf-8")
    for name in {code.partition("=")[0] for code in CODE if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+(?:=.*)?", code)}:
        assert f'"{name}"' in source
    defaults = dict(re.findall(r"^\| `([A-Z_]+)` \| (\w+) \|", TEXT, re.MULTILINE))
    assert len(defaults) == 7
    for name, shown in defaults.items():
        value = getattr(Settings(), name.lower())
        assert shown == ("none" if value is None else str(int(value)))


def test_every_verb_and_option_exists() -> None:
    """As `invoke` knows them."""
    verbs = set(tasks.namespace.task_names)
    named = {code.removeprefix("invoke ") for code in CODE if code.startswith("invoke ")}
    assert {"migrate", "status", "plan", "plan --trace", "drift", "ledger.verify"} <= named
    for call in named:
        verb, *words = call.split()
        assert verb in verbs
        task = tasks.namespace[verb]
        options = {
            flag
            for argument in task.get_arguments()
            for flag in (f"--{name.replace('_', '-')}" for name in argument.names)
        }
        assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize(
    ("words", "module"),
    [
        ("already there, valid and of this definition: adopted", "migrations/no_tx/indexes/builds.py"),
        ("left invalid by an interrupted build: dropped and built again", "migrations/no_tx/indexes/builds.py"),
        ("another runner's session to end its index build", "migrations/session/lock.py"),
        ("recorded before there was one, and are adopted", "migrations/ledger/repair.py"),
        ("only comments differ", "errors/history.py"),
        ("documented, not seen", "report/trace.py"),
        ("half done: ", "report/history.py"),
        ("in one transaction", "report/trace.py"),
    ],
)
def test_quoted_words_are_the_products_own(words: str, module: str) -> None:
    """What a reader searches for is what was printed."""
    assert words in TEXT
    assert words in (ROOT / "scripts" / module).read_text(encoding="utf-8")


def test_it_is_two_pages() -> None:
    """A database engineer reads it before the change window, not after."""
    assert len(TEXT.splitlines()) <= 150
