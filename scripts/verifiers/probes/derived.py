"""AC3, AC6, D-03, D-42: what a proof takes on when its attestation is from before, and where nothing can be derived.

Rows from before are planted in the twin: there the guards that refuse them are switched off without a lock on anybody's
table.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.alike import same_checks
from scripts.verifiers.probes.keys import raised
from scripts.verifiers.probes.limits import ATTEMPT, CREATED, YEARS
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import rewritten
from scripts.verifiers.twin.probe import two_sessions

if TYPE_CHECKING:
    from scripts.verifiers.model import Database
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.pair import Pair, Session

_FUNCTION, _WHERE = "set_external_proofs_attribution", "public.external_proofs"
_PROOF: LiteralString = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash) "
    "VALUES (%s, 'probe', 'request', 'response') RETURNING correlation_id"
)
_EARLIER: LiteralString = (
    "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash, tenant_id, "
    "billable_client_id, correlation_id, created_at) SELECT i.attestation_id, 'probe', 'request', 'response', "
    "t.tenant_id, t.billable_client_id, %(correlation)s, %(created)s::timestamptz "
    "FROM public.ingress_attestations AS i JOIN public.tenants AS t ON t.tenant_id = i.tenant_id "
    "WHERE i.attestation_id = %(attestation)s"
)
# As it was before 0026, until the transaction's rollback.
_BEFORE: LiteralString = (
    "ALTER TABLE public.ingress_attestations DISABLE TRIGGER USER, "
    "ALTER COLUMN tenant_id DROP NOT NULL, ALTER COLUMN correlation_id DROP NOT NULL; "
    "ALTER TABLE public.tenants DISABLE TRIGGER USER"
)
_RULES = {
    "ingress_attestations": "ingress_attestations_correlation_required_new_rows_chk",
    "tenants": "tenants_billable_client_required_new_rows_chk",
}
_OLD: LiteralString = (
    "INSERT INTO public.ingress_attestations (instruction_id, tenant_id, payload_hash) VALUES (%s, %s, 'old') "
    "RETURNING attestation_id"
)


def _go_back(session: Session) -> None:
    """Let the twin take rows from before, under whatever names its rules go."""
    from psycopg import sql

    session.run(_BEFORE)
    for table, rule in _RULES.items():
        for check in same_checks(session, table, rule):
            drop = sql.SQL("ALTER TABLE public.{} DROP CONSTRAINT {}")
            session.run(drop.format(sql.Identifier(table), sql.Identifier(check)).as_string())


class _Old:
    """Three attestations from before: one that counts, the same instruction elsewhere, another one of the tenant."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tenant, elsewhere = world.tenant(session), world.tenant(session)
        self.instruction = world.name("instruction")
        # The neighbours come first, so that what does not tell them apart finds them.
        self.places = (
            (elsewhere, self.instruction),
            (self.tenant, world.name("instruction")),
            (self.tenant, self.instruction),
        )

    def attested(self) -> list[uuid.UUID]:
        """An attestation without id at each place, the one that counts last."""
        return [self.session.value(_OLD, [instruction, tenant]) for tenant, instruction in self.places]

    def queued(self) -> None:
        """An item at each place but the one that counts."""
        for tenant, instruction in self.places[:-1]:
            world.queued(self.session, tenant, instruction=instruction)


def _correlation(stage: Stage, pair: Pair) -> None:
    """The id of an earlier proof, else of the queued item, else of its attempts, else the attestation's own."""
    session, took = pair.first, list[bool]()
    session.begin()
    # Rows that were taken off would leave room between those that come: then nothing says which is read first.
    session.run("TRUNCATE public.payment_outbox_pending")
    _go_back(session)
    old = _Old(session)
    session.run("SAVEPOINT bare")

    *others, attestation = old.attested()
    session.run("ALTER TABLE public.external_proofs DISABLE TRIGGER trg_set_external_proofs_attribution")
    for other in others:
        session.run(_EARLIER, {"attestation": other, "correlation": uuid.uuid4(), "created": "2000-01-01"})
    ids = [uuid.uuid4() for _ in YEARS]
    for year, correlation in zip(YEARS, ids, strict=True):
        session.run(_EARLIER, {"attestation": attestation, "correlation": correlation, "created": year})
    session.run("ALTER TABLE public.external_proofs ENABLE ALWAYS TRIGGER trg_set_external_proofs_attribution")
    took.append(session.value(_PROOF, [attestation]) == ids[1])
    session.run("ROLLBACK TO SAVEPOINT bare")

    old.queued()
    *_, place = old.places
    # In the order of the table and of the index alike, from either end, another comes before the one that counts.
    keys = [world.name(f"key-{number}") for number in range(len(YEARS))]
    items = [world.queued(session, place[0], instruction=place[1], key=key) for key in keys]
    ids = [session.value(CREATED, [year, item.outbox_id]) for year, item in zip(YEARS, items, strict=True)]
    *_, attestation = old.attested()
    took.append(session.value(_PROOF, [attestation]) == ids[1])
    session.run("ROLLBACK TO SAVEPOINT bare")

    *_, attestation = old.attested()
    for tenant, instruction in old.places[:-1]:
        session.run(ATTEMPT, _attempt(tenant, instruction, "2000-01-01", uuid.uuid4()))
    ids = [uuid.uuid4() for _ in YEARS]
    for year, correlation in zip(YEARS, ids, strict=True):
        session.run(ATTEMPT, _attempt(*place, year, correlation))
    took.append(session.value(_PROOF, [attestation]) == ids[1])
    session.run("ROLLBACK TO SAVEPOINT bare")

    *_, attestation = old.attested()
    took.append(session.value(_PROOF, [attestation]) == attestation)
    session.rollback()
    for name, holds in zip(_LENDERS, took, strict=True):
        stage.findings.check(f"old_proof_takes_the_id_of_{name}", expected=True, observed=holds, where=_WHERE)


