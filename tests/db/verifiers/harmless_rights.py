"""Harmless changes of roles, settings, owners and upkeep, beside those of harmless.py; a superuser makes them."""

from __future__ import annotations

RIGHTS = {
    "a queue that is vacuumed later, or sooner": (
        "ALTER TABLE public.payment_outbox_pending SET (autovacuum_vacuum_scale_factor = 1, "
        "autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_max_threshold = 500000, "
        "autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 50, vacuum_truncate = off, "
        "toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 1000)"
    ),
    "a reader whose doings nobody counts": "ALTER ROLE boz_auditor SET track_counts = off",
    "a reporting tool that may use what everybody may": (
        "CREATE ROLE reports_{n} LOGIN; GRANT USAGE ON SCHEMA public TO reports_{n} WITH GRANT OPTION"
    ),
    "a role that is told what it is": "ALTER ROLE symphony_ingest VALID UNTIL 'infinity' CONNECTION LIMIT -1 INHERIT",
    "a worker's login with limits of its own": (
        "CREATE ROLE worker_{n} LOGIN NOINHERIT CONNECTION LIMIT 5 VALID UNTIL '2090-01-01'; "
        "GRANT symphony_ingest TO worker_{n}"
    ),
    "a worker's letters, told": (
        "CREATE ROLE worker_{n} LOGIN; GRANT symphony_ingest TO worker_{n}; "
        "ALTER ROLE worker_{n} SET client_encoding = 'UTF8'; "
        "ALTER ROLE symphony_control SET client_encoding = 'unicode'"
    ),
}
