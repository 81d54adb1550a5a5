"""sqlstate-implicit: nobody raises a code without saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.raises import exceptions_without_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """RAISE EXCEPTION without ERRCODE."""
    for part in exceptions_without_code(subject):
        yield RULE.at(part, "P0001", "RAISE EXCEPTION without ERRCODE raises P0001, whatever it means")


RULE = Rule(
    id="sqlstate-implicit",
    gate="sqlstate-map-drift",
    severity="error",
    title="RAISE EXCEPTION names its SQLSTATE",
    why="Without one it raises P0001, which here means that an append-only table was touched.",
    help="add USING ERRCODE = '…', a registered code of its own",
    red="DO $$ BEGIN RAISE EXCEPTION 'no'; END $$;",
    green="DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'invalid_parameter_value'; END $$;",
    find=find,
)
