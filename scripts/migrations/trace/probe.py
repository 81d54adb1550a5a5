"""The questions woven between statements, and how their answers are read.

Owns: their SQL. Every name and operator is qualified, because a file may set any search path; nothing is asked of a
table, because a file may run as any role.
Why one text an answer: a question costs 0.05 ms, and 300 of them must not cost more than the statements they watch.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# The lowest oid that the server gives to what users make (FirstNormalObjectId).
FIRST_USER_OID = 16384
# The server's own messages on rewrites and scans are sent at this level.
AWAKE = "SET LOCAL client_min_messages TO debug1"
# Each message is a packet of its own: 0.03 ms that a table from this very file is not worth.
CALM = "SET LOCAL client_min_messages TO notice"
FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"
# A serializable transaction's note of what it has read: it makes nobody wait.
PREDICATE_LOCK = "SIReadLock"

_LOCKS = """
  FROM pg_catalog.pg_lock_status() l
 WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation'
   AND l.relation OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND l.relation OPERATOR(pg_catalog.<=) {newest}"""

# One column: a result with one is answered and read twice as quickly as one with five. The clock is read first and
# last, so that the question's own time is nobody's. The counters are those since the last flush, at most once a second;
# so every question asks for a flush at the end of its transaction, and the next begins at 0.
_CLOCK = "pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())"
_GLANCE = f"SELECT {_CLOCK}"
_LOCK_LIST = """pg_catalog.string_agg(pg_catalog.concat_ws(' ', l.relation, l.mode,
                 coalesce(pg_catalog.pg_relation_filenode(l.relation), 0),
                 pg_catalog.pg_stat_get_xact_numscans(l.relation),
                 pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation),
                 pg_catalog.pg_stat_get_xact_tuples_updated(l.relation),
                 pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation)), ',')"""
_PROBE = f"""SELECT pg_catalog.concat_ws('|', {_CLOCK}, coalesce((SELECT {_LOCK_LIST} {_LOCKS}), ''),
         pg_catalog.pg_stat_force_next_flush(), {_CLOCK})"""

# A relation as `known.py` keeps it. TOAST is left out: whoever locks it locks its table.
# One a line: numbers and a letter, then the names as JSON, in which no line ends.
_RELATIONS = """pg_catalog.string_agg(pg_catalog.concat(c.oid, ' ', c.relkind, ' ', c.relfilenode, ' ',
           CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'i' OR c.relkind OPERATOR(pg_catalog.=) 'I' THEN
                (SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid OPERATOR(pg_catalog.=) c.oid)
                ELSE 0::pg_catalog.oid END, ' [', pg_catalog.to_json(c.relnamespace::pg_catalog.regnamespace), ',',
           pg_catalog.to_json(c.relname), ']'), E'\\n')
          FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.<>) 99::pg_catalog.oid AND c.oid"""
# Modes without which nobody gives a relation another name, schema or file, or takes it away.
CHANGING = frozenset({"AccessExclusiveLock", "ShareUpdateExclusiveLock"})
# At the end of a file, in two forms with the same columns: which relations are new; what those are called now that had
# to be locked so; when the message began; and what is locked. It reads no clock, because planning it takes 0.2 ms.
_NEW = f"""(SELECT {_RELATIONS} OPERATOR(pg_catalog.>) {{newest}})"""
_SENT = "pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())"
_NAMES = f"SELECT {_NEW}, NULL, {_SENT}, NULL, pg_catalog.pg_stat_force_next_flush()"
# The server's lock table is walked once: that is half of what a question costs. What is locked tells its names without
# a look into a table, which would be planned anew when a GRANT ON SCHEMA has thrown away all plans.
_END = f"""WITH locks AS MATERIALIZED (SELECT l.relation, l.mode {_LOCKS})
SELECT {_NEW},
       (SELECT pg_catalog.string_agg(pg_catalog.concat(l.relation, ' ', pg_catalog.to_json(
                 (pg_catalog.pg_identify_object_as_address(1259, l.relation, 0)).object_names)), E'\\n') FROM locks l
         WHERE l.mode OPERATOR(pg_catalog.=) ANY ('{{{{{",".join(sorted(CHANGING))}}}}}'::pg_catalog.text[])),
       {_SENT}, (SELECT {_LOCK_LIST} FROM locks l), pg_catalog.pg_stat_force_next_flush()"""  # noqa: S608 - all of it is ours
# Asked before and after a statement outside a transaction that chooses its relations itself: every relation; how often
# each table was vacuumed by hand, which the server counts at once; and the files of catalogs and TOAST data.
FILES = f"""SELECT (SELECT {_RELATIONS} OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid), NULL,
       (SELECT pg_catalog.string_agg(pg_catalog.concat(c.oid, ' ', pg_catalog.pg_stat_get_vacuum_count(c.oid)), ',')
          FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
           AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,m,p}}'::pg_catalog."char"[])),
       (SELECT pg_catalog.string_agg(pg_catalog.concat(c.oid, ' ', pg_catalog.pg_relation_filenode(c.oid)), ',')
          FROM pg_catalog.pg_class c WHERE (c.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
            OR c.relnamespace OPERATOR(pg_catalog.=) 99::pg_catalog.oid)
           AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,i,t}}'::pg_catalog."char"[])),
       pg_catalog.current_setting('track_counts')"""  # noqa: S608 - all of it is ours
# The plan is made once for all files: by the index, because a catalog of ten thousand tables must not be read for each.
_BY_INDEX = "SET LOCAL plan_cache_mode TO force_generic_plan;SET LOCAL enable_seqscan TO off;"
HAS_EVENT_TRIGGERS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_event_trigger)"
# Digits of the highest oid there can be.
OID_WIDTH = 10
# Results of `Questions.names` and `Questions.end`; the last one is the answer.
END_RESULTS = 3


@dataclass(frozen=True, slots=True)
class Questions:
    """How the questions are put: by a name that the session has prepared, or, without one, in full."""

    name: str = ""

    def probe(self, newest: int) -> str:
        """What this transaction has locked; as long for every `newest`, the highest oid asked for."""
        if self.name:
            return f'EXECUTE "{self.name} probe"({newest:0{OID_WIDTH}d})'
        return _PROBE.format(newest=f"{newest:0{OID_WIDTH}d}::pg_catalog.oid")

    def glance(self) -> str:
        """The time alone."""
        return f'EXECUTE "{self.name} glance"' if self.name else _GLANCE

    def names(self, newest: int) -> str:
        """Which relations are new: all that there is to ask when nothing was locked that existed before."""
        return self._by_index("names", _NAMES, newest)

    def end(self, newest: int) -> str:
        """The file is over: which relations are new, what is locked, and which of those may have other names now."""
        return self._by_index("end", _END, newest)

    def _by_index(self, word: str, text: str, newest: int) -> str:
        if self.name:
            return f'{_BY_INDEX}EXECUTE "{self.name} {word}"({newest})'
        return _BY_INDEX + text.format(newest=f"{newest}::pg_catalog.oid")

    def preparation(self) -> str:
        """The statements that make the named questions."""
        return (
            f'PREPARE "{self.name} probe" (pg_catalog.oid) AS {_PROBE.format(newest="$1")};'
            f'PREPARE "{self.name} glance" AS {_GLANCE};'
            f'PREPARE "{self.name} names" (pg_catalog.oid) AS {_NAMES.format(newest="$1")};'
            f'PREPARE "{self.name} end" (pg_catalog.oid) AS {_END.format(newest="$1")}'
        )

    def removal(self) -> str:
        """The statements that take them back."""
        return ";".join(f'DEALLOCATE "{self.name} {word}"' for word in ("probe", "glance", "names", "end"))


UNPREPARED = Questions()


class Seen(NamedTuple):
    """One relation as a question found it: its file on disk, and this transaction's counters so far."""

    modes: tuple[str, ...]
    filenode: int
    scans: int
    changed: int


