"""heavy-maintenance: nothing rewrites or refills a table while others need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import lock_timeout_set
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, relation_of
from scripts.lint.tables import changes
from scripts.parser.statements import option_flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

_ALTERS = {
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_AttachPartition": "ATTACH PARTITION",
    "AT_DetachPartition": "DETACH PARTITION without CONCURRENTLY",
}


def find(subject: LintInput) -> Iterator[Finding]:
    """CLUSTER, VACUUM FULL, REFRESH, LOCK without a bound, and the ALTERs that write or scan a whole table."""
    for part in subject.executed:
        found = _heavy(part)
        if found is not None:
            yield RULE.at(part, found[0], found[1])
        elif part.kind == "LockStmt" and not part.node.nowait and not lock_timeout_set(part):
            tables = [relation_of(concrete(wrapper)) for wrapper in part.node.relations]
            old = [table for table in tables if not subject.history.is_new(table, part)]
            if old:
                yield RULE.at(part, old[0], f"LOCK TABLE {old[0]} without a lock_timeout for this transaction")
    for change in changes(subject):
        if change.subtype in _ALTERS and not (change.subtype == "AT_DetachPartition" and change.item.concurrent):
            what = _ALTERS[change.subtype]
            yield RULE.at(change.part, change.table, f"{what} of {change.table}")


def _heavy(part: Part) -> tuple[str, str] | None:
    if part.kind == "ClusterStmt":
        target = str(relation_of(part.node.relation)) if part.node.HasField("relation") else "every table"
        return target, f"CLUSTER of {target} writes it anew"
    if part.kind == "VacuumStmt" and part.node.is_vacuumcmd and option_flag(part.node.options, "full", default=False):
        return "VACUUM FULL", "VACUUM FULL writes the table anew"
    if part.kind == "RefreshMatViewStmt" and not part.node.concurrent:
        target = str(relation_of(part.node.relation))
        return target, f"REFRESH of {target} stops its readers"
    return None


RULE = Rule(
    id="heavy-maintenance",
    gate="ddl-lock-risk",
    severity="error",
    title="No CLUSTER, VACUUM FULL, plain REFRESH, plain DETACH or ATTACH, change of storage, or unbounded LOCK",
    why="Each writes or reads a whole table while nobody else can, or waits for a lock with no end in sight.",
    help="do it outside of the migrations, online; a LOCK TABLE comes after SET LOCAL lock_timeout",
    before="CREATE TABLE public.a (id bigint);",
    red="LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE;",
    green="SET LOCAL lock_timeout = '100ms';\nLOCK TABLE public.a IN ACCESS EXCLUSIVE MODE;",
    find=find,
)
