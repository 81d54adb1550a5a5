"""session-setting: what a file sets ends with its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.configured import setting_name
from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import constant, enum_name, strings
from scripts.parser.statements import may_need_no_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """SET without LOCAL, RESET, DISCARD, SET ROLE, and set_config(…, false), where migrating runs them."""
    for part in subject.parts:
        if not part.executed or part.node is None:
            continue
        found = _statement(part)
        if found is not None:
            yield RULE.at(part, found[0], found[1])
        for call in part.messages("FuncCall"):
            if strings(call.funcname)[-1:] == ["set_config"]:
                problem = _called(call)
                if problem:
                    yield RULE.at(part, "set_config", problem, node=call)


def _statement(part: Part) -> tuple[str, str] | None:
    if part.kind == "DiscardStmt":
        return "DISCARD", "DISCARD throws away what the runner set for its session"
    return _set(part) if part.kind == "VariableSetStmt" else None


def _set(part: Part) -> tuple[str, str] | None:
    node = part.node
    name, kind = setting_name(node), enum_name(node, "kind")
    resets = kind in ("VAR_RESET", "VAR_RESET_ALL")
    if name in ("role", "session_authorization"):
        word = f"{'RESET' if resets else 'SET'} {name.upper().replace('_', ' ')}"
        return name, f"{word}: the runner's own role owns what a migration makes"
    if resets:
        return name, f"RESET {name} undoes what the runner set for its session"
    if kind == "VAR_SET_MULTI" and name == "transaction":
        return name, "SET TRANSACTION: the transaction is the runner's"
    for_build = part.file.no_tx and part.body is None and may_need_no_transaction(part.statement) is not None
    return None if node.is_local or for_build else (name, f"SET {name} without LOCAL: the next file inherits it")


def _called(call: Any) -> str:
    values = [constant(argument) for argument in call.args]
    if len(values) != 3 or values[2] is not True:
        return "set_config() not for this transaction alone"
    # A setting of the server's own is to be seen by every rule that looks at SET; others have a dot in their name.
    return "" if isinstance(values[0], str) and "." in values[0] else "set_config() of a setting of the server's own"


RULE = Rule(
    id="session-setting",
    gate="no-tx-marker-lint",
    severity="error",
    title="A file changes settings with SET LOCAL, and never its role",
    why="SET survives the COMMIT: the files that follow run under settings, or as a role, that nobody reads in them.",
    help="write SET LOCAL, or set it on the function that needs it",
    red="SET search_path = public;",
    green="SET LOCAL lock_timeout = '500ms';",
    find=find,
)
