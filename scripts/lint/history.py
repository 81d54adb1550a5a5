"""What the files create, in order: which relation is old when a statement meets it, which function a name meant.

Owns: `History`. "Existing" means: not created earlier in the same file. Whatever no file creates at all must be there
    already, so it exists, too; CREATE … IF NOT EXISTS proves nothing, nor does a CREATE in a DO block, which may not
    be reached.
Never: asks a database; what a database knows better (row counts, locks held) is proved elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import (
    QualifiedName,
    column_constraints,
    commands,
    concrete,
    definition,
    enum_name,
    name_of,
    relation_of,
    strings,
    type_name,
    type_with_modifiers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scripts.lint.subject import LintFile, Part

_OUTPUTS = ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a routine; `mode` is IN, OUT, INOUT, VARIADIC or TABLE."""

    name: str
    type: str
    mode: str
    has_default: bool


@dataclass(frozen=True, slots=True)
class Routine:
    """A function or procedure as it is created."""

    name: QualifiedName
    parameters: tuple[Parameter, ...]
    returns: str
    part: Part = field(repr=False, compare=False)

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """What a call passes."""
        return tuple(p for p in self.parameters if p.mode not in ("OUT", "TABLE"))

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """(name, type) of the columns it returns."""
        return tuple((p.name, p.type) for p in self.parameters if p.mode in ("OUT", "TABLE", "INOUT"))

    @property
    def signature(self) -> tuple[str, ...]:
        """The input types: with the name, what identifies it."""
        return tuple(p.type for p in self.inputs)


@dataclass(frozen=True, slots=True)
class Created:
    """Something a part creates. `kind` is the grammar's object type without OBJECT_, such as TABLE or FUNCTION."""

    kind: str
    name: str
    part: Part = field(repr=False)


@dataclass(frozen=True)
class History:
    """Everything created, in order."""

    relations: dict[QualifiedName, list[Part]] = field(default_factory=dict)
    routines: dict[QualifiedName, list[Routine]] = field(default_factory=dict)
    others: dict[tuple[str, str], list[Part]] = field(default_factory=dict)
    columns: dict[tuple[QualifiedName, str], list[tuple[Part, str]]] = field(default_factory=dict)
    keys: dict[QualifiedName, list[tuple[Part, tuple[str, ...]]]] = field(default_factory=dict)
    indexes: dict[QualifiedName, QualifiedName] = field(default_factory=dict)

    def is_new(self, relation: QualifiedName, at: Part) -> bool:
        """Whether the part's own file created the relation before the part."""
        return _before_in_file(self.relations.get(relation, ()), at)

    def created_here(self, kind: str, name: str, at: Part) -> bool:
        """Whether the part's own file created an object of that kind and name before the part."""
        return _before_in_file(self.others.get((kind, name), ()), at)

    def routine_before(self, name: QualifiedName, at: Part, signature: tuple[str, ...] | None) -> Routine | None:
        """The newest routine of that name (and signature, if given) created before the part, in whatever file."""
        found = [
            routine
            for routine in self.routines.get(name, ())
            if precedes(routine.part, at) and (signature is None or routine.signature == signature)
        ]
        return found[-1] if found else None

    def routines_after(self, name: QualifiedName, at: Part) -> list[Routine]:
        """The routines of that name which the part's own file creates after the part."""
        return [
            routine
            for routine in self.routines.get(name, ())
            if routine.part.file is at.file and routine.part.order > at.order and routine.part.body is None
        ]

    def column_type(self, relation: QualifiedName, column: str, at: Part) -> str | None:
        """The type the column had when the part met it; None when no file says."""
        found = [text for part, text in self.columns.get((relation, column), ()) if precedes(part, at)]
        return found[-1] if found else None


def precedes(first: Part, second: Part) -> bool:
    """Whether a part comes before another, across files."""
    return (first.file.number, first.order) < (second.file.number, second.order)


def read_history(files: Iterable[LintFile]) -> History:
    """Go through everything that migrating runs."""
    history = History()
    for file in files:
        for part in file.parts:
            if part.executed and part.is_sql:
                _READERS.get(part.kind, _read_nothing)(history, part)
    return history


def routine_of(part: Part) -> Routine:
    """A CREATE FUNCTION or PROCEDURE as a record."""
    node = part.node
    parameters = []
    for wrapper in node.parameters:
        item = concrete(wrapper)
        mode = enum_name(item, "mode").removeprefix("FUNC_PARAM_")
        mode = "IN" if mode == "DEFAULT" else mode
        parameters.append(Parameter(item.name, type_name(item.arg_type), mode, item.HasField("defexpr")))
    returns = type_name(node.return_type) if node.HasField("return_type") else ""
    return Routine(name_of(node.funcname), tuple(parameters), returns, part)


def signature_of(target: Any) -> tuple[str, ...] | None:
    """The input types an ObjectWithArgs names; None when it names none at all (`DROP FUNCTION f`)."""
    if target.args_unspecified:
        return None
    if target.objfuncargs:
        items = [concrete(wrapper) for wrapper in target.objfuncargs]
        return tuple(type_name(item.arg_type) for item in items if enum_name(item, "mode") not in _OUTPUTS)
    return tuple(type_name(item) for wrapper in target.objargs if (item := concrete(wrapper)) is not None)


def _before_in_file(parts: Iterable[Part], at: Part) -> bool:
    return any(part.file is at.file and part.order < at.order and part.body is None for part in parts)


def _read_nothing(history: History, part: Part) -> None:
    """Most statements create nothing that a later one could meet."""


