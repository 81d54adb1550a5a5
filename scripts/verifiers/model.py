"""What the rooms of this package hand each other: an invariant, the database it is settled on, and what was found.

Owns: `Invariant`, `Database`, `Findings`.
Promises: the catalog is read once a database; a lost connection is replaced by a new one.
Never: decides an outcome (scripts/result), or imports the driver before a database is used.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from scripts.result import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import psycopg

    from scripts.digest import Json
    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.ahead import Ahead
    from scripts.verifiers.facts.catalog import Catalog
    from scripts.verifiers.facts.openings import Openings
    from scripts.verifiers.facts.reach import Reach
    from scripts.verifiers.facts.reading import Reading
    from scripts.verifiers.facts.sessions import Setting
    from scripts.verifiers.facts.standins import StandIns
    from scripts.verifiers.probes.playing import Probe
    from scripts.verifiers.probes.surroundings import Surroundings
    from scripts.verifiers.twin.schema import Twin

Asks = Literal["all", "facts"]


class Settled(Exception):  # noqa: N818 - no error: there is nothing left to ask
    """Raised by a check after which the one who asks wants to know no more."""


@dataclass(slots=True)
class Findings:
    """The checks of one invariant, collected in the order asked.

    `examined` counts the objects and rows that were there to be looked at; a check on what is missing adds nothing.
    `details` are the fields that the gate's evidence has always had. With `asks` set to facts, no probe is played.
    `probes` are those that were played, in order; a check asked outside any of them is a fact.

    Whoever needs less than every answer says so: only the checks of the ids in `wanted`, or only `until_red`. The check
    that settles it raises `Settled`; what was kept until then stands. `around` holds what the stage knows of the
    database's roles, once it was asked; whoever settles several invariants hands it on.
    """

    checks: list[Check] = field(default_factory=list)
    examined: int = 0
    details: dict[str, Json] = field(default_factory=dict)
    asks: Asks = "all"
    probes: list[Probe] = field(default_factory=list)
    wanted: frozenset[str] = frozenset()
    until_red: bool = False
    around: list[Surroundings] = field(default_factory=list)
    _origin: dict[str, str] = field(default_factory=dict, repr=False)
    _playing: str = field(default="", repr=False)
    _first: Callable[[], None] | None = field(default=None, repr=False)

    def check(  # noqa: PLR0913 - a Check's fields, by keyword
        self,
        id: str,  # noqa: A002 - the check's own name for it
        *,
        expected: Json,
        observed: Json,
        where: str = "",
        help: str = "",  # noqa: A002 - the same
        examined: int = 1,
    ) -> None:
        """Keep one question with both answers.

        Args:
            id: unique in the invariant.
            expected: what must be, a JSON value.
            observed: what is, of the same type.
            where: the object.
            help: what to do when the two differ.
            examined: how many objects or rows the answer rests on.

        Raises:
            Settled: this was the last answer that is wanted.
        """
        do, self._first = self._first, None
        if do is not None:
            do()
        if id in self._origin:
            msg = f"two checks of one id: {id}"
            raise RuntimeError(msg)
        self._origin[id] = self._playing
        check = Check(id, expected, observed, where, help)
        self.checks.append(check)
        self.examined += examined
        if (self.until_red and not check.holds) or (self.wanted and self.wanted <= self._origin.keys()):
            raise Settled

    def first(self, do: Callable[[], None] | None) -> None:
        """Have this done before the next check is kept: it keeps those that were asked before it."""
        self._first = do

    def passes_over(self, id: str) -> bool:  # noqa: A002 - the check's id
        """Whether nobody wants the answer, so that a question without consequences need not be asked."""
        return bool(self.wanted) and id not in self.wanted

    def settled_by(self, ids: Iterable[str]) -> bool:
        """Whether the answers to these are the last that are wanted."""
        return bool(self.wanted) and self.wanted <= {*self._origin, *ids}

    def failed(self) -> tuple[str, ...]:
        """Ids of the checks that do not hold, so far."""
        return tuple(check.id for check in self.checks if not check.holds)

    def facts(self) -> tuple[str, ...]:
        """Ids of the checks that no probe made."""
        return tuple(name for name, origin in self._origin.items() if not origin)

    @contextmanager
    def playing(self, probe: Probe) -> Iterator[None]:
        """Whatever is checked inside is this probe's."""
        self.probes.append(probe)
        self._playing = probe.id
        try:
            yield
        finally:
            self._playing = ""


