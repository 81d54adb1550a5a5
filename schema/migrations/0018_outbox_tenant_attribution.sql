-- symphony:no_tx
-- 0018_outbox_tenant_attribution.sql
-- Guarantee: a tenant's due items are found through an index (INV-065).   Locks: SHARE UPDATE EXCLUSIVE on payment_outbox_pending.
-- The columns and keys that it builds on stand in 0001 and 0017, where a transaction holds them together.
CREATE INDEX CONCURRENTLY idx_payment_outbox_pending_tenant_due
    ON public.payment_outbox_pending (tenant_id, next_attempt_at) WHERE tenant_id IS NOT NULL;
