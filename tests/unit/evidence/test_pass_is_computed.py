"""A pass is computed in one place: no other line of the product can write one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OWNER = ROOT / "scripts" / "result.py"
WORD = re.compile(r"\bPASS\b")


def literal_passes(text: str) -> list[int]:
    """Lines where Python source writes the word in a value, or takes the outcome by name."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and WORD.search(node.value if isinstance(node.value, str) else node.value.decode("latin-1"))
            and id(node) not in docstrings
        )
        or (isinstance(node, ast.Attribute) and node.attr == "PASS")
    ]


def test_no_pass_is_written_anywhere() -> None:
    """No Python value, SQL or YAML of the product holds the word; outcomes are computed from checks (D-20, D-23)."""
    code = [*(ROOT / "scripts").rglob("*.py"), ROOT / "tasks.py", ROOT / "noxfile.py"]
    assert len(code) > 20
    found = {
        str(path.relative_to(ROOT)): lines
        for path in code
        if path != OWNER and (lines := literal_passes(path.read_text(encoding="utf-8")))
    }
    texts = [path for suffix in ("sql", "yml", "yaml", "json") for path in (ROOT / "scripts").rglob(f"*.{suffix}")]
    found |= {str(path.relative_to(ROOT)): [0] for path in texts if WORD.search(path.read_text(encoding="utf-8"))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        'status = "PASS"',
        "x = Outcome.PASS",
        'x = f"{a} PASS"',
        'x = {"status": "PASS"}',
        'x = b"PASS"',
        'Outcome["PASS"]',
    ],
)
def test_a_planted_pass_is_found(text: str) -> None:
    """The search sees each way to write one."""
    assert literal_passes(text) == [1]


def test_documentation_may_name_it() -> None:
    """Docstrings, comments and longer words are no results."""
    assert literal_passes('"""Only PASS is a pass."""\nx = "PASSED"  # PASS\n') == []
