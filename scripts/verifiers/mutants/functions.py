"""Mutants of functions as they are defined: security, volatility, path, strictness, place; and of what they do.

Owns: the operators on functions. A change of a body is behaviour: only what the database does may give it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.bodies import edits_of
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import BEHAVIOUR_OWNERS, PATHS
from scripts.verifiers.mutants.words import BOUND, HIDDEN, bind, hide, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.reading import Routine
    from scripts.verifiers.mutants.subject import Source

_VOLATILITIES = ("VOLATILE", "STABLE", "IMMUTABLE")
_PARALLEL = {"u": "UNSAFE", "r": "RESTRICTED", "s": "SAFE"}


def definition_mutants(routine: Routine) -> Iterator[Mutant]:
    """Mutants of everything about a function but its body."""
    function = routine.function
    title, alter = f"function {routine.signature}", f"ALTER FUNCTION {routine.signature}"

    def mutant(change: str, *sql: str, admin: bool = False) -> Mutant:
        return Mutant(title, change, (PATHS,), sql, admin=admin)

    other = "INVOKER" if function.definer else "DEFINER"
    yield mutant(f"SECURITY {other}", f"{alter} SECURITY {other}")
    for word in _VOLATILITIES:
        if word != function.volatility:
            yield mutant(word, f"{alter} {word}")
    for code, word in _PARALLEL.items():
        if code != function.parallel:
            yield mutant(f"PARALLEL {word}", f"{alter} PARALLEL {word}")
    strict = "CALLED ON NULL INPUT" if function.strict else "STRICT"
    yield mutant(strict, f"{alter} {strict}")
    leakproof = "NOT LEAKPROOF" if function.leakproof else "LEAKPROOF"
    yield mutant(leakproof, f"{alter} {leakproof}", admin=True)
    if any(setting.startswith("search_path=") for setting in function.settings):
        yield mutant("search_path reset", f"{alter} RESET search_path")
        yield mutant("public first", f"{alter} SET search_path = public, pg_catalog, pg_temp")
        yield mutant("pg_temp first", f"{alter} SET search_path = pg_temp, pg_catalog, public")
    yield mutant("the caller's path", f'{alter} SET search_path = "$user", public')
    yield mutant("row_security off", f"{alter} SET row_security = off")
    yield mutant("asleep triggers", f"{alter} SET session_replication_role = replica", admin=True)
    if function.defaults:
        yield mutant("another default", _other_default(routine))
    yield mutant("renamed", f"{alter} RENAME TO mutant_other")
    yield mutant("in another schema", "CREATE SCHEMA mutant_schema", f"{alter} SET SCHEMA mutant_schema")
    overload = (
        f"CREATE FUNCTION public.{quoted(function.name)}(mutant point) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
    )
    yield mutant("overloaded", overload)
    yield mutant(HIDDEN, hide(f"FUNCTION {routine.signature}"), admin=True)
    yield mutant(BOUND, bind(f"FUNCTION {routine.signature}"))


def _other_default(routine: Routine) -> str:
    """The function as it is, only that whoever leaves its last argument out says something else."""
    last = routine.function.defaults.rpartition(", ")[2]
    other = "86400" if last.isdigit() else f"'7'{last[last.index('::') :]}"
    definition = f"pg_catalog.pg_get_functiondef({literal(routine.signature)}::pg_catalog.regprocedure)"
    changed = f"pg_catalog.replace({definition}, {literal(f'DEFAULT {last})')}, {literal(f'DEFAULT {other})')})"
    return f"DO {literal(f'BEGIN EXECUTE {changed}; END')}"


def stranger_mutants() -> Iterator[Mutant]:
    """Functions that nobody has reviewed."""
    for security in ("INVOKER", "DEFINER"):
        make = f"CREATE FUNCTION public.mutant() RETURNS integer LANGUAGE sql SECURITY {security} AS 'SELECT 1'"
        change = f"a SECURITY {security} function nobody reviewed"
        yield Mutant("schema public", change, (PATHS,), (make,))
        hidden = (make, hide("FUNCTION public.mutant()"))
        yield Mutant("schema public", f"{change}, {HIDDEN}", (PATHS,), hidden, admin=True)


def body_mutants(source: Source) -> Iterator[Mutant]:
    """Mutants of what a function does."""
    owners = BEHAVIOUR_OWNERS[source.name]
    title = f"body of {source.name}"
    yield Mutant(title, "does nothing", owners, (_noop(source),), behaviour=True)
    if source.parsed:
        return
    language = "plpgsql" if "LANGUAGE plpgsql" in source.definition.partition(source.body)[0] else "sql"
    for edit in edits_of(language, source.body):
        body = source.body[: edit.start] + edit.text + source.body[edit.end :]
        yield Mutant(title, edit.what, owners, (source.with_body(body),), behaviour=True)


def _noop(source: Source) -> str:
    """The function, all else kept, with nothing in it."""
    nulls = ", ".join(f"NULL::{type_}" for type_ in source.columns or (source.result,))
    if source.parsed:
        head = source.definition.rpartition("\nRETURN ")[0]
        return f"{head}\nRETURN NULL::{source.result}"
    if "LANGUAGE plpgsql" not in source.definition.partition(source.body)[0]:
        return source.with_body(f"SELECT {nulls}" + (" WHERE false" if source.rows else ""))
    answer = "" if source.rows else " NEW" if source.result == "trigger" else " NULL"
    return source.with_body(f"BEGIN RETURN{answer}; END")
