"""The release before: its statements are sent to both releases, and only the announced breaks may differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.errors.verifiers import StatementsError
from scripts.verifiers.guarantees import n_minus_one
from scripts.verifiers.guarantees.n_minus_one import probe_of, read_statements
from scripts.verifiers.model import Findings
from scripts.verifiers.probes.playing import play

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    from fix_database import MigratedDatabase, ScratchDatabase

ENTRY = '{"name": "a", "role": "", "sql": "S", "answer": "x", "broken_by": "B"}'


def listed(*entries: str) -> str:
    """A file of these entries."""
    return f'{{"statements": [{", ".join(entries)}]}}'


def answers(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Each statement's answer on this database, every trace rolled back."""
    findings = Findings()
    with conn.transaction(force_rollback=True):
        play(conn, findings, [probe_of(one) for one in read_statements()], as_agreed=True)
    return {check.id: str(check.observed) for check in findings.checks}


def test_the_answers_are_those_of_the_release_itself(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """What the file says of 0025 is what 0025 answers: the list is no wish (D-26)."""
    with migrated_to(25).connect() as conn:
        assert answers(conn) == {one.name: one.before for one in read_statements()}


def test_only_announced_breaks_differ(database: ScratchDatabase) -> None:
    """After 0027 everything is answered as before, save a tenant without payer and a payer without key (D-26, AC6)."""
    with database.connect() as conn:
        assert answers(conn) == {one.name: one.answer for one in read_statements()}
    assert {one.answer for one in read_statements() if one.announced} == {
        "23514 tenants_billable_client_required_new_rows_chk",
        "23514 billable_clients_client_key_required_new_rows_chk",
    }


@pytest.mark.parametrize(
    ("breakage", "name"),
    [
        ("DROP FUNCTION public.claim_outbox_batch(integer, text, integer)", "claim"),
        ("REVOKE SELECT ON public.policy_versions FROM symphony_executor", "boot query"),
        ("ALTER TABLE public.ingress_attestations ALTER COLUMN signatures DROP DEFAULT", "record an attestation"),
        ("ALTER TABLE public.external_proofs ALTER COLUMN provider_ref SET NOT NULL", "record a proof"),
        (
            "ALTER TABLE public.payment_outbox_pending RENAME COLUMN upstream_ref TO upstream",
            "read the queue with every column of 0025",
        ),
    ],
    ids=["a function dropped", "a grant revoked", "a default dropped", "a column made required", "a column renamed"],
)
def test_a_change_that_old_statements_do_not_survive_is_found(
    database: ScratchDatabase, breakage: str, name: str
) -> None:
    """What a comparison of columns and types does not see (D-26)."""
    with database.connect() as conn:
        conn.execute(breakage.encode())
        expected = {one.name: one.answer for one in read_statements()}
        observed = answers(conn)
    assert name in {key for key, value in observed.items() if expected[key] != value}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        listed(),
        listed('{"name": "a", "role": "", "sql": "SELECT 1", "broken_by": "B"}'),
        listed(ENTRY.replace('"answer": "x"', '"answer": "x", "answer_before": "y"')),
        listed(ENTRY, ENTRY),
        listed(ENTRY.replace(', "broken_by": "B"', "")),
        listed(ENTRY.replace('"B"', '""')),
        listed(ENTRY.replace('"B"', '["f", "old"]')),
        listed(ENTRY.replace('"B"', '["f", "old", 1]')),
    ],
    ids=[
        "empty",
        "a list",
        "none",
        "no answer",
        "a break without its reason",
        "one name twice",
        "nothing that breaks it",
        "an empty violation",
        "a change to nothing",
        "a change to a number",
    ],
)
def test_statements_that_prove_nothing_are_refused(tmp_path: Path, text: str) -> None:
    """A file without statements is an error, not a pass; a break without its reason is one, too."""
    path = tmp_path / "n_minus_one.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StatementsError, match=r"error\[statements\]: n_minus_one.yml: the statements of"):
        read_statements(path)


def test_the_entry_those_are_made_of_is_whole(tmp_path: Path) -> None:
    """Each of the files above is refused for what its name says, and for nothing else."""
    path = tmp_path / "n_minus_one.yml"
    path.write_text(listed(ENTRY), encoding="utf-8")

    assert [(one.name, one.broken_by) for one in read_statements(path)] == [("a", "B")]


def test_the_file_is_json(tmp_path: Path) -> None:
    """The subset of YAML that is JSON: one parser, no surprises."""
    assert json.loads(n_minus_one.STATEMENTS.read_text(encoding="utf-8"))["version"] == 1
    with pytest.raises(StatementsError):
        read_statements(tmp_path / "missing.yml")
