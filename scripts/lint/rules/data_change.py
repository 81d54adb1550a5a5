"""data-change: expand first; a migration changes no row that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import kind_of, relation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_WORDS = {"UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}


def find(subject: LintInput) -> Iterator[Finding]:
    """UPDATE, DELETE, MERGE and upserts of existing tables, in WITH and DO as well; INSERT of new rows is fine."""
    for part in subject.parts:
        if not part.executed or part.node is None or (part.kind == "CreateFunctionStmt"):
            continue
        for message in part.messages("InsertStmt", *_WORDS):
            kind = kind_of(message)
            word = _WORDS.get(kind)
            if kind == "InsertStmt" and message.HasField("on_conflict_clause"):
                word = "INSERT … ON CONFLICT" if message.on_conflict_clause.target_list else None
            if word is None:
                continue
            table = relation_of(message.relation)
            if not subject.history.is_new(table, part):
                yield RULE.at(part, table, f"{word} of {table}", node=message.relation)


RULE = Rule(
    id="data-change",
    gate="migration-expand-contract-policy",
    severity="error",
    title="No migration updates, deletes or merges rows of an existing table",
    why="A backfill in the transaction of the DDL holds its locks for as long as there are rows, and meets triggers"
    " and constraints that were made for new rows.",
    help="backfill outside of the migrations, in batches, after the release that writes the new form",
    before="CREATE TABLE public.a (id bigint);",
    red="UPDATE public.a SET id = 1;",
    green="INSERT INTO public.a (id) VALUES (1);",
    find=find,
)
