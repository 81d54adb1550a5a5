"""What the twin is to be made of: the definitions that the verifying transaction sees, moved to the twin's schema.

Owns: which tables are copied, and how each part is made and taken away again.
Promises: what stands uncommitted in the catalog (a control's violation, a mutant) is in the parts.
Never: makes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.tables import ENUMS
from scripts.verifiers.twin.mapping import NOTIFIER, TWIN, TwinError, mapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.verifiers.probes.stage import Stage

# In this order each table comes after those it refers to.
TABLES = (
    "billable_clients",
    "tenants",
    "tenant_clients",
    "tenant_members",
    "participant_outbox_sequences",
    "payment_outbox_pending",
    "payment_outbox_attempts",
    "payment_outbox_idempotency",
    "ingress_attestations",
    "external_proofs",
    "billing_usage_events",
    "policy_versions",
)
COPIED = frozenset({*TABLES, *FUNCTIONS})
KEPT = frozenset(ENUMS)
_SQL = Planned(Path(__file__).with_name("reading.sql").read_text(encoding="utf-8"), parameters=2)
_STAMP = Planned(Path(__file__).with_name("stamp.sql").read_text(encoding="utf-8"), parameters=1)
_HEAD_ENDS = "\nAS $function"
_TAG = "$twin$"

Moved: TypeAlias = Callable[..., str]
# Kind, table and name.
Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """How a part of the twin is made, alone or `inline` in its table's definition, and how it is taken away."""

    create: str
    drop: str
    inline: str = ""


def read_stamp(stage: Stage) -> str:
    """A digest that differs whenever a definition that the parts are made from was written, committed or not."""
    with stage.undone():
        ((stamp,),) = stage.ask(_STAMP, TABLES)
    return str(stamp)


def read_parts(stage: Stage) -> Mapping[Key, Part]:
    """The parts in the order in which they can be made, `TWIN` in place of the schema's name.

    Raises:
        TwinError: a definition reaches outside the twin.
    """
    with stage.undone():
        rows = stage.ask(_SQL, TABLES, sorted(FUNCTIONS))
    schemas = frozenset(row[2] for row in rows if row[0] == "schema" and not row[2].startswith("parity_twin_"))
    return dict(_parts([row for row in rows if row[0] != "schema"], schemas))


def _parts(rows: list[tuple[Any, ...]], schemas: frozenset[str]) -> Iterator[tuple[Key, Part]]:
    def moved(text: str, *, body: bool = False) -> str:
        return mapped(text, COPIED, KEPT, schemas, body=body)

    yield (
        ("function", "", NOTIFIER),
        Part(f"CREATE FUNCTION {TWIN}.{NOTIFIER}(text, text) RETURNS void LANGUAGE sql RETURN NULL", ""),
    )
    for kind, parent, name, text, rest in rows:
        yield (kind, "" if kind == "function" else parent, name), _MAKERS[kind](parent, name, text, rest, moved)


def _function(parent: str, name: str, text: str, rest: str | None, moved: Moved) -> Part:
    return Part(_definition(text, rest, moved), f"DROP FUNCTION {TWIN}.{_quoted(name)}({moved(parent)})")


def _table(_: str, name: str, text: str, __: str, moved: Moved) -> Part:
    return Part(moved(text), f"DROP TABLE {TWIN}.{_quoted(name)} CASCADE")


def _constraint(parent: str, name: str, text: str, rest: str, moved: Moved) -> Part:
    table, clause = f"{TWIN}.{_quoted(parent)}", f"CONSTRAINT {_quoted(name)} {moved(text)}"
    drop = f"ALTER TABLE {table} DROP CONSTRAINT {_quoted(name)}"
    return Part(f"ALTER TABLE {table} ADD {clause}", drop, "" if rest == "f" else clause)


def _index(_: str, name: str, text: str, __: str, moved: Moved) -> Part:
    return Part(moved(text), f"DROP INDEX {TWIN}.{_quoted(name)}")


def _trigger(parent: str, name: str, text: str, rest: str, moved: Moved) -> Part:
    table = f"{TWIN}.{_quoted(parent)}"
    # No session of the twin is a replica: ALWAYS and ORIGIN are one, and so are REPLICA and DISABLED.
    asleep = f"; ALTER TABLE {table} DISABLE TRIGGER {_quoted(name)}" if rest in ("D", "R") else ""
    return Part(moved(text) + asleep, f"DROP TRIGGER {_quoted(name)} ON {table}")


_MAKERS: dict[str, Callable[..., Part]] = {
    "function": _function,
    "table": _table,
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
}


def _definition(definition: str, source: str | None, moved: Moved) -> str:
    """The function's definition; its body is moved by its own tokens, which the head's scanner sees as one string."""
    if source is None:
        return moved(definition)
    head, mark, _ = definition.partition(_HEAD_ENDS)
    if not mark or _TAG in source:
        msg = "a function that is not written in SQL or PL/pgSQL"
        raise TwinError(msg)
    return f"{moved(head)}\nAS {_TAG}{moved(source, body=True)}{_TAG}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
