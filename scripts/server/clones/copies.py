"""A database copied on a server of our own, and with it what CREATE DATABASE leaves behind.

Owns: the strategy of the copy; the privileges, settings (those of a role in it, too), connection limit and comment of a
    database, which are rows of shared catalogs and none of the copied files.
Promises: a copy has all of them as its source has, or an error is raised: they are read back and compared.
Never: is used on a server that is not ours: it needs a superuser, and a checkpoint for each copy.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from scripts.errors.templates import CopyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection
    from psycopg.sql import Composable

# Everything in one row each; names by their owners' catalogs, so that what is compared does not hang on object numbers.
_SEEN: LiteralString = """
SELECT d.datname::text, d.xmin::text, d.datistemplate, d.datallowconn, pg_catalog.pg_get_userbyid(d.datdba)::text,
       d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database'),
       CASE WHEN d.datacl IS NOT NULL THEN
            (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                        pg_catalog.pg_get_userbyid(a.grantor),
                        CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
                        a.privilege_type, a.is_grantable)), '[]')
               FROM pg_catalog.aclexplode(d.datacl) AS a) END,
       (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                   CASE s.setrole WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END, c.setting)), '[]')
          FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS c (setting)
         WHERE s.setdatabase = d.oid)
  FROM pg_catalog.pg_database AS d
"""
# Whose value is a list of names, each quoted by itself where it has to be; everything else is one string (pg_dump's
# variable_is_guc_list_quote, which holds the same list).
_LISTS_OF_NAMES = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_PRIVILEGES: Final[dict[str, LiteralString]] = {
    "CREATE": "CREATE",
    "CONNECT": "CONNECT",
    "TEMPORARY": "TEMPORARY",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One privilege on a database; `grantee` None is PUBLIC."""

    grantor: str
    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """What of a database is not in its files.

    grants: None where nobody has granted or revoked anything.
    settings: role (None for all) and `name=value`.
    connection_limit: -1 for none.
    """

    owner: str
    connection_limit: int
    comment: str | None
    grants: frozenset[Grant] | None
    settings: frozenset[tuple[str | None, str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One database. `xid` is the transaction that last changed its row: its name, owner, rights or flags."""

    name: str
    xid: str
    is_template: bool
    connectable: bool
    shared: Shared


def read_seen(conn: Connection, names: Sequence[str]) -> dict[str, Seen]:
    """The databases of these names that there are."""
    return {seen.name: seen for seen in map(_seen, conn.execute(f"{_SEEN} WHERE d.datname::text = ANY (%s)", [names]))}


def read_prefixed(conn: Connection, prefix: str) -> list[Seen]:
    """The databases whose names begin so, the oldest first."""
    rows = conn.execute(
        f"{_SEEN} WHERE pg_catalog.starts_with(d.datname::text, %s) ORDER BY d.oid",
        [prefix],
    )
    return [_seen(row) for row in rows]


def make_database(conn: Connection, name: str, owner: str) -> None:
    """An empty database: of template0, so that nothing somebody put into template1 is in it.

    Raises:
        psycopg.Error: the server's refusal.
    """
    from psycopg import sql

    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 STRATEGY file_copy")
    conn.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))


def copy_database(conn: Connection, source: str, shared: Shared, name: str) -> Seen | None:
    """Copy a database to which nobody is connected.

    Args:
        conn: a superuser's, in autocommit, to another database.
        source: the name.
        shared: what the copy is to have beside the files.
        name: the copy's.

    Returns:
        The source as it was when the copy was done: a change up to then shows in it. None when it is gone.

    Raises:
        psycopg.Error: the server's refusal; as a rule there is no copy then.
        CopyError: the copy does not have what it should; it is there.
    """
    from psycopg import sql

    # By files: several times as fast as by log on a memory file system, and faster on a disk that is not synced.
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy CONNECTION LIMIT {}")
    parts = (name, shared.owner, source)
    conn.execute(statement.format(*map(sql.Identifier, parts), sql.Literal(shared.connection_limit)))
    carried = list(_carried(name, shared))
    if carried:
        # One message is one transaction.
        conn.execute(sql.SQL("; ").join(carried), prepare=False)
    seen = read_seen(conn, [source, name])
    if name not in seen or seen[name].shared != shared:
        raise CopyError.differs(name, _differing(shared, seen[name].shared if name in seen else None))
    return seen.get(source)


@contextmanager
def undone(conn: Connection, name: str) -> Iterator[None]:
    """Drop what the block has begun to make when it raises, unless the name was somebody else's all along."""
    import psycopg

    try:
        yield
    except BaseException as exc:
        taken = psycopg.errors.DuplicateDatabase
        if not isinstance(exc, taken) and not isinstance(exc.__cause__, taken):
            drop_database(conn, name)
        raise


def drop_database(conn: Connection, name: str) -> None:
    """Remove one that was made here, whoever is connected to it; nothing happens where it is gone."""
    from psycopg import sql

    conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _carried(name: str, shared: Shared) -> Iterator[Composable]:
    """The statements that give a new database what its source has."""
    from psycopg import sql

    database = sql.Identifier(name)
    if shared.comment is not None:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(shared.comment))
    for role, setting in sorted(shared.settings, key=str):
        whose = sql.SQL("") if role is None else sql.SQL("ROLE {} IN ").format(sql.Identifier(role))
        yield sql.SQL("ALTER {}DATABASE {} SET {}").format(whose, database, _assignment(setting))
    if shared.grants is None:
        return
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(database, sql.Identifier(shared.owner))
    for grant in in_order(shared.grants, shared.owner):
        if grant.grantor != shared.owner:
            yield sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(grant.grantor))
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(_PRIVILEGES[grant.privilege]),
            database,
            sql.SQL("PUBLIC") if grant.grantee is None else sql.Identifier(grant.grantee),
            sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
        )
        if grant.grantor != shared.owner:
            yield sql.SQL("SET LOCAL ROLE NONE")


