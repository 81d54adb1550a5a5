-- The ledger: what ran, and the bytes it ran from. Made by the runner under its lock, never by a migration.
-- version is the file name with its ending; checksum the lower-case sha256 of the file's bytes.
CREATE TABLE public.schema_migrations (
    version     text         NOT NULL,
    checksum    text         NOT NULL,
    applied_at  timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);
REVOKE ALL ON TABLE public.schema_migrations FROM PUBLIC;
COMMENT ON TABLE public.schema_migrations IS 'Migrations applied, written by the runner in the transaction of each file';
