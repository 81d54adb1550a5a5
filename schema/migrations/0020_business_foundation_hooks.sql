-- 0020_business_foundation_hooks.sql
-- Guarantee: who pays, what was used, what was proved and packed is recorded append-only, and one correlation id joins an instruction's
-- rows (INV-090, INV-091, INV-092, INV-093, INV-094, INV-095).
-- Locks: ACCESS EXCLUSIVE on ingress_attestations, payment_outbox_attempts, payment_outbox_pending and tenants (columns), SHARE on tenants
-- (indexes). New columns are nullable or have a constant default: nothing is rewritten.
SET LOCAL lock_timeout = '500ms';

CREATE FUNCTION public.deny_append_only_mutation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'P0001', HINT = 'Append a further row that states the correction.';
END
$$;
COMMENT ON FUNCTION public.deny_append_only_mutation() IS 'Refuses every change of a written row, and emptying the table.';
REVOKE EXECUTE ON FUNCTION public.deny_append_only_mutation() FROM PUBLIC;

CREATE TABLE public.billable_clients (
    billable_client_id uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    legal_name         text         NOT NULL,
    client_type        text         NOT NULL,
    regulator_ref      text,
    status             text         NOT NULL DEFAULT 'ACTIVE',
    created_at         timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT billable_clients_pkey PRIMARY KEY (billable_client_id),
    CONSTRAINT billable_clients_client_type_check
        CHECK (client_type IN ('BANK', 'MMO', 'NGO', 'GOV_PROGRAM', 'COOP_FEDERATION', 'ENTERPRISE')),
    CONSTRAINT billable_clients_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED'))
);
COMMENT ON TABLE public.billable_clients IS 'The payer: who is billed for a tenant (INV-094).';
REVOKE ALL ON TABLE public.billable_clients FROM PUBLIC;

ALTER TABLE public.tenants
    ADD COLUMN billable_client_id uuid,
    ADD COLUMN parent_tenant_id uuid,
    ADD CONSTRAINT tenants_billable_client_fk
        FOREIGN KEY (billable_client_id) REFERENCES public.billable_clients (billable_client_id) NOT VALID,
    ADD CONSTRAINT tenants_parent_tenant_fk
        FOREIGN KEY (parent_tenant_id) REFERENCES public.tenants (tenant_id) NOT VALID;
CREATE INDEX idx_tenants_billable_client_id ON public.tenants (billable_client_id);
CREATE INDEX idx_tenants_parent_tenant_id ON public.tenants (parent_tenant_id);

-- Tenants form a tree. A new parent's ancestors are locked on the way up, so that two changes cannot close a circle together, not
-- even from snapshots that do not see each other: one of them waits, or fails with 40001 or 40P01 and is repeated.
CREATE FUNCTION public.deny_tenant_cycle() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_ancestor uuid := NEW.parent_tenant_id;
    v_path uuid[] := ARRAY[NEW.tenant_id];
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.parent_tenant_id = OLD.parent_tenant_id AND NEW.tenant_id = OLD.tenant_id THEN
        RETURN NEW;
    END IF;
    WHILE v_ancestor IS NOT NULL LOOP
        IF v_ancestor = ANY (v_path) THEN
            RAISE EXCEPTION 'a tenant cannot be its own ancestor'
                USING ERRCODE = 'P7205', HINT = 'Choose a parent outside the tenant''s own subtree.';
        END IF;
        v_path := v_path || v_ancestor;
        SELECT t.parent_tenant_id INTO v_ancestor FROM public.tenants AS t WHERE t.tenant_id = v_ancestor FOR SHARE;
    END LOOP;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION public.deny_tenant_cycle() FROM PUBLIC;
CREATE TRIGGER trg_deny_tenant_cycle BEFORE INSERT OR UPDATE ON public.tenants
    FOR EACH ROW WHEN (NEW.parent_tenant_id IS NOT NULL) EXECUTE FUNCTION public.deny_tenant_cycle();
ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER trg_deny_tenant_cycle;

