"""libpq's variables in the caller's environment: none reaches a server of our own, all reach another."""

from __future__ import annotations

import os
import secrets
import shlex
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from make_foreign import PASSWORD
from make_runs import quiet
from make_stays import exported
from make_variables import ASTRAY, IDS, TOGETHER
from make_voices import Heard
from psycopg import sql

from scripts.errors.server import UnreachableError, WrongPasswordError
from scripts.migrations.waiting.beside import connect_beside
from scripts.run.commands import COMMANDS
from scripts.run.rehearsal import open_rehearsal
from scripts.server.clones.templates import open_templates
from scripts.server.open import open_server
from scripts.server.places import shown_url
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import Settings, read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from make_stays import Stays

    from scripts.server.model import Server

# What a session begins with, before a file of ours or somebody's sets anything.
_BEGUN = (
    "SELECT name, reset_val FROM pg_catalog.pg_settings WHERE name IN ('DateStyle', 'TimeZone', 'geqo',"
    " 'log_statement', 'client_encoding',"
    " 'default_tablespace', 'session_replication_role', 'search_path') ORDER BY name"
)
RELOADED = "configuration was reloaded"


def begun(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """The settings it began with."""
    return conn.execute(_BEGUN).fetchall()


@pytest.mark.parametrize(("name", "value"), ASTRAY, ids=IDS)
def test_no_variable_reaches_a_server_of_our_own(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Neither as the owner nor as the superuser, nor beside another connection; and afterwards it is as it was."""
    assert server.admin_dsn is not None
    for dsn in (server.dsn, server.admin_dsn):
        with connect(dsn) as conn:
            plain = begun(conn)
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with connect(dsn) as conn, connect_beside(conn) as beside:
                assert begun(conn) == plain
                assert begun(beside) == plain
            assert os.environ[name] == value  # noqa: TID251 - it is what the test is about


def test_they_all_together_change_no_run(stays: Stays) -> None:
    """A run, a server that stays with its second `up`, and the copy that `drift` compares with: as without them."""
    heard = stays.invoke("migrate", **TOGETHER)
    assert heard.out[-1] == "27 files = 0 applied before + 27 applied now"
    assert not [line for line in heard.progress if RELOADED in line]
    for known in ("made now", "there since"):
        up = stays.invoke("up", "--name", "dev", **TOGETHER)
        assert known in up.out[0], up.text
    variables = exported(up.out[2])
    misleading = {"PGPORT": "5433", "PGDATESTYLE": "German", "PGTZ": "Asia/Tokyo", "PGUSER": "nobody_at_all"}
    drift = stays.invoke("drift", FRESH_DB="0", SERVER="auto", **variables, **misleading)
    assert "no drift" in drift.text
    stays.invoke("down", "--name", "dev", **TOGETHER)
    assert stays.leftovers() == []


def test_copies_are_ours_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template's copy, and the server that a plan is rehearsed on."""
    for name, value in TOGETHER.items():
        monkeypatch.setenv(name, value)
    with open_templates(server, report=quiet) as templates, templates.copy("template1") as copy:
        for dsn in (copy.dsn, copy.admin_dsn):
            with connect(dsn) as conn:
                assert conn.info.dbname == copy.name
    settings = Settings(server="embedded", server_start_timeout_ms=10_000)
    with open_rehearsal(settings, (), ledger=False, superuser=False, report=quiet):
        pass


@pytest.mark.parametrize("variable", ["PGDATESTYLE", "PGOPTIONS", "PGTZ"])
def test_a_foreign_server_is_reached_as_the_caller_says(
    foreign: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """What a session of the caller's begins with is what ours does; and that no configuration was reloaded is known."""
    value = {"PGDATESTYLE": "German", "PGOPTIONS": "-c DateStyle=German", "PGTZ": "Asia/Tokyo"}[variable]
    monkeypatch.setenv(variable, value)
    heard = Heard()
    settings = Settings(server="external", database_url=foreign)
    with connect(foreign) as conn:
        assert (dict(begun(conn))["TimeZone"] == "Asia/Tokyo") == (variable == "PGTZ")
        assert dict(begun(conn))["DateStyle"].startswith("German") == (variable != "PGTZ")
    assert COMMANDS["migrate"](settings, heard.voice()) == 0
    assert not [line for line in heard.progress if RELOADED in line]


def test_a_foreign_servers_password_and_service_come_from_variables(
    foreign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSWORD, PGSERVICE with PGSERVICEFILE, PGTARGETSESSIONATTRS: as libpq has them, while others connect."""
    parts = parse_dsn(foreign)
    url = f"postgresql://{parts['user']}@/{parts['dbname']}"
    service = tmp_path / "service.conf"
    service.write_text(f"[there]\nhost={parts['host']}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setenv("PGSERVICE", "there")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with connect(url) as conn, connect_beside(conn) as beside:
        assert beside.info.user == parts["user"]
    monkeypatch.setenv("PGPASSWORD", "another")
    with pytest.raises(WrongPasswordError):
        connect(url)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    with pytest.raises(UnreachableError):
        connect(url)


def test_threads_of_both_kinds_do_not_take_each_others_variables(
    server: Server, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side: the foreign one always has its password, ours never the port."""
    parts = parse_dsn(foreign)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    found: dict[str, set[str]] = {url: set(), server.dsn: set()}

    def reach(dsn: str) -> None:
        for _ in range(15):
            try:
                with connect(dsn) as conn:
                    found[dsn].add(dict(begun(conn))["TimeZone"])
            except (UnreachableError, WrongPasswordError) as error:
                found[dsn].add(error.what)

    threads = [threading.Thread(target=reach, args=(dsn,)) for dsn in (url, server.dsn) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {url: {"Asia/Tokyo"}, server.dsn: {"UTC"}}


def test_what_keep_db_prints_connects(foreign: str, server: Server) -> None:
    """As it is pasted into a shell, with the password from elsewhere: psql's argument is a URL of that database."""
    assert server.admin_dsn is not None
    login = f"it's {secrets.token_hex(4)} @&?="
    identifier = sql.Identifier(login)
    with connect(server.admin_dsn) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(identifier, PASSWORD))
    host = parse_dsn(foreign)["host"]
    url = shown_url({"user": login, "dbname": "postgres", "host": host, "options": "-c work_mem=5MB"})
    url += f"&password={quote(PASSWORD, safe='')}"
    lines: list[str] = []
    settings = read_settings({"DATABASE_URL": url, "KEEP_DB": "1", "HOME": "/nowhere"})
    with open_server(settings, run_id="r", report=lines.append) as opened:
        database = parse_dsn(opened.dsn)["dbname"]
    try:
        pasted, removal = lines[-1].removeprefix("server   kept: ").split("; DROP ")
        assert removal == f'DATABASE "{database}" removes it'
        program, shown = shlex.split(pasted)
        assert program == "psql"
        assert "p@ss" not in shown
        assert "p%40ss" not in shown
        with psycopg.connect(shown, password=PASSWORD) as conn:
            found = conn.execute("SELECT current_user, current_database(), current_setting('work_mem')").fetchone()
            assert found == (login, database, "5MB")
    finally:
        with connect(server.admin_dsn) as conn:
            conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))
            conn.execute(sql.SQL("DROP ROLE {}").format(identifier))
