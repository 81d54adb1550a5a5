"""What the twin is to be made of: the definitions that the verifying transaction sees, moved to the twin's schema.

Owns: which tables are copied, and how each part is made and taken away again.
Promises: what stands uncommitted in the catalog (a control's violation, a mutant) is in the parts. A column that nobody
reviewed is in none of them, whatever type it has and whatever fills it: no probe names it. Nor is a trigger that nobody
reviewed and that reaches outside the twin.
Never: makes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scripts.parser.quoting import quoted
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.planned import Planned
from scripts.verifiers.facts.tables import ENUMS
from scripts.verifiers.facts.tables import TABLES as REVIEWED
from scripts.verifiers.probes.stricter import NAMES
from scripts.verifiers.twin.mapping import NOTIFIER, TWIN, TwinError, mapped
from scripts.verifiers.twin.names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

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
COLUMNS = tuple(f"{table}.{column.name}" for table in TABLES for column in REVIEWED[table].columns)
_REST = Planned(Path(__file__).with_name("reading.sql").read_text(encoding="utf-8"), parameters=3)
_FUNCTIONS = Planned(Path(__file__).with_name("functions.sql").read_text(encoding="utf-8"), parameters=2)
_VERSIONS = Planned(Path(__file__).with_name("versions.sql").read_text(encoding="utf-8"), parameters=3)
# What the rows of functions are called in versions.sql.
_FUNCTION = "1"
_TRIGGERS = frozenset((table, trigger.name) for table in TABLES for trigger in REVIEWED[table].triggers)
_HEAD_ENDS = "\nAS $function"
_QUOTE = "$function$"
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parts in the order in which they can be made, `TWIN` in place of the schema's name.

    `versions` are the catalog's rows that they were read from, `schemas` the other schemas of the database.
    """

    versions: str
    schemas: frozenset[str]
    parts: Mapping[Key, Part]

    def redefined(self, functions: Mapping[str, str]) -> dict[Key, Part]:
        """The parts of functions that are there, from other definitions of them: name → definition, as a statement.

        Raises:
            TwinError: a definition reaches outside the twin.
        """
        return {
            ("function", "", name): Part(
                _definition(text, _source_of(text), self._moved), self.parts["function", "", name].drop
            )
            for name, text in functions.items()
        }

    def alike(self, key: Key) -> frozenset[Key]:
        """Parts of that one's kind and table that say what it says under another name."""
        if key not in self.parts:
            return frozenset()
        said = self.parts[key].create.replace(key[2], "", 1)
        return frozenset(
            other
            for other, part in self.parts.items()
            if other[:2] == key[:2] and part.create.replace(other[2], "", 1) == said
        )

    def _moved(self, text: str, *, body: bool = False) -> str:
        return mapped(text, COPIED, KEPT, self.schemas, body=body)


def read_versions(stage: Stage) -> str:
    """What differs whenever a definition that the parts are made from was written, committed or not."""
    with stage.undone():
        return str(stage.ask(_VERSIONS, TABLES, sorted(FUNCTIONS), sorted(ENUMS))[0][0])


def read_snapshot(stage: Stage, versions: str, base: Snapshot | None) -> Snapshot:
    """What the transaction sees; where only functions differ from the base, only these are read.

    Raises:
        TwinError: a definition reaches outside the twin.
    """
    oids = _replaced_functions(versions, base.versions) if base else None
    with stage.undone():
        functions = stage.ask(_FUNCTIONS, sorted(FUNCTIONS), oids or ())
        rest = stage.ask(_REST, TABLES, COLUMNS, NAMES) if oids is None else []
    if base is not None and oids is not None:
        return Snapshot(versions, base.schemas, {**base.parts, **_parts(functions, base.schemas)})
    schemas = frozenset(row[2] for row in rest if row[0] == "schema" and not row[2].startswith(PREFIX))
    rows = [*functions, *(row for row in rest if row[0] != "schema")]
    return Snapshot(versions, schemas, _NOTIFIER | _parts(rows, schemas))


def _replaced_functions(versions: str, before: str) -> list[str] | None:
    """The OIDs of functions that were replaced, when nothing else differs."""
    now, then = (dict(one.split("=") for one in text.split()) for text in (versions, before))
    if now.keys() != then.keys():
        return None
    changed = [key.split(".") for key, version in now.items() if then[key] != version]
    return [oid for _, oid, _ in changed] if all(kind == _FUNCTION for kind, _, _ in changed) else None


def _parts(rows: list[tuple[Any, ...]], schemas: frozenset[str]) -> dict[Key, Part]:
    def moved(text: str, *, body: bool = False) -> str:
        return mapped(text, COPIED, KEPT, schemas, body=body)

    parts: dict[Key, Part] = {}
    for kind, parent, name, text, rest in rows:
        try:
            parts[kind, "" if kind == "function" else parent, name] = _MAKERS[kind](parent, name, text, rest, moved)
        except TwinError:
            # Somebody's trigger that does something elsewhere: the facts tell of it, and it is to hide no answer.
            if kind != "trigger" or (parent, name) in _TRIGGERS:
                raise
    return parts


def _routine(parent: str, name: str, text: str, rest: str | None, moved: Moved) -> Part:
    return Part(_definition(text, rest, moved), f"DROP FUNCTION {TWIN}.{quoted(name)}({moved(parent)})")


def _table(_: str, name: str, text: str, __: str, moved: Moved) -> Part:
    return Part(moved(text), f"DROP TABLE {TWIN}.{quoted(name)} CASCADE")


def _constraint(parent: str, name: str, text: str, rest: str, moved: Moved) -> Part:
    table, clause = f"{TWIN}.{quoted(parent)}", f"CONSTRAINT {quoted(name)} {moved(text)}"
    drop = f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}"
    return Part(f"ALTER TABLE {table} ADD {clause}", drop, "" if rest == "f" else clause)


def _index(_: str, name: str, text: str, __: str, moved: Moved) -> Part:
    return Part(moved(text), f"DROP INDEX {TWIN}.{quoted(name)}")


def _trigger(parent: str, name: str, text: str, rest: str, moved: Moved) -> Part:
    table = f"{TWIN}.{quoted(parent)}"
    # No session of the twin is a replica: ALWAYS and ORIGIN are one, and so are REPLICA and DISABLED.
    asleep = f"; ALTER TABLE {table} DISABLE TRIGGER {quoted(name)}" if rest in ("D", "R") else ""
    return Part(moved(text) + asleep, f"DROP TRIGGER {quoted(name)} ON {table}")


_MAKERS: dict[str, Callable[..., Part]] = {
    "function": _routine,
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


def _source_of(definition: str) -> str:
    """What stands between the quotes of a definition that the server wrote."""
    _, begins, rest = definition.partition(_QUOTE)
    source, ends, _ = rest.rpartition(_QUOTE)
    if not begins or not ends:
        msg = "a definition whose body is quoted otherwise"
        raise TwinError(msg)
    return source


_NOTIFIER = {
    ("function", "", NOTIFIER): Part(
        f"CREATE FUNCTION {TWIN}.{NOTIFIER}(text, text) RETURNS void LANGUAGE sql RETURN NULL", ""
    )
}
