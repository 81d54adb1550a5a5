"""Rows to act on: a payer, a tenant, an attestation, a queued item — made on the spot, of random names.

Owns: what a row of ours needs to be accepted.
Promises: no row but those it made is ever named; times put its queued items before anybody's, so that a batch as large
as what was planted holds nothing else.
Never: asks a question of the schema.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

if TYPE_CHECKING:
    from scripts.verifiers.probes.wire import Params

ENQUEUE: LiteralString = (
    "SELECT q.outbox_id FROM public.enqueue_payment_outbox(%(instruction)s, %(participant)s, %(key)s, %(rail)s, "
    "%(payload)s::jsonb, %(tenant)s::uuid) AS q"
)
COMPLETE: LiteralString = (
    "SELECT c.state::text FROM public.complete_outbox_attempt(%(item)s, %(token)s, %(worker)s, %(state)s) AS c"
)
_PAYER: LiteralString = (
    "INSERT INTO public.billable_clients (billable_client_id, legal_name, client_type) "
    "VALUES (%(id)s, %(name)s, 'BANK')"
)
_KEYED_PAYER: LiteralString = (
    "INSERT INTO public.billable_clients (billable_client_id, legal_name, client_type, client_key) "
    "VALUES (%(id)s, %(name)s, 'BANK', %(key)s)"
)
_FAR = "-infinity"
# Hours since a worker of ours died: longer than anybody's lease is left (own_queue.py where one was).
LOST_H = 100_000


def name(kind: str = "probe") -> str:
    """A text that nobody has used."""
    return f"{kind}-{secrets.token_hex(8)}"


class Hand(Protocol):
    """Who plants: a stage, or one session of two that see each other's rows. `keyed`: payers have keys already."""

    @property
    def keyed(self) -> bool:
        """See `Stage.keyed`."""

    def run(self, sql: LiteralString, params: Params = None) -> None:
        """Do it as the owner."""

    def plant(self, sql: LiteralString, params: Params = None) -> None:
        """Do it as the owner, at the latest before what is asked next."""

    def value(self, sql: LiteralString, params: Params = None, *, role: str = "") -> Any:
        """The first column of the first row, None without one."""

    def rows(self, sql: LiteralString, params: Params = None, *, role: str = "") -> list[tuple[Any, ...]]:
        """Every row."""


@dataclass(frozen=True, slots=True)
class Item:
    """A queued item and what it was queued with."""

    outbox_id: uuid.UUID
    asked: dict[str, Any] = field(default_factory=dict)


def payer(stage: Hand) -> uuid.UUID:
    """An active payer, with a key where payers have one."""
    made = uuid.uuid4()
    stage.plant(_KEYED_PAYER if stage.keyed else _PAYER, {"id": made, "name": name("payer"), "key": name("key")})
    return made


def tenant(stage: Hand, *, pays: uuid.UUID | None = None) -> uuid.UUID:
    """A tenant with a payer: the one given, or one of its own."""
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.tenants (tenant_id, tenant_key, tenant_name, tenant_type, billable_client_id) "
        "VALUES (%s, %s, 'probe', 'NGO', %s)",
        [made, name("tenant"), pays or payer(stage)],
    )
    return made


def client(stage: Hand, of: uuid.UUID) -> uuid.UUID:
    """An API client of the tenant."""
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.tenant_clients (client_id, tenant_id, client_key, display_name) "
        "VALUES (%s, %s, %s, 'probe')",
        [made, of, name("client")],
    )
    return made


def member(stage: Hand, of: uuid.UUID) -> uuid.UUID:
    """A member of the tenant."""
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.tenant_members (member_id, tenant_id, member_ref) VALUES (%s, %s, %s)",
        [made, of, name("member")],
    )
    return made


def attestation(
    stage: Hand, of: uuid.UUID, *, instruction: str = "", correlation: uuid.UUID | None = None
) -> uuid.UUID:
    """An attestation of the tenant."""
    made = uuid.uuid4()
    stage.plant(
        "INSERT INTO public.ingress_attestations (attestation_id, instruction_id, tenant_id, payload_hash, "
        "correlation_id) VALUES (%s, %s, %s, %s, %s)",
        [made, instruction or name("instruction"), of, name("hash"), correlation],
    )
    return made


def request(of: uuid.UUID | None = None, **given: Any) -> dict[str, Any]:
    """The arguments of an enqueue that would be accepted."""
    return {
        "instruction": name("instruction"),
        "participant": name("participant"),
        "key": name("key"),
        "rail": "RAIL",
        "payload": '{"amount": 1}',
        "tenant": of,
    } | given


def queued(stage: Hand, of: uuid.UUID | None = None, **given: Any) -> Item:
    """An item in the queue, due before everybody else's."""
    asked = request(of, **given)
    item = Item(stage.value(ENQUEUE, asked), asked)
    stage.plant(
        "UPDATE public.payment_outbox_pending SET next_attempt_at = %s, created_at = %s WHERE outbox_id = %s",
        [_FAR, _FAR, item.outbox_id],
    )
    return item


def leased(stage: Hand, item: Item, *, worker: str = "probe-worker", expired: bool = False) -> uuid.UUID:
    """Give the worker a lease on the item, as a claim would leave it; returns the token."""
    token = uuid.uuid4()
    stage.plant(
        "UPDATE public.payment_outbox_pending SET claimed_by = %s, claimed_at = '2001-02-03 04:05:06+00', "
        "lease_token = %s, lease_expires_at = "
        "pg_catalog.clock_timestamp() + pg_catalog.make_interval(hours => %s) WHERE outbox_id = %s",
        [worker, token, -LOST_H if expired else 1, item.outbox_id],
    )
    return token


def decoy(stage: Hand, count: int = 1) -> None:
    """Items of expired leases, older than anybody's: a claim first repairs as many as it may take, and takes these."""
    for _ in range(count):
        leased(stage, queued(stage), worker="probe-decoy", expired=True)


def attempts(stage: Hand, item: Item) -> list[str]:
    """The states of the item's attempts in order."""
    rows = stage.rows(
        "SELECT a.state::text FROM public.payment_outbox_attempts AS a WHERE a.outbox_id = %s ORDER BY a.attempt_no",
        [item.outbox_id],
    )
    return [str(row[0]) for row in rows]


def is_queued(stage: Hand, item: Item) -> bool:
    """Whether the item is in the queue, once."""
    count = stage.value(
        "SELECT pg_catalog.count(*) FROM public.payment_outbox_pending AS p WHERE p.outbox_id = %s", [item.outbox_id]
    )
    return bool(count == 1)
