"""What a session waits for, who is in the way, and behind whom they wait in turn: asked of the server, and read.

Owns: the question, and what its answer means.
Promises: of another session's query only what scripts/parser/redact.py leaves of it goes any further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.waiting.blockers import PREPARED, Blocker, Wait
from scripts.migrations.waiting.lock_modes import conflict, mode_words
from scripts.parser.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# One answer, one value: the edges of the graph of waits, and what is known of everybody in it. UNION stops at a cycle.
# The server's own sum of it all, pg_blocking_pids, holds for a moment each time: the parts may disagree a little.
_ASK = """
WITH RECURSIVE edge (waiter, blocker) AS (
  SELECT %(pid)s, b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s)) AS b (pid)
   UNION
  SELECT e.blocker, b.pid FROM edge e, pg_catalog.unnest(pg_catalog.pg_blocking_pids(e.blocker)) AS b (pid)
   WHERE e.blocker <> 0
), part AS MATERIALIZED (
  SELECT DISTINCT x.pid FROM edge, LATERAL (VALUES (waiter), (blocker)) AS x (pid)
   WHERE x.pid <> pg_catalog.pg_backend_pid()
), held AS MATERIALIZED (
  SELECT l.*, ROW(l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid,
                  l.objid, l.objsubid)::text AS object
    FROM pg_catalog.pg_locks l WHERE EXISTS (SELECT FROM edge)
), gone AS MATERIALIZED (
  -- The virtual number of a prepared transaction is its old session's, and no more unique: then all are named.
  SELECT l.virtualtransaction, p.transaction::text AS xid, p.owner, p.prepared
    FROM held l JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = l.transactionid
   WHERE l.pid IS NULL AND l.granted AND l.locktype = 'transactionid'
), wanted AS MATERIALIZED (
  -- The numbers of objects are those of one database, but for those that all databases share.
  SELECT held.*, coalesce(database IN (0, (SELECT d.oid FROM pg_catalog.pg_database d
                                            WHERE d.datname = pg_catalog.current_database())), false) AS here
    FROM held WHERE NOT granted AND pid IN (SELECT pid FROM part)
)
SELECT pg_catalog.jsonb_build_object(
  'edges', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(waiter, blocker)) FROM edge
             WHERE blocker <> pg_catalog.pg_backend_pid()),
  'sessions', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'pid', a.pid, 'role', a.usename, 'application', a.application_name, 'kind', a.backend_type, 'state', a.state,
      'query', a.query, 'wait_event', a.wait_event_type || ':' || a.wait_event,
      'transaction_s', extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start),
      'state_s', extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)))
    FROM pg_catalog.pg_stat_activity a WHERE a.pid IN (SELECT pid FROM part)),
  'wanted', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'pid', w.pid, 'object', w.object, 'type', w.locktype, 'mode', w.mode,
      'name', CASE WHEN w.relation IS NOT NULL THEN (
            SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = w.relation AND w.here)
          WHEN w.locktype = 'object' THEN
               CASE WHEN w.here THEN pg_catalog.pg_describe_object(w.classid, w.objid, w.objsubid) END
          ELSE w.transactionid::text END,
      'waited_s', extract(epoch FROM pg_catalog.clock_timestamp() - w.waitstart))) FROM wanted w),
  'held', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'pid', coalesce(h.pid, 0), 'object', h.object, 'mode', h.mode,
      'xid', x.xid))
    FROM held h
    LEFT JOIN gone x ON h.pid IS NULL AND x.virtualtransaction = h.virtualtransaction
   WHERE h.granted AND h.object IN (SELECT object FROM wanted)
     AND (h.pid IS NULL OR h.pid IN (SELECT pid FROM part))),
  'prepared', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'xid', x.xid, 'role', x.owner,
      'transaction_s', extract(epoch FROM pg_catalog.clock_timestamp() - x.prepared)))
    FROM gone x))::text
