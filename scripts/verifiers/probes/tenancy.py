"""D-15, D-36, D-37, INV-062…066: what one tenant writes names nobody else's rows, and the tree has no circle."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import REFUSE, all_of, altered, before, hollowed, rewritten, unruled

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

INGEST = "symphony_ingest"
_ATTEST: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash, client_id, member_id, "
    "signatures) VALUES (%(instruction)s, %(tenant)s, %(hash)s, %(client)s, %(member)s, %(signatures)s::jsonb)"
)
_ATTEMPT: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, tenant_id, member_id) "
    "VALUES (public.uuid_v7_or_random(), %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', 1, 'RETRYABLE', %(tenant)s, %(member)s)"
)
_EVENT: LiteralString = (
    "INSERT INTO public.billing_usage_events (billable_client_id, tenant_id, client_id, subject_member_id, "
    "subject_client_id, event_type, units, quantity, created_at, idempotency_key) VALUES (%(payer)s, %(tenant)s, "
    "%(client)s, %(member)s, %(subject)s, %(type)s, %(unit)s, %(quantity)s, %(created)s, %(key)s)"
)


def attestations(stage: Stage) -> None:
    """An attestation names its own tenant's member and client, and is recorded once."""
    tenant, stranger = world.tenant(stage), world.tenant(stage)
    row: dict[str, Any] = {
        "instruction": world.name("instruction"),
        "tenant": tenant,
        "hash": "hash",
        "client": None,
        "member": None,
        "signatures": "[]",
    }
    where = "public.ingress_attestations"
    own = {"member": world.member(stage, tenant), "client": world.client(stage, tenant)}
    stage.accepted("attestation_of_own_people", _ATTEST, row | own, role=INGEST, where=where)
    for label, code, wrong in (
        ("unknown_tenant", "23503", {"tenant": uuid.uuid4()}),
        ("no_tenant", "23502", {"tenant": None}),
        ("member_without_tenant", "P7201", {"tenant": None, "member": own["member"]}),
        ("member_of_another", "P7202", {"member": world.member(stage, stranger)}),
        ("unknown_member", "23503", {"member": uuid.uuid4()}),
        ("client_of_another", "P7203", {"client": world.client(stage, stranger)}),
        ("unknown_client", "23503", {"client": uuid.uuid4()}),
        ("signatures_no_array", "23514", {"signatures": "{}"}),
        ("empty_instruction", "23514", {"instruction": ""}),
        ("empty_hash", "23514", {"hash": ""}),
    ):
        stage.refused(f"attestation_{label}", code, _ATTEST, row | wrong, role=INGEST, where=where)
    stage.run(_ATTEST, row)
    twice = "23505 ux_ingress_attestations_tenant_instruction"
    stage.refused("attestation_twice", twice, _ATTEST, row, role=INGEST, where=where)
    stage.accepted("same_instruction_elsewhere", _ATTEST, row | {"tenant": stranger}, role=INGEST, where=where)
    attempt = {"n": world.name(), "tenant": tenant, "member": world.member(stage, stranger)}
    stage.refused("attempt_for_member_of_another", "P7202", _ATTEMPT, attempt, where="public.payment_outbox_attempts")


def people_stay(stage: Stage) -> None:
    """A member or client never moves to another tenant; a tenant is never its own ancestor."""
    tenant, other = world.tenant(stage), world.tenant(stage)
    adopt: LiteralString = "UPDATE public.tenants SET parent_tenant_id = %s WHERE tenant_id = %s"
    stage.accepted("parent", adopt, [tenant, other], where="public.tenants")
    stage.refused(
        "member_moved",
        "P7204",
        "UPDATE public.tenant_members SET tenant_id = %s WHERE member_id = %s",
        [other, world.member(stage, tenant)],
        where="public.tenant_members",
    )
    stage.refused(
        "client_moved",
        "P7204",
        "UPDATE public.tenant_clients SET tenant_id = %s WHERE client_id = %s",
        [other, world.client(stage, tenant)],
        where="public.tenant_clients",
    )
    stage.refused("own_parent", "P7205", adopt, [tenant, tenant], where="public.tenants")
    stage.run(adopt, [tenant, other])
    stage.refused("circle_of_two", "P7205", adopt, [other, tenant], where="public.tenants")
    stage.refused("unknown_parent", "23503 tenants_parent_tenant_fk", adopt, [uuid.uuid4(), tenant])


