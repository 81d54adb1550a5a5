"""The fields that readers of the predecessor's evidence look for are there, in their form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.digest import canonical_json
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

FIELDS = {
    "role-login-posture": {"roles_checked", "bad_roles"},
    "boz-observability-role": {
        "gate_id", "invariant_id", "role", "schema_privileges", "allowlist_tables", "errors",
    },
    "table-conventions": {"spec_file", "tables_checked", "checked_columns", "missing", "mismatched"},
    "outbox-pending-indexes": {
        "checked_objects", "expected_index", "expected_columns", "index_name", "index_columns", "index_definition",
        "errors",
    },
    "outbox-mvcc-posture": {"expected_fillfactor", "reloptions"},
    "ingress-attestation": {
        "table_exists", "index_instruction_id", "index_received_at", "append_only_trigger",
    },
    "tenant-member-hooks": {"details"},
    "business-foundation-hooks": {"details"},
    "revocation-tables": {"revoked_client_certs", "revoked_tokens", "trigger_certs", "trigger_tokens"},
    "outbox-terminal-uniqueness": {"terminal_uniqueness_result"},
    "outbox-notify": {"notify_result"},
    "no-tx-migrations": {"migration_applied", "index_exists", "index_validity"},
}  # fmt: skip


def test_the_fields_are_there_and_say_what_was_found(bench: Bench) -> None:
    """Names, and values of a sound database; everything is JSON."""
    results = bench.settle()
    details = {name: results[name].details for name in FIELDS}

    assert {name: set(found) for name, found in details.items()} == FIELDS
    assert details["outbox-mvcc-posture"]["reloptions"] == ["fillfactor=80"]
    for name, count, first in (
        ("business-foundation-hooks", 75, "participants_table=t"),
        ("tenant-member-hooks", 18, "tenants_table=t"),
    ):
        listed = details[name]["details"]
        assert isinstance(listed, dict)
        assert listed["failures"] == []
        hooks = listed["checks"]
        assert isinstance(hooks, list)
        assert (len(hooks), hooks[0]) == (count, first)
    role = details["boz-observability-role"]["role"]
    assert role == {
        "name": "boz_auditor", "rolcanlogin": False, "rolsuper": False, "rolcreatedb": False, "rolcreaterole": False,
        "rolreplication": False, "rolbypassrls": False,
    }  # fmt: skip
    allowed = details["boz-observability-role"]["allowlist_tables"]
    assert isinstance(allowed, list)
    assert len(allowed) == 8
    assert canonical_json({name: dict(result.details) for name, result in results.items()})


def test_the_answers_are_the_same_in_every_run(bench: Bench) -> None:
    """Evidence of one commit is stable: no random name, id or time is in any check."""
    first, second = (
        {name: [(c.id, c.expected, c.observed) for c in result.checks] for name, result in bench.settle().items()}
        for _ in range(2)
    )

    assert first == second
    assert len(first) == len(INVARIANTS)
