"""Somebody else's server: a throw-away database on it, or the database as it is, and nothing else."""

from __future__ import annotations

import re
import secrets
import signal
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from make_foreign import url_of
from make_runs import fail_inside, quiet
from make_voices import Heard
from psycopg import sql

from scripts.errors.base import ExitCode, Interrupted
from scripts.errors.server import (
    DatabaseMissingError,
    NotAllowedError,
    ServerError,
    UnreachableError,
    WrongPasswordError,
)
from scripts.errors.unfit import OtherEncodingError
from scripts.run.commands import COMMANDS
from scripts.server.open import open_server
from scripts.server.readiness import connect, parse_dsn, with_database
from scripts.server.staying_on import begin_anew, told_of_kept
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from fix_database import ScratchDatabase

    from scripts.server.model import Server

WRONG = "hunter22"
# Everything a stray write could change: databases, roles and memberships, and the relations of the URL's database.
STATE = """
SELECT 'database ' || datname || ' ' || pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database
UNION ALL SELECT 'role ' || rolname FROM pg_catalog.pg_roles
UNION ALL SELECT 'member ' || roleid::text || ' ' || member::text FROM pg_catalog.pg_auth_members
UNION ALL SELECT 'relation ' || oid::regclass::text FROM pg_catalog.pg_class WHERE oid >= 16384
ORDER BY 1
"""


def state(url: str) -> list[str]:
    """What is on the server."""
    with connect(url) as conn:
        return [line for (line,) in conn.execute(STATE)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_in_another_encoding_is_told_before_anything_is_done(foreign: str, encoding: str) -> None:
    """By name, with what is expected; nothing was migrated into it. A throw-away one is in ours, whoever's server."""
    name = f"other_{encoding.lower()}"
    with connect(foreign) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'".encode())
    url = with_database(foreign, name)
    settings = Settings(database_url=url, fresh_db=False)
    try:
        with pytest.raises(OtherEncodingError) as caught, open_server(settings, run_id="r", report=quiet):
            pass
        assert caught.value.exit_code is ExitCode.NO_SERVER
        assert f"/{name}: the database keeps its text in another encoding" in str(caught.value)
        assert f"expected  UTF8\n  found     {encoding}" in str(caught.value)
        with open_server(Settings(database_url=url), run_id="r", report=quiet) as server:
            assert server.facts["encoding"] == "UTF8"
    finally:
        with connect(foreign) as conn:
            conn.execute(f"DROP DATABASE {name}".encode())


def test_a_throw_away_database_leaves_the_server_as_it_was(foreign: str) -> None:
    """Made by us, owned by the role in the URL, dropped with everybody in it; the URL's own database is not touched."""
    before = state(foreign)
    lines: list[str] = []
    with open_server(Settings(database_url=foreign), run_id="r", report=lines.append) as server:
        assert server.origin == "external"
        assert server.admin_dsn is None
        database = parse_dsn(server.dsn)["dbname"]
        assert database.startswith("parity_")
        assert server.facts["user_relations_before"] == "0"
        assert (server.facts["locale_provider"], server.facts["locale"]) == ("b", "C.UTF-8")
        hanging = psycopg.connect(server.dsn)
        hanging.execute("CREATE TABLE public.t (id int)")
        assert any(database in line for line in state(foreign))
    hanging.close()
    assert state(foreign) == before
    assert lines == [f"server   external: {server.reason}"]
    assert server.reason.endswith("since DATABASE_URL is set and FRESH_DB=1")
    assert "p@ss" not in repr(server) + "".join(lines)


def test_it_is_dropped_when_the_run_fails_and_the_failure_is_what_is_raised(foreign: str) -> None:
    """Whatever the run raised, the database goes."""
    before = state(foreign)
    with pytest.raises(ZeroDivisionError):
        fail_inside(open_server(Settings(database_url=foreign), run_id="r", report=quiet))
    assert state(foreign) == before


def test_roles_that_a_run_made_are_named_since_they_stay(foreign: str, server: Server) -> None:
    """Roles belong to the whole server; whether they are ours alone cannot be known."""
    lines: list[str] = []
    role = f"role_{secrets.token_hex(4)}"
    settings = Settings(database_url=foreign)
    with open_server(settings, run_id="r", report=lines.append) as opened, connect(opened.dsn) as conn:
        conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    assert any(line.startswith("server   roles that appeared") and role in line for line in lines)
    with connect(str(server.admin_dsn)) as conn:
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_keep_db_keeps_it_and_says_where(foreign: str) -> None:
    """Without the password, for a shell; test_variables.py connects with it."""
    lines: list[str] = []
    with open_server(Settings(database_url=foreign, keep_db=True), run_id="r", report=lines.append) as opened:
        database = parse_dsn(opened.dsn)["dbname"]
    parts = parse_dsn(foreign)
    where = f"postgresql://{parts['user']}@/{database}?host={quote(parts['host'], safe='')}"
    assert lines[-1] == f"server   kept: psql '{where}'; DROP DATABASE \"{database}\" removes it"
    assert "p@ss" not in lines[-1]
    with connect(foreign) as conn:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))


