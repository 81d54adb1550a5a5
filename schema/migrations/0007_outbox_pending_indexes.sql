-- 0007_outbox_pending_indexes.sql
-- Guarantee: finding due items reads an index (INV-031).   Locks: SHARE on payment_outbox_pending, empty at this point of history.
SET LOCAL lock_timeout = '500ms';
CREATE INDEX idx_payment_outbox_pending_due_claim ON public.payment_outbox_pending (next_attempt_at, lease_expires_at, created_at);
