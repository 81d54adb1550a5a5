"""Mutants that leave every object of ours as it is and open it from beside: views, rules, functions with other rights.

Owns: the operators on what is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import TABLE_RIGHTS, table_rights_owner
from scripts.verifiers.mutants.words import HIDDEN, hide, in_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.mutants.subject import Subject

_PUBLIC = "PUBLIC"
_PLACE = ("CREATE SCHEMA mutant_place", "GRANT USAGE ON SCHEMA mutant_place TO PUBLIC")
_OTHER = "mutant_place.other"
_ROWS = f"CREATE TABLE {_OTHER} (mutant integer)"


def opening_mutants(subject: Subject, table: str) -> Iterator[Mutant]:
    """Ways to read a table, or to empty it, that its grants do not show."""
    title, where = f"around public.{table}", in_public(table)
    readers = {grant.grantee for grant in subject.reading.held[table].grants if grant.privilege == "SELECT"}
    view = f"CREATE VIEW {_OTHER} AS TABLE {where}"
    for grantee in (_PUBLIC, *subject.roles):
        if grantee not in readers:
            owner = (table_rights_owner(grantee),)
            yield Mutant(title, f"a view for {grantee}", owner, (*_PLACE, view, _let("SELECT", grantee)))
    rights = (TABLE_RIGHTS,)
    let = _let("SELECT", _PUBLIC)
    inner = f"CREATE VIEW mutant_place.inner AS TABLE {where}"
    outer = f"CREATE VIEW {_OTHER} AS TABLE mutant_place.inner"
    copy = f"CREATE MATERIALIZED VIEW {_OTHER} AS TABLE {where}"
    rule = f"CREATE RULE mutant AS ON INSERT TO {_OTHER} DO ALSO DELETE FROM {where}"
    for change, sql in (
        ("a view of a view", (inner, outer, let)),
        ("a materialised view", (copy, let)),
        ("a view that is written through", (view, _let("UPDATE", _PUBLIC))),
        ("a rule on another table", (_ROWS, rule, _let("INSERT", _PUBLIC))),
    ):
        yield Mutant(title, change, rights, (*_PLACE, *sql))
    yield Mutant(title, f"a view, {HIDDEN}", rights, (*_PLACE, view, let, hide(f"VIEW {_OTHER}")), admin=True)


def lending_mutants(subject: Subject) -> Iterator[Mutant]:
    """Functions outside the schema that run with the rights of the tables' owner."""
    title, rights = "around the tables", (TABLE_RIGHTS,)
    make = "CREATE FUNCTION {}({}) RETURNS {} LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'"
    plain = make.format(_OTHER, "", "integer")
    closed = f"REVOKE EXECUTE ON FUNCTION {_OTHER}() FROM PUBLIC"
    for grantee in (_PUBLIC, *subject.roles):
        let = f"GRANT EXECUTE ON FUNCTION {_OTHER}() TO {_name(grantee)}"
        change = f"a SECURITY DEFINER function elsewhere for {grantee}"
        owner = (table_rights_owner(grantee),)
        yield Mutant(title, change, owner, (*_PLACE, plain, closed, let))
        yield Mutant(title, f"{change}, {HIDDEN}", owner, (*_PLACE, plain, closed, let, _hidden()), admin=True)
    trigger = f"CREATE TRIGGER mutant BEFORE INSERT ON {_OTHER} FOR EACH ROW EXECUTE FUNCTION {_OTHER}()"
    behind = (make.format(_OTHER, "", "trigger"), closed, _ROWS, _let("INSERT", _PUBLIC), trigger)
    yield Mutant(title, "a SECURITY DEFINER trigger on another table", rights, (*_PLACE, *behind))
    cast = (
        "CREATE SCHEMA mutant_place",
        "CREATE TYPE mutant_place.pair AS (mutant integer)",
        make.format(_OTHER, "mutant_place.pair", "integer"),
        f"GRANT EXECUTE ON FUNCTION {_OTHER}(mutant_place.pair) TO PUBLIC",
        f"CREATE CAST (mutant_place.pair AS integer) WITH FUNCTION {_OTHER}(mutant_place.pair)",
    )
    yield Mutant(title, "a SECURITY DEFINER cast of another type", rights, cast)


def _hidden() -> str:
    return hide(f"FUNCTION {_OTHER}()")


def _let(privilege: str, grantee: str) -> str:
    return f"GRANT {privilege} ON {_OTHER} TO {_name(grantee)}"


def _name(grantee: str) -> str:
    return grantee if grantee == _PUBLIC else quoted(grantee)
