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
# The same inside the engine, and inside its room for files without a transaction; a module at the top has a place, too.
ENGINE = {
    "migrations": (
        "batch",
        "folder",
        "waiting",
        "session",
        "ledger",
        "plan",
        "told",
        "trace",
        "model",
        "row_security",
        "transactional",
        "no_tx",
        "apply",
        "template",
    ),
    "migrations/no_tx": ("work", "undone", "cluster", "indexes", "repeat", "apply"),
}
# The choice among the origins; the only module at the top that knows them.
CHOICE = "scripts/server/open.py"
# Who may start an outside program, and which.
SUBPROCESS_OWNERS = {
    "server/embedded/spawning.py": "the process that starts initdb and postgres, and ends them with their run",
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
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names if module.startswith("scripts")}
    return names


def pointing_right(path: Path, outer: str, scripts: Path = SCRIPTS) -> set[str]:
    """The places inside a room of the engine that a module imports from, and that stand behind its own."""
    order = ENGINE[outer]
    own = path.relative_to(scripts / outer).parts[0].removesuffix(".py")
    prefix = f"scripts.{outer.replace('/', '.')}."
    used = {name.removeprefix(prefix).split(".")[0] for name in imports_of(path) if name.startswith(prefix)}
    return used & {*order[order.index(own) + 1 :]}


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


@pytest.mark.parametrize("outer", ENGINE)
def test_every_place_in_the_engine_has_its_order(outer: str) -> None:
    """A new folder, or a module beside the folders, needs its place in the order; a place that is gone has none."""
    found = {path.name.removesuffix(".py") for path in (SCRIPTS / outer).iterdir() if path.name[0] != "_"}
    assert found == set(ENGINE[outer])
    assert len(ENGINE[outer]) == len(found)


@pytest.mark.parametrize(
    "path", sorted((SCRIPTS / "migrations").rglob("*.py")), ids=lambda path: str(path.relative_to(SCRIPTS))
)
def test_the_rooms_of_the_engine_point_left_too(path: Path) -> None:
    """A module imports from its own room and from those before it, for its types as well."""
    for outer in ENGINE:
        if path.is_relative_to(SCRIPTS / outer) and path != SCRIPTS / outer / "__init__.py":
            assert not pointing_right(path, outer)


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("migrations/waiting/planted.py", "from scripts.migrations.session.lock import runner_lock", {"session"}),
        ("migrations/told/planted.py", "from scripts.migrations.model import Applied", {"model"}),
        ("migrations/told/planted.py", "from scripts.migrations import model", {"model"}),
        ("migrations/told/planted.py", "import scripts.migrations.trace.model", {"trace"}),
        ("migrations/batch.py", "from scripts.migrations.folder.files import MigrationFile", {"folder"}),
        ("migrations/no_tx/work.py", "from scripts.migrations.no_tx.indexes.builds import build_index", {"indexes"}),
        ("migrations/no_tx/indexes/planted.py", "from scripts.migrations.no_tx.apply import apply_no_tx", {"apply"}),
        ("migrations/told/__init__.py", "from scripts.migrations.apply import migrate", {"apply"}),
        ("migrations/told/planted.py", "from scripts.migrations.folder.files import MigrationFile", set()),
        ("migrations/told/planted.py", "from scripts.migrations.told.shown import author", set()),
        ("migrations/no_tx/apply.py", "from scripts.migrations.no_tx.work import Work", set()),
    ],
)
@pytest.mark.parametrize("within", ["{}", "def f() -> None:\n    {}", "if TYPE_CHECKING:\n    {}"])
def test_an_import_to_the_right_is_seen(tmp_path: Path, within: str, module: str, line: str, found: set[str]) -> None:
    """Wherever it stands in the module: at the top, in a function, for the types alone."""
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(within.format(line), encoding="utf-8")
    outer = "migrations/no_tx" if module.startswith("migrations/no_tx") else "migrations"
    assert pointing_right(path, outer, tmp_path) == found


def test_every_folder_is_a_package() -> None:
    """Else its modules are imported all the same, and nothing says what belongs there."""
    assert {path.parent / "__init__.py" for path in MODULES} <= set(MODULES)


@pytest.mark.parametrize(
    "path", sorted((SCRIPTS / "migrations").glob("*/**/__init__.py")), ids=lambda path: path.parent.name
)
def test_rooms_of_the_engine_say_what_does_not_belong_in_them(path: Path) -> None:
    """And nothing else: whoever imports one module of a room loads no other for it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "\nNever: " in (ast.get_docstring(tree) or "")
    assert len(tree.body) == 1


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
