"""One reading of the catalog: every fact the checks ask for, in one query.

Owns: `Reading`, and the query in `reading.sql`, with the parts of it that have files of their own.
Promises: names are the server's own, schema-qualified; what is looked up is looked up by schema, table and name, so a
squatter elsewhere is never found. A session plans the query once; what is told in the same words as in an earlier
reading is the same object again, so that reading once more after a change costs what has changed.
Never: judges anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.added import Added, added_of
from scripts.verifiers.facts.holdings import Holding, holdings_of
from scripts.verifiers.facts.logins import Login, logins_of
from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.sessions import EventTrigger, Power, Setting, powers_of, settings_of
from scripts.verifiers.facts.shape import (
    Column,
    Constraint,
    Function,
    Index,
    Table,
    Trigger,
    asleep,
    trigger_state,
    trigger_timing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

_QUERY = Path(__file__).with_name("reading.sql")
_PARTS = ("added.sql", "refusing.sql", "logins.sql")
# Relations and functions that are remembered, several times as many as one reading has: a mutant is told beside the
# original.
_REMEMBERED = 512
_VOLATILITY = {"v": "VOLATILE", "s": "STABLE", "i": "IMMUTABLE"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One privilege of one grantee; `grantee` is a role's name or PUBLIC."""

    grantee: str
    privilege: str
    grantable: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What surrounds a relation's definition: its kind, owner, grants, and whatever could stand in for a trigger.

    `extension` is the one that it is said to belong to; empty for none. `identity` is pg_class.relreplident,
    `refusing` are publications under which its rows cannot be changed, `added` its columns, indexes and statistics that
    nobody reviewed.
    """

    kind: str
    persistence: str
    owner: str
    row_security: bool
    rules: tuple[str, ...]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    grants: tuple[Grant, ...]
    column_grants: Mapping[str, tuple[Grant, ...]]
    extension: str = ""
    policies: tuple[str, ...] = ()
    identity: str = "d"
    refusing: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    toast_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Routine:
    """A function as it stands: definition, body, owner and grants.

    `extension` is the one that it is said to belong to; `installed` whether that was installed here. One that came with
    the server has no functions but the server's. `goes_with` are those with which it goes though it is no member.
    """

    function: Function
    signature: str
    kind: str
    source: str
    owner: str
    grants: tuple[Grant, ...]
    extension: str = ""
    installed: bool = False
    goes_with: str = ""


@dataclass(frozen=True, slots=True)
class TypeRights:
    """Whose an enum type is, who may use it, and the extension that it is said to belong to."""

    owner: str
    grants: tuple[Grant, ...]
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """A role's attributes that are set, in alphabetical order, the roles it is a member of, and what limits it."""

    name: str
    attributes: tuple[str, ...]
    member_of: tuple[str, ...]
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DefaultGrant:
    """What objects that `owner` makes later grant by themselves; `schema` is empty for everywhere."""

    owner: str
    schema: str
    kind: str
    grantee: str | None
    privilege: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Schema `public` as it stands, and the roles asked for.

    insiders: of the owners of schema and database the superusers, and those who may act as the tables' owner.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    routines: tuple[Routine, ...] = ()
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    enum_rights: Mapping[str, TypeRights] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    schema_grants: tuple[Grant, ...] = ()
    schema_owner: str = ""
    schema_extension: str = ""
    database_owner: str = ""
    insiders: tuple[str, ...] = ()
    reader: str = ""
    default_grants: tuple[DefaultGrant, ...] = ()
    settings: tuple[Setting, ...] = ()
    parameters: tuple[Power, ...] = ()
    schema_makers: tuple[Power, ...] = ()
    event_triggers: tuple[EventTrigger, ...] = ()
    logins: tuple[Login, ...] = ()
    holdings: tuple[Holding, ...] = ()

    def routines_named(self, name: str) -> tuple[Routine, ...]:
        """Every overload of the function of that name in `public`."""
        return tuple(routine for routine in self.routines if routine.function.name == name)


