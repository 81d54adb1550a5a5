"""Which statements cannot lock a relation that existed before their file, so that asking for locks can be spared.

Owns: that list. It is short and errs on the side of asking: a question costs 0.05 ms, a lock that is not seen costs the
trace its worth. A database with event triggers is asked after every statement, because a trigger may do anything.
Source: which relations a command opens in PostgreSQL 18; tests/db/trace asks a server after each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.parser.statements import Statement

_SETTINGS = frozenset({"VariableSetStmt", "VariableShowStmt", "DeallocateStmt"})
# Objects that COMMENT, GRANT and REVOKE find without opening a relation.
_NO_RELATION = frozenset({
    "OBJECT_FUNCTION",
    "OBJECT_PROCEDURE",
    "OBJECT_ROUTINE",
    "OBJECT_SCHEMA",
    "OBJECT_TYPE",
    "OBJECT_ROLE",
    "OBJECT_DATABASE",
    "OBJECT_LANGUAGE",
})  # fmt: skip
_QUIET_COMMANDS = frozenset({
    "EnableRowSecurity",
    "ForceRowSecurity",
    "EnableAlwaysTrig",
    "EnableTrig",
    "DisableTrig",
    "ColumnDefault",
    "SetNotNull",
    "DropNotNull",
    "ChangeOwner",
    "SetStatistics",
    "SetRelOptions",
})  # fmt: skip

_BUILDS = frozenset({"CreateStmt", "IndexStmt", "AlterTableStmt"})


def builds(statement: Statement) -> bool:
    """Whether a quiet statement may make the server tell of scans and builds, of tables that nobody knew before."""
    return statement.kind in _BUILDS


class Quiet:
    """Decides for the statements of one file, in order."""

    def __init__(self, statements: Sequence[Statement], *, event_triggers: bool) -> None:
        self._asks_always = event_triggers or any(
            statement.kind in ("CreateEventTrigStmt", "AlterEventTrigStmt") for statement in statements
        )
        self._made: set[tuple[str, str]] = set()

    def is_setting(self, statement: Statement) -> bool:
        """Whether it is not even worth a look at the clock; a question may come too early for SET TRANSACTION."""
        return statement.kind in _SETTINGS

    def is_quiet(self, statement: Statement) -> bool:
        """Whether it locks nothing that existed before. Statements are given in order, each once."""
        node, kind = statement.node, statement.kind
        if kind == "CreateStmt" and not node.if_not_exists and node.relation.schemaname:
            self._made.add((node.relation.schemaname, node.relation.relname))
        decide = None if self._asks_always else _DECIDE.get(kind)
        return decide is not None and decide(self, node)

    def tells_nothing(self, statement: Statement) -> bool:
        """Whether what the server says of a statement at debug level can only be about relations that it makes itself.

        Nine of its messages come from each CREATE TABLE with a key of another table, which is no reason to hear them.
        """
        return not self._asks_always and statement.kind == "CreateStmt" and _is_by_itself(statement.node)

    def is_made(self, relation: Any) -> bool:
        """Whether the file itself made a table, so that nobody else can see it yet."""
        return self.has_made(relation.schemaname, relation.relname)

    def has_made(self, schema: str, name: str) -> bool:
        """The same, by its name."""
        return (schema, name) in self._made


def _schema(_: Quiet, node: Any) -> bool:
    return not node.schema_elts


def _plain(_: Quiet, __: Any) -> bool:
    return True


def _comment(quiet: Quiet, node: Any) -> bool:
    name = _enum(node, "objtype")
    if name in _NO_RELATION:
        return True
    if name not in ("OBJECT_TABLE", "OBJECT_COLUMN"):
        return False
    parts = [part.string.sval for part in node.object.list.items]
    return len(parts) == (2 if name == "OBJECT_TABLE" else 3) and quiet.has_made(parts[0], parts[1])


def _grant(quiet: Quiet, node: Any) -> bool:
    if _enum(node, "targtype") != "ACL_TARGET_OBJECT":
        return False
    name = _enum(node, "objtype")
    if name in _NO_RELATION:
        return True
    return name == "OBJECT_TABLE" and all(quiet.is_made(target.range_var) for target in node.objects)


def _function(_: Quiet, node: Any) -> bool:
    """PL/pgSQL is only parsed when it is made; a type in it that names a table is looked up, and locks nothing."""
    return any(
        option.def_elem.defname == "language" and option.def_elem.arg.string.sval == "plpgsql"
        for option in node.options
    )


def _index(quiet: Quiet, node: Any) -> bool:
    """Without expressions nothing else is run; the rows are the file's own."""
    return (
        quiet.is_made(node.relation)
        and not node.HasField("where_clause")
        and not any(parameter.index_elem.HasField("expr") for parameter in node.index_params)
    )


def _trigger(quiet: Quiet, node: Any) -> bool:
    return quiet.is_made(node.relation) and not node.HasField("constrrel")


def _table(_: Quiet, node: Any) -> bool:
    """Nothing of it refers to another table."""
    return _is_by_itself(node) and not any(_refers(element) for element in (*node.table_elts, *node.constraints))


def _is_by_itself(node: Any) -> bool:
    """Neither a child, nor a partition, nor LIKE, and surely made: all that is read or built is its own, and empty."""
    if node.inh_relations or node.HasField("of_typename") or node.HasField("partspec") or node.if_not_exists:
        return False
    return not any(element.HasField("table_like_clause") for element in node.table_elts)


def _refers(element: Any) -> bool:
    if element.HasField("constraint"):
        return _is_foreign_key(element.constraint)
    return any(_is_foreign_key(wrapper.constraint) for wrapper in element.column_def.constraints)


def _is_foreign_key(constraint: Any) -> bool:
    return _enum(constraint, "contype") == "CONSTR_FOREIGN"


def _alter_table(quiet: Quiet, node: Any) -> bool:
    """Of a table that the file made, and what touches no other."""
    if _enum(node, "objtype") != "OBJECT_TABLE" or not quiet.is_made(node.relation):
        return False
    return all(_is_quiet_command(wrapper.alter_table_cmd) for wrapper in node.cmds)


def _is_quiet_command(command: Any) -> bool:
    name = _enum(command, "subtype").removeprefix("AT_")
    if name == "AddConstraint":
        return not _is_foreign_key(getattr(command, "def").constraint)
    return name in _QUIET_COMMANDS


def _enum(node: Any, field: str) -> str:
    values = node.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(node, field)].name)


_DECIDE: dict[str, Callable[[Quiet, Any], bool]] = {
    "CreateSchemaStmt": _schema,
    "CreateEnumStmt": _plain,
    "CreateRoleStmt": _plain,
    "GrantRoleStmt": _plain,
    "CommentStmt": _comment,
    "GrantStmt": _grant,
    "CreateFunctionStmt": _function,
    "IndexStmt": _index,
    "CreateTrigStmt": _trigger,
    "CreateStmt": _table,
    "AlterTableStmt": _alter_table,
}
