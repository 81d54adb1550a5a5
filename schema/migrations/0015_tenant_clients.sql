-- 0015_tenant_clients.sql
-- Guarantee: a client is an API identity within one tenant (INV-062).   Locks: SHARE ROW EXCLUSIVE on tenants (foreign key).
SET LOCAL lock_timeout = '500ms';
CREATE TABLE public.tenant_clients (
    client_id    uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_id    uuid         NOT NULL,
    client_key   text         NOT NULL,
    display_name text         NOT NULL,
    status       text         NOT NULL DEFAULT 'ACTIVE',
    created_at   timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT tenant_clients_pkey PRIMARY KEY (client_id),
    CONSTRAINT tenant_clients_tenant_id_client_key_key UNIQUE (tenant_id, client_key),
    CONSTRAINT tenant_clients_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants (tenant_id),
    CONSTRAINT tenant_clients_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED'))
);
CREATE INDEX idx_tenant_clients_tenant ON public.tenant_clients (tenant_id);
COMMENT ON TABLE public.tenant_clients IS 'API identity within a tenant.';
REVOKE ALL ON TABLE public.tenant_clients FROM PUBLIC;
