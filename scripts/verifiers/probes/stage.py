"""The stage on which the schema is made to act: a savepoint, a role, an attack, and everything undone.

Owns: acting as a runtime role, planting a violation to see a probe fail, and telling "refused, and how" from
"accepted" and from "could not be asked".
Promises: what a probe does is rolled back with its savepoint; only SQLSTATE and names of objects are kept of an error.
Never: knows what a row of ours looks like (world.py).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, cast

from scripts.errors.unplanted import UnplantedError
from scripts.errors.verifiers import UnaskedError
from scripts.result import Planted
from scripts.verifiers.probes.alike import alike
from scripts.verifiers.probes.stricter import relaxing
from scripts.verifiers.probes.surroundings import read_surroundings
from scripts.verifiers.probes.wire import NotPlanted, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import psycopg

    from scripts.verifiers.facts.planned import Planned
    from scripts.verifiers.model import Findings
    from scripts.verifiers.probes.surroundings import Surroundings
    from scripts.verifiers.probes.wire import Params, Query

ACCEPTED = "accepted"
# Whoever waits for a lock stronger than ROW EXCLUSIVE stops everybody who comes after, readers too. So the wait is one
# that nobody notices; what needs longer is asked in a quieter moment.
STRONG_LOCK_TIMEOUT_MS = 100
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
_HURRY: LiteralString = f"SET LOCAL lock_timeout TO '{STRONG_LOCK_TIMEOUT_MS}ms'"
# SQLSTATE classes that say nothing about the schema: connection, transaction rollback, resources, object in use,
# operator intervention, system, internal.
_NO_ANSWER = ("08", "40", "53", "55P03", "57", "58", "XX")
_NO_ANSWER_STATES = ("25P02", "25P03", "25P04")


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
        observed = self.attempt(sql, params, role=role, lock=lock, table=where)
        if " " not in expected:
            # The name of a constraint that PostgreSQL named itself is nobody's promise.
            observed = observed.partition(" ")[0]
        elif observed != expected:
            observed = alike(self, expected, observed)
        self.findings.check(id, expected=expected, observed=observed, where=where)

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
        finally:
            self.wire.undo()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """At the end, leave the connection with nothing owed. The error that was there first is the one to be told."""
        import psycopg

        try:
            yield
        except BaseException:
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

    def become(self, role: str) -> None:
        """Act as the role until the savepoint is rolled back, or as another until then."""
        self.wire.owe(_role(role))

    def appear(self, beyond: Sequence[str]) -> None:
        """Act as the owner, with the roles that were beyond reach within it until the rollback."""
        from psycopg import sql

        roles = ", ".join(sql.Identifier(role).as_string() for role in beyond)
        grant = (f"GRANT {roles} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",) if beyond else ()
        self.wire.owe(*grant, _role(self.home))
        self.wire.settle()

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


@dataclass(frozen=True, slots=True)
class Control:
    """A violation to plant before a probe is played once more, to see that the probe would have noticed.

    `plant` acts as the owner, inside a savepoint; every check of an id in `breaks` must then fail.
    """

    name: str
    plant: Callable[[Stage], None]
    breaks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """A piece of behaviour: `play` asks, and keeps its checks. `id` names it when it cannot even be set up.

    Every check it makes is broken by at least one of its `controls`. Where another thread plays both, `elsewhere` waits
    for what became of the controls.
    """

    id: str
    play: Callable[[Stage], None]
    controls: tuple[Control, ...] = ()
    elsewhere: Callable[[], tuple[Planted, ...]] | None = None


def play(
    conn: psycopg.Connection[Any], findings: Findings, probes: Sequence[Probe], *, as_agreed: bool = False
) -> None:
    """Play every probe, each in its own savepoint; one that cannot be set up is a failed check of its own.

    Args:
        conn: inside the invariant's transaction.
        findings: where the checks go.
        probes: in order.
        as_agreed: whether columns that are stricter about NULL than they must be stay so (see stricter.py).

    Raises:
        UnaskedError: the verifying role may not act as the runtime roles.
        psycopg.Error: the server gave no answer.
    """
    if findings.asks == "facts":
        return
    with _set(conn, findings, as_agreed=as_agreed) as stage:
        for probe in probes:
            play_one(stage, probe)


def play_one(stage: Stage, probe: Probe) -> None:
    """Play a probe on a stage that is set; see `play`."""
    import psycopg

    with stage.findings.playing(probe):
        try:
            with stage.undone():
                probe.play(stage)
        except (psycopg.Error, NotPlanted) as exc:
            stage.findings.check(probe.id, expected="the probe can be set up", observed=told(_cause(exc)), examined=0)


def play_controls(
    conn: psycopg.Connection[Any], probes: Sequence[Probe], *, around: list[Surroundings] | None = None
) -> tuple[Planted, ...]:
    """Play every probe once more under each violation planted for it.

    Args:
        conn: inside a transaction of the invariant's.
        probes: those that were played, all green.
        around: see `Findings`.

    Raises:
        UnaskedError: the verifying role may not act as the runtime roles, or others hold a lock.
        psycopg.Error: the server gave no answer.
    """
    from scripts.verifiers.model import Findings

    with _set(conn, Findings(around=[] if around is None else around)) as stage:
        here = [control_one(stage, probe, control) for probe in probes for control in probe.controls]
    # Waited for when no lock is held.
    return (*here, *(planted for probe in probes if probe.elsewhere for planted in probe.elsewhere()))


def control_one(stage: Stage, probe: Probe, control: Control) -> Planted:
    """Plant, play, undo: what was missed."""
    import psycopg

    from scripts.verifiers.model import Findings, Settled

    name, findings = f"{probe.id}: {control.name}", Findings(wanted=frozenset(control.breaks))
    with stage.undone():
        try:
            control.plant(stage)
        except (psycopg.Error, NotPlanted) as exc:
            return Planted(name, control.breaks, trouble=f"could not be planted: {told(_cause(exc))}")
        except UnplantedError as exc:
            return Planted(name, control.breaks, trouble=exc.what)
        try:
            probe.play(replace(stage, findings=findings))
        except Settled:
            # Everything that had to fail was asked.
            pass
        except (psycopg.Error, NotPlanted) as exc:
            # What was asked before counts; what was not asked was missed.
            told(_cause(exc))
    failed = set(findings.failed())
    return Planted(name, control.breaks, tuple(one for one in control.breaks if one not in failed))


@contextmanager
def _set(conn: psycopg.Connection[Any], findings: Findings, *, as_agreed: bool = False) -> Iterator[Stage]:
    """The stage, with every role within reach and the owner on it."""
    from psycopg import errors

    from scripts.verifiers.probes.ceiling import overlook_ceiling

    if not findings.around:
        findings.around.append(read_surroundings(conn))
    (around,) = findings.around
    stage = Stage(conn, findings, around.home, around.keyed, around.bodies)
    with stage.settled(), stage.undone():
        try:
            stage.appear(around.beyond)
        except errors.InsufficientPrivilege as exc:
            if not around.beyond:
                raise
            raise UnaskedError.role_out_of_reach(", ".join(around.beyond), sqlstate="42501") from exc
        for table, statement in relaxing(() if as_agreed else around.stricter):
            with stage.hurried(table, ACCESS_EXCLUSIVE):
                stage.run(statement.encode())
        if around.ceiling:
            overlook_ceiling(stage)
        yield stage


def _cause(exc: psycopg.Error | NotPlanted) -> psycopg.Error:
    return exc.cause if isinstance(exc, NotPlanted) else exc


def told(exc: psycopg.Error) -> str:
    """SQLSTATE and constraint of an error. Never its message or detail: they may quote rows.

    Raises:
        psycopg.Error: the error again, when it says nothing about the schema.
    """
    state = exc.sqlstate
    if state is None or state.startswith(_NO_ANSWER) or state in _NO_ANSWER_STATES:
        raise exc
    return f"{state} {exc.diag.constraint_name or ''}".strip()


@cache
def _role(name: str) -> str:
    from psycopg import sql

    return f"SET LOCAL ROLE {sql.Identifier(name).as_string()}"
