"""Mutants of indexes that no constraint stands behind: gone, of another kind, order or predicate, or unusable.

Owns: the operators on indexes; those of a key are its constraint's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scripts.verifiers.mutants.expressions import simpler
from scripts.verifiers.mutants.flips import flipped
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import INDEX_OWNERS, TABLE_OWNERS
from scripts.verifiers.mutants.words import BOUND, TWIN, bind, in_public, index_text, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.shape import Index, Table


def index_mutants(table: Table) -> Iterator[Mutant]:
    """Mutants of every plain index of a table."""
    keys = {constraint.name for constraint in table.constraints if constraint.kind in "pux"}
    for index in table.indexes:
        if index.name not in keys:
            yield from _index(table, index)


def _index(table: Table, index: Index) -> Iterator[Mutant]:
    where, name = in_public(table.name), in_public(index.name)
    owner = (INDEX_OWNERS.get(index.name) or TABLE_OWNERS[table.name],)
    title, drop = f"index public.{index.name}", f"DROP INDEX {name}"

    def mutant(change: str, *sql: str, admin: bool = False) -> Mutant:
        return Mutant(title, change, owner, sql, admin=admin)

    def again(change: str, **differently: object) -> Mutant:
        other = replace(index, **differently)  # type: ignore[arg-type]
        return mutant(change, drop, index_text(other, where))

    yield mutant("dropped", drop)
    yield mutant("renamed", f"ALTER INDEX {name} RENAME TO mutant_other")
    yield mutant(BOUND, bind(f"INDEX {name}"))
    yield mutant("a view instead", drop, f"CREATE VIEW {name} AS SELECT 1 AS one")
    yield mutant("a table instead", drop, f"CREATE TABLE {name} (one integer)")
    yield mutant("a sequence instead", drop, f"CREATE SEQUENCE {name}")
    yield mutant("on a twin", drop, f"CREATE TABLE {TWIN} (LIKE {where})", index_text(index, TWIN))
    yield again("not unique" if index.unique else "unique", unique=not index.unique)
    yield again("covers nothing", predicate="false")
    if index.predicate is not None:
        yield again("without its predicate", predicate=None)
        for change, text in (*simpler(index.predicate), *flipped(index.predicate)):
            yield again(f"predicate: {change}", predicate=text)
    for change, differently in _other_keys(table, index):
        yield again(change, **differently)
    for flag in ("indisvalid", "indisready"):
        spoil = f"UPDATE pg_catalog.pg_index SET {flag} = false WHERE indexrelid = {literal(name)}::pg_catalog.regclass"
        yield mutant(f"not {flag.removeprefix('indis')}", spoil, admin=True)


def _other_keys(table: Table, index: Index) -> Iterator[tuple[str, dict[str, object]]]:
    """What else it could be an index of: what is done, and the fields that differ."""
    first, *rest = index.keys
    plain = first.split()[0]
    yield "backwards", {"keys": (f"{plain} ASC" if " DESC" in first else f"{plain} DESC", *rest)}
    if any(c.name == plain and c.type == "text" for c in table.columns):
        yield "in another collation", {"keys": (first.replace(plain, f'{plain} COLLATE "POSIX"', 1), *rest)}
        yield "with another operator class", {"keys": (first.replace(plain, f"{plain} text_pattern_ops", 1), *rest)}
    if rest:
        yield "in another order", {"keys": (*rest, first)}
    for key in index.keys if rest else ():
        yield f"without {key}", {"keys": tuple(other for other in index.keys if other != key)}
    spare = next((c.name for c in table.columns if c.name not in index.keys and c.type in ("uuid", "text")), None)
    if spare is not None:
        yield f"with {spare}", {"keys": (*index.keys, spare)}
        yield f"of {spare}", {"keys": (spare, *rest)}
        yield f"including {spare}", {"include": (*index.include, spare)}
    if index.unique:
        yield "nulls alike", {"nulls_not_distinct": not index.nulls_not_distinct}
    elif not rest and " DESC" not in first:
        yield "by hash", {"method": "hash"}
