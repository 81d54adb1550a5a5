"""From two answers and what the server told between them to what a statement did.

Owns: the judgement whether a table was rewritten, emptied, read from end to end, or left alone.
How: a new file on disk is a rewrite or a TRUNCATE; the scan counters and the server's debug messages confirm each
other, because a message names a table without its schema, and a counter does not say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.migrations.trace.model import strength

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.migrations.trace.known import Known
    from scripts.migrations.trace.messages import Told
    from scripts.migrations.trace.model import Effect, LockTaken
    from scripts.migrations.trace.probe import Answer, Seen

_ROWS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"})
# Statements that run others: only the counters tell how many rows they changed.
PROGRAMS = frozenset({"DoStmt", "CallStmt", "SelectStmt", "ExecuteStmt", "ConstraintsSetStmt"})
_TABLES = frozenset("rmp")
_WITH_ROWS = frozenset("rm")


def counts_rows(kind: str) -> bool:
    """Whether rows are counted for a statement of this kind, be it none."""
    return kind in _ROWS or kind in PROGRAMS or kind == "CreateTableAsStmt"


class Judge:
    """Compares what was seen before and after one statement."""

    def __init__(  # noqa: PLR0913 - each is a part of the evidence
        self, known: Known, *, before: Answer, after: Answer, told: Told, kind: str, new_names: frozenset[str]
    ) -> None:
        self.known, self.told, self.kind, self.new_names = known, told, kind, new_names
        self.before, self.everything = before.relations, after.relations
        # Whoever is not known came after the file began, whatever its oid.
        self.after = {oid: seen for oid, seen in after.changed.items() if oid in known.relations}
        self.moved = {oid for oid in self.after if self._moved(oid)}
        self.scans = {oid for oid in self.after if self._delta(oid, "scans") > 0}
        self.truncated = self._truncated()
        self.rewritten = self._tables(self.moved) - self.truncated
        self.scanned = self._scanned() - self.moved
        self.built = self._built()
        self.changed_rows = sum(
            self._delta(oid, "changed") for oid in self.after if known.relations[oid].kind in _WITH_ROWS
        )

    def locks(self) -> tuple[LockTaken, ...]:
        """What was locked since, the strongest first."""
        taken = [
            self.known.lock(oid, mode)
            for oid, seen in self.after.items()
            for mode in seen.modes
            if oid not in self.before or mode not in self.before[oid].modes
        ]
        return tuple(sorted(taken, key=lambda lock: (-strength(lock.mode), lock.relation)))

    def _truncated(self) -> set[int]:
        """Tables that were emptied: a new file on disk, and the old one was read for its indexes' sake at most."""
        if self.kind == "TruncateStmt":
            return self._tables(self.moved)
        if self.kind not in PROGRAMS:
            return set()
        return {oid for oid in self._tables(self.moved) if self._is_emptied(oid)}

    def _is_emptied(self, oid: int) -> bool:
        """Inside a program: nobody tells of a TRUNCATE, nor of a CLUSTER, but CLUSTER reads what it copies."""
        relation = self.known.relations[oid]
        if relation.kind == "m" or relation.name in self.told.rewriting:
            return False
        reads = sum(self._delta(other, "scans") for other in self.scans if oid in (other, self.known.table_of(other)))
        return reads <= sum(table == relation.name for _, table in self.told.building)

    def _scanned(self) -> set[int]:
        """Tables that were read from end to end, and not rewritten."""
        found = self._tables(self.scans)
        for name in self.told.verifying:
            found |= self._named(name)
        if self.told.validating:
            # The check of a foreign key may read both tables by their indexes.
            found |= {self.known.table_of(oid) for oid in self.scans if self.known.relations[oid].kind == "i"}
        if self.kind == "VacuumStmt":  # ANALYZE counts no scan; it reads a sample
            found |= self._tables(
                {oid for oid, seen in self.after.items() if "ShareUpdateExclusiveLock" in self._new_modes(oid, seen)}
            )
        return found

    def _built(self) -> set[str]:
        """Indexes that were built on tables that existed before."""
        found: set[str] = set()
        for index, table in self.told.building:
            for oid in self._named(table):
                found.add(f"{self.known.relations[oid].schema}.{index}")
        return found

    def rows(self, tagged: int | None) -> int | None:
        """Rows changed: as the server's answer says, or, when a program ran, as the counters say.

        Args:
            tagged: the number in the command tag, None for none.
        """
        if self.kind in _ROWS or self.kind == "CreateTableAsStmt":
            return tagged
        return self.changed_rows if self.kind in PROGRAMS else None

    def effect(self) -> Effect:
        """The costliest thing that happened."""
        if self.rewritten:
            return "rewrite"
        if self.truncated:
            return "truncate"
        if self.built:
            return "index"
        if self.kind in _ROWS or self.changed_rows:
            return "data"
        return "scan" if self.scanned else "catalog"

    def labels(self, oids: Iterable[int]) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(sorted(self.known.label(oid) for oid in oids))

    def _new_modes(self, oid: int, seen: Seen) -> set[str]:
        earlier = self.before.get(oid)
        return set(seen.modes) - set(earlier.modes if earlier else ())

    def _moved(self, oid: int) -> bool:
        earlier = self.before.get(oid)
        filenode = earlier.filenode if earlier else self.known.relations[oid].filenode
        now = self.after[oid].filenode
        # 0: it has no file, or it was dropped.
        return now not in (0, filenode) and filenode != 0

    def _delta(self, oid: int, counter: str) -> int:
        earlier = self.before.get(oid)
        count: int = getattr(self.after[oid], counter) - (getattr(earlier, counter) if earlier else 0)
        return count

    def _tables(self, oids: Iterable[int]) -> set[int]:
        return {oid for oid in oids if self.known.relations[oid].kind in _TABLES}

    def _named(self, name: str) -> set[int]:
        """The table of a message. When a new table has the name too, or several do, the counters decide."""
        found = {
            oid
            for oid in self._tables(self.everything.keys() & self.known.relations.keys())
            if self.known.relations[oid].name == name
        }
        if len(found) > 1 or name in self.new_names:
            found &= self.scans | self.moved
        return found
