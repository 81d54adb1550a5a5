"""Mutants that somebody else wrote: whatever stands in the file, each is told, and nothing of any of them stays."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.verifiers.mutants import ask
from scripts.verifiers.mutants.blocks import parse_blocks
from scripts.verifiers.mutants.model import Fate

if TYPE_CHECKING:
    import pytest
    from fix_database import ScratchDatabase

    from scripts.verifiers.mutants.ask import Bench

ROOT = Path(__file__).resolve().parents[3]
GUARD = "DROP TRIGGER trg_deny_external_proofs_mutation ON public.external_proofs"
EVIL = "CREATE PROCEDURE public.evil() LANGUAGE plpgsql AS $$ BEGIN DROP TABLE public.tenants CASCADE; COMMIT; END $$"
LATE = "CREATE TABLE public.a (i int PRIMARY KEY, j int REFERENCES public.a DEFERRABLE INITIALLY DEFERRED)"
# Name → block, fate, and how what is told begins.
GIVEN = {
    "killed": (GUARD, Fate.KILLED, "table-definitions/"),
    "several statements": (f"SELECT 1; {GUARD}; SELECT 2", Fate.KILLED, "table-definitions/"),
    "in a DO block": (f"DO $$ BEGIN EXECUTE '{GUARD}'; END $$", Fate.KILLED, "table-definitions/"),
    "as superuser": ("ALTER ROLE symphony_executor SUPERUSER", Fate.KILLED, "table-privileges/"),
    "the whole schema": ("DROP SCHEMA public CASCADE", Fate.KILLED, ""),
    "the schema's name": ("ALTER SCHEMA public RENAME TO gone", Fate.KILLED, ""),
    "the ledger": ("DROP TABLE public.schema_migrations", Fate.KILLED, ""),
    "rows": ("UPDATE public.schema_migrations SET checksum = repeat('0', 64)", Fate.KILLED, "migration-history/"),
    "nothing": ("SELECT 1", Fate.SURVIVED, ""),
    "a comment": ("COMMENT ON TABLE public.tenants IS 'x'", Fate.SURVIVED, ""),
    "an error": ("SELECT 1; DROP TABLE public.nothing", Fate.FAILED, "x.sql:2 was refused: SQLSTATE 42P01"),
    "COMMIT": (f"{GUARD}; COMMIT", Fate.FAILED, "x.sql:2:"),
    "COMMIT in a DO block": (f"DO $$ BEGIN {GUARD}; COMMIT; END $$", Fate.FAILED, "x.sql:2 was refused: SQLSTATE 2D"),
    "COMMIT in a procedure": (f"{EVIL}; CALL public.evil()", Fate.FAILED, "x.sql:2 was refused: SQLSTATE 2D000"),
    "outside a transaction": ("VACUUM public.tenants", Fate.FAILED, "x.sql:2:1: VACUUM cannot be undone"),
    "a late refusal": (
        f"{LATE}; INSERT INTO public.a VALUES (1, 2)",
        Fate.FAILED,
        "x.sql:2 could not be committed: SQLSTATE 23503",
    ),
    "its own session": (
        "SELECT pg_terminate_backend(pg_backend_pid())",
        Fate.FAILED,
        "x.sql:2 was refused: SQLSTATE 57",
    ),
    "without an end": ("SELECT pg_sleep(100)", Fate.FAILED, "x.sql:2 was refused: SQLSTATE 57014"),
    "no SQL": ("SELECT FROM WHERE", Fate.FAILED, "x.sql:2:13: syntax error"),
    "empty": ("-- nothing", Fate.FAILED, "x.sql:1: a mutant without a statement"),
}


def test_each_is_told_and_nothing_stays(
    breaker: Bench, database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other on one database: fate and reason of each, the catalog as it was after each, all green."""
    monkeypatch.setattr(ask, "STATEMENT_TIMEOUT_MS", 1_500)
    watch = database.connect()
    before = fingerprint(read_catalog(watch))
    for name, (block, fate, told) in GIVEN.items():
        (mutant,) = parse_blocks(f"-- mutant: {name}\n{block};\n", where="x.sql")
        verdict = breaker.judge(mutant)
        assert (name, verdict.fate) == (name, fate), verdict
        assert (verdict.by or verdict.reason).startswith(told), verdict
        assert fingerprint(read_catalog(watch)) == before, name
    assert breaker.green(["table-definitions", "migration-history", "append-only-ledgers"]) == {}


def test_a_file_from_end_to_end(tmp_path: Path) -> None:
    """`invoke mutants --from`: exit 1 where one is not killed, every mutant in the JSON with fate and reason."""
    parts = [
        f"-- mutant: {name}\r\n{GIVEN[name][0]};\r\n" for name in ("killed", "nothing", "COMMIT", "no SQL", "rows")
    ]
    file = tmp_path / "given.sql"
    file.write_bytes(b"\xef\xbb\xbf" + "".join([*parts, parts[0]]).encode())
    steering = ("MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB", "MIGRATE_ROLE", "POSTGRES_DB", "DATABASE_URL", "FRESH_DB")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "mutants", "--from", str(file), "--json"],
        cwd=ROOT,
        env=kept | {"SERVER": "embedded", "EVIDENCE_ROOT": str(tmp_path / "evidence"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [(one["name"], one["fate"]) for one in found["mutants"]] == [
        ("killed", "killed"),
        ("nothing", "survived"),
        ("COMMIT", "failed"),
        ("no SQL", "failed"),
        ("rows", "killed"),
        ("killed (line 11)", "killed"),
    ]
    assert [one["name"] for one in found["survivors"]] == ["nothing"]
    assert [one["name"] for one in found["errors"]] == ["COMMIT", "no SQL"]
    assert all(one["reason"] for one in found["errors"])
    assert (found["total"], found["killed"], found["waived"]) == (6, 3, 0)
    assert found["seconds"] >= 0
