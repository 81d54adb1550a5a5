-- 0011_ingress_attestations.sql
-- Guarantee: that an instruction arrived is recorded once and never changed or removed (INV-035).   Locks: none on existing tables.
-- Only hashes and identifiers are stored.
CREATE TABLE public.ingress_attestations (
    attestation_id uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    instruction_id text         NOT NULL,
    tenant_id      uuid         NOT NULL,
    payload_hash   text         NOT NULL,
    signature_hash text,
    received_at    timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT ingress_attestations_pkey PRIMARY KEY (attestation_id),
    CONSTRAINT ingress_attestations_instruction_id_nonempty_check CHECK (instruction_id ~ '[^ \t\n\r\f\v]'),
    CONSTRAINT ingress_attestations_payload_hash_nonempty_check CHECK (payload_hash ~ '[^ \t\n\r\f\v]')
);
CREATE INDEX idx_ingress_attestations_instruction ON public.ingress_attestations (instruction_id);
CREATE INDEX idx_ingress_attestations_received_at ON public.ingress_attestations (received_at);
CREATE INDEX idx_ingress_attestations_tenant_received ON public.ingress_attestations (tenant_id, received_at)
    WHERE tenant_id IS NOT NULL;
COMMENT ON TABLE public.ingress_attestations IS 'Append-only record that an instruction arrived (INV-035), held by its two deny triggers.';
REVOKE ALL ON TABLE public.ingress_attestations FROM PUBLIC;

CREATE FUNCTION public.deny_ingress_attestations_mutation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'P0001', HINT = 'Append a further row that states the correction.';
END
$$;
REVOKE EXECUTE ON FUNCTION public.deny_ingress_attestations_mutation() FROM PUBLIC;
CREATE TRIGGER trg_deny_ingress_attestations_mutation BEFORE UPDATE OR DELETE ON public.ingress_attestations
    FOR EACH ROW EXECUTE FUNCTION public.deny_ingress_attestations_mutation();
ALTER TABLE public.ingress_attestations ENABLE ALWAYS TRIGGER trg_deny_ingress_attestations_mutation;
CREATE TRIGGER trg_deny_ingress_attestations_truncate BEFORE TRUNCATE ON public.ingress_attestations
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_ingress_attestations_mutation();
ALTER TABLE public.ingress_attestations ENABLE ALWAYS TRIGGER trg_deny_ingress_attestations_truncate;

GRANT SELECT, INSERT ON TABLE public.ingress_attestations TO symphony_ingest;
GRANT SELECT ON TABLE public.ingress_attestations TO symphony_readonly, symphony_auditor;
