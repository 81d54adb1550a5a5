"""`invoke policy.seed`: a version is inserted once or found there; nothing rotates, nothing is done by half."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from scripts.digest import sha256_hex
from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.policy import NoPolicyTableError, PolicyError, PolicySourceError
from scripts.settings import Settings
from scripts.verifiers.policy.seed import seed_policy
from scripts.verifiers.policy.source import Policy, read_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.conftest import Background
    from fix_database import MigratedDatabase, ScratchDatabase

ROOT = Path(__file__).resolve().parents[2]
ONE = Policy("2026.1", "sum-1", "a test")
ROWS = "SELECT version, status::text, checksum FROM public.policy_versions ORDER BY version"


def rows(database: ScratchDatabase) -> list[tuple[Any, ...]]:
    """Every version, as it is."""
    return database.connect().execute(ROWS).fetchall()


def put(database: ScratchDatabase, version: str, status: str, checksum: str) -> None:
    """A version that is there already."""
    database.connect().execute(
        "INSERT INTO public.policy_versions (version, status, checksum, grace_expires_at)"
        " VALUES (%s, %s::public.policy_version_status, %s, CASE %s WHEN 'GRACE' THEN now() END)",
        [version, status, checksum, status],
    )


def test_it_is_inserted_once(database: ScratchDatabase) -> None:
    """The first time inserts the active version; the second finds it and changes nothing, its times included."""
    conn = database.connect()
    assert seed_policy(conn, ONE) == "inserted"
    first = conn.execute("SELECT xmin, * FROM public.policy_versions").fetchall()
    assert seed_policy(conn, ONE) == "unchanged"
    assert conn.execute("SELECT xmin, * FROM public.policy_versions").fetchall() == first
    assert rows(database) == [("2026.1", "ACTIVE", "sum-1")]


def test_a_value_is_a_value(database: ScratchDatabase) -> None:
    """D-40: what reads like SQL is stored as it stands."""
    evil = Policy("v'); DELETE FROM public.policy_versions; --", "c', 'x", "a test")
    assert seed_policy(database.connect(), evil) == "inserted"
    assert rows(database) == [(evil.version, "ACTIVE", evil.checksum)]


@pytest.mark.parametrize("written", ["{}", "SHA256:{}", "sha256:{}"])
def test_a_checksum_is_one_in_capitals_too(database: ScratchDatabase, written: str) -> None:
    """A sha256 that was recorded or handed over in another spelling is the same; a changed digit is not."""
    digest = sha256_hex(b"policy")
    put(database, "2026.1", "ACTIVE", written.format(digest.upper()))
    before = rows(database)

    assert seed_policy(database.connect(), Policy("2026.1", digest, "a test")) == "unchanged"
    assert rows(database) == before
    with pytest.raises(PolicyError, match="Policy checksum mismatch"):
        seed_policy(database.connect(), Policy("2026.1", sha256_hex(b"other"), "a test"))
    with pytest.raises(PolicyError, match="Policy checksum mismatch"):
        seed_policy(database.connect(), Policy("2026.1", digest[:-1], "a test"))


def test_a_checksum_that_is_no_digest_is_its_letters(database: ScratchDatabase) -> None:
    """What is not known to be hex is compared as it stands."""
    put(database, "2026.1", "ACTIVE", "Sum-1")
    with pytest.raises(PolicyError, match="Policy checksum mismatch"):
        seed_policy(database.connect(), ONE)


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (
            [("2026.1", "ACTIVE", "sum-2")],
            (
                "error[policy]: public.policy_versions, 2026.1 (ACTIVE): Policy checksum mismatch: version 2026.1 is "
                "recorded with another\n  recorded  sum-2\n  to seed   sum-1\n"
                "  help: seed the policy that is recorded, or give the new one a version of its own"
            ),
        ),
        (
            [("2026.1", "RETIRED", "sum-2")],
            (
                "error[policy]: public.policy_versions, 2026.1 (RETIRED): Policy checksum mismatch: version 2026.1 is "
                "recorded with another\n  recorded  sum-2\n  to seed   sum-1\n"
                "  help: seed the policy that is recorded, or give the new one a version of its own"
            ),
        ),
        (
            [("2025.9", "ACTIVE", "sum-1")],
            (
                "error[policy]: public.policy_versions: Active policy already exists: 2025.9\n"
                "  to seed  2026.1\n  active   2025.9\n"
                "  help: seeding never rotates: end the active version first, by the procedure for rotations"
            ),
        ),
        (
            [("2025.9", "ACTIVE", "other"), ("2026.1", "RETIRED", "sum-1")],
            (
                "error[policy]: public.policy_versions: Active policy already exists: 2025.9\n"
                "  to seed  2026.1\n  active   2025.9\n"
                "  help: seeding never rotates: end the active version first, by the procedure for rotations"
            ),
        ),
        (
            [("2026.1", "RETIRED", "sum-1")],
            (
                "error[policy]: public.policy_versions: policy version 2026.1 is RETIRED, so it is not seeded\n"
                "  expected  2026.1 ACTIVE, or not there\n  found     RETIRED\n"
                "  help: seed a version that was not in force before; one that is over does not come back by seeding"
            ),
        ),
        (
            [("2026.1", "GRACE", "sum-1")],
            (
                "error[policy]: public.policy_versions: policy version 2026.1 is GRACE, so it is not seeded\n"
                "  expected  2026.1 ACTIVE, or not there\n  found     GRACE\n"
                "  help: seed a version that was not in force before; one that is over does not come back by seeding"
            ),
        ),
    ],
    ids=["other checksum", "retired, other checksum", "other active", "other active, this retired", "retired", "grace"],
)
def test_what_is_there_is_never_changed(
    database: ScratchDatabase, there: list[tuple[str, str, str]], text: str
) -> None:
    """D-40: another checksum, another active version, and a version that is over are refused, each by name."""
    for row in there:
        put(database, *row)
    before = rows(database)
    with pytest.raises(PolicyError) as caught:
        seed_policy(database.connect(), ONE)

    assert str(caught.value) == text
    assert caught.value.exit_code is ExitCode.FAILED
    assert rows(database) == before


def test_others_that_are_over_are_not_in_the_way(database: ScratchDatabase) -> None:
    """Versions in grace or retired do not keep the first active one out."""
    put(database, "2024.1", "RETIRED", "a")
    put(database, "2025.1", "GRACE", "b")
    assert seed_policy(database.connect(), ONE) == "inserted"
    assert len(rows(database)) == 3


def test_a_table_that_lost_its_index_is_refused(database: ScratchDatabase) -> None:
    """Two active versions are told as that, whatever let them in."""
    database.connect().execute("DROP INDEX public.ux_policy_versions_single_active")
    put(database, "2026.1", "ACTIVE", "sum-1")
    put(database, "2026.2", "ACTIVE", "sum-2")
    with pytest.raises(PolicyError, match=r"Active policy already exists: 2026\.2"):
        seed_policy(database.connect(), ONE)


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_two_at_once_make_one_row(database: ScratchDatabase, background: type[Background], isolation: str) -> None:
    """The second waits for the first and finds its row, whatever isolation is the session's own."""
    first, second = database.connect(), database.connect()
    second.execute(f"SET default_transaction_isolation = '{isolation}'".encode())
    with first.transaction():
        first.execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('2026.1', 'sum-1')")
        waiting = background(lambda: seed_policy(second, ONE))
        wait_for_waiter(database, second)
    assert waiting.join() == "unchanged"
    assert rows(database) == [("2026.1", "ACTIVE", "sum-1")]


