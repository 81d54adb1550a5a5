"""The twin schema: made once a run, kept equal to what the verifying transaction sees, dropped with the run.

Owns: the twin's two sessions, its schema, and the statements that make it follow a changed definition.
Promises: it is built at the first question that needs it and, after that, only what differs is made anew; whatever
happens to the process, its lock tells that it is dead (names.py). No notification of it reaches anybody.
Never: touches a table of anybody's: every name that is run in it is its own (mapping.py).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.probes.wire import Wire
from scripts.verifiers.silence import answering
from scripts.verifiers.twin.mapping import TWIN
from scripts.verifiers.twin.names import COMMENT, lock, new_name, sweep
from scripts.verifiers.twin.pair import Pair, Session
from scripts.verifiers.twin.reading import TABLES, read_snapshot, read_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import psycopg

    from scripts.verifiers.model import Findings
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.twin.reading import Key, Part, Snapshot

CANCEL_S = 1.0
# A probe of two sessions is over in a moment, and its statements have timeouts; past this no answer of a session comes.
# Less than what the connection beside them has (bounds.py): that one is not to be lost with them.
SILENT_S, CLOSING_S = 30.0, 10.0
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 2_000
# One question closes a circle of two; the server looks for it this late, where the login may say so.
DEADLOCK_TIMEOUT_MS = 10
# Who calls the functions in production; what each may call is copied where the session may act as it.
_CALLERS = ("symphony_ingest", "symphony_executor")
_SETTINGS: LiteralString = f"""
    SET search_path TO pg_catalog, pg_temp; SET check_function_bodies TO off; SET client_min_messages TO warning;
    SET statement_timeout TO {STATEMENT_TIMEOUT_MS}; SET lock_timeout TO {LOCK_TIMEOUT_MS};
    SET synchronous_commit TO off; SET jit TO off; SET plan_cache_mode TO force_generic_plan;
    SET default_transaction_isolation TO 'read committed'; SET default_transaction_read_only TO off;
    SET default_transaction_deferrable TO off; SET quote_all_identifiers TO off;
    SET standard_conforming_strings TO on; SET backslash_quote TO safe_encoding; SET transform_null_equals TO off;
    SET array_nulls TO on;
    SET symphony.outbox_retry_ceiling TO ''; SET idle_in_transaction_session_timeout TO 0; SET transaction_timeout TO 0;
    SELECT pg_catalog.set_config('deadlock_timeout', '{DEADLOCK_TIMEOUT_MS}', false)
      FROM pg_catalog.pg_settings AS s
     WHERE s.name = 'deadlock_timeout' AND s.setting::pg_catalog.int4 > {DEADLOCK_TIMEOUT_MS}
       AND pg_catalog.has_parameter_privilege('deadlock_timeout', 'SET')
"""  # noqa: S608 - our own numbers
_MAY_CREATE: LiteralString = (
    "SELECT pg_catalog.has_database_privilege(%s, pg_catalog.current_database(), 'CREATE'), "
    "ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r WHERE r.rolname = ANY (%s) "
    "AND pg_catalog.pg_has_role(session_user, r.oid, 'SET'))"
)
_GRANTS: LiteralString = """
    SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %%s TO %%I', p.oid::pg_catalog.regprocedure, r.rolname)
      FROM pg_catalog.pg_proc AS p CROSS JOIN pg_catalog.pg_roles AS r
     WHERE p.pronamespace = 'public'::pg_catalog.regnamespace AND p.proname = ANY (%s) AND r.rolname = ANY (%s)
       AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
