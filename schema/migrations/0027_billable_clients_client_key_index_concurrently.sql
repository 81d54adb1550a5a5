-- symphony:no_tx
-- 0027_billable_clients_client_key_index_concurrently.sql
-- Guarantee: a payer's key is unique (AC5, INV-094); a correlation id's proofs are found through an index.
-- Locks: SHARE UPDATE EXCLUSIVE on billable_clients, then on external_proofs.
CREATE UNIQUE INDEX CONCURRENTLY ux_billable_clients_client_key
    ON public.billable_clients (client_key) WHERE client_key IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_external_proofs_correlation_id
    ON public.external_proofs (correlation_id) WHERE correlation_id IS NOT NULL;
