"""Mutants of roles: attributes, memberships, what their sessions start with, and rows of the ledger.

Owns: the operators on what all databases of a server share, and on the ledger's rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted
from scripts.verifiers.mutants.model import Mutant
from scripts.verifiers.mutants.owners import HISTORY, POSTURE, posture_owner
from scripts.verifiers.mutants.words import in_this_database, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.verifiers.mutants.subject import Subject

_ATTRIBUTES = ("LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
# In a session that starts with one of these somebody else's rules hold (facts/sessions.py).
_SETTINGS = (
    ("session_replication_role", "replica"),
    ("search_path", "mutant"),
    ("row_security", "off"),
    ("role", "pg_monitor"),
)


def role_mutants(subject: Subject) -> Iterator[Mutant]:
    """Mutants of each role of the schema."""
    for role in subject.roles:
        title, name, owner = f"role {role}", quoted(role), (posture_owner(role),)

        def mutant(change: str, *sql: str, title: str = title, owner: tuple[str, ...] = owner) -> Mutant:
            return Mutant(title, change, owner, sql, admin=True, cluster=True)

        for attribute in _ATTRIBUTES:
            yield mutant(attribute, f"ALTER ROLE {name} {attribute}")
        yield mutant("renamed", f"ALTER ROLE {name} RENAME TO mutant_other")
        for other in (*subject.roles, *subject.supplied):
            # The owner made the role and administers it, so the server lets no role become a member of the owner; a
            # database owner's place cannot be given away.
            if other not in (role, "pg_database_owner"):
                yield mutant(f"member of {other}", f"GRANT {quoted(other)} TO {name}")
        for setting, value in _SETTINGS:
            change = f"SET {setting} = {literal(value)}"
            yield mutant(f"{setting} set", f"ALTER ROLE {name} {change}", owner=(POSTURE,))
            here = in_this_database(f"ALTER ROLE {name} IN DATABASE %I {change}")
            yield mutant(f"{setting} set in the database", here, owner=(POSTURE,))
        for privilege in ("SET", "ALTER SYSTEM"):
            change = f"GRANT {privilege} ON PARAMETER session_replication_role TO {name}"
            yield mutant(f"{privilege} on session_replication_role", change, owner=(POSTURE,))
    yield from _everybody()


def _everybody() -> Iterator[Mutant]:
    for setting, value in _SETTINGS:
        change = in_this_database(f"ALTER DATABASE %I SET {setting} = {literal(value)}")
        yield Mutant("the database", f"{setting} set", (POSTURE,), (change,), admin=True, cluster=True)
        change = f"ALTER ROLE ALL SET {setting} = {literal(value)}"
        yield Mutant("every role", f"{setting} set", (POSTURE,), (change,), admin=True, cluster=True)
    change = "GRANT SET ON PARAMETER session_replication_role TO PUBLIC"
    yield Mutant("PUBLIC", "SET on session_replication_role", (POSTURE,), (change,), admin=True, cluster=True)


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
