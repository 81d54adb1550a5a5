"""Mutants of roles: attributes, memberships, what their sessions start with, and rows of the ledger.

Owns: the operators on what all databases of a server share, and on the ledger's rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.facts.roles import READERS
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import HISTORY, POSTURE, REGULATOR, STORAGE, posture_owner
from scripts.verifiers.mutants.words import in_this_database, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.mutants.subject import Subject

_ATTRIBUTES = ("LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
# A login may have these: it is for whoever runs the database.
_LIMITS = ("NOINHERIT", "CONNECTION LIMIT 0", "VALID UNTIL '2020-01-01'")
# What a session must not start with (facts/stored.py): each name there, under a value that counts.
_SETTINGS = {
    "session_replication_role": "replica",
    "search_path": "mutant",
    "row_security": "off",
    "role": "pg_monitor",
    "session_authorization": "mutant",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "exit_on_error": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "client_encoding": "LATIN1",
    "synchronous_commit": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "lo_compat_privileges": "on",
    "session_preload_libraries": "mutant",
    "local_preload_libraries": "mutant",
    "dynamic_library_path": "/mutant",
    "statement_timeout": "1ms",
    "transaction_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
}
# Those that count of a role that only reads as well.
_OF_READERS = frozenset(_SETTINGS) - {
    "default_transaction_read_only",
    "default_transaction_isolation",
    "synchronous_commit",
}
# It lets nobody do more than they may (facts/reading.sql).
_ROOM = "pg_use_reserved_connections"
# A database owner's place cannot be given away.
_PLACE = "pg_database_owner"
_WORKER = "CREATE ROLE mutant_worker LOGIN"
_EVENTS = ("login", "ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite")
# Out of sight of those who ask for functions of public.
_FIRED = "CREATE FUNCTION pg_temp.mutant() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
# What a role may hold neither as an owner nor as a grantee, `{}` its name.
_HOLDINGS = {
    "owns a type": ("CREATE TYPE public.mutant AS (a int)", "ALTER TYPE public.mutant OWNER TO {}"),
    "owns a schema": ("CREATE SCHEMA mutant AUTHORIZATION {}",),
    "owns a large object": (
        "DO $$ BEGIN PERFORM pg_catalog.lo_create(4711); END $$",
        "ALTER LARGE OBJECT 4711 OWNER TO {}",
    ),
    "was given a large object": (
        "DO $$ BEGIN PERFORM pg_catalog.lo_create(4711); END $$",
        "GRANT SELECT ON LARGE OBJECT 4711 TO {}",
    ),
    "was given a foreign-data wrapper": (
        "CREATE FOREIGN DATA WRAPPER mutant",
        "GRANT USAGE ON FOREIGN DATA WRAPPER mutant TO {}",
    ),
    "was given a server": (
        "CREATE FOREIGN DATA WRAPPER mutant",
        "CREATE SERVER mutant FOREIGN DATA WRAPPER mutant",
        "GRANT USAGE ON FOREIGN SERVER mutant TO {}",
    ),
    "was given a language": ("GRANT USAGE ON LANGUAGE plpgsql TO {}",),
    "was given a tablespace": ("GRANT CREATE ON TABLESPACE pg_default TO {}",),
    "reads files": ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO {}",),
    "ends others": ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_terminate_backend(integer, bigint) TO {}",),
}


def role_mutants(subject: Subject) -> Iterator[Mutant]:
    """Mutants of each role of the schema, of logins that act as it, and of what everybody's sessions start with."""
    for role in subject.roles:
        yield from _role(subject, role)
        yield from _logins(subject, role)
    yield from _everybody()


def _role(subject: Subject, role: str) -> Iterator[Mutant]:
    title, name, owner = f"role {role}", quoted(role), (posture_owner(role),)

    def mutant(change: str, *sql: str, owner: tuple[str, ...] = owner, cluster: bool = True) -> Mutant:
        return Mutant(title, change, owner, sql, admin=True, cluster=cluster)

    for attribute in (*_ATTRIBUTES, *_LIMITS):
        yield mutant(attribute, f"ALTER ROLE {name} {attribute}")
    yield mutant("renamed", f"ALTER ROLE {name} RENAME TO mutant_other")
    for other in (*subject.roles, *subject.supplied):
        # The owner made the role and administers it, so the server lets no role become a member of the owner.
        if other not in (role, _PLACE):
            yield mutant(f"member of {other}", f"GRANT {quoted(other)} TO {name}")
    for setting, value in _SETTINGS.items():
        if setting not in _OF_READERS and role in READERS:
            continue
        change = f"SET {setting} = {literal(value)}"
        yield mutant(f"{setting} set", f"ALTER ROLE {name} {change}", owner=(POSTURE,))
        here = in_this_database(f"ALTER ROLE {name} IN DATABASE %I {change}")
        yield mutant(f"{setting} set in the database", here, owner=(POSTURE,), cluster=False)
    for privilege in ("SET", "ALTER SYSTEM"):
        change = f"GRANT {privilege} ON PARAMETER session_replication_role TO {name}"
        yield mutant(f"{privilege} on session_replication_role", change, owner=(POSTURE,))
    for held, sql in _HOLDINGS.items():
        yield mutant(held, *(one.format(name) for one in sql), cluster="TABLESPACE" in sql[-1])