def read_facts(
    conn: psycopg.Connection[Any],
    roles: Iterable[str],
    tables: Iterable[str] = (),
    reviewed: Mapping[str, Table] | None = None,
) -> Reading:
    """Read the catalog of `public`.

    Args:
        conn: any role that may read the catalogs. The search path is pinned for this question and put back.
        roles: the roles whose attributes, memberships and sessions are wanted; those that do not exist are left out.
        tables: whose owners need no way around their rules.
        reviewed: tables as reviewed, by name; what else is on them is told with what it works out (hurdles.py).
    """
    from psycopg.rows import tuple_row

    # Rolled back, so that the settings are the caller's again also inside a transaction of the caller's.
    with conn.transaction(force_rollback=True), conn.cursor(row_factory=tuple_row) as cursor:
        return reading_of(reading_question().ask(cursor, *reading_names(roles, tables, reviewed)))


def reading_names(
    roles: Iterable[str], tables: Iterable[str] = (), reviewed: Mapping[str, Table] | None = None
) -> tuple[Iterable[str], ...]:
    """What the question is asked of; see `read_facts`."""
    known = [
        (table.name, name)
        for table in (reviewed or {}).values()
        for name in (*(column.name for column in table.columns), *(index.name for index in table.indexes))
    ]
    return roles, tables, [table for table, _ in known], [name for _, name in known]


@cache
def reading_question() -> Planned:
    """The question; what it is asked of is `reading_names`."""
    query = _QUERY.read_text(encoding="utf-8")
    for part in _PARTS:
        query = query.replace(f"/* {part} */", _QUERY.with_name(part).read_text(encoding="utf-8"))
    return Planned(query, parameters=4)


def reading_of(rows: Iterable[Sequence[str]]) -> Reading:
    """What the answer to the question says."""
    told: dict[str, list[str]] = {"relation": [], "function": [], "rest": []}
    for kind, text in rows:
        told[kind].append(text)
    relations = sorted((_relation(text) for text in told["relation"]), key=lambda one: one[0].name)
    (rest,) = told["rest"]
    return _rest(
        json.loads(rest),
        relations,
        tuple(sorted((_routine(text) for text in told["function"]), key=lambda one: one.signature)),
    )


def _rest(found: Mapping[str, Any], relations: Iterable[tuple[Table, Held]], routines: tuple[Routine, ...]) -> Reading:
    return Reading(
        tables={table.name: table for table, _ in relations},
        held={table.name: held for table, held in relations},
        routines=routines,
        enums={name: tuple(labels or ()) for name, labels in (found["enums"] or {}).items()},
        enum_rights={
            name: TypeRights(row["owner"], _grants(row["grants"]), row["extension"] or "")
            for name, row in (found["enum_rights"] or {}).items()
        },
        roles={row["name"]: _role(row) for row in found["roles"] or []},
        schema_grants=_grants(found["schema_grants"]),
        schema_owner=found["schema_owner"] or "",
        schema_extension=found["schema_extension"] or "",
        database_owner=found["database_owner"],
        insiders=tuple(found["insiders"] or ()),
        reader=found["reader"],
        default_grants=tuple(DefaultGrant(*row) for row in found["default_grants"] or []),
        settings=settings_of(found["settings"]),
        parameters=powers_of(found["parameters"]),
        schema_makers=powers_of(found["schema_makers"]),
        event_triggers=tuple(EventTrigger(*row) for row in found["event_triggers"] or []),
        logins=logins_of(found["logins"]),
        holdings=holdings_of(found["holdings"]),
    )


@lru_cache(maxsize=_REMEMBERED)
def _relation(text: str) -> tuple[Table, Held]:
    row = json.loads(text)
    return _table(row), _held(row)


def _table(row: Mapping[str, Any]) -> Table:
    return Table(
        name=row["name"],
        columns=tuple(
            Column(**{key: value for key, value in column.items() if key != "grants"})
            for column in row["columns"] or []
        ),
        constraints=tuple(_constraint(one) for one in row["constraints"] or []),
        indexes=tuple(
            Index(**(one | {"keys": tuple(one["keys"] or ()), "include": tuple(one["include"] or ())}))
            for one in row["indexes"] or []
        ),
        triggers=tuple(_trigger(one) for one in row["triggers"] or []),
        options=tuple(sorted(row["options"] or ())),
    )


