"""Why a request to the engine failed, in one line: the engine's own words, or the system's.

Never: shows what the SDK's libraries write of their own objects and retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.errors.docker import DockerError


def hung_up() -> tuple[type[Exception], ...]:
    """What the SDK raises where nobody answers any more: not at all, or not to the end of an answer.

    A timeout is among them where no connection came about: it is to be asked for first.
    """
    import requests
    import urllib3.exceptions

    # The last two are those of answers which the SDK reads as they come.
    return (
        requests.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.ReadTimeoutError,
    )


def one_line(exc: BaseException) -> str:
    """The engine's own words where there are some, else the system's reason where no connection was to be had."""
    words = getattr(exc, "explanation", None)
    if not words and isinstance(exc, hung_up()):
        # Each library wraps the one below: the innermost is what the system said.
        *_, innermost = _chain(exc)
        words = getattr(innermost, "strerror", None) or str(innermost)
    return " ".join(str(words or exc or "").split()) or type(exc).__name__


def why_none(error: DockerError) -> str:
    """An error of ours as a part of a sentence: what is wrong, where, and what was found."""
    return f"{error.what} ({': '.join(part for part in (error.where, error.facts[-1][1]) if part)})"


def _chain(exc: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = exc
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
