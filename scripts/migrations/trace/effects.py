"""From two answers and what the server told between them to what a statement did.

Owns: the judgement whether a table was rewritten, emptied, read from end to end, or left alone.
How: a new file on disk is a rewrite or a TRUNCATE; the scan counters and the server's debug messages confirm each
other, because a message names a table without its schema, and a counter does not say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scripts.migrations.trace.model import strength
from scripts.migrations.trace.probe import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.migrations.trace.known import Known
    from scripts.migrations.trace.messages import Told
    from scripts.migrations.trace.model import Effect, LockTaken
    from scripts.migrations.trace.probe import Answer

_ROWS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"})
# Statements that run others: only the counters tell how many rows they changed.
PROGRAMS = frozenset({"DoStmt", "CallStmt", "SelectStmt", "ExecuteStmt", "ConstraintsSetStmt"})
# EXPLAIN ANALYZE runs what it explains; its command tag has no number. Without ANALYZE nothing was changed.
_EXPLAINED = "ExplainStmt"
_EXCLUSIVE = "AccessExclusiveLock"
_TABLES = frozenset("rmp")
_WITH_ROWS = frozenset("rm")


# Of these more is to be said than locks: rows are counted, or a lock alone says what was done.
_WEIGHED = _ROWS | PROGRAMS | {"CreateTableAsStmt", "VacuumStmt", _EXPLAINED}


def is_weighed(kind: str) -> bool:
    """Whether more than locks is to be said of a statement of this kind, whatever the answers around it."""
    return kind in _WEIGHED


def only_locks(known: Known, *, before: Answer, after: Answer) -> tuple[LockTaken, ...] | None:
    """What a statement locked that is not weighed, and of which nothing was told; None when it may have done more.

    Most statements are of this sort. A `Judge` says the same of them, after ten times as much work.
    """
    taken: list[LockTaken] = []
    for oid, seen in after.changed.items():
        if oid not in known.relations:
            continue
        earlier = before.relations.get(oid)
        if earlier is None:
            earlier = Seen((), known.relations[oid].filenode, 0, 0)
        if seen[1:] != earlier[1:]:
            return None
        taken += [known.lock(oid, mode) for mode in seen.modes if mode not in earlier.modes]
    return _in_order(taken)


def _in_order(taken: list[LockTaken]) -> tuple[LockTaken, ...]:
    """The strongest first."""
    return tuple(sorted(taken, key=lambda lock: (-strength(lock.mode), lock.relation)))


class Names(NamedTuple):
    """The names of tables when the file was over.

    new: of those that it made. later: of those that were there before and have another one, by oid.
    """

    new: frozenset[str]
    later: Mapping[int, str]


class Judge:
    """Compares what was seen before and after one statement."""

    def __init__(  # noqa: PLR0913 - each is a part of the evidence
        self,
        known: Known,
        *,
        before: Answer,
        after: Answer,
        told: Told,
        kind: str,
        names: Names,
        catches: bool = False,
        all_or_nothing: bool = False,
    ) -> None:
        self.all_or_nothing = all_or_nothing
        self.known, self.told, self.kind, self.names, self.catches = known, told, kind, names, catches
        self.before, self.everything = before.relations, after.relations
        # Whoever is not known came after the file began, whatever its oid.
        self.after = {oid: seen for oid, seen in after.changed.items() if oid in known.relations}
        self.moved = {oid for oid in self.after if self._moved(oid)}
        self.scans = {oid for oid in self.after if self._delta(oid, "scans") > 0}
        self.truncated = self._truncated()
        self.undone = self._undone()
        self.rewritten = (self._tables(self.moved) - self.truncated) | self.undone
        self.scanned = self._scanned() - self.moved
        self.built = self._built()
        # The counters of a table that is dropped begin at 0.
        self.changed_rows = sum(
            max(0, self._delta(oid, "changed")) for oid in self.after if known.relations[oid].kind in _WITH_ROWS
        )

    def locks(self) -> tuple[LockTaken, ...]:
        """What was locked since, the strongest first."""
        taken = [
            self.known.lock(oid, mode)
            for oid, seen in self.after.items()
            for mode in seen.modes
            if oid not in self.before or mode not in self.before[oid].modes
        ]
        taken += [
            # Given back with the block, so it is not among those that can be asked for; but no rewrite goes without it.
            self.known.lock(oid, _EXCLUSIVE, source="documented")
            for oid in self.undone
            if oid not in self.everything or _EXCLUSIVE not in self.everything[oid].modes
        ]
        return _in_order(taken)

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
        if relation.kind == "m" or not self._called(oid).isdisjoint(self.told.rewriting):
            return False
        reads = sum(self._delta(other, "scans") for other in self.scans if oid in (other, self.known.table_of(other)))
        return reads <= sum(table in self._called(oid) for _, table in self.told.building)

    def _undone(self) -> set[int]:
        """Tables whose rewrite was told, and rolled back inside the statement: they have their old file again."""
        if self.kind not in PROGRAMS:
            return set()
        told = (self._named(name) for name in self.told.rewriting)
        return set().union(*(found for found in told if not found & self.moved))

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
        if self.kind == _EXPLAINED:
            return self.changed_rows or None
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
        if self.scanned:
            return "scan"
        return "unseen" if self.catches and not self._is_kept() else "catalog"

    def _is_kept(self) -> bool:
        """Whether a program that catches errors rolled nothing back: its locks would be gone with what it did."""
        return self.all_or_nothing and any(lock.source == "measured" for lock in self.locks())

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

    def _called(self, oid: int) -> set[str]:
        """What a message may call a table: the file may have given it another name."""
        return {self.known.relations[oid].name, self.names.later.get(oid, "")}

    def _named(self, name: str) -> set[int]:
        """The table of a message. When a new table has the name too, or several do, the counters decide."""
        locked = self._tables(self.everything.keys() & self.known.relations.keys())
        found = {oid for oid in locked if name in self._called(oid)}
        if len(found) > 1 or name in self.names.new:
            found &= self.scans | self.moved
        if found or name in self.names.new:
            return found
        if self.kind in PROGRAMS:
            # Its lock was given back when a block was rolled back; which of two of that name it was, nobody can say.
            gone = {oid for oid in self._tables(self.known.relations) if self.known.relations[oid].name == name}
            return gone if len(gone) == 1 else set()
        # A table that the file renames twice had this name in between.
        read = (self.scans | self.moved) & self.names.later.keys()
        return read if len(read) == 1 and not name.startswith("pg_toast_") else set()
