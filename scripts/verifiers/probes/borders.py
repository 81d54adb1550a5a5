"""D-15, D-36, D-37: the edges of a tenant: people nobody knows, parties named alone, a tree that stands still."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.keys import raised
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.stage import ACCEPTED, told
from scripts.verifiers.probes.violations import before, rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair

INGEST = "symphony_ingest"
_ATTEST: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash, member_id, client_id) "
    "VALUES (%(n)s, %(tenant)s, %(n)s, %(member)s, %(client)s)"
)
_ATTEMPT: LiteralString = (
    "INSERT INTO public.payment_outbox_attempts (outbox_id, instruction_id, participant_id, idempotency_key, "
    "rail_type, sequence_id, payload, attempt_no, state, tenant_id, member_id) VALUES (public.uuid_v7_or_random(), "
    "%(n)s, %(n)s, %(n)s, 'RAIL', 1, '{}', 1, 'RETRYABLE', %(tenant)s, %(member)s)"
)
_EVENT: LiteralString = (
    "INSERT INTO public.billing_usage_events (billable_client_id, tenant_id, subject_client_id, event_type, units, "
    "quantity, idempotency_key) VALUES (%(payer)s, %(tenant)s, %(subject)s, 'CASE_PACK', 'count', 1, %(key)s)"
)
_ADOPT: LiteralString = "UPDATE public.tenants SET parent_tenant_id = %s WHERE tenant_id = %s"
_RENAME: LiteralString = "UPDATE public.tenants SET tenant_name = 'renamed' WHERE tenant_id = %s"
_MEMBERS, _CLIENTS = "enforce_member_tenant_match", "enforce_client_tenant_match"
_USAGE, _TREE = "enforce_usage_event_parties", "deny_tenant_cycle"
# A walk of three steps takes a millisecond; one that goes round has to be stopped.
_HURRY: LiteralString = "SET LOCAL statement_timeout TO 20"
_PATIENCE: LiteralString = "SET LOCAL statement_timeout TO 1000"


def strangers(stage: Stage) -> None:
    """Who is named and not known is refused by the guard, which says so, on each table that has it."""
    tenant = world.tenant(stage)
    row: dict[str, Any] = {"n": world.name(), "tenant": tenant, "member": None, "client": None}
    ingress, ledger = "public.ingress_attestations", "public.payment_outbox_attempts"
    for id_, insert, wrong, role, where in (
        ("attestation_of_nobody", _ATTEST, {"member": uuid.uuid4()}, INGEST, ingress),
        ("attestation_by_nobody", _ATTEST, {"client": uuid.uuid4()}, INGEST, ingress),
        ("attempt_for_nobody", _ATTEMPT, {"member": uuid.uuid4()}, "", ledger),
    ):
        stage.findings.check(
            id_, expected=["23503", ""], observed=raised(stage, insert, row | wrong, role=role), where=where
        )
    alone = row | {"tenant": None, "member": world.member(stage, tenant)}
    stage.refused("attempt_for_a_member_without_tenant", "P7201", _ATTEMPT, alone, where=ledger)
    stage.accepted("attempt_for_an_own_member", _ATTEMPT, alone | {"tenant": tenant}, where=ledger)


def parties(stage: Stage) -> None:
    """A subject is looked at when it is named alone; a key is its payer's own."""
    payer = world.payer(stage)
    tenant, where = world.tenant(stage, pays=payer), "public.billing_usage_events"
    row = {"payer": payer, "tenant": tenant, "subject": None, "key": world.name("key")}
    stranger = world.client(stage, world.tenant(stage))
    stage.refused("usage_of_a_stranger_alone", "P7203", _EVENT, row | {"subject": stranger}, where=where)
    stage.run(_EVENT, row)
    other = {"payer": world.payer(stage), "tenant": None}
    stage.accepted("usage_key_of_another_payer", _EVENT, row | other, where=where)


