"""Whether a drop is half of a replacement: the same transaction puts something in its place that takes the old calls.

Owns: what "takes the old calls" means for a function, a trigger and a policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.lint.history import Routine, signature_of
from scripts.lint.nodes import enum_name, name_of

if TYPE_CHECKING:
    from scripts.lint.subject import LintInput, Part


def is_replaced(subject: LintInput, part: Part, kind: str, target: Any, name: str) -> bool:
    """Whether the part's file, if it is one transaction, creates the like of what the part drops.

    Args:
        subject: everything.
        part: the DROP.
        kind: FUNCTION, TRIGGER, … as the grammar calls it.
        target: what is dropped.
        name: how the history spells it.
    """
    if part.file.no_tx or enum_name(part.node, "behavior") == "DROP_CASCADE":
        return False
    if kind in ("FUNCTION", "PROCEDURE", "ROUTINE"):
        routine_name = name_of(target.objname)
        signature = signature_of(target)
        old = subject.history.routine_before(routine_name, part, signature)
        later = subject.history.routines_after(routine_name, part)
        return any(takes_calls_of(new, old, signature) for new in later)
    if kind in ("TRIGGER", "POLICY"):
        again = subject.history.others.get((kind, name), ())
        return any(other.file is part.file and other.order > part.order and other.body is None for other in again)
    return False


def takes_calls_of(new: Routine, old: Routine | None, signature: tuple[str, ...] | None) -> bool:
    """Whether every call of the old function means the new one, by position and by name, and reads the same columns.

    Args:
        new: what is created.
        old: what was there, None when no file says.
        signature: the input types the DROP named, None when it named none.
    """
    if old is None:
        return signature is not None and _extends(new, signature)
    same_kind = new.part.node.is_procedure == old.part.node.is_procedure
    if not same_kind or not _extends(new, old.signature) or new.returns != old.returns:
        return False
    for index, parameter in enumerate(old.inputs):
        successor = new.inputs[index]
        if parameter.name and successor.name != parameter.name:
            return False
        if parameter.has_default and not successor.has_default:
            return False
    return new.outputs[: len(old.outputs)] == old.outputs


def _extends(new: Routine, signature: tuple[str, ...]) -> bool:
    """Whether the old input types come first and whatever follows has a default."""
    count = len(signature)
    return new.signature[:count] == signature and all(parameter.has_default for parameter in new.inputs[count:])
