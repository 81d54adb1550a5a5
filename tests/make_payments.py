"""A small payments business to test against: payers, tenants, members, clients, attestations, queued items.

Owns: the shortest insert of each kind, and the calls of the outbox's functions, on a connection that the test chooses.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

if TYPE_CHECKING:
    from uuid import UUID

_numbers = itertools.count(1)


class Queued(NamedTuple):
    """What an enqueue answers."""

    outbox_id: UUID
    sequence_id: int
    created_at: Any
    state: str


class Lease(NamedTuple):
    """What a worker has to show to complete an item."""

    outbox_id: UUID
    token: UUID


def fresh(prefix: str) -> str:
    """A name nobody used before."""
    return f"{prefix}-{next(_numbers)}"


def refused(conn: psycopg.Connection[Any], sqlstate: str, query: str, *values: object) -> psycopg.Error:
    """Run a statement that must fail with this SQLSTATE, and hand back the error for its text."""
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(query.encode(), values or None)
    assert caught.value.sqlstate == sqlstate, str(caught.value)
    return caught.value


@dataclass(frozen=True)
class Payments:
    """The business, seen through one connection in autocommit."""

    conn: psycopg.Connection[Any]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.conn.execute(query.encode(), values or None).fetchall()

    def one(self, query: str, *values: object) -> Any:
        """The first column of the only row."""
        ((value, *_),) = self.rows(query, *values)
        return value

    def run(self, query: str, *values: object) -> int:
        """Run a statement; how many rows it touched."""
        return self.conn.execute(query.encode(), values or None).rowcount

    def payer(self, key: str | None = "", **columns: object) -> UUID:
        """A payer; its key is made up unless one is given. None: without the column, as before 0026."""
        values = {"legal_name": "Payer", "client_type": "BANK"} | columns
        if key is not None:
            values["client_key"] = key or fresh("payer")
        return self._insert("billable_clients", "billable_client_id", values)

    def tenant(self, payer: UUID | None, **columns: object) -> UUID:
        """A tenant with its payer."""
        values = {"tenant_key": fresh("tenant"), "tenant_name": "Tenant", "tenant_type": "NGO"}
        return self._insert("tenants", "tenant_id", values | {"billable_client_id": payer} | columns)

    def member(self, tenant: UUID) -> UUID:
        """A member of a tenant."""
        return self._insert("tenant_members", "member_id", {"tenant_id": tenant, "member_ref": fresh("member")})

    def client(self, tenant: UUID) -> UUID:
        """An API client of a tenant."""
        values = {"tenant_id": tenant, "client_key": fresh("client"), "display_name": "Client"}
        return self._insert("tenant_clients", "client_id", values)

    def attestation(self, tenant: UUID | None, instruction: str = "", **columns: object) -> UUID:
        """An attestation of an instruction."""
        values = {"tenant_id": tenant, "instruction_id": instruction or fresh("instruction"), "payload_hash": "hash"}
        return self._insert("ingress_attestations", "attestation_id", values | columns)

    def proof(self, attestation: UUID | None, **columns: object) -> UUID:
        """A proof about an attestation."""
        values = {"attestation_id": attestation, "provider": "p", "request_hash": "q", "response_hash": "r"}
        return self._insert("external_proofs", "proof_id", values | columns)

    def usage(self, payer: UUID, **columns: object) -> UUID:
        """A usage event."""
        values = {"billable_client_id": payer, "event_type": "CASE_PACK", "units": "count", "quantity": 1}
        return self._insert("billing_usage_events", "event_id", values | columns)

    def pending(self, instruction: str = "", **columns: object) -> UUID:
        """A queued item that no function queued: an import, or a row from before."""
        values = {"instruction_id": instruction or fresh("instruction"), "participant_id": "import"}
        values |= {"sequence_id": str(next(_numbers)), "idempotency_key": "key", "rail_type": "rail", "payload": "{}"}
        return self._insert("payment_outbox_pending", "outbox_id", values | columns)

    def attempt(self, outbox: UUID, attempt_no: int, state: str, **columns: object) -> UUID:
        """An attempt that no function recorded."""
        values: dict[str, object] = {"outbox_id": outbox, "instruction_id": "direct", "participant_id": "direct"}
        values |= {"sequence_id": 1, "idempotency_key": "key", "rail_type": "rail", "payload": "{}"}
        values |= {"attempt_no": attempt_no, "state": state}
        return self._insert("payment_outbox_attempts", "attempt_id", values | columns)

    def enqueue(self, instruction: str = "", *, tenant: Any = None, **arguments: object) -> Queued:
        """Queue a payment through the function; arguments by their names without `p_`."""
        values: dict[str, object] = {"instruction_id": instruction or fresh("instruction"), "participant_id": "bank"}
        values |= {"idempotency_key": "key", "rail_type": "rail", "payload": {"amount": 1}, "tenant_id": tenant}
        values |= arguments
        values["payload"] = None if values["payload"] is None else json.dumps(values["payload"])
        names = ", ".join(f"p_{name} => %s" for name in values)
        row = self.rows(f"SELECT * FROM public.enqueue_payment_outbox({names})", *values.values())[0]
        return Queued(*row)

    def claim(self, count: int = 1, worker: str = "worker", seconds: int = 60) -> list[Lease]:
        """Lease due items to a worker."""
        query = "SELECT outbox_id, lease_token FROM public.claim_outbox_batch(%s, %s, %s)"
        return [Lease(*row) for row in self.rows(query, count, worker, seconds)]

    def complete(self, lease: Lease, state: str | None, worker: Any = "worker", **more: object) -> tuple[int, str]:
        """Complete a leased item; further arguments by their names without `p_`."""
        names = "".join(f", p_{name} => %s" for name in more)
        query = f"SELECT attempt_no, state::text FROM public.complete_outbox_attempt(%s, %s, %s, %s{names})"
        ((attempt_no, effective),) = self.rows(query, *lease, worker, state, *more.values())
        return attempt_no, effective

    def repair(self, count: int = 100, worker: str = "repairer") -> list[tuple[Any, ...]]:
        """Give back what expired."""
        return self.rows("SELECT outbox_id, attempt_no FROM public.repair_expired_leases(%s, %s)", count, worker)

    def expire(self) -> None:
        """Let every lease run out, as the owner may."""
        self.run(
            "UPDATE public.payment_outbox_pending SET lease_expires_at = clock_timestamp() - interval '1 millisecond'"
            " WHERE lease_token IS NOT NULL"
        )

    def make_due(self) -> None:
        """End every back-off, as the owner may."""
        self.run("UPDATE public.payment_outbox_pending SET next_attempt_at = now() WHERE lease_token IS NULL")

    def attempts(self, outbox: UUID, columns: str = "attempt_no, state::text") -> list[tuple[Any, ...]]:
        """The item's attempts in order."""
        query = f"SELECT {columns} FROM public.payment_outbox_attempts WHERE outbox_id = %s ORDER BY attempt_no"
        return self.rows(query, outbox)

    def queue(self, outbox: UUID, columns: str) -> tuple[Any, ...] | None:
        """The item's row in the queue, None when it has left."""
        found = self.rows(f"SELECT {columns} FROM public.payment_outbox_pending WHERE outbox_id = %s", outbox)
        return found[0] if found else None

    def _insert(self, table: str, key: str, values: dict[str, Any] | dict[str, object]) -> UUID:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        made: UUID = self.one(
            f"INSERT INTO public.{table} ({names}) VALUES ({marks}) RETURNING {key}", *values.values()
        )
        return made
