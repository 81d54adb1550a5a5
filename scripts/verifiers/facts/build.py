"""Short words for facts that recur: keys, references, checks over lists of values.

Owns: the spelling of an expression as the server writes it.
"""

from __future__ import annotations

from scripts.verifiers.facts.shape import Column, Constraint, Trigger

NOW = "now()"
V7 = "public.uuid_v7_or_random()"
V4 = "gen_random_uuid()"


def text(*names: str) -> tuple[Column, ...]:
    """Nullable text columns."""
    return tuple(Column(name, "text") for name in names)


def text_nn(*names: str) -> tuple[Column, ...]:
    """Text columns that hold a value."""
    return tuple(Column(name, "text", not_null=True) for name in names)


def uuids(*names: str) -> tuple[Column, ...]:
    """Nullable uuid columns."""
    return tuple(Column(name, "uuid") for name in names)


def moment(name: str) -> Column:
    """A time that is set at insert."""
    return Column(name, "timestamp with time zone", not_null=True, default=NOW)


def moments(*names: str) -> tuple[Column, ...]:
    """Nullable times."""
    return tuple(Column(name, "timestamp with time zone") for name in names)


def primary(*columns: str) -> Constraint:
    """A primary key; its name does not matter."""
    return Constraint("p", columns)


def unique(*columns: str, name: str = "", nulls_not_distinct: bool = False) -> Constraint:
    """A unique constraint."""
    return Constraint("u", columns, name=name, nulls_not_distinct=nulls_not_distinct)


def reference(column: str, table: str, referenced: str, *, name: str = "", valid: bool = True) -> Constraint:
    """A foreign key to a table of `public` that neither cascades nor sets anything."""
    return Constraint("f", (column,), name, references=f"public.{table}", referenced=(referenced,), valid=valid)


def holds(expression: str, *, name: str = "", valid: bool = True) -> Constraint:
    """A CHECK."""
    return Constraint("c", name=name, expression=expression, valid=valid)


def one_of(column: str, *values: str, name: str = "") -> Constraint:
    """A CHECK that a text column holds one of the values."""
    listed = ", ".join(f"'{value}'::text" for value in values)
    return holds(f"({column} = ANY (ARRAY[{listed}]))", name=name)


def before(name: str, function: str, *events: str, level: str = "ROW", when: str | None = None) -> Trigger:
    """A trigger with a function of `public` that fires before the events, in replica mode too."""
    return Trigger(name, f"public.{function}()", events, level=level, when=when)


def append_only(stem: str, function: str = "deny_append_only_mutation") -> tuple[Trigger, ...]:
    """The two triggers that make a table append-only: one a row, one for TRUNCATE; `stem` is in their names."""
    return (
        before(f"trg_deny_{stem}_mutation", function, "UPDATE", "DELETE"),
        before(f"trg_deny_{stem}_truncate", function, "TRUNCATE", level="STATEMENT"),
    )
