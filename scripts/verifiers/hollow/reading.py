"""Ask the facts of every invariant on the database as it is after everything they are about was hollowed out.

Owns: when the violations are planted, and which checks of facts noticed.
Promises: all is planted in one transaction that is rolled back, and read once for all invariants; what one invariant's
facts come to hides no other's. A violation that could not be planted is told, and proves nothing. Where it was done
ahead, in another thread, that is what is told; what could not be had there is asked here.
Never: asks a probe; those have controls of their own.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, LiteralString
from weakref import WeakKeyDictionary

from scripts.errors.verifiers import UnaskedError
from scripts.result import Planted
from scripts.verifiers.bounds import bounded
from scripts.verifiers.facts.logins import Login, read_logins
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.sessions import Power
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.hollow.script import PARAMETER, hollowing_script
from scripts.verifiers.model import Database, Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg

    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.facts.catalog import Catalog
    from scripts.verifiers.hollow.script import Section
    from scripts.verifiers.model import Invariant

NAME = "every fact made false"
# What only a superuser, or who administers every role, can plant is put into the answer of the catalog instead, and
# told where it is.
_LOGINS = "; the login only as if it had been read"
FORGED = {
    "parameters_to_set": "; the privilege on a parameter only as if it had been read",
    "logins_act_as_one_role": _LOGINS,
    "boz_logins": _LOGINS,
}
_POWER = Power("PUBLIC", "SET session_replication_role")
_LOGIN = Login("hollow", ROLES)
_DENIED = "SQLSTATE 42501"
_DEADLOCK = "40P01"
# Who renames a schema has its owner's rights, and may make another. A row: who asks, whose it is when that is missing,
# whether another may be made.
_RIGHTS: LiteralString = """
SELECT current_user::text,
       COALESCE((SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text FROM pg_catalog.pg_namespace AS n
                  WHERE n.nspname = 'public' AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')), ''),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
"""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the facts of one invariant came to: ids of the checks that failed, or what kept them from being asked."""

    failed: frozenset[str] = frozenset()
    trouble: Exception | None = None


@dataclass(frozen=True, slots=True)
class Hollow:
    """What was noticed, by the invariant's question; which sections could not be planted.

    `forged`: the checks for which the answer was made up. `trouble` instead of all that when nothing could be planted.
    """

    noticed: Mapping[Callable[[Database, Findings], None], Noticed] = field(default_factory=dict)
    unplanted: tuple[str, ...] = ()
    forged: frozenset[str] = frozenset()
    trouble: UnaskedError | None = None

    def whole_for(self, invariant: Invariant) -> bool:
        """Whether everything was planted, and the invariant's facts were asked: else it is worth asking once more."""
        noticed = self.noticed.get(invariant.verify)
        return self.trouble is None and not self.unplanted and noticed is not None and noticed.trouble is None


class _Hollowed(Database):
    """The same database over the same connection, as it is once everything in it is hollow."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        from scripts.verifiers.guarantees.conventions import read_spec

        # What the bodies must be is what it was: the bodies that are there are others.
        super().__init__(
            database.conn, _lost, _doctored(database.files), catalog=catalog, sources=database.sources, server=()
        )
        self.seeded = database.seeded
        self.spec = {**read_spec(), "version": 0}
        self._question: ExitStack | None = None

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """The connection; what a question does there is undone with it. Most ask nothing of it any more."""
        conn = super().conn
        if self._question is not None:
            question, self._question = self._question, None
            question.enter_context(conn.transaction(force_rollback=True))
        return conn

    def asked(self, verify: Callable[[Database, Findings], None]) -> Noticed:
        """The facts of one invariant.

        Raises:
            psycopg.Error: the connection was lost.
        """
        findings = Findings(asks="facts")
        try:
            with ExitStack() as self._question:
                verify(self, findings)
        except Exception as exc:
            if self.closed:
                raise
            return Noticed(trouble=exc)
        return Noticed(frozenset(findings.failed()))


def _lost() -> psycopg.Connection[Any]:
    """Another connection would see the schema as it is."""
    raise UnaskedError.connection_lost()


# Once a run: a database object lives as long as a run does.
_known: WeakKeyDictionary[Database, Hollow] = WeakKeyDictionary()


def hollow_facts(invariant: Invariant, database: Database, facts: Sequence[str]) -> tuple[Planted, ...]:
    """Which of the invariant's facts were noticed to be false; apart from them, those that could not be made false.

    Args:
        invariant: whose facts.
        database: in no transaction.
        facts: ids of its checks that no probe made.

    Raises:
        UnaskedError: the schema could not be hollowed out.
        Exception: whatever kept this invariant's facts from being asked.
    """
    hollow = database.ahead.hollow() if database.ahead is not None else None
    if hollow is None or not hollow.whole_for(invariant):
        hollow = _known.get(database)
    if hollow is None or (hollow.trouble is None and invariant.verify not in hollow.noticed):
        from scripts.verifiers.registry import INVARIANTS

        with bounded(database.conn):
            hollow = _known[database] = read_hollow(database, (*INVARIANTS, invariant))
    if hollow.trouble is not None:
        raise hollow.trouble
    found = hollow.noticed[invariant.verify]
    if found.trouble is not None:
        raise found.trouble
    missed = tuple(name for name in facts if name not in found.failed)
    name = NAME + "".join(words for check, words in FORGED.items() if check in hollow.forged and check in facts)
    if not missed or not hollow.unplanted:
        return (Planted(name, tuple(facts), missed),)
    seen = Planted(name, tuple(one for one in facts if one in found.failed))
    return (seen, Planted(name, missed, trouble=f"could not be planted: {'; '.join(hollow.unplanted)}"))


def read_hollow(database: Database, invariants: Sequence[Invariant]) -> Hollow:
    """Plant everything, read once, ask everybody.

    Args:
        database: whose facts have been read; inside a transaction that is rolled back.
        invariants: whose facts are asked.

    Raises:
        psycopg.Error: the connection was lost, or the catalog could not be read.
    """
    from scripts.verifiers.facts.catalog import read_catalog

    # The bounded transaction also has the driver prepare nothing by itself, so that no statement made for the real
    # tables meets their twins, whose columns are of other types.
    conn, before = database.conn, database.facts
    with conn.transaction(force_rollback=True):
        script = hollowing_script(before, database=conn.info.dbname, mark=secrets.token_hex(6))
        refused = _planted(conn, script.base)
        if refused:
            return Hollow(trouble=_refused(conn, refused))
        unplanted = tuple(f"{one.name} ({state})" for one in script.others if (state := _planted(conn, one)))
        for stranger in script.strangers:
            # One that is not ours to change, or takes what is gone, is missed by whoever asks about it.
            _planted(conn, stranger)
        forged: set[str] = {"parameters_to_set"} if _planted(conn, PARAMETER) else set()
        # A membership locks its role, and every probe of a login that may not act as the roles takes these locks: the
        # answer that it is there for is asked by itself, and it is taken back at once.
        with conn.transaction(force_rollback=True):
            state_of_login = _planted(conn, script.login)
            logins = read_logins(conn, ROLES, TABLES)
        catalog = read_catalog(conn)
        if state_of_login == _DENIED:
            forged |= {"logins_act_as_one_role", "boz_logins"}
        elif state_of_login:
            unplanted += (f"{script.login.name} ({state_of_login})",)
        facts = replace(catalog.reading, logins=logins)
        if "parameters_to_set" in forged:
            facts = replace(facts, parameters=(*facts.parameters, _POWER))
        if "boz_logins" in forged:
            facts = replace(facts, logins=(*facts.logins, _LOGIN))
        view = _Hollowed(database, catalog._replace(reading=facts))
        noticed = {verify: view.asked(verify) for verify in dict.fromkeys(one.verify for one in invariants)}
    return Hollow(noticed, unplanted, frozenset(forged))


def _refused(conn: psycopg.Connection[Any], state: str) -> UnaskedError:
    """Why the schema could not be moved aside: whose it is, and whether another may be made."""
    from psycopg.rows import tuple_row

    if state != _DENIED:
        return UnaskedError.not_hollowed(state)
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_RIGHTS).fetchone()
    role, owner, may_create = found or ("", "", True)
    return UnaskedError.not_hollowed(state, role=role, owner=owner, may_create=may_create)


def _planted(conn: psycopg.Connection[Any], section: Section) -> str:
    """Plant one section; SQLSTATE when the server refused, nothing when it is planted.

    Raises:
        psycopg.Error: the connection was lost; or others' locks and ours met the wrong way round, which says nothing.
    """
    import psycopg

    try:
        with conn.transaction():
            conn.execute(section.sql.encode(), prepare=False)
    except psycopg.Error as exc:
        if conn.closed or exc.sqlstate == _DEADLOCK:
            raise
        return f"SQLSTATE {exc.sqlstate}"
    return ""


def _doctored(files: Sequence[MigrationFile]) -> tuple[MigrationFile, ...]:
    """The files; the first ordinary one is marked to run outside a transaction, and builds nothing."""
    from scripts.migrations.folder.files import MigrationFile
    from scripts.migrations.folder.marker import MARKER

    found = [*files]
    at = next((n for n, file in enumerate(found) if not file.no_tx), None)
    if at is not None:
        found[at] = MigrationFile.of_text(found[at].name, f"-- {MARKER}\nSELECT 1;\n")
    return tuple(found)
