"""Which server a run works on: the choice, and the sentence that says why.

Owns: the order of the choices. Each origin's module owns how it is made.
Promises: SERVER=docker never becomes anything else in silence; what was chosen and why is reported before it starts.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.errors.server import DockerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.server.model import Server
    from scripts.settings import Settings


@contextmanager
def open_server(settings: Settings, *, run_id: str, report: Callable[[str], None]) -> Iterator[Server]:
    """A server for one run; what the run made of it is gone when the block is left, in whatever way.

    Args:
        settings: SERVER, FRESH_DB, DATABASE_URL and what belongs to each origin.
        run_id: a label, so that people can tell whose container they see.
        report: takes one line that says which server and why, and later lines about what stays behind.

    Raises:
        ServerError: one of its kinds; exit 3.
    """
    if not settings.fresh_db or settings.server == "external":
        yield from _external(settings, report)
    elif settings.server == "embedded":
        yield from _embedded(settings, report, "SERVER=embedded" + _unused_url(settings))
    elif settings.server == "docker":
        yield from _docker(settings, report, run_id, "SERVER=docker" + _unused_url(settings))
    elif settings.database_url is not None:
        yield from _external(settings, report)
    else:
        yield from _auto(settings, report, run_id)


def _external(settings: Settings, report: Callable[[str], None]) -> Iterator[Server]:
    from scripts.server.external import open_existing, open_throwaway
    from scripts.server.readiness import address_of

    url = settings.database_url
    if url is None:
        raise RuntimeError("settings without DATABASE_URL reached the external origin")  # read_settings refuses them
    if settings.fresh_db:
        reason = f"a throw-away database on {address_of(url)}, since DATABASE_URL is set and FRESH_DB=1"
    else:
        reason = f"{address_of(url)} as it is, since FRESH_DB=0"
    report(f"server   external: {reason}")
    if settings.fresh_db:
        with open_throwaway(settings, url=url, reason=reason, report=report) as server:
            yield server
    else:
        with open_existing(url, reason=reason) as server:
            yield server


def _embedded(settings: Settings, report: Callable[[str], None], reason: str) -> Iterator[Server]:
    from scripts.server.embedded import open_embedded

    report(f"server   embedded: {reason}")
    _say_what_is_not_kept(settings, report)
    with open_embedded(settings, reason=reason, report=report) as server:
        yield server


def _docker(settings: Settings, report: Callable[[str], None], run_id: str, reason: str) -> Iterator[Server]:
    from scripts.server.container import open_container
    from scripts.server.engine import find_engine, pull_image

    with find_engine() as engine:
        if not engine.has_image(settings.pg_image):
            report(f"server   docker: pulling {settings.pg_image}, which is not there yet")
            pull_image(engine, settings.pg_image)
        report(f"server   docker: {reason}")
        _say_what_is_not_kept(settings, report)
        with open_container(engine, settings, run_id=run_id, reason=reason, report=report) as server:
            yield server


def _auto(settings: Settings, report: Callable[[str], None], run_id: str) -> Iterator[Server]:
    from scripts.server.engine import find_engine

    try:
        with find_engine() as engine:
            found = engine.has_image(settings.pg_image)
            why = f"an engine answers and {settings.pg_image} is " + ("there" if found else "not there")
    except DockerError as exc:
        found, why = False, f"no Docker engine answers ({exc.facts[-1][1]})"
    if found:
        yield from _docker(settings, report, run_id, why)
    else:
        yield from _embedded(settings, report, why)


def _say_what_is_not_kept(settings: Settings, report: Callable[[str], None]) -> None:
    if settings.keep_db:
        report("server   KEEP_DB=1 keeps a database on the server at DATABASE_URL; this server goes with the run")


def _unused_url(settings: Settings) -> str:
    return "; DATABASE_URL is not used" if settings.database_url is not None else ""
