"""Names without a schema, wherever the grammar lets one stand.

Owns: which bare names are no relation (WITH, transition tables, OLD and NEW), and which mean pg_catalog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.lint.declared import declared_names
from scripts.lint.nodes import concrete, constant, enum_name, kind_of, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

_CATALOG = Path(__file__).parent / "pg_catalog_18.txt"
# Types whose strings are names.
_NAMING_TYPES = frozenset({"regclass", "regproc", "regprocedure", "regtype"})
_NAMING_CALLS = frozenset(
    {"nextval", "currval", "setval", "to_regclass", "to_regproc", "to_regprocedure", "to_regtype"}
)
# Statements whose own name is a list of words: (field, what it names).
_OWN_NAME = {
    "CreateEnumStmt": ("type_name", "type"),
    "CreateRangeStmt": ("type_name", "type"),
    "AlterEnumStmt": ("type_name", "type"),
    "CreateDomainStmt": ("domainname", "domain"),
    "AlterDomainStmt": ("type_name", "domain"),
    "CreateFunctionStmt": ("funcname", "function"),
}
_WRITING = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_HOLDERS = frozenset({"CreateSchemaStmt", "ExplainStmt", "PrepareStmt"})
_NAMED_BY_LIST = {
    "OBJECT_TABLE": "table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_INDEX": "index",
    "OBJECT_FOREIGN_TABLE": "table",
}
_NAMED_ON_TABLE = frozenset({"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"})


@dataclass(frozen=True, slots=True)
class BareName:
    """A name without a schema; `what` it is: table, function, type and so on."""

    part: Part = field(repr=False)
    what: str
    name: str
    node: Any = field(default=None, repr=False)


def unqualified_names(subject: LintInput) -> Iterator[BareName]:
    """Every bare name that should have had a schema."""
    free = _transition_tables(subject)
    relations = frozenset(map(str, subject.history.relations))
    for part in subject.parts:
        if part.kind == "DECLARE":
            for what, name in declared_names(part, relations):
                if what != "type" or name not in _catalog()["type"]:
                    yield BareName(part, what, name)
        if part.node is None or part.kind in _HOLDERS:
            continue  # what those hold is a part of its own
        if any(not message.schemaname for message in part.messages("RangeVar")):
            yield from _relations(part, free)
        for kind, read in _READERS.items():
            for message in part.messages(kind):
                yield from read(part, message)
        yield from _named_objects(part)


def _relations(part: Part, free: frozenset[str]) -> Iterator[BareName]:
    """Go down the tree with the names that are no relations."""
    stack: list[tuple[Any, frozenset[str]]] = [(part.node, free)]
    while stack:
        wrapped, visible = stack.pop()
        message = concrete(wrapped)
        if message is None:
            continue
        kind = kind_of(message)
        if kind != "RangeVar":
            stack += _below(message, kind, visible)
        elif not message.schemaname and message.relname not in visible and message.relpersistence != "t":
            yield BareName(part, "relation", message.relname, message)


def _below(message: Any, kind: str, visible: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The messages directly below, each with the names that are no relations there."""
    outside = visible
    fields = message.ListFields()
    if any(descriptor.name == "with_clause" for descriptor, _ in fields):
        clause = message.with_clause
        tables = [concrete(wrapper) for wrapper in clause.ctes]
        names = [table.ctename for table in tables]
        for index, table in enumerate(tables):
            # Without RECURSIVE a WITH query sees those before it; its own name still means the relation.
            yield table, visible | frozenset(names if clause.recursive else names[:index])
        visible = visible | frozenset(names)
    for descriptor, value in fields:
        # The names after REFERENCING are made there.
        if descriptor.message_type is None or descriptor.name in ("transition_rels", "with_clause"):
            continue
        # What is written to is always a relation, whatever WITH calls by its name.
        written = descriptor.name == "relation" and kind in _WRITING
        for child in value if hasattr(value, "append") else (value,):
            yield child, outside if written else visible


