"""Mutants of tables and their columns: rows hidden or swallowed, nulls let in, defaults lost, types changed.

Owns: the operators on relations, columns, storage options and enum types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import COLUMN_OWNERS, DEFINITIONS, STORAGE, TABLE_OWNERS, table_rights_owner
from scripts.verifiers.mutants.words import HIDDEN, TWIN, hide, in_public, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.shape import Column, Table
    from scripts.verifiers.mutants.subject import Subject

# Type → another one that every value of it fits into or that looks alike, with a value to use where there was none.
_OTHER_TYPE = {
    "uuid": "text",
    "text": "character varying(40)",
    "jsonb": "json",
    "bytea": "text",
    "integer": "bigint",
    "bigint": "numeric",
    "boolean": "text",
    "timestamp with time zone": "timestamp without time zone",
}
# Type → a value of it, as SQL.
VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'mutant'",
    "jsonb": "'{}'",
    "bytea": "'\\x00'",
    "integer": "7",
    "bigint": "7",
    "boolean": "true",
    "timestamp with time zone": "'infinity'",
}
# What has a fixed size is stored in no other way than plain.
_FIXED = frozenset({"uuid", "integer", "bigint", "boolean", "timestamp with time zone"})
NOOP = "CREATE FUNCTION public.mutant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"


def table_mutants(subject: Subject, table: Table) -> Iterator[Mutant]:
    """Mutants of the relation itself, of each storage option and of each column."""
    where, owner = in_public(table.name), (TABLE_OWNERS[table.name],)
    alter = f"ALTER TABLE {where}"
    title = f"table public.{table.name}"
    view = (f"{alter} RENAME TO mutant_other", f"CREATE VIEW {where} AS SELECT * FROM public.mutant_other")
    swallow = f"CREATE RULE mutant AS ON {{}} TO {where} DO INSTEAD NOTHING"
    stray = f"CREATE TRIGGER zz_mutant BEFORE INSERT ON {where} FOR EACH ROW EXECUTE FUNCTION public.mutant()"
    first = quoted(table.columns[0].name)
    for change, sql in (
        ("dropped", (f"DROP TABLE {where} CASCADE",)),
        ("renamed", (f"{alter} RENAME TO mutant_other",)),
        ("a view instead", view),
        ("in another schema", ("CREATE SCHEMA mutant_schema", f"{alter} SET SCHEMA mutant_schema")),
        ("row security on", (f"{alter} ENABLE ROW LEVEL SECURITY",)),
        ("row security forced", (f"{alter} FORCE ROW LEVEL SECURITY",)),
        ("a policy that nobody reviewed", (f"CREATE POLICY mutant ON {where} USING (false)",)),
        ("no identity for a replica", (f"{alter} REPLICA IDENTITY NOTHING",)),
        ("a child inherits from it", (f"CREATE TABLE {TWIN} () INHERITS ({where})",)),
        ("inherits from a parent", (f"CREATE TABLE {TWIN} ()", f"{alter} INHERIT {TWIN}")),
        ("a trigger that nobody reviewed", (NOOP, stray)),
        ("a check that nobody reviewed", (f"{alter} ADD CONSTRAINT mutant CHECK (false) NOT VALID",)),
        (
            "a reference that nobody reviewed",
            (f"CREATE TABLE {TWIN} AS SELECT {first} FROM {where}", f"ALTER TABLE {TWIN} ADD PRIMARY KEY ({first})",
             f"{alter} ADD CONSTRAINT mutant FOREIGN KEY ({first}) REFERENCES {TWIN}"),
        ),
        ("an exclusion that nobody reviewed", (f"{alter} ADD CONSTRAINT mutant EXCLUDE ({first} WITH =)",)),
        ("a unique index that nobody reviewed", (f"CREATE UNIQUE INDEX mutant ON {where} ({first}, (1))",)),
        ("an index that divides", (f"CREATE INDEX mutant ON {where} ((1 / ({first} IS NOT NULL)::integer))",)),
        (
            "statistics that divide",
            (f"CREATE STATISTICS public.mutant ON (1 / ({first} IS NOT NULL)::integer) FROM {where}",),
        ),
        (
            "a column whose default fails",
            (f"{alter} ADD COLUMN mutant integer", f"{alter} ALTER COLUMN mutant SET DEFAULT 1 / 0"),
        ),
        *((f"a rule swallows {event}", (swallow.format(event),)) for event in ("INSERT", "UPDATE", "DELETE")),
    ):  # fmt: skip
        yield Mutant(title, change, owner, sql)
    yield Mutant(title, HIDDEN, owner, (hide(f"TABLE {where}"),), admin=True)
    for role in (subject.roles[0], subject.roles[-1]):
        change, rights = f"{alter} OWNER TO {quoted(role)}", (table_rights_owner("", table.name),)
        yield Mutant(title, f"owned by {role}", rights, (change,), admin=True)
    yield from _storage(table)
    for column in table.columns:
        yield from _column(subject, table, column)


def _storage(table: Table) -> Iterator[Mutant]:
    alter = f"ALTER TABLE {in_public(table.name)}"
    title = f"table public.{table.name}"
    for option in table.options:
        name, _, value = option.partition("=")
        yield Mutant(title, f"{name} reset", (STORAGE,), (f"{alter} RESET ({name})",))
        other = str(int(value) + 10) if value.isdigit() and int(value) < 90 else "off"
        yield Mutant(title, f"{name}={other}", (STORAGE,), (f"{alter} SET ({name} = {other})",))
    if table.options:
        for change, options in (
            ("no vacuum", "autovacuum_enabled = off"),
            ("no vacuum of long values", "toast.autovacuum_enabled = off"),
            ("vacuum at no number", "autovacuum_vacuum_threshold = 2147483647, autovacuum_vacuum_max_threshold = -1"),
            ("vacuum at a hundred times what is there", "autovacuum_vacuum_scale_factor = 100"),
        ):
            yield Mutant(title, change, (STORAGE,), (f"{alter} SET ({options})",))


def _column(subject: Subject, table: Table, column: Column) -> Iterator[Mutant]:
    where = in_public(table.name)
    owner = (COLUMN_OWNERS.get((table.name, column.name)) or TABLE_OWNERS[table.name],)
    title = f"column public.{table.name}.{column.name}"
    name, alter = quoted(column.name), f"ALTER TABLE {where} ALTER COLUMN {quoted(column.name)}"

    def mutant(change: str, *sql: str) -> Mutant:
        return Mutant(title, change, owner, sql)

    yield mutant("dropped", f"ALTER TABLE {where} DROP COLUMN {name} CASCADE")
    yield mutant("renamed", f"ALTER TABLE {where} RENAME COLUMN {name} TO mutant_other")
    if column.generated is not None:
        yield mutant("no longer derived", f"{alter} DROP EXPRESSION")
    elif column.default is not None:
        yield mutant("default dropped", f"{alter} DROP DEFAULT")
        other = "NULL" if column.default != "NULL" else VALUES[column.type]
        yield mutant(f"default {other}", f"{alter} SET DEFAULT {other}")
    else:
        yield mutant("given a default", f"{alter} SET DEFAULT {_value(subject, column.type)}")
    key = any(c.kind == "p" and column.name in c.columns for c in table.constraints)
    constraint = subject.not_nulls.get((table.name, column.name))
    if column.not_null and not key and constraint is not None:
        yield mutant("may be null", f"{alter} DROP NOT NULL")
        late = f"ALTER TABLE {where} ADD CONSTRAINT {quoted(constraint)} NOT NULL {name} NOT VALID"
        yield mutant("may be null in old rows", f"{alter} DROP NOT NULL", late)
    if column.type not in _FIXED and column.type.removeprefix("public.") not in subject.reading.enums:
        yield mutant("STORAGE PLAIN", f"{alter} SET STORAGE PLAIN")
    yield _retyped(subject, table, column, mutant=lambda change, sql: Mutant(title, change, owner, sql))
    if column.type == "text" and (table.name, column.name) not in subject.bound and column.generated is None:
        yield mutant("another collation", f'{alter} TYPE text COLLATE "C"')


def _retyped(subject: Subject, table: Table, column: Column, *, mutant: _Make) -> Mutant:
    """The column with another type: changed where nothing hangs on it, else another column under its name."""
    where, name = in_public(table.name), quoted(column.name)
    other = _OTHER_TYPE.get(column.type, "text")
    if (table.name, column.name) not in subject.bound and column.default is None and column.generated is None:
        change = f"ALTER TABLE {where} ALTER COLUMN {name} TYPE {other} USING {name}::text::{other}"
        return mutant(f"type {other}", (change,))
    aside = f"ALTER TABLE {where} RENAME COLUMN {name} TO mutant_other"
    return mutant(f"type {other}, in its place", (aside, f"ALTER TABLE {where} ADD COLUMN {name} {other}"))


def enum_mutants(subject: Subject) -> Iterator[Mutant]:
    """Mutants of the labels of each enum type."""
    for name, labels in subject.reading.enums.items():
        alter, title = f"ALTER TYPE {in_public(name)}", f"type public.{name}"
        yield Mutant(title, "a label added", (DEFINITIONS,), (f"{alter} ADD VALUE 'MUTANT'",))
        yield Mutant(
            title,
            "a label added in front",
            (DEFINITIONS,),
            (f"{alter} ADD VALUE 'MUTANT' BEFORE {literal(labels[0])}",),
        )
        yield Mutant(title, "renamed", (DEFINITIONS,), (f"{alter} RENAME TO mutant_other",))
        role, on = quoted(subject.roles[0]), f"USAGE ON TYPE {in_public(name)}"
        given = (f"{alter} OWNER TO {role}",)
        yield Mutant(title, f"owned by {subject.roles[0]}", (DEFINITIONS,), given, admin=True)
        yield Mutant(title, "USAGE from PUBLIC", (DEFINITIONS,), (f"REVOKE {on} FROM PUBLIC",))
        yield Mutant(title, f"USAGE to {subject.roles[0]}", (DEFINITIONS,), (f"GRANT {on} TO {role}",))
        yield Mutant(title, HIDDEN, (DEFINITIONS,), (hide(f"TYPE {in_public(name)}"),), admin=True)
        for label in labels:
            change = f"{alter} RENAME VALUE {literal(label)} TO 'MUTANT'"
            yield Mutant(title, f"label {label} renamed", (DEFINITIONS,), (change,))


def _value(subject: Subject, type_: str) -> str:
    if type_ in VALUES:
        return VALUES[type_]
    labels = subject.reading.enums.get(type_.removeprefix("public."), ())
    return literal(labels[-1]) if labels else "NULL"


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Make: TypeAlias = Callable[[str, tuple[str, ...]], Mutant]
