-- 0001_init.sql
-- Guarantee: the outbox's tables, its append-only ledger, and one durable row for every idempotency key (INV-011, INV-014).
-- Locks: none on existing tables.
DO $$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000 THEN
        RAISE EXCEPTION 'PostgreSQL 18 or later is needed, this is %', pg_catalog.current_setting('server_version')
            USING ERRCODE = 'P7001', HINT = 'Upgrade the server before you migrate.';
    END IF;
END
$$;

-- EXECUTE goes to PUBLIC by default; from here on a function is nobody's until it is granted.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- A body bound when it is created: no search_path is looked at when it runs, and it can be inlined.
CREATE FUNCTION public.uuid_v7_or_random() RETURNS uuid
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN pg_catalog.uuidv7();
COMMENT ON FUNCTION public.uuid_v7_or_random() IS 'The one generator of keys: the built-in uuidv7(), bound at creation.';
REVOKE EXECUTE ON FUNCTION public.uuid_v7_or_random() FROM PUBLIC;

-- Reads the version digit of what the generator really gives, so it can never disagree with it.
CREATE FUNCTION public.uuid_strategy() RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp
    RETURN CASE pg_catalog.uuid_extract_version(public.uuid_v7_or_random())
        WHEN 7 THEN 'uuidv7' ELSE 'gen_random_uuid' END;
COMMENT ON FUNCTION public.uuid_strategy() IS 'What uuid_v7_or_random() is bound to: uuidv7 or gen_random_uuid.';
REVOKE EXECUTE ON FUNCTION public.uuid_strategy() FROM PUBLIC;

CREATE TYPE public.outbox_attempt_state AS ENUM ('DISPATCHING', 'DISPATCHED', 'RETRYABLE', 'FAILED', 'ZOMBIE_REQUEUE');
COMMENT ON TYPE public.outbox_attempt_state IS 'DISPATCHED and FAILED are terminal; DISPATCHING is declared and never written in this phase.';

CREATE TABLE public.participant_outbox_sequences (
    participant_id   text    NOT NULL,
    next_sequence_id bigint  NOT NULL,
    CONSTRAINT participant_outbox_sequences_pkey PRIMARY KEY (participant_id),
    CONSTRAINT participant_outbox_sequences_next_sequence_id_check CHECK (next_sequence_id >= 1)
);
COMMENT ON TABLE public.participant_outbox_sequences IS 'The next sequence number of each participant; written by bump_participant_outbox_seq() alone.';
REVOKE ALL ON TABLE public.participant_outbox_sequences FROM PUBLIC;

CREATE TABLE public.payment_outbox_pending (
    outbox_id        uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    instruction_id   text         NOT NULL,
    participant_id   text         NOT NULL,
    sequence_id      bigint       NOT NULL,
    idempotency_key  text         NOT NULL,
    rail_type        text         NOT NULL,
    payload          jsonb        NOT NULL,
    attempt_count    integer      NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz  NOT NULL DEFAULT now(),
    created_at       timestamptz  NOT NULL DEFAULT now(),
    claimed_by       text,
    claimed_at       timestamptz,
    lease_token      uuid,
    lease_expires_at timestamptz,
    tenant_id        uuid,
    CONSTRAINT payment_outbox_pending_pkey PRIMARY KEY (outbox_id),
    CONSTRAINT ux_pending_participant_sequence UNIQUE (participant_id, sequence_id),
    CONSTRAINT ux_pending_idempotency UNIQUE (instruction_id, idempotency_key, tenant_id),
    CONSTRAINT ck_pending_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT payment_outbox_pending_attempt_count_check CHECK (attempt_count >= 0),
    -- A lease is whole or absent: half of one could be neither completed nor repaired nor claimed.
    CONSTRAINT payment_outbox_pending_lease_whole_check
        CHECK (num_nulls(claimed_by, lease_token, lease_expires_at) IN (0, 3))
);
CREATE UNIQUE INDEX ux_pending_idempotency_without_tenant ON public.payment_outbox_pending (instruction_id, idempotency_key)
    WHERE tenant_id IS NULL;
-- Every claim first looks for leases that ran out: that has to cost what is leased, not what is queued.
CREATE INDEX idx_payment_outbox_pending_lease_expiry ON public.payment_outbox_pending (lease_expires_at)
    WHERE lease_token IS NOT NULL;
COMMENT ON TABLE public.payment_outbox_pending IS 'Hot work queue of payments to be dispatched. A row lives until its item reaches a terminal state.';
COMMENT ON COLUMN public.payment_outbox_pending.lease_token IS 'Fencing token of the current lease; a completion must show it.';
COMMENT ON COLUMN public.payment_outbox_pending.attempt_count IS 'Attempts made so far; used for back-off and for the ceiling.';
COMMENT ON COLUMN public.payment_outbox_pending.claimed_at IS 'When the current lease was taken; copied into the attempt.';
COMMENT ON COLUMN public.payment_outbox_pending.tenant_id IS 'The tenant, part of the idempotency key. NULL: an item enqueued without one.';
REVOKE ALL ON TABLE public.payment_outbox_pending FROM PUBLIC;