def test_two_of_two_versions_at_once_make_one_row(database: ScratchDatabase, background: type[Background]) -> None:
    """Who comes second is told which version was quicker."""
    first, second = database.connect(), database.connect()
    with first.transaction():
        assert seed_policy_inside(first, Policy("2026.2", "sum-2", "a test")) == "inserted"
        waiting = background(lambda: seed_policy(second, ONE))
        wait_for_waiter(database, second)
    with pytest.raises(PolicyError, match=r"Active policy already exists: 2026\.2"):
        waiting.join()
    assert rows(database) == [("2026.2", "ACTIVE", "sum-2")]


def test_the_second_goes_ahead_when_the_first_is_killed(
    database: ScratchDatabase, background: type[Background]
) -> None:
    """A seeder that dies before its commit has done nothing; whoever waited for it inserts the row."""
    first, second = database.connect(autocommit=False), database.connect()
    first.execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('2026.2', 'sum-2')")
    waiting = background(lambda: seed_policy(second, ONE))
    wait_for_waiter(database, second)
    database.connect_admin().execute("SELECT pg_terminate_backend(%s)", [first.info.backend_pid])

    assert waiting.join() == "inserted"
    assert rows(database) == [("2026.1", "ACTIVE", "sum-1")]


def test_cut_short_it_has_done_nothing_and_says_so(database: ScratchDatabase, background: type[Background]) -> None:
    """The connection is lost in the midst: an error that says what to do, no row, and the next time inserts it."""
    first, second = database.connect(autocommit=False), database.connect()
    first.execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('2026.2', 'sum-2')")
    waiting = background(lambda: seed_policy(second, ONE))
    wait_for_waiter(database, second)
    database.connect_admin().execute("SELECT pg_terminate_backend(%s)", [second.info.backend_pid])
    with pytest.raises(PolicyError) as caught:
        waiting.join()
    first.rollback()

    assert str(caught.value) == (
        "error[policy]: public.policy_versions: the connection was lost while the policy was seeded\n"
        "  expected  an answer to the commit\n  found     none\n"
        "  help: repeat it: what was committed is found there and not written twice"
    )
    assert rows(database) == []
    assert seed_policy(database.connect(), ONE) == "inserted"


