"""Throw-away databases of killed runs on somebody else's server: dropped by the next run, and nothing else ever is."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess  # noqa: TID251 - a test starts the program it kills
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_runs import processes, quiet
from psycopg import sql
from psycopg.conninfo import make_conninfo

from scripts.server.foreign import strays
from scripts.server.foreign.strays import Lock, create_recorded, drop_own, sweep_databases, throwaway_name
from scripts.server.open import open_server
from scripts.server.owner import BEGAN, PID, PLACE, owner_labels
from scripts.server.readiness import connect, parse_dsn
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.server.model import Server

GONE_WITHIN_S = 2.0
DEAD = {PID: "4194304", BEGAN: "1"}
# argv: DATABASE_URL. Opens a throw-away database and waits to be killed.
CHILD = """
import sys, time
from scripts.server.open import open_server
from scripts.settings import Settings
say = lambda text: print(text, flush=True)
with open_server(Settings(database_url=sys.argv[1]), run_id="test", report=say) as server:
    say("ready " + server.dsn)
    time.sleep(60)
"""


# Before that: nobody stands beside the run, as where that process is killed, too.
ALONE = """
from contextlib import nullcontext
from scripts.server.foreign import origin
origin.mourning = lambda url, database: nullcontext()
"""


@pytest.fixture
def conn(foreign: str) -> Iterator[Connection]:
    """The login's connection to its own database."""
    with connect(foreign) as conn:
        yield conn


@pytest.fixture
def stray(conn: Connection) -> Iterator[str]:
    """A database as a killed run leaves it."""
    name = make(conn)
    yield name
    conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def make(conn: Connection, name: str | None = None, *, kept: bool = False) -> str:
    """A database with a record whose owner is dead, and whose lock nobody has."""
    name = name or throwaway_name()
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    create_recorded(conn, name, statement, Lock(secrets.randbits(63)), kept=kept)
    relabel(conn, name, **DEAD)
    return name


def comment_of(conn: Connection, name: str) -> str:
    """The record as it stands."""
    row = conn.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    assert row is not None
    return str(row[0])


def remark(conn: Connection, name: str, text: str | None) -> None:
    """Another comment."""
    conn.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))


def relabel(conn: Connection, name: str, **changes: str) -> None:
    """Other words in the record."""
    remark(conn, name, json.dumps(json.loads(comment_of(conn, name)) | changes))


