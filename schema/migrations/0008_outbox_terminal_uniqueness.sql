-- 0008_outbox_terminal_uniqueness.sql
-- Guarantee: an item has at most one terminal attempt (INV-032).   Locks: SHARE on payment_outbox_attempts, empty at this point of history.
SET LOCAL lock_timeout = '500ms';
CREATE UNIQUE INDEX ux_outbox_attempts_one_terminal_per_outbox ON public.payment_outbox_attempts (outbox_id)
    WHERE state IN ('DISPATCHED', 'FAILED');
