"""What the body of each function must be: the text in the migration that wrote it last.

Owns: the reading of bodies out of parsed migrations.
Never: looks into the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.migrations.folder.files import MigrationFile


def function_sources(files: Sequence[MigrationFile]) -> Mapping[str, str]:
    """Name of each function of `public` → its last body, as pg_proc.prosrc holds it.

    Args:
        files: the migrations in the order in which they ran.
    """
    sources: dict[str, str] = {}
    for file in files:
        for statement in file.statements:
            if statement.kind == "CreateFunctionStmt":
                *schema, name = [part.string.sval for part in statement.node.funcname]
                body = _body(statement.node)
                if schema in ([], ["public"]) and body is not None:
                    sources[name] = body
    return sources


def _body(node: Any) -> str | None:
    """The text after AS; None for a function written as BEGIN ATOMIC, which the server stores as a tree."""
    for option in node.options:
        if option.def_elem.defname == "as":
            texts = [item.string.sval for item in option.def_elem.arg.list.items]
            return texts[0] if len(texts) == 1 else None
    return None
