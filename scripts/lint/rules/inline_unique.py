"""inline-unique: a key of an existing table takes an index that is already built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.tables import added_constraints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput

_WORDS = {"CONSTR_PRIMARY": "PRIMARY KEY", "CONSTR_UNIQUE": "UNIQUE", "CONSTR_EXCLUSION": "EXCLUDE"}


def find(subject: LintInput) -> Iterator[Finding]:
    """PRIMARY KEY, UNIQUE and EXCLUDE without USING INDEX."""
    for item in added_constraints(subject):
        if item.kind in _WORDS and not item.constraint.indexname:
            word = _WORDS[item.kind]
            yield RULE.at(
                item.change.part, item.name, f"{word} {item.name} builds its index under the lock", node=item.constraint
            )


RULE = Rule(
    id="inline-unique",
    gate="ddl-lock-risk",
    severity="error",
    title="A unique constraint or primary key is added USING INDEX",
    why="Without an index at hand the server builds one while nobody can read or write.",
    help="CREATE UNIQUE INDEX CONCURRENTLY in a no_tx file, then ADD CONSTRAINT … USING INDEX",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD CONSTRAINT a_key UNIQUE (id);",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ADD CONSTRAINT a_key UNIQUE USING INDEX a_id_idx;",
    find=find,
)
