"""Mutants of the outbox, of new rows, of proofs and of old rows, written down one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.verifiers.mutants import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ENQUEUE, _COMPLETE, _REPAIR = "enqueue_payment_outbox", "complete_outbox_attempt", "repair_expired_leases"
_DIGEST = "payment_request_sha256"
_CLAIM, _LIMIT, _CEILING = "claim_outbox_batch", "outbox_claim_limit", "outbox_retry_ceiling"


def sql(invariant: str, name: str, checks: Sequence[str], *statements: str, admin: bool = False) -> Mutant:
    """A mutant of statements."""
    return Mutant(name, {invariant: frozenset(checks)}, statements, admin=admin, only=False)


def rewritten(invariant: str, function: str, old: str, new: str, *checks: str) -> Mutant:
    """A mutant of one function's body."""
    title = f"{function}: {' '.join(old.split())[:60]} → {' '.join(new.split())[:60]}"
    return Mutant(title, {invariant: frozenset(checks)}, rewrites=((function, old, new),), only=False)


def hollowed(signature: str, *, definer: bool = False) -> str:
    """The trigger function, its settings kept, doing nothing."""
    return (
        f"CREATE OR REPLACE FUNCTION {signature} RETURNS trigger LANGUAGE plpgsql "
        f"SECURITY {'DEFINER' if definer else 'INVOKER'} "
        "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END'"
    )


def weakened(table: str, name: str, to: str = "true") -> str:
    """The CHECK of that name, saying something else."""
    return f"ALTER TABLE public.{table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({to}) NOT VALID"


def outbox() -> Iterator[Mutant]:
    """Enqueue, replay, completion, repair, ceiling, notification."""
    yield from _replay()
    yield from _completion()
    yield from _ceiling()
    yield from _terminal()
    yield from _notify()


