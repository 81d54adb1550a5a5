"""AC1, AC2, AC5: a new tenant names its payer, a new payer its key, a new hop of the chain its correlation id."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.twins import bare_twin
from scripts.verifiers.probes.violations import REFUSE, all_of, altered, before, rewritten

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.probes.wire import Query

NO_PAYER = "23514 tenants_billable_client_required_new_rows_chk"
NO_KEY = "23514 billable_clients_client_key_required_new_rows_chk"
SAME_KEY = "23505 ux_billable_clients_client_key"

_TENANT = (
    "INSERT INTO public.tenants (tenant_key, tenant_name, tenant_type, billable_client_id{more}) "
    "VALUES (%(key)s, 'probe', 'NGO', %(payer)s{value})"
)
_PAYER = (
    "INSERT INTO public.billable_clients (legal_name, client_type, client_key{more}) "
    "VALUES ('probe', 'BANK', %(key)s{value})"
)


def tenant_needs_payer(stage: Stage) -> None:
    """No new tenant without a payer, whatever it says of its own age; none with a payer that does not exist."""
    where = "public.tenants"
    row = {"key": world.name("tenant"), "payer": None}
    plain, claiming = (
        _TENANT.format(more="", value="").encode(),
        _TENANT.format(more=", predates_payer", value=", true").encode(),
    )
    paid = row | {"payer": world.payer(stage)}
    stage.accepted("tenant_with_payer", plain, paid, where=where)
    stage.refused("tenant_without_payer", NO_PAYER, plain, row, where=where)
    stage.refused("tenant_claiming_to_be_old", NO_PAYER, claiming, row, where=where)
    stage.refused("tenant_of_unknown_payer", "23503 tenants_billable_client_fk", plain, row | {"payer": uuid.uuid4()})
    stage.run(plain, paid)
    drop = "UPDATE public.tenants SET billable_client_id = NULL{more} WHERE tenant_key = %(key)s"
    stage.refused("tenant_losing_its_payer", NO_PAYER, drop.format(more="").encode(), paid, where=where)
    stage.refused(
        "tenant_growing_old",
        NO_PAYER,
        drop.format(more=", predates_payer = true").encode(),
        paid,
        where=where,
    )


def payer_needs_key(stage: Stage) -> None:
    """No new payer without a key, and no key twice, however it is spelled."""
    where = "public.billable_clients"
    plain, claiming = (
        _PAYER.format(more="", value="").encode(),
        _PAYER.format(more=", predates_client_key", value=", true").encode(),
    )
    key = world.name("key")
    stage.accepted("client_key_new", plain, {"key": key}, where=where)
    for label, none in (
        ("missing", None),
        ("empty", ""),
        ("blank", "  "),
        ("tab_only", "\t\n"),
        ("nbsp_only", "\u00a0"),
        ("unseen_only", "\u200b\ufeff"),
    ):
        stage.refused(f"client_key_{label}", NO_KEY, plain, {"key": none}, where=where)
    stage.refused("payer_claiming_to_be_old", NO_KEY, claiming, {"key": None}, where=where)
    stage.run(plain, {"key": key})
    for label, same in (
        ("same", key),
        ("padded", f" {key}\t"),
        ("wrapped", f"\u00a0{key}\u200b"),
        ("upper", key.upper()),
    ):
        stage.refused(f"client_key_{label}", SAME_KEY, plain, {"key": same}, where=where)
    lose = b"UPDATE public.billable_clients SET client_key = NULL WHERE client_key = %(key)s"
    stage.refused("payer_losing_its_key", NO_KEY, lose, {"key": key}, where=where)


_ATTEMPT = (
    "INSERT INTO {table} (outbox_id, instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, "
    "attempt_no, state, correlation_id) VALUES (%(item)s, %(n)s, %(n)s, %(n)s, 'RAIL', 1, '{{}}', 1, 'RETRYABLE', "
    "%(correlation)s)"
)
_PENDING = (
    "INSERT INTO {table} (instruction_id, participant_id, idempotency_key, rail_type, sequence_id, payload, "
    "correlation_id) VALUES (%(n)s, %(n)s, %(n)s, 'RAIL', 1, '{{}}', %(correlation)s)"
)
_INGRESS = (
    "INSERT INTO {table} (instruction_id, tenant_id, payload_hash, correlation_id) "
    "VALUES (%(n)s, %(tenant)s, %(n)s, %(correlation)s)"
)
_HOPS = {
    "ingress_attestations": (_INGRESS, "symphony_ingest"),
    "payment_outbox_pending": (_PENDING, ""),
    "payment_outbox_attempts": (_ATTEMPT, ""),
}


def hops_are_correlated(stage: Stage) -> None:
    """The caller's correlation id is kept, a missing one is made, and behind the trigger the CHECK refuses a null."""
    tenant = world.tenant(stage)
    for table, (insert, role) in _HOPS.items():
        where = f"public.{table}"
        into: Query = (insert.format(table=where) + " RETURNING correlation_id").encode()
        given = uuid.uuid4()

        def row(correlation: uuid.UUID | None) -> dict[str, object]:
            return {"n": world.name(), "item": uuid.uuid4(), "tenant": tenant, "correlation": correlation}

        kept, made, other = (stage.value(into, row(value), role=role) for value in (given, None, None))
        stage.findings.check(f"{table}_correlation_kept", expected=True, observed=kept == given, where=where)
        stage.findings.check(
            f"{table}_correlation_made",
            expected=True,
            observed=isinstance(made, uuid.UUID) and made != other,
            where=where,
        )
        twin = insert.format(table=bare_twin(stage, table, empty="correlation_id")).encode()
        stage.refused(
            f"{table}_correlation_behind_the_trigger",
            f"23514 {table}_correlation_required_new_rows_chk",
            twin,
            row(None),
            where=where,
        )