CREATE TABLE public.billing_usage_events (
    event_id           uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    occurred_at        timestamptz  NOT NULL DEFAULT now(),
    billable_client_id uuid         NOT NULL,
    tenant_id          uuid,
    client_id          uuid,
    subject_member_id  uuid,
    subject_client_id  uuid,
    correlation_id     uuid,
    event_type         text         NOT NULL,
    units              text         NOT NULL,
    quantity           bigint       NOT NULL,
    metadata           jsonb,
    CONSTRAINT billing_usage_events_pkey PRIMARY KEY (event_id),
    CONSTRAINT billing_usage_events_billable_client_id_fkey
        FOREIGN KEY (billable_client_id) REFERENCES public.billable_clients (billable_client_id),
    CONSTRAINT billing_usage_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id),
    CONSTRAINT billing_usage_events_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.tenant_clients (client_id),
    CONSTRAINT billing_usage_events_subject_member_id_fkey
        FOREIGN KEY (subject_member_id) REFERENCES public.tenant_members (member_id),
    CONSTRAINT billing_usage_events_subject_client_id_fkey
        FOREIGN KEY (subject_client_id) REFERENCES public.tenant_clients (client_id),
    CONSTRAINT billing_usage_events_event_type_check
        CHECK (event_type IN ('EVIDENCE_BUNDLE', 'CASE_PACK', 'EXCEPTION_TRIAGE', 'RETENTION_ANCHOR', 'ESCROW_RELEASE', 'DISPUTE_PACK')),
    CONSTRAINT billing_usage_events_units_check CHECK (units IN ('count', 'bytes', 'seconds', 'events')),
    CONSTRAINT billing_usage_events_quantity_check CHECK (quantity > 0),
    CONSTRAINT billing_usage_events_subject_zero_or_one_chk
        CHECK (subject_member_id IS NULL OR subject_client_id IS NULL),
    CONSTRAINT billing_usage_events_member_requires_tenant_chk
        CHECK (subject_member_id IS NULL OR tenant_id IS NOT NULL)
);
CREATE INDEX idx_billing_usage_events_correlation_id ON public.billing_usage_events (correlation_id);
COMMENT ON TABLE public.billing_usage_events IS 'Append-only usage tape: one row a billable fact, its payer mandatory (INV-090).';
REVOKE ALL ON TABLE public.billing_usage_events FROM PUBLIC;
CREATE TRIGGER trg_deny_billing_usage_events_mutation BEFORE UPDATE OR DELETE ON public.billing_usage_events
    FOR EACH ROW EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.billing_usage_events ENABLE ALWAYS TRIGGER trg_deny_billing_usage_events_mutation;
CREATE TRIGGER trg_deny_billing_usage_events_truncate BEFORE TRUNCATE ON public.billing_usage_events
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.billing_usage_events ENABLE ALWAYS TRIGGER trg_deny_billing_usage_events_truncate;

-- Payer, tenant, client and subject of an event belong together, and the payer can still be billed.
CREATE FUNCTION public.enforce_usage_event_parties() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_status text;
    v_tenant_payer uuid;
    v_tenant_id uuid;
BEGIN
    SELECT b.status INTO v_status
      FROM public.billable_clients AS b
     WHERE b.billable_client_id = NEW.billable_client_id
       FOR SHARE;
    IF FOUND AND v_status = 'CLOSED' THEN
        RAISE EXCEPTION 'the payer is closed' USING ERRCODE = 'P7222', HINT = 'Bill the payer that took over.';
    END IF;
    IF NEW.tenant_id IS NOT NULL THEN
        SELECT t.billable_client_id INTO v_tenant_payer
          FROM public.tenants AS t
         WHERE t.tenant_id = NEW.tenant_id
           FOR SHARE;
        -- A tenant from before payers were required may have none; what it used is billed to whom the event names.
        IF v_tenant_payer <> NEW.billable_client_id THEN
            RAISE EXCEPTION 'the tenant has another payer' USING ERRCODE = 'P7221', HINT = 'Bill the tenant''s own payer.';
        END IF;
    END IF;
    IF NEW.client_id IS NOT NULL OR NEW.subject_client_id IS NOT NULL THEN
        SELECT min(c.tenant_id::text)::uuid INTO v_tenant_id
          FROM public.tenant_clients AS c
         WHERE c.client_id IN (NEW.client_id, NEW.subject_client_id)
           AND c.tenant_id IS DISTINCT FROM NEW.tenant_id;
        IF v_tenant_id IS NOT NULL THEN
            RAISE EXCEPTION 'the client belongs to another tenant'
                USING ERRCODE = 'P7203', HINT = 'Give a client of this tenant, and the tenant beside it.';
        END IF;
    END IF;
    IF NEW.subject_member_id IS NOT NULL AND EXISTS (
        SELECT FROM public.tenant_members AS m
         WHERE m.member_id = NEW.subject_member_id AND m.tenant_id <> NEW.tenant_id
    ) THEN
        RAISE EXCEPTION 'the member belongs to another tenant' USING ERRCODE = 'P7202', HINT = 'Give a member of this tenant.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.enforce_usage_event_parties() IS 'Payer, tenant, client and subject of a usage event agree; the rows that say so are locked until it is written.';
REVOKE EXECUTE ON FUNCTION public.enforce_usage_event_parties() FROM PUBLIC;
CREATE TRIGGER trg_billing_usage_events_parties BEFORE INSERT ON public.billing_usage_events
    FOR EACH ROW EXECUTE FUNCTION public.enforce_usage_event_parties();