def _replay() -> Iterator[Mutant]:
    gate = "idempotency-zombie"
    fact = f"{_ENQUEUE}_function"
    forget = "v_known.request_sha256 <> v_request_sha256"
    others = [f"key_with_other_{what}" for what in ("participant", "rail", "payload", "content_after_the_end")]
    others.append("key_of_an_imported_item_with_other_content")
    yield rewritten(gate, _ENQUEUE, forget, "false", fact, *others)
    yield rewritten(
        gate, _DIGEST, "jsonb_build_array(p_participant_id, p_rail_type, p_payload)::text", "gen_random_uuid()::text",
        f"{_DIGEST}_function", "content_setup", "replay_setup", "zombie_setup", "imported_setup",
    )  # fmt: skip
    yield rewritten(
        gate, _DIGEST, "p_payload)::text", "p_payload::text)::text || pg_catalog.statement_timestamp()::text",
        f"{_DIGEST}_function", "replay_setup",
    )  # fmt: skip
    for field in ("p_participant_id", "p_rail_type", "p_payload"):
        check = f"key_with_other_{field.removeprefix('p_').removesuffix('_id').removesuffix('_type')}"
        yield rewritten(
            gate,
            _DIGEST,
            f"{field}," if field != "p_payload" else ", p_payload)",
            "" if field != "p_payload" else ")",
            f"{_DIGEST}_function",
            check,
        )
    fact_of_key = "outbox_item_of_key_function"
    yield rewritten(
        gate,
        "outbox_item_of_key",
        "WHERE p.instruction_id",
        "WHERE false AND p.instruction_id",
        fact_of_key,
        "imported_setup",
    )
    yield rewritten(
        gate,
        _ENQUEUE,
        "BEGIN\n    IF",
        "BEGIN p_tenant_id := NULL; IF",
        fact,
        "key_of_another_tenant",
        "key_of_no_tenant",
    )
    same = "RETURN QUERY\n            SELECT p.outbox_id, p.sequence_id"
    other = same.replace("p.outbox_id", "pg_catalog.uuidv7()")
    yield rewritten(
        gate,
        _ENQUEUE,
        same,
        other,
        fact,
        "replay_while_queued",
        "key_with_same_content_respelled",
        "replay_of_a_zombie",
        "key_of_an_imported_item",
    )
    late = "SELECT a.outbox_id, a.sequence_id"
    yield rewritten(
        gate, _ENQUEUE, late, late.replace("a.outbox_id", "pg_catalog.uuidv7()"), fact, "replay_after_dispatch"
    )
    for field, column in (
        ("instruction", "p_instruction_id"),
        ("participant", "p_participant_id"),
        ("key", "p_idempotency_key"),
        ("rail", "p_rail_type"),
    ):
        null = f"{column} := coalesce({column}, 'none'); "
        yield rewritten(gate, _ENQUEUE, "BEGIN\n    IF", f"BEGIN {null}IF", fact, f"enqueue_without_{field}")
        empty = f"pg_catalog.btrim({column}, E' \\t\\n\\r\\f\\v')"
        yield rewritten(gate, _ENQUEUE, empty, "'x'", fact, f"enqueue_with_empty_{field}")
    null = "BEGIN p_payload := coalesce(p_payload, '{}'); IF"
    yield rewritten(gate, _ENQUEUE, "BEGIN\n    IF", null, fact, "enqueue_without_payload")
    list_ = weakened("payment_outbox_pending", "ck_pending_payload_is_object")
    yield sql(gate, "a list is queued", ["enqueue_a_list"], list_)
    fk = weakened("payment_outbox_pending", "payment_outbox_pending_tenant_id_fkey")
    yield sql(gate, "a tenant that is not there", ["enqueue_for_unknown_tenant"], fk)
    key = "ux_pending_idempotency"
    narrow = (
        f"ALTER TABLE public.payment_outbox_pending DROP CONSTRAINT {key}, "
        f"ADD CONSTRAINT {key} UNIQUE (instruction_id, idempotency_key)"
    )
    yield sql(gate, "the queue's key has no tenant", [key], narrow)
    fact = f"{_REPAIR}_function"
    yield rewritten(
        gate, _REPAIR, "p_batch_size IS NULL OR p_batch_size < 1", "p_batch_size < 1", fact, "repair_no_batch"
    )
    yield rewritten(gate, _REPAIR, "p_batch_size < 1", "p_batch_size < 0", fact, "repair_empty_batch")
    yield rewritten(gate, _REPAIR, "p_batch_size > 10000", "false", fact, "repair_boundless_batch")
    worker = "pg_catalog.btrim(coalesce(p_worker_id, ''), E' \\t\\n\\r\\f\\v')"
    yield rewritten(
        gate, _REPAIR, worker, "'x'", fact, "repair_no_worker", "repair_empty_worker", "repair_blank_worker"
    )
    yield rewritten(gate, _REPAIR, "'ZOMBIE_REQUEUE' END", "'RETRYABLE' END", fact, "expired_lease_is_a_zombie_attempt")
    yield rewritten(
        gate, _REPAIR, "v_item.claimed_by, v_attempt_no", "'', v_attempt_no", fact, "zombie_names_the_lost_worker"
    )
    yield rewritten(gate, _REPAIR, "ELSE 'LEASE_EXPIRED' END", "ELSE 'X' END", fact, "zombie_names_the_lost_worker")


