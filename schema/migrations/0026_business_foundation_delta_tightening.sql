-- 0026_business_foundation_delta_tightening.sql
-- Guarantee: new rows are auditably billable and stitchable by construction: a tenant has its payer, a payer its key, a proof its tenant and
-- payer, every row of an instruction its correlation id (INV-090, INV-091, INV-092, INV-094; AC1, AC2, AC3, AC5). Everything that worked on
-- a row from before still works (AC6).
-- Locks: ACCESS EXCLUSIVE on six tables and SHARE ROW EXCLUSIVE on tenant_members, all taken before anything else and within one budget
-- for all of them together; when they cannot be had in it, the runner retries the whole. Catalog changes only: no row is rewritten or
-- scanned.

-- Short, because while this transaction waits for one table it may already hold another: nobody is to be stalled longer.
SET LOCAL lock_timeout = '100ms';
-- In the order in which the writers of the application meet the tables: a proof comes to its attestation, an enqueue and a completion
-- from queue to ledger, and every one of them ends at members, tenants and payers (foreign keys). So none of them, having one table,
-- waits for another that this transaction already has, while it waits for theirs: each is waited for as long as statements run.
-- lock_timeout counts anew for each table, so each is given what the ones before it left: else seven holders, who let go one after the
-- other, would make the first table wait seven times as long as meant.
DO $$
DECLARE
    c_budget_ms constant integer := 100;
    v_began constant timestamptz := pg_catalog.clock_timestamp();
    v_left_ms integer;
BEGIN
    FOR v_table IN 1..7 LOOP
        v_left_ms := c_budget_ms
            - pg_catalog.floor(1000 * extract(epoch FROM pg_catalog.clock_timestamp() - v_began))::integer;
        -- A lock_timeout of 0 would mean to wait for ever. A clock that was set back gives no more than the budget.
        IF v_left_ms < 1 THEN
            RAISE EXCEPTION 'the tables were not to be had within % ms', c_budget_ms
                USING ERRCODE = 'lock_not_available', HINT = 'The runner tries again; let long transactions end.';
        END IF;
        PERFORM pg_catalog.set_config('lock_timeout', least(v_left_ms, c_budget_ms)::text, true);
        CASE v_table
            WHEN 1 THEN LOCK TABLE public.external_proofs IN ACCESS EXCLUSIVE MODE;
            WHEN 2 THEN LOCK TABLE public.ingress_attestations IN ACCESS EXCLUSIVE MODE;
            WHEN 3 THEN LOCK TABLE public.payment_outbox_pending IN ACCESS EXCLUSIVE MODE;
            WHEN 4 THEN LOCK TABLE public.payment_outbox_attempts IN ACCESS EXCLUSIVE MODE;
            WHEN 5 THEN LOCK TABLE public.tenant_members IN SHARE ROW EXCLUSIVE MODE;
            WHEN 6 THEN LOCK TABLE public.tenants IN ACCESS EXCLUSIVE MODE;
            WHEN 7 THEN LOCK TABLE public.billable_clients IN ACCESS EXCLUSIVE MODE;
        END CASE;
    END LOOP;
END
$$;
SET LOCAL lock_timeout = '100ms';

-- A payer's key -------------------------------------------------------------------------------------------------------------------------

-- The marker reads true on every row that is there now, without touching it; from the next statement on its default is false.
ALTER TABLE public.billable_clients
    ADD COLUMN client_key text,
    ADD COLUMN predates_client_key boolean NOT NULL DEFAULT true;
ALTER TABLE public.billable_clients
    ALTER COLUMN predates_client_key SET DEFAULT false,
    ADD CONSTRAINT billable_clients_client_key_required_new_rows_chk
        CHECK (predates_client_key OR (client_key IS NOT NULL AND btrim(client_key) <> '')) NOT VALID;
COMMENT ON COLUMN public.billable_clients.client_key IS 'Stable key of the payer, trimmed of what nobody sees and in lower case; unique, and required of every payer that does not predate it.';
COMMENT ON COLUMN public.billable_clients.predates_client_key IS 'True only on rows older than the key that have none yet. A trigger decides it; what a writer claims is ignored.';

CREATE FUNCTION public.settle_billable_client_key() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- What nobody sees: spaces, no-break and zero-width ones too, controls, soft hyphens, direction marks, fillers. Named one by one,
    -- since \s depends on the database's locale.
    c_unseen constant text := '[\u0001-\u0020\u007F-\u00A0\u00AD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F'
        '\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0]+';
