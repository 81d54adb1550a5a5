"""Whose fault a start on a kept cluster was: only what speaks of the data costs the entry."""

from __future__ import annotations

import pytest

from scripts.errors.docker import ContainerEndedError
from scripts.errors.server import ServerError, StartError, WrongPasswordError
from scripts.server.cluster.kept import unusable

LOST = 'PANIC:  could not open file "global/pg_control": No such file or directory'


@pytest.mark.parametrize(
    "error",
    [
        StartError.failed("the server", "exit status 2", LOST),
        StartError.failed("the server", "signal 6", LOST),
        ContainerEndedError.with_log("postgres:18", "exit status 2", LOST),
        WrongPasswordError.at("u@h:1/d"),
    ],
)
def test_a_server_that_speaks_against_the_data_costs_the_entry(error: ServerError) -> None:
    """It ended by itself, or does not let us in."""
    assert unusable(error) == f"a server on it cannot be used ({error.what})"


@pytest.mark.parametrize(
    "error",
    [
        StartError.not_ready("the server", 20, LOST),
        StartError.watcher_lost("it ended with status -9"),
        StartError.failed("the server", "signal 9", ""),
        StartError.failed("the server", "signal 15", ""),
        StartError.failed("the server", "exit status 1", "FATAL:  could not map anonymous: Cannot allocate memory"),
        StartError.failed("the server", "exit status 1", "FATAL:  could not create semaphores: No space"),
        StartError.failed("the renewal of the passwords", "SQLSTATE 53200", "out of memory"),
        ContainerEndedError.with_log("postgres:18", "exit status 137", ""),
    ],
)
def test_what_says_nothing_of_the_data_is_the_runs_own_error(error: ServerError) -> None:
    """A deadline, a kill, memory that was gone: the very error, and the entry stays."""
    with pytest.raises(ServerError) as caught:
        unusable(error)
    assert caught.value is error