def _completion() -> Iterator[Mutant]:
    gate, fact = "outbox-lease-fencing", f"{_COMPLETE}_function"
    token = "AND p.lease_token = p_lease_token"
    yield rewritten(gate, _COMPLETE, token, "", fact, "wrong_token", "no_token", "lease_before_state")
    worker = "AND p.claimed_by = p_worker_id"
    yield rewritten(gate, _COMPLETE, worker, "", fact, "wrong_worker", "no_worker")
    yield rewritten(
        gate, _COMPLETE, f"{worker}\n       {token}", "", fact, "wrong_worker", "wrong_token", "lease_taken_over"
    )
    yield Mutant(
        "a lease never runs out",
        {gate: frozenset({fact, "expired_lease"})},
        rewrites=(
            (_COMPLETE, "AND p.lease_expires_at > pg_catalog.clock_timestamp()", ""),
            (_COMPLETE, "OR v_item.lease_expires_at <= pg_catalog.clock_timestamp()", ""),
        ),
        only=False,
    )
    lost = "IF NOT FOUND OR"
    yield rewritten(gate, _COMPLETE, lost, "IF FOUND AND", fact, "unknown_item", "completed_twice")
    states = "p_state NOT IN ('DISPATCHED', 'FAILED', 'RETRYABLE')"
    yield rewritten(gate, _COMPLETE, states, "false", fact, "state_dispatching", "state_zombie_requeue")
    yield rewritten(gate, _COMPLETE, "p_state IS NULL OR", "", fact, "state_null")
    yield rewritten(gate, _COMPLETE, "p_retry_delay_seconds > 604800", "false", fact, "retry_put_off_for_ever")
    yield rewritten(
        gate, _COMPLETE, "'DISPATCHED', 'FAILED', 'RETRYABLE'", "'FAILED', 'RETRYABLE'", fact, "valid_lease"
    )


def _ceiling() -> Iterator[Mutant]:
    gate = "outbox-retry-ceiling"
    above = "v_attempt_no >= public.outbox_retry_ceiling()"
    check = "completion_at_the_ceiling_fails_the_item"
    yield rewritten(gate, _COMPLETE, above, "false", check)
    yield rewritten(gate, _COMPLETE, above, above.replace(">=", ">"), check)
    yield rewritten(
        gate, _COMPLETE, "claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL",
        "claimed_at = NULL", "retryable_requeues",
    )  # fmt: skip
    keeps = "coalesce(v_item.claimed_at, pg_catalog.clock_timestamp())"
    yield rewritten(gate, _COMPLETE, keeps, "pg_catalog.clock_timestamp()", "attempt_keeps_the_claim's_time")
    fact = f"{_REPAIR}_function"
    ends = [f"{what}_at_the_ceiling_fails_the_item" for what in ("repair", "takeover")]
    yield rewritten(gate, _REPAIR, above, "false", fact, *ends)
    # The predecessor's own fault: the name is a column of the result as well.
    yield rewritten(
        gate, _REPAIR, "DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id =",
        "DELETE FROM public.payment_outbox_pending WHERE outbox_id =", fact, "repair_ceiling_setup",
    )  # fmt: skip
    stop = "DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id = v_item.outbox_id;"
    yield rewritten(gate, _REPAIR, stop, f"{stop} EXIT;", fact, "repair_goes_on_after_the_ceiling")
    fact = f"{_LIMIT}_function"
    call = "PERFORM public.repair_expired_leases(p_batch_size, p_worker_id);"
    yield rewritten(gate, _LIMIT, call, "", fact, "takeover_is_counted", "takeover_at_the_ceiling_fails_the_item")
    fact = f"{_CEILING}_function"
    clamp = "CASE WHEN chosen.value ~ '^[1-9][0-9]{0,2}$' THEN chosen.value::integer ELSE 20 END"
    yield rewritten(gate, _CEILING, clamp, "2000000", fact, "ceiling_in_bounds")
    yield rewritten(
        gate, _CEILING, clamp, "coalesce(nullif(chosen.value, 'abc')::integer, 20)",
        fact, "ceiling_set_to_negative", "ceiling_set_to_zero", "ceiling_set_to_huge",
    )  # fmt: skip
    text = "CASE WHEN chosen.value = 'abc' THEN 0 ELSE 20 END"
    yield rewritten(gate, _CEILING, clamp, text, fact, "ceiling_set_to_text")
    yield rewritten(gate, _CEILING, "'USAGE')),", "'USAGE') OR true),", fact, "ceiling_not_set_by_a_worker")


