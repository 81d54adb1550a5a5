"""The runner's own SQL names the schema of every function it calls: nothing planted elsewhere can be a better match."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.errors.history import HistoryError
from scripts.parser.statements import parse_statements, walk

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
ROOMS = ("server", "migrations", "run", "catalog", "verifiers")
# PREPARE and its like may stand before the query; a text that is put together of parts is parsed when it is whole.
_QUERY = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|PREPARE)\b.*", re.DOTALL)
_HOLE = re.compile(r"%\(\w+\)[sbt]|%[sbtd]|\{\w*\}")


def texts(tree: ast.Module) -> list[tuple[int, str]]:
    """Every string of a module, with its line; holes of an f-string as a `{}`."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in inside:
            if isinstance(node.value, (str, bytes)):
                text = node.value.decode() if isinstance(node.value, bytes) else node.value
                found.append((node.lineno, text))
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            found.append((node.lineno, "".join(map(str, parts))))
    return found


def unqualified(text: str) -> list[str] | None:
    """The functions that a query calls without their schema; None for what is no whole query."""
    if _QUERY.fullmatch(text) is None:
        return None
    for hole in ("NULL", "true", "x.y"):
        try:
            statements = parse_statements(_HOLE.sub(hole, text.replace("%%", "%")), where="ours")
        except HistoryError:
            continue
        calls = [
            node.funcname
            for statement in statements
            for node in walk(statement.node)
            # count(*) has no arguments, so there is no better match, and pg_catalog comes first (readiness.py).
            if type(node).__name__ == "FuncCall" and not node.agg_star
        ]
        return [name[0].string.sval for name in calls if len(name) == 1]
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_every_function_of_our_own_queries_is_qualified(room: str) -> None:
    """Every whole query in the room's modules; how many were looked at, so that the test cannot go blind."""
    looked, found = 0, []
    for path in sorted((SCRIPTS / room).rglob("*.py")):
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            names = unqualified(text)
            looked += names is not None
            found += [f"{path.relative_to(SCRIPTS)}:{line}: {name}" for name in names or ()]
    assert looked > 0
    assert found == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT format('%%s', a), pg_catalog.lower(b) FROM pg_catalog.unnest(%s) a", ["format"]),
        ("SELECT coalesce(a, nullif(b, '')), extract(year FROM c) FROM {}", []),
        ("SELECT count(*) FILTER (WHERE a), (SELECT min(b) FROM t)", ["min"]),
        ("select a word of English", None),
    ],
)
def test_the_search_can_find(text: str, names: list[str] | None) -> None:
    """Unqualified calls are found, aggregates with arguments and those of a subquery too; mere syntax is none."""
    assert unqualified(text) == names