def test_a_superuser_is_said_to_be_one(server: Server) -> None:
    """Nothing is denied to it, so a missing grant would pass unseen."""
    lines: list[str] = []
    settings = Settings(database_url=url_of(str(server.admin_dsn)))
    with open_server(settings, run_id="r", report=lines.append) as opened:
        assert opened.admin_dsn == opened.dsn
        assert opened.facts["owner_is_superuser"] == "true"
    assert "server   the role in DATABASE_URL is a superuser: a missing grant will not show" in lines


def test_an_interruption_says_that_a_kept_database_stays(foreign: str) -> None:
    """KEEP_DB=1: not that all is gone."""
    begin_anew()
    lines: list[str] = []
    with (
        pytest.raises(Interrupted),
        open_server(Settings(database_url=foreign, keep_db=True), run_id="r", report=lines.append),
    ):
        raise Interrupted(signal.SIGINT)
    database = lines[-1].split('"')[1]
    assert told_of_kept() == f'the database {database} stays (DROP DATABASE "{database}" removes it)'
    with connect(foreign) as conn:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))


def test_another_login_than_the_roles_maker_is_told_the_grant_that_helps(
    foreign: str, server: Server, database: ScratchDatabase, tmp_path: Path
) -> None:
    """The roles stay on the server, with ADMIN for whoever made them: 42501, until the very GRANT of the help."""
    assert database.name  # somebody else migrated on that server, and made the roles
    settings = Settings(database_url=foreign, evidence_dir=tmp_path)
    heard = Heard()
    assert COMMANDS["verify"](settings, heard.voice(), only=["outbox-claim-semantics"]) == 1
    found = re.search(r"GRANT [a-z_, ]+ TO … WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", heard.text)
    assert found is not None, heard.text
    login = sql.Identifier(parse_dsn(foreign)["user"])
    with connect(str(server.admin_dsn)) as conn:
        before, after = found[0].split("…")
        conn.execute(sql.SQL(before) + login + sql.SQL(after))
    assert COMMANDS["verify"](settings, Heard().voice(), only=["outbox-claim-semantics", "role-login-posture"]) == 0


def test_fresh_db_0_is_the_database_as_it_is(foreign: str) -> None:
    """The very database of the URL, before and after; no superuser's way in."""
    with connect(foreign) as conn:
        conn.execute("CREATE TABLE public.kept (id int)")
    before = state(foreign)
    settings = Settings(fresh_db=False, database_url=foreign)
    with open_server(settings, run_id="r", report=quiet) as server:
        assert server.dsn == foreign
        assert server.admin_dsn is None
        assert server.facts["user_relations_before"] == "1"
    assert state(foreign) == before


def test_a_role_without_createdb_is_told_its_choices(server: Server) -> None:
    """The owner of a fresh server may not create databases."""
    settings = Settings(database_url=url_of(server.dsn))
    with pytest.raises(NotAllowedError) as caught, open_server(settings, run_id="r", report=quiet):
        pass
    assert "the role may not create a throw-away database" in str(caught.value)
    assert "help: ALTER ROLE … CREATEDB, or FRESH_DB=0" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("fresh_db", [True, False])
def test_what_is_wrong_with_a_url_is_named(server: Server, *, fresh_db: bool) -> None:
    """Nothing there, a wrong password, a database that does not exist: three errors, exit 3, no password."""
    good = parse_dsn(server.dsn)
    cases: list[tuple[str, type[ServerError], str]] = [
        ("postgresql://u:hunter22@127.0.0.1:1/d", UnreachableError, "u@127.0.0.1:1/d: the server cannot be reached"),
        (url_of(server.dsn, password=WRONG), WrongPasswordError, "refuses the user or the password"),
        (url_of(server.dsn, dbname="nowhere"), DatabaseMissingError, 'there is no database "nowhere"'),
        (url_of(server.dsn, user="nobody_here", password=WRONG), WrongPasswordError, "refuses the user"),
    ]
    for url, kind, text in cases:
        with (
            pytest.raises(kind) as caught,
            open_server(Settings(fresh_db=fresh_db, database_url=url), run_id="r", report=quiet),
        ):
            pass
        assert text in str(caught.value)
        assert caught.value.exit_code == 3
        assert WRONG not in str(caught.value)
        assert good["password"] not in str(caught.value)
        assert caught.value.__cause__ is None  # the driver's error holds the connection's parameters


def test_a_failed_drop_says_what_to_do_by_hand(foreign: str, server: Server) -> None:
    """The role lost its rights meanwhile: the name of what is left, and the command."""
    name = sql.Identifier(parse_dsn(foreign)["user"])
    databases: list[str] = []

    def lose_rights() -> None:
        with open_server(Settings(database_url=foreign), run_id="r", report=quiet) as opened:
            databases.append(parse_dsn(opened.dsn)["dbname"])
            with connect(str(server.admin_dsn)) as conn:
                conn.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(name))

    with pytest.raises(NotAllowedError) as caught:
        lose_rights()

    (database,) = databases
    with connect(str(server.admin_dsn)) as conn:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))
    assert f'the throw-away database "{database}" could not be dropped' in str(caught.value)
    assert f'help: drop it by hand: DROP DATABASE "{database}" WITH (FORCE)' in str(caught.value)