def _terminal() -> Iterator[Mutant]:
    gate, name = "outbox-terminal-uniqueness", "ux_outbox_attempts_one_terminal_per_outbox"
    table = "public.payment_outbox_attempts"
    make = f"CREATE UNIQUE INDEX {name} ON {table} (outbox_id) WHERE state"
    drop = f"DROP INDEX public.{name}"
    for state, other in (("FAILED", "DISPATCHED"), ("DISPATCHED", "FAILED")):
        checks = [name, f"second_terminal_{state.lower()}"]
        yield sql(gate, f"a second {state} is let through", checks, drop, f"{make} = '{other}'")
    yield sql(gate, "one attempt an item", [name, "zombie_beside_terminal"], drop, f"{make} IS NOT NULL")
    unique = "ux_attempts_outbox_attempt_no"
    numbers = f"ALTER TABLE {table} DROP CONSTRAINT {unique}, ADD CONSTRAINT {unique} CHECK (true)"
    yield sql(gate, "attempt numbers repeat", ["attempt_number_twice"], numbers)
    stay = "DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id = v_item.outbox_id;"
    yield rewritten(gate, _COMPLETE, stay, "", "dispatched_ends_the_item", "failed_ends_the_item")


def _notify() -> Iterator[Mutant]:
    gate, call = "outbox-notify", "PERFORM pg_catalog.pg_notify('symphony_outbox', '');"
    for function, check in (
        (_ENQUEUE, "enqueue_notifies"),
        (_COMPLETE, "retry_notifies"),
        (_REPAIR, "repair_notifies"),
    ):
        fact = f"{function}_function"
        yield rewritten(gate, function, call, "", fact, f"{function}_can_notify", check)
        yield rewritten(gate, function, call, call.replace("symphony_outbox", "other"), fact, check)
        yield rewritten(gate, function, call, f"IF false THEN {call} END IF;", fact, check)
    early = f"BEGIN {call} IF"
    yield rewritten(gate, _ENQUEUE, "BEGIN\n    IF", early, f"{_ENQUEUE}_function", "replay_is_silent")
    late = "RETURN QUERY SELECT v_attempt_no, v_state;"
    yield rewritten(gate, _COMPLETE, late, f"{call} {late}", f"{_COMPLETE}_function", "end_is_silent")


def claims() -> Iterator[Mutant]:
    """What a claim hands out."""
    gate, fact = "outbox-claim-semantics", f"{_CLAIM}_function"
    yield rewritten(gate, _CLAIM, "FOR UPDATE SKIP LOCKED", "FOR UPDATE", fact, "claim_skips_locked_rows")
    # The words alone, as a comment, were enough for the predecessor's test.
    yield rewritten(gate, _CLAIM, "FOR UPDATE SKIP LOCKED", "-- SKIP LOCKED\n", fact, "claim_skips_locked_rows")
    yield rewritten(gate, _CLAIM, "FOR UPDATE SKIP LOCKED", "FOR UPDATE NOWAIT", fact, "claim_skips_locked_rows")
    due = "p.next_attempt_at <= (SELECT pg_catalog.clock_timestamp()) AND"
    yield rewritten(gate, _CLAIM, due, "", fact, "item_not_due_is_left")
    free = "AND p.lease_expires_at IS NULL"
    yield rewritten(gate, _CLAIM, free, "", fact, "leased_item_is_passed_over")
    order = "ORDER BY p.next_attempt_at, p.lease_expires_at, p.created_at"
    yield rewritten(gate, _CLAIM, order, "ORDER BY p.next_attempt_at DESC", fact, "claim_takes_the_longest_due_first")
    given = "ORDER BY c.next_attempt_at, c.created_at, c.outbox_id"
    yield rewritten(gate, _CLAIM, given, "ORDER BY c.next_attempt_at DESC", fact, "claim_takes_the_longest_due_first")
    yield rewritten(
        gate, _CLAIM, "WHERE p.next_attempt_at", "WHERE false AND p.next_attempt_at", fact, "due_item_is_claimed"
    )
    yield rewritten(
        gate,
        _CLAIM,
        "c.lease_token, c.lease",
        "pg_catalog.gen_random_uuid(), c.lease",
        fact,
        "claim_returns_the_lease_it_wrote",
    )
    yield rewritten(gate, _CLAIM, "secs => p_lease_seconds", "hours => p_lease_seconds", fact, "lease_lasts_as_asked")
    yield rewritten(
        gate, _CLAIM, "SET claimed_by = p_worker_id,", "SET claimed_by = p_worker_id, attempt_count = 7,",
        fact, "claim_is_no_attempt",
    )  # fmt: skip
    elsewhere = "FROM public.payment_outbox_pending AS p"
    both = (
        (_CLAIM, elsewhere, "FROM payment_outbox_pending AS p"),
        (_CLAIM, "UPDATE public.payment_outbox_pending AS p", "UPDATE payment_outbox_pending AS p"),
    )
    yield Mutant(
        "the claim's queue is whatever comes first", {gate: frozenset({fact, "claim_names_its_queue"})}, rewrites=both,
        only=False,
    )  # fmt: skip
    fact = f"{_LIMIT}_function"
    yield rewritten(
        gate, _LIMIT, "p_batch_size IS NULL OR p_batch_size < 0", "p_batch_size < 0", fact, "claim_no_batch"
    )
    yield rewritten(gate, _LIMIT, "p_batch_size < 0", "false", fact, "claim_negative_batch")
    worker = "pg_catalog.btrim(coalesce(p_worker_id, ''), E' \\t\\n\\r\\f\\v')"
    yield Mutant(
        "a claim of nobody",
        {gate: frozenset({fact, "claim_no_worker", "claim_empty_worker", "claim_blank_worker"})},
        # The repair that a claim begins with asks the same.
        rewrites=((_LIMIT, worker, "'x'"), (_REPAIR, worker, "'x'")),
        only=False,
    )
    yield rewritten(gate, _LIMIT, "p_lease_seconds IS NULL OR", "", fact, "claim_no_lease")
    yield rewritten(gate, _LIMIT, "p_lease_seconds < 1", "false", fact, "claim_empty_lease", "claim_negative_lease")
    yield rewritten(gate, _LIMIT, "p_lease_seconds > 86400", "false", fact, "claim_boundless_lease")
    yield Mutant(
        "a claim of everything",
        {gate: frozenset({fact, "claim_boundless_batch"})},
        rewrites=tuple((function, "p_batch_size > 10000", "false") for function in (_LIMIT, _REPAIR)),
        only=False,
    )