def there(conn: Connection, name: str) -> bool:
    """Whether there is a database of that name."""
    return conn.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def begin(url: str, before: str = ALONE) -> tuple[subprocess.Popen[str], str]:
    """A run with a database, and the database's name."""
    run = subprocess.Popen([sys.executable, "-c", before + CHILD, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("ready "):
            return run, parse_dsn(line.removeprefix("ready ").strip())["dbname"]
    pytest.fail("the run ended before it was ready")


def test_what_a_killed_run_left_is_dropped_by_the_next_and_told(foreign: str, conn: Connection) -> None:
    """While the run lives its database stays, though nobody is connected to it."""
    run, name = begin(foreign)
    lines: list[str] = []
    try:
        with open_server(Settings(database_url=foreign), run_id="r", report=lines.append):
            assert there(conn, name)
    finally:
        run.kill()
        run.communicate()
    assert not any(name in line for line in lines)
    wait_until_let_go(conn, name)
    with open_server(Settings(database_url=foreign), run_id="r", report=lines.append):
        assert not there(conn, name)
    assert f'server   dropped what a killed run had left: the database "{name}"' in lines


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_killed_run_left_is_gone_in_two_seconds(foreign: str, conn: Connection, signum: int) -> None:
    """With nobody to start another run; and the process that saw to it is gone as well."""
    run, name = begin(foreign, before="")
    (beside,) = (pid for pid, parent, line in processes() if parent == run.pid and "mourner.py" in line)
    assert parse_dsn(foreign)["password"] not in str(processes())
    assert there(conn, name)
    run.send_signal(signum)
    run.communicate()
    deadline = time.monotonic() + GONE_WITHIN_S

    def left() -> list[str]:
        """One that has ended, and that nobody has asked for its status, has no command line."""
        return [line for pid, _, line in processes() if pid == beside and line] + [name] * there(conn, name)

    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left() == []


@pytest.mark.parametrize("checks", ["500ms", "0"])
def test_a_statement_under_way_does_not_outlive_its_killed_run(foreign: str, conn: Connection, checks: str) -> None:
    """A migration in the middle of 25 s: session and database are gone, whether or not the server looks at clients."""
    works = "conn = connect(server.dsn)\n    say('ready ' + server.dsn)\n    conn.execute('SELECT pg_sleep(25)')"
    code = "from scripts.server.readiness import connect\n" + CHILD.replace('say("ready " + server.dsn)', works)
    url = make_conninfo(foreign, options=f"-c client_connection_check_interval={checks}")
    run = subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    name = next(parse_dsn(line[6:].strip())["dbname"] for line in run.stdout if line.startswith("ready "))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE '%%pg_sleep%%'"
    deadline = time.monotonic() + 5
    while conn.execute(sleeping, [name]).fetchone() != (1,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.kill()
    run.communicate()
    deadline = time.monotonic() + GONE_WITHIN_S
    while there(conn, name) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not there(conn, name)
    assert conn.execute(sleeping, [name]).fetchone() == (0,)


def test_a_session_the_login_may_not_end_delays_the_drop_and_the_others_go(
    foreign: str, conn: Connection, stray: str, server: Server
) -> None:
    """A superuser who looks at it: nobody ends him, and when he leaves it is dropped."""
    with closing(psycopg.connect(str(server.admin_dsn), dbname=stray)) as looks:
        with closing(psycopg.connect(foreign, dbname=stray, autocommit=True)) as dead:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                drop_own(conn, stray)
            with pytest.raises(psycopg.OperationalError):
                dead.execute("SELECT 1")
        assert looks.execute("SELECT 1").fetchone() == (1,)
        assert there(conn, stray)
    deadline = time.monotonic() + 5
    while conn.execute("SELECT FROM pg_stat_activity WHERE datname = %s", [stray]).fetchone():
        assert time.monotonic() < deadline
    assert drop_own(conn, stray)
    assert not there(conn, stray)


def test_one_that_is_kept_has_nobody_who_waits_to_drop_it(foreign: str, conn: Connection) -> None:
    """KEEP_DB=1: it stays, whatever ends the run."""
    code = CHILD.replace("database_url=sys.argv[1]", "database_url=sys.argv[1], keep_db=True")
    run = subprocess.Popen([sys.executable, "-c", code, foreign], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    name = next(parse_dsn(line[6:].strip())["dbname"] for line in run.stdout if line.startswith("ready "))
    assert not [line for _, parent, line in processes() if parent == run.pid]
    run.kill()
    run.communicate()
    wait_until_let_go(conn, name)
    assert there(conn, name)
    conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def wait_until_alone(conn: Connection) -> None:
    """The server goes on for a moment with what a dead client asked for."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 20
    while conn.execute(others).fetchone() != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_let_go(conn: Connection, name: str) -> None:
    """The server notices within moments that a client is dead."""
    lock = Lock(int(json.loads(comment_of(conn, name))["lock"]))
    deadline = time.monotonic() + 5
    while lock.is_held(conn) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lock.is_held(conn)


def test_a_run_killed_while_it_creates_its_database_leaves_a_record_or_nothing(foreign: str, conn: Connection) -> None:
    """CREATE DATABASE knows no transaction; at whatever moment of it the run dies, the next one knows whose it is."""
    code = (
        "import sys, time\nfrom scripts.server.foreign import strays\n"
        + ALONE
        + CHILD.replace(
            "with open_server",
            "real = strays._send_together\n"
            "def told(conn, *statements):\n    say('creating')\n    real(conn, *statements)\n"
            "strays._send_together = told\nwith open_server",
        )
    )
    found = 0
    for number in range(16):
        run = subprocess.Popen([sys.executable, "-c", code, foreign], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        while run.stdout.readline() != "creating\n":
            assert run.poll() is None
        time.sleep(number * 0.002)
        run.kill()
        run.communicate()
        wait_until_alone(conn)
        rows = conn.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^parity_' AND datdba = to_regrole(%s)",
            [parse_dsn(foreign)["user"]],
        ).fetchall()
        for (name,) in rows:
            assert json.loads(comment_of(conn, name))["database"] == name
            wait_until_let_go(conn, name)
            found += 1
        assert sweep_databases(conn, quiet) == len(rows)
    assert found >= 8


STAYS: dict[str, Callable[[Connection, str], Any]] = {
    "without a record": lambda conn, name: remark(conn, name, None),
    "somebody's comment": lambda conn, name: remark(conn, name, "the database of the accounts department"),
    "a broken record": lambda conn, name: remark(conn, name, comment_of(conn, name)[:-1]),
    "JSON without end": lambda conn, name: remark(conn, name, "[" * 4000),
    "a long one": lambda conn, name: remark(conn, name, comment_of(conn, name) + " " * 5000),
    "a list": lambda conn, name: remark(conn, name, "[]"),
    "numbers for words": lambda conn, name: remark(conn, name, '{"kind": 1}'),
    "a record of something else": lambda conn, name: relabel(conn, name, kind="folder"),
    "a kept one": lambda conn, name: relabel(conn, name, kept="yes"),
    "another one's record": lambda conn, name: relabel(conn, name, database=throwaway_name()),
    "no lock": lambda conn, name: relabel(conn, name, lock=""),
    "a lock that is no number": lambda conn, name: relabel(conn, name, lock="-1"),
    "a lock that is too large": lambda conn, name: relabel(conn, name, lock=str(1 << 63)),
    "a live owner": lambda conn, name: relabel(conn, name, **owner_labels()),
    "a template": lambda conn, name: conn.execute(
        sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name))
    ),
}


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
def test_whatever_is_in_doubt_stays(conn: Connection, stray: str, change: Callable[[Connection, str], Any]) -> None:
    """Nothing is dropped, and nothing is said."""
    change(conn, stray)
    lines: list[str] = []
    assert sweep_databases(conn, lines.append) == 0
    assert there(conn, stray)
    assert lines == []
    conn.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(stray)))


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
def test_whatever_is_in_doubt_is_not_dropped_with_force_either(
    conn: Connection, stray: str, change: Callable[[Connection, str], Any]
) -> None:
    """The process beside the run asks for the same proof."""
    change(conn, stray)
    assert not drop_own(conn, stray)
    assert there(conn, stray)
    conn.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(stray)))


@pytest.mark.parametrize(
    "name",
    [
        "parity_1_abc",
        "parity_1_ABCDEF012345",
        "parity_x_abcdef012345",
        "parity_1_abcdef0123456",
        "xparity_1_abcdef012345",
    ],
)
def test_a_name_that_only_sounds_like_ours_stays(conn: Connection, name: str) -> None:
    """Whatever its comment says."""
    make(conn, name)
    try:
        assert sweep_databases(conn, quiet) == 0
        assert there(conn, name)
    finally:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_an_owner_on_another_machine_leaves_it_to_the_lock(conn: Connection, stray: str) -> None:
    """His processes cannot be asked; his connection can."""
    relabel(conn, stray, **owner_labels() | {PLACE: "elsewhere/1"})
    assert sweep_databases(conn, quiet) == 1
    assert not there(conn, stray)


def test_a_lock_held_in_any_database_of_the_server_is_a_life(
    conn: Connection, stray: str, server: Server, foreign: str
) -> None:
    """The run that holds it may have come by another database than the next run does."""
    number = int(json.loads(comment_of(conn, stray))["lock"])
    with connect(str(server.admin_dsn)) as elsewhere:
        assert parse_dsn(str(server.admin_dsn))["dbname"] != parse_dsn(foreign)["dbname"]
        elsewhere.execute("SELECT pg_advisory_lock(%s)", [number])
        assert sweep_databases(conn, quiet) == 0
    deadline = time.monotonic() + 5
    while Lock(number).is_held(conn) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sweep_databases(conn, quiet) == 1


def test_somebody_connected_keeps_it(conn: Connection, stray: str, foreign: str) -> None:
    """A person who looks at what a killed run left."""
    with closing(psycopg.connect(foreign, dbname=stray)):
        assert sweep_databases(conn, quiet) == 0
    assert there(conn, stray)


def test_another_logins_database_stays(conn: Connection, stray: str, server: Server) -> None:
    """Even for a superuser, who could drop it."""
    with connect(str(server.admin_dsn)) as admin:
        assert sweep_databases(admin, quiet) == 0
    assert there(conn, stray)


def test_what_cannot_be_dropped_costs_a_line_and_not_the_run(
    conn: Connection, stray: str, server: Server, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds it back in an open transaction; what else is left goes."""
    monkeypatch.setattr(strays, "_LIMITS", "SET lock_timeout = '50ms'")
    second = make(conn)
    lines: list[str] = []
    with psycopg.connect(str(server.admin_dsn)) as admin:
        admin.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(stray)))
        with open_server(Settings(database_url=foreign), run_id="r", report=lines.append) as opened:
            assert opened.facts["database"] == "throw-away"
        admin.rollback()
    held = f'a killed run had left the database "{stray}", which cannot be dropped: '
    assert {line for line in lines if "a killed run" in line} == {
        f"server   {held}canceling statement due to lock timeout",
        f'server   dropped what a killed run had left: the database "{second}"',
    }
    assert there(conn, stray)


def test_a_kept_one_is_recorded_as_kept_from_the_start(foreign: str, conn: Connection) -> None:
    """A run with KEEP_DB=1 that is killed keeps it, too."""
    with open_server(Settings(database_url=foreign, keep_db=True), run_id="r", report=quiet) as opened:
        name = parse_dsn(opened.dsn)["dbname"]
        assert json.loads(comment_of(conn, name))["kept"] == "yes"
    relabel(conn, name, **DEAD)
    assert sweep_databases(conn, quiet) == 0
    conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_refused_creation_leaves_no_record_and_a_usable_connection(conn: Connection, stray: str) -> None:
    """The server's own error, and no comment on the one that was there."""
    before = comment_of(conn, stray)
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(stray))
    with pytest.raises(psycopg.errors.DuplicateDatabase):
        create_recorded(conn, stray, statement, Lock(1), kept=False)
    assert comment_of(conn, stray) == before
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_is_lost_in_the_middle_is_an_error(conn: Connection, server: Server) -> None:
    """Not an endless wait."""
    with connect(str(server.admin_dsn)) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        make(conn)


def test_the_record_tells_nothing_but_whose_it_is(conn: Connection, stray: str) -> None:
    """Everybody on the server can read it: no name of a machine, no user, no path."""
    text = comment_of(conn, stray)
    assert set(json.loads(text)) == {"kind", "database", "lock", "kept", *owner_labels()}
    assert os.uname().nodename not in text
