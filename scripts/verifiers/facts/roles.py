"""The roles of the schema, and what each must and must not be."""

from __future__ import annotations

RUNTIME_ROLES = ("symphony_auditor", "symphony_control", "symphony_executor", "symphony_ingest", "symphony_readonly")
BOZ_ROLE = "boz_auditor"
TEST_ROLE = "test_user"
# In one order everywhere: two sessions that grant themselves roles in different orders would wait for each other.
ROLES = tuple(sorted((*RUNTIME_ROLES, BOZ_ROLE, TEST_ROLE)))
# Those that write nothing.
READERS = frozenset({"symphony_auditor", "symphony_readonly", BOZ_ROLE})
