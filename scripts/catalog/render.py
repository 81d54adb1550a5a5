"""The catalog as text, and back: the golden file that is reviewed.

Owns: the form of schema/catalog.txt: a paragraph for each object, `kind name`, then its facts, one a line.
Promises: stable, and without loss: `parse_catalog(render_catalog(c)) == c`, so a comparison is of objects, not lines.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.catalog.read import Catalog, CatalogObject
from scripts.errors.history import GoldenCatalogError

if TYPE_CHECKING:
    from scripts.digest import Json

KINDS = (
    "aggregate",
    "base type",
    "column",
    "composite type",
    "constraint",
    "default privileges",
    "domain",
    "enum",
    "event trigger",
    "extension",
    "foreign server",
    "foreign table",
    "function",
    "index",
    "materialized view",
    "parameter",
    "partitioned table",
    "policy",
    "procedure",
    "publication",
    "range type",
    "role",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "system object",
    "table",
    "trigger",
    "view",
    "window function",
    # Named as pg_identify_object has it.
    "access method",
    "cast",
    "collation",
    "conversion",
    "foreign-data wrapper",
    "language",
    "operator",
    "operator class",
    "operator family",
    "text search configuration",
    "text search dictionary",
    "text search parser",
    "text search template",
    "transform",
)
_HEAD = (
    "# The catalog after every migration, as the server has it. Made by `invoke catalog.update`; reviewed like code.\n"
)
_TEXT = "    |"


def render_catalog(catalog: Catalog) -> str:
    """The golden text, ending in a newline."""
    return _HEAD + "".join("\n" + render_object(item) for item in catalog.objects)


def render_object(item: CatalogObject) -> str:
    """One object's paragraph: text of several lines stands below its fact, each line behind a bar."""
    lines = [_escaped(item.title)]
    for key in sorted(item.facts):
        value = item.facts[key]
        if isinstance(value, str) and "\n" in value:
            lines.append(f"  {key}:")
            lines += [f"{_TEXT} {_escaped(line)}" if line else _TEXT for line in value.split("\n")]
        elif isinstance(value, str) and value:
            lines.append(f"  {key}: {_escaped(value)}")
        else:
            lines.append(f"  {key} = {json.dumps(value, ensure_ascii=False, sort_keys=True)}")
    return "\n".join(lines) + "\n"


def parse_catalog(text: str) -> Catalog:
    """Read a golden text back.

    Raises:
        GoldenCatalogError: a line of another form.
    """
    objects: list[CatalogObject] = []
    facts: dict[str, Json] = {}
    multi: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#") or not line:
            multi = None
        elif line.startswith(_TEXT) and multi is not None:
            before = facts.get(multi)
            piece = _unescaped(line[len(_TEXT) + 1 :])
            facts[multi] = piece if before is None else f"{before}\n{piece}"
        elif line.startswith("  ") and objects:
            multi = _parse_fact(line[2:], facts, number)
        else:
            facts = {}
            objects.append(_parse_title(line, facts, number))
            multi = None
    return Catalog(tuple(objects))


def _parse_fact(line: str, facts: dict[str, Json], number: int) -> str | None:
    key = line.split(" ", 1)[0].rstrip(":")
    rest = line[len(key) :]
    if rest == ":":
        facts[key] = None
        return key
    if rest.startswith(": "):
        facts[key] = _unescaped(rest[2:])
        return None
    try:
        facts[key] = json.loads(rest.removeprefix(" = "))
    except ValueError as exc:
        raise GoldenCatalogError.malformed(number, line) from exc
    return None


def _parse_title(line: str, facts: dict[str, Json], number: int) -> CatalogObject:
    text = _unescaped(line)
    kind = max((kind for kind in KINDS if text.startswith(kind + " ")), key=len, default=None)
    if kind is None:
        raise GoldenCatalogError.malformed(number, line)
    return CatalogObject(kind, text[len(kind) + 1 :], facts)


def _escaped(text: str) -> str:
    # A carriage return or a trailing space would be lost on the way through an editor or git.
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return text[:-1] + "\\s" if text.endswith(" ") else text


def _unescaped(text: str) -> str:
    pieces = text.split("\\\\")
    return "\\".join(p.replace("\\n", "\n").replace("\\r", "\r").replace("\\s", " ") for p in pieces)
