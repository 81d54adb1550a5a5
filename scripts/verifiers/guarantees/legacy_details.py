"""The evidence fields `checks` and `failures` in the form that readers of the predecessor's evidence know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.verifiers.model import Findings


def name_list(findings: Findings) -> None:
    """Add `details.checks` as "name=t" or "name=f", and `details.failures`, of the checks kept so far."""
    findings.details["details"] = {
        "checks": [f"{check.id}={'t' if check.holds else 'f'}" for check in findings.checks],
        "failures": list(findings.failed()),
    }
