"""Mutants of constraints: dropped, weakened to true, one conjunct less, asleep, in another state, about other things.

Owns: the operators on checks, keys and references.
Promises: parts of an expression are found in its tree and written by libpg_query, never cut out of text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.expressions import other_values, simpler
from scripts.verifiers.mutants.flips import flipped
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import constraint_owner
from scripts.verifiers.mutants.words import BOUND, TWIN, bind, constraint_text, in_public, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.shape import Constraint, Table

# Puts the server's own triggers of one side of one foreign key to sleep; the names of those triggers are numbers.
_ASLEEP = """DO $do$ DECLARE r record; BEGIN
    FOR r IN SELECT g.tgrelid::regclass AS t, g.tgname AS n FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
              JOIN pg_constraint AS k ON k.oid = g.tgconstraint
             WHERE k.conrelid = {table}::regclass AND k.conname = {name} AND p.proname = {function} LOOP
        EXECUTE format('ALTER TABLE %s {state} TRIGGER %I', r.t, r.n);
    END LOOP;
    IF NOT FOUND THEN RAISE 'no such trigger'; END IF;
END $do$"""
_GUARDS = ("RI_FKey_check_ins", "RI_FKey_check_upd", "RI_FKey_noaction_del", "RI_FKey_noaction_upd")


def constraint_mutants(table: Table) -> Iterator[Mutant]:
    """Mutants of every constraint of a table."""
    for constraint in table.constraints:
        yield from _any(table, constraint)
        if constraint.kind == "c":
            yield from _check(table, constraint)
        elif constraint.kind == "f":
            yield from _reference(table, constraint)
        elif constraint.kind in "pu":
            yield from _key(table, constraint)


def _mutant(table: Table, constraint: Constraint, change: str, *sql: str, admin: bool = False) -> Mutant:
    owner = constraint_owner(table.name, constraint.kind, constraint.name)
    return Mutant(f"constraint {constraint.name} on public.{table.name}", change, (owner,), sql, admin=admin)


def _drop(table: Table, constraint: Constraint) -> str:
    return f"ALTER TABLE {in_public(table.name)} DROP CONSTRAINT {quoted(constraint.name)} CASCADE"


def _again(table: Table, constraint: Constraint, change: str, *before: str, **differently: object) -> Mutant:
    """The constraint made again with some of its fields otherwise."""
    other = replace(constraint, **differently)  # type: ignore[arg-type]
    add = f"ALTER TABLE {in_public(table.name)} ADD CONSTRAINT {quoted(constraint.name)} {constraint_text(other)}"
    return _mutant(table, constraint, change, _drop(table, constraint), *before, add)


def _any(table: Table, constraint: Constraint) -> Iterator[Mutant]:
    where, name = in_public(table.name), quoted(constraint.name)
    drop = _drop(table, constraint)
    yield _mutant(table, constraint, "dropped", drop)
    late = "" if constraint.valid else " NOT VALID"
    yield _mutant(table, constraint, "true", drop, f"ALTER TABLE {where} ADD CONSTRAINT {name} CHECK (true){late}")
    elsewhere = f"CREATE TABLE {TWIN} (LIKE {where}, CONSTRAINT {name} CHECK (true))"
    yield _mutant(table, constraint, "on a twin", drop, elsewhere)


def _check(table: Table, constraint: Constraint) -> Iterator[Mutant]:
    expression = constraint.expression or "true"
    yield _again(table, constraint, "NOT ENFORCED", enforced=False, valid=False)
    state = "NOT VALID" if constraint.valid else "valid"
    yield _again(table, constraint, state, valid=not constraint.valid)
    for change, text in (*simpler(expression), *other_values(expression), *flipped(expression)):
        # Rows of the schema's own may break the other rule; that they may stand is not what is asked.
        yield _again(table, constraint, change, expression=text)


def _reference(table: Table, constraint: Constraint) -> Iterator[Mutant]:
    where = in_public(table.name)
    yield _again(table, constraint, "NOT ENFORCED", enforced=False, valid=False)
    yield _again(table, constraint, "NOT VALID" if constraint.valid else "valid", valid=not constraint.valid)
    yield _again(table, constraint, "deferrable", deferrable=True)
    for action, word in (("c", "CASCADE"), ("n", "SET NULL"), ("d", "SET DEFAULT")):
        yield _again(table, constraint, f"ON DELETE {word}", on_delete=action)
        yield _again(table, constraint, f"ON UPDATE {word}", on_update=action)
    twin = f"CREATE TABLE {TWIN} (LIKE {constraint.references} INCLUDING INDEXES INCLUDING CONSTRAINTS)"
    yield _again(table, constraint, "to a twin", twin, references=TWIN)
    types = {column.name: column.type for column in table.columns}
    others = [
        c.name for c in table.columns if c.type == types[constraint.columns[0]] and c.name not in constraint.columns
    ]
    for other in others[:2]:
        columns = (other, *constraint.columns[1:])
        yield _again(table, constraint, f"of {', '.join(columns)}", columns=columns)
    for function in _GUARDS:
        for state in ("DISABLE", "ENABLE REPLICA"):
            sleep = _ASLEEP.format(
                table=literal(where), name=literal(constraint.name), function=literal(function), state=state
            )
            yield _mutant(table, constraint, f"{function}: {state}", sleep, admin=True)


def _key(table: Table, constraint: Constraint) -> Iterator[Mutant]:
    yield _mutant(table, constraint, BOUND, bind(f"INDEX {in_public(constraint.name)}"))
    yield _again(table, constraint, "deferrable", deferrable=True)
    names = [column.name for column in table.columns if column.name not in constraint.columns]
    if names:
        yield _again(table, constraint, f"with {names[0]}", columns=(*constraint.columns, names[0]))
    for name in constraint.columns if len(constraint.columns) > 1 else ():
        rest = tuple(other for other in constraint.columns if other != name)
        yield _again(table, constraint, f"without {name}", columns=rest)
    if constraint.kind == "u":
        state = "NULLS DISTINCT" if constraint.nulls_not_distinct else "NULLS NOT DISTINCT"
        yield _again(table, constraint, state, nulls_not_distinct=not constraint.nulls_not_distinct)
        columns = ", ".join(map(quoted, constraint.columns))
        index = f"CREATE INDEX {quoted(constraint.name)} ON {in_public(table.name)} ({columns})"
        yield _mutant(table, constraint, "a plain index", _drop(table, constraint), index)