class Database:
    """The database under proof.

    `conn` is its owner's connection, in autocommit; `connect` opens another like it; `files` are the migrations it was
    made from, in order: what the bodies of its functions must be is written there.
    """

    def __init__(  # noqa: PLR0913 - what was read before, by keyword
        self,
        conn: psycopg.Connection[Any],
        connect: Callable[[], psycopg.Connection[Any]],
        files: Sequence[MigrationFile],
        *,
        twin: Twin | None = None,
        ahead: Ahead | None = None,
        facts: Reading | None = None,
        catalog: Catalog | None = None,
        sources: Mapping[str, str] | None = None,
        server: tuple[Setting, ...] | None = None,
        whole: bool = False,
        lasting: bool = False,
        seeded: bool = False,
    ) -> None:
        """Take a connection that the caller closes; those made by `connect` to replace it are closed by `close`.

        A `twin` that is given, to be shared by many of these, is closed by whoever gave it. With `ahead`, probes of two
        sessions are played there, and it is closed with this. `facts`, the `catalog`, `sources` and settings of the
        `server` that are given are not read: what is asked of them is then answered as of the moment they were. Of a
        `whole` database all that the catalog is asked for is read at once, at the first question. A `lasting` database
        is there after the run, with somebody's rows in it; a `seeded` one must have a policy that is active.
        """
        self._given = conn
        self._conn = conn
        self._connect = connect
        self._given_twin = twin
        self._twin = twin
        self.ahead = ahead
        self.files = tuple(files)
        # Filled at the first probe, and true for as long as the catalog that was read is.
        self.around: list[Surroundings] = []
        self._facts = facts
        self._whole = whole
        self._catalog = catalog
        self._sources = sources
        self._server = server
        self._lasting = lasting
        self.seeded = seeded
        # The written conventions, where they are not to be read from their file.
        self.spec: Mapping[str, Any] | None = None

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """A connection that works; a new one when the last was lost."""
        if self._conn.closed:
            self._conn = self._connect()
        return self._conn

    @property
    def facts(self) -> Reading:
        """The catalog as it was at the first question."""
        if self._facts is None:
            from psycopg import errors

            from scripts.verifiers.facts.reading import Reading, read_facts
            from scripts.verifiers.facts.roles import ROLES
            from scripts.verifiers.facts.tables import REVIEWED, TABLES

            whole = self._read()
            try:
                self._facts = whole.reading if whole else read_facts(self.conn, ROLES, TABLES, REVIEWED)
            except errors.InvalidSchemaName:
                # Without schema public there is nothing of ours, and each fact says so.
                self._facts = Reading()
            if self.ahead is not None:
                self.ahead.hand(self)
        return self._facts

    def openings(self) -> Openings:
        """Who gets around the grants of our tables."""
        from scripts.verifiers.facts.openings import read_openings

        whole = self._read()
        return whole.openings if whole else read_openings(self.conn)

    def stand_ins(self) -> StandIns:
        """What could be meant where ours is."""
        from scripts.verifiers.facts.standins import read_stand_ins

        whole = self._read()
        return whole.stand_ins if whole else read_stand_ins(self.conn)

    def reach(self) -> Reach:
        """What the regulator's seat can get at."""
        from scripts.verifiers.facts.reach import read_reach

        whole = self._read()
        return whole.reach if whole else read_reach(self.conn)

    def _read(self) -> Catalog | None:
        """Everything at once, where that is wanted and can be had: what one part cannot be asked for hides no other."""
        if self._whole and self._catalog is None:
            import psycopg

            from scripts.verifiers.facts.catalog import read_catalog

            self._whole = False
            try:
                self._catalog = read_catalog(self.conn)
            except psycopg.Error:
                if self._conn.closed:
                    raise
        return self._catalog

    @property
    def sources(self) -> Mapping[str, str]:
        """Function name → its body in the migration that wrote it last."""
        if self._sources is None:
            from scripts.verifiers.facts.sources import function_sources

            self._sources = function_sources(self.files)
        return self._sources

    @property
    def server(self) -> tuple[Setting, ...]:
        """What sessions start with by the server's own settings, as at the first question."""
        if self._server is None:
            from scripts.verifiers.facts.server import read_server_settings
            from scripts.verifiers.facts.stored import asked_of_the_server

            self._server = read_server_settings(self.conn, asked_of_the_server(lasting=self._lasting))
        return self._server

    @property
    def twin(self) -> Twin:
        """A copy of the schema in which two sessions see each other's rows; made when it is first asked something."""
        if self._twin is None:
            from scripts.verifiers.twin.schema import Twin

            self._twin = Twin(self._connect)
        return self._twin

    @property
    def closed(self) -> bool:
        """Whether the last connection was lost."""
        return self._conn.closed

    def close(self) -> None:
        """Close what was opened here, and drop the twin; the connection that was handed in stays its owner's."""
        if self.ahead is not None:
            self.ahead.close()
        if self._twin is not None and self._twin is not self._given_twin:
            self._twin.close()
            self._twin = None
        if self._conn is not self._given:
            self._conn.close()


def _none(_: Database) -> tuple[Probe, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise of the schema, and what settles it.

    Args:
        id: the gate's name, kebab-case.
        check_id: the evidence's public name.
        stem: evidence file name without ending.
        invariant_ids: the project's numbers for the promise, INV-nnn.
        promise: one sentence.
        held_by: the objects that hold it.
        verify: asks every question and answers none for the database.
        criteria: acceptance criteria it settles, AC1…AC6.
        answers: defects of the predecessor it would have found, D-nn.
        failure_signature: dotted name of its failure.
        origin_task_id: the task that owes it.
        folder: phase0, or phase1.
        severity: P0 or P1.
        pairs: those of its probes that take two sessions.
    """

    id: str
    check_id: str
    stem: str
    invariant_ids: tuple[str, ...]
    promise: str
    held_by: tuple[str, ...]
    verify: Callable[[Database, Findings], None] = field(repr=False)
    criteria: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    failure_signature: str = ""
    origin_task_id: str = ""
    folder: str = "phase0"
    severity: str = "P0"
    pairs: Callable[[Database], tuple[Probe, ...]] = field(default=_none, repr=False)
