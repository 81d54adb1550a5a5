"""Mutants of triggers: gone, asleep, at another time, for fewer events, on another table, or doing nothing.

Owns: the operators on triggers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.columns import NOOP
from scripts.verifiers.mutants.expressions import simpler
from scripts.verifiers.mutants.flips import flipped
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import TRIGGER_OWNERS
from scripts.verifiers.mutants.words import BOUND, STATES, TWIN, bind, in_public, trigger_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.facts.shape import Table, Trigger

_ROW_EVENTS = ("INSERT", "UPDATE", "DELETE")
_SKIPS = NOOP.replace("RETURN NEW", "RETURN NULL")


def trigger_mutants(table: Table) -> Iterator[Mutant]:
    """Mutants of every trigger of a table."""
    for trigger in table.triggers:
        yield from _trigger(table, trigger)


def _trigger(table: Table, trigger: Trigger) -> Iterator[Mutant]:
    where, name = in_public(table.name), quoted(trigger.name)
    drop = f"DROP TRIGGER {name} ON {where}"

    def mutant(change: str, *sql: str) -> Mutant:
        title = f"trigger {trigger.name} on public.{table.name}"
        return Mutant(title, change, (TRIGGER_OWNERS[trigger.name],), sql)

    def again(change: str, *before: str, on: str = where, **differently: object) -> Mutant:
        other = replace(trigger, **differently)  # type: ignore[arg-type]
        return mutant(change, drop, *before, *trigger_text(other, on))

    yield mutant("dropped", drop)
    yield mutant("renamed", f"ALTER TRIGGER {name} ON {where} RENAME TO mutant_other")
    yield mutant(BOUND, bind(f"TRIGGER {name} ON {where}"))
    for state, words in STATES.items():
        if state != trigger.enabled:
            yield mutant(state.lower(), f"ALTER TABLE {where} {words} TRIGGER {name}")
    yield again("AFTER" if trigger.timing == "BEFORE" else "BEFORE", timing=_other_timing(trigger))
    yield again("on a twin", f"CREATE TABLE {TWIN} (LIKE {where})", on=TWIN)
    yield again("does nothing", NOOP, function="public.mutant()")
    yield again("skips the row", _SKIPS, function="public.mutant()")
    for change, differently in _other_events(table, trigger):
        yield again(change, **differently)
    if trigger.when is not None:
        yield again("always", when=None)
        for change, text in (*simpler(trigger.when), *flipped(trigger.when)):
            yield again(f"WHEN {change}", when=text)


def _other_timing(trigger: Trigger) -> str:
    return "AFTER" if trigger.timing == "BEFORE" else "BEFORE"


def _can(trigger: Trigger, event: str) -> bool:
    """Whether the condition knows a row that the event has."""
    when = (trigger.when or "").lower()
    return not ((event == "INSERT" and "old." in when) or (event == "DELETE" and "new." in when))


def _other_events(table: Table, trigger: Trigger) -> Iterator[tuple[str, dict[str, Any]]]:
    """When else it could fire: what is done, and the fields that differ."""
    if "TRUNCATE" in trigger.events:
        yield "on INSERT", {"events": ("INSERT",)}
        return
    level = "STATEMENT" if trigger.level == "ROW" else "ROW"
    yield f"FOR EACH {level}", {"level": level, "when": None, "columns": ()}
    yield "never", {"when": "false"}
    for event in _ROW_EVENTS:
        if event in trigger.events and len(trigger.events) > 1:
            yield f"not on {event}", {"events": tuple(other for other in trigger.events if other != event)}
        elif event not in trigger.events and _can(trigger, event):
            yield f"on {event} too", {"events": (*trigger.events, event)}
            yield f"on {event} only", {"events": (event,)}
    if "UPDATE" in trigger.events and not trigger.columns:
        yield f"on UPDATE OF {table.columns[-1].name}", {"columns": (table.columns[-1].name,)}
