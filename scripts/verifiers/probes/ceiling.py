"""A retry ceiling that somebody stored for the database is no matter of the probes': they play as if none was.

Owns: what the ceiling's function reads instead of the settings stored, until the rollback.
Promises: everything else of the function is what stands in the catalog; where it does not read the settings by that
name nothing is replaced, and the probes see whatever it does.
Never: touches the setting itself; only a superuser could.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.probes.twins import twin_function

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

# By the OID that this catalog has in every database, so that a table which a probe puts in its place is read.
_UNREAD = "(SELECT * FROM pg_catalog.pg_db_role_setting AS t WHERE t.tableoid <> 2964)"


def overlook_ceiling(stage: Stage) -> None:
    """Have the ceiling be what it is where none is stored."""
    twin_function(stage, "public.outbox_retry_ceiling()", instead_of="pg_catalog.pg_db_role_setting", use=_UNREAD)
