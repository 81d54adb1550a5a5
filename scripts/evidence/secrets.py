"""The last line of defence: no file that holds a password of this run is written.

Owns: the search for a secret in bytes about to be stored.
Never: redacts. Evidence with a hole in it would hide that something went wrong.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from scripts.errors.evidence import SecretInEvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Shorter ones occur by chance; the passwords this project makes are far longer.
_LENGTH_MIN = 6
_NESTING_MAX = 8
# A run of \\u escapes is undone as a whole: two of them may be the halves of one character.
_ESCAPES = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')


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
    wanted = {spelling for secret in secrets for spelling in _spellings(secret)}
    if wanted and any(spelling in text for text in _readings(data) for spelling in wanted):
        raise SecretInEvidenceError.found(where)


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield repr(secret)[1:-1]
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()
    yield raw.hex()


def _readings(data: bytes) -> Iterator[str]:
    """The text as it stands, and with its JSON escapes undone once, twice, …: a log line may be JSON in JSON."""
    text = data.decode("utf-8", "replace")
    for _ in range(_NESTING_MAX):
        yield text
        plain = _ESCAPES.sub(lambda found: str(json.loads(f'"{found[0]}"')), text)
        if plain == text:
            return
        text = plain
