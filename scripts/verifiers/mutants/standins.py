"""Mutants that leave every object of ours as it is and change what it means: names found earlier, operators, casts.

Owns: the operators on what stands beside ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import PATHS
from scripts.verifiers.mutants.words import HIDDEN, hide, in_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.mutants.subject import Subject

# Functions lie where nobody looks: what gives them away is what they stand behind.
_PLACE = "CREATE SCHEMA mutant_place"
_SAME = "CREATE FUNCTION mutant_place.same({0}, {1}) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'"
_EQUAL = "CREATE OPERATOR {0}.= (FUNCTION = mutant_place.same, LEFTARG = {1}, RIGHTARG = {2})"


def stand_in_mutants(subject: Subject) -> Iterator[Mutant]:
    """Whatever could be meant where ours is."""
    for name, labels in subject.reading.enums.items():
        yield from _of_enum(name, labels[0])
    yield from _of_types(subject)
    first = subject.roles[0]
    for table in subject.reading.tables:
        made = (_schema(first), f"CREATE TABLE {quoted(first)}.{quoted(table)} (mutant integer)")
        yield Mutant(f"instead of public.{table}", f"a table in schema {first}", (PATHS,), made)
    for routine in subject.reading.routines:
        name = routine.function.name
        made = (_schema(first), _stranger(f"{quoted(first)}.{quoted(name)}"))
        yield Mutant(f"instead of {routine.signature}", f"a function in schema {first}", (PATHS,), made)
    for role in subject.roles[1:]:
        made = (_schema(role), f"CREATE VIEW {quoted(role)}.tenants AS SELECT 1 AS mutant")
        yield Mutant("instead of public.tenants", f"a view in schema {role}", (PATHS,), made)
    title, change, stranger = (
        "instead of the server's",
        "a function in schema pg_catalog",
        _stranger("pg_catalog.mutant"),
    )
    yield Mutant(title, change, (PATHS,), (stranger,), admin=True)
    hidden = (stranger, hide("FUNCTION pg_catalog.mutant(point)"))
    yield Mutant(title, f"{change}, {HIDDEN}", (PATHS,), hidden, admin=True)


def _of_enum(name: str, label: str) -> Iterator[Mutant]:
    type_, title = in_public(name), f"type public.{name}"

    def mutant(change: str, *sql: str, admin: bool = False) -> Mutant:
        return Mutant(title, change, (PATHS,), (_PLACE, *sql), admin=admin)

    same = _SAME.format(type_, type_)
    equal = _EQUAL.format("public", type_, type_)
    hidden = hide(f"OPERATOR public.= ({type_}, {type_})")
    yield mutant("an equality of its own", same, equal)
    yield mutant(f"an equality of its own, {HIDDEN}", same, equal, hidden, admin=True)
    yield mutant("an equality of its own in pg_catalog", same, _EQUAL.format("pg_catalog", type_, type_), admin=True)
    three = f"CREATE FUNCTION mutant_place.three({type_}, {type_}) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0'"
    call = f"mutant_place.three({type_}, {type_})"
    order = f"CREATE OPERATOR CLASS mutant_place.ops DEFAULT FOR TYPE {type_} USING btree AS FUNCTION 1 {call}"
    family = f"ALTER OPERATOR FAMILY pg_catalog.enum_ops USING btree ADD FUNCTION 1 ({type_}, {type_}) {call}"
    yield mutant("an order of its own", three, order, admin=True)
    yield mutant("an order of its own in the server's family", three, family, admin=True)
    for how in ("IMPLICIT", "ASSIGNMENT"):
        yield mutant(f"a cast to text AS {how}", f"CREATE CAST ({type_} AS text) WITH INOUT AS {how}")
    other = f"CREATE FUNCTION mutant_place.f(text) RETURNS {type_} LANGUAGE sql AS $$SELECT '{label}'::{type_}$$"
    cast = f"CREATE CAST (text AS {type_}) WITH FUNCTION mutant_place.f(text)"
    for how in ("", " AS ASSIGNMENT", " AS IMPLICIT"):
        yield mutant(f"a cast from text{how}", other, f"{cast}{how}")
    before = f"CREATE TYPE pg_catalog.{quoted(name)} AS ENUM ('{label}')"
    yield mutant("another of its name in pg_catalog", before, admin=True)


def _of_types(subject: Subject) -> Iterator[Mutant]:
    """Comparisons that the server has none of its own for: what was an error, or went by another way, is answered."""
    types = {column.type for table in subject.reading.tables.values() for column in table.columns}
    for type_ in sorted(types):
        for other in sorted(types - {type_})[:2]:
            made = (_PLACE, _SAME.format(type_, other), _EQUAL.format("public", type_, other))
            yield Mutant(f"comparisons of {type_}", f"an equality with {other}", (PATHS,), made)


def _schema(role: str) -> str:
    return f"CREATE SCHEMA {quoted(role)}"


def _stranger(name: str) -> str:
    return f"CREATE FUNCTION {name}(point) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
