"""The stage on which the schema is made to act: a savepoint, a role, an attack, and everything undone.

Owns: acting as a runtime role, planting a violation to see a probe fail, and telling "refused, and how" from
"accepted" and from "could not be asked".
Promises: what a probe does is rolled back with its savepoint; only SQLSTATE and names of objects are kept of an error.
Never: knows what a row of ours looks like (world.py).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, cast

from scripts.errors.verifiers import UnaskedError
from scripts.verifiers.bounds import LOCK_TIMEOUT_MS
from scripts.verifiers.probes.alike import alike
from scripts.verifiers.probes.attacks import NOT_IN_A_BLOCK, Attack, make
from scripts.verifiers.probes.wire import NotPlanted, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import psycopg

    from scripts.verifiers.facts.planned import Planned
    from scripts.verifiers.model import Findings
    from scripts.verifiers.probes.wire import Params, Query

ACCEPTED = "accepted"
# Whoever waits for a lock stronger than ROW EXCLUSIVE stops everybody who comes after, readers too. So the wait is one
# that nobody notices; what needs longer is asked in a quieter moment.
STRONG_LOCK_TIMEOUT_MS = 100
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
_HASTE: LiteralString = f"{STRONG_LOCK_TIMEOUT_MS}ms"
_HURRY: LiteralString = f"SET LOCAL lock_timeout TO '{_HASTE}'"
# SQLSTATE classes that say nothing about the schema: connection, transaction rollback, resources, object in use,
# operator intervention, system, internal.
_NO_ANSWER = ("08", "40", "53", "55P03", "57", "58", "XX")
_NO_ANSWER_STATES = ("25P02", "25P03", "25P04")


class _Waiting(NamedTuple):
    """An attack that is made with those after it, and what is checked of it."""

    findings: Findings
    id: str
    expected: str
    sql: Query
    params: Params
    role: str
    lock: str
    where: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One connection inside a transaction that will be rolled back.

    `home` is the role that acts when no other is named: the schema's owner. `keyed`: payers have keys already, so that
    a database from before them fails for what it lacks, and not because no payer could be planted. `bodies`: the
    definitions of functions of `public` that were read so far, with nothing planted.
    """

    conn: psycopg.Connection[Any]
    findings: Findings
    home: str
    keyed: bool
    bodies: dict[str, str] = field(default_factory=dict)
    wire: Wire = field(default=None)  # type: ignore[assignment]
    waiting: list[_Waiting] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A stage on the same connection as another has that one's wire."""
        if cast("Wire | None", self.wire) is None:
            object.__setattr__(self, "wire", Wire(self.conn))

    def run(self, sql: Query, params: Params = None) -> None:
        """Do it as the owner."""
        self.wire.ask(sql, params)

    def plant(self, sql: Query, params: Params = None) -> None:
        """Do it as the owner before whatever is asked next; see `NotPlanted`."""
        self.wire.plant(sql, params)

    def redefine(self, functions: Mapping[str, str]) -> None:
        """Replace functions of `public`: name → definition, as a statement."""
        self.run(";\n".join(functions.values()).encode())

    def value(self, sql: Query, params: Params = None, *, role: str = "") -> Any:
        """The first column of the first row, None without one; as `role`, else as the owner."""
        row = self.row(sql, params, role=role)
        return row[0] if row else None

    def row(self, sql: Query, params: Params = None, *, role: str = "") -> tuple[Any, ...] | None:
        """The first row; as `role`, else as the owner."""
        rows = self.rows(sql, params, role=role)
        return rows[0] if rows else None

    def rows(self, sql: Query, params: Params = None, *, role: str = "") -> list[tuple[Any, ...]]:
        """Every row; as `role`, else as the owner."""
        if not role:
            return self.wire.ask(sql, params)
        self.become(role)
        rows = self.wire.ask(sql, params)
        # Not reached after an error: then the savepoint's rollback gives the role back.
        self.become(self.home)
        return rows

    def ask(self, question: Planned, *names: Iterable[str]) -> list[tuple[Any, ...]]:
        """Every row of the answer to a question about the catalog, a list for each parameter; within `undone`."""
        self.wire.settle()
        return question.ask(self.wire.cursor, *names)

    def attempt(self, sql: Query, params: Params = None, *, role: str = "", lock: str = "", table: str = "") -> str:
        """Try it, undo it, and tell what happened: `accepted`, or SQLSTATE and the constraint's name.

        Args:
            sql: the attack.
            params: its values.
            role: who attacks; the owner when empty.
            lock: the lock it takes when that is stronger than ROW EXCLUSIVE, and `table` where.
            table: see `lock`.

        Raises:
            UnaskedError: others hold the lock.
            psycopg.Error: the server gave no answer.
        """
        import psycopg

        self.wire.save()
        self.wire.owe(*((_HURRY,) if lock else ()), *((_role(role),) if role else ()))
        behind = (*((_role(self.home),) if role else ()), "SET CONSTRAINTS ALL IMMEDIATE")
        try:
            with self._busy(table, lock):
                self.wire.ask(sql, params, *behind)
        except psycopg.Error as exc:
            return told(exc)
        finally:
            self.wire.undo()
        return ACCEPTED

    def refused(  # noqa: PLR0913 - a check, an attack and who makes it
        self,
        id: str,  # noqa: A002 - the check's id
        expected: str,
        sql: Query,
        params: Params = None,
        *,
        role: str = "",
        where: str = "",
        lock: str = "",
    ) -> None:
        """Check that it is refused in exactly this way.

        Args:
            id: the check's id.
            expected: SQLSTATE; with a name behind it, the constraint must be the one of that name.
            sql: the attack.
            params: its values.
            role: who attacks; the owner when empty.
            where: the object that must refuse.
            lock: the lock on `where` that it takes, when that is stronger than ROW EXCLUSIVE.
        """
        if self.findings.passes_over(id):
            # Nothing of an attack outlives it, so that leaving it out changes nothing for the others.
            return
        self.waiting.append(_Waiting(self.findings, id, expected, sql, params, role, lock, where))
        self.wire.first(self._make)
        self.findings.first(self.wire.let)
        if self.findings.settled_by(one.id for one in self.waiting):
            self.wire.let()

    def accepted(
        self,
        id: str,  # noqa: A002 - the check's id
        sql: Query,
        params: Params = None,
        *,
        role: str = "",
        where: str = "",
    ) -> None:
        """Check that it is let through."""
        self.refused(id, ACCEPTED, sql, params, role=role, where=where)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A savepoint that is always rolled back, roles and settings made inside it included."""
        self.wire.save()
        try:
            yield
            self.wire.let()
        except BaseException:
            self._give_up()
            raise
        finally:
            self.wire.undo()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """At the end, leave the connection with nothing owed. The error that was there first is the one to be told."""
        import psycopg

        try:
            yield
        except BaseException:
            self._give_up()
            with suppress(psycopg.Error, NotPlanted):
                self.wire.settle()
            raise
        self.wire.settle()

    @contextmanager
    def hurried(self, table: str, lock: str) -> Iterator[None]:
        """Ask for the lock, and for every other until the savepoint's end, for no longer than others can bear.

        Args:
            table: on which.
            lock: its mode; nothing changes when empty.

        Raises:
            UnaskedError: others hold it.
        """
        with self._busy(table, lock):
            if lock:
                self.wire.owe(_HURRY)
            yield
            self.wire.let()

    def become(self, role: str) -> None:
        """Act as the role until the savepoint is rolled back, or as another until then."""
        self.wire.owe(_role(role))

    def appear(self, beyond: Sequence[str]) -> None:
        """Act as the owner, with the roles that were beyond reach within it until the rollback.

        Raises:
            UnaskedError: somebody changes who is a member of one of them.
        """
        from psycopg import errors, sql

        if beyond:
            # Sent at once: behind a question it would be the question that was refused.
            roles = ", ".join(sql.Identifier(role).as_string() for role in beyond)
            try:
                self.wire.owe(f"GRANT {roles} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE", _role(self.home))
                self.wire.settle()
            except errors.LockNotAvailable as exc:
                raise UnaskedError.membership_busy(
                    ", ".join(beyond), waited_ms=LOCK_TIMEOUT_MS, sqlstate="55P03", name="LockNotAvailable"
                ) from exc
        else:
            self.wire.owe(_role(self.home))

    def _make(self) -> None:
        """Make the attacks that wait, and keep their checks, in order."""
        waiting = [*self.waiting]
        self._give_up()
        for one, observed in zip(waiting, self._told(waiting), strict=True):
            self._keep(one, observed)

    def _told(self, waiting: Sequence[_Waiting]) -> Iterator[str]:
        """What became of each. One that a block cannot tell of is made by itself, when its turn comes."""
        import psycopg

        answers: list[str] | None = None
        if len(waiting) > 1:
            made = [
                Attack(self.wire.text(one.sql, one.params), one.role, _HASTE if one.lock else "") for one in waiting
            ]
            # Whatever the block was refused for, an attack by itself says better.
            with suppress(psycopg.Error), self.undone():
                answers = make(self.wire, made, self.home)
        for number, one in enumerate(waiting):
            told = None if answers is None or number >= len(answers) else answers[number]
            if told is None or told in NOT_IN_A_BLOCK or no_answer(told):
                yield self.attempt(one.sql, one.params, role=one.role, lock=one.lock, table=one.where)
            else:
                yield told or ACCEPTED

    def _keep(self, one: _Waiting, observed: str) -> None:
        if " " not in one.expected:
            # The name of a constraint that PostgreSQL named itself is nobody's promise.
            observed = observed.partition(" ")[0]
        elif observed != one.expected:
            observed = alike(self, one.expected, observed)
        one.findings.check(one.id, expected=one.expected, observed=observed, where=one.where)

    def _give_up(self) -> None:
        """Make none of the attacks that wait."""
        for one in self.waiting:
            one.findings.first(None)
        self.waiting.clear()
        self.wire.first(None)

    @contextmanager
    def _busy(self, table: str, lock: str) -> Iterator[None]:
        """Say of the lock that was waited for in vain whose it is."""
        from psycopg import errors

        try:
            yield
        except errors.LockNotAvailable as exc:
            if not lock:
                raise
            raise UnaskedError.lock_busy(
                table, lock, budget_ms=STRONG_LOCK_TIMEOUT_MS, sqlstate="55P03", name="LockNotAvailable"
            ) from exc


def told(exc: psycopg.Error) -> str:
    """SQLSTATE and constraint of an error. Never its message or detail: they may quote rows.

    Raises:
        psycopg.Error: the error again, when it says nothing about the schema.
    """
    state = exc.sqlstate
    if state is None or no_answer(state):
        raise exc
    return f"{state} {exc.diag.constraint_name or ''}".strip()


def no_answer(state: str) -> bool:
    """Whether an error with this SQLSTATE says nothing about the schema."""
    return state.startswith(_NO_ANSWER) or state in _NO_ANSWER_STATES


@cache
def _role(name: str) -> str:
    from psycopg import sql

    return f"SET LOCAL ROLE {sql.Identifier(name).as_string()}"
