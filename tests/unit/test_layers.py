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
# The same inside the room of servers: what stands at its top first, then a folder for each thing.
SERVERS = ("", "cluster", "embedded", "containers", "foreign", "clones", "stay")
# The choice among the origins; the only module at the top that knows them.
CHOICE = "scripts/server/open.py"
# Who may start an outside program, and which.
SUBPROCESS_OWNERS = {
    "server/embedded/watcher.py": "initdb and postgres, and the process that ends them with their run",
    "server/containers/ssh.py": "ssh",
    "server/containers/reaper.py": "the process that removes a container which its dead run has not started",
    "server/foreign/mourner.py": "the process that drops the throw-away database of its dead run",
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


@pytest.mark.parametrize("path", sorted((SCRIPTS / "server").rglob("*.py")), ids=lambda path: path.name)
def test_the_room_of_servers_points_left_too(path: Path) -> None:
    """A module imports from its own folder and from those before it; the origins know nothing of each other's end."""
    if str(path.relative_to(ROOT)) == CHOICE:
        return
    folder = path.parent.name if path.parent.name != "server" else ""
    allowed = set(SERVERS[: SERVERS.index(folder) + 1])
    used = {name.split(".")[2] for name in imports_of(path) if name.startswith("scripts.server.")}
    assert {name for name in used if (SCRIPTS / "server" / name).is_dir()} <= allowed


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
