"""The house: imports point left, the environment and outside programs have one owner each, modules stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"

# Left to right, as values flow. A room imports only from rooms before it.
ROOMS = (
    "errors",
    "digest",
    "clock",
    "result",
    "settings",
    "parser",
    "server",
    "catalog",
    "migrations",
    "lint",
    "verifiers",
    "evidence",
    "report",
    "gates",
    "run",
    "console",
)
# Who may start an outside program, and which.
SUBPROCESS_OWNERS = {
    "server/watcher.py": "initdb and postgres, and the process that ends them with their run",
    "server/ssh.py": "ssh",
    "lint/squawk.py": "squawk",
    "evidence/source.py": "git",
    "lint/landed.py": "git",
}
MODULES = sorted(SCRIPTS.rglob("*.py"))
LINES_MAX = 400


def room_of(path: Path) -> str:
    """The room a module belongs to: its folder, or its own name at the top."""
    return path.relative_to(SCRIPTS).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every absolute module name imported anywhere in the file, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            module = node.module or ""
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names if module == "scripts"}
    return names


def test_every_module_is_in_a_known_room() -> None:
    """A new folder needs its place in the order before it needs code."""
    assert {room_of(path) for path in MODULES} - {"__init__"} <= set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_imports_point_left(path: Path) -> None:
    """A module imports from its own room and from rooms before it."""
    room = room_of(path)
    if room == "__init__":
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("scripts.")}
    assert rooms <= allowed


def test_only_owners_start_programs() -> None:
    """`subprocess` is imported by the owner of each outside program alone."""
    users = {str(p.relative_to(SCRIPTS)) for p in MODULES if "subprocess" in imports_of(p)}
    assert users <= set(SUBPROCESS_OWNERS)


def test_only_settings_reads_the_environment() -> None:
    """`os.environ` and `os.getenv` occur in settings.py alone."""
    readers = {
        str(path.relative_to(SCRIPTS))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= {"settings.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_modules_say_what_they_own_and_stay_small(path: Path) -> None:
    """A docstring on the first line, no more than 400 lines, and no `assert` as a rule."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the first line says what the module owns"
    assert len(text.splitlines()) <= LINES_MAX
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
