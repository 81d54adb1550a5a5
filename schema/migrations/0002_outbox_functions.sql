-- 0002_outbox_functions.sql
-- Guarantee: the outbox is written through these functions alone: idempotent enqueue, fenced leases, counted repairs
-- (INV-011, INV-012, INV-013, INV-015).   Locks: none on existing tables.

-- The ceiling is policy: ALTER DATABASE … SET symphony.outbox_retry_ceiling, by a superuser, or by the database's owner once it was
-- granted SET ON PARAMETER (the server asks for that with every name it does not know). It binds all workers at once. A setting of the
-- session counts only where the role the session acts as could have done that (its login, or what SET ROLE made of it; within a
-- SECURITY DEFINER function current_user would say the owner): a worker cannot shorten or lengthen its retries.
CREATE FUNCTION public.outbox_retry_ceiling() RETURNS integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH chosen AS (
        SELECT coalesce(
            (SELECT nullif(pg_catalog.current_setting('symphony.outbox_retry_ceiling', true), '')
              WHERE pg_catalog.pg_has_role(
                        coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user)::pg_catalog.name,
                        (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()), 'USAGE')),
            (SELECT pg_catalog.split_part(setting.entry, '=', 2)
               FROM pg_catalog.pg_db_role_setting AS s
               JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
              CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting (entry)
              WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0
                AND pg_catalog.split_part(setting.entry, '=', 1) = 'symphony.outbox_retry_ceiling')) AS value
    )
    -- Anything but a whole number from 1 to 999 is no ceiling; then 20 holds.
    SELECT CASE WHEN chosen.value ~ '^[1-9][0-9]{0,2}$' THEN chosen.value::integer ELSE 20 END FROM chosen
$$;
COMMENT ON FUNCTION public.outbox_retry_ceiling() IS 'Most attempts an item may have: 1 to 999, 20 unless another is set for the database (INV-015).';
REVOKE EXECUTE ON FUNCTION public.outbox_retry_ceiling() FROM PUBLIC;

