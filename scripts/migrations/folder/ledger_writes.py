"""A migration that writes to the ledger's own tables, found in its text before anything runs.

Owns: which statements write to a table, and which tables are the ledger's.
Promises: INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY, DDL, a new trigger, rule or policy, on one of the three
    tables, at the top of a file or in the body of a DO block or function, is refused by its line. Reading, GRANT and
    COMMENT are no writes. So is what takes all three along: DROP or RENAME of schema public, DROP OWNED BY oneself.
    SQL that is made at run time, and a function of an earlier file of the run, are found in the file's own transaction
    (ledger/as_left.py): from the first file on that has the name in it, a string or a comment too.
Limits: a name that is itself put together, and a function of an earlier run, are found at the next start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.errors.sql_text import LedgerWriteError
from scripts.parser.statements import Positions, body_statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.migrations.folder.files import MigrationFile
    from scripts.parser.statements import Statement

# In schema public.
TABLES = frozenset({"schema_migrations", "schema_migrations_history", "schema_migrations_journal"})
_HINT = b"schema_migrations"
# What can take schema public, or all that a role owns, with it.
_TAKES_AWAY = re.compile(rb"drop\s+(?:schema|owned)\b"), re.compile(rb"alter\s+schema\b")
_THEMSELVES = frozenset({"ROLESPEC_CURRENT_ROLE", "ROLESPEC_CURRENT_USER", "ROLESPEC_SESSION_USER"})
# The field that holds what is written to, by the kind of the statement.
_TARGETS = {
    "InsertStmt": "relation",
    "UpdateStmt": "relation",
    "DeleteStmt": "relation",
    "MergeStmt": "relation",
    "AlterTableStmt": "relation",
    "RenameStmt": "relation",
    "AlterObjectSchemaStmt": "relation",
    "CreateTrigStmt": "relation",
    "RuleStmt": "relation",
    "CreateStmt": "relation",
    "CreatePolicyStmt": "table",
    "AlterPolicyStmt": "table",
    "ViewStmt": "view",
    "IntoClause": "rel",
}
_TEMPORARY = "t"
_LEDGER = "schema_migrations"
_SCHEMA = "OBJECT_SCHEMA"


def says_ledger(data: bytes) -> bool:
    """Whether a file has the ledger's name anywhere, in a string or a comment too."""
    return _HINT in data.lower()


def require_no_ledger_write(file: MigrationFile) -> None:
    """Check every statement that has the ledger's name in it.

    Raises:
        LedgerWriteError: the first one that writes to one of its tables, by its line.
    """
    if not _may_concern(file.data):
        return
    for excerpt in file.excerpts:
        if not _may_concern(excerpt.text.encode()):
            continue
        for offset, table in _written(excerpt.parsed(where=file.name)):
            positions = Positions(file.text)
            raise LedgerWriteError.of(table, where=positions.label(file.name, offset), source=positions.caret(offset))


def _may_concern(data: bytes) -> bool:
    said = data.lower()
    return _HINT in said or any(pattern.search(said) for pattern in _TAKES_AWAY)


def _written(statement: Statement) -> Iterator[tuple[int, str]]:
    """Where one of the ledger's tables is written to, and its name as it is written there."""
    for table in _written_by(statement.node):
        yield statement.offset, table
    for inner in body_statements(statement):
        for table in _written_by(inner.node) if inner.node is not None else ():
            yield inner.offset, table


def _written_by(node: Any) -> Iterator[str]:
    for message in walk(node):
        if _takes_all(message):
            yield _LEDGER
        for names in _targets(message):
            if names[-1] in TABLES and names[:-1] in ((), ("public",)):
                yield ".".join(names)


def _takes_all(message: Any) -> bool:
    """Whether the statement takes the three along with all that is in schema public, or all that the runner owns."""
    kind = message.DESCRIPTOR.name
    if kind == "DropStmt":
        return _enum(message, "remove_type") == _SCHEMA and any(one.string.sval == "public" for one in message.objects)
    if kind == "DropOwnedStmt":
        return any(_enum(one.role_spec, "roletype") in _THEMSELVES for one in message.roles)
    return kind == "RenameStmt" and _enum(message, "rename_type") == _SCHEMA and message.subname == "public"


def _enum(message: Any, name: str) -> str:
    """The name of an enum field's value."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return str(field.enum_type.values_by_number[getattr(message, name)].name)


def _targets(message: Any) -> Iterator[tuple[str, ...]]:
    """The names, in parts, of every table that the message itself writes to."""
    kind = message.DESCRIPTOR.name
    relations: list[Any] = []
    if kind == "DropStmt":
        for wrapper in message.objects:
            yield tuple(part.string.sval for part in wrapper.list.items if part.HasField("string"))[-2:] or ("",)
    elif kind == "TruncateStmt":
        relations = [wrapper.range_var for wrapper in message.relations]
    elif kind == "CopyStmt":
        relations = [message.relation] if message.is_from else []
    elif kind in _TARGETS:
        field = _TARGETS[kind]
        relations = [getattr(message, field)] if message.HasField(field) else []
    if kind == "CreateStmt":
        # A child's rows are read with its parent's.
        relations += [wrapper.range_var for wrapper in message.inh_relations]
    elif kind == "AlterTableStmt":
        commands = [getattr(wrapper.alter_table_cmd, "def") for wrapper in message.cmds]
        relations += [command.range_var for command in commands if command.HasField("range_var")]
    for relation in relations:
        if relation.relpersistence != _TEMPORARY:
            yield tuple(part for part in (relation.schemaname, relation.relname) if part) or ("",)