def in_order(grants: frozenset[Grant], owner: str) -> list[Grant]:
    """Nobody grants before it was granted the option; the rest, which cannot be, last: the comparison tells of it."""
    left = sorted(grants, key=lambda grant: (grant.grantor != owner, str(grant)))
    ordered: list[Grant] = []
    while left:
        able = {(grant.grantee, grant.privilege) for grant in ordered if grant.grantable}
        ready = [grant for grant in left if grant.grantor == owner or (grant.grantor, grant.privilege) in able]
        if not ready:
            return ordered + left
        ordered += ready
        left = [grant for grant in left if grant not in ready]
    return ordered


def _assignment(setting: str) -> Composable:
    """`name TO value`, from the catalog's `name=value`."""
    from psycopg import sql

    name, _, value = setting.partition("=")
    values = names_of(value) if name.lower() in _LISTS_OF_NAMES else [value]
    # An extension's setting has two parts, each a name.
    target = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
    return sql.SQL("{} TO {}").format(target, sql.SQL(", ").join(map(sql.Literal, values)))


def names_of(value: str) -> list[str]:
    """The names of a list such as `"$user", public`; one empty string for an empty list."""
    names: list[str] = []
    rest = value.strip()
    while rest:
        if rest.startswith('"'):
            end = 1
            while rest[end : end + 2] == '""' or rest[end] != '"':
                end += 2 if rest[end : end + 2] == '""' else 1
            names.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].lstrip()
            rest = rest[1:].lstrip() if rest.startswith(",") else rest
        else:
            name, _, rest = rest.partition(",")
            names.append(name.strip())
            rest = rest.lstrip()
    return names or [""]


def _differing(wanted: Shared, found: Shared | None) -> list[str]:
    """The names of the parts that differ, for the error: their values may be anybody's."""
    if found is None:
        return ["all of it: there is no such database any more"]
    words = {
        "owner": "the owner",
        "connection_limit": "the connection limit",
        "comment": "the comment",
        "grants": "the privileges",
        "settings": "the settings",
    }
    return [text for name, text in words.items() if getattr(wanted, name) != getattr(found, name)]


def _seen(row: Any) -> Seen:
    name, xid, is_template, connectable, owner, limit, comment, grants, settings = row
    return Seen(
        name,
        xid,
        is_template,
        connectable,
        Shared(
            owner,
            limit,
            comment,
            None if grants is None else frozenset(Grant(*grant) for grant in grants),
            frozenset((role, setting) for role, setting in settings),
        ),
    )
