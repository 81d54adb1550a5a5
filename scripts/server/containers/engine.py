"""The Docker engine: found as the docker command finds it (DOCKER_HOST, the context), asked quickly, let go.

Owns: the SDK's client, its timeouts, its failures turned into errors, and where an engine listens that nobody named:
    rootless Docker, Docker Desktop, Podman. What was named is never replaced by another.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scripts.errors.docker import DockerError
from scripts.server.containers.named import require_host, require_keys, wanted_version
from scripts.server.containers.words import hung_up, one_line
from scripts.settings import session_folder, user_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.containers.reaper import Door
    from scripts.server.containers.ssh import Tunnel

PROBE_TIMEOUT_S = 2
LOOK_TIMEOUT_S = 10
REQUEST_TIMEOUT_S = 60
PULL_TIMEOUT_S = 600
BAD_REQUEST = 400
_NAME = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*")
_SERVER = re.compile(r"(?:Docker|Libpod)/(\S+) \(.*\)")
LOOPBACK = "127.0.0.1"
SYSTEM_SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers. `client` is the SDK's, untyped; `host` is where published ports are reached.

    `tunnel`: the way to an engine that is reached by ssh.
    """

    client: Any
    host: str
    version: str
    tunnel: Tunnel | None = None

    @property
    def remote(self) -> bool:
        """Whether it runs on another machine."""
        return self.tunnel is not None or self.host != LOOPBACK

    @property
    def publish_on(self) -> str | None:
        """The address of its machine on which ports are published; None: all of them, since we come from outside."""
        return LOOPBACK if self.tunnel is not None or self.host == LOOPBACK else None

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket on which it is reached from here; None over a network."""
        path = getattr(getattr(self.client.api, "_custom_adapter", None), "socket_path", None)
        return str(path) if path and self.tunnel is None else None

    @property
    def door(self) -> Door | None:
        """Where it can be asked without the SDK, as reaper.py has it; None where nobody but the SDK can."""
        from requests.utils import DEFAULT_CA_BUNDLE_PATH

        path = self.socket if self.tunnel is None else str(self.tunnel.docker)
        if path is not None:
            return ("unix", path)
        api = self.client.api
        parts = urlsplit(str(api.base_url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        place = parts.hostname, str(parts.port or (443 if parts.scheme == "https" else 80))
        if parts.scheme == "http":
            return ("tcp", *place)
        certificate, key = (api.cert, "") if isinstance(api.cert, str) else api.cert or ("", "")
        # Where none is named the SDK believes those that come with it.
        authority = api.verify if isinstance(api.verify, str) else DEFAULT_CA_BUNDLE_PATH if api.verify else ""
        files = (os.path.abspath(file) if file else "" for file in (authority, certificate, key))  # noqa: PTH100 - a link is to stay one
        return ("tls", *place, *files, "verify" if api.verify else "")

    def reach(self, port: int) -> str:
        """Where a published port is reached from here, as conninfo.

        Raises:
            DockerError: the tunnel is gone.
        """
        return f"host={self.host} port={port}" if self.tunnel is None else self.tunnel.reach(port)

    def has_image(self, image: str) -> bool:
        """Whether the image is there; nothing is pulled.

        Raises:
            DockerError: the engine went away, is silent or refuses, or no image can have that name.
        """
        import docker.errors
        import requests

        if not _NAME.fullmatch(image):
            # The SDK puts it into a URL as it is, where it could mean anything.
            raise DockerError.bad_name(image, "another form")
        self.client.api.timeout = LOOK_TIMEOUT_S
        try:
            self.client.images.get(image)
        except requests.Timeout as exc:
            raise DockerError.silent(image, LOOK_TIMEOUT_S) from exc
        except docker.errors.ImageNotFound:
            return False
        except docker.errors.APIError as exc:
            if "invalid reference format" in one_line(exc) or exc.status_code == BAD_REQUEST:
                raise DockerError.bad_name(image, one_line(exc)) from exc
            raise DockerError.refused("look for the image", image, one_line(exc)) from exc
        except hung_up() as exc:
            raise DockerError.left_early(image, one_line(exc)) from exc
        except (docker.errors.DockerException, OSError) as exc:
            raise DockerError.refused("look for the image", image, one_line(exc)) from exc
        finally:
            self.client.api.timeout = REQUEST_TIMEOUT_S
        return True


@contextmanager
def find_engine() -> Iterator[Engine]:
    """The engine the docker command would use.

    Raises:
        DockerError: none answers within two seconds, or a setting that leads to one is wrong.
    """
    import docker.errors
    import requests

    with ExitStack() as opened:
        tunnel = None
        try:
            require_keys()
            socket_of_its_own = _unnamed_socket()
            if socket_of_its_own is None:
                require_host(_named())
            if socket_of_its_own is None and _place().startswith("ssh://"):
                from scripts.server.containers.ssh import open_tunnel

                # The SDK's own way needs another library, and leads to the engine only, not to the ports.
                tunnel = opened.enter_context(open_tunnel(_place()))
                socket_of_its_own = tunnel.docker
            if socket_of_its_own is None:
                _require_socket()
            client = _client(_named() if socket_of_its_own is None else {"base_url": f"unix://{socket_of_its_own}"})
            opened.callback(client.close)
            version = client.api.engine_version or str(client.version().get("Version", ""))
        except requests.Timeout as exc:
            connected = not isinstance(exc, requests.ConnectTimeout)
            takes = "takes connections, and does not answer" if connected else "takes no connection"
            words = f"it {takes} within {PROBE_TIMEOUT_S} s"
            raise DockerError.no_engine(f"{_place() if tunnel is None else tunnel.place}: {words}") from exc
        except (docker.errors.DockerException, OSError, ValueError) as exc:
            at = "" if tunnel is None else f"{tunnel.place}: no engine behind ssh, or not for this user: "
            if tunnel is None and isinstance(exc, requests.ConnectionError):
                at = f"{_place()}: "
            raise DockerError.no_engine(at + one_line(exc)) from exc
        client.api.timeout = REQUEST_TIMEOUT_S
        yield Engine(client, LOOPBACK if tunnel is not None else host_of(str(client.api.base_url)), version, tunnel)


def _client(place: dict[str, Any]) -> Any:
    """Connect, and ask the engine for its version; a host that swallows packets costs the timeout.

    Raises:
        DockerError: DOCKER_API_VERSION is none, or none that the engine speaks.
    """
    import docker
    from docker.constants import MINIMUM_DOCKER_API_VERSION

    class Api(docker.APIClient):  # type: ignore[misc] # untyped
        """The engine's own authority is believed: requests would put the one of REQUESTS_CA_BUNDLE in its place.

        Its versions are in the head of its answer to the shortest question; asked for them, Docker runs two programs.
        """

        engine_version = ""

        def _retrieve_server_version(self) -> Any:
            head = self._get(self._url("/_ping", versioned_api=False)).headers
            named = _SERVER.fullmatch(head.get("Server", ""))
            self.engine_version = "" if named is None else named[1]
            return head.get("Api-Version") or super()._retrieve_server_version()

        def merge_environment_settings(
            self,
            url: str,
            proxies: Any,
            stream: Any,
            verify: Any,
            cert: Any,
        ) -> Any:
            given = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, given, cert)

    client = docker.DockerClient.__new__(
        docker.DockerClient
    )  # its constructor would make an APIClient of the SDK's own
    wanted = wanted_version()
    try:
        client.api = Api(**place, version=wanted, timeout=PROBE_TIMEOUT_S)
        if wanted is not None:
            spoken = client.api._retrieve_server_version()  # noqa: SLF001 - of our own class
            client.version()
    except docker.errors.InvalidVersion as exc:
        raise DockerError.other_api(str(wanted), f"{MINIMUM_DOCKER_API_VERSION} or newer") from exc
    except docker.errors.APIError as exc:
        if wanted is None or exc.status_code != BAD_REQUEST:
            raise
        raise DockerError.other_api(
            f"{wanted}: {one_line(exc)}", f"{spoken}, or one down to the engine's oldest"
        ) from exc
    return client


def _named() -> dict[str, Any]:
    """What is named, in the order of from_env: DOCKER_HOST, then the context; where, and with which keys."""
    from docker.context.api import ContextAPI
    from docker.utils import kwargs_from_env

    by_env: dict[str, Any] = kwargs_from_env()
    if by_env.get("base_url"):
        return by_env
    _require_configuration()
    return {**ContextAPI.kwargs_from_context(), **by_env}


def _require_configuration() -> None:
    """The file that names the context can be read: the SDK takes one that cannot for one that names nothing.

    Raises:
        DockerError: it is there, and is no JSON object.
    """
    from docker.utils.config import find_config_file

    path = find_config_file()
    if path is None:
        return
    try:
        found = json.loads(Path(path).read_bytes().strip() or b"{}")  # an empty one is none, as for the docker command
    except OSError as exc:
        raise DockerError.no_engine(f"{path} cannot be read: {(exc.strerror or str(exc)).lower()}") from exc
    except (ValueError, RecursionError) as exc:
        raise DockerError.no_engine(f"{path} is not JSON, so which engine is meant is not known") from exc
    if not isinstance(found, dict):
        raise DockerError.no_engine(f"{path} is not a JSON object, so which engine is meant is not known")


def _place() -> str:
    """Its URL, or the usual place's."""
    from docker.constants import DEFAULT_UNIX_SOCKET

    return str(_named().get("base_url") or DEFAULT_UNIX_SOCKET)