def new_rows() -> Iterator[Mutant]:
    """AC1, AC2, AC5."""
    gate = "business-foundation-hooks"
    payer = "tenants_billable_client_required_new_rows_chk"
    yield sql(gate, "a tenant without payer", [payer, "tenant_without_payer"], weakened("tenants", payer))
    fact = "settle_tenant_payer_function"
    decide = "NEW.predates_payer := TG_OP = 'UPDATE' AND NEW.billable_client_id IS NULL;"
    yield rewritten(gate, "settle_tenant_payer", decide, "", fact, "tenant_claiming_to_be_old")
    keep = "AND OLD.predates_payer AND OLD.billable_client_id IS NULL"
    yield rewritten(gate, "settle_tenant_payer", keep, "", fact, "tenant_losing_its_payer", "tenant_growing_old")
    off = "ALTER TABLE public.tenants DISABLE TRIGGER trg_settle_tenant_payer"
    yield sql(gate, "the marker is free", ["trg_settle_tenant_payer", "tenant_claiming_to_be_old"], off)
    fk = weakened("tenants", "tenants_billable_client_fk")
    yield sql(gate, "a payer that is not there", ["tenants_billable_client_fk", "tenant_of_unknown_payer"], fk)
    nobody = "ALTER TABLE public.tenants ADD CONSTRAINT mutant CHECK (billable_client_id IS NULL)"
    yield sql(gate, "no tenant has a payer", ["tenant_with_payer"], nobody)

    key = "billable_clients_client_key_required_new_rows_chk"
    missing = [
        "client_key_missing",
        "client_key_empty",
        "client_key_blank",
        "client_key_tab_only",
        "client_key_nbsp_only",
        "client_key_unseen_only",
    ]
    yield sql(gate, "a payer without key", [key, *missing], weakened("billable_clients", key))
    fact = "settle_billable_client_key_function"
    decide = "NEW.predates_client_key := TG_OP = 'UPDATE' AND NEW.client_key IS NULL;"
    yield rewritten(gate, "settle_billable_client_key", decide, "", fact, "payer_claiming_to_be_old")
    keep = "AND OLD.predates_client_key AND OLD.client_key IS NULL"
    yield rewritten(gate, "settle_billable_client_key", keep, "", fact, "payer_losing_its_key")
    trim = "pg_catalog.regexp_replace(NEW.client_key, '^' || c_unseen || '|' || c_unseen || '$', '', 'g')"
    spell = f"pg_catalog.lower(\n        {trim})"
    yield rewritten(gate, "settle_billable_client_key", trim, "NEW.client_key", fact, "client_key_padded")
    few = r"'\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0]+'"
    yield rewritten(
        gate, "settle_billable_client_key", few, "']+'", fact, "client_key_unseen_only", "client_key_wrapped"
    )
    yield rewritten(
        gate, "settle_billable_client_key", spell, "NEW.client_key", fact, "client_key_padded", "client_key_upper"
    )
    off = "ALTER TABLE public.billable_clients DISABLE TRIGGER trg_settle_billable_client_key"
    yield sql(gate, "the key is as spelled", ["trg_settle_billable_client_key", "client_key_padded"], off)
    index = "ux_billable_clients_client_key"
    many = (
        f"DROP INDEX public.{index}",
        f"CREATE INDEX {index} ON public.billable_clients (client_key) WHERE client_key IS NOT NULL",
    )
    yield sql(gate, "two payers of one key", [index, "client_key_same"], *many)
    nobody = "ALTER TABLE public.billable_clients ADD CONSTRAINT mutant CHECK (client_key IS NULL)"
    yield sql(gate, "no payer has a key", ["client_key_new"], nobody)

    fact = "set_correlation_id_if_null_function"
    always = "IF NEW.correlation_id IS NULL THEN"
    hops = ("ingress_attestations", "payment_outbox_pending", "payment_outbox_attempts")
    kept = [f"{hop}_correlation_kept" for hop in hops]
    yield rewritten(gate, "set_correlation_id_if_null", always, "IF true THEN", fact, kept[0])
    yield rewritten(
        gate, "set_correlation_id_if_null", "RETURN NEW;", "NEW.correlation_id := pg_catalog.uuidv7(); RETURN NEW;",
        fact, *kept,
    )  # fmt: skip
    yield rewritten(
        gate, "set_correlation_id_if_null", "RETURN NEW;",
        "NEW.correlation_id := '00000000-0000-0000-0000-000000000001'; RETURN NEW;",
        fact, *(f"{hop}_correlation_made" for hop in hops),
    )  # fmt: skip
    for hop in hops:
        rule = f"{hop}_correlation_required_new_rows_chk"
        yield sql(gate, f"{rule} holds always", [rule, f"{hop}_correlation_behind_the_trigger"], weakened(hop, rule))
        trigger = f"trg_set_corr_id_{hop}"
        off = f"ALTER TABLE public.{hop} DISABLE TRIGGER {trigger}"
        yield sql(gate, f"{trigger} is off", [trigger, "correlation_setup"], off)


