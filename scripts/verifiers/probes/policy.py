"""INV-016…018, D-11, D-40: one active policy version, its checksum known and never rewritten, readable at start-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.facts.roles import BOZ_ROLE, ROLES
from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCEPTED, ACCESS_EXCLUSIVE
from scripts.verifiers.probes.violations import all_of, altered, hollowed, said

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

BOOT: LiteralString = "SELECT version FROM public.policy_versions WHERE is_active"
_INSERT: LiteralString = (
    "INSERT INTO public.policy_versions (version, status, checksum, grace_expires_at) "
    "VALUES (%(version)s, %(status)s::public.policy_version_status, %(checksum)s, %(grace)s::timestamptz)"
)
_WHERE = "public.policy_versions"


def versions(stage: Stage) -> None:
    """Every rule of the policy ledger, beside whatever version is active already."""
    from psycopg import sql

    row: dict[str, Any] = {"version": world.name("policy"), "status": "RETIRED", "checksum": "checksum", "grace": None}
    if stage.value(BOOT) is None:
        stage.run(_INSERT, row | {"version": world.name("active"), "status": "ACTIVE"})
    active = {"version": world.name("second"), "status": "ACTIVE"}
    for label, code, wrong in (
        ("second_active", "23505 ux_policy_versions_single_active", active),
        ("checksum_missing", "23502", {"checksum": None}),
        ("checksum_blank", "23514 ck_policy_checksum_nonempty", {"checksum": "  "}),
        ("grace_without_end", "23514 ck_policy_grace_requires_expiry", {"status": "GRACE"}),
        ("active_with_end", "23514 ck_policy_active_has_no_grace_expiry", active | {"grace": "2100-01-01"}),
    ):
        stage.refused(f"policy_{label}", code, _INSERT, row | wrong, where=_WHERE)
    stage.accepted("policy_grace", _INSERT, row | {"status": "GRACE", "grace": "2100-01-01"}, where=_WHERE)
    stage.run(_INSERT, row)
    for column in ("version", "checksum"):
        change = sql.SQL("UPDATE public.policy_versions SET {} = 'other' WHERE version = %(version)s").format(
            sql.Identifier(column)
        )
        stage.refused(f"policy_{column}_rewritten", "P7301", change, row, where=_WHERE)
    stage.refused("policy_truncated", "P0001", "TRUNCATE public.policy_versions", where=_WHERE, lock=ACCESS_EXCLUSIVE)
    stage.accepted(
        "policy_retired_again",
        "UPDATE public.policy_versions SET status = 'GRACE', grace_expires_at = 'infinity' WHERE version = %(version)s",
        row,
        where=_WHERE,
    )


def boot(stage: Stage) -> None:
    """The start-up query as every role that starts something."""
    for role in ROLES:
        expected = "42501" if role == BOZ_ROLE else ACCEPTED
        stage.refused(f"boot_query as {role}", expected, BOOT, role=role, where=_WHERE)


VERSION_PROBES = (
    Probe(
        "policy_setup",
        versions,
        (
            Control(
                "the ledger takes any version, rewrites and forgets them, and none is ever in grace",
                all_of(
                    hollowed("deny_policy_version_rewrite", "deny_outbox_attempts_mutation"),
                    altered(
                        "policy_versions",
                        "ALTER TABLE public.policy_versions DROP CONSTRAINT ck_policy_checksum_nonempty, "
                        "DROP CONSTRAINT ck_policy_grace_requires_expiry, "
                        "DROP CONSTRAINT ck_policy_active_has_no_grace_expiry, ALTER COLUMN checksum DROP NOT NULL, "
                        "ADD CONSTRAINT planted CHECK (status <> 'GRACE' OR grace_expires_at IS NULL) NOT VALID; "
                        "DROP INDEX public.ux_policy_versions_single_active",
                    ),
                ),
                breaks=(
                    *("policy_second_active", "policy_checksum_missing", "policy_checksum_blank"),
                    *("policy_grace_without_end", "policy_active_with_end", "policy_grace", "policy_retired_again"),
                    *("policy_version_rewritten", "policy_checksum_rewritten", "policy_truncated"),
                ),
            ),
        ),
    ),
)
BOOT_PROBES = (
    Probe(
        "boot_setup",
        boot,
        (
            Control(
                "who starts something may not read the policy, and the regulator may",
                said(
                    "REVOKE SELECT ON public.policy_versions FROM symphony_control, symphony_executor, "
                    "symphony_ingest, symphony_readonly, symphony_auditor, test_user; "
                    "GRANT SELECT ON public.policy_versions TO boz_auditor"
                ),
                breaks=tuple(f"boot_query as {role}" for role in ROLES),
            ),
        ),
    ),
)
