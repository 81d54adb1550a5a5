"""INV-036: a revocation is never taken back, and recorded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.append_only import verify_tables
from scripts.verifiers.probes import victims
from scripts.verifiers.probes.playing import Control, Probe, play
from scripts.verifiers.probes.violations import all_of, altered

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.stage import Stage

_TABLES = (TABLES["revoked_client_certs"], TABLES["revoked_tokens"])


def verify(database: Database, findings: Findings) -> None:
    """Guards and attacks, and a second revocation of the same thing."""
    verify_tables(database, findings, _TABLES)
    play(database.conn, findings, [_TWICE])
    holds = {check.id: check.holds for check in findings.checks}
    findings.details.update(
        revoked_client_certs=holds["revoked_client_certs_table"],
        revoked_tokens=holds["revoked_tokens_table"],
        trigger_certs=holds["trg_deny_revoked_client_certs_mutation"],
        trigger_tokens=holds["trg_deny_revoked_tokens_mutation"],
    )


# By what it is: a key that PostgreSQL named itself may have any name.
_WITHOUT_KEY = """
DO $$ BEGIN
    EXECUTE (SELECT pg_catalog.format('ALTER TABLE public.{table} DROP CONSTRAINT %I', k.conname)
               FROM pg_catalog.pg_constraint AS k
              WHERE k.conrelid = 'public.{table}'::pg_catalog.regclass AND k.contype = 'p');
END $$
"""


def _twice(stage: Stage) -> None:
    from psycopg import sql

    for table in _TABLES:
        key, value = victims.plant(stage, table.name)
        again = sql.SQL("INSERT INTO public.{} ({}) VALUES (%s)").format(
            sql.Identifier(table.name), sql.Identifier(key)
        )
        stage.refused(f"{table.name}_twice", "23505", again, [value], where=f"public.{table.name}")


_TWICE = Probe(
    "revoked_twice_setup",
    _twice,
    (
        Control(
            "the same may be revoked again and again",
            all_of(
                *(altered(table.name, _WITHOUT_KEY.format(table=table.name)) for table in _TABLES),
            ),
            breaks=tuple(f"{table.name}_twice" for table in _TABLES),
        ),
    ),
)