def _logins(subject: Subject, role: str) -> Iterator[Mutant]:
    """A login that acts as the role, and is more than that."""
    title, joined = f"a login of {role}", f"GRANT {quoted(role)} TO mutant_worker"

    def mutant(change: str, *sql: str) -> Mutant:
        return Mutant(title, change, (POSTURE,), (_WORKER, *sql), admin=True, cluster=True)

    for other in (*subject.roles, *subject.supplied):
        if other not in (role, _PLACE, _ROOM):
            yield mutant(f"{other} too", joined, f"GRANT {quoted(other)} TO mutant_worker")
    for attribute in _ATTRIBUTES:
        if attribute != "LOGIN":
            yield mutant(attribute, joined, f"ALTER ROLE mutant_worker {attribute}")
    owner = quoted(subject.owner)
    yield mutant("the owner too", joined, f"GRANT {owner} TO mutant_worker")
    yield mutant("the owner by SET alone", joined, f"GRANT {owner} TO mutant_worker WITH INHERIT FALSE, SET TRUE")
    whose = in_this_database("ALTER DATABASE %I OWNER TO mutant_worker")
    yield mutant("owner of the database", joined, whose)
    yield mutant("hands it on", f"{joined} WITH ADMIN TRUE")
    yield mutant("administers it alone", f"{joined} WITH INHERIT FALSE, SET FALSE, ADMIN TRUE")
    team = ("CREATE ROLE mutant_team BYPASSRLS", f"GRANT {quoted(role)} TO mutant_team")
    yield mutant("through a team that no policy binds", *team, "GRANT mutant_team TO mutant_worker")


def _everybody() -> Iterator[Mutant]:
    for setting, value in _SETTINGS.items():
        change = in_this_database(f"ALTER DATABASE %I SET {setting} = {literal(value)}")
        yield Mutant("the database", f"{setting} set", (POSTURE,), (change,), admin=True)
        change = f"ALTER ROLE ALL SET {setting} = {literal(value)}"
        yield Mutant("every role", f"{setting} set", (POSTURE,), (change,), admin=True, cluster=True)
    # Without the counts nobody knows of dead rows.
    change = in_this_database("ALTER DATABASE %I SET track_counts = off")
    yield Mutant("the database", "track_counts set", (STORAGE,), (change,), admin=True)
    change = "ALTER ROLE ALL SET track_counts = off"
    yield Mutant("every role", "track_counts set", (STORAGE,), (change,), admin=True, cluster=True)
    change = "GRANT SET ON PARAMETER session_replication_role TO PUBLIC"
    yield Mutant("PUBLIC", "SET on session_replication_role", (POSTURE,), (change,), admin=True, cluster=True)
    for event in _EVENTS:
        fire = f"CREATE EVENT TRIGGER mutant ON {event} EXECUTE FUNCTION pg_temp.mutant()"
        yield Mutant("the database", f"an event trigger on {event}", (POSTURE,), (_FIRED, fire), admin=True)
    for held in ("was given a large object", "was given a foreign-data wrapper", "was given a server"):
        sql = tuple(one.format("PUBLIC") for one in _HOLDINGS[held])
        yield Mutant("PUBLIC", held, (REGULATOR,), sql, admin=True)


def ledger_mutants(subject: Subject) -> Iterator[Mutant]:
    """Mutants of the rows in which the runner keeps what ran."""
    for version in subject.recorded:
        title, row = f"ledger row {version}", f"WHERE version = {literal(version)}"
        for change, sql in (
            ("another checksum", f"UPDATE public.schema_migrations SET checksum = 'mutant' {row}"),
            ("gone", f"DELETE FROM public.schema_migrations {row}"),
            ("applied at another time", f"UPDATE public.schema_migrations SET applied_at = '2020-01-01' {row}"),
            ("another name", f"UPDATE public.schema_migrations SET version = 'mutant' {row}"),
        ):
            yield Mutant(title, change, (HISTORY,), (sql,))
    for number in range(1, subject.records + 1):
        title, row = f"ledger record {number}", f"WHERE seq = {number}"
        for change, sql in (
            ("gone", f"DELETE FROM public.schema_migrations_history {row}"),
            ("another reason", f"UPDATE public.schema_migrations_history SET reason = 'mutant' {row}"),
        ):
            yield Mutant(title, change, (HISTORY,), (sql,))
    stranger = "INSERT INTO public.schema_migrations (version, checksum) VALUES ('9999_mutant.sql', 'mutant')"
    yield Mutant("ledger", "a row of a file that is not there", (HISTORY,), (stranger,))
    yield Mutant("ledger", "its history dropped", (HISTORY,), ("DROP TABLE public.schema_migrations_history",))
