"""Files that switch off a budget of the runner for themselves: not refused, but never in silence.

Owns: what counts as switching off: a lock_timeout or statement_timeout of 0, or back to the login's own, which is 0 on
    most servers; by SET, RESET or set_config(), at the top of a file or in a DO block.
Limits: a value that is put together at run time is not known before. The gate ddl-blocking-policy refuses all of it
    (rule long-lock-timeout), where the lints are run; its allowlist is the way to have it all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.parser.statements import body_statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.migrations.folder.files import MigrationFile

# The settings that a file is given, and what they are called where people set them.
_BUDGETS = {"lock_timeout": "LOCK_TIMEOUT_MS", "statement_timeout": "STATEMENT_TIMEOUT_MS"}
_HINTS = ("_timeout", "reset")
# VariableSetKind.
_VALUE, _DEFAULT, _RESET, _RESET_ALL = 1, 2, 5, 6


def lifted_budgets(file: MigrationFile) -> tuple[str, ...]:
    """One line for each budget that the file switches off, in order."""
    if file.no_tx or not _may_lift(file.data.decode(errors="replace")):
        return ()
    notes: dict[str, None] = {}
    for excerpt in file.excerpts:
        if not _may_lift(excerpt.text):
            continue
        statement = excerpt.parsed(where=file.name)
        inner = body_statements(statement) if statement.kind == "DoStmt" else ()
        nodes = [(statement.line, statement.node), *((item.line, item.node) for item in inner if item.node is not None)]
        for line, node in nodes:
            for name, value in _lifted_by(node):
                notes[
                    f"{file.name}:{line}: {name} is {value} from here to the end of the file: "
                    f"{_BUDGETS[name]} does not bound it"
                ] = None
    return tuple(notes)


def _may_lift(text: str) -> bool:
    folded = text.lower()
    return any(hint in folded for hint in _HINTS)


def _lifted_by(node: Any) -> Iterator[tuple[str, str]]:
    """Which setting, and what it is then."""
    kind = node.DESCRIPTOR.name
    if kind == "VariableSetStmt":
        name = node.name.lower()
        if node.kind == _RESET_ALL:
            yield from ((budget, "the login's own") for budget in _BUDGETS)
        elif name in _BUDGETS and node.kind in (_DEFAULT, _RESET):
            yield name, "the login's own"
        elif name in _BUDGETS and node.kind == _VALUE and _is_zero(constant_text(node.args[0])):
            yield name, "0"
    elif kind == "SelectStmt":
        for call in walk(node):
            if call.DESCRIPTOR.name == "FuncCall" and call.funcname[-1].string.sval == "set_config":
                values = [constant_text(argument) for argument in call.args[:2]]
                if len(values) == 2 and (values[0] or "").lower() in _BUDGETS and _is_zero(values[1]):
                    yield str(values[0]).lower(), "0"


def constant_text(wrapper: Any) -> str | None:
    """A constant of a tree, as the server would read it in SET; None for what is no constant."""
    if not wrapper.HasField("a_const"):
        return None
    value = wrapper.a_const
    which = value.WhichOneof("val")
    if which is None:
        return None
    if which == "ival":
        return str(value.ival.ival)
    return str(getattr(value.fval, "fval", "") if which == "fval" else getattr(value.sval, "sval", ""))


def _is_zero(value: str | None) -> bool:
    """Whether a time is none: 0 in any unit, or so little that the server rounds it to 0 ms."""
    text = (value or "").strip().lower()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip()
    try:
        parsed = float(number)
    except ValueError:
        return False
    return parsed == 0 or (unit == "us" and parsed < 500) or (unit in ("", "ms") and 0 < parsed < 0.5)