BEGIN
    -- One spelling a key, so that the unique index sees equals as equals; what shows nothing is no key.
    NEW.client_key := nullif(pg_catalog.lower(
        pg_catalog.regexp_replace(NEW.client_key, '^' || c_unseen || '|' || c_unseen || '$', '', 'g')), '');
    NEW.predates_client_key := TG_OP = 'UPDATE' AND NEW.client_key IS NULL;
    IF TG_OP = 'UPDATE' THEN
        NEW.predates_client_key := NEW.predates_client_key AND OLD.predates_client_key AND OLD.client_key IS NULL;
    ELSIF NEW.client_key IS NULL THEN
        -- An upsert's proposal under an id that is taken, as for tenants below.
        PERFORM FROM public.billable_clients AS b WHERE b.billable_client_id = NEW.billable_client_id FOR KEY SHARE;
        NEW.predates_client_key := NEW.predates_client_key OR FOUND;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.settle_billable_client_key() IS 'Normalises a payer''s key and decides whether the row predates it: no row that is inserted does, nor one that ever had a key.';
REVOKE EXECUTE ON FUNCTION public.settle_billable_client_key() FROM PUBLIC;
CREATE TRIGGER trg_settle_billable_client_key BEFORE INSERT OR UPDATE ON public.billable_clients
    FOR EACH ROW EXECUTE FUNCTION public.settle_billable_client_key();
ALTER TABLE public.billable_clients ENABLE ALWAYS TRIGGER trg_settle_billable_client_key;

-- A tenant's payer ----------------------------------------------------------------------------------------------------------------------

ALTER TABLE public.tenants
    ADD COLUMN predates_payer boolean NOT NULL DEFAULT true;
ALTER TABLE public.tenants
    ALTER COLUMN predates_payer SET DEFAULT false,
    ADD CONSTRAINT tenants_billable_client_required_new_rows_chk
        CHECK (predates_payer OR billable_client_id IS NOT NULL) NOT VALID;
COMMENT ON COLUMN public.tenants.predates_payer IS 'True only on rows older than the rule that have no payer yet. A trigger decides it; what a writer claims is ignored.';

CREATE FUNCTION public.settle_tenant_payer() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.predates_payer := TG_OP = 'UPDATE' AND NEW.billable_client_id IS NULL;
    IF TG_OP = 'UPDATE' THEN
        -- The marker read true on every row that was there, also on one that had its payer: such a one may not lose it.
        NEW.predates_payer := NEW.predates_payer AND OLD.predates_payer AND OLD.billable_client_id IS NULL;
    ELSIF NEW.billable_client_id IS NULL THEN
        -- An upsert proposes a row before the server meets the one that is there. A proposal under a key that is taken may lack the payer:
        -- it becomes an UPDATE of that row or ends at the unique key, and is never inserted, since the lock keeps row and keys in place.
        PERFORM FROM public.tenants AS t
          WHERE t.tenant_id = NEW.tenant_id OR t.tenant_key = NEW.tenant_key
            FOR KEY SHARE;
        NEW.predates_payer := NEW.predates_payer OR FOUND;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.settle_tenant_payer() IS 'Decides whether a tenant predates the payer rule: no row that is inserted does, nor one that ever had a payer.';
REVOKE EXECUTE ON FUNCTION public.settle_tenant_payer() FROM PUBLIC;
CREATE TRIGGER trg_settle_tenant_payer BEFORE INSERT OR UPDATE ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.settle_tenant_payer();
ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER trg_settle_tenant_payer;

-- Correlation ---------------------------------------------------------------------------------------------------------------------------

-- The one id of an item: what the queue or an attempt of it already carries, else the attestation of its tenant's instruction. An
-- attestation from before may carry none and can never be given one (append-only): its own id stands in, the same for whoever asks. A
-- fresh id comes last.
CREATE FUNCTION public.outbox_correlation(p_outbox_id uuid, p_tenant_id uuid, p_instruction_id text) RETURNS uuid
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(
        (SELECT p.correlation_id FROM public.payment_outbox_pending AS p WHERE p.outbox_id = p_outbox_id),
        (SELECT a.correlation_id FROM public.payment_outbox_attempts AS a
          WHERE a.outbox_id = p_outbox_id AND a.correlation_id IS NOT NULL
          ORDER BY a.attempt_no LIMIT 1),
        (SELECT coalesce(i.correlation_id, i.attestation_id) FROM public.ingress_attestations AS i
          WHERE i.tenant_id = p_tenant_id AND i.instruction_id = p_instruction_id),
        public.uuid_v7_or_random())
$$;
COMMENT ON FUNCTION public.outbox_correlation(uuid, uuid, text) IS 'The correlation id that an outbox item without one takes on, so that its rows join.';
REVOKE EXECUTE ON FUNCTION public.outbox_correlation(uuid, uuid, text) FROM PUBLIC;

