"""What a statement means for the transaction around it.

Owns: which statements cannot run inside a transaction, which may not be able to, and which would end it.
Source: PreventInTransactionBlock in PostgreSQL 18; tests/db/migrations/test_no_transaction.py asks a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scripts.parser.parse import Statement

_ALWAYS = {
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "AlterSystemStmt": "ALTER SYSTEM",
}
_MAYBE = {"ReindexStmt": "REINDEX", "ClusterStmt": "CLUSTER", "DropSubscriptionStmt": "DROP SUBSCRIPTION"}
# What a long build is given; anything else belongs to the runner's own baseline.
_BUILD_SETTINGS = frozenset({"maintenance_work_mem", "max_parallel_maintenance_workers"})
# The field that holds an option's value, by the kind of its node.
_VALUE = {"boolean": "boolval", "integer": "ival"}
_TRANSACTION_WORDS = {
    "TRANS_STMT_BEGIN": "BEGIN",
    "TRANS_STMT_START": "START TRANSACTION",
    "TRANS_STMT_COMMIT": "COMMIT",
    "TRANS_STMT_ROLLBACK": "ROLLBACK",
    "TRANS_STMT_SAVEPOINT": "SAVEPOINT",
    "TRANS_STMT_RELEASE": "RELEASE SAVEPOINT",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK TO SAVEPOINT",
    "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_COMMIT_PREPARED": "COMMIT PREPARED",
    "TRANS_STMT_ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}
# How a statement begins that neither controls a transaction nor streams to the client nor runs a block, and what must
# be written in it for the server to refuse it in a transaction all the same. A keyword has one spelling, in any case.
_PLAIN_HEADS = (
    "create", "alter", "drop", "comment", "grant", "revoke", "insert", "update", "delete", "select", "with", "set",
)  # fmt: skip
_SPECIAL_WORDS = ("concurrently", "database", "tablespace", "subscription", "system")


def is_plain(text: str) -> bool:
    """Whether a statement may stand in any transaction, as its words alone tell: False means that its tree must tell.

    Args:
        text: one statement that the grammar takes, from its first token on.
    """
    folded = text.lower()
    if not folded.startswith(_PLAIN_HEADS):
        return False
    for word in _SPECIAL_WORDS:  # noqa: SIM110 - twice as fast, and every statement of every run is asked
        if word in folded:
            return False
    return True


def needs_no_transaction(statement: Statement) -> str | None:
    """Why the server refuses the statement inside a transaction, or None when it takes it there."""
    node, kind = statement.node, statement.kind
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    found = _RULES.get(kind)
    return None if found is None else found(node)


def may_need_no_transaction(statement: Statement) -> str | None:
    """Why the statement may stand in a no_tx file: it needs it, or it does on some databases.

    A name alone does not tell whether a table is partitioned (REINDEX TABLE, CLUSTER), whether a subscription has a
    slot, or whether a new enum value is used before it could be committed.
    """
    reason = needs_no_transaction(statement)
    if reason is not None:
        return reason
    node = statement.node
    if statement.kind == "AlterEnumStmt" and not node.old_val:
        return "ALTER TYPE … ADD VALUE"
    if statement.kind == "VariableSetStmt" and not node.is_local and node.name in _BUILD_SETTINGS:
        return "SET"
    return _MAYBE.get(statement.kind)


def is_transaction_control(statement: Statement) -> bool:
    """Whether the statement begins, ends or divides a transaction."""
    return statement.kind == "TransactionStmt"


def transaction_word(node: Any) -> str:
    """How a TransactionStmt is written, such as COMMIT."""
    name = node.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    return _TRANSACTION_WORDS.get(str(name), str(name))


def copies_client_stream(statement: Statement) -> str | None:
    """`… FROM STDIN` or `… TO STDOUT` for a COPY that needs a client; None otherwise."""
    node = statement.node
    if statement.kind != "CopyStmt" or node.filename or node.is_program:
        return None
    return "… FROM STDIN" if node.is_from else "… TO STDOUT"


def option_flag(options: Any, name: str, *, default: bool) -> bool:
    """A boolean option of a `WITH (…)` or `(…)` list: present without a value means true.

    Args:
        options: a repeated field of DefElem nodes.
        name: in lower case.
        default: what its absence means.
    """
    for wrapper in options:
        option = wrapper.def_elem
        if option.defname.lower() != name:
            continue
        if not option.HasField("arg"):
            return True
        return option_text(option.arg).lower() not in ("false", "off", "0", "no", "none")
    return default


def option_text(arg: Any) -> str:
    """The value of a DefElem, as it was written: a word, a string or a number."""
    which = arg.WhichOneof("node")
    value = getattr(arg, which)
    if which == "type_name":  # a bare word, such as off
        return str(value.names[-1].string.sval)
    return str(getattr(value, _VALUE.get(which, "sval"), ""))


def _index(node: Any) -> str | None:
    if not node.concurrent:
        return None
    return "CREATE UNIQUE INDEX CONCURRENTLY" if node.unique else "CREATE INDEX CONCURRENTLY"


def _drop(node: Any) -> str | None:
    return "DROP INDEX CONCURRENTLY" if node.concurrent else None


def _reindex(node: Any) -> str | None:
    name = node.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    target = name.removeprefix("REINDEX_OBJECT_")
    if option_flag(node.params, "concurrently", default=False):
        return f"REINDEX {target} CONCURRENTLY"
    return f"REINDEX {target}" if target in ("SCHEMA", "SYSTEM", "DATABASE") else None


def _vacuum(node: Any) -> str | None:
    return "VACUUM" if node.is_vacuumcmd else None


def _cluster(node: Any) -> str | None:
    return None if node.HasField("relation") else "CLUSTER of every table"


def _alter_database(node: Any) -> str | None:
    moves = any(option.def_elem.defname == "tablespace" for option in node.options)
    return "ALTER DATABASE … SET TABLESPACE" if moves else None


def _alter_table(node: Any) -> str | None:
    for wrapper in node.cmds:
        command = wrapper.alter_table_cmd
        if command.HasField("def") and getattr(command, "def").partition_cmd.concurrent:
            return "ALTER TABLE … DETACH PARTITION CONCURRENTLY"
    return None


def _create_subscription(node: Any) -> str | None:
    connect = option_flag(node.options, "connect", default=True)
    creates_slot = option_flag(node.options, "create_slot", default=connect)
    return "CREATE SUBSCRIPTION with a slot" if connect and creates_slot else None


def _alter_subscription(node: Any) -> str | None:
    name = node.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    what = name.removeprefix("ALTER_SUBSCRIPTION_").replace("_", " ")
    if what == "REFRESH":
        return "ALTER SUBSCRIPTION … REFRESH PUBLICATION"
    if what in ("SET PUBLICATION", "ADD PUBLICATION", "DROP PUBLICATION"):
        refreshes = option_flag(node.options, "refresh", default=True)
        return f"ALTER SUBSCRIPTION … {what} with a refresh" if refreshes else None
    if what == "OPTIONS" and any(option.def_elem.defname in ("failover", "two_phase") for option in node.options):
        return "ALTER SUBSCRIPTION … SET (failover or two_phase)"
    return None


_RULES = {
    "IndexStmt": _index,
    "DropStmt": _drop,
    "ReindexStmt": _reindex,
    "VacuumStmt": _vacuum,
    "ClusterStmt": _cluster,
    "AlterDatabaseStmt": _alter_database,
    "AlterTableStmt": _alter_table,
    "CreateSubscriptionStmt": _create_subscription,
    "AlterSubscriptionStmt": _alter_subscription,
}
