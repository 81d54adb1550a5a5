"""The registry of SQLSTATEs: complete, true, of the agreed shape, and every code provoked by a test.

schema/sqlstates.md is made from the registry and the tests: `nox -s tests -- tests/unit/schema --update-golden`.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg.errors
import pytest

from scripts.migrations.folder.files import read_files
from scripts.parser.statements import body_statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Golden

    from scripts.parser.statements import Statement

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "schema"
CODE = re.compile(r"P[0-9]{4}")
# PostgreSQL's own class P0 (PL/pgSQL): raise_exception is ours by interface, the others are the server's.
SERVERS_OWN = {"P0000", "P0002", "P0003", "P0004"}
Registry = dict[str, Any]


@cache
def registry() -> Registry:
    """The registry as written."""
    document: Registry = json.loads((SCHEMA / "sqlstates.yml").read_text(encoding="utf-8"))
    return document


@cache
def raised() -> dict[str, frozenset[str]]:
    """Code → the functions (in their last definition) and the files (DO blocks) that raise it, from the parsed SQL."""
    newest: dict[str, Statement] = {}
    loose: list[tuple[str, Statement]] = []
    for file in read_files(SCHEMA / "migrations"):
        for statement in file.statements:
            if statement.kind == "CreateFunctionStmt":
                newest[statement.node.funcname[-1].string.sval] = statement
            elif statement.kind == "DoStmt":
                loose.append((file.name, statement))
    found: dict[str, set[str]] = defaultdict(set)
    for raiser, statement in (*newest.items(), *loose):
        for code in _codes_of_raises(statement):
            found[code].add(raiser)
    return {code: frozenset(raisers) for code, raisers in found.items()}


@cache
def provoked() -> dict[str, list[str]]:
    """Code → the tests against a real server that name it, as `file::function`; those that name fewer codes first."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests" / "db" / "schema").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                codes = {text for text in _strings(node) if CODE.fullmatch(text)}
                codes |= set(CODE.findall(ast.get_docstring(node) or ""))
                for code in codes:
                    found[code].append((len(codes), f"{path.name}::{node.name}"))
    return {code: [test for _, test in sorted(tests)] for code, tests in found.items()}


def _codes_of_raises(statement: Statement) -> Iterator[str]:
    for part in body_statements(statement):
        # RAISE alone raises again what a handler caught.
        if part.kind == "RAISE" and part.text != "RAISE":
            assert part.node is not None, f"{part.text} is not understood"
            for node in walk(part.node):
                if type(node).__name__ == "A_Const" and CODE.fullmatch(node.sval.sval):
                    yield node.sval.sval


def _strings(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def test_each_code_is_raised_by_exactly_the_functions_named() -> None:
    """Registry and parsed SQL agree, both ways: no code unregistered, none registered for what does not raise it."""
    assert raised(), "no RAISE was found at all"
    claimed = {code: frozenset(entry["raised_by"]) for code, entry in registry()["codes"].items()}
    assert {code: raisers for code, raisers in claimed.items() if raisers} == raised()


def test_a_code_that_nothing_raises_says_so() -> None:
    """Reserved codes are the canonical names of others, and call themselves reserved (D-42)."""
    codes = registry()["codes"]
    idle = {code for code, entry in codes.items() if not entry["raised_by"]}
    assert idle == {entry["canonical"] for entry in codes.values() if "canonical" in entry}
    assert all("reserved, not raised" in codes[code]["meaning"] for code in idle)


def test_every_code_in_the_sources_is_registered() -> None:
    """Whatever looks like a code of ours, as a text of its own in schema/ or scripts/, is in the registry (D-42)."""
    seen: dict[str, str] = {}
    for path in sorted((ROOT / "scripts").rglob("*.py")):
        for text in _strings(ast.parse(path.read_text(encoding="utf-8"))):
            if CODE.fullmatch(text):
                seen[text] = path.name
    for path in sorted(SCHEMA.rglob("*")):
        if path.suffix in {".sql", ".yml"}:
            for text in re.findall(rf"\b{CODE.pattern}\b", path.read_text(encoding="utf-8")):
                seen[text] = path.name
    assert len(seen) > 10, "the sources were not read"
    unknown = seen.keys() - registry()["codes"].keys() - SERVERS_OWN
    assert {code: seen[code] for code in unknown} == {}


def test_the_registry_has_the_agreed_shape() -> None:
    """Head, ranges and entries: class, subsystem, meaning, retryable or not, a canonical code that exists."""
    head = registry()
    assert head["schema_version"] == 1
    assert head["registry_id"]
    assert head["owner"]
    assert head["code_pattern"] == r"^P\d{4}$"
    assert {"class", "subsystem", "meaning", "retryable"} <= set(head["entry_required_fields"])
    assert head["source_scan_scope"]
    assert {"P71", "P72", "P73", "P74", "P90"} <= head["ranges"].keys()
    for code, entry in head["codes"].items():
        assert re.fullmatch(head["code_pattern"], code), code
        assert code == "P0001" or code[:3] in head["ranges"], code
        assert set(head["entry_required_fields"]) <= entry.keys() <= {*head["entry_required_fields"], "canonical"}, code
        assert entry["class"] in {"A", "B", "C"}, code
        assert isinstance(entry["retryable"], bool), code
        assert entry["subsystem"], code
        assert entry["meaning"], code
        assert entry.get("canonical", code) in head["codes"], code
    assert list(head["codes"]) == sorted(head["codes"])


def test_no_code_is_the_servers_own() -> None:
    """None of ours means something else to PostgreSQL, but for the interface P0001 (D-42)."""
    assert {code for code in registry()["codes"] if _is_the_servers(code)} == {"P0001"}


@pytest.mark.parametrize("code", sorted(code for code, entry in registry()["codes"].items() if entry["raised_by"]))
def test_every_code_is_provoked_on_a_server(code: str) -> None:
    """A guard whose refusal nobody has seen is not in the registry for long."""
    assert provoked().get(code), f"no test in tests/db/schema names {code}"


def test_the_table_is_current(golden: Golden) -> None:
    """schema/sqlstates.md says what registry and tests say."""
    golden.require_equal(SCHEMA / "sqlstates.md", render())


def render() -> str:
    """The table for people."""
    lines = [
        "# SQLSTATEs of the schema",
        "",
        "Made from `sqlstates.yml` and the tests; to make it anew:",
        "`nox -s tests -- tests/unit/schema --update-golden`",
        "",
        "Class A: the server's own. B: a caller can answer to it. C: a rule was broken that no caller should meet.",
        "",
        "| code | class | raised by | meaning | provoked by (tests/db/schema) |",
        "|---|---|---|---|---|",
    ]
    for code, entry in registry()["codes"].items():
        raisers = "<br>".join(f"`{name}`" for name in entry["raised_by"]) or "—"
        name = f"{code} (canonical {entry['canonical']})" if "canonical" in entry else code
        test = f"`{provoked()[code][0]}`" if entry["raised_by"] else "—"
        lines.append(f"| {name} | {entry['class']} | {raisers} | {entry['meaning']} | {test} |")
    return "\n".join([*lines, ""])


def _is_the_servers(code: str) -> bool:
    try:
        psycopg.errors.lookup(code)
    except KeyError:
        return False
    return True
