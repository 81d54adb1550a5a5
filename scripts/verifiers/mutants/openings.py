"""Mutants that leave every object of ours as it is and open it from beside: views, rules, functions with other rights.

Owns: the operators on what is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.facts.referred import EMPTIED
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import DEFINITIONS, TABLE_RIGHTS, table_rights_owner
from scripts.verifiers.mutants.words import HIDDEN, hide, in_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.mutants.subject import Subject

_PUBLIC = "PUBLIC"
_PLACE = ("CREATE SCHEMA mutant_place", "GRANT USAGE ON SCHEMA mutant_place TO PUBLIC")
_OTHER = "mutant_place.other"
_ROWS = f"CREATE TABLE {_OTHER} (mutant integer)"
_NEWCOMER = ("CREATE ROLE mutant_newcomer", "GRANT CREATE, USAGE ON SCHEMA mutant_place TO mutant_newcomer")
_TOAST = "GRANT USAGE ON SCHEMA pg_toast TO PUBLIC"
_LONG = (
    "DO $$ BEGIN EXECUTE (SELECT format('GRANT SELECT ON %s TO PUBLIC', c.reltoastrelid::regclass) "
    "FROM pg_class AS c WHERE c.oid = 'TABLE'::regclass); END $$"
)


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
    long = (_TOAST, _LONG.replace("TABLE", where))
    yield Mutant(title, "where its long values lie", rights, long, admin=True)
    if table in EMPTIED:
        refer = f"CREATE TABLE {_OTHER} (outbox_id uuid REFERENCES {where})"
        yield Mutant(title, "a reference from elsewhere", (DEFINITIONS,), (_PLACE[0], refer))
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
    powerless = (*_NEWCOMER, f"ALTER TABLE {_OTHER} OWNER TO mutant_newcomer")
    yield Mutant(
        title, "a SECURITY DEFINER trigger on a table of nobody's", rights, (*_PLACE, *behind, *powerless), admin=True
    )
    run = (plain, f"ALTER FUNCTION {_OTHER}() OWNER TO mutant_newcomer")
    for change, power in (
        ("who runs programs", "GRANT pg_execute_server_program TO mutant_newcomer"),
        ("who administers roles", "ALTER ROLE mutant_newcomer CREATEROLE"),
    ):
        made = (*_PLACE, *_NEWCOMER, *run, power)
        yield Mutant(title, f"a SECURITY DEFINER function of one {change}", rights, made, admin=True)
    inner = (
        make.format("mutant_place.inner", "", "integer"),
        "REVOKE EXECUTE ON FUNCTION mutant_place.inner() FROM PUBLIC",
    )
    chain = (*_PLACE, *_NEWCOMER, *inner, "GRANT EXECUTE ON FUNCTION mutant_place.inner() TO mutant_newcomer", *run)
    yield Mutant(title, "a SECURITY DEFINER function of one who runs another", rights, chain, admin=True)
    referred = "CREATE TABLE mutant_place.first (mutant integer PRIMARY KEY)"
    cascades = f"CREATE TABLE {_OTHER} (mutant integer REFERENCES mutant_place.first ON DELETE CASCADE)"
    plainly = f"CREATE FUNCTION {_OTHER}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
    fires = f"CREATE TRIGGER mutant BEFORE DELETE ON {_OTHER} FOR EACH ROW EXECUTE FUNCTION {_OTHER}()"
    let = "GRANT DELETE ON mutant_place.first TO PUBLIC"
    yield Mutant(title, "a trigger behind a cascade", rights, (*_PLACE, referred, cascades, plainly, fires, let))
    copy = f"CREATE MATERIALIZED VIEW {_OTHER} AS SELECT 1 AS mutant"
    yield Mutant(title, "a copy that is refreshed by others", rights, (*_PLACE, copy, _let("MAINTAIN", _PUBLIC)))
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
