"""Places of servers, as conninfo and as URL: which are of our own servers, and what of one may be shown to be used.

Owns: the mark in the DSN of a server that we started, and which of libpq's parameters are secret.
Promises: a DSN made from a marked one (another database, role, password, options) is marked, too; no other is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from scripts.settings import connecting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

# It goes wherever the DSN goes, into other processes too. The server never sees it: every connection of ours says an
# application_name.
_MARK: Final = ("fallback_application_name", "a server of the parity runner's own")
_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})


def own_dsn(**parts: Any) -> str:
    """The conninfo of a server that we started: a connection to it is made as if libpq had no variables.

    Args:
        parts: its parameters; with `host`, and `port`: what is made from it for people is used beside a PGPORT.
    """
    from psycopg.conninfo import make_conninfo

    name, value = _MARK
    return make_conninfo(**parts, **{name: value})


def connecting_to(parts: Mapping[str, str]) -> AbstractContextManager[None]:
    """Around a connect, and around what is asked of libpq's defaults for it.

    Args:
        parts: the DSN's. The caller's variables of libpq count but for a server of our own.
    """
    name, value = _MARK
    return connecting(as_the_caller=parts.get(name) != value)


def shown_url(parts: Mapping[str, str]) -> str:
    """A libpq URL that connects, but for what is secret: that is left out.

    Args:
        parts: of a DSN; several hosts and a socket's folder stand behind the question mark.
    """
    left = {name: value for name, value in parts.items() if name not in _SECRET and value}
    user, database = (quote(left.pop(name, ""), safe="") for name in ("user", "dbname"))
    place, host = "", left.get("host", "")
    if host and not host.startswith(("/", "@")) and "," not in host + left.get("port", ""):
        del left["host"]
        place = f"[{host}]" if ":" in host else quote(host, safe="")
        place += f":{left.pop('port')}" if "port" in left else ""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in left.items())
    return f"postgresql://{user}{'@' if user else ''}{place}/{database}{'?' if asked else ''}{asked}"
