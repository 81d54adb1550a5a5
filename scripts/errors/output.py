"""What a run says cannot be written: a stream that is closed, or on a disk that is full.

Owns: the text of that error.
"""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError


class OutputError(ProjectError):
    """Nobody would learn how the run ended; so it does not go on."""

    kind = "output"
    exit_code = ExitCode.NO_SERVER

    @classmethod
    def closed(cls) -> OutputError:
        """Before anything is started: the next file that is opened would get its number, and what is written to it."""
        return cls(
            "what the run says cannot be written",
            where="standard output",
            facts=[("expected", "an open file, pipe or terminal"), ("found", "it is closed (>&-)")],
            help="lead it to a file, or to /dev/null where nobody wants to read it",
        )

    @classmethod
    def refused(cls, stream: str, reason: str, stays: str) -> OutputError:
        """The system took no more.

        Args:
            stream: its name.
            reason: the system's own words.
            stays: what the run leaves on purpose all the same, and what removes it; "" for nothing.
        """
        return cls(
            "what the run says cannot be written",
            where=stream,
            facts=[
                ("expected", "a file, pipe or terminal that takes it"),
                ("found", reason),
                *([("stays", stays)] if stays else []),
            ],
            help="free space there, or lead it elsewhere, and run again",
        )
