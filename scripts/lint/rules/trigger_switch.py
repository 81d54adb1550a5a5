"""trigger-switch: guards are not switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.configured import configured, setting_name
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import commands, relation_of
from scripts.lint.tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part

_OFF = {
    "AT_DisableTrig": "DISABLE TRIGGER",
    "AT_DisableTrigAll": "DISABLE TRIGGER ALL",
    "AT_DisableTrigUser": "DISABLE TRIGGER USER",
    "AT_EnableReplicaTrig": "ENABLE REPLICA TRIGGER",
    "AT_DisableRule": "DISABLE RULE",
    "AT_DisableRowSecurity": "DISABLE ROW LEVEL SECURITY",
    "AT_NoForceRowSecurity": "NO FORCE ROW LEVEL SECURITY",
}


def find(subject: LintInput) -> Iterator[Finding]:
    """Triggers and row security that are disabled, and session_replication_role, which disables them all."""
    for part in subject.parts:
        if part.executed and part.is_sql:
            yield from _switched(part)
        yield from _replica_mode(part)
    for change in changes(subject):
        if change.subtype == "AT_EnableTrig":
            yield RULE.at(
                change.part,
                change.name,
                f"ENABLE TRIGGER {change.name} does not hold in replica mode",
                help="write ENABLE ALWAYS TRIGGER",
            )


def _replica_mode(part: Part) -> Iterator[Finding]:
    """session_replication_role in every form; bodies of functions count as well, since they run as somebody."""
    name = "session_replication_role"
    # SET, and the options of functions, roles and databases.
    for message in part.messages("VariableSetStmt"):
        if setting_name(message) == name:
            yield RULE.at(part, name, f"{name} switches ordinary triggers off")
    for setting in configured(part):
        if setting.call and setting.name == name:
            yield RULE.at(part, name, f"{name} switches ordinary triggers off", node=setting.node)
        elif setting.call and setting.name is None and not part.executed:
            yield RULE.at(part, "set_config", "set_config() of a setting that cannot be read", node=setting.node)
    for message in part.messages("UpdateStmt"):
        if message.relation.relname == "pg_settings":
            yield RULE.at(part, "pg_settings", "UPDATE of pg_settings sets what cannot be read", node=message.relation)


def _switched(part: Part) -> Iterator[Finding]:
    if part.kind == "AlterTableStmt":
        table = relation_of(part.node.relation)
        for subtype, command in commands(part.node):
            if subtype in _OFF:
                name = f"{table}.{command.name}" if command.name else str(table)
                yield RULE.at(part, name, f"{_OFF[subtype]} on {name}")
    elif part.kind == "AlterEventTrigStmt" and part.node.tgenabled == "D":
        yield RULE.at(part, part.node.trigname, f"event trigger {part.node.trigname} is disabled")


RULE = Rule(
    id="trigger-switch",
    gate="weak-guarantees",
    severity="error",
    title="No trigger, rule or row security is switched off, and none is made to depend on the session",
    why="The guards of append-only tables are triggers: with one of them off, history is rewritten without a trace.",
    help="leave it on; ENABLE ALWAYS keeps it on in replica mode, too",
    before="CREATE TABLE public.a (id bigint);",
    red="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a DISABLE TRIGGER ALL;",
    green="SET LOCAL lock_timeout = '500ms';\nALTER TABLE public.a ENABLE ALWAYS TRIGGER guard;",
    find=find,
)
