"""INV-005, INV-006, INV-010, INV-014, INV-016…018: the predecessor's SQL gate, each question by definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.privileges import matrix_of, public_privileges
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes import at_once_tenancy, edges
from scripts.verifiers.probes.playing import play
from scripts.verifiers.probes.policy import BOOT_PROBES, VERSION_PROBES

if TYPE_CHECKING:
    from scripts.verifiers.model import Database, Findings
    from scripts.verifiers.probes.playing import Probe

_TABLES = (
    "schema_migrations",
    "participant_outbox_sequences",
    "payment_outbox_pending",
    "payment_outbox_attempts",
    "policy_versions",
)
_POLICY, _ATTEMPTS = TABLES["policy_versions"], TABLES["payment_outbox_attempts"]
# Under an expectation of another type too, as in the controls.
_ACTIVE = "SELECT pg_catalog.count(*) FROM public.policy_versions WHERE is_active::pg_catalog.text = 'true'"
_EMPTY = (
    "SELECT pg_catalog.count(*) FROM public.policy_versions WHERE checksum IS NULL OR pg_catalog.btrim(checksum) = ''"
)


def pairs(database: Database) -> tuple[Probe, ...]:
    """Of `verify`."""
    return at_once_tenancy.policy_probes(database)


def verify(database: Database, findings: Findings) -> None:
    """Tables and their grants, the attempts' guard, control's privileges, the schema, the policy."""
    facts = Facts(database.facts, database.sources, findings)
    for name in _TABLES:
        held = database.facts.held.get(name)
        facts.table(TABLES[name])
        findings.check(
            f"public_no_privs_{name}",
            expected="none",
            observed=public_privileges(held) if held else "absent",
            where=f"public.{name}",
            examined=int(held is not None),
        )
    for grantee in ("PUBLIC", *ROLES):
        may = any((g.grantee, g.privilege) == (grantee, "CREATE") for g in database.facts.schema_grants)
        findings.check(f"{grantee} creates in public", expected=False, observed=may, where="schema public")
    facts.function(FUNCTIONS["deny_outbox_attempts_mutation"])
    facts.trigger(_ATTEMPTS, "trg_deny_outbox_attempts_mutation")
    held = database.facts.held.get(_ATTEMPTS.name)
    control = next((w for w in matrix_of(held).split("; ") if w.startswith("symphony_control: ")), "") if held else ""
    findings.check(
        "symphony_control_on_attempts",
        expected="symphony_control: SELECT",
        observed=control,
        where=f"public.{_ATTEMPTS.name}",
        examined=int(held is not None),
    )
    verify_policy(database, findings)


def verify_policy(database: Database, findings: Findings) -> None:
    """INV-016…018: the policy ledger's definition, its rows, its rules."""
    facts = Facts(database.facts, database.sources, findings)
    for column in ("is_active", "status", "checksum"):
        facts.column(_POLICY, column)
    for constraint in _POLICY.constraints:
        facts.constraint(_POLICY, constraint)
    facts.index(_POLICY, "ux_policy_versions_single_active")
    for trigger in _POLICY.triggers:
        facts.trigger(_POLICY, trigger.name)
    facts.function(FUNCTIONS["deny_policy_version_rewrite"])
    if _POLICY.name in database.facts.tables:
        row = database.conn.execute(_EMPTY).fetchone()
        findings.check("policy_rows_without_checksum", expected=0, observed=row[0] if row else -1)
        if database.seeded:
            row = database.conn.execute(_ACTIVE).fetchone()
            findings.check(
                "policy_is_active",
                expected=1,
                observed=row[0] if row else -1,
                where=f"public.{_POLICY.name}",
                help="invoke policy.seed, since REQUIRE_POLICY_SEED=1",
            )
    twins = pairs(database)
    play(database.conn, findings, (*VERSION_PROBES, *edges.AGE_PROBES, *twins, *BOOT_PROBES))
