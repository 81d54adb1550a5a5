"""Which server a run works on: the choice, and the sentence that says why.

Owns: the order of the choices, and when a run's server is handed over to stay (KEEP_DB=1). Each origin's module owns
    how it is made, staying.py how it stays.
Promises: SERVER=docker never becomes anything else in silence; what was chosen and why is reported before it starts.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.errors.docker import DockerError
from scripts.errors.residents import ResidentError
from scripts.errors.server import ServerError
from scripts.server.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripts.server.model import Server
    from scripts.settings import Settings


@contextmanager
def open_server(
    settings: Settings, *, run_id: str, report: Callable[[str], None], keep_as: str = ""
) -> Iterator[Server]:
    """A server for one run; what the run made of it is gone when the block is left, in whatever way.

    With KEEP_DB=1 it stays, whether the block succeeds, fails or is interrupted; not when it did not come up.

    Args:
        settings: SERVER, FRESH_DB, DATABASE_URL, KEEP_DB and what belongs to each origin.
        run_id: a label, so that people can tell whose container they see.
        report: takes one line that says which server and why, and later lines about what stays behind.
        keep_as: the name under which the caller itself hands it over; a label.

    Raises:
        ServerError: one of its kinds; exit 3.
    """
    if not settings.fresh_db or settings.server == "external":
        yield from _external(settings, report)
        return
    if settings.server not in ("embedded", "docker") and settings.database_url is not None:
        yield from _external(settings, report)
        return
    keeping = None if keep_as or not settings.keep_db else _Keeping.of(settings, run_id)
    with (
        _own(settings, report, run_id, keep_as or (keeping.name if keeping else "")) as server,
        telling(server, lock_timeout_ms=settings.lock_timeout_ms),
    ):
        if keeping is None:
            yield server
        else:
            yield from keeping.hand_out(server, report)


@contextmanager
def _own(settings: Settings, report: Callable[[str], None], run_id: str, keep_as: str) -> Iterator[Server]:
    """A server that ends with the block, unless it was let stay."""
    if settings.server == "embedded":
        yield from _embedded(settings, report, "SERVER=embedded" + _unused_url(settings))
    elif settings.server == "docker":
        yield from _docker(settings, report, run_id, "SERVER=docker" + _unused_url(settings), keep_as)
    else:
        yield from _auto(settings, report, run_id, keep_as)


@dataclass(frozen=True, slots=True)
class _Keeping:
    """KEEP_DB=1 on a server of the run's own: where it is written down, and as what."""

    place: Path
    name: str

    @classmethod
    def of(cls, settings: Settings, run_id: str) -> _Keeping:
        """Asked before the server is made: a run that cannot keep what it is told to keep does not begin."""
        from scripts.server.states import name_of_run, open_place
        from scripts.server.stay.claims import require_room

        place = open_place(settings.state_dir)
        require_room(place)
        return cls(place, name_of_run(run_id, place))

    def hand_out(self, server: Server, report: Callable[[str], None]) -> Iterator[Server]:
        from scripts.server.stay.staying import keep_run

        try:
            yield server
        except GeneratorExit:  # nobody took it to its end
            raise
        except BaseException:
            try:
                keep_run(server, self.place, self.name, report)
            except ServerError as trouble:  # what went wrong first is what is raised
                report(str(trouble))
            raise
        keep_run(server, self.place, self.name, report)


def _external(settings: Settings, report: Callable[[str], None]) -> Iterator[Server]:
    from scripts.server.foreign.origin import open_existing, open_throwaway
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
        opened = open_throwaway(settings, url=url, reason=reason, report=report)
    else:
        opened = open_existing(url, reason=reason)
    with opened as server, telling(server, lock_timeout_ms=settings.lock_timeout_ms):
        yield server


def _embedded(settings: Settings, report: Callable[[str], None], reason: str) -> Iterator[Server]:
    from scripts.server.embedded.origin import open_embedded

    report(f"server   embedded: {reason}")
    with open_embedded(settings, reason=reason, report=report) as server:
        yield server


def _docker(
    settings: Settings, report: Callable[[str], None], run_id: str, reason: str, keep_as: str
) -> Iterator[Server]:
    from scripts.server.containers.engine import find_engine, pull_image
    from scripts.server.containers.origin import open_container
    from scripts.server.embedded.sweep import sweeping

    # What embedded runs left is removed by whichever run comes next.
    with sweeping(report), find_engine() as engine:
        if keep_as and engine.tunnel is not None:
            raise ResidentError.behind_ssh(engine.tunnel.place)
        if not engine.has_image(settings.pg_image):
            report(f"server   docker: pulling {settings.pg_image}, which is not there yet")
            pull_image(engine, settings.pg_image)
        report(f"server   docker: {reason}")
        with open_container(engine, settings, run_id=run_id, reason=reason, report=report, keep_as=keep_as) as server:
            yield server


def _auto(settings: Settings, report: Callable[[str], None], run_id: str, keep_as: str) -> Iterator[Server]:
    from scripts.server.containers.engine import find_engine
    from scripts.server.containers.words import why_none

    try:
        with find_engine() as engine:
            found = engine.has_image(settings.pg_image)
            why = f"an engine answers and {settings.pg_image} is " + ("there" if found else "not there")
    except DockerError as exc:
        found, why = False, why_none(exc)
    if found:
        yield from _docker(settings, report, run_id, why, keep_as)
    else:
        yield from _embedded(settings, report, why)


def _unused_url(settings: Settings) -> str:
    return "; DATABASE_URL is not used" if settings.database_url is not None else ""