def test_nobody_is_waited_for_without_end(database: ScratchDatabase) -> None:
    """After the lock timeout it says that somebody else is writing."""
    first, second = database.connect(), database.connect()
    second.execute("SET lock_timeout = '100ms'")
    with first.transaction():
        first.execute("INSERT INTO public.policy_versions (version, checksum) VALUES ('2026.2', 'sum-2')")
        with pytest.raises(PolicyError) as caught:
            seed_policy(second, ONE)
    assert str(caught.value) == (
        "error[policy]: public.policy_versions: somebody else is writing a policy version\n  SQLSTATE  55P03\n"
        "  help: repeat it when that has ended; LOCK_TIMEOUT_MS says how long to wait"
    )


def test_a_runtime_role_may_not(database: ScratchDatabase) -> None:
    """Who may read the active version may not make one."""
    with pytest.raises(PolicyError) as caught:
        seed_policy(database.connect("symphony_control"), ONE)
    assert str(caught.value) == (
        "error[policy]: public.policy_versions: this role may not seed a policy\n  SQLSTATE  42501\n"
        "  help: connect as the owner of the schema, or set MIGRATE_ROLE to it"
    )


def test_before_0005_there_is_nothing_to_seed_into(migrated_to: Callable[[int], MigratedDatabase]) -> None:
    """A database that is not migrated so far: exit 4, and what to run."""
    with pytest.raises(NoPolicyTableError) as caught:
        seed_policy(migrated_to(4).connect(), ONE)
    assert caught.value.exit_code is ExitCode.HISTORY
    assert str(caught.value) == (
        "error[policy]: public.policy_versions: there is no table for policy versions\n"
        "  expected  the table of 0005_policy_versions.sql\n  found     nothing\n  help: run `invoke migrate` first"
    )


def test_a_file_is_its_bytes(tmp_path: Path) -> None:
    """The checksum is the sha256 of the bytes; the version is the file's, or the environment's, never two."""
    file = tmp_path / "active-policy.json"
    file.write_bytes(b'{"policy_version": "2026.1"}\n')
    checksum = sha256_hex(file.read_bytes())

    assert read_policy(Settings()) is None
    assert read_policy(Settings(policy_file=file)) == Policy("2026.1", checksum, file.name)
    assert read_policy(Settings(policy_file=file, policy_version="2026.1", policy_checksum=checksum.upper()))
    assert read_policy(Settings(policy_version="a", policy_checksum="b")) == Policy("a", "b", "the environment")
    plain = tmp_path / "policy.yml"
    plain.write_bytes(b"limit: 1\n")
    assert read_policy(Settings(policy_file=plain, policy_version="7")) == Policy(
        "7", sha256_hex(b"limit: 1\n"), plain.name
    )