def usage(stage: Stage) -> None:
    """A usage event bills the tenant's own, open payer, names the tenant's own people, and is recorded once a key."""
    payer, closed = world.payer(stage), world.payer(stage)
    tenant, stranger = world.tenant(stage, pays=payer), world.tenant(stage)
    stage.run("UPDATE public.billable_clients SET status = 'CLOSED' WHERE billable_client_id = %s", [closed])
    member, client = world.member(stage, tenant), world.client(stage, tenant)
    row: dict[str, Any] = {
        "payer": payer, "tenant": tenant, "client": client, "member": member, "subject": None,
        "type": "CASE_PACK", "unit": "count", "quantity": 1, "created": "now", "key": world.name("key"),
    }  # fmt: skip
    where = "public.billing_usage_events"
    stage.accepted("usage_of_own_people", _EVENT, row, where=where)
    with stage.undone():
        stage.run(_EVENT, row)
        stage.refused("usage_twice", "23505 ux_billing_usage_events_idempotency", _EVENT, row, where=where)
        stage.run(_EVENT, row | {"key": None})
        stage.accepted("usage_without_key_twice", _EVENT, row | {"key": None}, where=where)
    nobody = dict.fromkeys(("tenant", "client", "member", "subject"))
    for label, code, wrong in (
        ("payer_of_another", "P7221", {"payer": world.payer(stage)}),
        ("payer_closed", "P7222", nobody | {"payer": closed}),
        ("payer_unknown", "23503", nobody | {"payer": uuid.uuid4()}),
        ("payer_missing", "23502", nobody | {"payer": None}),
        ("client_of_another", "P7203", {"client": world.client(stage, stranger)}),
        ("subject_client_of_another", "P7203", {"member": None, "subject": world.client(stage, stranger)}),
        ("member_of_another", "P7202", {"member": world.member(stage, stranger)}),
        ("two_subjects", "23514 billing_usage_events_subject_zero_or_one_chk", {"subject": client}),
        ("member_without_tenant", "23514 billing_usage_events_member_requires_tenant_chk", nobody | {"member": member}),
        ("type_unknown", "23514", {"type": "COFFEE"}),
        ("unit_unknown", "23514", {"unit": "cups"}),
        ("quantity_zero", "23514", {"quantity": 0}),
        ("created_at_missing", "23514 billing_usage_events_created_at_required_new_rows_chk", {"created": None}),
    ):
        stage.refused(f"usage_{label}", code, _EVENT, row | wrong, where=where)


_MEMBER, _CLIENT, _PARTIES = "enforce_member_tenant_match", "enforce_client_tenant_match", "enforce_usage_event_parties"
_NO_FOREIGN_KEY = "'foreign_key_violation'"