-- With the owner's rights, so that who may record an attestation need not be able to read queue and ledger.
CREATE FUNCTION public.set_correlation_id_if_null() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NEW.correlation_id IS NULL THEN
        IF TG_TABLE_NAME = 'ingress_attestations' THEN
            -- A payment that was queued before its instruction was attested: the attestation joins what its item carries.
            NEW.correlation_id := coalesce(
                (SELECT p.correlation_id FROM public.payment_outbox_pending AS p
                  WHERE p.tenant_id = NEW.tenant_id AND p.instruction_id = NEW.instruction_id AND p.correlation_id IS NOT NULL
                  ORDER BY p.created_at, p.outbox_id LIMIT 1),
                (SELECT a.correlation_id FROM public.payment_outbox_attempts AS a
                  WHERE a.tenant_id = NEW.tenant_id AND a.instruction_id = NEW.instruction_id AND a.correlation_id IS NOT NULL
                  ORDER BY a.created_at, a.attempt_id LIMIT 1),
                public.uuid_v7_or_random());
        ELSE
            -- A row of the outbox joins what its item already carries; a fresh id is the last resort.
            NEW.correlation_id := public.outbox_correlation(NEW.outbox_id, NEW.tenant_id, NEW.instruction_id);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.set_correlation_id_if_null() IS 'Keeps a given correlation id, fills a missing one with that of the instruction''s other rows, else a fresh one (INV-092).';
REVOKE EXECUTE ON FUNCTION public.set_correlation_id_if_null() FROM PUBLIC;

CREATE TRIGGER trg_set_corr_id_ingress_attestations BEFORE INSERT ON public.ingress_attestations
    FOR EACH ROW EXECUTE FUNCTION public.set_correlation_id_if_null();
ALTER TABLE public.ingress_attestations ENABLE ALWAYS TRIGGER trg_set_corr_id_ingress_attestations;
-- On UPDATE too: a queued row from before heals when it is first claimed, retried or repaired.
CREATE TRIGGER trg_set_corr_id_payment_outbox_pending BEFORE INSERT OR UPDATE ON public.payment_outbox_pending
    FOR EACH ROW EXECUTE FUNCTION public.set_correlation_id_if_null();
ALTER TABLE public.payment_outbox_pending ENABLE ALWAYS TRIGGER trg_set_corr_id_payment_outbox_pending;
CREATE TRIGGER trg_set_corr_id_payment_outbox_attempts BEFORE INSERT ON public.payment_outbox_attempts
    FOR EACH ROW EXECUTE FUNCTION public.set_correlation_id_if_null();
ALTER TABLE public.payment_outbox_attempts ENABLE ALWAYS TRIGGER trg_set_corr_id_payment_outbox_attempts;

ALTER TABLE public.ingress_attestations
    ADD CONSTRAINT ingress_attestations_correlation_required_new_rows_chk CHECK (correlation_id IS NOT NULL) NOT VALID;
ALTER TABLE public.payment_outbox_attempts
    ADD CONSTRAINT payment_outbox_attempts_correlation_required_new_rows_chk CHECK (correlation_id IS NOT NULL) NOT VALID;
ALTER TABLE public.payment_outbox_pending
    ADD CONSTRAINT payment_outbox_pending_correlation_required_new_rows_chk CHECK (correlation_id IS NOT NULL) NOT VALID;

-- Proofs --------------------------------------------------------------------------------------------------------------------------------