@pytest.mark.parametrize(
    ("content", "more", "text"),
    [
        (None, {}, "SEED_POLICY_FILE: the policy file is missing\n  expected  a file that can be read\n  found     "),
        (b"[]", {}, "policy.json: the policy has no version\n"),
        (b"\xff", {}, "found     a file that is not JSON\n"),
        (b"{}", {}, "found     none\n  help: write the version into the file, or set SEED_POLICY_VERSION"),
        (b'{"version": 1}', {}, "found     a int that is no plain text"),
        (b'{"version": " "}', {}, "found     a str that is no plain text"),
        (b'{"version": "1"}', {"policy_version": "2"}, "policy.json: the policy file is of another version\n"),
        (
            b'{"version": "1"}',
            {"policy_checksum": "abc"},
            "policy.json: Policy checksum mismatch: the file is not the one that was named\n  expected  abc\n",
        ),
    ],
)
def test_a_source_that_cannot_be_used_is_a_wrong_call(
    tmp_path: Path, content: bytes | None, more: dict[str, str], text: str
) -> None:
    """Missing, without a version, of another version, of other bytes: exit 2, before any database is asked."""
    file = tmp_path / "policy.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PolicySourceError) as caught:
        read_policy(Settings(policy_file=file, **more))  # type: ignore[arg-type]
    assert caught.value.exit_code is ExitCode.USAGE
    assert text in str(caught.value)


@pytest.mark.parametrize("more", [{"policy_version": "1"}, {"policy_checksum": "1"}])
def test_half_a_policy_is_none(more: dict[str, str]) -> None:
    """A version without a checksum, or the reverse, is a slip and not an absent source."""
    with pytest.raises(PolicySourceError, match="half a policy") as caught:
        read_policy(Settings(**more))  # type: ignore[arg-type]
    assert "SEED_POLICY_VERSION" in str(caught.value)
    assert "SEED_POLICY_CHECKSUM" in str(caught.value)


