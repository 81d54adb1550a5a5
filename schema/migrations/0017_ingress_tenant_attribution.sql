-- 0017_ingress_tenant_attribution.sql
-- Guarantee: an attestation and an outbox row name tenants that exist; one attestation per tenant and instruction (INV-063, INV-065, INV-066).
-- Locks: ACCESS EXCLUSIVE on ingress_attestations and payment_outbox_attempts, SHARE ROW EXCLUSIVE on payment_outbox_pending, tenants,
-- tenant_clients, tenant_members. The foreign keys are added NOT VALID and validated in 0019, under a lock that stops nobody.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE public.ingress_attestations
    ADD COLUMN client_id uuid,
    ADD COLUMN client_id_hash text,
    ADD COLUMN member_id uuid,
    ADD COLUMN participant_id text,
    ADD COLUMN cert_fingerprint_sha256 text,
    ADD COLUMN token_jti_hash text,
    ADD CONSTRAINT ingress_attestations_tenant_id_fkey
        FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id) NOT VALID,
    ADD CONSTRAINT ingress_attestations_client_id_fkey
        FOREIGN KEY (client_id) REFERENCES public.tenant_clients (client_id) NOT VALID,
    ADD CONSTRAINT ingress_attestations_member_id_fkey
        FOREIGN KEY (member_id) REFERENCES public.tenant_members (member_id) NOT VALID;
CREATE UNIQUE INDEX ux_ingress_attestations_tenant_instruction ON public.ingress_attestations (tenant_id, instruction_id);
CREATE INDEX idx_ingress_attestations_member_received ON public.ingress_attestations (member_id, received_at)
    WHERE member_id IS NOT NULL;
CREATE INDEX idx_ingress_attestations_cert_fpr ON public.ingress_attestations (cert_fingerprint_sha256)
    WHERE cert_fingerprint_sha256 IS NOT NULL;

ALTER TABLE public.payment_outbox_attempts
    ADD COLUMN member_id uuid,
    ADD CONSTRAINT payment_outbox_attempts_tenant_id_fkey
        FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id) NOT VALID,
    ADD CONSTRAINT payment_outbox_attempts_member_id_fkey
        FOREIGN KEY (member_id) REFERENCES public.tenant_members (member_id) NOT VALID;
ALTER TABLE public.payment_outbox_pending
    ADD CONSTRAINT payment_outbox_pending_tenant_id_fkey
        FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id) NOT VALID;
