"""The last line of defence: no file that holds a password of this run is written.

Owns: the search for a secret in bytes about to be stored.
Never: redacts. Evidence with a hole in it would hide that something went wrong.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from scripts.errors.evidence import SecretInEvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Shorter ones occur by chance; the passwords this project makes are far longer.
_LENGTH_MIN = 6


def collect_secrets(dsns: Iterable[str | None]) -> tuple[str, ...]:
    """The passwords in connection strings.

    A password that is also the user, the database or the host of its own string, or is shorter than six characters,
    is left out: it is no secret, and would be found everywhere.

    Args:
        dsns: libpq connection strings or URLs; None is passed over.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    found: list[str] = []
    for dsn in dsns:
        try:
            parts = conninfo_to_dict(dsn or "")
        except ProgrammingError:
            continue  # whoever connects with it will say so
        public = {str(parts.get(name)) for name in ("user", "dbname", "host")}
        found += [
            value
            for name in ("password", "sslpassword")
            if len(value := str(parts.get(name) or "")) >= _LENGTH_MIN and value not in public
        ]
    return tuple(dict.fromkeys(found))


def require_no_secret(data: bytes, secrets: Iterable[str], *, where: str) -> None:
    """Refuse bytes that hold a secret, in any of the spellings it could have got there.

    Raises:
        SecretInEvidenceError: one was found; the message does not show it.
    """
    for secret in secrets:
        if any(spelling in data for spelling in _spellings(secret)):
            raise SecretInEvidenceError.found(where)


def _spellings(secret: str) -> Iterator[bytes]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    # A JSON text inside a JSON string, which is how a nested log line arrives.
    yield json.dumps(json.dumps(secret)[1:-1])[1:-1].encode()
    yield quote(raw, safe="").encode()
    yield quote_plus(raw).encode()
    yield base64.b64encode(raw)
    yield raw.hex().encode()