def _trigger(part: Part, trigger: Any) -> Iterator[BareName]:
    words = strings(trigger.funcname)
    if len(words) == 1:
        yield BareName(part, "function", words[0])


def _call(part: Part, call: Any) -> Iterator[BareName]:
    words = strings(call.funcname)
    if len(words) == 1 and words[0] not in _catalog()["function"] and words[0] not in _catalog()["type"]:
        yield BareName(part, "function", words[0], call)
    if words[-1] in _NAMING_CALLS and (len(words) == 1 or words[0] == "pg_catalog") and call.args:
        yield from _string(part, constant(call.args[0]), call.args[0])


def _type(part: Part, node: Any) -> Iterator[BareName]:
    words = strings(node.names)
    if node.pct_type:
        if len(words) == 2:
            yield BareName(part, "relation", words[0], node)
    elif len(words) == 1 and words[0] not in _catalog()["type"] and not words[0].endswith("serial"):
        yield BareName(part, "type", words[0], node)


def _cast(part: Part, cast: Any) -> Iterator[BareName]:
    words = strings(cast.type_name.names)
    if words and words[-1] in _NAMING_TYPES:
        yield from _string(part, constant(cast.arg), cast.arg)


def _string(part: Part, value: Any, node: Any) -> Iterator[BareName]:
    """A string that names an object: bare when it has no dot before its argument list, or the type is pg_catalog's."""
    if not isinstance(value, str):
        return
    name = value.split("(")[0].strip()
    known = _catalog()["type"] | _catalog()["function"]
    if name and "." not in name and name.lower() not in known and not name.startswith("-"):
        yield BareName(part, "the string", f"'{value}'", concrete(node))


def _named_objects(part: Part) -> Iterator[BareName]:
    """Names that the grammar keeps as lists of words: DROP, COMMENT, GRANT, ALTER … OWNER, CREATE TYPE and so on."""
    if not part.is_sql:
        return
    node, kind = part.node, part.kind
    if kind in _OWN_NAME:
        field_name, what = _OWN_NAME[kind]
        words = strings(getattr(node, field_name))
        if len(words) == 1:
            yield BareName(part, what, words[0])
    for target in part.messages("ObjectWithArgs"):
        if kind not in ("CreateOpClassStmt", "CreateCastStmt"):
            words = strings(target.objname)
            # Operators are named by such a node, too.
            if len(words) == 1 and words[0] not in _catalog()["function"] and words[0].isidentifier():
                yield BareName(part, "function", words[0])
    if kind == "DropStmt":
        for wrapper in node.objects:
            yield from _listed(part, enum_name(node, "remove_type"), concrete(wrapper))
    elif kind in ("CommentStmt", "SecLabelStmt"):
        yield from _listed(part, enum_name(node, "objtype"), concrete(node.object))


def _listed(part: Part, kind: str, target: Any) -> Iterator[BareName]:
    if target is None or kind_of(target) != "List":
        return
    words = strings(target.items)
    if kind in _NAMED_ON_TABLE:
        if len(words) == 2:
            yield BareName(part, "relation", words[0])
    elif kind in _NAMED_BY_LIST and len(words) == 1:
        yield BareName(part, _NAMED_BY_LIST[kind], words[0])


def _transition_tables(subject: LintInput) -> frozenset[str]:
    found = {"old", "new"}
    for part in subject.parts:
        if part.kind == "CreateTrigStmt":
            found |= {concrete(wrapper).name for wrapper in part.node.transition_rels}
    return frozenset(found)


@cache
def _catalog() -> dict[str, frozenset[str]]:
    """The functions and types of pg_catalog in PostgreSQL 18."""
    lines = [line.split() for line in _CATALOG.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {what: frozenset(name for kind, name in lines if kind == what) for what in ("function", "type")}


_READERS = {"FuncCall": _call, "TypeName": _type, "TypeCast": _cast, "CreateTrigStmt": _trigger}