def proofs() -> Iterator[Mutant]:
    """AC3 and the chain."""
    gate, function = "payer-attribution", "set_external_proofs_attribution"
    fact = f"{function}_function"
    for code, check in (
        ("P7211", "proof_unknown_attestation"),
        ("P7213", "proof_tenant_of_another"),
        ("P7214", "proof_payer_of_another"),
        ("P7215", "proof_correlation_of_another"),
        ("P7202", "proof_member_of_another"),
    ):
        yield rewritten(gate, function, f"'{code}'", "'P7299'", fact, check)
    yield rewritten(gate, function, "'P7211'", "'P0001'", "proof_no_attestation")
    yield rewritten(gate, function, "'foreign_key_violation'", "'P7299'", fact, "proof_unknown_member")
    for old, check in (
        ("IF NEW.tenant_id <> v_attestation.tenant_id", "proof_tenant_of_another"),
        ("IF NEW.billable_client_id <> v_payer", "proof_payer_of_another"),
        ("IF v_member_tenant <> v_attestation.tenant_id", "proof_member_of_another"),
        ("IF NEW.correlation_id <> v_correlation_id", "proof_correlation_of_another"),
    ):
        yield rewritten(gate, function, old, "IF false", fact, check)
    for old, new in (
        ("NEW.tenant_id := v_attestation.tenant_id;", ""),
        ("NEW.billable_client_id := v_payer;", ""),
        ("NEW.correlation_id := v_correlation_id;", ""),
    ):
        yield rewritten(gate, function, old, new, fact, "proof_setup")
    other = "NEW.correlation_id := pg_catalog.uuidv7();"
    yield rewritten(gate, function, "NEW.correlation_id := v_correlation_id;", other, fact, "proof_is_attributed")
    trigger = "trg_set_external_proofs_attribution"
    off = f"ALTER TABLE public.external_proofs DISABLE TRIGGER {trigger}"
    yield sql(gate, "proofs are as written", [trigger, "proof_setup"], off)
    strict = "ALTER TABLE public.external_proofs ADD CONSTRAINT mutant CHECK (subject_member_id IS NULL)"
    yield sql(gate, "no proof has a subject", ["proof_rightly_attributed"], strict)
    extra = (
        "CREATE FUNCTION public.mutant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER zz_mutant BEFORE INSERT ON public.external_proofs FOR EACH ROW EXECUTE FUNCTION mutant()",
    )
    yield sql(gate, "a stranger's trigger", ["external_proofs_no_other_trigger"], *extra)

    gate = "correlation-join"
    given = "v_correlation_id uuid := p_correlation_id;"
    yield rewritten(gate, _ENQUEUE, given, "v_correlation_id uuid := pg_catalog.uuidv7();", "references_are_carried")
    seek = "IF v_correlation_id IS NULL AND p_tenant_id IS NOT NULL THEN"
    yield rewritten(
        gate, _ENQUEUE, seek, "v_correlation_id := coalesce(v_correlation_id, pg_catalog.uuidv7()); IF false THEN",
        "queue_takes_the_attestations_id", "the_id_joins_the_chain",
    )  # fmt: skip
    copied = "v_item.tenant_id, v_item.correlation_id, v_item.upstream_ref"
    for function, check in ((_COMPLETE, "references_are_carried"), (_REPAIR, "the_id_joins_the_chain")):
        fresh = copied.replace("v_item.correlation_id", "pg_catalog.uuidv7()")
        yield rewritten(gate, function, copied, fresh, check, "the_id_joins_the_chain")
        lost = copied.replace("v_item.tenant_id", "NULL")
        yield rewritten(gate, function, copied, lost, check, "the_id_joins_the_chain")
    for ref in ("upstream_ref", "downstream_ref", "nfs_sequence_ref"):
        last = f"v_item.{ref}"
        yield rewritten(gate, _COMPLETE, last, "NULL", "references_are_carried")
    hollow = (
        "CREATE OR REPLACE FUNCTION public.set_correlation_id_if_null() RETURNS trigger LANGUAGE plpgsql "
        "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END'"
    )
    yield sql(gate, "nothing is filled", ["set_correlation_id_if_null_function", "chain_setup"][:1], hollow)
    yield rewritten(
        gate, "outbox_correlation", "WHERE i.tenant_id = p_tenant_id AND i", "WHERE i", "outbox_correlation_function"
    )
    late = [
        f"late_attestation_{what}" for what in ("takes_the_queued_id", "takes_the_attempted_id", "keeps_a_given_id")
    ]
    fill = "set_correlation_id_if_null"
    for alias, check in (("p", late[0]), ("a", late[1])):
        seek = f"WHERE {alias}.tenant_id = NEW.tenant_id AND"
        yield rewritten(gate, fill, seek, "WHERE false AND", f"{fill}_function", check)
    keep = "IF NEW.correlation_id IS NULL THEN"
    yield rewritten(gate, fill, keep, "IF true THEN", f"{fill}_function", late[2])
    weak = f"ALTER FUNCTION public.{fill}() SECURITY INVOKER"
    yield sql(gate, "the filling trigger has its caller's rights", [f"{fill}_function", "late_chain_setup"], weak)
    rule = "external_proofs_correlation_required_new_rows_chk"
    yield sql(gate, f"{rule} holds always", [rule], weakened("external_proofs", rule))


