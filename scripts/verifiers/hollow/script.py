"""The violations of every fact at once, as SQL: a schema in which each name is in its place and means something else.

Owns: what is planted for each kind of object.
Promises: names come from what is expected and from what is there, so a new table is hollowed out without new code; no
table, index or row of the schema is locked, scanned or written to: it is moved aside with its schema, by one row of the
catalog, and hollow twins of it are made in its place. The twins are partitioned, which costs no file.
Never: runs anything (reading.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.facts.functions import FUNCTIONS, for_review
from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.referred import EMPTIED
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import ENUMS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.reading import Reading, Routine
    from scripts.verifiers.facts.shape import Table

# One column that no table of ours has: twins are partitioned by it, and it is the key of every index.
_KEY = "hollow"
_NOTHING = "public.hollow_nothing"
_LEDGER, _POLICY = "schema_migrations", "policy_versions"
# A table of a name of ours that belongs to somebody else; it makes two owners of one.
_STRANGE = "participants"


@dataclass(frozen=True, slots=True)
class Section:
    """Violations that are planted together, or not at all. `name` says what they are about."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Script:
    """What is planted, in order; without `base` nothing else can be.

    `strangers`: functions that are not the schema's own, each for itself: what they take may not be there any more.
    `login`: one that may act as every role; only who administers them all can make it, and where nobody can, it is put
    into the reading (reading.py).
    """

    base: Section
    others: tuple[Section, ...]
    strangers: tuple[Section, ...]
    login: Section


def hollowing_script(reading: Reading, *, database: str, mark: str) -> Script:
    """The violations of whatever the reading holds.

    Args:
        reading: of the database under proof.
        database: its name.
        mark: a suffix that makes names of this run's own in the whole cluster, of letters and digits.
    """
    aside, newcomer = f"hollow_aside_{mark}", f"hollow_newcomer_{mark}"
    tables = [table for name, table in (TABLES | RUNNER_TABLES).items() if name in reading.tables]
    roles = [name for name in ROLES if name in reading.roles]
    ours = [routine for routine in reading.routines if routine.function.name in FUNCTIONS]
    others = [routine for routine in for_review(reading.routines) if routine.function.name not in FUNCTIONS]
    base = [
        # The twins' bodies need not make sense; what writes them must not depend on the session's path.
        "SET LOCAL check_function_bodies TO off",
        "SET LOCAL search_path TO pg_catalog, pg_temp",
        f"ALTER SCHEMA public RENAME TO {aside}",
        "CREATE SCHEMA public",
        *_open_doors(roles),
        f"CREATE FUNCTION {_NOTHING}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        *(f"CREATE TYPE public.{quoted(name)} AS ENUM ('HOLLOW')" for name in ENUMS if name in reading.enums),
        *(statement for table in tables for statement in _twin(table, reading.tables[table.name])),
        *(_empty(routine) for routine in ours if routine.kind == "f"),
        *_rows({table.name for table in tables}),
        *_ways_around(f"hollow_way_{mark}", tables),
        *_stand_ins(),
    ]
    sections = [
        Section("the roles", _joined(_newcomer(newcomer, roles, reading))),
        Section(
            "the database",
            _joined(
                (
                    f"ALTER DATABASE {quoted(database)} SET search_path TO {aside}",
                    f"GRANT CREATE ON DATABASE {quoted(database)} TO {', '.join(['PUBLIC', *map(quoted, roles)])}",
                )
            ),
        ),
        Section(
            "a schema named after a role",
            _joined(
                (
                    f"CREATE SCHEMA IF NOT EXISTS {quoted(ROLES[0])}",
                    f"CREATE TABLE {quoted(ROLES[0])}.{quoted(_STRANGE)} ()",
                )
            ),
        ),
    ]
    return Script(
        Section("the schema", _joined(base)),
        tuple(sections),
        tuple(Section(one.signature, _opened(one, aside)) for one in others),
        Section("a login", _joined((f"CREATE ROLE {newcomer}_login LOGIN", *_every_role(newcomer, roles)))),
    )


def _every_role(newcomer: str, roles: list[str]) -> tuple[str, ...]:
    return (f"GRANT {', '.join(map(quoted, roles))} TO {newcomer}_login",) if roles else ()


# Only a superuser may give this away; where nobody can, the power is put into the reading (reading.py).
PARAMETER = Section("a parameter", "GRANT SET ON PARAMETER session_replication_role TO PUBLIC")


