"""replaced-trigger: a guard does not vanish under its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import relation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """CREATE OR REPLACE TRIGGER on a table that was there before the file."""
    for part in subject.executed:
        if part.kind != "CreateTrigStmt" or not part.node.replace:
            continue
        table = relation_of(part.node.relation)
        if not subject.history.is_new(table, part):
            name = f"{table}.{part.node.trigname}"
            yield RULE.at(part, name, f"CREATE OR REPLACE TRIGGER {part.node.trigname} on existing {table}")


RULE = Rule(
    id="replaced-trigger",
    gate="weak-guarantees",
    severity="error",
    title="No trigger of an existing table is written over",
    why="OR REPLACE looks at the name alone: a guard of that name, or somebody else's trigger, is gone without a word,"
    " and ENABLE ALWAYS with it.",
    help="leave OR REPLACE out; to change a trigger write DROP TRIGGER and CREATE TRIGGER, which a reviewer sees",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\n"
    "CREATE OR REPLACE TRIGGER guard BEFORE UPDATE ON public.a FOR EACH ROW EXECUTE FUNCTION public.g();",
    green="SET LOCAL lock_timeout = '500ms';\n"
    "CREATE TRIGGER guard BEFORE UPDATE ON public.a FOR EACH ROW EXECUTE FUNCTION public.g();",
    find=find,
)
