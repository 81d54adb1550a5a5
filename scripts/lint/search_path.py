"""The pinned search_path of a function: what is accepted, and what is wrong with the rest.

Owns: `PINNED`, the form in which we write it.
Source: PostgreSQL manual, "Writing SECURITY DEFINER Functions Safely".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.nodes import concrete, constant, enum_name, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

PINNED = "pg_catalog, public, pg_temp"


def path_problem(options: Iterable[Any]) -> str:
    """What is wrong with the search_path among the options of CREATE or ALTER FUNCTION; empty when nothing is.

    The last SET wins, as it does in the server.
    """
    found = None
    for wrapper in options:
        item = concrete(wrapper)
        if item is None or kind_of(item) != "DefElem" or item.defname != "set":
            continue
        setting = concrete(item.arg)
        if setting.name == "search_path" or enum_name(setting, "kind") == "VAR_RESET_ALL":
            found = setting
    if found is None:
        return "does not pin its search_path"
    kind = enum_name(found, "kind")
    if kind in ("VAR_RESET", "VAR_RESET_ALL", "VAR_SET_DEFAULT"):
        return "gives up its search_path"
    if kind == "VAR_SET_CURRENT":
        return "takes its search_path from whoever migrates (FROM CURRENT)"
    return _value_problem([constant(argument) for argument in found.args])


def is_pinned(options: Iterable[Any]) -> bool:
    """Whether the options pin the search_path rightly."""
    return not path_problem(options)


def _value_problem(schemas: list[str | int | bool | None]) -> str:
    if any(isinstance(schema, str) and "," in schema for schema in schemas):
        return "pins a search_path of one schema whose name has commas in it: the list stands in one string"
    if "$user" in schemas:
        return "pins a search_path with $user, which is the caller's to make"
    if schemas[-1:] != ["pg_temp"]:
        return "pins a search_path that does not end in pg_temp"
    if schemas.count("pg_temp") > 1 or schemas[:1] != ["pg_catalog"]:
        return "pins a search_path that does not begin with pg_catalog, or names pg_temp twice"
    return ""