def invoke(database: ScratchDatabase | None, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `invoke policy.seed` to its end."""
    steering = ("DATABASE_URL", "FRESH_DB", "SERVER", "MIGRATE_ROLE")
    kept = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - for a child
        if name not in steering and "POLICY" not in name
    }
    told = {"FRESH_DB": "0", "DATABASE_URL": database.url} if database else {}
    return subprocess.run(
        [sys.executable, "-m", "invoke", "policy.seed", *arguments],
        cwd=ROOT,
        env=kept | told | {"NO_COLOR": "1"} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_verb(database: ScratchDatabase, tmp_path: Path) -> None:
    """From a file into an existing database, then found there, then refused; the password is told nowhere."""
    file = tmp_path / "policy.json"
    file.write_bytes(b'{"policy_version": "2026.1"}')
    first = invoke(database, SEED_POLICY_FILE=str(file))
    assert (first.returncode, first.stdout) == (0, "policy 2026.1 seeded: it is the active version\n"), first.stderr
    again = invoke(database, "--json", SEED_POLICY_FILE=str(file), SEED_POLICY_VERSION="2026.1")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {
        "outcome": "unchanged",
        "version": "2026.1",
        "checksum": sha256_hex(file.read_bytes()),
        "source": "policy.json",
    }
    other = invoke(database, POLICY_VERSION="2026.1", POLICY_CHECKSUM="another")
    assert other.returncode == 1
    assert "Policy checksum mismatch" in other.stderr
    next_one = invoke(database, POLICY_VERSION="2026.2", POLICY_CHECKSUM="another")
    assert next_one.returncode == 1
    assert "Active policy already exists" in next_one.stderr
    password = str(psycopg.conninfo.conninfo_to_dict(database.dsn)["password"])
    assert not [done for done in (first, again, other, next_one) if password in done.stdout + done.stderr]


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ({}, 0, "so none was seeded: SEED_POLICY_FILE names one, REQUIRE_POLICY_SEED=1 makes this an error"),
        ({"SKIP_POLICY_SEED": "1", "SEED_POLICY_FILE": "/no/such"}, 0, "SKIP_POLICY_SEED=1: no policy was seeded"),
        ({"REQUIRE_POLICY_SEED": "1"}, 1, "error[policy source]: a policy has to be seeded, and none is named"),
        ({"SEED_POLICY_FILE": "/no/such"}, 2, "error[policy source]: SEED_POLICY_FILE: the policy file is missing"),
        (
            {"POLICY_VERSION": "1", "POLICY_CHECKSUM": "2"},
            2,
            "error[usage]: `invoke policy.seed` works on a database that exists",
        ),
    ],
    ids=["no source", "skipped", "required", "missing file", "no database"],
)
def test_without_a_database_it_says_why(more: dict[str, str], code: int, told: str) -> None:
    """Nothing to seed is told and never reads as seeded; what is wrong with the call is exit 2."""
    done = invoke(None, **more)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr
    assert "it is the active version" not in done.stdout


def seed_policy_inside(conn: psycopg.Connection[Any], policy: Policy) -> str:
    """Seed inside a transaction of the test's own, so that it stays open."""
    conn.execute(
        "INSERT INTO public.policy_versions (version, checksum) VALUES (%s, %s)", [policy.version, policy.checksum]
    )
    return "inserted"


def wait_for_waiter(database: ScratchDatabase, waiter: psycopg.Connection[Any]) -> None:
    """Until the session waits for a lock."""
    import time

    look = database.connect_admin()
    deadline = time.monotonic() + 20
    while not look.execute("SELECT pg_blocking_pids(%s) <> '{}'", [waiter.info.backend_pid]).fetchall()[0][0]:
        assert time.monotonic() < deadline, "it does not wait"
        time.sleep(0.01)


def test_every_error_is_one_of_ours() -> None:
    """All are told by the edge with an exit code, none with a traceback."""
    for error in (
        PolicyError.lost(),
        PolicyError.several_active(2),
        PolicyError.refused(sqlstate="23514", constraint="c"),
    ):
        assert isinstance(error, ProjectError)
        assert error.exit_code is ExitCode.FAILED
    assert "SQLSTATE  23514 c" in str(PolicyError.refused(sqlstate="23514", constraint="c"))
    assert "2 policy versions are active" in str(PolicyError.several_active(2))


def test_the_verb_acts_as_migrate_role(database: ScratchDatabase, tmp_path: Path) -> None:
    """A login that may do nothing itself seeds as the schema's owner; without MIGRATE_ROLE it is refused."""
    file = tmp_path / "policy.json"
    file.write_bytes(b'{"policy_version": "2026.1"}')
    owner = str(psycopg.conninfo.conninfo_to_dict(database.dsn)["user"])
    password = str(psycopg.conninfo.conninfo_to_dict(database.dsn)["password"])
    login, stranger = f"{database.name}_seeder", f"{database.name}_stranger"
    admin = database.connect_admin()
    with _roles(admin, login, stranger, password=password, owner=owner):
        url = database.url.replace(f"//{owner}:", f"//{login}:")
        assert url != database.url

        refused = invoke(database, DATABASE_URL=url, SEED_POLICY_FILE=str(file))
        assert refused.returncode == 1, refused.stderr
        assert "SET ROLE" in refused.stderr or "set MIGRATE_ROLE to it" in refused.stderr
        assert rows(database) == []

        for name, code in ((stranger, 2), ("nobody_of_that_name", 2)):
            wrong = invoke(database, DATABASE_URL=url, MIGRATE_ROLE=name, SEED_POLICY_FILE=str(file))
            assert wrong.returncode == code, wrong.stderr
            assert name in wrong.stderr
        assert rows(database) == []

        done = invoke(database, DATABASE_URL=url, MIGRATE_ROLE=owner, SEED_POLICY_FILE=str(file))
        assert (done.returncode, done.stdout) == (0, "policy 2026.1 seeded: it is the active version\n"), done.stderr
        assert rows(database) == [("2026.1", "ACTIVE", sha256_hex(file.read_bytes()))]


@contextmanager
def _roles(admin: psycopg.Connection[Any], login: str, stranger: str, *, password: str, owner: str) -> Iterator[None]:
    """A login that may become the owner and holds nothing of it, and a role that it may not become."""
    name, other, of = (sql.Identifier(role) for role in (login, stranger, owner))
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
    admin.execute(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(of, name))
    admin.execute(sql.SQL("CREATE ROLE {}").format(other))
    try:
        yield
    finally:
        for role in (name, other):
            admin.execute(sql.SQL("DROP ROLE {}").format(role))