ALTER TABLE public.billing_usage_events ENABLE ALWAYS TRIGGER trg_billing_usage_events_parties;

CREATE TABLE public.external_proofs (
    proof_id       uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    attestation_id uuid         NOT NULL,
    provider       text         NOT NULL,
    request_hash   text         NOT NULL,
    response_hash  text         NOT NULL,
    provider_ref   text,
    verified_at    timestamptz,
    expires_at     timestamptz,
    metadata       jsonb,
    created_at     timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT external_proofs_pkey PRIMARY KEY (proof_id),
    CONSTRAINT external_proofs_attestation_id_fkey
        FOREIGN KEY (attestation_id) REFERENCES public.ingress_attestations (attestation_id)
);
CREATE INDEX idx_external_proofs_attestation_id ON public.external_proofs (attestation_id);
COMMENT ON TABLE public.external_proofs IS 'Append-only proof events about an attested instruction (INV-091).';
REVOKE ALL ON TABLE public.external_proofs FROM PUBLIC;
CREATE TRIGGER trg_deny_external_proofs_mutation BEFORE UPDATE OR DELETE ON public.external_proofs
    FOR EACH ROW EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.external_proofs ENABLE ALWAYS TRIGGER trg_deny_external_proofs_mutation;
CREATE TRIGGER trg_deny_external_proofs_truncate BEFORE TRUNCATE ON public.external_proofs
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.external_proofs ENABLE ALWAYS TRIGGER trg_deny_external_proofs_truncate;

CREATE TABLE public.evidence_packs (
    pack_id        uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    pack_type      text         NOT NULL,
    correlation_id uuid,
    root_hash      text,
    created_at     timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT evidence_packs_pkey PRIMARY KEY (pack_id),
    CONSTRAINT evidence_packs_pack_type_check CHECK (pack_type IN ('INSTRUCTION_BUNDLE', 'INCIDENT_PACK', 'DISPUTE_PACK'))
);
CREATE INDEX idx_evidence_packs_correlation_id ON public.evidence_packs (correlation_id);
COMMENT ON TABLE public.evidence_packs IS 'Append-only grouping of artefacts by hash (INV-093).';
REVOKE ALL ON TABLE public.evidence_packs FROM PUBLIC;
CREATE TRIGGER trg_deny_evidence_packs_mutation BEFORE UPDATE OR DELETE ON public.evidence_packs
    FOR EACH ROW EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_packs ENABLE ALWAYS TRIGGER trg_deny_evidence_packs_mutation;
CREATE TRIGGER trg_deny_evidence_packs_truncate BEFORE TRUNCATE ON public.evidence_packs
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_packs ENABLE ALWAYS TRIGGER trg_deny_evidence_packs_truncate;

CREATE TABLE public.evidence_pack_items (
    item_id       uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    pack_id       uuid         NOT NULL,
    artifact_path text,
    artifact_hash text         NOT NULL,
    created_at    timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT evidence_pack_items_pkey PRIMARY KEY (item_id),
    CONSTRAINT evidence_pack_items_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES public.evidence_packs (pack_id),
    CONSTRAINT evidence_pack_items_path_or_hash_chk CHECK (artifact_hash <> '' AND artifact_path IS DISTINCT FROM ''),
    CONSTRAINT ux_evidence_pack_items_pack_hash UNIQUE (pack_id, artifact_hash)
);
COMMENT ON TABLE public.evidence_pack_items IS 'Append-only items of a pack, each by its hash; the path is optional.';
REVOKE ALL ON TABLE public.evidence_pack_items FROM PUBLIC;
CREATE TRIGGER trg_deny_evidence_pack_items_mutation BEFORE UPDATE OR DELETE ON public.evidence_pack_items
    FOR EACH ROW EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_pack_items ENABLE ALWAYS TRIGGER trg_deny_evidence_pack_items_mutation;
CREATE TRIGGER trg_deny_evidence_pack_items_truncate BEFORE TRUNCATE ON public.evidence_pack_items
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_pack_items ENABLE ALWAYS TRIGGER trg_deny_evidence_pack_items_truncate;

ALTER TABLE public.ingress_attestations
    ADD COLUMN correlation_id uuid,
    ADD COLUMN signatures jsonb NOT NULL DEFAULT '[]'::jsonb,
    ADD COLUMN upstream_ref text,
    ADD COLUMN downstream_ref text,
    ADD COLUMN nfs_sequence_ref text,
    ADD CONSTRAINT ingress_attestations_signatures_is_array_check CHECK (jsonb_typeof(signatures) = 'array') NOT VALID;
ALTER TABLE public.payment_outbox_attempts
    ADD COLUMN correlation_id uuid,
    ADD COLUMN upstream_ref text,
    ADD COLUMN downstream_ref text,
    ADD COLUMN nfs_sequence_ref text;