def _add_relation(history: History, part: Part, name: QualifiedName, kind: str, *, proves: bool = True) -> None:
    if proves:
        history.relations.setdefault(name, []).append(part)
        history.others.setdefault((kind, str(name)), []).append(part)


def _create_table(history: History, part: Part) -> None:
    node = part.node
    name = relation_of(node.relation)
    _add_relation(history, part, name, "TABLE", proves=not node.if_not_exists)
    for wrapper in node.table_elts:
        element = concrete(wrapper)
        if element.DESCRIPTOR.name == "ColumnDef":
            _column(history, part, name, element)
        elif element.DESCRIPTOR.name == "Constraint":
            _constraint(history, part, name, element)


def _column(history: History, part: Part, table: QualifiedName, column: Any) -> None:
    history.columns.setdefault((table, column.colname), []).append((part, type_with_modifiers(column.type_name)))
    for kind, constraint in column_constraints(column):
        if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_FOREIGN"):
            history.keys.setdefault(table, []).append((part, (column.colname,)))
        if kind == "CONSTR_FOREIGN":
            _referenced(history, part, constraint)


def _constraint(history: History, part: Part, table: QualifiedName, constraint: Any) -> None:
    kind = enum_name(constraint, "contype")
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        history.keys.setdefault(table, []).append((part, tuple(strings(constraint.keys))))
    elif kind == "CONSTR_FOREIGN":
        history.keys.setdefault(table, []).append((part, tuple(strings(constraint.fk_attrs))))
        _referenced(history, part, constraint)
    if constraint.conname:
        history.others.setdefault(("TABCONSTRAINT", f"{table}.{constraint.conname}"), []).append(part)


def _referenced(history: History, part: Part, constraint: Any) -> None:
    columns = tuple(strings(constraint.pk_attrs))
    history.keys.setdefault(relation_of(constraint.pktable), []).append((part, columns))


def _alter_table(history: History, part: Part) -> None:
    table = relation_of(part.node.relation)
    for subtype, command in commands(part.node):
        item = definition(command)
        if subtype == "AT_AddColumn":
            _column(history, part, table, item)
        elif subtype == "AT_AddConstraint":
            _constraint(history, part, table, item)
        elif subtype == "AT_AlterColumnType":
            history.columns.setdefault((table, command.name), []).append((part, type_with_modifiers(item.type_name)))


def _create_table_as(history: History, part: Part) -> None:
    kind = enum_name(part.node, "objtype").removeprefix("OBJECT_")
    _add_relation(history, part, relation_of(part.node.into.rel), kind, proves=not part.node.if_not_exists)


def _select_into(history: History, part: Part) -> None:
    if part.node.HasField("into_clause"):
        _add_relation(history, part, relation_of(part.node.into_clause.rel), "TABLE")


def _view(history: History, part: Part) -> None:
    _add_relation(history, part, relation_of(part.node.view), "VIEW", proves=not part.node.replace)


def _sequence(history: History, part: Part) -> None:
    _add_relation(history, part, relation_of(part.node.sequence), "SEQUENCE", proves=not part.node.if_not_exists)


def _index(history: History, part: Part) -> None:
    node = part.node
    table = relation_of(node.relation)
    if not node.idxname or node.if_not_exists:
        return
    name = QualifiedName(table.schema, node.idxname)
    _add_relation(history, part, name, "INDEX")
    history.indexes[name] = table
    if node.unique:
        columns = tuple(concrete(item).name for item in node.index_params)
        history.keys.setdefault(table, []).append((part, columns))


def _routine(history: History, part: Part) -> None:
    routine = routine_of(part)
    history.routines.setdefault(routine.name, []).append(routine)


def _trigger(history: History, part: Part) -> None:
    if not part.node.replace:
        table = relation_of(part.node.relation)
        history.others.setdefault(("TRIGGER", f"{table}.{part.node.trigname}"), []).append(part)


def _policy(history: History, part: Part) -> None:
    table = relation_of(part.node.table)
    history.others.setdefault(("POLICY", f"{table}.{part.node.policy_name}"), []).append(part)


def _schema(history: History, part: Part) -> None:
    if not part.node.if_not_exists:
        history.others.setdefault(("SCHEMA", part.node.schemaname), []).append(part)


def _type(history: History, part: Part) -> None:
    history.others.setdefault(("TYPE", str(name_of(part.node.type_name))), []).append(part)


def _composite(history: History, part: Part) -> None:
    history.others.setdefault(("TYPE", str(relation_of(part.node.typevar))), []).append(part)


def _domain(history: History, part: Part) -> None:
    history.others.setdefault(("DOMAIN", str(name_of(part.node.domainname))), []).append(part)


def created_parts(history: History) -> Iterator[Created]:
    """Everything created, for rules that look at all of it."""
    for (kind, name), parts in history.others.items():
        for part in parts:
            yield Created(kind, name, part)


_READERS = {
    "CreateStmt": _create_table,
    "CreateForeignTableStmt": lambda history, part: _add_relation(
        history, part, relation_of(part.node.base_stmt.relation), "FOREIGN_TABLE"
    ),
    "AlterTableStmt": _alter_table,
    "CreateTableAsStmt": _create_table_as,
    "SelectStmt": _select_into,
    "ViewStmt": _view,
    "CreateSeqStmt": _sequence,
    "IndexStmt": _index,
    "CreateFunctionStmt": _routine,
    "CreateTrigStmt": _trigger,
    "CreatePolicyStmt": _policy,
    "CreateSchemaStmt": _schema,
    "CreateEnumStmt": _type,
    "CreateRangeStmt": _type,
    "CompositeTypeStmt": _composite,
    "CreateDomainStmt": _domain,
}
