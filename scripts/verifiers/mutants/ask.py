"""Put one mutant into a database, ask who owns the guarantee, and take it out again.

Owns: the transaction around a mutant, and what counts as seen.
Promises: whatever a mutant does is rolled back; only a red check of an owner, or a deadline that its questions ran
into, is a kill; a mutant that cannot be applied, and an owner that gives no answer, are told as that.
Never: knows where mutants come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import tuple_row

from scripts.errors.base import ProjectError
from scripts.verifiers.model import Database, Findings, Settled
from scripts.verifiers.mutants.model import Fate, Mutant, Verdict
from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.model import Asks, Invariant
    from scripts.verifiers.twin.schema import Twin

# A question takes milliseconds; a body that never ends takes this long. Both are for one statement.
STATEMENT_TIMEOUT_MS = 3_000
LOCK_TIMEOUT_MS = 2_000
_NOT_ALLOWED = "SQLSTATE 42501"
_PINNED = (
    b"RESET ROLE; SET LOCAL session_replication_role TO origin; SET LOCAL row_security TO on; "
    b"SET LOCAL search_path TO pg_catalog, pg_temp"
)
_NUMBER = b"SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
# What most changes are seen by, from the one reading alone; then everything else in its order.
_WIDE = ("table-definitions", "table-privileges", "definer-search-path", "function-privileges", "role-login-posture")
_WIDEST_FIRST = sorted(INVARIANTS, key=lambda one: _WIDE.index(one.id) if one.id in _WIDE else len(_WIDE))
_BY_ID = {invariant.id: invariant for invariant in INVARIANTS}


class Bench:
    """One database to break, over two logins.

    The session is a superuser's that acts as the schema's owner: what a mutant needs a superuser for is done by
    stepping back, and everything else is done and asked as the owner would.
    """

    def __init__(
        self,
        admin: Callable[[], psycopg.Connection[Any]],
        owner: Callable[[], psycopg.Connection[Any]],
        files: Sequence[MigrationFile],
    ) -> None:
        """Take ways to connect, as superuser and as owner, and the files that the database was made from."""
        from scripts.verifiers.twin.schema import Twin

        self._admin, self._owner = admin, owner
        self._files = tuple(files)
        self._conn = self._opened()
        with owner() as conn:
            self._role: str = conn.info.user
        self._twin: Twin = Twin(owner)
        # set_config() changes the session from within any statement; what is judged is the schema.
        self._settle = b"; ".join((b"SET CONSTRAINTS ALL IMMEDIATE", _PINNED, self._settings(), _NUMBER))
        # Whether the mutant at hand wrote anything. A transaction that did not has no number, and nobody can see it.
        self._written = True
        before = Database(self._conn, owner, self._files)
        with self._conn.transaction(force_rollback=True):
            self._set()
            self._facts = before.facts
        self._sources = before.sources  # once, of files that do not change

    def close(self) -> None:
        """Close every connection, and drop the twin."""
        self._twin.close()
        self._conn.close()

    def green(self, owners: Iterable[str]) -> dict[str, str]:
        """Invariant → why it is not green while nothing is changed; empty when all are."""
        verdicts = {owner: self.judge(Mutant("nothing", owner, (owner,), ())) for owner in owners}
        return {owner: one.by or one.reason for owner, one in verdicts.items() if one.fate is not Fate.SURVIVED}

    def judge(self, mutant: Mutant) -> Verdict:
        """Apply one mutant, ask its owners in turn until one is red, and undo it."""
        import psycopg

        if mutant.refused:
            return Verdict(mutant, Fate.FAILED, reason=mutant.refused)
        if self._conn.closed:
            self._conn = self._opened()
        try:
            with self._conn.transaction(force_rollback=True):
                self._set()
                trouble = self._apply_given(mutant) if mutant.given else self._apply(mutant, admin=mutant.admin)
                if trouble:
                    return Verdict(mutant, Fate.FAILED, reason=trouble)
                if mutant.given:
                    return self._asked_all(mutant) if self._written else Verdict(mutant, Fate.SURVIVED)
                return self._asked(mutant)
        except psycopg.Error as exc:
            return Verdict(mutant, Fate.FAILED, reason=f"the connection was lost: SQLSTATE {exc.sqlstate or 'none'}")

    def _opened(self) -> psycopg.Connection[Any]:
        conn = self._admin()
        # What the driver prepares by itself it throws away with each mutant, and the plan of the reading with it.
        conn.prepare_threshold = None
        return conn

    def _set(self) -> None:
        """Act as the owner, with deadlines, until the rollback."""
        self._conn.execute(self._settings(), prepare=False)

    def _settings(self) -> bytes:
        from psycopg import sql

        return (
            sql.SQL(
                "SET LOCAL statement_timeout TO {}; SET LOCAL lock_timeout TO {}; SET LOCAL jit TO off; "
                "SET LOCAL ROLE {}"
            )
            .format(f"{STATEMENT_TIMEOUT_MS}ms", f"{LOCK_TIMEOUT_MS}ms", sql.Identifier(self._role))
            .as_bytes()
        )

    def _apply(self, mutant: Mutant, *, admin: bool) -> str:
        """Why the mutant cannot be applied; empty when it was, and the owner acts again."""
        import psycopg

        if admin:
            self._conn.execute("RESET ROLE")
        for number, statement in enumerate(mutant.sql):
            try:
                self._conn.execute(statement.encode(), prepare=False)
            except psycopg.Error as exc:
                # The code alone: a primary message may quote a value.
                where = mutant.places[number] if mutant.places else f"statement {number + 1}"
                return f"{where} was refused: SQLSTATE {exc.sqlstate or 'none'}"
        if admin:
            self._set()
        return ""

    def _apply_given(self, mutant: Mutant) -> str:
        """As the owner; what the owner may not do, whole, as superuser."""
        with self._conn.transaction() as savepoint:
            trouble = self._apply(mutant, admin=False)
            if trouble:
                from psycopg import Rollback

                raise Rollback(savepoint)
        if trouble.endswith(_NOT_ALLOWED):
            trouble = self._apply(mutant, admin=True)
        return trouble or self._settled(mutant)

    def _settled(self, mutant: Mutant) -> str:
        """Let every rule that waits for the commit be asked now, and let who asks be who asked before."""
        import psycopg

        try:
            with self._conn.cursor(row_factory=tuple_row) as cursor:
                cursor.execute(self._settle, prepare=False)
                cursor.set_result(-1)
                row = cursor.fetchone()
        except psycopg.Error as exc:
            where = mutant.places[-1] if mutant.places else "the last statement"
            return f"{where} could not be committed: SQLSTATE {exc.sqlstate or 'none'}"
        self._written = row is not None and row[0] is not None
        return ""

    def _asked(self, mutant: Mutant) -> Verdict:
        database = self._database(self._facts if mutant.behaviour else None)
        reasons = []
        for owner in mutant.owners:
            fate, told = self._ask(_BY_ID[owner], database)
            if fate in (Fate.KILLED, Fate.STALLED):
                return Verdict(mutant, fate, by=f"{owner}/{told}")
            if fate is Fate.FAILED:
                reasons.append(f"{owner}: {told}")
        if reasons:
            return Verdict(mutant, Fate.FAILED, reason="; ".join(reasons))
        return Verdict(mutant, Fate.SURVIVED)

    def _asked_all(self, mutant: Mutant) -> Verdict:
        """Every invariant: all facts first, which cost one reading, then all probes."""
        database = self._database(None)
        reasons: list[str] = []
        stages: tuple[Asks, ...] = ("facts", "all")
        for asks in stages:
            reasons = []
            for invariant in _WIDEST_FIRST if asks == "facts" else INVARIANTS:
                fate, told = self._ask(invariant, database, asks=asks)
                if fate in (Fate.KILLED, Fate.STALLED):
                    return Verdict(mutant, fate, by=f"{invariant.id}/{told}")
                if fate is Fate.FAILED:
                    reasons.append(f"{invariant.id}: {told}")
        return Verdict(mutant, Fate.FAILED if reasons else Fate.SURVIVED, reason="; ".join(reasons))

    def _ask(self, invariant: Invariant, database: Database, *, asks: Asks = "all") -> tuple[Fate, str]:
        import psycopg

        findings = Findings(asks=asks, until_red=True)
        try:
            with self._conn.transaction(force_rollback=True):
                invariant.verify(database, findings)
        except Settled:
            pass
        except psycopg.errors.QueryCanceled:
            return Fate.STALLED, f"no answer within {STATEMENT_TIMEOUT_MS} ms"
        except psycopg.Error as exc:
            if self._conn.closed:
                raise
            return Fate.FAILED, f"no answer: SQLSTATE {exc.sqlstate or 'none'}"
        except ProjectError as exc:
            return Fate.FAILED, exc.what
        except Exception as exc:  # noqa: BLE001 - one mutant must not end the suite
            return Fate.FAILED, f"the verifier itself failed: {type(exc).__name__}"
        red = findings.failed()
        return (Fate.KILLED, red[0]) if red else (Fate.SURVIVED, "")

    def _database(self, facts: Reading | None) -> Database:
        """The database now; with `facts`, as the catalog was before the change."""
        # No mutant changes the server, and each asks for the roles' posture.
        return Database(
            self._conn, self._owner, self._files, twin=self._twin, facts=facts, sources=self._sources, server=()
        )