TENANCY_PROBES = (
    Probe(
        "attestation_setup",
        attestations,
        (
            Control(
                "an attestation is of anybody but its own people, of whatever tenant, and twice but not elsewhere",
                all_of(
                    rewritten(
                        (_MEMBER, "v_tenant_id <> NEW.tenant_id", "v_tenant_id = NEW.tenant_id"),
                        (_MEMBER, "IF NEW.tenant_id IS NULL THEN", "IF false THEN"),
                        (_CLIENT, "v_tenant_id IS DISTINCT FROM NEW", "v_tenant_id IS NOT DISTINCT FROM NEW"),
                        # The foreign keys behind them refuse with the same code.
                        (_MEMBER, _NO_FOREIGN_KEY, "'P7999'"),
                        (_CLIENT, _NO_FOREIGN_KEY, "'P7999'"),
                        # Who attests may not read attestations; the guard has to.
                        before(_CLIENT, "AS $function$", "SECURITY DEFINER"),
                        before(
                            _CLIENT,
                            "IF NEW.client_id IS NULL THEN",
                            "IF EXISTS (SELECT FROM public.ingress_attestations AS i WHERE "
                            f"i.instruction_id = NEW.instruction_id AND i.tenant_id <> NEW.tenant_id) THEN {REFUSE} "
                            "END IF;",
                        ),
                    ),
                    altered(
                        "ingress_attestations",
                        "DROP INDEX public.ux_ingress_attestations_tenant_instruction; "
                        "ALTER TABLE public.ingress_attestations ALTER COLUMN tenant_id DROP NOT NULL",
                    ),
                    unruled("ingress_attestations", "tenant_id", "tenants"),
                ),
                breaks=(
                    *("attestation_of_own_people", "same_instruction_elsewhere", "attestation_twice"),
                    *(f"attestation_{what}" for what in ("unknown_tenant", "no_tenant", "member_without_tenant")),
                    *(f"attestation_{what}" for what in ("member_of_another", "unknown_member")),
                    *(f"attestation_{what}" for what in ("client_of_another", "unknown_client")),
                    *(f"attestation_{what}" for what in ("signatures_no_array", "empty_instruction", "empty_hash")),
                    "attempt_for_member_of_another",
                ),
            ),
        ),
    ),
    Probe(
        "people_setup",
        people_stay,
        (
            Control(
                "people move, and tenants are their own ancestors and children of nobody",
                all_of(
                    hollowed("deny_tenant_change", "deny_tenant_cycle"),
                    altered("tenants", "ALTER TABLE public.tenants DROP CONSTRAINT tenants_parent_tenant_fk"),
                ),
                breaks=("member_moved", "client_moved", "own_parent", "circle_of_two", "unknown_parent"),
            ),
            Control(
                "no tenant may have a parent",
                rewritten(before("deny_tenant_cycle", "WHILE v_ancestor", REFUSE)),
                breaks=("parent",),
            ),
        ),
    ),
)
USAGE_PROBES = (
    Probe(
        "usage_setup",
        usage,
        (
            Control(
                "anybody is billed for anything, as often as it is told, but once without a key",
                all_of(
                    rewritten(
                        (_PARTIES, "IF FOUND AND v_status = 'CLOSED' THEN", "IF false THEN"),
                        (_PARTIES, "IF v_tenant_payer <> NEW.billable_client_id THEN", "IF false THEN"),
                        (_PARTIES, "IF v_tenant_id IS NOT NULL THEN", "IF false THEN"),
                        (_PARTIES, "m.tenant_id <> NEW.tenant_id", "false"),
                        # The index stays: without it a table of any size would be searched from end to end.
                        before(
                            _PARTIES,
                            "RETURN NEW;",
                            "NEW.idempotency_key := coalesce("
                            "NEW.idempotency_key || pg_catalog.gen_random_uuid(), 'planted');",
                        ),
                    ),
                    altered(
                        "billing_usage_events",
                        "ALTER TABLE public.billing_usage_events ALTER COLUMN billable_client_id DROP NOT NULL",
                    ),
                    unruled("billing_usage_events", "billable_client_id", "billable_clients"),
                ),
                breaks=(
                    *(f"usage_payer_{what}" for what in ("of_another", "closed", "unknown", "missing")),
                    *("usage_client_of_another", "usage_subject_client_of_another", "usage_member_of_another"),
                    *("usage_two_subjects", "usage_member_without_tenant"),
                    *("usage_type_unknown", "usage_unit_unknown", "usage_quantity_zero"),
                    *("usage_created_at_missing", "usage_twice", "usage_without_key_twice"),
                ),
            ),
            Control(
                "nobody is billed",
                rewritten(before(_PARTIES, "RETURN NEW;", REFUSE)),
                breaks=("usage_of_own_people",),
            ),
        ),
    ),
)
