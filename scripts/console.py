"""The edge: reads the settings, runs a command, prints, and turns whatever happens into an exit code.

Promises: results on stdout, progress on stderr; no traceback for bad data, no row data or secret in any message; row
data is shown when it is asked for, on a terminal, and never in CI.
Never: decides anything about migrations, gates or evidence.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from scripts.errors.base import ExitCode, Interrupted, ProjectError
from scripts.errors.output import OutputError
from scripts.errors.row_data import RowData, RowDataRefusedError
from scripts.server.staying_on import begin_anew, told_of_kept
from scripts.settings import parent_to_end_with, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from scripts.run.commands import Command
    from scripts.settings import Settings

# Options that are the edge's own; no command sees them.
_OURS = frozenset({"json", "show_row_data"})


def main(command: str, **options: object) -> NoReturn:
    """Run one command and end the process with its exit code.

    Args:
        command: a name in `scripts.run.commands.COMMANDS`.
        options: what the verb was given; each command takes its own.
    """
    sys.exit(exit_code_of(command, options))


def exit_code_of(command: str, options: Mapping[str, object]) -> int:
    """Run one command; every exception becomes its exit code and its text on stderr."""
    try:
        _require_streams()
        return _run(command, options)
    except Interrupted as stop:
        left = told_of_kept() or "what was started is gone"
        _last_words(f"interrupted by signal {stop.signum}: {left}; evidence that was opened says ABORTED")
        return stop.exit_code
    except ProjectError as error:
        _last_words(str(error))
        row_data = getattr(error, "row_data", None)
        if options.get("show_row_data") and isinstance(row_data, RowData) and row_data and sys.stderr.isatty():
            _last_words(f"row data, shown on this terminal and kept nowhere:\n{row_data.reveal()}")
        return int(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; the other stream may have a reader yet.
        with suppress(OSError):
            if told_of_kept():
                _last_words(f"nobody reads the output any more: {told_of_kept()}")
        sys.stderr.close()
        return int(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the edge: the last place where a fault of ours can be told
        _last_words(_fault_text(error))
        return int(ExitCode.BUG)


def _run(command: str, options: Mapping[str, object]) -> int:
    from scripts.run.commands import COMMANDS
    from scripts.run.voice import Voice
    from scripts.server.signals import ending_on_signals, ending_with

    run: Command = COMMANDS[command]
    begin_anew()
    _keep_owners_rights()
    with ending_on_signals(), ending_with(parent_to_end_with()):
        settings = read_settings()
        if options.get("show_row_data"):
            _require_a_reader(settings)
        voice = Voice(_print, _say, json=bool(options.get("json")), color=settings.color and sys.stdout.isatty())
        return run(settings, voice, **{name: value for name, value in options.items() if name not in _OURS})


def _keep_owners_rights() -> None:
    """A umask that takes rights from the owner, too, would close every folder of ours to ourselves."""
    os.umask(os.umask(0o077) & 0o077)


def _require_a_reader(settings: Settings) -> None:
    """Row data is for a person at a terminal, asked before anything runs."""
    if settings.ci:
        raise RowDataRefusedError.in_ci()
    if not sys.stderr.isatty():
        raise RowDataRefusedError.no_terminal()


def _require_streams() -> None:
    """A standard stream that is closed is /dev/null from now on: what is opened next would else get its number.

    Raises:
        OutputError: it was the one that takes the result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - to the end of the process
    if sys.stdout is None:
        raise OutputError.closed()


def _print(text: str) -> None:
    _write(sys.stdout, "standard output", text)


def _say(text: str) -> None:
    _write(sys.stderr, "standard error", text)


def _last_words(text: str) -> None:
    """For whoever still listens."""
    with suppress(OutputError):
        _say(text)


def _write(stream: TextIO, name: str, text: str) -> None:
    try:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        _give_up(stream)
        raise OutputError.refused(name, exc.strerror or type(exc).__name__, told_of_kept()) from exc


def _give_up(stream: TextIO) -> None:
    """What it still holds goes nowhere: at its end Python would write it once more, and fail again."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _fault_text(error: Exception) -> str:
    """A traceback without the texts of database errors: they may hold row data."""
    parts: list[str] = ["error[bug]: a fault of ours; please report it with the lines below"]
    link: BaseException | None = error
    describe: Callable[[BaseException], str]
    while link is not None:
        diag = getattr(link, "diag", None)
        describe = _database_text if diag is not None else _plain_text
        parts += ["".join(traceback.format_tb(link.__traceback__)).rstrip("\n"), describe(link)]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n".join(part for part in parts if part)


def _plain_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _database_text(error: BaseException) -> str:
    # Even the primary message may quote a value (22P02), so the code alone is told.
    return f"{type(error).__name__}: SQLSTATE {getattr(error, 'sqlstate', None) or 'none'}"
