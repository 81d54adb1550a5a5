"""Every error about servers that stay, word by word; exit 3, or 2 for a wrong call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from scripts.errors import residents
from scripts.errors.base import ExitCode
from scripts.errors.residents import ResidentError, ResidentNameError

if TYPE_CHECKING:
    from conftest import Golden

    from scripts.errors.server import ServerError

# One of each, in the order of the module.
EXAMPLES: dict[str, ServerError] = {
    "ResidentNameError.malformed": ResidentNameError.malformed("../x"),
    "ResidentNameError.name_and_all": ResidentNameError.name_and_all(),
    "ResidentNameError.not_ours_to_make": ResidentNameError.not_ours_to_make(),
    "ResidentNameError.another": ResidentNameError.another("dev", "SERVER", expected="docker", found="embedded"),
    "ResidentError.no_place": ResidentError.no_place("/state/parity-runner/servers", "not a folder"),
    "ResidentError.busy": ResidentError.busy("dev", 120),
    "ResidentError.taken": ResidentError.taken("run-x"),
    "ResidentError.unreadable": ResidentError.unreadable(
        "/state/dev/server.json", "another form, or another name", folder="/state/dev"
    ),
    "ResidentError.unknown": ResidentError.unknown("dev", ("main-3f2a1c", "run-x")),
    "ResidentError.gone": ResidentError.gone("dev", "the machine was started anew since"),
    "ResidentError.paused": ResidentError.paused("dev", "0123456789ab"),
    "ResidentError.elsewhere": ResidentError.elsewhere("dev", "it was made on the machine build7", "/state/dev"),
    "ResidentError.unclear": ResidentError.unclear(
        "dev", "no Docker engine answers (refused); made at unix:///x", "/state/dev"
    ),
    "ResidentError.not_ended": ResidentError.not_ended("dev", "process 12 stays", 15),
    "ResidentError.behind_ssh": ResidentError.behind_ssh("ssh://root@build7"),
    "ResidentError.no_psql": ResidentError.no_psql(),
}


def test_their_texts(golden: Golden) -> None:
    """As people see them."""
    golden.require_equal("resident_errors.txt", "\n\n".join(str(error) for error in EXAMPLES.values()) + "\n")


def test_there_is_an_example_of_each() -> None:
    """A new constructor needs its text looked at."""
    made = [
        f"{name}.{method}"
        for name, kind in vars(residents).items()
        if inspect.isclass(kind) and kind.__module__ == residents.__name__
        for method in vars(kind)
        if isinstance(inspect.getattr_static(kind, method), classmethod)
    ]
    assert list(EXAMPLES) == made


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_has_its_exit_code_and_four_parts(name: str) -> None:
    """What, expected or found, help; a wrong call is 2."""
    error = EXAMPLES[name]
    assert error.exit_code == (ExitCode.USAGE if isinstance(error, ResidentNameError) else ExitCode.NO_SERVER)
    assert error.what
    assert error.help
    assert not error.what.endswith(".")


def test_whom_to_choose_from_is_said_only_when_there_is_somebody() -> None:
    """Without any server the next step is `up`."""
    assert ResidentError.unknown("dev", ()).help == "invoke up --name dev"