def _constraint(one: Mapping[str, Any]) -> Constraint:
    foreign = one["kind"] == "f"
    return Constraint(
        kind=one["kind"],
        columns=() if one["kind"] == "c" else tuple(one["columns"] or ()),
        name=one["name"],
        expression=one["expression"],
        references=one["references"],
        referenced=tuple(one["referenced"] or ()),
        on_update=one["on_update"] if foreign else "a",
        on_delete=one["on_delete"] if foreign else "a",
        # Of one column FULL says what SIMPLE says.
        match=one["match"] if foreign and len(one["columns"] or ()) > 1 else "s",
        valid=one["valid"],
        enforced=one["enforced"],
        deferrable=one["deferrable"],
        nulls_not_distinct=one["nulls_not_distinct"],
        asleep=asleep(tuple((str(t), str(f), str(e)) for t, f, e in one["guards"] or ()))
        if foreign and one["enforced"]
        else (),
        goes_with=one["goes_with"],
    )


def _trigger(one: Mapping[str, Any]) -> Trigger:
    timing, level, events = trigger_timing(one["bits"])
    when = None
    if one["guarded"]:
        # pg_get_expr cannot write a condition on OLD and NEW; the server's own text of the trigger holds it.
        when = one["definition"].partition(" WHEN (")[2].rpartition(") EXECUTE FUNCTION ")[0]
    return Trigger(
        name=one["name"],
        function=one["function"],
        events=events,
        timing=timing,
        level=level,
        columns=tuple(one["columns"] or ()),
        when=when,
        enabled=trigger_state(one["enabled"]),
        arguments=one["arguments"],
        deferrable=one["deferrable"],
        goes_with=one["goes_with"],
    )


def _held(row: Mapping[str, Any]) -> Held:
    return Held(
        kind=row["kind"],
        persistence=row["persistence"],
        owner=row["owner"],
        row_security=row["row_security"],
        rules=tuple(row["rules"] or ()),
        parents=tuple(row["parents"] or ()),
        children=tuple(row["children"] or ()),
        grants=_grants(row["grants"]),
        column_grants=MappingProxyType(
            {
                c["name"]: _grants(c["grants"])
                for c in (*(row["columns"] or ()), *(row["system_grants"] or ()))
                if c["grants"]
            }
        ),
        extension=row["extension"] or "",
        policies=tuple(row["policies"] or ()),
        identity=row["identity"],
        refusing=tuple(row["refusing"] or ()),
        added=added_of(row["added"]),
        toast_options=tuple(sorted(row["toast_options"] or ())),
    )


@lru_cache(maxsize=_REMEMBERED)
def _routine(text: str) -> Routine:
    row = json.loads(text)
    function = Function(
        name=row["name"],
        arguments=row["arguments"],
        result=row["result"] or "",
        language=row["language"],
        volatility=_VOLATILITY[row["volatility"]],
        definer=row["definer"],
        required=row["required"],
        defaults=row["defaults"] or "",
        strict=row["strict"],
        leakproof=row["leakproof"],
        parallel=row["parallel"],
        settings=tuple(row["settings"] or ()),
    )
    return Routine(
        function=function,
        signature=row["signature"],
        kind=row["kind"],
        source=row["source"],
        owner=row["owner"],
        grants=_grants(row["grants"]),
        extension=row["extension"] or "",
        installed=bool(row["installed"]),
        goes_with=row["goes_with"] or "",
    )


def _role(row: Mapping[str, Any]) -> Role:
    flags = ("bypassrls", "createdb", "createrole", "inherit", "login", "replication", "superuser")
    return Role(
        name=row["name"],
        attributes=tuple(flag for flag in flags if row[flag]),
        member_of=tuple(row["member_of"] or ()),
        limits=tuple(row["limits"]),
    )


def _grants(rows: Iterable[Any] | None) -> tuple[Grant, ...]:
    return tuple(sorted((Grant(*row) for row in rows or ()), key=lambda g: (g.grantee, g.privilege, g.grantable)))
