-- symphony:no_tx
-- 0013_outbox_pending_indexes_concurrently.sql
-- Guarantee: the claim index of 0007 stands on databases whose queue was already busy (INV-031). Where 0007 built it, it is adopted.
-- Locks: SHARE UPDATE EXCLUSIVE on payment_outbox_pending.
CREATE INDEX CONCURRENTLY idx_payment_outbox_pending_due_claim
    ON public.payment_outbox_pending (next_attempt_at, lease_expires_at, created_at);
