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
from scripts.gates import all_gates
from scripts.migrations.folder.files import read_files
from scripts.settings import Settings
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.registry.brought import BROUGHT_BY
from scripts.verifiers.registry.numbers import NUMBERS, ROADMAP, number_of
from scripts.verifiers.registry.tasks import FOUNDATION, TIGHTENED, TIGHTENING, TIGHTENING_MIGRATIONS
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
        assert re.fullmatch(r"P0(\.[A-Z][A-Z_0-9]*){2,}", one.failure_signature)
        assert one.origin_task_id in {FOUNDATION, TIGHTENING}
        assert one.severity in {"P0", "P1"}
    assert max(Counter(one.failure_signature for one in INVARIANTS).values()) == 1
    assert {number for one in INVARIANTS for number in one.criteria} == {f"AC{n}" for n in range(1, 7)}


def test_every_defect_of_the_predecessors_schema_is_somebodys() -> None:
    """What was wrong in tables, functions, roles and verifiers would be found; others are of runner and lints."""
    schema = {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18, 19, 26, 28, 29, 30, *range(32, 43), 45, 46}
    assert {answer for one in INVARIANTS for answer in one.answers} == {f"D-{number:02d}" for number in schema}
    assert all(one.answers for one in INVARIANTS)


# Every number of the manifest that concerns the database of 0001 to 0027.
MANIFEST = [
    *(
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
        21,
        22,
        23,
        28,
        29,
        31,
        32,
        33,
        34,
        35,
        36,
        39,
        40,
    ),
    *(
        41,
        42,
        43,
        61,
        62,
        63,
        64,
        65,
        66,
        67,
        68,
        70,
        77,
        80,
        81,
        90,
        91,
        92,
        93,
        94,
        95,
        96,
        97,
        98,
        99,
        100,
        102,
        103,
    ),
    *(104, 111, 117, 118),
]


def test_every_number_is_held_or_said_not_to_be() -> None:
    """Each number of the manifest is there once, held by a gate that exists, or beside the gates, or not built."""
    gates = {gate.id for gate in all_gates()}
    named = {number for one in INVARIANTS for number in one.invariant_ids}

    assert [number.id for number in NUMBERS] == [f"INV-{number:03d}" for number in MANIFEST]
    assert max(Counter(number.alias for number in NUMBERS).values()) == 1
    assert named <= {number.id for number in NUMBERS}
    for number in NUMBERS:
        assert re.fullmatch(r"I-[A-Z0-9-]+-\d\d", number.alias)
        assert set(number.gates) <= gates, number.id
        held = number.id in named or bool(number.gates)
        assert [held, bool(number.beside), bool(number.not_built)].count(True) == 1, number.id
        if number.beside:
            assert (ROOT / number.beside.partition(": ")[0]).is_file()


def test_what_is_not_built_never_passes() -> None:
    """No gate stands for a number of the roadmap, so that nothing can report a pass for it, or count it."""
    assert [number.id for number in ROADMAP] == ["INV-009", "INV-039", "INV-067", "INV-070", "INV-117"]
    claimed = {number for gate in all_gates() for number in gate.expected.invariants}

    assert not claimed & {number.id for number in ROADMAP}


def test_an_invariant_is_as_grave_as_the_gravest_of_its_numbers() -> None:
    """P0 comes before P1: no choice of the grave leaves a grave number out."""
    for one in INVARIANTS:
        assert one.severity <= min(number_of(number).severity for number in one.invariant_ids), one.id


def test_a_failure_names_the_task_that_tightened_last() -> None:
    """What needs 0026 or 0027 is owed by the task that brought them, and its failures begin with that task's name."""
    numbers = {file.number for file in read_files(Settings().migrations_dir)}
    assert list(BROUGHT_BY) == [one.id for one in INVARIANTS]
    for one in INVARIANTS:
        needed = BROUGHT_BY[one.id]
        assert needed == tuple(sorted(set(needed) & numbers))
        tightened = bool(set(needed) & set(TIGHTENING_MIGRATIONS))
        assert (one.origin_task_id == TIGHTENING) is tightened, one.id
        assert one.failure_signature.startswith(f"{TIGHTENED}.") is tightened, one.id


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
                "  help: verify as the role that made a, b, or as a superuser; or let one of them give the login what "
                "the maker has: GRANT a, b TO … WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
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
            UnaskedError.membership_busy("a, b", waited_ms=2000, sqlstate="55P03", name="LockNotAvailable"),
            (
                "error[unasked]: the membership in a, b was not free within 2000 ms\n"
                "  SQLSTATE  55P03 LockNotAvailable\n"
                "  help: repeat it when no open transaction, in any database of the server, grants or revokes "
                "one of them"
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
