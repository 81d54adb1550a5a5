"""What the tests say of a mutant: which checks of which invariant must turn red.

The suite (`scripts/verifiers/mutants`) derives changes and knows the invariant that owns each. Here the check is named:
`of_definitions` for its changes of tables, columns, constraints, indexes and triggers; `by_hand` (hand_mutants.py) for
behaviour that no edit of the suite takes away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import same_expression
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.facts.shape import Constraint, Table
    from scripts.verifiers.mutants.model import Mutant as Derived

DEFINITIONS = "table-definitions"
# What nobody reviewed on a table, and the check that must see it.
STRAYS = {
    "a trigger that nobody reviewed": "no_other_trigger",
    "a check that nobody reviewed": "no_other_constraint",
    "a reference that nobody reviewed": "no_other_constraint",
    "an exclusion that nobody reviewed": "no_other_constraint",
    "a unique index that nobody reviewed": "no_other_unique_index",
    "an index that divides": "no_index_in_the_way",
    "statistics that divide": "no_statistics_in_the_way",
    "a column whose default fails": "no_column_in_the_way",
}
# Kind of object → the changes of the suite that are made here: of each way to hollow it out in its place one or two.
# The others are left to the suite, which asks for the invariant and not for the check.
CHANGES = {
    "table": (
        *("row security on", "a child inherits from it", "a rule swallows INSERT"),
        *STRAYS,
    ),
    "column": ("default ", "given a default", "no longer derived", "may be null"),
    "constraint": (
        *("true", "NOT ENFORCED", "NOT VALID", "valid", "ON DELETE CASCADE", "to a twin", "a plain index"),
        *("RI_FKey_check_ins: ", "RI_FKey_noaction_del: "),
    ),
    "index": (
        *("covers nothing", "backwards", "on a twin", "a view instead", "not unique", "in another order"),
        "not valid",
    ),
    "trigger": (
        *("disabled", "origin only", "AFTER", "on a twin", "does nothing", "never", "not on "),
        "on INSERT",
    ),
}


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


def of_definitions(
    derived: Iterable[Derived], reading: Reading, tables: Mapping[str, Table] = TABLES, gate: str = DEFINITIONS
) -> Iterator[Mutant]:
    """The suite's changes of what a gate compares, each with the check that must see it.

    Args:
        derived: all of the suite's mutants.
        reading: of the database that they were derived from.
        tables: those that the gate compares.
        gate: which; table-definitions when left out.
    """
    checks = _checks(reading, tables)
    keys = {c.name for table in tables for c in reading.tables[table].constraints if c.kind in "pu"}
    for mutant in derived:
        kind, _, what = mutant.object.partition(" ")
        check = checks.get(mutant.object, "")
        if kind == "table" and what.removeprefix("public.") in tables:
            check = f"{what.removeprefix('public.')}_{STRAYS.get(mutant.change, 'table')}"
        if check and mutant.change.startswith(CHANGES[kind]):
            # What refers to a key goes with it, and turns red, too.
            only = kind != "constraint" or what.partition(" ")[0] not in keys
            yield Mutant(mutant.name, {gate: frozenset({check})}, mutant.sql, admin=mutant.admin, only=only)


def _checks(reading: Reading, tables: Mapping[str, Table]) -> dict[str, str]:
    """Object, as the suite names it → the id of its check."""
    found: dict[str, str] = {}
    for table in tables.values():
        where = f"public.{table.name}"
        found.update({f"column {where}.{column.name}": f"{table.name}.{column.name}" for column in table.columns})
        found.update({f"index public.{index.name}": index.name for index in table.indexes})
        found.update({f"trigger {trigger.name} on {where}": trigger.name for trigger in table.triggers})
        for constraint in table.constraints:
            name = constraint.name or _name_of(table.name, constraint, reading)
            check = constraint.name or f"{table.name}: {constraint.text}"
            found[f"constraint {name} on {where}"] = check
    return found


def _name_of(table: str, constraint: Constraint, reading: Reading) -> str:
    """The name that the database has given it."""
    for found in reading.tables[table].constraints:
        alike = found.kind == constraint.kind and found.columns == constraint.columns
        if alike and (found.kind != "c" or same_expression(constraint.expression, found.expression)):
            return found.name
    raise KeyError(constraint.text)