def _unnamed_socket() -> Path | None:
    """A socket that answers at another usual place, if no engine was named and the usual place has none.

    Raises:
        DockerError: a context was named that is not there. The SDK would take the usual place instead.
    """
    from docker.context.api import ContextAPI
    from docker.utils import kwargs_from_env

    if kwargs_from_env().get("base_url"):
        return None
    _require_configuration()
    place = ContextAPI.kwargs_from_context().get("base_url")
    if place is None:
        raise DockerError.no_engine("the Docker context that is asked for does not exist, or names no host")
    if place != ContextAPI.kwargs_from_context(name="default").get("base_url"):
        return None
    if SYSTEM_SOCKET.exists():
        return None  # stopped or closed to us: told, not passed over
    return next((path for path in usual_sockets() if _answers(path)), None)


def usual_sockets() -> tuple[Path, ...]:
    """Where engines listen beside the system's Docker: rootless, Desktop on macOS, Podman of the user, of root."""
    runtime, home = session_folder(), user_home()
    return (
        runtime / "docker.sock",
        *(() if home is None else (home / ".docker" / "run" / "docker.sock",)),
        runtime / "podman" / "podman.sock",
        Path("/run/podman/podman.sock"),
    )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(PROBE_TIMEOUT_S)
        try:
            knock.connect(str(path))
        except OSError:
            return False
    return True


