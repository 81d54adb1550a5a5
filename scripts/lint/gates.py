"""The gates of the lints: which rules answer to which name in evidence.

Owns: `LINT_GATES`. The names of evidence files and checks are the predecessor's where it had them.
Never: imports a parser, so that the list of gates stays quick to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# rules: the registry's rules on parsed SQL; landed: git; squawk: the second opinion; allowlist: unused exemptions.
Kind = Literal["rules", "landed", "squawk", "allowlist"]


@dataclass(frozen=True, slots=True)
class LintGate:
    """One gate.

    id: kebab-case. check_id: in evidence. stem: of the evidence file. promise: what holds when it passes.
    """

    id: str
    check_id: str
    stem: str
    promise: str
    kind: Kind = "rules"


LINT_GATES: tuple[LintGate, ...] = (
    LintGate(
        "landed-migrations",
        "DB-LANDED-MIGRATIONS",
        "landed_migrations",
        "no migration that has landed is edited, renamed, removed or preceded by a new one",
        kind="landed",
    ),
    LintGate(
        "no-tx-marker-lint",
        "DB-NO-TX-MARKER-LINT",
        "no_tx_marker_lint",
        "a file is one transaction, or is marked and holds only what cannot run in one",
    ),
    LintGate(
        "search-path-lint",
        "DB-SEARCH-PATH-LINT",
        "search_path_lint",
        "every function pins its search_path, pg_catalog first and pg_temp last",
    ),
    LintGate(
        "migration-expand-contract-policy",
        "DB-EXPAND-CONTRACT-POLICY",
        "migration_expand_contract_policy",
        "nothing that the release before uses is dropped, renamed, required or rewritten",
    ),
    LintGate(
        "pk-fk-type-stability",
        "DB-PK-FK-TYPE-STABILITY",
        "pk_fk_type_stability",
        "columns of keys keep their type",
    ),
    LintGate(
        "ddl-lock-risk",
        "DB-DDL-LOCK-RISK",
        "ddl_lock_risk",
        "no existing table is scanned, rewritten or indexed while its users wait",
    ),
    LintGate(
        "ddl-blocking-policy",
        "DB-DDL-BLOCKING-POLICY",
        "ddl_blocking_policy",
        "a lock on an existing table is waited for no longer than the file says",
    ),
    LintGate(
        "security-definer-dynamic-sql",
        "DB-SECURITY-DEFINER-DYNAMIC-SQL",
        "security_definer_dynamic_sql",
        "whatever runs with its owner's rights, or while migrating, can be read",
    ),
    LintGate(
        "sqlstate-map-drift",
        "DB-SQLSTATE-MAP-DRIFT",
        "sqlstate_map_drift",
        "the SQLSTATEs that are raised and the registry are the same",
    ),
    LintGate(
        "privilege-grants",
        "DB-PRIVILEGE-GRANTS",
        "privilege_grants",
        "nothing goes to PUBLIC, and no role gets more than rows to read and write",
    ),
    LintGate("names-lint", "DB-NAMES-LINT", "names_lint", "every name has its schema and fits into 63 bytes"),
    LintGate(
        "weak-guarantees",
        "DB-WEAK-GUARANTEES",
        "weak_guarantees",
        "no constraint or trigger is there without holding",
    ),
    LintGate("squawk", "DB-SQUAWK", "squawk", "squawk, asked independently, has nothing to add", kind="squawk"),
    LintGate(
        "ddl-allowlist-governance",
        "DB-DDL-ALLOWLIST-GOVERNANCE",
        "ddl_allowlist_governance",
        "every exemption has its reason and reviewer, and covers a finding of the statement as it stands",
        kind="allowlist",
    ),
)


def gate_of(name: str) -> LintGate:
    """The gate of that id.

    Raises:
        LookupError: there is none; gates come from `LINT_GATES`, so this is our own mistake.
    """
    for gate in LINT_GATES:
        if gate.id == name:
            return gate
    msg = f"no lint gate is called {name}"
    raise LookupError(msg)