CREATE FUNCTION public.bump_participant_outbox_seq(p_participant_id text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_sequence_id bigint;
BEGIN
    INSERT INTO public.participant_outbox_sequences AS s (participant_id, next_sequence_id)
    VALUES (p_participant_id, 2)
    ON CONFLICT ON CONSTRAINT participant_outbox_sequences_pkey
        DO UPDATE SET next_sequence_id = s.next_sequence_id + 1
    RETURNING s.next_sequence_id - 1 INTO v_sequence_id;
    RETURN v_sequence_id;
END
$$;
COMMENT ON FUNCTION public.bump_participant_outbox_seq(text) IS 'Allocates the participant''s next number, from 1; the row lock is held to the end of the transaction.';
REVOKE EXECUTE ON FUNCTION public.bump_participant_outbox_seq(text) FROM PUBLIC;

CREATE FUNCTION public.payment_request_sha256(p_participant_id text, p_rail_type text, p_payload jsonb) RETURNS bytea
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp
AS $$
    -- A JSON array: no choice of texts can make two requests look alike.
    SELECT pg_catalog.sha256(pg_catalog.convert_to(
        pg_catalog.jsonb_build_array(p_participant_id, p_rail_type, p_payload)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION public.payment_request_sha256(text, text, jsonb) IS 'The digest by which a replay is told from another payment under the same key.';
REVOKE EXECUTE ON FUNCTION public.payment_request_sha256(text, text, jsonb) FROM PUBLIC;

-- Items that came by another way than enqueue (an import) have no row in payment_outbox_idempotency; their key counts all the same.
CREATE FUNCTION public.outbox_item_of_key(p_tenant_id uuid, p_instruction_id text, p_idempotency_key text)
    RETURNS TABLE (outbox_id uuid, request_sha256 bytea)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp
AS $$
    (SELECT p.outbox_id, public.payment_request_sha256(p.participant_id, p.rail_type, p.payload)
       FROM public.payment_outbox_pending AS p
      WHERE p.instruction_id = p_instruction_id AND p.idempotency_key = p_idempotency_key
        AND p.tenant_id IS NOT DISTINCT FROM p_tenant_id)
    UNION ALL
    (SELECT a.outbox_id, public.payment_request_sha256(a.participant_id, a.rail_type, a.payload)
       FROM public.payment_outbox_attempts AS a
      WHERE a.instruction_id = p_instruction_id AND a.idempotency_key = p_idempotency_key
        AND a.tenant_id IS NOT DISTINCT FROM p_tenant_id
      ORDER BY a.claimed_at DESC, a.attempt_no DESC
      LIMIT 1)
    LIMIT 1
$$;
COMMENT ON FUNCTION public.outbox_item_of_key(uuid, text, text) IS 'The item that queue or ledger hold under a key, and the digest of its request.';
REVOKE EXECUTE ON FUNCTION public.outbox_item_of_key(uuid, text, text) FROM PUBLIC;

CREATE FUNCTION public.enqueue_payment_outbox(
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

    RETURN QUERY SELECT v_outbox_id, v_sequence_id, v_created_at, 'PENDING'::text;
END
$$;
COMMENT ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid) IS
    'Queues a payment once per tenant, instruction and key; a replay returns the first item, other content under the key is refused (INV-011).';
REVOKE EXECUTE ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid) FROM PUBLIC;

CREATE FUNCTION public.repair_expired_leases(p_batch_size integer, p_worker_id text)
    RETURNS TABLE (outbox_id uuid, attempt_no integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_item public.payment_outbox_pending;
    v_attempt_no integer;
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
        INSERT INTO public.payment_outbox_attempts
            (outbox_id, instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload, attempt_no, state,
             claimed_at, completed_at, error_code, error_message, worker_id, tenant_id)
        VALUES
            (v_item.outbox_id, v_item.instruction_id, v_item.participant_id, v_item.sequence_id, v_item.idempotency_key,
             v_item.rail_type, v_item.payload, v_attempt_no,
             'ZOMBIE_REQUEUE',
             coalesce(v_item.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
             'LEASE_EXPIRED',
             pg_catalog.format('the lease of worker %s expired at attempt %s', v_item.claimed_by, v_attempt_no),
             p_worker_id, v_item.tenant_id);
        UPDATE public.payment_outbox_pending AS p
           SET attempt_count = greatest(p.attempt_count, v_attempt_no),
               next_attempt_at = pg_catalog.clock_timestamp() + interval '1 second',
               claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL
         WHERE p.outbox_id = v_item.outbox_id;
        PERFORM pg_catalog.pg_notify('symphony_outbox', '');
        outbox_id := v_item.outbox_id;
        attempt_no := v_attempt_no;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION public.repair_expired_leases(integer, text) IS
    'Gives items whose lease ran out back to the queue, each with an attempt that says so (INV-023).';
REVOKE EXECUTE ON FUNCTION public.repair_expired_leases(integer, text) FROM PUBLIC;

-- The claim's arguments, and its first act: leases that ran out are counted as attempts before anything is claimed, so an item
-- whose worker always dies meets the ceiling even where nobody calls the repair.
CREATE FUNCTION public.outbox_claim_limit(p_batch_size integer, p_worker_id text, p_lease_seconds integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- A lease that outlives its worker by more than a day would hide the item for as long; a batch is bounded as in the repair.
    IF p_batch_size IS NULL OR p_batch_size < 0 OR p_batch_size > 10000
       OR pg_catalog.btrim(coalesce(p_worker_id, ''), E' \t\n\r\f\v') = ''
       OR p_lease_seconds IS NULL OR p_lease_seconds < 1 OR p_lease_seconds > 86400 THEN
        RAISE EXCEPTION 'a batch size of 0 to 10000, a worker and a lease of 1 to 86400 seconds are needed'
            USING ERRCODE = 'P7105', HINT = 'Say how many items to take, who you are, and for how long.';
    END IF;
    IF p_batch_size > 0 THEN
        PERFORM public.repair_expired_leases(p_batch_size, p_worker_id);
    END IF;
    RETURN p_batch_size;
END
$$;
COMMENT ON FUNCTION public.outbox_claim_limit(integer, text, integer) IS 'Checks a claim''s arguments, counts expired leases, returns the batch size. Called by claim_outbox_batch() alone.';
REVOKE EXECUTE ON FUNCTION public.outbox_claim_limit(integer, text, integer) FROM PUBLIC;

CREATE FUNCTION public.claim_outbox_batch(p_batch_size integer, p_worker_id text, p_lease_seconds integer)
    RETURNS TABLE (outbox_id uuid, instruction_id text, participant_id text, sequence_id bigint, idempotency_key text,
                   rail_type text, payload jsonb, attempt_count integer, lease_token uuid, lease_expires_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT public.outbox_claim_limit(p_batch_size, p_worker_id, p_lease_seconds);

    -- Two workers get disjoint sets: SKIP LOCKED. An expired lease was given back above; it is due again a second later.
    -- The clock is read once, and lease_expires_at (null in all of them) stands among the sort keys, so that the index of 0007
    -- bounds the search and gives the order: a claim costs its batch, whatever the queue holds.
    WITH due AS (
        SELECT p.outbox_id
          FROM public.payment_outbox_pending AS p
         WHERE p.next_attempt_at <= (SELECT pg_catalog.clock_timestamp()) AND p.lease_expires_at IS NULL
         ORDER BY p.next_attempt_at, p.lease_expires_at, p.created_at
         LIMIT p_batch_size
           FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.payment_outbox_pending AS p
           SET claimed_by = p_worker_id,
               claimed_at = pg_catalog.clock_timestamp(),
               lease_token = pg_catalog.gen_random_uuid(),
               lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => p_lease_seconds)
          FROM due
         WHERE p.outbox_id = due.outbox_id
        RETURNING p.*
    )
    SELECT c.outbox_id, c.instruction_id, c.participant_id, c.sequence_id, c.idempotency_key, c.rail_type, c.payload,
           c.attempt_count, c.lease_token, c.lease_expires_at
      FROM claimed AS c
     ORDER BY c.next_attempt_at, c.created_at, c.outbox_id
$$;
COMMENT ON FUNCTION public.claim_outbox_batch(integer, text, integer) IS 'Leases due, unleased items to a worker, in the order in which they are due (INV-012).';
REVOKE EXECUTE ON FUNCTION public.claim_outbox_batch(integer, text, integer) FROM PUBLIC;

CREATE FUNCTION public.complete_outbox_attempt(
    p_outbox_id uuid,
    p_lease_token uuid,
    p_worker_id text,
    p_state public.outbox_attempt_state,
    p_rail_reference text DEFAULT NULL,
    p_rail_code text DEFAULT NULL,
    p_error_code text DEFAULT NULL,
    p_error_message text DEFAULT NULL,
    p_latency_ms integer DEFAULT NULL,
    p_retry_delay_seconds integer DEFAULT 1
) RETURNS TABLE (attempt_no integer, state public.outbox_attempt_state)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_item public.payment_outbox_pending;
    v_attempt_no integer;
    v_state public.outbox_attempt_state := p_state;
BEGIN
    -- The clock, not the transaction's start: a lease that has run out meanwhile is lost.
    SELECT p.* INTO v_item
      FROM public.payment_outbox_pending AS p
     WHERE p.outbox_id = p_outbox_id
       AND p.claimed_by = p_worker_id
       AND p.lease_token = p_lease_token
       AND p.lease_expires_at > pg_catalog.clock_timestamp()
       FOR UPDATE;
    IF NOT FOUND OR v_item.lease_expires_at <= pg_catalog.clock_timestamp() THEN
        RAISE EXCEPTION 'LEASE_LOST' USING ERRCODE = 'P7002', HINT = 'Claim again; another worker or the repair has the item.';
    END IF;
    IF p_state IS NULL OR p_state NOT IN ('DISPATCHED', 'FAILED', 'RETRYABLE') THEN
        RAISE EXCEPTION 'an attempt cannot be completed as %', coalesce(p_state::text, 'null')
            USING ERRCODE = 'P7003', HINT = 'Complete as DISPATCHED, FAILED or RETRYABLE.';
    END IF;
    -- Only where it counts: that a payment went out is recorded whatever else was said.
    IF p_state = 'RETRYABLE' AND p_retry_delay_seconds > 604800 THEN
        RAISE EXCEPTION 'a retry delay of at most 604800 seconds is needed'
            USING ERRCODE = 'P7105', HINT = 'Give at most seven days, or complete as FAILED.';
    END IF;

    SELECT coalesce(max(a.attempt_no), 0) + 1 INTO v_attempt_no
      FROM public.payment_outbox_attempts AS a
     WHERE a.outbox_id = v_item.outbox_id;
    IF p_state = 'RETRYABLE' AND v_attempt_no >= public.outbox_retry_ceiling() THEN
        v_state := 'FAILED';
    END IF;

    INSERT INTO public.payment_outbox_attempts
        (outbox_id, instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload, attempt_no, state,
         claimed_at, completed_at, rail_reference, rail_code, error_code, error_message, latency_ms, worker_id, tenant_id)
    VALUES
        (v_item.outbox_id, v_item.instruction_id, v_item.participant_id, v_item.sequence_id, v_item.idempotency_key,
         v_item.rail_type, v_item.payload, v_attempt_no, v_state,
         coalesce(v_item.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
         p_rail_reference, p_rail_code, p_error_code, p_error_message, p_latency_ms, p_worker_id, v_item.tenant_id);

    IF v_state IN ('DISPATCHED', 'FAILED') THEN
        DELETE FROM public.payment_outbox_pending AS p WHERE p.outbox_id = v_item.outbox_id;
    ELSE
        UPDATE public.payment_outbox_pending AS p
           SET attempt_count = greatest(p.attempt_count, v_attempt_no),
               next_attempt_at = pg_catalog.clock_timestamp()
                   + pg_catalog.make_interval(secs => greatest(1, coalesce(p_retry_delay_seconds, 1))),
               claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL
         WHERE p.outbox_id = v_item.outbox_id;
        PERFORM pg_catalog.pg_notify('symphony_outbox', '');
    END IF;
    RETURN QUERY SELECT v_attempt_no, v_state;
END
$$;
COMMENT ON FUNCTION public.complete_outbox_attempt(uuid, uuid, text, public.outbox_attempt_state, text, text, text, text, integer, integer) IS
    'Records the outcome of a leased item; the lease''s token, worker and time must hold (INV-013).';
REVOKE EXECUTE ON FUNCTION public.complete_outbox_attempt(uuid, uuid, text, public.outbox_attempt_state, text, text, text, text, integer, integer) FROM PUBLIC;