ALTER TABLE public.payment_outbox_pending
    ADD COLUMN correlation_id uuid,
    ADD COLUMN upstream_ref text,
    ADD COLUMN downstream_ref text,
    ADD COLUMN nfs_sequence_ref text;
COMMENT ON COLUMN public.ingress_attestations.signatures IS 'Array of signatures; empty when there is none (INV-095).';
COMMENT ON COLUMN public.payment_outbox_pending.correlation_id IS 'Joins ingress, pending, every attempt and proofs of one instruction (INV-092).';

-- Replaced in one transaction by a function that takes every call the old one took: five arguments, or six with the tenant.
DROP FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid);
CREATE FUNCTION public.enqueue_payment_outbox(
    p_instruction_id text,
    p_participant_id text,
    p_idempotency_key text,
    p_rail_type text,
    p_payload jsonb,
    p_tenant_id uuid DEFAULT NULL,
    p_correlation_id uuid DEFAULT NULL,
    p_upstream_ref text DEFAULT NULL,
    p_downstream_ref text DEFAULT NULL,
    p_nfs_sequence_ref text DEFAULT NULL
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
    v_correlation_id uuid := p_correlation_id;
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

    IF v_correlation_id IS NULL AND p_tenant_id IS NOT NULL THEN
        -- One id joins the chain: what the ingress recorded for this tenant's instruction goes on. Ingress is
        -- read before queue and ledger, as everywhere: a migration that locks them in this order meets no enqueue half-way.
        SELECT i.correlation_id INTO v_correlation_id
          FROM public.ingress_attestations AS i
         WHERE i.tenant_id = p_tenant_id AND i.instruction_id = p_instruction_id;
    END IF;

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
        (outbox_id, instruction_id, participant_id, sequence_id, idempotency_key, rail_type, payload, tenant_id,
         correlation_id, upstream_ref, downstream_ref, nfs_sequence_ref)
    VALUES
        (v_outbox_id, p_instruction_id, p_participant_id, v_sequence_id, p_idempotency_key, p_rail_type, p_payload, p_tenant_id,
         v_correlation_id, p_upstream_ref, p_downstream_ref, p_nfs_sequence_ref)
    RETURNING p.created_at INTO v_created_at;

    -- Wakes the workers; a replay above returned without it.
    PERFORM pg_catalog.pg_notify('symphony_outbox', '');

    RETURN QUERY SELECT v_outbox_id, v_sequence_id, v_created_at, 'PENDING'::text;
END
$$;
COMMENT ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid, uuid, text, text, text) IS
    'Queues a payment once per tenant, instruction and key; a replay returns the first item, other content under the key is refused (INV-011).';
REVOKE EXECUTE ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid, uuid, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.enqueue_payment_outbox(text, text, text, text, jsonb, uuid, uuid, text, text, text)
    TO symphony_ingest, symphony_control, test_user;

CREATE OR REPLACE FUNCTION public.complete_outbox_attempt(
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
         claimed_at, completed_at, rail_reference, rail_code, error_code, error_message, latency_ms, worker_id,
         tenant_id, correlation_id, upstream_ref, downstream_ref, nfs_sequence_ref)
    VALUES
        (v_item.outbox_id, v_item.instruction_id, v_item.participant_id, v_item.sequence_id, v_item.idempotency_key,
         v_item.rail_type, v_item.payload, v_attempt_no, v_state,
         coalesce(v_item.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
         p_rail_reference, p_rail_code, p_error_code, p_error_message, p_latency_ms, p_worker_id,
         v_item.tenant_id, v_item.correlation_id, v_item.upstream_ref, v_item.downstream_ref, v_item.nfs_sequence_ref);

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
             claimed_at, completed_at, error_code, error_message, worker_id,
             tenant_id, correlation_id, upstream_ref, downstream_ref, nfs_sequence_ref)
        VALUES
            (v_item.outbox_id, v_item.instruction_id, v_item.participant_id, v_item.sequence_id, v_item.idempotency_key,
             v_item.rail_type, v_item.payload, v_attempt_no,
             CASE WHEN v_exhausted THEN 'FAILED' ELSE 'ZOMBIE_REQUEUE' END::public.outbox_attempt_state,
             coalesce(v_item.claimed_at, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
             CASE WHEN v_exhausted THEN 'RETRY_CEILING_EXCEEDED' ELSE 'LEASE_EXPIRED' END,
             pg_catalog.format(CASE WHEN v_exhausted THEN 'the lease of worker %s expired at attempt %s, the last one allowed'
                                   ELSE 'the lease of worker %s expired at attempt %s' END, v_item.claimed_by, v_attempt_no),
             p_worker_id,
             v_item.tenant_id, v_item.correlation_id, v_item.upstream_ref, v_item.downstream_ref, v_item.nfs_sequence_ref);
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
