"""Readings of libpg_query's messages that several rules need: names, types, options, constants.

Owns: `QualifiedName`, and the spelling of what a node names.
Never: decides whether something is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Where a name without a schema ends up in this house; rules compare names under this assumption, and another rule
# (unqualified-name) refuses the missing schema itself.
DEFAULT_SCHEMA = "public"


@dataclass(frozen=True, slots=True, order=True)
class QualifiedName:
    """A schema and a name, both as the server stores them."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def kind_of(node: Any) -> str:
    """The message's name, such as AlterTableStmt."""
    return str(node.DESCRIPTOR.name)


def concrete(node: Any) -> Any:
    """The message inside a `Node` wrapper; any other message as it is; None for an empty wrapper."""
    if node.DESCRIPTOR.name != "Node":
        return node
    which = node.WhichOneof("node")
    return None if which is None else getattr(node, which)


def enum_name(node: Any, name: str) -> str:
    """The symbol of an enum field, such as AT_AddColumn."""
    descriptor = node.DESCRIPTOR.fields_by_name[name].enum_type
    return str(descriptor.values_by_number[getattr(node, name)].name)


def strings(nodes: Iterable[Any]) -> list[str]:
    """The values of a list of String nodes."""
    return [item.sval for node in nodes if (item := concrete(node)) is not None and hasattr(item, "sval")]


def name_of(parts: Iterable[Any]) -> QualifiedName:
    """The name spelled by a list of String nodes; without a schema it is in the default one."""
    words = strings(parts)
    if len(words) >= 2:
        return QualifiedName(words[-2], words[-1])
    return QualifiedName(DEFAULT_SCHEMA, words[0] if words else "")


def relation_of(range_var: Any) -> QualifiedName:
    """The relation a RangeVar names."""
    if range_var.relpersistence == "t":
        return QualifiedName("pg_temp", range_var.relname)
    return QualifiedName(range_var.schemaname or DEFAULT_SCHEMA, range_var.relname)


def type_name(node: Any) -> str:
    """A TypeName as text: `int4`, `public.state`, `text[]`, `public.t.id%TYPE`; `pg_catalog.` left out."""
    words = strings(node.names)
    if words[:1] == ["pg_catalog"]:
        words = words[1:]
    text = ".".join(words) + ("%TYPE" if node.pct_type else "") + "[]" * len(node.array_bounds)
    return ("setof " if node.setof else "") + text


def type_with_modifiers(node: Any) -> str:
    """A TypeName with its modifiers: `varchar(10)`."""
    modifiers = [str(value) for item in node.typmods if (value := constant(item)) is not None]
    return type_name(node) + (f"({','.join(modifiers)})" if modifiers else "")


def constant(node: Any) -> str | int | bool | None:
    """The value of a constant (a float as text), casts of it looked through; None for anything else."""
    item = concrete(node)
    while item is not None and kind_of(item) == "TypeCast":
        item = concrete(item.arg)
    if item is None or kind_of(item) != "A_Const" or item.isnull:
        return None
    which = item.WhichOneof("val")
    if which == "sval":
        return str(item.sval.sval)
    if which == "ival":
        return int(item.ival.ival)
    if which == "boolval":
        return bool(item.boolval.boolval)
    return str(item.fval.fval) if which == "fval" else None


def option(options: Iterable[Any], name: str) -> Any:
    """The last DefElem of that name in a list of options, or None: where the server takes two, the last one wins."""
    found = None
    for wrapper in options:
        item = concrete(wrapper)
        if item is not None and kind_of(item) == "DefElem" and item.defname.lower() == name:
            found = item
    return found


def option_boolean(item: Any, *, default: bool) -> bool:
    """The truth of a DefElem: `SECURITY DEFINER` is true, `(fillfactor)` without a value, too."""
    if item is None:
        return default
    if not item.HasField("arg"):
        return True
    value = concrete(item.arg)
    if kind_of(value) == "Boolean":
        return bool(value.boolval)
    if kind_of(value) == "Integer":
        return bool(value.ival)
    return str(getattr(value, "sval", "")).lower() not in ("false", "off", "0", "no", "none")


def definition(command: Any) -> Any:
    """What an AlterTableCmd carries (a column, a constraint, a partition), or None."""
    return concrete(getattr(command, "def")) if command.HasField("def") else None


def commands(node: Any) -> Iterator[tuple[str, Any]]:
    """(subtype, command) of every command of an ALTER TABLE, such as ("AT_AddColumn", …)."""
    for wrapper in node.cmds:
        command = concrete(wrapper)
        yield enum_name(command, "subtype"), command


def column_constraints(column: Any) -> Iterator[tuple[str, Any]]:
    """(type, constraint) of every constraint written behind a column, such as ("CONSTR_NOTNULL", …)."""
    for wrapper in column.constraints:
        constraint = concrete(wrapper)
        yield enum_name(constraint, "contype"), constraint


def roles(role_specs: Iterable[Any]) -> list[str]:
    """Names of roles: PUBLIC, CURRENT_USER and so on in capitals, others as they are."""
    found = []
    for wrapper in role_specs:
        role = concrete(wrapper)
        kind = enum_name(role, "roletype")
        found.append(role.rolename if kind == "ROLESPEC_CSTRING" else kind.removeprefix("ROLESPEC_"))
    return found