CREATE TABLE public.payment_outbox_attempts (
    attempt_id      uuid                         NOT NULL DEFAULT public.uuid_v7_or_random(),
    outbox_id       uuid                         NOT NULL,
    instruction_id  text                         NOT NULL,
    participant_id  text                         NOT NULL,
    sequence_id     bigint                       NOT NULL,
    idempotency_key text                         NOT NULL,
    rail_type       text                         NOT NULL,
    payload         jsonb                        NOT NULL,
    attempt_no      integer                      NOT NULL,
    state           public.outbox_attempt_state  NOT NULL,
    claimed_at      timestamptz                  NOT NULL DEFAULT now(),
    completed_at    timestamptz,
    rail_reference  text,
    rail_code       text,
    error_code      text,
    error_message   text,
    latency_ms      integer,
    worker_id       text,
    created_at      timestamptz                  NOT NULL DEFAULT now(),
    tenant_id       uuid,
    CONSTRAINT payment_outbox_attempts_pkey PRIMARY KEY (attempt_id),
    CONSTRAINT ux_attempts_outbox_attempt_no UNIQUE (outbox_id, attempt_no),
    CONSTRAINT ck_attempts_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT payment_outbox_attempts_attempt_no_check CHECK (attempt_no >= 1),
    CONSTRAINT payment_outbox_attempts_latency_ms_check CHECK (latency_ms IS NULL OR latency_ms >= 0)
);
CREATE INDEX idx_attempts_instruction_idempotency ON public.payment_outbox_attempts (instruction_id, idempotency_key);
CREATE INDEX idx_attempts_outbox_id ON public.payment_outbox_attempts (outbox_id);
COMMENT ON TABLE public.payment_outbox_attempts IS 'Append-only history of attempts; the authority on an item''s status (INV-014).';
COMMENT ON COLUMN public.payment_outbox_attempts.worker_id IS 'Who wrote the attempt: the worker, or the repairer of its lost lease.';
REVOKE ALL ON TABLE public.payment_outbox_attempts FROM PUBLIC;

CREATE TABLE public.payment_outbox_idempotency (
    tenant_id       uuid,
    instruction_id  text         NOT NULL,
    idempotency_key text         NOT NULL,
    request_sha256  bytea        NOT NULL,
    outbox_id       uuid         NOT NULL,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT payment_outbox_idempotency_pkey PRIMARY KEY (outbox_id),
    CONSTRAINT payment_outbox_idempotency_request_key UNIQUE NULLS NOT DISTINCT (tenant_id, instruction_id, idempotency_key),
    CONSTRAINT payment_outbox_idempotency_request_sha256_length_check CHECK (octet_length(request_sha256) = 32)
);
COMMENT ON TABLE public.payment_outbox_idempotency IS 'One row for every key ever enqueued, kept after completion: a replay meets it at any isolation level.';
COMMENT ON COLUMN public.payment_outbox_idempotency.request_sha256 IS 'sha256 of participant, rail and payload; another content under the same key is refused.';
REVOKE ALL ON TABLE public.payment_outbox_idempotency FROM PUBLIC;

CREATE FUNCTION public.deny_outbox_attempts_mutation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'P0001', HINT = 'Append a further row that states the correction.';
END
$$;
COMMENT ON FUNCTION public.deny_outbox_attempts_mutation() IS 'Refuses every change of a written row (INV-014).';
REVOKE EXECUTE ON FUNCTION public.deny_outbox_attempts_mutation() FROM PUBLIC;

CREATE TRIGGER trg_deny_outbox_attempts_mutation BEFORE UPDATE OR DELETE ON public.payment_outbox_attempts
    FOR EACH ROW EXECUTE FUNCTION public.deny_outbox_attempts_mutation();
ALTER TABLE public.payment_outbox_attempts ENABLE ALWAYS TRIGGER trg_deny_outbox_attempts_mutation;
CREATE TRIGGER trg_deny_outbox_attempts_truncate BEFORE TRUNCATE ON public.payment_outbox_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_outbox_attempts_mutation();
ALTER TABLE public.payment_outbox_attempts ENABLE ALWAYS TRIGGER trg_deny_outbox_attempts_truncate;

CREATE TRIGGER trg_deny_outbox_idempotency_mutation BEFORE UPDATE OR DELETE ON public.payment_outbox_idempotency
    FOR EACH ROW EXECUTE FUNCTION public.deny_outbox_attempts_mutation();
ALTER TABLE public.payment_outbox_idempotency ENABLE ALWAYS TRIGGER trg_deny_outbox_idempotency_mutation;
CREATE TRIGGER trg_deny_outbox_idempotency_truncate BEFORE TRUNCATE ON public.payment_outbox_idempotency
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_outbox_attempts_mutation();
ALTER TABLE public.payment_outbox_idempotency ENABLE ALWAYS TRIGGER trg_deny_outbox_idempotency_truncate;
