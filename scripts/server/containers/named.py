"""Whether what names the Docker engine can be one's name: a wrong setting is told as one, not as no engine.

Owns: the forms of DOCKER_HOST and of a context's host, which are the SDK's; the folder of keys; DOCKER_API_VERSION.
Never: shows a host: it may hold a password.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors.docker import DockerError
from scripts.settings import docker_variable, user_home

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = ("unix", "http+unix", "tcp", "http", "https", "ssh", "npipe")
_VERSION = re.compile(r"v?([0-9]{1,4}\.[0-9]{1,4})")
NOT_SHOWN = "(not shown: it may hold a password)"


def named_by() -> str:
    """What names the engine, for people: the variable, or the context."""
    from docker.context.config import get_current_context_name

    if docker_variable("DOCKER_HOST"):
        return "DOCKER_HOST"
    return f"the Docker context {docker_variable('DOCKER_CONTEXT') or get_current_context_name()}"


def require_host(named: Mapping[str, object]) -> None:
    """Judge the form of a host; of ssh:// ssh.py does.

    Args:
        named: the SDK's arguments, `base_url` and `tls`.

    Raises:
        DockerError: the SDK cannot take it.
    """
    from docker.constants import IS_WINDOWS_PLATFORM
    from docker.errors import DockerException
    from docker.utils import parse_host

    url = str(named.get("base_url") or "")
    if url.startswith("ssh://"):
        return
    try:
        parsed = str(parse_host(url, IS_WINDOWS_PLATFORM, bool(named.get("tls"))))
    except (DockerException, ValueError):
        parsed = ""
    if not parsed or (parsed.startswith("npipe:") and not IS_WINDOWS_PLATFORM):
        raise DockerError.bad_host(named_by(), _form_of(url))


def _form_of(url: str) -> str:
    kind = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]{0,19})://", url)
    if kind is None:
        return f"something else {NOT_SHOWN}"
    name = kind[1].lower()
    return f"a URL of the kind {name}://" + (f", of another form {NOT_SHOWN}" if name in _KINDS else "")


def require_keys() -> None:
    """The keys that the variables ask for are there.

    Raises:
        DockerError: one is missing.
    """
    verify, folder = docker_variable("DOCKER_TLS_VERIFY"), docker_variable("DOCKER_CERT_PATH")
    if not (verify or folder):
        return
    place = Path(folder) if folder else (user_home() or Path("~")) / ".docker"
    wanted = ("cert.pem", "key.pem", *(("ca.pem",) if verify else ()))
    missing = [name for name in wanted if not os.path.isfile(place / name)]  # noqa: PTH113 - never raises
    if missing:
        where = "DOCKER_CERT_PATH" if folder else "DOCKER_TLS_VERIFY"
        raise DockerError.no_keys(where, ", ".join(wanted), f"{place}: no {', no '.join(missing)}")


def wanted_version() -> str | None:
    """The version of the engine's interface that is to be spoken; None: the engine's newest.

    Raises:
        DockerError: the variable holds no version.
    """
    value = docker_variable("DOCKER_API_VERSION")
    if not value:
        return None
    version = _VERSION.fullmatch(value)
    if version is None:
        raise DockerError.other_api(repr(value), "two numbers with a dot between, as in 1.41")
    return version[1]
