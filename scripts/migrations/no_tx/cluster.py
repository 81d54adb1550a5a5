"""CREATE and DROP of databases and tablespaces, behind which an earlier run may have been cut short.

Owns: what is to be done of such a statement that was begun before, and whether what is there is what it makes.
Promises: what is there is taken as the statement's work only when the journal says that the statement was begun, and
    every property that it states, and its owner, are as it says; nothing is dropped that the file does not drop.
Limits: which template a database was copied from, the catalog does not tell. A statement that was never begun is sent,
    whatever is there: the server says 42P04 or 42710.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.errors.migration import ClusterConflictError
from scripts.parser.statements import option_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.migrations.no_tx.work import Work
    from scripts.parser.statements import Statement

KINDS = frozenset({"CreatedbStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt"})
DROPS = frozenset({"DropdbStmt", "DropTableSpaceStmt"})
# Properties by the names that options have, each as text; -2 connections is what a DROP DATABASE leaves that was cut
# short: nobody can connect, and it can only be dropped.
_DATABASE = """
SELECT pg_catalog.jsonb_build_object(
       'owner', pg_catalog.pg_get_userbyid(d.datdba), 'encoding', d.encoding::text, 'tablespace', s.spcname,
       'lc_collate', d.datcollate, 'lc_ctype', d.datctype, 'icu_locale', d.datlocale, 'builtin_locale', d.datlocale,
       'locale', CASE d.datlocprovider WHEN 'c' THEN d.datcollate ELSE d.datlocale END, 'icu_rules', d.daticurules,
       'locale_provider', CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END,
       'is_template', d.datistemplate::text, 'allow_connections', d.datallowconn::text,
       'connection_limit', d.datconnlimit::text)
  FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = d.dattablespace
 WHERE d.datname::text = %s::text"""
_TABLESPACE = """
SELECT pg_catalog.jsonb_build_object(
       'owner', pg_catalog.pg_get_userbyid(t.spcowner), 'location', pg_catalog.pg_tablespace_location(t.oid))
  FROM pg_catalog.pg_tablespace t WHERE t.spcname::text = %s::text"""
_ENCODING = "SELECT pg_catalog.pg_char_to_encoding(%s)::text"
_BOOLEAN = "SELECT %s::boolean::text"
_ROLE = "SELECT CASE WHEN %s = 'session_user' THEN session_user ELSE current_user END::text"
_SESSION_USER = 4  # of RoleSpecType
_INVALID = "-2"


def repeat_in_cluster(work: Work, statement: Statement) -> None:
    """Run the statement, or find that an earlier run has done it.

    Raises:
        ClusterConflictError: what is there is not what the statement makes.
        psycopg.Error: the server refused it.
    """
    name, creates = _named(statement)
    found = _found(work, statement)
    if not work.was_begun(statement) or (found is not None) != creates:
        work.send_traced(statement)
        return
    if found is None:
        work.note(f"{name} is already gone: dropped by an earlier run")
        return
    try:
        _require_same(name, found, _wanted(work, statement), where=work.where(statement))
    except ClusterConflictError:
        # Nothing was sent, so there is nothing to clean up: the journal still says that the statement was begun.
        work.statement = None
        raise
    work.note(f"{name} is already there, as the statement makes it: made by an earlier run")


def _require_same(name: str, found: Mapping[str, str | None], wanted: Mapping[str, str], *, where: str) -> None:
    if found.get("connection_limit") == _INVALID:
        raise ClusterConflictError.invalid(name, where=where)
    for key, value in wanted.items():
        # LOCALE is the default of three others.
        named = [found.get(other) for other in ("lc_collate", "lc_ctype", "icu_locale")] if key == "locale" else ()
        if key in found and found[key] != value and value not in named:
            raise ClusterConflictError.of(name, where=where, wanted=f"{key} {value}", found=f"{key} {found[key]}")


def is_still_done_in_cluster(work: Work, statement: Statement) -> bool:
    """Whether what was made is there, or what was dropped is not."""
    return (_found(work, statement) is not None) == _named(statement)[1]


def named_in_cluster(statement: Statement) -> str:
    """What the statement is about, for people."""
    return _named(statement)[0]


def _named(statement: Statement) -> tuple[str, bool]:
    """What the statement is about, for people, and whether it makes it."""
    node = statement.node
    if _is_about_database(statement):
        return f"database {node.dbname}", statement.kind == "CreatedbStmt"
    return f"tablespace {node.tablespacename}", statement.kind == "CreateTableSpaceStmt"


def _is_about_database(statement: Statement) -> bool:
    return statement.kind in ("CreatedbStmt", "DropdbStmt")


def _found(work: Work, statement: Statement) -> Mapping[str, str | None] | None:
    """The properties of what is there; None when nothing is."""
    if _is_about_database(statement):
        found = _value(work, _DATABASE, statement.node.dbname)
    else:
        found = _value(work, _TABLESPACE, statement.node.tablespacename)
    return None if found is None else dict(found)


def _wanted(work: Work, statement: Statement) -> dict[str, str]:
    """The properties that the statement states, as the catalog would have them."""
    node = statement.node
    if statement.kind == "CreateTableSpaceStmt":
        # As the server keeps it: without a slash at the end.
        location = {"location": node.location.rstrip("/")} if node.location else {}
        word = "session_user" if node.owner.roletype == _SESSION_USER else "current_user"
        return {"owner": node.owner.rolename or str(_value(work, _ROLE, word))} | location
    stated = {
        option.def_elem.defname: option_text(option.def_elem.arg)
        for option in node.options
        if option.def_elem.HasField("arg")  # DEFAULT is none
    }
    if not stated.get("encoding", "0").isdigit():
        stated["encoding"] = str(_value(work, _ENCODING, stated["encoding"]))
    for name in ("is_template", "allow_connections"):
        if name in stated:
            stated[name] = str(_value(work, _BOOLEAN, stated[name]))
    return {"owner": str(_value(work, _ROLE, "current_user"))} | stated


def _value(work: Work, query: str, value: str) -> Any:
    from psycopg.rows import tuple_row

    with work.conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode(), (value,), prepare=False).fetchone()
    return None if row is None else row[0]
