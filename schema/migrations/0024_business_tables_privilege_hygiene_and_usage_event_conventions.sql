-- 0024_business_tables_privilege_hygiene_and_usage_event_conventions.sql
-- Guarantee: PUBLIC holds nothing on any table; a usage event is recorded once per payer and key (INV-090, INV-104).
-- Locks: SHARE UPDATE EXCLUSIVE on ingress_attestations, then ACCESS EXCLUSIVE and SHARE on billing_usage_events. Nothing is rewritten.
SET LOCAL lock_timeout = '500ms';
-- First, while nothing stronger is held: the table is read here.
ALTER TABLE public.ingress_attestations VALIDATE CONSTRAINT ingress_attestations_signatures_is_array_check;
-- now() is evaluated once, when the column is added: rows from before read that moment.
ALTER TABLE public.billing_usage_events
    ADD COLUMN created_at timestamptz DEFAULT now(),
    ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX ux_billing_usage_events_idempotency ON public.billing_usage_events (billable_client_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
ALTER TABLE public.billing_usage_events
    ADD CONSTRAINT billing_usage_events_created_at_required_new_rows_chk CHECK (created_at IS NOT NULL) NOT VALID;

REVOKE ALL ON TABLE public.participants, public.billable_clients, public.billing_usage_events, public.external_proofs,
    public.evidence_packs, public.evidence_pack_items, public.evidence_pack_signatures, public.ingress_attestations,
    public.policy_versions, public.revoked_client_certs, public.revoked_tokens, public.tenants, public.tenant_clients,
    public.tenant_members
    FROM PUBLIC;
