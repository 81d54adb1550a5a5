"""Schemas broken on purpose: each mutant leaves every name in place and takes one guarantee away.

`derived` makes them from the expected tables, one or more an object; `by_hand` writes them down, one a behaviour.
A mutant says which checks of which invariant must turn red.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import same_expression
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.mutants.columns import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.facts.shape import Column, Constraint, Index, Table, Trigger

DEFINITIONS = "table-definitions"
_VALUES = VALUES | {"public.outbox_attempt_state": "'FAILED'"}

# Puts the server's own triggers of one side of one foreign key to sleep; the names of those triggers are numbers.
_ASLEEP = """DO $do$ DECLARE r record; BEGIN
    FOR r IN SELECT g.tgrelid::regclass AS t, g.tgname AS n FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
              JOIN pg_constraint AS k ON k.oid = g.tgconstraint
             WHERE k.conrelid = '{table}'::regclass AND k.conname = '{name}' AND p.proname IN {functions} LOOP
        EXECUTE format('ALTER TABLE %s {state} TRIGGER %I', r.t, r.n);
    END LOOP;
    IF NOT FOUND THEN RAISE 'no trigger of {name}'; END IF;
END $do$"""


@dataclass(frozen=True)
class Mutant:
    """One change.

    sql: statements, run one after the other as the owner; as superuser when `admin`.
    must: invariant → checks that must turn red, and `only` whether no other check of that invariant may.
    rewrites: function → (text in its body, what stands there instead), before the statements.
    """

    name: str
    must: Mapping[str, frozenset[str]]
    sql: tuple[str, ...] = ()
    rewrites: tuple[tuple[str, str, str], ...] = ()
    admin: bool = False
    only: bool = True
    reds: dict[str, frozenset[str]] = field(default_factory=dict, compare=False)


def definition(name: str, check: str, *sql: str) -> Mutant:
    """A mutant that exactly one check of the definitions must see."""
    return Mutant(name, {DEFINITIONS: frozenset({check})}, sql)


def derived(reading: Reading) -> Iterator[Mutant]:
    """Mutants of every column, constraint, index and trigger of every expected table, and of the tables themselves."""
    for table in TABLES.values():
        name = f"public.{table.name}"
        yield definition(f"{name} hides rows", f"{table.name}_table", f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        yield definition(
            f"{name} swallows inserts",
            f"{table.name}_table",
            f"CREATE RULE mutant AS ON INSERT TO {name} DO INSTEAD NOTHING",
        )
        yield definition(
            f"{name} has a stranger's trigger",
            f"{table.name}_no_other_trigger",
            "CREATE FUNCTION public.mutant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            f"CREATE TRIGGER zz_mutant BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION public.mutant()",
        )
        for column in table.columns:
            yield _column(table, column)
        for constraint in table.constraints:
            yield from _constraint(table, constraint, reading)
        for index in table.indexes:
            yield from _index(table, index)
        for trigger in table.triggers:
            yield from _trigger(table, trigger)


def _column(table: Table, column: Column) -> Mutant:
    where = f"public.{table.name}"
    check = f"{table.name}.{column.name}"
    keys = {name for c in table.constraints if c.kind == "p" for name in c.columns}
    alter = f"ALTER TABLE {where} ALTER COLUMN {column.name}"
    if column.generated is not None:
        return definition(f"{check} is no longer derived", check, f"{alter} DROP EXPRESSION")
    if column.default is not None:
        return definition(f"{check} without its default", check, f"{alter} DROP DEFAULT")
    if column.not_null and column.name not in keys:
        return definition(f"{check} may be null", check, f"{alter} DROP NOT NULL")
    return definition(f"{check} with a default", check, f"{alter} SET DEFAULT {_VALUES[column.type]}")


def _constraint(table: Table, constraint: Constraint, reading: Reading) -> Iterator[Mutant]:
    where = f"public.{table.name}"
    check = constraint.name or f"{table.name}: {constraint.text}"
    name = constraint.name or _name_of(table, constraint, reading)
    drop = f"ALTER TABLE {where} DROP CONSTRAINT {name} CASCADE"
    add = f"ALTER TABLE {where} ADD CONSTRAINT {name}"
    late = "" if constraint.valid else " NOT VALID"
    weak = (drop, f"{add} CHECK (true){late}")
    if constraint.kind == "p":
        # What refers to the key goes with it.
        yield Mutant(f"{name} is no key", {DEFINITIONS: frozenset({check})}, weak, only=False)
        return
    yield definition(f"{name} holds always", check, *weak)
    if constraint.kind == "c":
        flipped = " NOT VALID" if constraint.valid else ""
        yield definition(f"{name} in the other state", check, drop, f"{add} CHECK ({constraint.expression}){flipped}")
        yield definition(f"{name} is not enforced", check, drop, f"{add} CHECK ({constraint.expression}) NOT ENFORCED")
    if constraint.kind == "f":
        (column,) = constraint.columns
        (referenced,) = constraint.referenced
        target = f"{constraint.references} ({referenced})"
        yield definition(
            f"{name} cascades",
            check,
            drop,
            f"{add} FOREIGN KEY ({column}) REFERENCES {target} ON DELETE CASCADE{late}",
        )
        yield definition(
            f"{name} refers to elsewhere",
            check,
            drop,
            f"CREATE TABLE public.elsewhere ({referenced} uuid PRIMARY KEY)",
            f"{add} FOREIGN KEY ({column}) REFERENCES public.elsewhere ({referenced}){late}",
        )
        for side, functions in (
            ("refers to nothing", "('RI_FKey_check_ins', 'RI_FKey_check_upd')"),
            ("is left behind", "('RI_FKey_noaction_del', 'RI_FKey_noaction_upd')"),
        ):
            for state in ("DISABLE", "ENABLE REPLICA"):
                yield Mutant(
                    f"{name} {side}: {state}",
                    {DEFINITIONS: frozenset({check})},
                    (_ASLEEP.format(state=state, table=where, name=name, functions=functions),),
                    admin=True,
                )
        other = "" if late else " NOT VALID"
        yield definition(
            f"{name} in the other state", check, drop, f"{add} FOREIGN KEY ({column}) REFERENCES {target}{other}"
        )


def _index(table: Table, index: Index) -> Iterator[Mutant]:
    where = f"public.{table.name}"
    kind = "UNIQUE INDEX" if index.unique else "INDEX"
    keys = ", ".join(index.keys)
    tail = f" WHERE {index.predicate}" if index.predicate else ""
    drop = f"DROP INDEX public.{index.name}"
    variants = {
        "covers nothing": f"CREATE {kind} {index.name} ON {where} ({keys}) WHERE false",
        "sorts backwards": f"CREATE {kind} {index.name} ON {where} ({keys} DESC){tail}",
        "is elsewhere": f"CREATE {kind} {index.name} ON public.elsewhere ({keys}){tail}",
        "is a view": f"CREATE VIEW public.{index.name} AS SELECT 1 AS one",
    }
    if index.unique:
        variants["is not unique"] = f"CREATE INDEX {index.name} ON {where} ({keys}){tail}"
    if len(index.keys) > 1:
        variants["in another order"] = (
            f"CREATE {kind} {index.name} ON {where} ({', '.join(reversed(index.keys))}){tail}"
        )
    for label, make in variants.items():
        twin = (f"CREATE TABLE public.elsewhere (LIKE {where})",) if label == "is elsewhere" else ()
        yield definition(f"{index.name} {label}", index.name, drop, *twin, make)
    yield Mutant(
        f"{index.name} is invalid",
        {DEFINITIONS: frozenset({index.name})},
        (f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.{index.name}'::regclass",),
        admin=True,
    )


def _trigger(table: Table, trigger: Trigger) -> Iterator[Mutant]:
    where = f"public.{table.name}"
    check = trigger.name
    drop = f"DROP TRIGGER {trigger.name} ON {where}"
    always = f"ALTER TABLE {where} ENABLE ALWAYS TRIGGER {trigger.name}"
    when = f"WHEN ({trigger.when}) " if trigger.when else ""

    def made(
        *,
        on: str = where,
        timing: str = trigger.timing,
        events: tuple[str, ...] = trigger.events,
        level: str = trigger.level,
        when: str = when,
        function: str = trigger.function,
    ) -> str:
        return (
            f"CREATE TRIGGER {trigger.name} {timing} {' OR '.join(events)} ON {on} FOR EACH {level} {when}"
            f"EXECUTE FUNCTION {function}"
        )

    noop = "CREATE FUNCTION public.mutant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    yield definition(f"{check} is disabled", check, f"ALTER TABLE {where} DISABLE TRIGGER {trigger.name}")
    yield definition(f"{check} sleeps in replica mode", check, f"ALTER TABLE {where} ENABLE TRIGGER {trigger.name}")
    yield definition(f"{check} does nothing", check, noop, drop, made(function="public.mutant()"), always)
    yield definition(f"{check} is late", check, drop, made(timing="AFTER"), always)
    yield definition(
        f"{check} is on a twin", check, drop, f"CREATE TABLE public.twin (LIKE {where})", made(on="public.twin")
    )
    if trigger.level == "ROW":
        yield definition(f"{check} never fires", check, drop, made(when="WHEN (false) "), always)
    for event in trigger.events if len(trigger.events) > 1 else ():
        rest = tuple(other for other in trigger.events if other != event)
        yield definition(f"{check} misses {event}", check, drop, made(events=rest), always)


def _name_of(table: Table, constraint: Constraint, reading: Reading) -> str:
    """The name that the database has given it."""
    for found in reading.tables[table.name].constraints:
        alike = found.kind == constraint.kind and found.columns == constraint.columns
        if alike and (found.kind != "c" or same_expression(constraint.expression, found.expression)):
            return found.name
    raise KeyError(constraint.text)
