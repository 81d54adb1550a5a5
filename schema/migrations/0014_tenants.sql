-- 0014_tenants.sql
-- Guarantee: a tenant is the commercial and policy boundary (INV-062).   Locks: none on existing tables.
CREATE TABLE public.tenants (
    tenant_id   uuid         NOT NULL DEFAULT gen_random_uuid(),
    tenant_key  text         NOT NULL,
    tenant_name text         NOT NULL,
    tenant_type text         NOT NULL,
    status      text         NOT NULL DEFAULT 'ACTIVE',
    created_at  timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenants_tenant_key_key UNIQUE (tenant_key),
    CONSTRAINT tenants_tenant_type_check CHECK (tenant_type IN ('NGO', 'COOPERATIVE', 'GOVERNMENT', 'COMMERCIAL')),
    CONSTRAINT tenants_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED'))
);
CREATE INDEX idx_tenants_status ON public.tenants (status);
COMMENT ON TABLE public.tenants IS 'Commercial and policy boundary. The status informs only, in this phase.';
REVOKE ALL ON TABLE public.tenants FROM PUBLIC;
