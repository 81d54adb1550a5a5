-- The ledger: what ran, and the bytes it ran from. Made by the runner under its lock, never by a migration.
-- version is the file name with its ending; checksum the lower-case sha256 of the file's bytes.
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version     text         NOT NULL,
    checksum    text         NOT NULL,
    applied_at  timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);
COMMENT ON TABLE public.schema_migrations IS 'Migrations applied, written by the runner in the transaction of each file';

-- Everything that was ever done to the ledger, a record each, only ever added to. Each holds the hash of the one before:
-- a record or a ledger row that is changed, removed or put in by hand does not fit any more.
CREATE TABLE public.schema_migrations_history (
    seq                bigint       NOT NULL,
    kind               text         NOT NULL,
    version            text         NOT NULL,
    checksum           text         NOT NULL,
    replaces           text         NOT NULL DEFAULT '',
    statements_digest  text         NOT NULL DEFAULT '',
    recorded_at        timestamptz  NOT NULL,
    recorded_by        text         NOT NULL,
    reason             text         NOT NULL DEFAULT '',
    trace_digest       text         NOT NULL DEFAULT '',
    previous_hash      text         NOT NULL,
    hash               text         NOT NULL,
    trace              text         NOT NULL DEFAULT '',
    CONSTRAINT schema_migrations_history_pkey PRIMARY KEY (seq),
    CONSTRAINT schema_migrations_history_kind_check CHECK (kind IN ('applied', 'adopted', 'accepted', 'abandoned'))
);
COMMENT ON TABLE public.schema_migrations_history IS 'Every change of the ledger, as a hash chain; only ever added to';

-- The statements of files that run without a transaction: which of them were begun, and which are done.
CREATE TABLE public.schema_migrations_journal (
    version     text         NOT NULL,
    statement   integer      NOT NULL,
    digest      text         NOT NULL,
    state       text         NOT NULL,
    started_at  timestamptz  NOT NULL,
    done_at     timestamptz,
    CONSTRAINT schema_migrations_journal_pkey PRIMARY KEY (version, statement),
    CONSTRAINT schema_migrations_journal_state_check CHECK (state IN ('started', 'done'))
);
COMMENT ON TABLE public.schema_migrations_journal IS 'How far a file without a transaction has come, statement by statement';

REVOKE ALL ON TABLE public.schema_migrations, public.schema_migrations_history, public.schema_migrations_journal FROM PUBLIC;
