"""The golden catalog beside a folder of migrations: what every file of that folder, applied, makes.

Owns: where it lies (`catalog.txt` beside the folder: schema/catalog.txt for schema/migrations), reading, writing.
Promises: the project's own folder always has one, or an error says so; a foreign folder may have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.catalog.render import parse_catalog, render_catalog
from scripts.errors.drift import NoGoldenCatalogError
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.catalog.read import Catalog

NAME = "catalog.txt"


def golden_path(folder: Path) -> Path:
    """Where the golden catalog of a folder lies, whether it is there or not."""
    return folder.parent / NAME


def golden_name(folder: Path) -> str:
    """The same for people: without the path to it."""
    return f"{folder.parent.name}/{NAME}"


def read_golden(folder: Path) -> Catalog | None:
    """The golden catalog; None when a foreign folder has none.

    Raises:
        NoGoldenCatalogError: the project's own is not there.
        GoldenCatalogError: it is not a golden catalog.
    """
    try:
        text = golden_path(folder).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        if folder.resolve() == Settings().migrations_dir.resolve():
            raise NoGoldenCatalogError.absent(golden_name(folder)) from None
        return None
    return parse_catalog(text)


def write_golden(folder: Path, catalog: Catalog) -> bool:
    """Write it anew; returns whether it changed."""
    path, text = golden_path(folder), render_catalog(catalog)
    if path.exists() and path.read_bytes() == text.encode():
        return False
    path.write_text(text, encoding="utf-8", newline="\n")
    return True
