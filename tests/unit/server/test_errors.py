"""Every error of the server room, word by word: what, where, expected and found, help; exit 3, or 2 for the URL."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from scripts.errors import account, binaries, docker, room, server, unfit
from scripts.errors.account import AccountError
from scripts.errors.base import ExitCode
from scripts.errors.binaries import BinariesError
from scripts.errors.docker import ContainerEndedError, DockerError
from scripts.errors.room import DiskFullError, FolderError, LimitError
from scripts.errors.server import (
    DatabaseMissingError,
    MalformedUrlError,
    NoConnectionLeftError,
    NotAllowedError,
    ServerError,
    StartError,
    UnreachableError,
    WrongPasswordError,
)
from scripts.errors.unfit import NotFreshError, OtherEncodingError, TooNewError, TooOldError

if TYPE_CHECKING:
    from conftest import Golden

AT = "app@db.example:5432/payments"
# One of each, in the order of the module.
EXAMPLES: dict[str, ServerError] = {
    "UnreachableError.at": UnreachableError.at(AT, "Connection refused"),
    "NoConnectionLeftError.at": NoConnectionLeftError.at(AT, 'too many connections for role "app"'),
    "MalformedUrlError.not_read": MalformedUrlError.not_read(),
    "WrongPasswordError.at": WrongPasswordError.at(AT),
    "DatabaseMissingError.at": DatabaseMissingError.at(AT, "payments"),
    "TooOldError.server": TooOldError.server(AT, "17.5 (Debian 17.5-1)"),
    "TooOldError.binaries": TooOldError.binaries("/usr/lib/postgresql/17/bin", "17.5"),
    "TooOldError.image": TooOldError.image("postgres:16", "16.4"),
    "TooNewError.server": TooNewError.server(AT, "19beta1"),
    "TooNewError.binaries": TooNewError.binaries("/usr/lib/postgresql/19/bin", "19beta1"),
    "TooNewError.image": TooNewError.image("postgres:19", "19.1"),
    "OtherEncodingError.database": OtherEncodingError.database(AT, "LATIN1"),
    "NotFreshError.not_empty": NotFreshError.not_empty(AT, "2 relations, 1 schemas"),
    "NotFreshError.older": NotFreshError.older(AT, "3600", 1.4),
    "NotAllowedError.create_database": NotAllowedError.create_database(AT),
    "NotAllowedError.creation_failed": NotAllowedError.creation_failed(AT, "source database is being accessed"),
    "NotAllowedError.cleanup": NotAllowedError.cleanup(AT, "parity_1_ab", "the server cannot be reached"),
    "DiskFullError.during": DiskFullError.during("initdb", "/dev/shm"),  # noqa: S108 - shown, not used
    "DiskFullError.file_limit": DiskFullError.file_limit("initdb", "/dev/shm"),  # noqa: S108 - as above
    "DiskFullError.of_server": DiskFullError.of_server("0001_init.sql", "/dev/shm", "could not extend", own=True),  # noqa: S108 - as above
    "DiskFullError.of_state": DiskFullError.of_state("/state/parity-runner/servers", "no space left on device"),
    "DiskFullError.in_container": DiskFullError.in_container("the start of the container", "postgres:18"),
    "LimitError.open_files": LimitError.open_files("initdb", "insufficient file descriptors available to start"),
    "FolderError.none_usable": FolderError.none_usable([("/a", "not there"), ("/b", "not writable")]),
    "FolderError.no_exec": FolderError.no_exec([("/a", "mounted noexec")]),
    "FolderError.socket_path_too_long": FolderError.socket_path_too_long("/long/.s.PGSQL.5432", length=130, limit=107),
    "BinariesError.wheel_missing": BinariesError.wheel_missing(),
    "BinariesError.incomplete": BinariesError.incomplete("/opt/pg/bin", "initdb"),
    "BinariesError.not_runnable": BinariesError.not_runnable(
        "/opt/pg/bin", "cannot start /opt/pg/bin/postgres: Exec format error"
    ),
    "BinariesError.system_part_missing": BinariesError.system_part_missing("setpriv"),
    "BinariesError.not_readable": BinariesError.not_readable("/opt/pg/bin", "nobody"),
    "AccountError.none": AccountError.none("nobody", "no such user"),
    "AccountError.unknown": AccountError.unknown(1234),
    "StartError.failed": StartError.failed("initdb", "exit status 1", "first line\nlast line"),
    "StartError.not_ready": StartError.not_ready("the server", 60_000, ""),
    "StartError.watcher_lost": StartError.watcher_lost("it ended with status -9"),
    "DockerError.no_engine": DockerError.no_engine("/var/run/docker.sock: No such file or directory"),
    "DockerError.bad_host": DockerError.bad_host("DOCKER_HOST", "a URL of the kind fd://"),
    "DockerError.bad_host, of a context": DockerError.bad_host("the Docker context x", "a URL of the kind fd://"),
    "DockerError.no_keys": DockerError.no_keys("DOCKER_TLS_VERIFY", "cert.pem, key.pem, ca.pem", "/keys: no ca.pem"),
    "DockerError.other_api": DockerError.other_api("1.99: client version 1.99 is too new", "1.41"),
    "DockerError.closed": DockerError.closed("/var/run/docker.sock"),
    "DockerError.went_away": DockerError.went_away("postgres:18", "Connection aborted."),
    "DockerError.left_early": DockerError.left_early("postgres:18", "Connection reset by peer"),
    "DockerError.silent": DockerError.silent("postgres:18", 60),
    "DockerError.limit_too_short": DockerError.limit_too_short("postgres:18", 100),
    "DockerError.not_reached": DockerError.not_reached("postgres:18", "127.0.0.1:32768", "Connection refused"),
    "DockerError.no_port": DockerError.no_port("postgres:18", "", 5),
    "DockerError.no_port, in a network": DockerError.no_port("postgres:18", "bridge", 5),
    "DockerError.bad_name": DockerError.bad_name("Postgres:18", "invalid reference format"),
    "DockerError.no_image": DockerError.no_image("postgres:18", "manifest unknown"),
    "DockerError.refused": DockerError.refused("run the container", "postgres:18", "no space left on device"),
    "ContainerEndedError.with_log": ContainerEndedError.with_log("postgres:18", "exit status 1", "FATAL: no"),
}


BASES = {unfit.OtherMajorError}


def constructors() -> set[str]:
    """Every named constructor of the modules; those of a base that is never raised itself are its kinds' own."""
    kinds = {
        kind
        for module in (server, room, binaries, docker, account, unfit)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, ServerError)
    }
    return {
        f"{kind.__name__}.{member}"
        for kind in kinds - BASES
        for origin in {kind} | (BASES & set(kind.__mro__))
        for member, value in vars(origin).items()
        if isinstance(value, classmethod)
    }


def test_every_constructor_has_an_example() -> None:
    """A new error needs its text looked at."""
    assert constructors() == {name.partition(",")[0] for name in EXAMPLES}


def test_the_texts(golden: Golden) -> None:
    """All of them, in one golden file that reads like a catalogue."""
    golden.require_equal("server_errors.txt", "\n\n".join(str(error) for error in EXAMPLES.values()) + "\n")


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=EXAMPLES)
def test_each_ends_with_exit_3_and_a_next_step(error: ServerError) -> None:
    """No server is one exit code, whatever the cause; a URL that cannot be read is a wrong setting."""
    wrong_setting = isinstance(error, MalformedUrlError)
    assert error.exit_code is (ExitCode.USAGE if wrong_setting else ExitCode.NO_SERVER)
    assert error.help
    assert not error.what.endswith(".")