def _attempt(tenant: uuid.UUID, instruction: str, created: str, correlation: uuid.UUID) -> dict[str, Any]:
    return {"tenant": tenant, "n": instruction, "created": created, "correlation": correlation}


def _underived(stage: Stage, pair: Pair) -> None:
    """Where tenant or payer cannot be told, the proof is refused, each case by its own code."""
    session = pair.first
    for id_, code, tenant, loses in (
        ("proof_without_tenant", "P7211", False, False),
        ("proof_without_payer", "P7212", True, True),
    ):
        session.begin()
        _go_back(session)
        of = world.tenant(session) if tenant else None
        if loses:
            session.run("UPDATE public.tenants SET billable_client_id = NULL WHERE tenant_id = %s", [of])
        attestation = session.value(_OLD, [world.name("instruction"), of])
        found = session.answer(_PROOF, [attestation])
        session.rollback()
        stage.findings.check(id_, expected=code, observed=found, where=_WHERE)


def stranger(stage: Stage) -> None:
    """A subject that nobody knows is refused by the function, which says so."""
    row: list[Any] = [world.attestation(stage, world.tenant(stage)), uuid.uuid4()]
    insert: LiteralString = (
        "INSERT INTO public.external_proofs (attestation_id, provider, request_hash, response_hash, subject_member_id) "
        "VALUES (%s, 'probe', 'request', 'response', %s)"
    )
    stage.findings.check(
        "proof_about_nobody", expected=["23503", ""], observed=raised(stage, insert, row), where=_WHERE
    )


_LENDERS = ("an_earlier_proof", "the_queued_item", "the_attempts", "the_attestation_itself")
STRANGER_PROBES = (
    Probe(
        "stranger_setup",
        stranger,
        (
            Control(
                "the function leaves it to the key",
                rewritten(
                    (
                        _FUNCTION,
                        "IF NOT FOUND THEN\n            RAISE EXCEPTION 'the proof''s subject",
                        "IF false THEN\n            RAISE EXCEPTION 'the proof''s subject",
                    )
                ),
                ("proof_about_nobody",),
            ),
        ),
    ),
)


def derivation_probes(database: Database) -> tuple[Probe, ...]:
    """INV-091, AC3, AC6: proofs of attestations from before, and of what nobody pays for."""
    return (
        two_sessions(
            database,
            "old_proofs_setup",
            _correlation,
            [
                Control(
                    "a fresh id is as good",
                    rewritten(
                        (_FUNCTION, "WHERE e.attestation_id = NEW.attestation_id AND", "WHERE false AND"),
                        (_FUNCTION, "WHERE p.tenant_id = v_attestation.tenant_id AND", "WHERE false AND"),
                        (_FUNCTION, "WHERE a.tenant_id = v_attestation.tenant_id AND", "WHERE false AND"),
                        (_FUNCTION, " NEW.attestation_id);\n    IF", " public.uuid_v7_or_random());\n    IF"),
                    ),
                    tuple(f"old_proof_takes_the_id_of_{one}" for one in _LENDERS),
                )
            ],
        ),
        two_sessions(
            database,
            "underived_setup",
            _underived,
            [
                Control(
                    "what is missing is looked for all the same",
                    rewritten(
                        (_FUNCTION, "IF NOT FOUND OR v_attestation.tenant_id IS NULL", "IF NOT FOUND"),
                        (_FUNCTION, "IF NOT FOUND OR v_payer IS NULL", "IF NOT FOUND"),
                    ),
                    ("proof_without_tenant", "proof_without_payer"),
                ),
            ],
        ),
    )