_WEAKEN: dict[str, LiteralString] = {
    "ingress_attestations": "ALTER TABLE public.ingress_attestations "
    "DROP CONSTRAINT ingress_attestations_correlation_required_new_rows_chk",
    "payment_outbox_pending": "ALTER TABLE public.payment_outbox_pending "
    "DROP CONSTRAINT payment_outbox_pending_correlation_required_new_rows_chk",
    "payment_outbox_attempts": "ALTER TABLE public.payment_outbox_attempts "
    "DROP CONSTRAINT payment_outbox_attempts_correlation_required_new_rows_chk",
}
_SETTLE_PAYER, _SETTLE_KEY = "settle_tenant_payer", "settle_billable_client_key"

PROBES = (
    Probe(
        "tenant_payer_setup",
        tenant_needs_payer,
        (
            Control(
                "every tenant passes for an old one, of whatever payer",
                all_of(
                    rewritten(before(_SETTLE_PAYER, "RETURN NEW;", "NEW.predates_payer := true;")),
                    altered(
                        "tenants",
                        "ALTER TABLE public.tenants DROP CONSTRAINT tenants_billable_client_fk",
                        "billable_clients",
                    ),
                ),
                breaks=(
                    "tenant_without_payer",
                    "tenant_claiming_to_be_old",
                    "tenant_of_unknown_payer",
                    "tenant_losing_its_payer",
                    "tenant_growing_old",
                ),
            ),
            Control(
                "no tenant may come",
                rewritten(before(_SETTLE_PAYER, "RETURN NEW;", REFUSE)),
                breaks=("tenant_with_payer",),
            ),
        ),
    ),
    Probe(
        "payer_key_setup",
        payer_needs_key,
        (
            Control(
                "every payer passes for an old one, of whatever key",
                all_of(
                    rewritten(before(_SETTLE_KEY, "RETURN NEW;", "NEW.predates_client_key := true;")),
                    altered("billable_clients", "DROP INDEX public.ux_billable_clients_client_key"),
                ),
                breaks=(
                    *(f"client_key_{what}" for what in ("missing", "empty", "blank")),
                    *(f"client_key_{what}_only" for what in ("tab", "nbsp", "unseen")),
                    *(f"client_key_{what}" for what in ("same", "padded", "wrapped", "upper")),
                    "payer_claiming_to_be_old",
                    "payer_losing_its_key",
                ),
            ),
            Control(
                "no payer may come",
                rewritten(before(_SETTLE_KEY, "RETURN NEW;", REFUSE)),
                breaks=("client_key_new",),
            ),
        ),
    ),
    Probe(
        "correlation_setup",
        hops_are_correlated,
        (
            Control(
                "every row gets the same id, and behind the trigger none is needed",
                all_of(
                    rewritten(
                        before(
                            "set_correlation_id_if_null",
                            "RETURN NEW;",
                            "NEW.correlation_id := '00000000-0000-0000-0000-000000000001';",
                        )
                    ),
                    *(altered(hop, _WEAKEN[hop]) for hop in _HOPS),
                ),
                breaks=tuple(
                    f"{hop}_correlation_{what}" for hop in _HOPS for what in ("kept", "made", "behind_the_trigger")
                ),
            ),
        ),
    ),
)
