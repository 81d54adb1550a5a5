"""A server that somebody else runs: a login on it, as DATABASE_URL holds one."""

from __future__ import annotations

from urllib.parse import quote

from scripts.server.readiness import parse_dsn

PASSWORD = "p@ss/w:rd#1"


def url_of(dsn: str, **changes: str) -> str:
    """A URL, as DATABASE_URL holds one."""
    parts = parse_dsn(dsn) | changes
    return (
        f"postgresql://{quote(parts['user'], safe='')}:{quote(parts['password'], safe='')}@/"
        f"{parts['dbname']}?host={quote(parts['host'], safe='')}"
    )
