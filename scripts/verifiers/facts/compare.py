"""Put what an object is beside what it must be, one check an object.

Owns: how each kind of object is looked up and compared.
Promises: an object counts only at its place: schema, table and name. An object that need have no certain name counts
when its definition does. Expressions are compared as parsed trees when their texts differ. A column may be stricter
about NULL than it must be.
Never: knows any table of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from scripts.digest import sha256_hex
from scripts.verifiers.facts.extras import other_constraints, other_unique_indexes
from scripts.verifiers.facts.hurdles import hurdles
from scripts.verifiers.facts.privileges import PUBLIC, grantees
from scripts.verifiers.facts.shape import GOES_WITH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.facts.shape import Column, Constraint, Function, Table
    from scripts.verifiers.model import Findings

ABSENT = "absent"
_ADDED = "only a migration may add one: it can refuse rows that the schema promises to take"
_WORKS = (
    "what is added may work out nothing that can fail or that nobody reviewed, and holds whatever comes: "
    "with any other a row is refused, or ANALYZE fails"
)
_ORDINARY = "an ordinary table: stored, no rules, no row security, no inheritance"
# What is said to be an extension's goes with it, and is in no dump.
MEMBER = "MEMBER OF EXTENSION"


@dataclass(frozen=True, slots=True)
class Facts:
    """The comparison of one reading with what is expected, into one set of findings."""

    reading: Reading
    sources: Mapping[str, str]
    findings: Findings

    def table(self, table: Table, *, id: str = "") -> None:  # noqa: A002 - the check's id
        """The table is there, an ordinary one, with its storage parameters."""
        held = self.reading.held.get(table.name)
        observed = ABSENT
        if held is not None:
            odd = [
                *([] if held.kind == "r" else [f"relation kind {held.kind}"]),
                *([] if held.persistence == "p" else [f"persistence {held.persistence}"]),
                *(["row security"] if held.row_security else []),
                *(f"policy {name}" for name in held.policies),
                *(["replica identity NOTHING"] if held.identity == "n" else []),
                *(f"no UPDATE under publication {name}" for name in held.refusing),
                *(f"rule {name}" for name in held.rules),
                *(f"inherits {name}" for name in (*held.parents, *held.children)),
                *([f"{MEMBER} {held.extension}"] if held.extension else []),
            ]
            observed = ", ".join(odd) or _ORDINARY
        self._keep(id or f"{table.name}_table", _ORDINARY, observed, f"public.{table.name}")

    def whole(self, table: Table) -> None:
        """The table, everything that it must have, and nothing beside it that could undo or refuse."""
        self.table(table)
        for column in table.columns:
            self.column(table, column.name)
        for constraint in table.constraints:
            self.constraint(table, constraint)
        for index in table.indexes:
            self.index(table, index.name)
        for trigger in table.triggers:
            self.trigger(table, trigger.name)
        self.only_triggers(table)
        self.only_constraints(table)
        self.no_hurdle(table)

    def column(self, table: Table, name: str, *, id: str = "") -> None:  # noqa: A002
        """The column has its type, default and nullability."""
        expected = table.column(name)
        observed = self.found_column(table, name)
        if observed is not None and observed != expected:
            observed = replace(
                observed,
                not_null=observed.not_null and expected.not_null,
                default=_spelled_as(expected.default, observed.default),
                generated=_spelled_as(expected.generated, observed.generated),
            )
        self._keep(
            id or f"{table.name}.{name}",
            expected.text,
            observed.text if observed else ABSENT,
            f"public.{table.name}.{name}",
        )

    def found_column(self, table: Table, name: str) -> Column | None:
        """The column as it is, None when it is not there."""
        found = self._table(table)
        return next((column for column in found.columns if column.name == name), None) if found else None

    def constraint(self, table: Table, expected: Constraint, *, id: str = "") -> None:  # noqa: A002
        """The constraint is on this table, with this meaning, this validity, enforced; by name where it has one."""
        found = self._table(table)
        here = [_aligned(one, expected) for one in found.constraints] if found else []
        if expected.name:
            here = [one for one in here if one.name == expected.name]
            observed = here[0].text if here else ABSENT
        else:
            # One that is ours but asleep, or goes with an extension, is told as that, not as absent.
            alike = sorted(one.text for one in here if one.kind == expected.kind and _awake(one).text == expected.text)
            observed = alike[0] if alike else ABSENT
        label = expected.name or f"{table.name}: {expected.text}"
        self._keep(id or label, expected.text, observed, f"public.{table.name}")

    def index(self, table: Table, name: str, *, id: str = "") -> None:  # noqa: A002
        """The index is on this table: columns in order, method, uniqueness, predicate, valid and ready."""
        expected = table.index(name)
        found = self._table(table)
        observed = next((index for index in found.indexes if index.name == name), None) if found else None
        if observed is not None and observed != expected:
            observed = replace(observed, predicate=_spelled_as(expected.predicate, observed.predicate))
        self._keep(id or name, expected.text, observed.text if observed else ABSENT, f"public.{table.name}")

    def trigger(self, table: Table, name: str, *, id: str = "") -> None:  # noqa: A002
        """The trigger is on this table: timing, level, events, condition, function, enabled state."""
        expected = table.trigger(name)
        found = self._table(table)
        observed = next((trigger for trigger in found.triggers if trigger.name == name), None) if found else None
        if observed is not None and observed != expected:
            observed = replace(observed, when=_spelled_as(expected.when, observed.when))
        self._keep(id or name, expected.text, observed.text if observed else ABSENT, f"public.{table.name}")

    def only_triggers(self, table: Table) -> None:
        """No trigger beside the known ones: it could undo what they do."""
        found = self._table(table)
        known = {trigger.name for trigger in table.triggers}
        extra = sorted(trigger.name for trigger in found.triggers if trigger.name not in known) if found else [ABSENT]
        self._keep(f"{table.name}_no_other_trigger", "none", ", ".join(extra) or "none", f"public.{table.name}")

    def only_constraints(self, table: Table) -> None:
        """No check, key, reference, exclusion or unique index beside the known ones: it could refuse a row."""
        found = self._table(table)
        constraints = other_constraints(table, found, _aligned) if found else (ABSENT,)
        indexes = other_unique_indexes(table, found) if found else (ABSENT,)
        for what, extra in (("constraint", constraints), ("unique_index", indexes)):
            observed = ", ".join(extra) or "none"
            self._keep(f"{table.name}_no_other_{what}", "none", observed, f"public.{table.name}", _ADDED)

    def no_hurdle(self, table: Table) -> None:
        """Nothing beside the known columns and indexes that could refuse a row, or run what nobody reviewed."""
        held = self.reading.held.get(table.name)
        for kind in ("column", "index", "statistics"):
            found = hurdles(table, held.added, kind) if held else (ABSENT,)
            observed = "; ".join(found) or "none"
            self._keep(f"{table.name}_no_{kind}_in_the_way", "none", observed, f"public.{table.name}", _WORKS)

    def function(self, expected: Function, *, id: str = "") -> None:  # noqa: A002
        """One function of that name, with this signature, settings and security, and the body its migration gave it."""
        source = self.sources.get(expected.name) if expected.tree is None else expected.tree
        body = "BODY NOT IN ANY MIGRATION" if source is None else f"BODY {_short(source)}"
        texts = [
            f"{r.function.text} BODY {_short(r.source)}"
            + (f" {MEMBER} {r.extension}" if r.extension else "")
            + (f" {GOES_WITH} {r.goes_with}" if r.goes_with else "")
            for r in self.reading.routines_named(expected.name)
        ]
        self._keep(
            id or f"{expected.name}_function",
            f"{expected.text} {body}",
            " and ".join(texts) or ABSENT,
            f"public.{expected.name}",
            help="only a migration may change a function's body",
        )

    def enum(self, name: str, labels: tuple[str, ...], owners: Collection[str]) -> None:
        """The enum type has these labels in this order, is one of these owners', and everybody's to use."""
        found, rights = self.reading.enums.get(name), self.reading.enum_rights.get(name)
        observed = ABSENT if found is None else ", ".join(found)
        if rights is not None:
            who = grantees(rights.grants, rights.owner)
            observed += f" OWNED BY {rights.owner}" if rights.owner not in owners else ""
            observed += f" USED BY {who}" if who != PUBLIC else ""
            observed += f" {MEMBER} {rights.extension}" if rights.extension else ""
        self._keep(f"{name}_type", ", ".join(labels), observed, f"public.{name}")

    def _table(self, table: Table) -> Table | None:
        return self.reading.tables.get(table.name)

    def _keep(self, id: str, expected: str, observed: str, where: str, help: str = "") -> None:  # noqa: A002
        self.findings.check(
            id, expected=expected, observed=observed, where=where, help=help, examined=int(observed != ABSENT)
        )


def same_expression(expected: str | None, observed: str | None) -> bool:
    """Whether two expressions are the same tree: spacing and needless brackets do not count."""
    if expected is None or observed is None:
        return expected is observed
    return expected == observed or (_tree(expected) == _tree(observed))


def _spelled_as(expected: str | None, observed: str | None) -> str | None:
    """What was found, in the words that are expected where both are the same tree."""
    return expected if same_expression(expected, observed) else observed


def _aligned(observed: Constraint, expected: Constraint) -> Constraint:
    if expected.kind == observed.kind == "c" and expected.expression != observed.expression:
        return replace(observed, expression=_spelled_as(expected.expression, observed.expression))
    return observed


def _awake(constraint: Constraint) -> Constraint:
    """The constraint if nothing of it were asleep and it went with no extension."""
    if constraint.asleep or constraint.goes_with:
        return replace(constraint, asleep=(), goes_with=None)
    return constraint


@cache
def _tree(expression: str) -> str:
    """The expression as libpg_query writes it."""
    from scripts.parser.native import deparse
    from scripts.parser.statements import parse_statements

    (statement,) = parse_statements(f"SELECT {expression}", where="a catalog expression")
    return deparse(statement.node)


def _short(source: str) -> str:
    return f"sha256:{sha256_hex(source.encode())[:16]}"
