"""What a statement outside a transaction really touched: the files on disk before and after it, side by side.

Owns: that comparison, for the statements that choose their relations themselves (VACUUM, CLUSTER, REINDEX).
Why: each skips what it may not touch, or what it has no reason to, and says so at most in a warning.
Limits: what another session does to the same relations meanwhile is taken for the statement's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.migrations.trace.known import read_relations, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.pq.abc import PGresult

    from scripts.migrations.trace.known import Relation

# Statements that are asked about; all others name what they touch, and fail where they cannot.
CHOOSING = frozenset({"VacuumStmt", "ClusterStmt", "ReindexStmt"})
_TABLES = frozenset("rm")


@dataclass(frozen=True, slots=True)
class Files:
    """The relations at one moment.

    relations: users', by oid. vacuums: by table, how often it was vacuumed by hand. others: the file of every catalog
    and TOAST relation, by oid. counts: whether the server counts at all.
    """

    relations: Mapping[int, Relation]
    vacuums: Mapping[int, int]
    others: Mapping[int, int]
    counts: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """What differs between two moments.

    tables: that have another file. indexes: likewise, or another index has taken their name and place; by the oid that
    they had before. vacuumed: tables, without FULL. others: whether a catalog or TOAST data has another file.
    names: of all these, as `schema.name`. counts: whether `vacuumed` can be known.
    """

    tables: frozenset[int]
    indexes: frozenset[int]
    vacuumed: frozenset[int]
    others: bool
    names: Mapping[int, str]
    counts: bool


def read_files(answer: PGresult) -> Files:
    """The answer to `probe.FILES`."""
    return Files(
        read_relations(answer),
        _numbers(value(answer, 2)),
        _numbers(value(answer, 3)),
        value(answer, 4) == b"on",
    )


def touched_between(before: Files, after: Files) -> Touched:
    """Compare two moments."""
    there = {(row.schema, row.name, row.table) for oid, row in after.relations.items() if oid not in before.relations}
    moved = {oid for oid, row in before.relations.items() if row.filenode and _is_anew(oid, row, after, there)}
    vacuumed = {oid for oid, count in before.vacuums.items() if after.vacuums.get(oid, count) > count}
    return Touched(
        frozenset(oid for oid in moved if before.relations[oid].kind in _TABLES),
        frozenset(oid for oid in moved if before.relations[oid].kind == "i"),
        frozenset(vacuumed),
        any(after.others.get(oid, file) != file for oid, file in before.others.items()),
        {oid: f"{before.relations[oid].schema}.{before.relations[oid].name}" for oid in moved | vacuumed},
        before.counts and after.counts,
    )


def _is_anew(oid: int, row: Relation, after: Files, there: set[tuple[str, str, int]]) -> bool:
    now = after.relations.get(oid)
    if now is None:  # REINDEX CONCURRENTLY puts another index in its place
        return row.kind == "i" and (row.schema, row.name, row.table) in there
    return now.filenode != row.filenode


def _numbers(text: bytes | None) -> dict[int, int]:
    pairs = (pair.split(" ") for pair in (text or b"").decode().split(",") if pair)
    return {int(oid): int(number or 0) for oid, number in pairs}
