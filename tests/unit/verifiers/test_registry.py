"""The list of invariants: unique names, every promise told, chosen by any of its names, light to import."""

from __future__ import annotations

import re
import subprocess  # noqa: TID251 - a process of its own shows what an import alone loads
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.errors.base import ExitCode
from scripts.errors.settings import UsageError
from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.run import select_invariants

ROOT = Path(__file__).resolve().parents[3]
# Names that the evidence's readers know.
CONTRACT = {
    "role_login_posture", "boz_observability_role", "table_conventions", "outbox_pending_indexes",
    "outbox_mvcc_posture", "ci_invariant_gate", "ingress_attestation", "tenant_member_hooks",
    "business_foundation_hooks", "revocation_tables", "outbox_terminal_uniqueness", "outbox_notify",
    "idempotency_zombie", "outbox_claim_semantics", "outbox_lease_fencing", "ingress_hotpath_indexes",
    "no_tx_migrations", "n_minus_one",
}  # fmt: skip


def test_names_are_unique_and_belong_together() -> None:
    """Id, check id and evidence name are one name in three spellings, and nobody else's."""
    for attribute in ("id", "check_id", "stem"):
        assert max(Counter(getattr(one, attribute) for one in INVARIANTS).values()) == 1
    for one in INVARIANTS:
        assert one.stem == one.id.replace("-", "_")
        assert one.check_id.startswith("DB-")
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.id)


def test_the_known_evidence_is_there() -> None:
    """Every name of the predecessor's evidence about 0001 to 0027, the hot paths in their own folder."""
    assert {one.stem for one in INVARIANTS} >= CONTRACT
    assert {one.stem for one in INVARIANTS if one.folder == "phase1"} == {"ingress_hotpath_indexes"}


def test_every_promise_is_told() -> None:
    """One line without a full stop, what holds it, numbers in their form."""
    for one in INVARIANTS:
        assert one.promise
        assert not re.search(r"\.$|\n", one.promise)
        assert one.held_by
        assert one.invariant_ids
        assert all(re.fullmatch(r"INV-\d{3}", number) for number in one.invariant_ids)
        assert all(re.fullmatch(r"D-\d{2}", number) for number in one.answers)
        assert all(re.fullmatch(r"AC[1-6]", number) for number in one.criteria)
        assert one.origin_task_id or not one.failure_signature
        assert one.severity in {"P0", "P1"}
    assert {number for one in INVARIANTS for number in one.criteria} == {f"AC{n}" for n in range(1, 7)}


def test_selection_takes_any_name_in_the_lists_order() -> None:
    """Kebab or snake case, check id, any letter case, each once."""
    names = ["revocation_tables", "DB-OUTBOX-NOTIFY", "Revocation-Tables", "outbox-mvcc-posture"]

    assert [one.id for one in select_invariants(names)] == ["outbox-mvcc-posture", "revocation-tables", "outbox-notify"]


@pytest.mark.parametrize("only", [["nonsense"], ["revocation-tables", ""], [], ["revocation-tables", "x"]])
def test_an_unknown_or_empty_selection_is_an_error(only: list[str]) -> None:
    """Nothing selected is never everything, and a slip of the pen is not left out in silence."""
    with pytest.raises(UsageError) as caught:
        select_invariants(only)

    text = str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    if only:
        assert "no gate of that name" in text
        assert "revocation-tables" in text
        assert ("(an empty name)" in text) == ("" in only)
    else:
        assert "the selection is empty" in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            UnaskedError.role_out_of_reach("a, b", sqlstate="42501"),
            (
                "error[unasked]: the probes cannot act as a, b\n  SQLSTATE  42501\n"
                "  help: verify as the role that made a, b, or as a superuser"
            ),
        ),
        (
            UnaskedError.refused(sqlstate="55P03", name="LockNotAvailable"),
            (
                "error[unasked]: the database gave no answer\n  SQLSTATE  55P03 LockNotAvailable\n"
                "  help: repeat it alone with the command above; 55P03 and 57014 mean that others hold what it needs"
            ),
        ),
        (
            UnaskedError.lock_busy("public.t", "SHARE", budget_ms=100, sqlstate="55P03", name="LockNotAvailable"),
            (
                "error[unasked]: the SHARE lock on public.t was not free within 100 ms\n"
                "  SQLSTATE  55P03 LockNotAvailable\n"
                "  help: repeat it when no open transaction has used public.t or a table that refers to it; "
                "while it waits, others wait behind it, so it does not wait longer"
            ),
        ),
        (
            UnaskedError.own_fault("ValueError", "attempts.py:7"),
            (
                "error[unasked]: attempts.py:7: the verifier itself failed\n  fault  ValueError at attempts.py:7\n"
                "  help: report it; the other invariants were asked all the same"
            ),
        ),
        (
            UnaskedError.connection_lost(),
            (
                "error[unasked]: the connection to the database was lost\n"
                "  help: the next invariant gets a new connection; repeat this one alone"
            ),
        ),
    ],
)
def test_error_texts(error: UnaskedError, text: str) -> None:
    """Each error says what, and what to do next."""
    assert str(error) == text
    assert error.exit_code is ExitCode.FAILED


def test_the_list_is_light() -> None:
    """Importing it loads neither the driver nor the parser: `invoke --list` and the CI matrix read it."""
    code = "import sys, scripts.verifiers.registry; print(sorted({'psycopg', 'postgast', 'docker'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