"""


def blockers_query(pid: int) -> bytes:
    """The SQL that asks who blocks a backend; one text value, the JSON that `read_wait` takes."""
    # The number is ours; the template's double percent signs are those of a format.
    return (_ASK % {"pid": int(pid)}).encode()


def read_wait(pid: int, answer: Mapping[str, Any]) -> Wait | None:
    """What the server said about a backend; None when it waits for nobody.

    Args:
        pid: of the backend asked about.
        answer: the parsed JSON of `blockers_query`.
    """
    edges = tuple((int(waiter), int(blocker)) for waiter, blocker in answer.get("edges") or ())
    if not edges:
        return None
    graph = _Graph(
        pid,
        edges,
        {row["pid"]: row for row in answer.get("wanted") or ()},
        tuple(answer.get("held") or ()),
        {row["pid"]: row for row in answer.get("sessions") or ()},
        {row["xid"]: row for row in answer.get("prepared") or ()},
    )
    found: list[Blocker] = []
    for blocker in dict.fromkeys(blocker for _, blocker in edges):
        found += _prepared(graph) if blocker == PREPARED else [_session(graph, blocker)]
    found.sort(key=lambda one: (not one.head, not one.direct))
    mine = graph.wanted.get(pid) or {}
    return Wait(_wants(mine), float(mine.get("waited_s") or 0.0), tuple(found))


@dataclass(frozen=True, slots=True)
class _Graph:
    """The server's answer: edges from who waits to who is waited for, and what is known of each pid (or xid)."""

    pid: int
    edges: tuple[tuple[int, int], ...]
    wanted: Mapping[int, Mapping[str, Any]]
    held: tuple[Mapping[str, Any], ...]
    sessions: Mapping[int, Mapping[str, Any]]
    prepared: Mapping[str, Mapping[str, Any]]

    def waiters(self, blocker: int) -> list[int]:
        return [waiter for waiter, other in self.edges if other == blocker]


def _session(graph: _Graph, blocker: int) -> Blocker:
    waits_for = tuple(dict.fromkeys(other for waiter, other in graph.edges if waiter == blocker))
    waiters = graph.waiters(blocker)
    row = graph.sessions.get(blocker) or {}
    return Blocker(
        pid=blocker,
        role=row.get("role") or "",
        application=row.get("application") or "",
        kind=row.get("kind") or "",
        state=row.get("state") or "",
        transaction_s=_seconds(row.get("transaction_s")),
        state_s=_seconds(row.get("state_s")),
        wait_event=row.get("wait_event") or "",
        query=_query(row.get("query") or ""),
        holds=_holds(
            [one for one in graph.held if one["pid"] == blocker],
            [graph.wanted[waiter] for waiter in waiters if waiter in graph.wanted],
        ),
        wants=_wants(graph.wanted.get(blocker) or {}) if waits_for else "",
        waits_for=waits_for,
        direct=graph.pid in waiters,
        head=not waits_for,
    )


def _prepared(graph: _Graph) -> list[Blocker]:
    """The prepared transactions that hold what somebody wants: pid 0 does not say which."""
    found: dict[str, Blocker] = {}
    for waiter in graph.waiters(PREPARED):
        want = graph.wanted.get(waiter)
        for one in graph.held:
            if want is None or one["xid"] is None or not conflict(one, want):
                continue
            xid = str(one["xid"])
            direct = waiter == graph.pid or (xid in found and found[xid].direct)
            found[xid] = _prepared_blocker(xid, graph.prepared.get(xid, {}), _holds([one], [want]), direct=direct)
    return list(found.values()) or [
        _prepared_blocker("", {}, "", direct=graph.pid in graph.waiters(PREPARED)),
    ]


def _prepared_blocker(xid: str, row: Mapping[str, Any], holds: str, *, direct: bool) -> Blocker:
    return Blocker(
        pid=PREPARED,
        role=row.get("role") or "",
        application="",
        kind="prepared transaction",
        state="prepared",
        transaction_s=_seconds(row.get("transaction_s")),
        state_s=None,
        wait_event="",
        query="",
        holds=holds,
        wants="",
        waits_for=(),
        direct=direct,
        head=True,
        xid=xid,
    )


def _holds(held: Sequence[Mapping[str, Any]], wants: Sequence[Mapping[str, Any]]) -> str:
    """The modes that keep the waiters out, and of what; empty for one that is only ahead in the queue."""
    for want in wants:
        if want["type"] not in ("relation", "object"):
            continue
        modes = [mode_words(one["mode"]) for one in held if conflict(one, want)]
        if modes:
            return f"{' and '.join(dict.fromkeys(modes))} on {want.get('name') or 'it'}"
    return ""


def _wants(want: Mapping[str, Any]) -> str:
    """`ACCESS EXCLUSIVE on public.t`, or in words what no name exists for."""
    kind, name = want.get("type"), want.get("name")
    if kind is None:
        return "a lock"
    if kind in ("relation", "object"):
        return f"{mode_words(want['mode'])} on {name or 'something of another database'}"
    if kind == "virtualxid":
        return "the end of a transaction that began earlier"
    if kind == "transactionid":
        return f"the end of transaction {name}"
    of = f" of {name}" if name else ""
    return {"tuple": f"a row{of}", "advisory": "an advisory lock"}.get(str(kind), f"a lock on {kind}{of}")


def _query(query: str) -> str:
    return "(hidden)" if query == "<insufficient privilege>" else redacted(query)


def _seconds(value: Any) -> float | None:
    return None if value is None else max(0.0, float(value))
