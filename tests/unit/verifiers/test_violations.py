"""The words for a violation that cannot be planted, and the order in which a change is made."""

from __future__ import annotations

from scripts.errors.unplanted import UnplantedError
from scripts.verifiers.probes.violations import before


def test_a_body_that_reads_otherwise_says_what_was_looked_for() -> None:
    """Four parts: what, where, expected, help."""
    error = UnplantedError.reads_otherwise("public.claim_outbox_batch", expected="SKIP LOCKED")

    assert str(error) == (
        "error[unplanted]: could not be planted: the body of public.claim_outbox_batch reads otherwise\n"
        "  looked for  SKIP LOCKED\n"
        "  help: write the violation of this probe anew, against the function as it is now"
    )


def test_before_keeps_what_stood_there() -> None:
    """What is done first is put in front, and nothing is lost."""
    assert before("f", "RETURN 1;", "RETURN 2;") == ("f", "RETURN 1;", "RETURN 2; RETURN 1;")