def _tree(stage: Stage, pair: Pair) -> None:
    """A tenant that stays where it is asks nothing of its parent; a circle from elsewhere ends the walk."""
    top, leaf = world.tenant(pair.first), world.tenant(pair.first)
    pair.first.run(_ADOPT, [top, leaf])
    pair.first.begin()
    pair.first.run(_RENAME, [top])
    waited, renamed = pair.meanwhile(_RENAME, [leaf])
    pair.first.commit()
    renamed.told()
    stage.findings.check(
        "a_change_asks_nothing_of_the_parent", expected=False, observed=waited, where=f"public.{_TREE}"
    )
    # What the guard never let in: the twin's own guard is switched off for it.
    pair.first.begin()
    pair.first.run("ALTER TABLE public.tenants DISABLE TRIGGER trg_deny_tenant_cycle")
    pair.first.run(_ADOPT, [leaf, top])
    pair.first.run("ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER trg_deny_tenant_cycle")
    newcomer = world.tenant(pair.first)
    found = _walked(pair, newcomer, top, _HURRY)
    if found == "57014" and not stage.findings.wanted:
        # Either it goes round, or this machine is very busy.
        found = _walked(pair, newcomer, top, _PATIENCE)
    pair.first.rollback()
    stage.findings.check("a_walk_ends", expected="P7205", observed=found, where=f"public.{_TREE}")


def _walked(pair: Pair, newcomer: uuid.UUID, parent: uuid.UUID, patience: LiteralString) -> str:
    import psycopg

    pair.first.run("SAVEPOINT walk")
    pair.first.run(patience)
    try:
        pair.first.run(_ADOPT, [parent, newcomer])
    except psycopg.Error as exc:
        try:
            pair.first.run("ROLLBACK TO SAVEPOINT walk")
        except psycopg.errors.QueryCanceled:
            # The patience is gone only once this is done.
            pair.first.run("ROLLBACK TO SAVEPOINT walk")
        if exc.sqlstate == "57014":
            return exc.sqlstate
        return told(exc).partition(" ")[0]
    return ACCEPTED


BORDER_PROBES = (
    Probe(
        "strangers_setup",
        strangers,
        (
            Control(
                "the guards leave it to the keys",
                rewritten(
                    (_MEMBERS, "IF NOT FOUND THEN", "IF false THEN"), (_CLIENTS, "IF NOT FOUND THEN", "IF false THEN"),
                    (_CLIENTS, "IF v_tenant_id IS DISTINCT FROM NEW.tenant_id", "IF v_tenant_id <> NEW.tenant_id"),
                ),
                ("attestation_of_nobody", "attestation_by_nobody", "attempt_for_nobody"),
            ),
            Control(
                "a member may come alone",
                rewritten((_MEMBERS, "IF NEW.tenant_id IS NULL THEN", "IF false THEN")),
                ("attempt_for_a_member_without_tenant",),
            ),
            Control(
                "own members are strangers",
                rewritten((_MEMBERS, "IF v_tenant_id <> NEW.tenant_id", "IF v_tenant_id = NEW.tenant_id")),
                ("attempt_for_an_own_member",),
            ),
        ),
    ),
)  # fmt: skip
PARTY_PROBES = (
    Probe(
        "parties_setup",
        parties,
        (
            Control(
                "a subject alone is not looked at",
                rewritten((_USAGE, " OR NEW.subject_client_id IS NOT NULL", "")),
                ("usage_of_a_stranger_alone",),
            ),
            Control(
                "a key is everybody's",
                rewritten(
                    before(
                        _USAGE,
                        "IF NEW.tenant_id IS NOT NULL THEN",
                        "IF EXISTS (SELECT FROM public.billing_usage_events AS e "
                        "WHERE e.idempotency_key = NEW.idempotency_key) THEN RAISE unique_violation; END IF;",
                    )
                ),
                ("usage_key_of_another_payer",),
            ),
        ),
    ),
)


def tree_probes(database: Database) -> tuple[Probe, ...]:
    """D-37: what the guard of the tree asks, and where its walk ends."""
    return (
        two_sessions(
            database,
            "tree_setup",
            _tree,
            [
                Control(
                    "every change walks to the top, and forgets the way",
                    rewritten(
                        (_TREE, "IF TG_OP = 'UPDATE' AND", "IF TG_OP = 'INSERT' AND"),
                        (_TREE, "v_path := v_path || v_ancestor;", ""),
                    ),
                    ("a_change_asks_nothing_of_the_parent", "a_walk_ends"),
                ),
            ],
        ),
    )
