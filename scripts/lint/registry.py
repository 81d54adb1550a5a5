"""The list of rules, in the order in which gates and documents show them.

Owns: the order. A rule that is not in it does not exist: a test compares it with the folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.rules import (
    blocking_index,
    broad_grant,
    cascade,
    client_stream,
    column_type_change,
    concurrent_if_not_exists,
    data_change,
    definer_dynamic_sql,
    definer_search_path,
    drop_existing,
    drop_not_null,
    duplicate_index,
    existence_test,
    foreign_code,
    function_execute,
    function_search_path,
    heavy_maintenance,
    inline_unique,
    key_type_change,
    lasting_setting,
    lock_timeout,
    long_identifier,
    long_lock_timeout,
    new_rule,
    no_tx_missing,
    no_tx_mixed,
    no_tx_useless,
    not_enforced,
    opaque_sql,
    owner_change,
    public_grant,
    rename,
    replaced_trigger,
    required_column,
    revoked_grant,
    rewriting_column,
    role_power,
    row_security,
    runtime_ddl,
    schema_create_grant,
    second_table_lock,
    session_setting,
    set_not_null,
    sqlstate_implicit,
    sqlstate_registered,
    sqlstate_used,
    transaction_control,
    trigger_switch,
    truncate_existing,
    unqualified_name,
    validated_constraint,
)

if TYPE_CHECKING:
    from scripts.lint.model import Rule

RULES: tuple[Rule, ...] = (
    # no-tx-marker-lint
    transaction_control.RULE,
    no_tx_missing.RULE,
    no_tx_useless.RULE,
    no_tx_mixed.RULE,
    concurrent_if_not_exists.RULE,
    client_stream.RULE,
    session_setting.RULE,
    lasting_setting.RULE,
    # search-path-lint
    definer_search_path.RULE,
    function_search_path.RULE,
    # migration-expand-contract-policy
    drop_existing.RULE,
    cascade.RULE,
    truncate_existing.RULE,
    rename.RULE,
    required_column.RULE,
    set_not_null.RULE,
    drop_not_null.RULE,
    data_change.RULE,
    existence_test.RULE,
    new_rule.RULE,
    row_security.RULE,
    revoked_grant.RULE,
    # pk-fk-type-stability
    key_type_change.RULE,
    # ddl-lock-risk
    blocking_index.RULE,
    validated_constraint.RULE,
    inline_unique.RULE,
    rewriting_column.RULE,
    column_type_change.RULE,
    heavy_maintenance.RULE,
    # ddl-blocking-policy
    lock_timeout.RULE,
    long_lock_timeout.RULE,
    second_table_lock.RULE,
    # security-definer-dynamic-sql
    definer_dynamic_sql.RULE,
    opaque_sql.RULE,
    runtime_ddl.RULE,
    foreign_code.RULE,
    # sqlstate-map-drift
    sqlstate_registered.RULE,
    sqlstate_implicit.RULE,
    sqlstate_used.RULE,
    # privilege-grants
    public_grant.RULE,
    schema_create_grant.RULE,
    broad_grant.RULE,
    function_execute.RULE,
    role_power.RULE,
    owner_change.RULE,
    # names-lint
    unqualified_name.RULE,
    long_identifier.RULE,
    # weak-guarantees
    trigger_switch.RULE,
    replaced_trigger.RULE,
    not_enforced.RULE,
    duplicate_index.RULE,
)
