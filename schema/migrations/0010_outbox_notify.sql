-- 0010_outbox_notify.sql
-- Guarantee: a fresh item wakes the workers that listen on symphony_outbox (INV-034).   Locks: none on existing tables.
CREATE OR REPLACE FUNCTION public.enqueue_payment_outbox(
    p_instruction_id text,
    p_participant_id text,
    p_idempotency_key text,
    p_rail_type text,
    p_payload jsonb,
    p_tenant_id uuid DEFAULT NULL
) RETURNS TABLE (outbox_id uuid, sequence_id bigint, created_at timestamptz, state text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_request_sha256 bytea;
    v_known record;
    v_seen boolean;
    v_outbox_id uuid := public.uuid_v7_or_random();
    v_created_at timestamptz;
    v_sequence_id bigint;
BEGIN
    IF p_instruction_id IS NULL OR p_participant_id IS NULL OR p_idempotency_key IS NULL
       OR p_rail_type IS NULL OR p_payload IS NULL THEN
        RAISE EXCEPTION 'instruction, participant, idempotency key, rail and payload are needed'
            USING ERRCODE = 'not_null_violation', HINT = 'Give all five.';
    END IF;
    IF '' IN (pg_catalog.btrim(p_instruction_id, E' \t\n\r\f\v'), pg_catalog.btrim(p_participant_id, E' \t\n\r\f\v'),
              pg_catalog.btrim(p_idempotency_key, E' \t\n\r\f\v'), pg_catalog.btrim(p_rail_type, E' \t\n\r\f\v')) THEN
        RAISE EXCEPTION 'instruction, participant, idempotency key and rail may not be blank'
            USING ERRCODE = 'P7105', HINT = 'Give all four.';
    END IF;
    v_request_sha256 := public.payment_request_sha256(p_participant_id, p_rail_type, p_payload);

    SELECT k.outbox_id, k.request_sha256 INTO v_known
      FROM public.outbox_item_of_key(p_tenant_id, p_instruction_id, p_idempotency_key) AS k;
    v_seen := FOUND;
    -- The unique key decides at every isolation level: a row this snapshot cannot see ends in 40001, not in a second item.
    INSERT INTO public.payment_outbox_idempotency AS d
        (tenant_id, instruction_id, idempotency_key, request_sha256, outbox_id)
    VALUES (p_tenant_id, p_instruction_id, p_idempotency_key,
            coalesce(v_known.request_sha256, v_request_sha256), coalesce(v_known.outbox_id, v_outbox_id))
    ON CONFLICT ON CONSTRAINT payment_outbox_idempotency_request_key DO NOTHING;

    IF v_seen OR NOT FOUND THEN
        SELECT d.outbox_id, d.request_sha256 INTO STRICT v_known
          FROM public.payment_outbox_idempotency AS d
         WHERE d.tenant_id IS NOT DISTINCT FROM p_tenant_id
           AND d.instruction_id = p_instruction_id
           AND d.idempotency_key = p_idempotency_key;
        IF v_known.request_sha256 <> v_request_sha256 THEN
            RAISE EXCEPTION 'this idempotency key was used for a payment with other content'
                USING ERRCODE = 'P7104', HINT = 'Use a new key for a new payment, or repeat the first request unchanged.';
        END IF;
        RETURN QUERY
            SELECT p.outbox_id, p.sequence_id, p.created_at, 'PENDING'::text
              FROM public.payment_outbox_pending AS p
             WHERE p.outbox_id = v_known.outbox_id;
        IF FOUND THEN
            RETURN;
        END IF;
        RETURN QUERY
            SELECT a.outbox_id, a.sequence_id, a.created_at, a.state::text
              FROM public.payment_outbox_attempts AS a
             WHERE a.outbox_id = v_known.outbox_id
             ORDER BY a.attempt_no DESC
             LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        -- The owner took the item off the queue before it was ever tried: the request stands, so it is queued again.
        v_outbox_id := v_known.outbox_id;
    END IF;

    v_sequence_id := public.bump_participant_outbox_seq(p_participant_id);
    INSERT INTO public.payment_outbox_pending AS p
        (outbox_id, instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload, tenant_id)
    VALUES
        (v_outbox_id, p_instruction_id, p_participant_id, v_sequence_id, p_idempotency_key, p_rail_type, p_payload, p_tenant_id)
    RETURNING p.created_at INTO v_created_at;

    -- Wakes the workers; a replay above returned without it.
    PERFORM pg_catalog.pg_notify('symphony_outbox', '');

    RETURN QUERY SELECT v_outbox_id, v_sequence_id, v_created_at, 'PENDING'::text;
END
$$;
