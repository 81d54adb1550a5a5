"""The catalog as one number: sha256 of its canonical JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.digest import digest_of

if TYPE_CHECKING:
    from scripts.catalog.read import Catalog


def fingerprint(catalog: Catalog) -> str:
    """sha256, 64 hex digits. read.py says what counts and what does not."""
    return digest_of(catalog.as_json())