ALTER TABLE public.external_proofs
    ADD COLUMN tenant_id uuid,
    ADD COLUMN billable_client_id uuid,
    ADD COLUMN subject_member_id uuid,
    ADD COLUMN correlation_id uuid,
    ADD CONSTRAINT external_proofs_tenant_fk FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id) NOT VALID,
    ADD CONSTRAINT external_proofs_billable_client_fk
        FOREIGN KEY (billable_client_id) REFERENCES public.billable_clients (billable_client_id) NOT VALID,
    ADD CONSTRAINT external_proofs_subject_member_fk
        FOREIGN KEY (subject_member_id) REFERENCES public.tenant_members (member_id) NOT VALID,
    ADD CONSTRAINT external_proofs_tenant_required_new_rows_chk CHECK (tenant_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT external_proofs_billable_client_required_new_rows_chk CHECK (billable_client_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT external_proofs_correlation_required_new_rows_chk CHECK (correlation_id IS NOT NULL) NOT VALID;
COMMENT ON COLUMN public.external_proofs.billable_client_id IS 'The tenant''s payer when the proof was recorded; derived, never taken from the writer.';
COMMENT ON COLUMN public.external_proofs.correlation_id IS 'The attestation''s; for one from before, what its earlier proofs or its item carry, else the attestation''s own id.';

-- With the owner's rights, so that who may record a proof need not be able to read tenants.
CREATE FUNCTION public.set_external_proofs_attribution() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_attestation record;
    v_payer uuid;
    v_member_tenant uuid;
    v_correlation_id uuid;
BEGIN
    SELECT i.tenant_id, i.instruction_id, i.correlation_id INTO v_attestation
      FROM public.ingress_attestations AS i
     WHERE i.attestation_id = NEW.attestation_id;
    IF NOT FOUND OR v_attestation.tenant_id IS NULL THEN
        RAISE EXCEPTION 'the proof''s attestation does not exist or has no tenant'
            USING ERRCODE = 'P7211', HINT = 'Record the attestation first.';
    END IF;
    -- The lock makes a change of the tenant's payer wait until this proof is committed, and the other way round.
    SELECT t.billable_client_id INTO v_payer
      FROM public.tenants AS t
     WHERE t.tenant_id = v_attestation.tenant_id
       FOR SHARE;
    IF NOT FOUND OR v_payer IS NULL THEN
        RAISE EXCEPTION 'the proof''s tenant does not exist or has no payer'
            USING ERRCODE = 'P7212', HINT = 'Assign the tenant its payer first.';
    END IF;
    IF NEW.tenant_id <> v_attestation.tenant_id THEN
        RAISE EXCEPTION 'the proof names another tenant than its attestation'
            USING ERRCODE = 'P7213', HINT = 'Leave the tenant out; it is derived.';
    END IF;
    IF NEW.billable_client_id <> v_payer THEN
        RAISE EXCEPTION 'the proof names another payer than its tenant has'
            USING ERRCODE = 'P7214', HINT = 'Leave the payer out; it is derived.';
    END IF;
    IF NEW.subject_member_id IS NOT NULL THEN
        SELECT m.tenant_id INTO v_member_tenant FROM public.tenant_members AS m WHERE m.member_id = NEW.subject_member_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the proof''s subject does not exist'
                USING ERRCODE = 'foreign_key_violation', HINT = 'Register the member with its tenant first.';
        END IF;
        IF v_member_tenant <> v_attestation.tenant_id THEN
            RAISE EXCEPTION 'the proof''s subject belongs to another tenant'
                USING ERRCODE = 'P7202', HINT = 'Give a member of this tenant.';
        END IF;
    END IF;
    -- An attestation from before may carry no id: then what an earlier proof or its outbox item carries, so that all of them join;
    -- without either its own id stands in, as in outbox_correlation().
    v_correlation_id := coalesce(
        v_attestation.correlation_id,
        (SELECT e.correlation_id FROM public.external_proofs AS e
          WHERE e.attestation_id = NEW.attestation_id AND e.correlation_id IS NOT NULL
          ORDER BY e.created_at, e.proof_id LIMIT 1),
        (SELECT p.correlation_id FROM public.payment_outbox_pending AS p
          WHERE p.tenant_id = v_attestation.tenant_id AND p.instruction_id = v_attestation.instruction_id
            AND p.correlation_id IS NOT NULL
          ORDER BY p.created_at, p.outbox_id LIMIT 1),
        (SELECT a.correlation_id FROM public.payment_outbox_attempts AS a
          WHERE a.tenant_id = v_attestation.tenant_id AND a.instruction_id = v_attestation.instruction_id
            AND a.correlation_id IS NOT NULL
          ORDER BY a.created_at, a.attempt_id LIMIT 1),
        NEW.attestation_id);
    IF NEW.correlation_id <> v_correlation_id THEN
        RAISE EXCEPTION 'the proof names another correlation id than its attestation'
            USING ERRCODE = 'P7215', HINT = 'Leave the correlation id out; it is derived.';
    END IF;
    NEW.tenant_id := v_attestation.tenant_id;
    NEW.billable_client_id := v_payer;
    NEW.correlation_id := v_correlation_id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.set_external_proofs_attribution() IS 'A proof''s tenant, payer and correlation id are derived from its attestation, or the proof is refused (INV-091).';
REVOKE EXECUTE ON FUNCTION public.set_external_proofs_attribution() FROM PUBLIC;
CREATE TRIGGER trg_set_external_proofs_attribution BEFORE INSERT ON public.external_proofs
    FOR EACH ROW EXECUTE FUNCTION public.set_external_proofs_attribution();
ALTER TABLE public.external_proofs ENABLE ALWAYS TRIGGER trg_set_external_proofs_attribution;
