"""sha256 and canonical JSON: how a thing is turned into a name for its content.

Owns: the only byte form in which records are hashed.
Never: decides what belongs into a digest; its callers do.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"


def sha256_hex(data: bytes) -> str:
    """Lower-case sha256 of the bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space: equal values give equal bytes.

    Follows RFC 8785 for the values we use: no floats, and 64-bit numbers as strings (2^53 or more raises).

    Raises:
        ValueError: a float, or an integer that a JSON reader might round.
    """
    _require_exact(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """sha256 of the value's canonical JSON."""
    return sha256_hex(canonical_json(value))


def _require_exact(value: Any) -> None:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        msg = f"not exactly representable in JSON: {value!r}; pass it as a string"
        raise ValueError(msg)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                msg = f"JSON keys are strings, not {type(key).__name__}"
                raise ValueError(msg)  # noqa: TRY004 - one error for everything that has no exact JSON form
            _require_exact(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_exact(item)
