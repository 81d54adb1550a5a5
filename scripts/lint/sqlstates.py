"""The registry of SQLSTATEs beside the migrations, and what PostgreSQL itself calls by such a code.

Owns: the reading of `sqlstates.yml` (JSON, which is YAML, too), and the list of the server's own codes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from scripts.errors.lint import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "sqlstates.yml"
CODE = re.compile(r"[0-9A-Z]{5}")


@dataclass(frozen=True, slots=True)
class Registry:
    """The codes a schema declares.

    name: the file's name. codes: code → its entry. lines: code → the line it stands in.
    """

    name: str
    codes: Mapping[str, Mapping[str, Any]]
    lines: Mapping[str, int]

    def is_reserved(self, code: str) -> bool:
        """Whether the entry says that nothing raises the code: `raised_by` is there and empty."""
        return self.codes.get(code, {}).get("raised_by") == []


def read_registry(folder: Path) -> Registry | None:
    """The registry beside the folder of migrations, or None when there is none.

    Raises:
        RegistryError: it is there and cannot be used.
    """
    path = folder.parent / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise RegistryError.unreadable(FILE_NAME, type(exc).__name__) from exc
    return parse_registry(text)


def parse_registry(text: str) -> Registry:
    """Read the registry's text.

    Raises:
        RegistryError: no JSON, another shape, a code twice, or one that is no SQLSTATE.
    """
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except ValueError as exc:
        raise RegistryError.unreadable(FILE_NAME, str(exc)) from exc
    codes = document.get("codes") if isinstance(document, dict) else None
    if not isinstance(codes, dict) or not all(isinstance(entry, dict) for entry in codes.values()):
        raise RegistryError.unreadable(FILE_NAME, "no object `codes` of objects")
    wrong = [code for code in codes if CODE.fullmatch(code) is None]
    if wrong:
        raise RegistryError.unreadable(FILE_NAME, f"{wrong[0]!r}, which is no SQLSTATE")
    lines = text.splitlines()
    places = {code: next((n for n, line in enumerate(lines, 1) if f'"{code}":' in line), 1) for code in codes}
    return Registry(FILE_NAME, codes, places)


@cache
def server_codes() -> frozenset[str]:
    """Every SQLSTATE that PostgreSQL raises by itself."""
    return frozenset(code for code, _ in _server_errors())


@cache
def server_conditions() -> Mapping[str, str]:
    """Condition name, as RAISE and EXCEPTION WHEN take it → SQLSTATE."""
    return {name: code for code, name in _server_errors()}


def _server_errors() -> list[tuple[str, str]]:
    # The driver ships the server's own table (errcodes.txt), as one class a code.
    import psycopg.errors

    found = []
    for name, value in vars(psycopg.errors).items():
        code = getattr(value, "sqlstate", None)
        if isinstance(code, str) and CODE.fullmatch(code):
            found.append((code, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower().strip("_")))
    return found


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            msg = f"{key!r} twice"
            raise ValueError(msg)
        found[key] = value
    return found
