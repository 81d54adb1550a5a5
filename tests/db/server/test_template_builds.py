"""Building a template: whole or not there, whoever is killed, and once, however many want it."""

from __future__ import annotations

import json
import random
import signal
import subprocess  # noqa: TID251 - builders that are killed
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_runs import quiet
from make_templates import BUILT, admin, making, ours, tables, templates_of, wait

from scripts.errors.templates import TemplateError
from scripts.server.clones import shelf
from scripts.server.clones.marks import Recipe, about_key, lock_of
from scripts.server.clones.templates import open_clone
from scripts.settings import ROOT

if TYPE_CHECKING:
    from scripts.server.clones.templates import Templates
    from scripts.server.model import Server


# Builds a template in a process of its own: says when it begins, and when there is a clone. argv: recipe, seconds.
BUILDER = """
import json, sys, time
from scripts.server.clones.marks import Recipe
from scripts.server.model import Server
from scripts.server.readiness import connect
from scripts.server.clones.templates import open_clone
given = json.loads(sys.stdin.readline())
def build(dsn):
    with connect(dsn) as conn:
        conn.execute("CREATE TABLE public.half ()")
        print("building", flush=True)
        time.sleep(given["seconds"])
        conn.execute("ALTER TABLE public.half RENAME TO whole")
recipe = Recipe(given["recipe"], "", build)
server = Server(given["dsn"], given["admin_dsn"], "embedded", "", given["version"])
with open_clone(server, recipe, report=lambda line: print(line, flush=True)) as clone:
    print("clone", flush=True)
    time.sleep(60)
"""


def test_a_build_that_fails_leaves_nothing(server: Server, templates: Templates) -> None:
    """The error is the build's own."""
    with admin(server) as conn:
        before = ours(conn)
        with pytest.raises(psycopg.errors.DivisionByZero), templates.clone(making("fails", "SELECT 1 / 0")):
            pass
        assert ours(conn) == before


def test_a_build_that_leaves_sessions_behind_is_let_go_of(templates: Templates) -> None:
    """A template is copied only when nobody is connected; they are ended."""
    left: list[psycopg.Connection[Any]] = []

    def build(dsn: str) -> None:
        left.append(psycopg.connect(dsn))
        left[0].execute("CREATE TABLE public.one ()")
        left[0].commit()
        left.append(psycopg.connect(dsn))

    with templates.clone(Recipe("sessions", "", build)) as clone:
        assert tables(clone.dsn) == ["one"]
    for conn in left:
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        conn.close()


def test_a_session_that_does_not_end_is_an_error(
    server: Server, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in time, with nothing left."""
    monkeypatch.setattr(shelf, "LET_GO_S", 0.05)
    monkeypatch.setattr(shelf, "_END_SESSIONS", "SELECT %s::text")
    left: list[psycopg.Connection[Any]] = []
    with (
        pytest.raises(TemplateError, match="is not let go of"),
        templates.clone(Recipe("stays", "", lambda dsn: left.append(psycopg.connect(dsn)))),
    ):
        pass
    with admin(server) as conn:
        assert ours(conn, "half") == set()
    left[0].close()


def begin(server: Server, name: str, seconds: float) -> subprocess.Popen[str]:
    """A builder in a process of its own; the addresses go through its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin is not None
    given = {"recipe": name, "seconds": seconds, "dsn": server.dsn, "admin_dsn": server.admin_dsn}
    process.stdin.write(json.dumps({**given, "version": server.version}) + "\n")
    process.stdin.flush()
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """With -9."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_killed_builder_left_is_dropped_and_built_anew(server: Server, templates: Templates) -> None:
    """In the middle of its work; the one who waits for it has the template at once."""
    process = begin(server, "killed", 60)
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    with admin(server) as conn:
        (half,) = ours(conn, "half")
        recipe = making("killed", "CREATE TABLE public.whole ()")
        timer = threading.Timer(0.2, kill, [process])
        timer.start()
        with templates.clone(recipe) as clone:
            assert tables(clone.dsn) == ["whole"]
        timer.join()
        assert ours(conn, "half") == set()
        assert half not in ours(conn)
        assert len(templates_of(conn, recipe, server)) == 1


def test_builders_and_users_killed_at_any_moment_leave_nothing_half(server: Server, templates: Templates) -> None:
    """From before the connection to after the clone was made: the next user has a whole one, and sweeps the rest."""
    chance = random.Random(70)  # noqa: S311 - moments, not secrets
    with admin(server) as conn:
        for number in range(16):
            process = begin(server, f"moment {number}", 0.02)
            if number % 2:
                time.sleep(chance.uniform(0.1, 0.5))  # Python itself takes most of it
            else:
                assert process.stdout is not None
                assert process.stdout.readline() == "building\n"
                time.sleep(chance.uniform(0, 0.15))
            kill(process)
            recipe = making(f"moment {number}", "CREATE TABLE public.whole ()")
            with open_clone(server, recipe, report=quiet) as clone:
                assert tables(clone.dsn) == ["whole"]
            assert len(templates_of(conn, recipe, server)) == 1

        def swept() -> bool:  # the sessions of the last one may take a moment to end
            with open_clone(server, recipe, report=quiet) as mine:
                left = (ours(conn, "half") | ours(conn, "clone")) - {mine.name}
            return not left

        wait(swept)


def test_of_many_who_want_it_at_once_one_builds(server: Server, templates: Templates) -> None:
    """Six, each with a session of its own; the others wait, and copy."""
    recipe = making("at once", "CREATE TABLE public.one ()", "SELECT pg_sleep(0.2)")
    barrier, found = threading.Barrier(6), list[list[str]]()

    def use() -> None:
        barrier.wait()
        with open_clone(server, recipe, report=quiet) as clone:
            found.append(tables(clone.dsn))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [["one"]] * 6
    assert len(BUILT["at once"]) == 1


def test_a_builder_that_does_not_end_is_told(
    server: Server, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever; the session is as it was."""
    monkeypatch.setattr(shelf, "BUILD_WAIT_MS", 50)
    recipe = making("stuck", "SELECT 1")
    about = about_key(recipe.key(version=server.version, owner="symphony_owner"))
    with admin(server) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [lock_of("template", about)])
        with pytest.raises(TemplateError) as caught, templates.clone(recipe):
            pass
        assert "another run has been building this template for too long" in str(caught.value)
        assert "password" not in str(caught.value)
    with templates.clone(recipe):
        assert len(BUILT["stuck"]) == 1
