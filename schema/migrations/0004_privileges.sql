-- 0004_privileges.sql
-- Guarantee: deny by default; the outbox is reached through its functions alone (INV-005, INV-006, INV-010).
-- Locks: ACCESS SHARE on the outbox tables.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO symphony_control, symphony_executor, symphony_ingest, symphony_readonly, symphony_auditor, test_user;

REVOKE ALL ON TABLE public.payment_outbox_pending, public.payment_outbox_attempts, public.payment_outbox_idempotency,
    public.participant_outbox_sequences
    FROM PUBLIC, symphony_control, symphony_executor, symphony_ingest, symphony_readonly, symphony_auditor, test_user;

-- Readers. Control reads too; whatever it changes, it changes through the functions below, which leave a trace.
GRANT SELECT ON TABLE public.payment_outbox_pending, public.payment_outbox_attempts
    TO symphony_control, symphony_readonly, symphony_auditor;
GRANT SELECT ON TABLE public.participant_outbox_sequences TO symphony_control;

GRANT EXECUTE ON FUNCTION public.uuid_v7_or_random()
    TO symphony_control, symphony_executor, symphony_ingest, symphony_readonly, symphony_auditor, test_user;
GRANT EXECUTE ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid)
    TO symphony_ingest, symphony_control, test_user;
GRANT EXECUTE ON FUNCTION public.claim_outbox_batch(integer, text, integer)
    TO symphony_executor, symphony_control, test_user;
GRANT EXECUTE ON FUNCTION public.complete_outbox_attempt(uuid, uuid, text, public.outbox_attempt_state, text, text, text, text, integer, integer)
    TO symphony_executor, symphony_control, test_user;
GRANT EXECUTE ON FUNCTION public.repair_expired_leases(integer, text)
    TO symphony_executor, symphony_control, test_user;