"""


class Twin:
    """A twin of the database that `connect` leads to. Nothing is opened before the first question."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], *, fixed: bool = False) -> None:
        """Open nothing yet.

        Args:
            connect: leads to the database, as its owner.
            fixed: whether nobody who asks plants anything in the schema itself, so that what was read once stands.
        """
        self._connect = connect
        self._fixed = fixed
        self._sessions: tuple[psycopg.Connection[Any], psycopg.Connection[Any]] | None = None
        self._wires: tuple[Wire, ...] = ()
        self._home = ""
        self._roles: frozenset[str] = frozenset()
        self._standing: dict[Key, Part] = {}
        self._lacking: frozenset[Key] = frozenset()
        self._instead: dict[str, str] = {}
        # What was read first, when nothing was planted yet, what was read last, and for whom.
        self._base: Snapshot | None = None
        self._snapshot: Snapshot | None = None
        self._asked: Findings | None = None
        self.name = ""

    @contextmanager
    def pair(self, stage: Stage) -> Iterator[Pair]:
        """Two sessions in the twin of what the stage sees; what they left open is rolled back.

        Raises:
            TwinError: a definition cannot be moved.
            UnaskedError: the owner may not create a schema.
            psycopg.Error: the twin cannot be made of these definitions.
        """
        first, second = self._opened(stage.home)
        with answering(first, SILENT_S), answering(second, SILENT_S):
            self._follow(stage)
            one, two = (
                Session(conn, wire, self.name, self._home, roles=self._roles, keyed=stage.keyed)
                for conn, wire in zip((first, second), self._wires, strict=True)
            )
            stage.wire.settle()
            pair = Pair(one, two, stage.conn)
            try:
                yield pair
            finally:
                pair.end()

    def lack(self, *keys: Key) -> None:
        """Leave these parts, and what says the same, out of the next pair's twin."""
        self._lacking = frozenset(keys)

    def redefine(self, functions: Mapping[str, str]) -> None:
        """Put these functions into the next pair's twin instead of the schema's: name → definition, as a statement."""
        self._instead = dict(functions)

    def cancel(self) -> None:
        """End whatever the sessions are waiting for. For another thread than the one that asks."""
        import psycopg

        for conn in self._sessions or ():
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        """Drop the schema and end the sessions. A connection that is lost leaves it to the next run's sweep."""
        import psycopg
        from psycopg import sql

        sessions, self._sessions, self._standing = self._sessions, None, {}
        self._base = self._snapshot = self._asked = None
        for conn in reversed(sessions or ()):
            with suppress(psycopg.Error), answering(conn, CLOSING_S):
                conn.rollback()
                if conn is sessions[0] and self.name:  # type: ignore[index]
                    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.name)))
            conn.close()

    def _opened(self, home: str) -> tuple[psycopg.Connection[Any], psycopg.Connection[Any]]:
        if self._sessions and (home != self._home or any(conn.closed for conn in self._sessions)):
            self.close()
        if self._sessions is None:
            try:
                self._sessions = self._open(home)
            except BaseException:
                # Half a pair is none: whoever asks next begins again.
                self.close()
                raise
            self._wires = tuple(Wire(conn) for conn in self._sessions)
        return self._sessions

    def _open(self, home: str) -> tuple[psycopg.Connection[Any], psycopg.Connection[Any]]:
        first = self._settled(home)
        self._home, self._sessions = home, (first, first)
        row = first.execute(_MAY_CREATE, [home, list(_CALLERS)]).fetchone()
        if row is None or not row[0]:
            raise UnaskedError.no_room_for_a_twin(home)
        self._roles = frozenset(row[1])
        sweep(first)
        self.name = new_name()
        if not lock(first, self.name):
            msg = "a name of 64 random bits is taken"
            raise RuntimeError(msg)
        return first, self._settled(home)

    def _settled(self, home: str) -> psycopg.Connection[Any]:
        from psycopg import sql

        conn = self._connect()
        conn.autocommit = True
        conn.prepare_threshold = None
        with answering(conn, SILENT_S):
            conn.execute(_SETTINGS)
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(home)))
        return conn

    def _follow(self, stage: Stage) -> None:
        """Make the twin what the stage sees. Whoever asks into the same findings sees what the one before saw."""
        lacking, self._lacking = self._lacking, frozenset()
        instead, self._instead = self._instead, {}
        if stage.findings is self._asked and not lacking and not instead:
            return
        self._asked = None
        snapshot = self._read(stage)
        gone = lacking.union(*(snapshot.alike(key) for key in lacking))
        parts = {key: part for key, part in snapshot.parts.items() if key not in gone}
        self._match(parts | snapshot.redefined(instead))
        self._asked = None if lacking or instead else stage.findings

    def _read(self, stage: Stage) -> Snapshot:
        """What the stage sees, read anew where it is not what was read last or first."""
        if self._fixed and self._snapshot is not None:
            return self._snapshot
        versions = read_versions(stage)
        if self._snapshot is None or versions != self._snapshot.versions:
            base = self._base
            same = base is not None and base.versions == versions
            self._snapshot = base if base is not None and same else read_snapshot(stage, versions, base)
            self._base = base or self._snapshot
        return self._snapshot

    def _match(self, wanted: dict[Key, Part]) -> None:
        """Make the twin what the parts say, with as little as can be."""
        import psycopg

        if wanted == self._standing:
            return
        script = self._difference(wanted) if self._standing else ""
        if script:
            try:
                self._execute(script)
            except psycopg.Error:
                # Others hang on what changed: then all of it is made anew.
                script = ""
        if not script:
            self._standing = {}
            self._execute(self._whole(wanted))
            self._grant()
        self._standing = wanted

    def _difference(self, wanted: Mapping[Key, Part]) -> str:
        """The statements that lead from what stands to what is wanted; none when a table itself differs."""
        standing = self._standing
        gone = [key for key in reversed(standing) if standing[key] != wanted.get(key)]
        new = [key for key in wanted if standing.get(key) != wanted[key]]
        if any(key[0] == "table" for key in (*gone, *new)):
            return ""
        # A function that stays is replaced in its place: triggers and defaults hang on it.
        drops = [standing[key].drop for key in gone if not (key[0] == "function" and key in wanted)]
        return ";\n".join((*drops, *(wanted[key].create for key in new)))

    def _whole(self, wanted: Mapping[Key, Part]) -> str:
        from psycopg import sql

        inline: dict[str, list[str]] = {table: [] for table in TABLES}
        for (kind, table, _), part in wanted.items():
            if kind == "constraint" and part.inline:
                inline[table].append(part.inline)
        script = [
            f"DROP SCHEMA IF EXISTS {TWIN} CASCADE",
            f"CREATE SCHEMA {TWIN}",
            f"COMMENT ON SCHEMA {TWIN} IS {sql.Literal(COMMENT).as_string()}",
        ]
        for (kind, _, name), part in wanted.items():
            if kind == "table":
                script.append(f"CREATE TABLE {TWIN}.{name} ({', '.join((part.create, *inline[name]))})")
            elif not part.inline:
                script.append(part.create)
        return ";\n".join(script)

    def _grant(self) -> None:
        """Let the callers call, where the sessions can act as them: nobody else can get at the twin."""
        from scripts.verifiers.facts.functions import FUNCTIONS
        from scripts.verifiers.twin.mapping import mapped

        if not self._roles or self._sessions is None:
            return
        rows = self._sessions[0].execute(_GRANTS, [sorted(FUNCTIONS), sorted(self._roles)]).fetchall()
        copied, none = frozenset(FUNCTIONS), frozenset[str]()
        grants = [mapped(row[0], copied, frozenset({"outbox_attempt_state"}), none, body=False) for row in rows]
        self._execute(";\n".join((f"GRANT USAGE ON SCHEMA {TWIN} TO {', '.join(sorted(self._roles))}", *grants)))

    def _execute(self, script: str) -> None:
        """All of it, or nothing: statements sent together are one transaction."""
        if self._sessions:
            self._sessions[0].execute(script.replace(TWIN, self.name).encode())
