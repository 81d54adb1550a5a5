"""Who may do what: roles, grants, functions."""

from __future__ import annotations

from scripts.verifiers.guarantees import functions, roles, table_privileges
from scripts.verifiers.model import Invariant
from scripts.verifiers.registry.tasks import FOUNDATION, TIGHTENED, TIGHTENING

RIGHTS = (
    Invariant(
        id="role-login-posture",
        check_id="DB-ROLE-LOGIN-POSTURE",
        stem="role_login_posture",
        invariant_ids=("INV-007",),
        promise="every role exists, none can log in or rise above its grants",
        held_by=("0003_roles.sql", "0025_boz_observability_role.sql"),
        verify=roles.verify_posture,
        answers=("D-29", "D-33"),
        failure_signature="P0.ROLE.CAN_LOG_IN_OR_RISE",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="boz-observability-role",
        check_id="DB-BOZ-OBSERVABILITY-ROLE",
        stem="boz_observability_role",
        invariant_ids=("INV-111",),
        promise="the regulator reads eight tables and can do nothing else",
        held_by=("boz_auditor",),
        verify=roles.verify_boz,
        answers=("D-04", "D-29"),
        failure_signature="P0.ROLE.REGULATOR_SEAT_NOT_READ_ONLY",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="table-privileges",
        check_id="DB-TABLE-PRIVILEGES",
        stem="table_privileges",
        invariant_ids=("INV-005", "INV-006", "INV-010"),
        promise="each role may do with each table exactly what the matrix says",
        held_by=("0004_privileges.sql",),
        verify=table_privileges.verify,
        answers=("D-06", "D-11", "D-30", "D-39"),
        failure_signature="P0.PRIVILEGE.TABLE_MATRIX_DIFFERS",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="function-privileges",
        check_id="DB-FUNCTION-PRIVILEGES",
        stem="function_privileges",
        invariant_ids=("INV-005",),
        promise="nobody runs a function that was not granted to it, now or later",
        held_by=("ALTER DEFAULT PRIVILEGES",),
        verify=functions.verify_privileges,
        answers=("D-04",),
        failure_signature="P0.PRIVILEGE.FUNCTION_OPEN",
        origin_task_id=FOUNDATION,
    ),
    Invariant(
        id="definer-search-path",
        check_id="DB-DEFINER-SEARCH-PATH",
        stem="definer_search_path",
        invariant_ids=("INV-008",),
        promise="every function is its migration's, and no caller's table can stand in for ours",
        held_by=("SET search_path = pg_catalog, public, pg_temp",),
        verify=functions.verify_search_path,
        answers=("D-05", "D-08", "D-41"),
        failure_signature=f"{TIGHTENED}.FUNCTION_NOT_ITS_MIGRATIONS",
        origin_task_id=TIGHTENING,
    ),
)
