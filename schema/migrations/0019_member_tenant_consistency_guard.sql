-- 0019_member_tenant_consistency_guard.sql
-- Guarantee: member and client of a row belong to the tenant of that row (INV-064).
-- Locks: SHARE UPDATE EXCLUSIVE (validations), then SHARE ROW EXCLUSIVE on ingress_attestations and payment_outbox_attempts (triggers).
SET LOCAL lock_timeout = '500ms';

-- First, while nothing stronger than SHARE UPDATE EXCLUSIVE is held: the tables are read here, and nobody waits for that.
ALTER TABLE public.ingress_attestations VALIDATE CONSTRAINT ingress_attestations_tenant_id_fkey;
ALTER TABLE public.ingress_attestations VALIDATE CONSTRAINT ingress_attestations_client_id_fkey;
ALTER TABLE public.ingress_attestations VALIDATE CONSTRAINT ingress_attestations_member_id_fkey;
ALTER TABLE public.payment_outbox_attempts VALIDATE CONSTRAINT payment_outbox_attempts_tenant_id_fkey;
ALTER TABLE public.payment_outbox_attempts VALIDATE CONSTRAINT payment_outbox_attempts_member_id_fkey;
ALTER TABLE public.payment_outbox_pending VALIDATE CONSTRAINT payment_outbox_pending_tenant_id_fkey;

CREATE FUNCTION public.enforce_member_tenant_match() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant_id uuid;
BEGIN
    IF NEW.member_id IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT m.tenant_id INTO v_tenant_id FROM public.tenant_members AS m WHERE m.member_id = NEW.member_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the member does not exist'
            USING ERRCODE = 'foreign_key_violation', HINT = 'Register the member with its tenant first.';
    END IF;
    IF NEW.tenant_id IS NULL THEN
        RAISE EXCEPTION 'a member needs its tenant beside it'
            USING ERRCODE = 'P7201', HINT = 'Give the tenant that the member belongs to.';
    END IF;
    IF v_tenant_id <> NEW.tenant_id THEN
        RAISE EXCEPTION 'the member belongs to another tenant'
            USING ERRCODE = 'P7202', HINT = 'Give a member of this tenant.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.enforce_member_tenant_match() IS 'A row''s member belongs to the row''s tenant (INV-064). Members never change tenant, so the check holds for good.';
REVOKE EXECUTE ON FUNCTION public.enforce_member_tenant_match() FROM PUBLIC;

CREATE FUNCTION public.enforce_client_tenant_match() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant_id uuid;
BEGIN
    IF NEW.client_id IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT c.tenant_id INTO v_tenant_id FROM public.tenant_clients AS c WHERE c.client_id = NEW.client_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the client does not exist'
            USING ERRCODE = 'foreign_key_violation', HINT = 'Register the client with its tenant first.';
    END IF;
    IF v_tenant_id IS DISTINCT FROM NEW.tenant_id THEN
        RAISE EXCEPTION 'the client belongs to another tenant'
            USING ERRCODE = 'P7203', HINT = 'Give a client of this tenant.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.enforce_client_tenant_match() IS 'A row''s client belongs to the row''s tenant (INV-064).';
REVOKE EXECUTE ON FUNCTION public.enforce_client_tenant_match() FROM PUBLIC;

CREATE TRIGGER trg_ingress_member_tenant_match BEFORE INSERT ON public.ingress_attestations
    FOR EACH ROW EXECUTE FUNCTION public.enforce_member_tenant_match();
ALTER TABLE public.ingress_attestations ENABLE ALWAYS TRIGGER trg_ingress_member_tenant_match;
CREATE TRIGGER trg_ingress_client_tenant_match BEFORE INSERT ON public.ingress_attestations
    FOR EACH ROW EXECUTE FUNCTION public.enforce_client_tenant_match();
ALTER TABLE public.ingress_attestations ENABLE ALWAYS TRIGGER trg_ingress_client_tenant_match;
CREATE TRIGGER trg_attempts_member_tenant_match BEFORE INSERT ON public.payment_outbox_attempts
    FOR EACH ROW EXECUTE FUNCTION public.enforce_member_tenant_match();
ALTER TABLE public.payment_outbox_attempts ENABLE ALWAYS TRIGGER trg_attempts_member_tenant_match;

-- The guards run with the rights of whoever inserts: the reads they need, and no more.
GRANT SELECT (member_id, tenant_id) ON TABLE public.tenant_members TO symphony_ingest;
GRANT SELECT (client_id, tenant_id) ON TABLE public.tenant_clients TO symphony_ingest;
