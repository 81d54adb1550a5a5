"""docs/invariants.md, made from the registry itself.

Owns: the document's form; `pytest tests/unit/verifiers --update-golden` writes it.
Never: runs a verifier; what it tells of the probes is what they say of themselves.
"""

from __future__ import annotations

import inspect
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from scripts.verifiers.model import Database
from scripts.verifiers.probes.playing import Probe
from scripts.verifiers.registry import INVARIANTS
from scripts.verifiers.registry.brought import BROUGHT_BY
from scripts.verifiers.registry.numbers import NUMBERS, ROADMAP, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import psycopg

    from scripts.verifiers.model import Invariant

_HEAD = """\
# Invariants

Made from the registry (`scripts/verifiers/registry/`) by `pytest tests/unit/verifiers --update-golden`; a test holds it
to be current.

`invoke verify` asks a database for every promise below; `--only NAME,…` for some of them, by the invariant's name, its
check (`DB-…`), its evidence file, or a number or alias of the table at the end (`INV-091` or `I-PROOF-HOOK-01`: every
gate that holds it); `--severity P0` or `P1` for the grave or the lesser ones, both together for what is in both. Each
has a transaction and deadlines of its own and leaves nothing. One that fails hides no other: where a table is missing,
or the ledger, or a right, the gates that need it say so, and all others are asked (exit 1).

- **Facts** compare the whole definition of each object that holds a promise, as the catalog has it, with what was
  reviewed.
- **Probes** make rows of their own in a transaction that is rolled back, act as the role that would act in production,
  and see what the schema does; [every behaviour](behaviours.md) is listed with the checks that ask it.
- **Controls**: once everything is green, each fact and each probe is asked again with a violation planted for it, in a
  transaction that is rolled back, and must turn red. One that stays green makes the invariant an ERROR. Evidence names
  what was planted and what noticed it.
- **Brought by** names the migrations at which some check of the invariant first holds. On a database before the last of
  them it is red, with the failure named here: that of the last task that tightened it
  ([decision](adr/0053-which-task-a-failure-names.md)).
- **Failures** begin with P0, Phase 0, whatever their severity.
"""


def render_invariants() -> str:
    """The whole document."""
    parts = [_HEAD, *_overview(), *(line for one in INVARIANTS for line in _paragraph(one)), *_numbers(), *_roadmap()]
    return "\n".join(parts) + "\n"


def _overview() -> Iterator[str]:
    yield "## All of them\n"
    yield "| invariant | severity | promise | numbers | brought by | failure |\n|---|---|---|---|---|---|"
    for one in INVARIANTS:
        numbers = "<br>".join(f"{name} {number_of(name).alias}" for name in one.invariant_ids)
        yield (
            f"| [{one.id}](#{one.id}) | {one.severity} | {one.promise} | {numbers} | {_span(BROUGHT_BY[one.id])} "
            f"| `{one.failure_signature}` |"
        )
    yield ""


def _paragraph(one: Invariant) -> Iterator[str]:
    yield f"## {one.id}\n"
    yield f"**Promise:** {one.promise}. ({one.severity}, `{one.check_id}`)\n"
    yield f"- Numbers: {', '.join(f'{name} ({number_of(name).promise})' for name in one.invariant_ids)}"
    yield f"- Held by: {', '.join(f'`{name}`' for name in one.held_by)}; brought by {_span(BROUGHT_BY[one.id])}"
    asked = inspect.getdoc(one.verify) or ""
    yield f"- Asked by `{one.verify.__module__.replace('.', '/')}.py`, `{one.verify.__name__}`: {_sentence(asked)}"
    for probe in _probes_of(one.verify):
        yield f"- Probe `{probe.id}`: {_sentence(_told(probe.play))}"
        if probe.controls:
            yield f"  Planted against it: {', '.join(control.name for control in probe.controls)}."
    for probe in one.pairs(Database(cast("Any", None), _nowhere, ())):
        yield f"- Probe `{probe.id}`, in two sessions: {_sentence(_told(probe.play))}"
        yield f"  Planted against it: {', '.join(control.name for control in probe.controls)}."
    if one.criteria:
        yield f"- Acceptance criteria: {', '.join(one.criteria)}"
    if one.answers:
        yield f"- Would have found: {', '.join(one.answers)}"
    yield f"- Failure: `{one.failure_signature}`, owed by {one.origin_task_id}"
    yield f"- Evidence: `{one.folder}/{one.stem}.json`"
    yield f"- To repeat: `invoke verify --only {one.id}`\n"


def _numbers() -> Iterator[str]:
    yield "## Numbers\n"
    yield "Every number that concerns the database of 0001 to 0027, and what holds it.\n"
    yield "| number | alias | severity | promise | held by |\n|---|---|---|---|---|"
    for number in NUMBERS:
        gates = [f"[{one.id}](#{one.id})" for one in INVARIANTS if number.id in one.invariant_ids]
        held = ", ".join([*gates, *(f"`{gate}`" for gate in number.gates)])
        if number.beside:
            path, _, how = number.beside.partition(": ")
            held = f"`{path}`: {how}"
        if number.not_built:
            held = "**not built**"
        yield f"| {number.id} | {number.alias} | {number.severity} | {number.promise} | {held} |"
    yield ""


def _roadmap() -> Iterator[str]:
    yield "## Not built\n"
    yield "These are promised and not held yet. No gate stands for them: none reports a pass, and none is counted.\n"
    for number in ROADMAP:
        yield f"- **{number.id}** ({number.alias}, {number.severity}): {number.promise}. Not built: {number.not_built}."


def _span(numbers: Iterable[int]) -> str:
    """Numbers of migrations; three and more in a row as a span."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    words = [
        [f"{span[0]:04d} to {span[-1]:04d}"] if len(span) > 2 else [f"{number:04d}" for number in span]
        for span in spans
    ]
    return ", ".join(word for some in words for word in some)


def _sentence(text: str) -> str:
    """The first line, with one full stop."""
    return (text.splitlines() or [""])[0].rstrip(".") + "."


def _nowhere() -> psycopg.Connection[Any]:
    msg = "a document asks no database"
    raise RuntimeError(msg)


def _told(play: Callable[..., None]) -> str:
    return inspect.getdoc(play.func if isinstance(play, partial) else play) or ""


def _probes_of(verify: Callable[..., None]) -> tuple[Probe, ...]:
    """The probes that are named in the function, or in one of its module that it calls; each once, in order.

    Those that are made while it runs, one a table or statement, are told by the function's own sentence.
    """
    found: dict[str, Probe] = {}
    seen: set[str] = set()

    def look(function: FunctionType) -> None:
        if function.__qualname__ in seen:
            return
        seen.add(function.__qualname__)
        names = function.__code__.co_names
        for name in names:
            value = function.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__ == function.__module__:
                look(value)
            places = [vars(value).get(other) for other in names] if isinstance(value, ModuleType) else [value]
            for place in places:
                if isinstance(place, tuple):
                    found.update({one.id: one for one in place if isinstance(one, Probe)})

    if isinstance(verify, FunctionType):
        look(verify)
    return tuple(found.values())
