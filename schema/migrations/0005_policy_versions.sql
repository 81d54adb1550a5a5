-- 0005_policy_versions.sql
-- Guarantee: exactly one policy version is active, its checksum is known and never rewritten (INV-016, INV-017, INV-018).
-- Locks: none on existing tables.
CREATE TYPE public.policy_version_status AS ENUM ('ACTIVE', 'GRACE', 'RETIRED');

CREATE TABLE public.policy_versions (
    version          text                          NOT NULL,
    status           public.policy_version_status  NOT NULL DEFAULT 'ACTIVE',
    activated_at     timestamptz                   NOT NULL DEFAULT now(),
    grace_expires_at timestamptz,
    checksum         text                          NOT NULL,
    created_at       timestamptz                   NOT NULL DEFAULT now(),
    is_active        boolean                       GENERATED ALWAYS AS (status = 'ACTIVE') STORED,
    CONSTRAINT policy_versions_pkey PRIMARY KEY (version),
    CONSTRAINT ck_policy_checksum_nonempty CHECK (length(btrim(checksum)) > 0),
    CONSTRAINT ck_policy_grace_requires_expiry CHECK (status <> 'GRACE' OR grace_expires_at IS NOT NULL),
    CONSTRAINT ck_policy_active_has_no_grace_expiry CHECK (status <> 'ACTIVE' OR grace_expires_at IS NULL)
);
CREATE UNIQUE INDEX ux_policy_versions_single_active ON public.policy_versions ((1)) WHERE status = 'ACTIVE';
CREATE INDEX idx_policy_versions_is_active ON public.policy_versions (is_active) WHERE is_active;
COMMENT ON TABLE public.policy_versions IS 'The policy ledger: one ACTIVE version (INV-018). A row''s version, checksum and creation never change.';
REVOKE ALL ON TABLE public.policy_versions FROM PUBLIC;

-- A status may move on; what a version *is* may not.
CREATE FUNCTION public.deny_policy_version_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a policy version''s name, checksum and creation time never change'
        USING ERRCODE = 'P7301', HINT = 'Insert a further version.';
END
$$;
REVOKE EXECUTE ON FUNCTION public.deny_policy_version_rewrite() FROM PUBLIC;
CREATE TRIGGER trg_deny_policy_version_rewrite BEFORE UPDATE ON public.policy_versions
    FOR EACH ROW
    WHEN (OLD.version IS DISTINCT FROM NEW.version OR OLD.checksum IS DISTINCT FROM NEW.checksum
          OR OLD.created_at IS DISTINCT FROM NEW.created_at)
    EXECUTE FUNCTION public.deny_policy_version_rewrite();
ALTER TABLE public.policy_versions ENABLE ALWAYS TRIGGER trg_deny_policy_version_rewrite;
CREATE TRIGGER trg_deny_policy_versions_truncate BEFORE TRUNCATE ON public.policy_versions
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_outbox_attempts_mutation();
ALTER TABLE public.policy_versions ENABLE ALWAYS TRIGGER trg_deny_policy_versions_truncate;

-- The boot query of every runtime role reads the active version.
GRANT SELECT ON TABLE public.policy_versions
    TO symphony_control, symphony_executor, symphony_ingest, symphony_readonly, symphony_auditor, test_user;
