"""Which object a statement of a no_tx file makes or takes away, and which statement of the file decides about it.

Owns: that one statement of a file undoes another one: an index, a database, a tablespace.
Promises: what the catalog should show of an object is asked of the last statement about it that was begun; an earlier
    one is neither sent again nor held against what that one did.
Limits: a name without schema may mean any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.migrations.ledger.journal import JournalEntry
    from scripts.parser.statements import Statement

# What it is, its schema, or "" where none is written or there is none, and its name.
Thing = tuple[str, str, str]


def is_undone(statement: Statement, later: Iterable[Statement], journal: Mapping[int, JournalEntry]) -> bool:
    """Whether a later statement took away what this one makes, or made what this one takes away.

    Args:
        statement: that is done.
        later: the statements behind it in the file.
        journal: what was begun of the file. One that was cut short counts: what became of it is found when its turn
            comes. A build of an index counts even when it was never begun: it adopts what is there, or refuses it.
    """
    made, taken = _made(statement), _taken(statement)
    return any(
        (made is not None and _is_same(_taken(other), made)) or (taken is not None and _is_same(_made(other), taken))
        for other in later
        if other.index in journal or other.kind == "IndexStmt"
    )


def takes_away(drop: Statement, build: Statement) -> bool:
    """Whether one statement takes away what the other one makes."""
    made = _made(build)
    return made is not None and _is_same(_taken(drop), made)


def _made(statement: Statement) -> Thing | None:
    node, kind = statement.node, statement.kind
    if kind == "IndexStmt":
        return "index", node.relation.schemaname, node.idxname
    if kind == "CreatedbStmt":
        return "database", "", node.dbname
    return ("tablespace", "", node.tablespacename) if kind == "CreateTableSpaceStmt" else None


def _taken(statement: Statement) -> Thing | None:
    node, kind = statement.node, statement.kind
    if kind == "DropStmt":
        *schema, name = [part.string.sval for part in node.objects[0].list.items]
        return "index", schema[-1] if schema else "", name
    if kind == "DropdbStmt":
        return "database", "", node.dbname
    return ("tablespace", "", node.tablespacename) if kind == "DropTableSpaceStmt" else None


def _is_same(one: Thing | None, other: Thing) -> bool:
    if one is None or (one[0], one[2]) != (other[0], other[2]):
        return False
    return not one[1] or not other[1] or one[1] == other[1]
