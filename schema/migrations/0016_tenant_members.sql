-- 0016_tenant_members.sql
-- Guarantee: a member is a beneficiary within one tenant (INV-062).   Locks: SHARE ROW EXCLUSIVE on tenants (foreign key).
SET LOCAL lock_timeout = '500ms';
CREATE TABLE public.tenant_members (
    member_id   uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id   uuid         NOT NULL,
    member_ref  text         NOT NULL,
    status      text         NOT NULL DEFAULT 'ACTIVE',
    tpin_hash   bytea,
    msisdn_hash bytea,
    created_at  timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT tenant_members_pkey PRIMARY KEY (member_id),
    CONSTRAINT tenant_members_tenant_id_member_ref_key UNIQUE (tenant_id, member_ref),
    CONSTRAINT tenant_members_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id),
    CONSTRAINT tenant_members_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'EXITED'))
);
CREATE INDEX idx_tenant_members_tenant ON public.tenant_members (tenant_id);
CREATE INDEX idx_tenant_members_status ON public.tenant_members (status);
COMMENT ON TABLE public.tenant_members IS 'Beneficiary within a tenant; only hashes of personal identifiers are kept.';
REVOKE ALL ON TABLE public.tenant_members FROM PUBLIC;

-- Whoever moves a member or a client to another tenant moves the history that names it.
CREATE FUNCTION public.deny_tenant_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a row of %.% stays with its tenant', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'P7204', HINT = 'Close this one and register a new one with the other tenant.';
END
$$;
REVOKE EXECUTE ON FUNCTION public.deny_tenant_change() FROM PUBLIC;
CREATE TRIGGER trg_deny_tenant_members_tenant_change BEFORE UPDATE ON public.tenant_members
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id OR OLD.member_id IS DISTINCT FROM NEW.member_id)
    EXECUTE FUNCTION public.deny_tenant_change();
ALTER TABLE public.tenant_members ENABLE ALWAYS TRIGGER trg_deny_tenant_members_tenant_change;
CREATE TRIGGER trg_deny_tenant_clients_tenant_change BEFORE UPDATE ON public.tenant_clients
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id OR OLD.client_id IS DISTINCT FROM NEW.client_id)
    EXECUTE FUNCTION public.deny_tenant_change();
ALTER TABLE public.tenant_clients ENABLE ALWAYS TRIGGER trg_deny_tenant_clients_tenant_change;
