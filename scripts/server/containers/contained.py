"""A server in a container that stays: what it hangs on, whether that is still there, and how it is removed.

Owns: the container's identity, the judgement by the engine, the removal.
Promises: only the very container is removed, by its id, and only if its labels say that it is ours and kept under that
    name; an engine that is not the one it was made in is asked nothing about it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scripts.clock import iso_utc
from scripts.errors.docker import DockerError
from scripts.errors.residents import ResidentError
from scripts.server.containers.engine import find_engine
from scripts.server.containers.guard import KEPT_AS
from scripts.server.containers.lifetime import remove_container
from scripts.server.containers.words import hung_up, one_line, why_none
from scripts.server.embedded.layout import DISK_FULL
from scripts.server.owner import LABEL
from scripts.server.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scripts.server.containers.engine import Engine
    from scripts.server.containers.guard import Guard
    from scripts.server.states import Resident

CONTAINER, ENGINE, ADDRESS, STARTED = "container", "engine", "address", "started"
STARTED_ANEW = "its container was started anew, without a server"


@dataclass(frozen=True, slots=True)
class ContainedHolder:
    """A server that hangs on a container's guard."""

    guard: Guard

    @property
    def stays(self) -> bool:
        """Whether the guard was told to stay, and said that it does."""
        return self.guard.stays

    def identity(self) -> Mapping[str, str]:
        """The container, when it was started, and the engine as it names itself; the address is for people."""
        engine, container = self.guard.engine, self.guard.id
        found = _inspect(engine, container)
        if found is None:
            raise DockerError.refused("inspect the container", container, "it is not there any more")
        return {
            CONTAINER: container,
            ENGINE: _identity_of(engine),
            ADDRESS: _address_of(engine),
            STARTED: _started_at(found),
        }

    def out_of_room(self) -> bool:
        """By its log, if the engine still has it."""
        import docker.errors
        import requests

        try:
            return any(words in self.guard.log() for words in DISK_FULL)
        except (docker.errors.DockerException, requests.RequestException):
            return False

    def let_stay(self, alive: Path) -> None:  # noqa: ARG002 - the engine knows whether it lives
        """Tell the guard.

        Raises:
            DockerError: it does not stay.
        """
        self.guard.let_stay()


def judge_contained(resident: Resident) -> Standing:
    """Ask the engine."""
    try:
        with find_engine() as engine:
            return _judge_in(engine, resident)
    except DockerError as exc:
        return Standing("unclear", f"{why_none(exc)}; it was made at {resident.holder.get(ADDRESS, '')}")


def end_contained(resident: Resident) -> None:
    """Remove its container, also one in which no server is any more, and wait until it is gone.

    Raises:
        ResidentError: it stays, or is not ours.
        DockerError: no engine answers.
    """
    import docker.errors
    import requests

    with find_engine() as engine:
        standing = _judge_in(engine, resident)
        if standing.kind == "paused":
            with suppress(docker.errors.DockerException, requests.RequestException):
                engine.client.api.unpause(resident.holder[CONTAINER])  # a frozen process is not ended everywhere
        if standing.kind in ("runs", "paused") or standing.why == STARTED_ANEW:
            try:
                remove_container(engine, resident.holder[CONTAINER])
            except hung_up() as exc:
                raise DockerError.went_away(resident.name, one_line(exc)) from exc


def _judge_in(engine: Engine, resident: Resident) -> Standing:
    if _identity_of(engine) != resident.holder.get(ENGINE):
        return Standing("unclear", f"another engine answers than the one at {resident.holder.get(ADDRESS, '')}")
    found = _inspect(engine, resident.holder.get(CONTAINER, ""))
    if found is None:
        return Standing("gone", "its container is not there any more")
    labels = found["Config"].get("Labels") or {}
    if found["Id"] != resident.holder[CONTAINER] or labels.get(LABEL) != "1" or labels.get(KEPT_AS) != resident.name:
        raise ResidentError.unreadable(resident.holder.get(CONTAINER, ""), "a container with other labels")
    if not found["State"]["Running"]:
        return Standing("gone", "its container has ended")  # and is removed by the engine itself
    # Started again, its guard waits for words that nobody will say, and the data went with its memory.
    if resident.holder.get(STARTED) not in (None, _started_at(found)):
        return Standing("gone", STARTED_ANEW)
    if found["State"].get("Paused"):
        return Standing("paused", f"docker unpause {short_id(resident)} lets it go on")
    return Standing("runs")


def short_id(resident: Resident) -> str:
    """Its container's, as `docker ps` shows it."""
    return resident.holder.get(CONTAINER, "")[:12]


def _started_at(found: Mapping[str, Any]) -> str:
    """In UTC: Podman says it in the zone of its machine, which changes twice a year."""
    text = str(found["State"]["StartedAt"])
    try:
        return iso_utc(datetime.fromisoformat(text))
    except ValueError:
        return text


def _inspect(engine: Engine, container: str) -> dict[str, Any] | None:
    import docker.errors
    import requests

    try:
        found: dict[str, Any] = engine.client.api.inspect_container(container)
    except (docker.errors.NotFound, docker.errors.NullResource):
        return None
    except hung_up() as exc:
        raise DockerError.went_away(container, one_line(exc)) from exc
    except (docker.errors.DockerException, requests.RequestException) as exc:
        raise DockerError.refused("inspect the container", container, one_line(exc)) from exc
    return found


def _identity_of(engine: Engine) -> str:
    import docker.errors
    import requests

    try:
        return str(engine.client.info().get("ID", ""))
    except (docker.errors.DockerException, requests.RequestException) as exc:
        raise DockerError.no_engine(one_line(exc)) from exc


def _address_of(engine: Engine) -> str:
    """Where the engine listens: a socket's path, or host and port."""
    api = engine.client.api
    path = getattr(getattr(api, "_custom_adapter", None), "socket_path", "")
    return f"unix://{path}" if path else str(api.base_url)
