-- 0022_participants_registry.sql
-- Guarantee: rail participants are registered (INV-102).   Locks: none on existing tables.
CREATE TABLE public.participants (
    participant_id   text         NOT NULL,
    legal_name       text         NOT NULL,
    participant_kind text         NOT NULL,
    status           text         NOT NULL DEFAULT 'ACTIVE',
    created_at       timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT participants_pkey PRIMARY KEY (participant_id),
    CONSTRAINT participants_participant_kind_check
        CHECK (participant_kind IN ('BANK', 'MMO', 'NGO', 'GOV_PROGRAM', 'COOP_FEDERATION', 'ENTERPRISE', 'INTERNAL')),
    CONSTRAINT participants_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED'))
);
COMMENT ON TABLE public.participants IS 'Registry of rail participants (INV-102).';
REVOKE ALL ON TABLE public.participants FROM PUBLIC;
