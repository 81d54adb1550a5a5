"""Every parameter that can be stored for a worker's login is stored, and what the worker then gets is compared.

So the list in facts/stored.py is a measurement: what stops a worker or changes its answers is in it, under the value
that did so. What it takes two sessions, a crash or damage to see is beside it in docs/adr/0058.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from scripts.verifiers.facts.sessions import settings_of
from scripts.verifiers.facts.stored import HARMLESS_IF, decisive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.conftest import Bench

WORKER = "mutant_every"
# What a worker does, one after the other; it is all taken back.
SCRIPT = r"""
SET ROLE symphony_ingest;
SELECT state, sequence_id > 0 FROM public.enqueue_payment_outbox('i', 'every', 'a\b', 'rail',
    '{"amount": 1.10, "large": 1e400, "at": "2026-03-01T10:22:05+05:45", "none": null}');
-- The same request, its key written so that it is the same under every setting.
SELECT state FROM public.enqueue_payment_outbox('i', 'every', 'a' || chr(92) || 'b', 'rail',
    '{"amount": 1.10, "large": 1e400, "at": "2026-03-01T10:22:05+05:45", "none": null}');
SELECT state FROM public.enqueue_payment_outbox('i', 'every', 'a' || chr(92) || 'b', 'rail', '{}');
SELECT state FROM public.enqueue_payment_outbox('i', ' ', 'other', 'rail', '{}');
-- One key, as a driver writes it that sends UTF-8 and says nothing of it, and by its number.
SELECT state FROM public.enqueue_payment_outbox('i', 'every', 'clé', 'rail', '{"to": "Zoë"}');
SELECT state FROM public.enqueue_payment_outbox('i', 'every', 'cl' || chr(233), 'rail',
    jsonb_build_object('to', 'Zo' || chr(235)));
SELECT E'it\'s';
INSERT INTO public.ingress_attestations (attestation_id, instruction_id, tenant_id, payload_hash, received_at)
    VALUES (gen_random_uuid(), 'i', gen_random_uuid(), 'h', now());
INSERT INTO public.payment_outbox_attempts DEFAULT VALUES;
-- As a worker writes it that leaves the schema to the path.
SELECT state FROM enqueue_payment_outbox('i', 'every', 'path', 'rail', '{}');
SET ROLE boz_auditor;
SELECT lo_get(4711);
SELECT count(*) FROM public.payment_outbox_pending WHERE participant_id = 'every';
SET ROLE symphony_executor;
SELECT c.instruction_id, c.attempt_count, c.lease_expires_at > clock_timestamp() + interval '59 seconds'
    FROM public.claim_outbox_batch(10, 'w', 60) AS c WHERE c.participant_id = 'every';
