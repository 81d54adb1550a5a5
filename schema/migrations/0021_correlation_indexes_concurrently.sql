-- symphony:no_tx
-- 0021_correlation_indexes_concurrently.sql
-- Guarantee: the rows of one correlation id are found through an index (INV-092, INV-118).
-- Locks: SHARE UPDATE EXCLUSIVE on the three tables, one after the other.
CREATE INDEX CONCURRENTLY idx_ingress_attestations_tenant_correlation
    ON public.ingress_attestations (tenant_id, correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_ingress_attestations_correlation_id
    ON public.ingress_attestations (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_payment_outbox_pending_tenant_correlation
    ON public.payment_outbox_pending (tenant_id, correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_payment_outbox_pending_correlation_id
    ON public.payment_outbox_pending (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_payment_outbox_attempts_tenant_correlation
    ON public.payment_outbox_attempts (tenant_id, correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_payment_outbox_attempts_correlation_id
    ON public.payment_outbox_attempts (correlation_id) WHERE correlation_id IS NOT NULL;