def _joined(statements: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    return ";\n".join(statements)


def _open_doors(roles: list[str]) -> Iterator[str]:
    """Nobody uses the schema who should, everybody creates in it; what is made from now on is everybody's."""
    everybody = ", ".join(["PUBLIC", *map(quoted, roles)])
    yield "REVOKE ALL ON SCHEMA public FROM PUBLIC"
    yield f"GRANT CREATE ON SCHEMA public TO {everybody}"
    yield f"ALTER DEFAULT PRIVILEGES GRANT INSERT, MAINTAIN ON TABLES TO {everybody}"
    yield "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC"
    yield f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {everybody}"


def _twin(expected: Table, found: Table) -> Iterator[str]:
    """A table of that name with columns of other types, rules that ask nothing or too much, and useless triggers."""
    name = f"public.{quoted(expected.name)}"
    there = {column.name for column in found.columns}
    rules = {rule.name for rule in found.constraints}
    parts = [f"{_KEY} integer", f"{_KEY}_more integer DEFAULT (random() * 2)::integer"]
    parts += [f"{quoted(one.name)} {_other(one.type)}" for one in expected.columns if one.name in there]
    parts += [f"CONSTRAINT {quoted(rule)} CHECK (true)" for rule in sorted(rules)]
    parts.append(f"EXCLUDE USING btree ({_KEY} WITH =)")
    yield f"CREATE TABLE {name} ({', '.join(parts)}) PARTITION BY LIST ({_KEY})"
    yield f"CREATE UNIQUE INDEX ON {name} ({_KEY}, ({_KEY} * 2))"
    yield f"CREATE STATISTICS ON ({_KEY} * 2) FROM {name}"
    if expected.name in EMPTIED:
        # For the key that will refer to it.
        yield f"CREATE UNIQUE INDEX ON {name} ({_KEY})"
    indexes = {index.name for index in found.indexes}
    for index in expected.indexes:
        if index.name in indexes:
            yield f"CREATE INDEX {quoted(index.name)} ON {name} ({_KEY})"
    triggers = {trigger.name for trigger in found.triggers}
    for trigger in (*(one.name for one in expected.triggers if one.name in triggers), f"{_KEY}_stranger"):
        yield f"CREATE TRIGGER {quoted(trigger)} AFTER INSERT ON {name} EXECUTE FUNCTION {_NOTHING}()"


def _other(type_name: str) -> str:
    return "varchar" if type_name == "text" else "text"


def _empty(routine: Routine) -> str:
    """A function of that signature with another result, no path, and nothing in it."""
    return f"CREATE FUNCTION {routine.signature} RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"


def _opened(routine: Routine, aside: str) -> str:
    """A function that is not ours comes along, for its definition is known to nobody here, and is opened to all."""
    stays = routine.signature.removeprefix("public.")
    return _joined(
        (
            f"ALTER ROUTINE {aside}.{stays} SET SCHEMA public",
            f"GRANT EXECUTE ON ROUTINE {routine.signature} TO PUBLIC",
            f"ALTER ROUTINE {routine.signature} RESET ALL",
        )
    )


def _rows(tables: set[str]) -> Iterator[str]:
    """A file that is in no folder is recorded, and a policy without checksum; an index of the ledger is invalid."""
    for table in sorted(tables & {_LEDGER, _POLICY}):
        yield f"CREATE TABLE public.{_KEY}_{table} PARTITION OF public.{table} DEFAULT"
    if _LEDGER in tables:
        # An index of a partitioned table alone is not valid before there is one on each partition.
        yield f"CREATE INDEX {_KEY}_invalid ON ONLY public.{_LEDGER} ({_KEY})"
        yield "INSERT INTO public.schema_migrations (version) VALUES ('0000_hollow.sql')"
    if _POLICY in tables:
        yield "INSERT INTO public.policy_versions (hollow) VALUES (1)"


def _ways_around(place: str, tables: list[Table]) -> Iterator[str]:
    """A schema to make things in, for all: a view of a table, a function with its owner's rights, references."""
    yield f"CREATE SCHEMA {place}"
    yield f"GRANT USAGE, CREATE ON SCHEMA {place} TO PUBLIC"
    yield f"CREATE FUNCTION {place}.opens() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    yield f"GRANT EXECUTE ON FUNCTION {place}.opens() TO PUBLIC"
    for table in tables[:1]:
        yield f"CREATE VIEW {place}.opens AS TABLE public.{quoted(table.name)}"
        yield f"GRANT SELECT ON {place}.opens TO PUBLIC"
    for name in sorted({table.name for table in tables} & set(EMPTIED)):
        refers = f"{quoted(f'refers_to_{name}')} ({_KEY} integer REFERENCES public.{quoted(name)} ({_KEY}))"
        yield f"CREATE TABLE {place}.{refers}"


def _stand_ins() -> Iterator[str]:
    """A comparison of types that our expressions have, and a cast of one of them."""
    yield "CREATE FUNCTION public.hollow_equal(point, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    yield "CREATE OPERATOR public.= (FUNCTION = public.hollow_equal, LEFTARG = point, RIGHTARG = text)"
    yield "CREATE TYPE public.hollow_text AS ENUM ('HOLLOW')"
    yield "CREATE CAST (text AS public.hollow_text) WITH INOUT AS IMPLICIT"


def _newcomer(name: str, roles: list[str], reading: Reading) -> Iterator[str]:
    """A role that every role is a member of, and that owns a table and a function among ours."""
    yield f"CREATE ROLE {name}"
    yield f"GRANT {name} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE"
    if roles:
        yield f"GRANT {name} TO {', '.join(map(quoted, roles))}"
    yield f"ALTER FUNCTION {_NOTHING}() OWNER TO {name}"
    if _STRANGE in reading.tables:
        yield f"ALTER TABLE public.{_STRANGE} OWNER TO {name}"