SELECT count(*) FROM public.claim_outbox_batch(10, 'w', 60);
SELECT public.complete_outbox_attempt(gen_random_uuid(), gen_random_uuid(), 'w', 'DISPATCHED');
SELECT count(*) FROM public.repair_expired_leases(10, 'w')
"""
STEPS = SCRIPT.split(";\n")
# Values of parameters that are texts; the others are tried from end to end.
TEXTS: dict[str, tuple[str, ...]] = {
    "DateStyle": ("German, DMY", "SQL, MDY"),
    "TimeZone": ("Asia/Kathmandu", "America/New_York"),
    "client_encoding": ("LATIN1", "EUC_JP", "SQL_ASCII", "unicode"),
    "default_tablespace": ("nonesuch",),
    "default_text_search_config": ("pg_catalog.simple",),
    "dynamic_library_path": ("/nonesuch", "$libdir"),
    "local_preload_libraries": ("nonesuch", "auto_explain, pg_stat_statements", "$libdir/auto_explain", ""),
    "restrict_nonsystem_relation_kind": ("view, foreign-table",),
    "role": ("symphony_readonly",),
    "search_path": ("pg_temp, public", "nonesuch", """'"$user", public'""", "'public, pg_temp'", '"PUBLIC"', "''"),
    "session_preload_libraries": ("nonesuch", "auto_explain, pg_stat_statements", '"auto_explain"', ""),
    "temp_tablespaces": ("nonesuch",),
    "timezone_abbreviations": ("India",),
}
PLPGSQL = (
    ("plpgsql.variable_conflict", "use_variable"),
    ("plpgsql.variable_conflict", "use_column"),
    ("plpgsql.extra_errors", "all"),
    ("plpgsql.extra_warnings", "all"),
    ("plpgsql.check_asserts", "off"),
    ("plpgsql.print_strict_params", "on"),
)


def answers(bench: Bench) -> list[Any]:
    """What the worker gets at each step: rows, or SQLSTATE and constraint."""
    told: list[Any] = []
    dsn = psycopg.conninfo.make_conninfo(bench.database.dsn, user=WORKER, password=WORKER)
    try:
        with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as conn:
            for step in STEPS:
                conn.execute("SAVEPOINT step")
                try:
                    cursor = conn.execute(step.encode())
                    told.append(cursor.fetchall() if cursor.description else "done")
                except psycopg.Error as exc:
                    told.append((exc.sqlstate, exc.diag.constraint_name))
                    conn.execute("ROLLBACK TO step")
            conn.rollback()
    except psycopg.Error:
        told.append("the session is over")
    return told


def parameters(bench: Bench) -> Iterator[tuple[str, str]]:
    """Each parameter that can be stored, with each value that it is tried under."""
    rows = bench.admin.execute(
        "SELECT name, vartype, min_val, max_val, enumvals, reset_val FROM pg_catalog.pg_settings "
        "WHERE context NOT IN ('internal', 'postmaster', 'sighup') AND name !~ '[.]' ORDER BY name"
    ).fetchall()
    for name, kind, least, most, words, usual in rows:
        if kind == "bool":
            values = ["off" if usual == "on" else "on"]
        elif kind == "enum":
            values = [word for word in words if word != usual and not word.startswith("debug")]
        elif kind == "string":
            values = [*TEXTS.get(name, ("x",))]
        else:
            values = sorted({least, most, "1"} - {usual})
        yield from ((name, value) for value in values)
    yield from (("role", value) for value in TEXTS["role"])
    yield from PLPGSQL


def test_what_changes_a_workers_answers_is_in_the_list(bench: Bench) -> None:
    """Whatever turns one answer into another is told, under that value; no parameter of the list is missing here."""
    bench.admin.execute("DO $$ BEGIN PERFORM lo_create(4711); END $$")
    login = sql.SQL(
        "CREATE ROLE {0} LOGIN PASSWORD {1}; "
        "GRANT symphony_ingest, symphony_executor, boz_auditor, symphony_readonly TO {0}"
    ).format(sql.Identifier(WORKER), sql.Literal(WORKER))
    bench.admin.execute(login)
    usual, missed, tried = answers(bench), [], set()
    try:
        assert usual == answers(bench)
        assert usual[1:5] == [[("PENDING", True)], [("PENDING",)], ("P7104", None), ("P7105", None)]
        for name, value in parameters(bench):
            store = sql.SQL("ALTER ROLE {} SET {} = {}").format(
                sql.Identifier(WORKER), sql.SQL(name), sql.SQL(value) if name == "search_path" else sql.Literal(value)
            )
            try:
                bench.admin.execute(store)
            except psycopg.Error:
                # Not under that value, or not for a role.
                continue
            tried.add(name.lower())
            # What is judged is what the server made of it: in quotes a list is one item.
            ((entry,),) = bench.admin.execute(
                "SELECT s.setconfig[1] FROM pg_catalog.pg_db_role_setting AS s JOIN pg_catalog.pg_roles AS r "
                "ON r.oid = s.setrole WHERE r.rolname = %s",
                [WORKER],
            ).fetchall()
            found = answers(bench)
            bench.admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(WORKER)))
            if found != usual and decisive(settings_of([("", entry, None)])) == "none":
                missed.append(entry)
    finally:
        bench.admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(WORKER)))

    assert missed == []
    assert len(tried) > 180
    # This one can be set, and not stored.
    assert HARMLESS_IF.keys() - tried <= {"session_authorization"}
