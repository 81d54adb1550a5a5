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
from scripts.parser.statements import walk

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
    for part in subject.parts:
        if part.kind == "DECLARE":
            for what, name in declared_names(part, frozenset(str(r.name) for r in subject.history.relations)):
                if what != "type" or name not in _catalog()["type"]:
                    yield BareName(part, what, name)
        if part.node is None:
            continue
        yield from _scan(part, part.node, free)
        yield from _named_objects(part)


def _scan(part: Part, node: Any, free: frozenset[str]) -> Iterator[BareName]:
    """Go down the tree with the names that are no relations."""
    message = concrete(node)
    if message is None:
        return
    kind = kind_of(message)
    if kind in _HOLDERS:
        return  # what it holds is a part of its own
    if hasattr(message, "with_clause") and message.HasField("with_clause"):
        free = free | {concrete(item).ctename for item in message.with_clause.ctes}
    if kind == "RangeVar":
        if not message.schemaname and message.relname not in free and message.relpersistence != "t":
            yield BareName(part, "relation", message.relname, message)
    elif kind in _READERS:
        yield from _READERS[kind](part, message)
    for descriptor, value in message.ListFields():
        # The names after REFERENCING are made there.
        if descriptor.message_type is None or descriptor.name == "transition_rels":
            continue
        for child in value if hasattr(value, "append") else (value,):
            yield from _scan(part, child, free)


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
    for target in walk(node):
        if kind_of(target) == "ObjectWithArgs" and kind not in ("CreateOpClassStmt", "CreateCastStmt"):
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