def _require_socket() -> None:
    """Knock at a local socket first: its refusal is told in one line, where the SDK's is three exceptions deep."""
    scheme, _, path = _place().partition("://")
    if scheme not in ("unix", "http+unix"):
        return
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(PROBE_TIMEOUT_S)
        try:
            knock.connect("/" + path.lstrip("/"))
        except PermissionError as exc:
            raise DockerError.closed(f"/{path.lstrip('/')}") from exc
        except OSError as exc:
            raise DockerError.no_engine(f"/{path.lstrip('/')}: {exc.strerror or exc}") from exc


def host_of(base_url: str) -> str:
    """Where the engine publishes ports: its own machine's name, or loopback for a local socket.

    Args:
        base_url: as the SDK writes it: http+docker://localhost (a socket), http(s)://host:port.
    """
    parts = urlsplit(base_url)
    if parts.scheme in ("http+docker", "http+unix", "unix", "npipe") or not parts.hostname:
        return LOOPBACK
    return LOOPBACK if parts.hostname in ("localhost", LOOPBACK, "::1") else parts.hostname


def pull_image(engine: Engine, image: str) -> None:
    """Pull it: an explicit step, taken only when Docker was asked for.

    Raises:
        DockerError: it cannot be had, or the engine went away.
    """
    import docker.errors
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(image)
    engine.client.api.timeout = PULL_TIMEOUT_S
    try:
        engine.client.images.pull(repository, tag=tag or "latest")
    except hung_up() as exc:
        raise DockerError.left_early(image, one_line(exc)) from exc
    except (docker.errors.DockerException, OSError) as exc:
        raise DockerError.no_image(image, one_line(exc)) from exc
    finally:
        engine.client.api.timeout = REQUEST_TIMEOUT_S
