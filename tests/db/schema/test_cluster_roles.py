"""Roles belong to the cluster: other databases, other makers, and attributes that a role of ours must not have."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_database import ScratchDatabase
from make_payments import Payments
from psycopg import sql

from scripts.errors.migration import MigrationFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases

    from scripts.migrations.folder.files import MigrationFile

ROLES = (
    "symphony_control",
    "symphony_executor",
    "symphony_ingest",
    "symphony_readonly",
    "symphony_auditor",
    "test_user",
    "boz_auditor",
)
POWERS = "rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"


@pytest.fixture
def no_roles(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A superuser on a cluster without our roles; those that were there are put back under their old names."""
    with databases.admin() as admin:
        there = [row[0] for row in admin.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])]
        for name in there:
            _rename(admin, name, f"aside_{name}")
        try:
            yield admin
        finally:
            _sweep(databases, admin)
            for name in there:
                _rename(admin, f"aside_{name}", name)


def test_three_databases_migrate_at_once_on_a_cluster_without_roles(
    databases: Databases, no_roles: psycopg.Connection[Any], project_files: tuple[MigrationFile, ...]
) -> None:
    """All three make the roles, none of them dies of another's: four rounds (D-33)."""
    for _ in range(4):
        with databases.empty() as one, databases.empty() as two, databases.empty() as three:
            made = [ScratchDatabase(clone.name, clone.dsn, clone.admin_dsn) for clone in (one, two, three)]
            try:
                assert migrated_at_once(made, project_files) == []
                assert [len(database.recorded()) for database in made] == [27, 27, 27]
                found = no_roles.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
                assert found.fetchone() == (7,)
            finally:
                for database in made:
                    database.close()
        _sweep(databases, no_roles)


def migrated_at_once(made: list[ScratchDatabase], files: tuple[MigrationFile, ...]) -> list[BaseException]:
    """Apply the files to all, each in a thread; returns what went wrong."""
    start, failures = threading.Barrier(len(made)), list[BaseException]()

    def migrate(database: ScratchDatabase) -> None:
        start.wait()
        try:
            database.apply(files)
        except BaseException as exc:  # noqa: BLE001 - asserted by the caller
            failures.append(exc)

    threads = [threading.Thread(target=migrate, args=(database,)) for database in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_the_roles_have_no_power_of_their_own(database: ScratchDatabase) -> None:
    """No login, no superuser, no CREATEDB, CREATEROLE, REPLICATION, BYPASSRLS, and they are in no other role (D-33)."""
    payments = Payments(database.connect_admin())
    found = payments.rows(f"SELECT rolname, {POWERS} FROM pg_roles WHERE rolname = ANY(%s)", list(ROLES))
    assert {name: any(powers) for name, *powers in found} == dict.fromkeys(ROLES, False)
    memberships = "SELECT count(*) FROM pg_auth_members WHERE member = ANY(%s::regrole[])"
    assert payments.one(memberships, list(ROLES)) == 0


def test_the_owner_who_migrates_is_no_superuser(database: ScratchDatabase) -> None:
    """Every database of these tests is made by a login with CREATEROLE, and nothing of it needed more (D-33)."""
    owner = Payments(database.connect())
    assert owner.rows(f"SELECT {POWERS} FROM pg_roles WHERE rolname = current_user") == [
        (True, False, False, True, False, False)
    ]


def test_a_superuser_can_migrate_too(empty_database: ScratchDatabase, project_files: tuple[MigrationFile, ...]) -> None:
    """The same files, run by a superuser, give the same functions and triggers."""
    empty_database.dsn = empty_database.admin_dsn

    empty_database.apply(project_files)

    assert len(empty_database.recorded()) == 27
    assert empty_database.value("SELECT public.uuid_strategy()") == "uuidv7"


@pytest.mark.parametrize("attribute", ["LOGIN", "CREATEDB", "CREATEROLE"])
@pytest.mark.parametrize("role", ["symphony_executor", "boz_auditor"])
def test_a_role_with_too_much_is_put_right_where_the_migrator_may(
    no_roles: psycopg.Connection[Any],
    empty_database: ScratchDatabase,
    project_files: tuple[MigrationFile, ...],
    role: str,
    attribute: str,
) -> None:
    """A superuser migrates: the attribute is taken away (D-33)."""
    no_roles.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(attribute)))
    empty_database.dsn = empty_database.admin_dsn

    empty_database.apply(project_files)

    powers = f"SELECT rolcanlogin OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = '{role}'"
    assert empty_database.value(powers) is False


@pytest.mark.parametrize("role", ["symphony_executor", "boz_auditor"])
@pytest.mark.parametrize(
    "case",
    [
        ("CREATE ROLE {} SUPERUSER", "exists with SUPERUSER, BYPASSRLS or REPLICATION"),
        ("CREATE ROLE {} BYPASSRLS", "exists with SUPERUSER, BYPASSRLS or REPLICATION"),
        ("CREATE ROLE {} REPLICATION", "exists with SUPERUSER, BYPASSRLS or REPLICATION"),
        ("CREATE ROLE {} IN ROLE pg_read_all_data", "is a member of other roles, whose rights it would have"),
        ("CREATE ROLE {} LOGIN", "is not as it must be, and \\S+ may not put it right"),
    ],
)
def test_a_role_that_cannot_be_put_right_is_refused(
    no_roles: psycopg.Connection[Any],
    empty_database: ScratchDatabase,
    project_files: tuple[MigrationFile, ...],
    role: str,
    case: tuple[str, str],
) -> None:
    """Somebody else's role with power, memberships, or a login that this owner may not change: P7004 (D-33)."""
    made, words = case
    no_roles.execute(sql.SQL(made).format(sql.Identifier(role)))

    with pytest.raises(MigrationFailedError, match=f"role … {words}") as caught:
        empty_database.apply(project_files)

    assert "P7004" in str(caught.value)
    assert caught.value.help.startswith("roles belong to the whole server: making or mending one needs CREATEROLE")
    assert len(empty_database.recorded()) == (2 if role == "symphony_executor" else 24)


def test_roles_made_by_somebody_else_are_taken_as_they_are(
    no_roles: psycopg.Connection[Any], empty_database: ScratchDatabase, project_files: tuple[MigrationFile, ...]
) -> None:
    """A migrator that owns none of the roles needs no right over them when they are as they must be (D-33)."""
    for role in ROLES:
        no_roles.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))

    empty_database.apply(project_files)

    assert len(empty_database.recorded()) == 27


def _rename(admin: psycopg.Connection[Any], old: str, new: str) -> None:
    admin.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def _sweep(databases: Databases, admin: psycopg.Connection[Any]) -> None:
    """Drop our roles, and first what depends on them in any database."""
    names = [row[0] for row in admin.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])]
    if not names:
        return
    roles = sql.SQL(", ").join(map(sql.Identifier, names))
    for conn in _each_database(databases):
        conn.execute(sql.SQL("DROP OWNED BY {}").format(roles))
    admin.execute(sql.SQL("DROP ROLE {}").format(roles))


def _each_database(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    with databases.admin() as admin:
        names = [row[0] for row in admin.execute("SELECT datname FROM pg_database WHERE datallowconn")]
    for name in names:
        with _database(databases, name) as conn:
            yield conn


@contextmanager
def _database(databases: Databases, name: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(databases.admin_dsn, dbname=name, autocommit=True) as conn:
        yield conn