def legacy() -> Iterator[Mutant]:
    """AC6."""
    gate = "legacy-rows"
    for table, subject, marker, column, rule, function in (
        (
            "tenants", "tenant", "predates_payer", "billable_client_id",
            "tenants_billable_client_required_new_rows_chk", "settle_tenant_payer",
        ),
        (
            "billable_clients", "payer", "predates_client_key", "client_key",
            "billable_clients_client_key_required_new_rows_chk", "settle_billable_client_key",
        ),
    ):  # fmt: skip
        stuck = [f"old_{subject}_is_{what}" for what in ("suspended", "renamed", "closed")]
        # As the predecessor did it: the rule holds for old rows too, as soon as they are touched.
        strict = weakened(table, rule, f"{column} IS NOT NULL")
        yield sql(gate, f"old {subject}s are stuck", [rule, f"old_{subject}_setup"], strict)
        forget = f"AND OLD.{marker} AND"
        yield rewritten(
            gate, function, f"NEW.{marker} AND OLD.{marker}", "false AND true", f"{function}_function", *stuck
        )
        keep = "payer_it_got" if subject == "tenant" else "key_it_got"
        yield rewritten(
            gate,
            function,
            f"{forget} OLD.{column} IS NULL",
            "",
            f"{function}_function",
            f"old_{subject}_keeps_the_{keep}",
        )
        trigger = f"trg_{function}"
        off = f"ALTER TABLE public.{table} DISABLE TRIGGER {trigger}"
        yield sql(gate, f"{trigger} is off", [trigger], off)
    had = "AND OLD.billable_client_id IS NULL"
    yield rewritten(
        gate, "settle_tenant_payer", had, "", "settle_tenant_payer_function", "old_tenant_keeps_the_payer_it_had"
    )
    trigger = "trg_set_corr_id_payment_outbox_pending"
    insert_only = (
        f"DROP TRIGGER {trigger} ON public.payment_outbox_pending",
        (
            f"CREATE TRIGGER {trigger} BEFORE INSERT ON public.payment_outbox_pending FOR EACH ROW "
            "EXECUTE FUNCTION public.set_correlation_id_if_null()"
        ),
        f"ALTER TABLE public.payment_outbox_pending ENABLE ALWAYS TRIGGER {trigger}",
    )
    yield sql(gate, "old items are stuck", [trigger, "old_item_setup"], *insert_only)
    yield rewritten(
        gate,
        _CLAIM,
        "WHERE p.next_attempt_at",
        "WHERE p.correlation_id IS NOT NULL AND p.next_attempt_at",
        "old_item_is_claimed",
    )
    retry = "IF p_state = 'RETRYABLE' AND v_attempt_no >= public.outbox_retry_ceiling() THEN"
    yield rewritten(gate, _COMPLETE, retry, "IF p_state = 'RETRYABLE' THEN", "old_item_is_retried")
    healed = "v_item.correlation_id, v_item.upstream_ref"
    fresh = "pg_catalog.uuidv7(), v_item.upstream_ref"
    yield rewritten(gate, _COMPLETE, healed, fresh, "old_item_is_healed_once")
    yield rewritten(gate, _REPAIR, "'ZOMBIE_REQUEUE' END", "'RETRYABLE' END", "old_item_is_repaired")
    proof = "set_external_proofs_attribution"
    yield rewritten(gate, proof, "'P7212'", "'P7299'", "proof_of_an_old_tenant")
    yield rewritten(gate, proof, "NEW.attestation_id);\n", "pg_catalog.uuidv7());\n", "proof_of_an_old_attestation")
    fact = "set_correlation_id_if_null_function"
    yield rewritten(gate, "set_correlation_id_if_null", "IF NEW.correlation_id IS NULL THEN", "IF false THEN", fact)
