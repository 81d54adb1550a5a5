-- 0009_pending_fillfactor.sql
-- Guarantee: the lease columns are updated within their page (INV-033).   Locks: SHARE UPDATE EXCLUSIVE on payment_outbox_pending.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE public.payment_outbox_pending SET (fillfactor = 80);
