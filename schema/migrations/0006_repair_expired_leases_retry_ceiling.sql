-- 0006_repair_expired_leases_retry_ceiling.sql
-- Guarantee: an item whose leases keep running out ends as FAILED at the ceiling, and never holds up the others of its batch
-- (INV-015).   Locks: none on existing tables.
CREATE OR REPLACE FUNCTION public.repair_expired_leases(p_batch_size integer, p_worker_id text)
    RETURNS TABLE (outbox_id uuid, attempt_no integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_item public.payment_outbox_pending;
    v_attempt_no integer;
    v_exhausted boolean;
BEGIN
    -- Bounded: one call locks no more items than its caller can work through before somebody waits for them.
    IF p_batch_size IS NULL OR p_batch_size < 1 OR p_batch_size > 10000
       OR pg_catalog.btrim(coalesce(p_worker_id, ''), E' \t\n\r\f\v') = '' THEN
        RAISE EXCEPTION 'a batch of 1 to 10000 and a worker are needed'
            USING ERRCODE = 'P7105', HINT = 'Say how many items to take, and who you are.';
    END IF;
    FOR v_item IN
        SELECT p.*
          FROM public.payment_outbox_pending AS p
         WHERE p.lease_token IS NOT NULL
           AND p.lease_expires_at <= (SELECT pg_catalog.clock_timestamp())
         ORDER BY p.lease_expires_at
         LIMIT p_batch_size
           FOR UPDATE SKIP LOCKED
    LOOP
        SELECT coalesce(max(a.attempt_no), 0) + 1 INTO v_attempt_no
          FROM public.payment_outbox_attempts AS a
         WHERE a.outbox_id = v_item.outbox_id;
        v_exhausted := v_attempt_no >= public.outbox_retry_ceiling();
        INSERT INTO public.payment_outbox_attempts
            (outbox_id, instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload, attempt_no, state,
             claimed_at, completed_at, error_code, error_message, worker_id, tenant_id)
        VALUES
            (v_item.outbox_id, v_item.instruction_id, v_item.participant_id, v_item.sequence_id, v_item.idempotency_key,
             v_item.rail_type, v_item.payload, v_attempt_no,
             CASE WHEN v_exhausted THEN 'FAILED' ELSE 'ZOMBIE_REQUEUE' END::public.outbox_attempt_state,
             coalesce(v_item.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
             CASE WHEN v_exhausted THEN 'RETRY_CEILING_EXCEEDED' ELSE 'LEASE_EXPIRED' END,
             pg_catalog.format(CASE WHEN v_exhausted THEN 'the lease of worker %s expired at attempt %s, the last one allowed'
                                   ELSE 'the lease of worker %s expired at attempt %s' END, v_item.claimed_by, v_attempt_no),
             p_worker_id, v_item.tenant_id);
        IF v_exhausted THEN
            DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id = v_item.outbox_id;
        ELSE
            UPDATE public.payment_outbox_pending AS p
               SET attempt_count = greatest(p.attempt_count, v_attempt_no),
                   next_attempt_at = pg_catalog.clock_timestamp() + interval '1 second',
                   claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL
             WHERE p.outbox_id = v_item.outbox_id;
            PERFORM pg_catalog.pg_notify('symphony_outbox', '');
        END IF;
        outbox_id := v_item.outbox_id;
        attempt_no := v_attempt_no;
        RETURN NEXT;
    END LOOP;
END
$$;