class Answer(NamedTuple):
    """One question's answer.

    began, ended: seconds since 1970 at which the server dealt with it. text: of its locks, as it came. relations: by
    oid, all that the transaction has locked; changed: those among them whose modes, file or counters differ from the
    answer before. (A named tuple: the server is idle while it is made.)
    """

    began: float
    ended: float
    text: str = ""
    relations: Mapping[int, Seen] = MappingProxyType({})
    changed: Mapping[int, Seen] = MappingProxyType({})


def read_answer(text: str, before: Answer) -> Answer:
    """Read one.

    Args:
        text: of a question's answer.
        before: the answer to the one before it; most repeat its relations, and some ask for the time alone.
    """
    began, _, rest = text.partition("|")
    start = float(began)
    if not rest:
        return Answer(start, start, before.text, before.relations)
    locks, _, end = rest.partition("|")
    ended = float(end.rpartition("|")[2])
    if locks == before.text:
        return Answer(start, ended, locks, before.relations)
    lines, earlier = set(locks.split(",")), set(before.text.split(","))
    touched = {line.partition(" ")[0] for line in lines ^ earlier if line}
    changed = _relations([line for line in lines if line.partition(" ")[0] in touched])
    relations = {**before.relations, **changed}
    for oid in map(int, touched):  # a lock goes away when a subtransaction is rolled back
        if oid not in changed:
            relations.pop(oid, None)
    return Answer(start, ended, locks, relations, changed)


def _relations(lines: list[str]) -> dict[int, Seen]:
    found: dict[int, Seen] = {}
    for line in lines:
        oid, mode, filenode, scans, inserted, updated, deleted = line.split(" ")
        if mode == PREDICATE_LOCK:
            continue
        relation = int(oid)
        earlier = found.get(relation)
        modes = (mode,) if earlier is None else (*earlier.modes, mode)
        found[relation] = Seen(modes, int(filenode), int(scans), int(inserted) + int(updated) + int(deleted))
    return found
