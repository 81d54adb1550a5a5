"""Which policy is meant: a file and its bytes, or a version and a checksum that were handed over.

Owns: `Policy`, and the reading of a policy file.
Promises: the checksum of a file is the sha256 of its bytes; a file and an environment that disagree are an error.
Never: asks a database.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.digest import sha256_hex
from scripts.errors.policy import PolicySourceError

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.settings import Settings

_SHA256 = re.compile(r"[0-9a-f]{64}")
# In a file the version has one of these names, the first of them that is there.
_VERSION_KEYS = ("policy_version", "version")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy version and its checksum, both texts that are neither empty nor blank. `origin` is for people."""

    version: str
    checksum: str
    origin: str


def read_policy(settings: Settings) -> Policy | None:
    """The policy that the settings name; None when they name none.

    Raises:
        PolicySourceError: the file is missing or says no version, what is named twice differs, or half is missing.
    """
    version, checksum = settings.policy_version, settings.policy_checksum
    if settings.policy_file is not None:
        return _of_file(settings.policy_file, version, checksum)
    if version is None and checksum is None:
        return None
    if checksum is None:
        raise PolicySourceError.half("SEED_POLICY_VERSION", "SEED_POLICY_CHECKSUM")
    if version is None:
        raise PolicySourceError.half("SEED_POLICY_CHECKSUM", "SEED_POLICY_VERSION")
    return Policy(version, checksum, "the environment")


def same_checksum(one: str, other: str) -> bool:
    """Whether both are one checksum: a sha256 in hex is the same in capitals and with its name in front."""
    return _plain(one) == _plain(other)


def _plain(checksum: str) -> str:
    folded = checksum.lower().removeprefix("sha256:")
    # Any other text is what it is, letter by letter.
    return folded if _SHA256.fullmatch(folded) else checksum


def _of_file(path: Path, version: str | None, checksum: str | None) -> Policy:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise PolicySourceError.missing(str(path)) from exc
    found = sha256_hex(data)
    if checksum is not None and not same_checksum(checksum, found):
        raise PolicySourceError.other_checksum(path.name, expected=checksum, found=found)
    written, why = _version_in(data)
    if version is not None and written is not None and version != written:
        raise PolicySourceError.other_version(path.name, expected=version, found=written)
    chosen = version or written
    if chosen is None:
        raise PolicySourceError.without_version(path.name, why)
    return Policy(chosen, found, path.name)


def _version_in(data: bytes) -> tuple[str | None, str]:
    """The version that the file says, and what was found instead when it says none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None, "a file that is not JSON"
    if not isinstance(document, dict):
        return None, "JSON, but no object"
    value = next((document[key] for key in _VERSION_KEYS if key in document), None)
    if isinstance(value, str) and value.strip() == value != "" and value.isprintable():
        return value, ""
    return None, "none" if value is None else f"a {type(value).__name__} that is no plain text"
