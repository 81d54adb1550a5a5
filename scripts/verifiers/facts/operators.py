"""Which of the server's operators raise nothing, whatever they are given.

Owns: those operators, and the types whose values can be compared.
Promises: one that takes any type is known only for types that are: a point has no equality, a composite one that of its
fields. An operator that takes a type of somebody's own is none of the server's.
Never: knows how long a value is, or what an operator gives (workings.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# What takes a member out of a document, which may be as long as the document.
MEMBERS = frozenset({"->", "->>", "#>", "#>>"})
_COMPARES = frozenset({"=", "<>", "<", ">", "<=", ">="})
_CONTAINS = frozenset({"@>", "<@", "&&"})
_TIMES = ("date", "timestamp with time zone", "timestamp without time zone")
# The server's own orders of these look at the values alone.
ORDERED = frozenset(
    {"text", "character", "name", '"char"', "bytea", "boolean", "smallint", "integer", "bigint", "numeric", "real",
     "double precision", "money", "uuid", "time with time zone", "time without time zone", "interval", "jsonb", "inet",
     "macaddr", "macaddr8", "bit", "bit varying", "oid", "xid", "xid8", "tid", "pg_lsn", "tsvector", *_TIMES}
)  # fmt: skip
_RANGES = frozenset({"int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"})
# Of what takes any type, by what it takes: those of which it is known; an enum type is compared by its own order.
_ANY = {
    "anyenum": None,
    "anyarray": frozenset(f"{one}[]" for one in (*ORDERED, "character varying")),
    "anyrange": _RANGES,
    "anymultirange": frozenset(one.replace("range", "multirange") for one in _RANGES),
    "anyelement": ORDERED,
}
_OTHERS = frozenset(
    {"||(text,text)", "||(text,anynonarray)", "||(anynonarray,text)", "||(jsonb,jsonb)", "||(bytea,bytea)",
     "||(bit varying,bit varying)", "@>(jsonb,jsonb)", "<@(jsonb,jsonb)", "?(jsonb,text)", "?|(jsonb,text[])",
     "?&(jsonb,text[])", "&&(inet,inet)", "^@(text,text)", *(f"{one}(jsonb,text)" for one in ("->", "->>")),
     *(f"{one}(json,text)" for one in ("->", "->>")), *(f"{one}(json,integer)" for one in ("->", "->>")),
     *(f"{one}(jsonb,integer)" for one in ("->", "->>")), *(f"{one}(json,text[])" for one in ("#>", "#>>")),
     *(f"{one}(jsonb,text[])" for one in ("#>", "#>>"))}
)  # fmt: skip


def never_fails(name: str, given: Iterable[str]) -> bool:
    """Whether the operator raises nothing.

    Args:
        name: the server's, with the types that it takes.
        given: the types of what it is given, in order.
    """
    if name in _OTHERS:
        return True
    operator, _, takes = name.rstrip(")").partition("(")
    types = takes.split(",")
    if not any(one in _ANY for one in types):
        return operator in _COMPARES and ORDERED.issuperset(types)
    if operator not in _COMPARES | _CONTAINS:
        return False
    return all(
        (known := _ANY.get(one, frozenset())) is None or of in known for one, of in zip(types, given, strict=True)
    )
