"""What goes with an extension without being its member: a plain DROP EXTENSION takes the guard away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.test_hidden import reds

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

# One of the server's own triggers behind a foreign key of the table.
GUARD = (
    "DO $$ DECLARE g name; BEGIN SELECT t.tgname INTO STRICT g FROM pg_trigger AS t JOIN pg_proc AS p ON "
    "p.oid = t.tgfoid WHERE t.tgrelid = 'public.tenant_members'::regclass AND t.tgisinternal "
    "AND p.proname = 'RI_FKey_check_ins' LIMIT 1; "
    "EXECUTE format('ALTER TRIGGER %I ON public.tenant_members DEPENDS ON EXTENSION plpgsql', g); END $$"
)
MEMBERS_KEY = (
    "tenant_members: FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id) "
    "ON UPDATE NO ACTION ON DELETE NO ACTION"
)
BOUND = "ALTER {} DEPENDS ON EXTENSION plpgsql"
DEFINITIONS = "table-definitions"
PROOFS = "trg_set_external_proofs_attribution"


@pytest.mark.parametrize(
    ("change", "gate", "check"),
    [
        (BOUND.format(f"TRIGGER {PROOFS} ON public.external_proofs"), DEFINITIONS, PROOFS),
        (
            BOUND.format("INDEX public.ux_outbox_attempts_one_terminal_per_outbox"),
            "outbox-terminal-uniqueness",
            "ux_outbox_attempts_one_terminal_per_outbox",
        ),
        (
            BOUND.format("INDEX public.ux_pending_idempotency"),
            DEFINITIONS,
            "ux_pending_idempotency",
        ),
        (
            BOUND.format("INDEX public.payment_outbox_pending_pkey"),
            DEFINITIONS,
            "payment_outbox_pending: PRIMARY KEY (outbox_id)",
        ),
        (GUARD, DEFINITIONS, MEMBERS_KEY),
        (
            BOUND.format("FUNCTION public.deny_append_only_mutation()"),
            "append-only-ledgers",
            "deny_append_only_mutation_function",
        ),
        (BOUND.format("FUNCTION public.uuid_strategy()"), "definer-search-path", "uuid_strategy_function"),
        (
            BOUND.format("INDEX public.schema_migrations_history_pkey"),
            "migration-history",
            "schema_migrations_history: PRIMARY KEY (seq)",
        ),
    ],
)
def test_what_goes_with_an_extension_is_red(bench: Bench, change: str, gate: str, check: str) -> None:
    """In whoever owns the object, and told as that, not as absent."""
    red = reds(bench, gate, change)

    assert set(red) == {check}
    assert str(red[check]).endswith("GOES WITH EXTENSION plpgsql")


def test_every_extension_that_it_goes_with_is_told(bench: Bench) -> None:
    """In order of their names."""
    change = "ALTER FUNCTION public.uuid_strategy() DEPENDS ON EXTENSION {}"
    both = ("CREATE EXTENSION citext SCHEMA public", change.format("plpgsql"), change.format("citext"))
    red = reds(bench, "definer-search-path", *both)

    assert str(red["uuid_strategy_function"]).endswith("GOES WITH EXTENSION citext, plpgsql")


def test_the_guard_would_be_gone(bench: Bench) -> None:
    """No CASCADE is needed, and nobody is asked; for what stands behind a key or a reference it is."""
    with bench.admin.transaction(force_rollback=True):
        for change in (
            "CREATE EXTENSION citext",
            f"ALTER TRIGGER {PROOFS} ON public.external_proofs DEPENDS ON EXTENSION citext",
            "ALTER INDEX public.ux_billable_clients_client_key DEPENDS ON EXTENSION citext",
            "DROP EXTENSION citext",
        ):
            bench.admin.execute(change.encode())
        result = bench.settle(DEFINITIONS, conn=bench.admin)[DEFINITIONS]

    assert {check.id: check.observed for check in result.failures} == {
        PROOFS: "absent",
        "ux_billable_clients_client_key": "absent",
    }
