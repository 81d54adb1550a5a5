"""What a piece of SQL sets, in whatever form: SET and its kin, and calls of set_config().

Owns: `Configured`, and the longest time that a lock may be waited for.
Promises: names are folded to lower case, as the server compares them, quoted ones, too; a name or value that is known
    at run time only is said to be so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from scripts.lint.nodes import concrete, constant, enum_name, kind_of, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import Part

# Whoever comes later waits behind the one who waits for the lock: longer than this, and callers time out.
LONGEST_LOCK_TIMEOUT_MS: Final = 5_000.0
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}


@dataclass(frozen=True, slots=True)
class Configured:
    """One setting that is changed.

    name: in lower case; None when it is known at run time only. value: None when it is no single constant.
    local: for this transaction alone. computed: the value is known at run time only, which only set_config() can have.
    call: set_config(), and not SET.
    """

    name: str | None
    value: str | int | None
    local: bool
    computed: bool
    call: bool
    node: Any = field(repr=False)

    @property
    def bounds_locks(self) -> bool:
        """Whether, as a lock_timeout of this transaction, it is a constant between 1 ms and the longest allowed."""
        duration = milliseconds(self.value)
        # The server rounds to whole milliseconds, and takes what is then 0 for no bound at all.
        return self.local and duration is not None and 1 <= round(duration) <= LONGEST_LOCK_TIMEOUT_MS


def configured(part: Part) -> Iterator[Configured]:
    """Every setting the part changes itself, the options of functions, roles and databases left out."""
    node = part.node
    if node is None:
        return
    if part.kind == "VariableSetStmt":
        yield _of_set(node)
    for call in part.messages("FuncCall"):
        if strings(call.funcname)[-1:] == ["set_config"]:
            yield _of_call(call)


def setting_name(node: Any) -> str:
    """The name in a VariableSetStmt, in lower case; `all` where it resets everything."""
    return node.name.lower() or "all"


def milliseconds(value: str | int | None, *, unit: str = "ms") -> float | None:
    """A time setting in milliseconds; None when it is not one."""
    if isinstance(value, bool) or value is None:
        return None
    match = _DURATION.fullmatch(str(value))
    return None if match is None else float(match[1]) * _MS[match[2] or unit]


def lock_timeout_set(part: Part) -> bool:
    """Whether the file set a lock_timeout for its own transaction before the part, and did not lift it again.

    It is a constant, and no longer than allowed. One that is set inside a DO block does not count, as it may not be
    reached, and neither does a call of set_config(); one that is lifted there does. A value that such a call is given
    at run time leaves things as they are: session-setting refuses the call, and whoever exempts it has read how the
    value comes about.
    """
    bounded = False
    for earlier in part.file.parts:
        if earlier.order >= part.order:
            break
        if not earlier.executed:
            continue
        for setting in configured(earlier):
            if setting.name not in ("lock_timeout", None):
                continue
            kept = setting.name is not None and (setting.local if setting.computed else setting.bounds_locks)
            # A call may stand where it is not reached, in the body of a view or under a CASE: it can only lift.
            bounded = kept and (bounded or (earlier.body is None and not setting.call))
    return bounded


def _of_set(node: Any) -> Configured:
    value = constant(node.args[0]) if len(node.args) == 1 and enum_name(node, "kind") == "VAR_SET_VALUE" else None
    return Configured(setting_name(node), value, node.is_local, computed=False, call=False, node=node)


def _of_call(call: Any) -> Configured:
    values = [constant(argument) for argument in call.args]
    values += [None] * (3 - len(values))
    name, value, local = values[:3]
    known = isinstance(name, str) and not any(kind_of(argument) == "NamedArgExpr" for argument in call.args)
    return Configured(
        name.lower() if known and isinstance(name, str) else None,
        value,
        local is True,
        computed=value is None and not _is_null(call),
        call=True,
        node=call,
    )


def _is_null(call: Any) -> bool:
    """Whether the value is a plain NULL, which sets the server's own."""
    item = concrete(call.args[1]) if len(call.args) > 1 else None
    while item is not None and kind_of(item) == "TypeCast":
        item = concrete(item.arg)
    return item is not None and kind_of(item) == "A_Const" and bool(item.isnull)
