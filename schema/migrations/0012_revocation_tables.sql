-- 0012_revocation_tables.sql
-- Guarantee: a revoked certificate or token stays revoked (INV-036).   Locks: none on existing tables.
CREATE TABLE public.revoked_client_certs (
    cert_fingerprint_sha256 text         NOT NULL,
    revoked_at              timestamptz  NOT NULL DEFAULT now(),
    expires_at              timestamptz,
    reason_code             text,
    revoked_by              text,
    CONSTRAINT revoked_client_certs_pkey PRIMARY KEY (cert_fingerprint_sha256)
);
CREATE TABLE public.revoked_tokens (
    token_jti   text         NOT NULL,
    revoked_at  timestamptz  NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    reason_code text,
    revoked_by  text,
    CONSTRAINT revoked_tokens_pkey PRIMARY KEY (token_jti)
);
COMMENT ON TABLE public.revoked_client_certs IS 'Presence of a fingerprint means revoked; append-only (INV-036). The expiry informs only.';
COMMENT ON TABLE public.revoked_tokens IS 'Presence of a token id means revoked; append-only (INV-036). The expiry informs only.';
REVOKE ALL ON TABLE public.revoked_client_certs, public.revoked_tokens FROM PUBLIC;

CREATE FUNCTION public.deny_revocation_mutation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'P0001', HINT = 'A revocation is final; issue a new certificate or token.';
END
$$;
REVOKE EXECUTE ON FUNCTION public.deny_revocation_mutation() FROM PUBLIC;
CREATE TRIGGER trg_deny_revoked_client_certs_mutation BEFORE UPDATE OR DELETE ON public.revoked_client_certs
    FOR EACH ROW EXECUTE FUNCTION public.deny_revocation_mutation();
ALTER TABLE public.revoked_client_certs ENABLE ALWAYS TRIGGER trg_deny_revoked_client_certs_mutation;
CREATE TRIGGER trg_deny_revoked_client_certs_truncate BEFORE TRUNCATE ON public.revoked_client_certs
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_revocation_mutation();
ALTER TABLE public.revoked_client_certs ENABLE ALWAYS TRIGGER trg_deny_revoked_client_certs_truncate;
CREATE TRIGGER trg_deny_revoked_tokens_mutation BEFORE UPDATE OR DELETE ON public.revoked_tokens
    FOR EACH ROW EXECUTE FUNCTION public.deny_revocation_mutation();
ALTER TABLE public.revoked_tokens ENABLE ALWAYS TRIGGER trg_deny_revoked_tokens_mutation;
CREATE TRIGGER trg_deny_revoked_tokens_truncate BEFORE TRUNCATE ON public.revoked_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_revocation_mutation();
ALTER TABLE public.revoked_tokens ENABLE ALWAYS TRIGGER trg_deny_revoked_tokens_truncate;

-- Who lets requests in has to know what is revoked; control revokes.
GRANT SELECT ON TABLE public.revoked_client_certs, public.revoked_tokens TO symphony_ingest, symphony_executor, symphony_readonly, symphony_auditor;
GRANT SELECT, INSERT ON TABLE public.revoked_client_certs, public.revoked_tokens TO symphony_control;
