"""Row data that an error may carry for one reader: a person at a terminal who asked for it.

Owns: the wrapper that keeps it out of every text, the refusal to show it anywhere else, and the escaping of control
characters in all that a server says.
Promises: not in str, repr, a traceback's locals, a copy, or a pickle.
"""

from __future__ import annotations

import re

from scripts.errors.base import ExitCode, ProjectError

# C0, DEL and C1 move a cursor or end a line; the rest turns the order of what is read, or ends a line elsewhere.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text with control characters written out, such as \x1b or \u202e: no cursor moves, no line is forged.

    Args:
        text: what a server, and perhaps a row, said.
        keep: control characters that stay as they are.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _written(ord(found[0])), text)


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code <= _LATIN else f"\\u{code:04x}"


_LATIN = 0xFF


class RowData:
    """What the server said about rows. `reveal()` is called by the console, and by nobody else."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[tuple[str, str], ...] = ()) -> None:
        """Keep labelled texts: message, detail, hint, context."""
        self._parts = parts

    def reveal(self) -> str:
        """The labelled texts, one below the other; empty when there are none. A row cannot move the cursor."""
        width = max((len(label) for label, _ in self._parts), default=0)
        lines: list[str] = []
        for label, text in self._parts:
            first, *rest = escaped(text, keep="\t\n").split("\n")
            lines.append(f"  {label:<{width}}  {first}")
            lines.extend(f"  {'':<{width}}  {line}" for line in rest)
        return "\n".join(lines)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __repr__(self) -> str:
        return f"RowData({len(self._parts)} withheld)"

    def __reduce__(self) -> tuple[type[RowData], tuple[()]]:
        return (RowData, ())


class RowDataRefusedError(ProjectError):
    """`--show-row-data` where its output could be kept."""

    kind = "usage"
    exit_code = ExitCode.USAGE

    @classmethod
    def no_terminal(cls) -> RowDataRefusedError:
        """Standard error is a file or a pipe."""
        return cls(
            "row data is shown on a terminal alone",
            where="--show-row-data",
            facts=[("expected", "standard error to be a terminal"), ("found", "a file or a pipe")],
            help="run it by hand, without redirection; nothing was run",
        )

    @classmethod
    def in_ci(cls) -> RowDataRefusedError:
        """CI keeps what it prints."""
        return cls(
            "row data is never shown in CI",
            where="--show-row-data",
            facts=[("expected", "CI to be unset"), ("found", "CI is set")],
            help="run it by hand on a terminal; nothing was run",
        )
