"""Sessions: the gates and checks that CI runs, each in its own locked environment.

The workflow runs all of them but `bench`, whose table of servers `.ci/run` judges.
Plain `nox` runs those that need neither a Docker engine, PgBouncer nor root, and take minutes.

Never imports `scripts`: Nox lives outside the environments it makes.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

nox.needs_version = ">=2026.4"
nox.options.error_on_missing_interpreters = True
nox.options.error_on_external_run = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "verify"]

RUN = "requirements.txt"
DEV = "requirements-dev.txt"
CONTAINER_KILLS = ("tests/db/server/test_container_end.py", "tests/db/server/test_container_kills.py")
CODE = ("scripts", "tests", "tasks.py", "noxfile.py")
# Nox hands no SIGINT on: it takes it for a terminal's, which reaches its child by itself, and waits. Sent to Nox alone
# it would not be obeyed until the child is done, so the child is told (SIGTERM) soon; one that knows already goes on.
TELL_AFTER_SECONDS = 0.4
# A run that is told to end stops its server first; Nox's own 0.2 s would cut that short.
STOP_SECONDS = 15.0


def _install(session: nox.Session, requirements: str) -> None:
    session.install("--quiet", "--require-hashes", "-r", requirements)


def _run(session: nox.Session, *command: str, env: dict[str, str] | None = None) -> None:
    """Run what may have a server of its own: it is given time to end it, and ends when Nox is killed."""
    told = {"PARITY_NOX_PID": str(os.getpid())}
    with _interruptible():
        session.run(
            *command, env=told | (env or {}), interrupt_timeout=TELL_AFTER_SECONDS, terminate_timeout=STOP_SECONDS
        )


@contextmanager
def _interruptible() -> Iterator[None]:
    """A SIGINT ends the session as interrupted: Nox forgets it where the child comes to a good end all the same."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(signum, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@nox.session
def verify(session: nox.Session) -> None:
    """Every gate of `invoke pre-ci`, on a fresh PostgreSQL 18."""
    _install(session, RUN)
    _run(session, "invoke", "pre-ci", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite but what needs a Docker engine or PgBouncer (`nox -s tests-docker tests-pooler`)."""
    _install(session, DEV)
    arguments = session.posargs or ["-n", "auto", "-m", "not docker and not pooler"]
    _run(session, "pytest", *arguments)


@nox.session(name="tests-docker", default=False)
def tests_docker(session: nox.Session) -> None:
    """The tests that need a Docker engine; they fail where there is none."""
    _install(session, DEV)
    arguments = session.posargs or ["-m", "docker"]
    _run(session, "pytest", *arguments)


@nox.session(name="tests-pooler", default=False)
def tests_pooler(session: nox.Session) -> None:
    """The tests that put PgBouncer before the server; they fail where the program is missing."""
    _install(session, DEV)
    arguments = session.posargs or ["-m", "pooler"]
    _run(session, "pytest", *arguments)


@nox.session(name="tests-users", default=False)
def tests_users(session: nox.Session) -> None:
    """The tests of several users beside each other: as root, who can be the others; fails where that cannot be."""
    _install(session, DEV)
    able = "import sys; from make_runs import AS_USERS, WHY_ALONE; sys.exit(None if AS_USERS else WHY_ALONE)"
    session.run("python", "-c", able, env={"PYTHONPATH": os.pathsep.join(("tests", "."))})
    _run(session, "pytest", "--skips-fail", "-m", "users and not docker and not root", *session.posargs)


@nox.session(name="tests-root", default=False)
def tests_root(session: nox.Session) -> None:
    """The tests of what only root can do, one who may mount file systems; fails where that cannot be."""
    _install(session, DEV)
    able = "import sys; from make_root import WHY_NOT_ROOT; sys.exit(WHY_NOT_ROOT or None)"
    session.run("python", "-c", able, env={"PYTHONPATH": os.pathsep.join(("tests", "."))})
    _run(session, "pytest", "--skips-fail", "-m", "root and not docker", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and lint of the Python code (the SQL's lints are gates of `verify`)."""
    _install(session, DEV)
    session.run("ruff", "format", "--check", *CODE)
    session.run("ruff", "check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Strict types over the product, its tests and its task files."""
    _install(session, DEV)
    session.run("mypy")


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """The schema broken in every way we know: each mutant is seen by the owner of the guarantee (`-- --shard 1/4`)."""
    _install(session, RUN)
    _run(session, "invoke", "mutants", *session.posargs)


@nox.session(default=False)
def kills(session: nox.Session) -> None:
    """Seven times twenty runs with a server of their own, killed at random moments, and what they left counted."""
    _install(session, DEV)
    _run(session, "pytest", "tests/db/server/test_kills.py", "--kills", "20", *session.posargs)


@nox.session(name="kills-docker", default=False)
def kills_docker(session: nox.Session) -> None:
    """The same in containers; fails where there is no Docker engine."""
    _install(session, DEV)
    _run(session, "pytest", "-m", "docker", *CONTAINER_KILLS, "--kills", "25", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Starts of servers beside their floors; the engine against a bare loop; verifiers (`-- --help` for options)."""
    _install(session, DEV)
    paths = os.pathsep.join(("tests", "."))
    _run(session, "python", "-m", "bench", *session.posargs, env={"PYTHONPATH": paths})
