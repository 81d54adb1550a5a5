"""D-16, D-36, D-37, D-40: payers, tenants and policies that change while another session relies on them.

Each probe is played in the twin (scripts/verifiers/twin).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.alike import one_of_two
from scripts.verifiers.probes.playing import Control
from scripts.verifiers.probes.stage import ACCEPTED
from scripts.verifiers.probes.violations import all_of, rewritten
from scripts.verifiers.twin.pair import SNAPSHOT
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

_SET_PAYER: LiteralString = "UPDATE public.tenants SET billable_client_id = %s WHERE tenant_id = %s"
_CLOSE: LiteralString = "UPDATE public.billable_clients SET status = 'CLOSED' WHERE billable_client_id = %s"
_ADOPT: LiteralString = "UPDATE public.tenants SET parent_tenant_id = %s WHERE tenant_id = %s"
_LOOK: LiteralString = "SELECT FROM public.tenants LIMIT 1"
_PROOF: LiteralString = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash) "
    "VALUES (%s, 'probe', 'request', 'response') RETURNING billable_client_id"
)
_EVENT: LiteralString = (
    "INSERT INTO public.billing_usage_events (billable_client_id, tenant_id, event_type, units, quantity, "
    "idempotency_key) VALUES (%(payer)s, %(tenant)s, 'CASE_PACK', 'count', 1, %(key)s)"
)
_ATTEST: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash) VALUES (%s, %s, 'hash')"
)
_ACTIVATE: LiteralString = "INSERT INTO public.policy_versions (version, checksum) VALUES (%s, 'checksum')"
_PAYER: LiteralString = (
    "INSERT INTO public.billable_clients (legal_name, client_type, client_key) VALUES ('probe', 'BANK', %s)"
)
_PROOFS, _EVENTS, _TENANTS = "public.external_proofs", "public.billing_usage_events", "public.tenants"


def _proof_and_payer(stage: Stage, pair: Pair) -> None:
    """A proof and a change of who pays wait for each other; no proof names a payer replaced before it (D-16)."""
    old, new = world.payer(pair.first), world.payer(pair.first)
    tenant = world.tenant(pair.first, pays=old)
    attestation = world.attestation(pair.first, tenant)
    changed = pair.race(_SET_PAYER, [new, tenant], _PROOF, [attestation])
    stage.findings.check(
        "proof_waits_for_a_payer_change",
        expected=[True, ACCEPTED, True],
        observed=[*changed.end, changed.row == (new,)],
        where=_PROOFS,
    )
    attestation = world.attestation(pair.first, tenant)
    stage.findings.check(
        "payer_change_waits_for_a_proof",
        expected=[True, ACCEPTED],
        observed=pair.race(_PROOF, [attestation], _SET_PAYER, [old, tenant]).end,
        where=_PROOFS,
    )
    pair.second.begin("REPEATABLE READ")
    pair.second.rows(_LOOK)
    pair.first.run(_SET_PAYER, [new, tenant])
    found = pair.second.answer(_PROOF, [attestation])
    pair.second.rollback()
    stage.findings.check("proof_from_an_old_snapshot", expected=SNAPSHOT, observed=found, where=_PROOFS)


def _usage_and_payer(stage: Stage, pair: Pair) -> None:
    """A usage event and what would make it wrong wait for each other (D-36)."""
    payer, other = world.payer(pair.first), world.payer(pair.first)
    tenant = world.tenant(pair.first, pays=payer)
    event: dict[str, Any] = {"payer": payer, "tenant": tenant, "key": None}
    free = event | {"tenant": None}
    doomed = world.payer(pair.first)
    for id_, expected, found in (
        ("closing_waits_for_a_usage_event", ACCEPTED, pair.race(_EVENT, free, _CLOSE, [payer])),
        ("usage_waits_for_a_closing", "P7222", pair.race(_CLOSE, [doomed], _EVENT, free | {"payer": doomed})),
    ):
        stage.findings.check(id_, expected=[True, expected], observed=found.end, where=_EVENTS)
    payer = world.payer(pair.first)
    pair.first.run(_SET_PAYER, [payer, tenant])
    event = event | {"payer": payer}
    for id_, expected, found in (
        ("payer_change_waits_for_a_usage_event", ACCEPTED, pair.race(_EVENT, event, _SET_PAYER, [payer, tenant])),
        ("usage_waits_for_a_payer_change", "P7221", pair.race(_SET_PAYER, [other, tenant], _EVENT, event)),
    ):
        stage.findings.check(id_, expected=[True, expected], observed=found.end, where=_EVENTS)
    keyed = free | {"payer": payer, "key": world.name("key")}
    one_of_two(
        stage,
        "usage_at_once_is_billed_once",
        "23505 ux_billing_usage_events_idempotency",
        pair.race(_EVENT, keyed, _EVENT, keyed),
        where=_EVENTS,
    )


def _circle(stage: Stage, pair: Pair) -> None:
    """A under B and B under A at once: one of them is refused, whatever its snapshot shows (D-37)."""
    for id_, level, expected in (
        ("circle_closed_by_two", "READ COMMITTED", "P7205"),
        ("circle_closed_from_old_snapshots", "REPEATABLE READ", SNAPSHOT),
    ):
        one, two = world.tenant(pair.first), world.tenant(pair.first)
        found = pair.race(_ADOPT, [two, one], _ADOPT, [one, two], level=level)
        stage.findings.check(id_, expected=[True, expected], observed=found.end, where=_TENANTS)


def _attested_once(stage: Stage, pair: Pair) -> None:
    """Of two acceptances of one instruction at once one is refused."""
    row = [world.name("instruction"), world.tenant(pair.first)]
    one_of_two(
        stage,
        "two_acceptances_at_once",
        "23505 ux_ingress_attestations_tenant_instruction",
        pair.race(_ATTEST, row, _ATTEST, row),
        where="public.ingress_attestations",
    )


def _activated_once(stage: Stage, pair: Pair) -> None:
    """Of two versions that are made active at once one is refused (D-40)."""
    pair.first.run("DELETE FROM public.policy_versions")
    one_of_two(
        stage,
        "two_activations_at_once",
        "23505 ux_policy_versions_single_active",
        pair.race(_ACTIVATE, [world.name("one")], _ACTIVATE, [world.name("two")]),
        where="public.policy_versions",
    )


def _keyed_once(stage: Stage, pair: Pair) -> None:
    """Of two payers of one key at once, however it is spelled, one is refused (AC5, D-37)."""
    key = world.name("key")
    one_of_two(
        stage,
        "two_payers_of_one_key_at_once",
        "23505 ux_billable_clients_client_key",
        pair.race(_PAYER, [key], _PAYER, [f" {key.upper()}\t"]),
        where="public.billable_clients",
    )


def _proposals(stage: Stage, pair: Pair) -> None:
    """A proposal without payer or key under a name that is taken keeps the row in place until it has ended (AC6)."""
    tenant, key = world.tenant(pair.first), world.name("tenant")
    payer = world.payer(pair.first)
    pair.first.run("UPDATE public.tenants SET tenant_key = %s WHERE tenant_id = %s", [key, tenant])
    by_key: LiteralString = (
        "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type) VALUES (%s, 'proposed', 'NGO') "
        "ON CONFLICT (tenant_key) DO NOTHING"
    )
    by_id: LiteralString = (
        "INSERT INTO public.billable_clients (billable_client_id, legal_name, client_type) "
        "VALUES (%s, 'proposed', 'BANK') ON CONFLICT (billable_client_id) DO NOTHING"
    )
    for id_, where, proposal, given, removal, row in (
        (
            "proposal_keeps_the_tenant",
            _TENANTS,
            by_key,
            [key],
            "DELETE FROM public.tenants WHERE tenant_id = %s",
            [tenant],
        ),
        (
            "proposal_keeps_the_payer",
            "public.billable_clients",
            by_id,
            [payer],
            "DELETE FROM public.billable_clients WHERE billable_client_id = %s",
            [payer],
        ),
    ):
        found = pair.race(proposal, given, removal, row)
        stage.findings.check(id_, expected=[True, ACCEPTED], observed=found.end, where=where)


def attribution_probes(database: Database) -> tuple[Probe, ...]:
    """INV-091, D-16: who pays does not change under a proof."""
    return (
        two_sessions(
            database,
            "proof_and_payer_setup",
            _proof_and_payer,
            [
                Control(
                    "the tenant is not locked",
                    rewritten(("set_external_proofs_attribution", "\n       FOR SHARE", "")),
                    ("proof_waits_for_a_payer_change", "payer_change_waits_for_a_proof", "proof_from_an_old_snapshot"),
                )
            ],
        ),
    )


def usage_probes(database: Database) -> tuple[Probe, ...]:
    """INV-090, D-36: nor under a usage event."""
    index = ("index", "billing_usage_events", "ux_billing_usage_events_idempotency")
    return (
        two_sessions(
            database,
            "usage_and_payer_setup",
            _usage_and_payer,
            [
                Control(
                    "payer and tenant are not locked, and the index of keys is gone",
                    all_of(
                        rewritten(("enforce_usage_event_parties", "FOR SHARE", "")),
                        lambda _: database.twin.lack(index),
                    ),
                    (
                        "closing_waits_for_a_usage_event",
                        "usage_waits_for_a_closing",
                        "payer_change_waits_for_a_usage_event",
                        "usage_waits_for_a_payer_change",
                        "usage_at_once_is_billed_once",
                    ),
                ),
            ],
        ),
    )


def tenancy_probes(database: Database) -> tuple[Probe, ...]:
    """INV-063, INV-066, D-37: the tree stays a tree, and an instruction is accepted once."""
    index = ("index", "ingress_attestations", "ux_ingress_attestations_tenant_instruction")
    return (
        two_sessions(
            database,
            "circle_setup",
            _circle,
            [
                Control(
                    "ancestors are not locked",
                    rewritten(("deny_tenant_cycle", " FOR SHARE;", ";")),
                    ("circle_closed_by_two", "circle_closed_from_old_snapshots"),
                )
            ],
        ),
        two_sessions(
            database,
            "acceptances_at_once_setup",
            _attested_once,
            [Control("the index is gone", lambda _: database.twin.lack(index), ("two_acceptances_at_once",))],
        ),
    )


def policy_probes(database: Database) -> tuple[Probe, ...]:
    """INV-018, D-40: one version is active, also when two are made so."""
    index = ("index", "policy_versions", "ux_policy_versions_single_active")
    return (
        two_sessions(
            database,
            "activations_at_once_setup",
            _activated_once,
            [Control("the index is gone", lambda _: database.twin.lack(index), ("two_activations_at_once",))],
        ),
    )


def payer_probes(database: Database) -> tuple[Probe, ...]:
    """AC5: a key is one payer's, also when two take it."""
    index = ("index", "billable_clients", "ux_billable_clients_client_key")
    return (
        two_sessions(
            database,
            "payers_at_once_setup",
            _keyed_once,
            [Control("the index is gone", lambda _: database.twin.lack(index), ("two_payers_of_one_key_at_once",))],
        ),
    )


def legacy_probes(database: Database) -> tuple[Probe, ...]:
    """AC6: what a proposal relies on stays until it has ended."""
    return (
        two_sessions(
            database,
            "proposals_setup",
            _proposals,
            [
                Control(
                    "tenant and payer are not locked",
                    rewritten(
                        ("settle_tenant_payer", "\n            FOR KEY SHARE", ""),
                        ("settle_billable_client_key", " FOR KEY SHARE", ""),
                    ),
                    ("proposal_keeps_the_tenant", "proposal_keeps_the_payer"),
                ),
            ],
        ),
    )
