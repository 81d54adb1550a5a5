"""owner-change: what a migration makes belongs to whoever migrates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import commands, concrete, enum_name, kind_of, relation_of, roles, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """ALTER … OWNER TO of anything, new or old, REASSIGN OWNED, and CREATE SCHEMA AUTHORIZATION."""
    for part in subject.executed:
        if part.kind == "AlterTableStmt":
            for subtype, command in commands(part.node):
                if subtype == "AT_ChangeOwner":
                    yield _given(part, str(relation_of(part.node.relation)), command.newowner)
        elif part.kind == "AlterOwnerStmt":
            yield _given(part, _name(part), part.node.newowner)
        elif part.kind == "ReassignOwnedStmt":
            yield RULE.at(part, "REASSIGN OWNED", "REASSIGN OWNED gives away objects that the file does not name")
        elif part.kind == "CreateSchemaStmt" and part.node.HasField("authrole"):
            owner = roles([part.node.authrole])[0]
            yield RULE.at(part, part.node.schemaname or owner, f"CREATE SCHEMA AUTHORIZATION {owner}: it would own it")


def _given(part: Part, name: str, owner: object) -> Finding:
    return RULE.at(part, name, f"{name} is given to {roles([owner])[0]}")


def _name(part: Part) -> str:
    """The object of an ALTER … OWNER TO, as a name."""
    node = part.node
    if node.HasField("relation"):
        return str(relation_of(node.relation))
    target = concrete(node.object)
    kind = enum_name(node, "object_type").removeprefix("OBJECT_").replace("_", " ")
    if target is None:
        return kind
    if kind_of(target) == "ObjectWithArgs":
        return ".".join(strings(target.objname))
    words = strings(getattr(target, "items", getattr(target, "names", ())))
    return ".".join(words) or getattr(target, "sval", "") or kind


RULE = Rule(
    id="owner-change",
    gate="privilege-grants",
    severity="error",
    title="Nothing changes its owner",
    why="An owner switches guards off and grants itself the rest: a role of the application that owns a table is bound"
    " by nothing in it.",
    help="leave it out: the role that migrates owns everything; grant the others what they need",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a OWNER TO app;",
    green="GRANT SELECT ON TABLE public.a TO app;",
    find=find,
)
