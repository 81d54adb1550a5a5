"""AC3, D-16, D-42: a proof carries tenant and payer of its attestation, or is refused, each case by its own code."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

CODES = {
    "attestation": "P7211",
    "tenant": "P7213",
    "payer": "P7214",
    "correlation": "P7215",
    "member": "P7202",
    "unknown_member": "23503",
}
_WHERE = "public.external_proofs"
_INSERT: LiteralString = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash, tenant_id, "
    "billable_client_id, subject_member_id, correlation_id) VALUES (%(attestation)s, 'probe', 'request', 'response', "
    "%(tenant)s, %(payer)s, %(member)s, %(correlation)s)"
)
_RETURNING: LiteralString = _INSERT + " RETURNING tenant_id, billable_client_id, correlation_id"


def attributed(stage: Stage) -> None:
    """Tenant, payer and correlation are derived when left out, kept when right, and refused when wrong."""
    payer = world.payer(stage)
    tenant, stranger = world.tenant(stage, pays=payer), world.tenant(stage)
    correlation = uuid.uuid4()
    attestation = world.attestation(stage, tenant, correlation=correlation)
    left_out: dict[str, Any] = dict.fromkeys(("tenant", "payer", "member", "correlation"))
    row = left_out | {"attestation": attestation}
    derived = stage.row(_RETURNING, row)
    stage.findings.check(
        "proof_is_attributed", expected=True, observed=derived == (tenant, payer, correlation), where=_WHERE
    )
    right = {"tenant": tenant, "payer": payer, "correlation": correlation, "member": world.member(stage, tenant)}
    stage.accepted("proof_rightly_attributed", _INSERT, row | right, where=_WHERE)
    for label, code, wrong in (
        ("unknown_attestation", CODES["attestation"], {"attestation": uuid.uuid4()}),
        ("no_attestation", CODES["attestation"], {"attestation": None}),
        ("tenant_of_another", CODES["tenant"], {"tenant": stranger}),
        ("payer_of_another", CODES["payer"], {"payer": world.payer(stage)}),
        ("correlation_of_another", CODES["correlation"], {"correlation": uuid.uuid4()}),
        ("member_of_another", CODES["member"], {"member": world.member(stage, stranger)}),
        ("unknown_member", CODES["unknown_member"], {"member": uuid.uuid4()}),
    ):
        stage.refused(f"proof_{label}", code, _INSERT, row | wrong, where=_WHERE)


_ATTRIBUTE = "set_external_proofs_attribution"

PROBES = (
    Probe(
        "proof_setup",
        attributed,
        (
            Control(
                "a proof may name whom it likes but its own tenant and member, and has an id of its own",
                rewritten(
                    (_ATTRIBUTE, "IF NOT FOUND OR v_attestation.tenant_id IS NULL THEN", "IF false THEN"),
                    (_ATTRIBUTE, "IF NEW.tenant_id <> v_attestation", "IF NEW.tenant_id = v_attestation"),
                    (_ATTRIBUTE, "IF NEW.billable_client_id <> v_payer", "IF NEW.billable_client_id = v_payer"),
                    (_ATTRIBUTE, "IF v_member_tenant <> v_attestation", "IF v_member_tenant = v_attestation"),
                    (_ATTRIBUTE, "IF NEW.correlation_id <> v_correlation_id", "IF false"),
                    # The foreign key behind it refuses with the same code.
                    (_ATTRIBUTE, "'foreign_key_violation'", "'P7999'"),
                    (_ATTRIBUTE, "NEW.correlation_id := v_corr", "NEW.correlation_id := pg_catalog.uuidv7(); --"),
                ),
                breaks=(
                    *("proof_is_attributed", "proof_rightly_attributed"),
                    *("proof_unknown_attestation", "proof_no_attestation", "proof_tenant_of_another"),
                    *("proof_payer_of_another", "proof_correlation_of_another", "proof_member_of_another"),
                    "proof_unknown_member",
                ),
            ),
        ),
    ),
)
