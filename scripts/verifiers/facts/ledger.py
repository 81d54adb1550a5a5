"""The tables in which the runner keeps its own history, beside `schema_migrations`: made by no migration.

Owns: what they must be (schema/ledger.sql makes them). Nobody but their owner has any right on them.
"""

from __future__ import annotations

from scripts.verifiers.facts.build import one_of, primary, text_nn
from scripts.verifiers.facts.shape import Column, Table

_MOMENT = "timestamp with time zone"


def _empty(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text", not_null=True, default="''::text") for name in names)


HISTORY = Table(
    "schema_migrations_history",
    columns=(
        Column("seq", "bigint", not_null=True),
        *text_nn("kind", "version", "checksum"),
        *_empty("replaces", "statements_digest"),
        Column("recorded_at", _MOMENT, not_null=True),
        *text_nn("recorded_by"),
        *_empty("reason", "trace_digest"),
        *text_nn("previous_hash", "hash"),
        *_empty("trace"),
    ),
    constraints=(
        primary("seq"),
        one_of("kind", "applied", "adopted", "accepted", "abandoned"),
    ),
)
JOURNAL = Table(
    "schema_migrations_journal",
    columns=(
        *text_nn("version"),
        Column("statement", "integer", not_null=True),
        *text_nn("digest", "state"),
        Column("started_at", _MOMENT, not_null=True),
        Column("done_at", _MOMENT),
    ),
    constraints=(
        primary("version", "statement"),
        one_of("state", "started", "done"),
    ),
)
RUNNER_TABLES = {table.name: table for table in (HISTORY, JOURNAL)}
