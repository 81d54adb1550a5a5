"""Every acceptance criterion, and every defect of kind A or B of the predecessor, has a test that proves it.

docs/traceability.md is made from the tests' own docstrings: a test that proves a thing says so by its number.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Golden

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "traceability.md"

CRITERIA = {
    "AC1": "a new tenant cannot be inserted without its payer",
    "AC2": "new ingress, pending and attempt rows always carry a correlation id; the caller's is kept",
    "AC3": "a new proof always carries tenant and payer, derived from its attestation, or is refused",
    "AC4": "every change is a forward-only migration that passes lints and tests; 0026 in a transaction, 0027 not",
    "AC5": "a payer's key is unique, and required for new rows",
    "AC6": "nothing is backfilled, no row is rewritten, and everything that worked on an old row still works",
}
# Kind A: wrong money movement, security hole or a gate that cannot fail. Kind B: guarantee claimed but not given.
DEFECTS = {
    "D-01": ("A", "repair died at the retry ceiling"),
    "D-02": ("A", "the new-row checks stopped work on existing rows"),
    "D-03": ("A", "correlation ids were present but did not join"),
    "D-04": ("A", "PUBLIC could run the payment functions"),
    "D-05": ("A", "a caller's temporary table shadowed the ledger"),
    "D-06": ("A", "a trigger privilege led to the superuser"),
    "D-07": ("A", "a crash loop never met the ceiling"),
    "D-08": ("A", "verifiers looked at names only"),
    "D-09": ("A", "the parity probe could not fail"),
    "D-10": ("A", "an interrupted concurrent index was recorded as applied"),
    "D-11": ("B", "runtime roles could not read the policy"),
    "D-12": ("B", "append-only held against row changes alone"),
    "D-13": ("A", "the idempotency key ignored tenant and content"),
    "D-14": ("B", "idempotency held at one isolation level only"),
    "D-15": ("B", "rows of one tenant could name another's"),
    "D-16": ("B", "a payer change overtook a proof"),
    "D-17": ("A", "two runners at once broke each other"),
    "D-18": ("B", "the no-transaction marker was guessed from text"),
    "D-19": ("B", "late, duplicate and vanished files went unnoticed"),
    "D-20": ("A", "a failing run left old passes as its evidence"),
    "D-21": ("A", "evidence was bound to no commit and no database"),
    "D-22": ("A", "the gates on evidence did not read the result"),
    "D-23": ("B", "a lint's evidence passed while the lint failed"),
    "D-24": ("B", "lints were evaded by ordinary formatting"),
    "D-25": ("B", "one approval covered every later statement of its first line"),
    "D-26": ("B", "compatibility with the version before compared columns only"),
    "D-27": ("B", "the baseline comparison was blind to moved definitions"),
    "D-28": ("A", "tests searched text, emptied the queue, and were skipped in silence"),
    "D-29": ("B", "a missing role counted as a good one"),
    "D-30": ("B", "invariants were claimed that no gate looked at"),
    "D-31": ("B", "a tightening migration could freeze the system"),
    "D-32": ("B", "a squatted name suppressed a trigger"),
    "D-33": ("B", "roles were changed without regard to other databases"),
    "D-39": ("B", "the control plane could forge and erase"),
    "D-43": ("A", "switches that skipped checks were cleared before they were looked for"),
}


def proofs() -> dict[str, list[str]]:
    """Number → the tests whose docstring names it, as `path::function`."""
    found: dict[str, list[str]] = {number: [] for number in (*CRITERIA, *DEFECTS)}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path == Path(__file__).resolve():
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in re.findall(r"\b(?:AC[1-6]|D-\d\d)\b", ast.get_docstring(node) or ""):
                    name = f"{path.relative_to(ROOT)}::{node.name}"
                    if number in found and name not in found[number]:
                        found[number].append(name)
    return found


def render(found: dict[str, list[str]]) -> str:
    """The document, from what the tests say of themselves."""
    lines = [
        "# What proves what",
        "",
        "Made from the tests' docstrings; to make it anew:",
        "`nox -s tests -- tests/unit/test_traceability.py --update-golden`",
        "",
        "## Acceptance criteria",
        "",
        "| criterion | promise | proved by |",
        "|---|---|---|",
        *(f"| {number} | {text} | {_cell(found[number])} |" for number, text in CRITERIA.items()),
        "",
        "## Defects of the predecessor",
        "",
        "Kind A: wrong money movement, a security hole, or a gate that cannot fail.",
        "Kind B: a guarantee claimed but not given.",
        "",
        "| defect | kind | what was wrong there | proved right here by |",
        "|---|---|---|---|",
        *(f"| {number} | {kind} | {text} | {_cell(found[number])} |" for number, (kind, text) in DEFECTS.items()),
        "",
    ]
    return "\n".join(lines)


def _cell(tests: list[str]) -> str:
    return "<br>".join(f"`{test}`" for test in tests)


def test_everything_promised_is_proved() -> None:
    """No criterion and no defect of kind A or B without a test that names it."""
    assert not [number for number, tests in proofs().items() if not tests]


def test_the_document_says_what_the_tests_say(golden: Golden) -> None:
    """docs/traceability.md is current."""
    golden.require_equal(DOCUMENT, render(proofs()))
