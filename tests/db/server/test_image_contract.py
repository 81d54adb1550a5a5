"""The offline image by itself: started as people start the official one, with nothing of ours said."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from scripts.server.containers.engine import find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.readiness import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from scripts.server.containers.engine import Engine

pytestmark = pytest.mark.docker
SECRET = "p w'd"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine, with the offline image."""
    with find_engine() as found:
        build_offline_image(found)
        yield found


@contextmanager
def started(
    engine: Engine,
    *command: str,
    files: dict[str, str] | None = None,
    scripts: dict[str, tuple[bytes, int]] | None = None,
    user: str | None = None,
    **environment: str,
) -> Iterator[str]:
    """A container of the image, its port published on loopback; `files` are root's alone, `scripts` have modes.

    Yields its id.
    """
    api = engine.client.api
    created = api.create_container(
        TAG,
        user=user,
        environment=environment,
        command=list(command) or None,
        ports=["5432"],
        host_config=api.create_host_config(port_bindings={"5432/tcp": ("127.0.0.1", None)}),
    )["Id"]
    try:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in (files or {}).items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o400
                archive.addfile(entry, io.BytesIO(content.encode()))
            for name, (script, mode) in (scripts or {}).items():
                entry = tarfile.TarInfo(f"docker-entrypoint-initdb.d/{name}")
                entry.size, entry.mode = len(script), mode
                archive.addfile(entry, io.BytesIO(script))
        api.put_archive(created, "/", buffer.getvalue())
        api.start(created)
        yield created
    finally:
        api.remove_container(created, force=True, v=True)


@contextmanager
def connected(engine: Engine, container: str, **who: str) -> Iterator[Connection]:
    """A connection from outside, over the published port."""
    api = engine.client.api

    def require_alive() -> None:
        assert api.inspect_container(container)["State"]["Running"], api.logs(container).decode()

    port = api.inspect_container(container)["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
    dsn = make_conninfo(host="127.0.0.1", port=port, **who)
    conn = wait_until_ready(dsn, timeout_ms=30_000, require_alive=require_alive)
    assert conn is not None, api.logs(container).decode()
    with conn:
        yield conn


def ended(engine: Engine, container: str) -> tuple[int, str]:
    """Its exit status and what it wrote."""
    status = int(engine.client.api.wait(container, timeout=30)["StatusCode"])
    return status, engine.client.api.logs(container).decode()


def setting(conn: Connection, name: str) -> Any:
    """A setting's value."""
    row = conn.execute("SELECT current_setting(%s)", [name]).fetchone()
    return row and row[0]


def test_it_listens_without_being_told(engine: Engine) -> None:
    """User, password and database by their variables; no command of ours, and it answers on the published port."""
    with (
        started(engine, POSTGRES_USER="app", POSTGRES_PASSWORD=SECRET, POSTGRES_DB='we"ird') as container,
        connected(engine, container, user="app", password=SECRET, dbname='we"ird') as conn,
    ):
        assert setting(conn, "is_superuser") == "on"
        assert setting(conn, "listen_addresses") == "*"


def test_options_alone_are_the_servers(engine: Engine) -> None:
    """A command that begins with a dash is what postgres is given."""
    with (
        started(engine, "-c", "fsync=off", POSTGRES_PASSWORD=SECRET) as container,
        connected(engine, container, user="postgres", password=SECRET) as conn,
    ):
        assert setting(conn, "fsync") == "off"
    with started(engine, "--version") as container:
        status, said = ended(engine, container)
        assert (status, said.startswith("postgres (PostgreSQL) 18")) == (0, True)
    with started(engine, "psql", "--version") as container:
        status, said = ended(engine, container)
        assert (status, said.startswith("psql (PostgreSQL) 18")) == (0, True)


def test_secrets_may_be_files_that_only_root_reads(engine: Engine) -> None:
    """POSTGRES_PASSWORD_FILE, _USER_FILE, _DB_FILE and _INITDB_ARGS_FILE are read before the rights are dropped."""
    files = {"password": SECRET + "\n", "user": "app\n", "db": "payments\n", "args": "--no-sync --wal-segsize=4\n"}
    variables = {"password": "PASSWORD", "user": "USER", "db": "DB", "args": "INITDB_ARGS"}
    given: dict[str, Any] = {f"POSTGRES_{variables[name]}_FILE": f"/{name}" for name in files}
    with (
        started(engine, files=files, **given) as container,
        connected(engine, container, user="app", password=SECRET, dbname="payments") as conn,
    ):
        assert setting(conn, "wal_segment_size") == "4MB"
    with started(engine, files=files, **given | {"POSTGRES_USER": "app"}) as container:
        status, said = ended(engine, container)
        assert status == 1
        assert said == "error: both POSTGRES_USER and POSTGRES_USER_FILE are set (but are exclusive)\n"


def test_trust_needs_no_password_and_says_so(engine: Engine) -> None:
    """Without it, or with another method, no password means no server."""
    with (
        started(engine, POSTGRES_HOST_AUTH_METHOD="trust") as container,
        connected(engine, container, user="postgres") as conn,
    ):
        assert setting(conn, "listen_addresses") == "*"
        assert (
            b"warning: POSTGRES_HOST_AUTH_METHOD=trust: whoever reaches the port is let in without a password"
            in engine.client.api.logs(container)
        )
    for method in ("", "scram-sha-256"):
        with started(engine, POSTGRES_HOST_AUTH_METHOD=method) as container:
            status, said = ended(engine, container)
            assert status == 1
            assert said == "Error: Database is uninitialized and superuser password is not specified.\n"


def test_it_runs_as_its_user_and_with_the_log_elsewhere(engine: Engine) -> None:
    """`--user 999` finds a place where it may make its folder; POSTGRES_INITDB_WALDIR is made, too."""
    waldir = "/var/lib/postgresql/wal"
    with (
        started(engine, user="999", POSTGRES_PASSWORD=SECRET, POSTGRES_INITDB_WALDIR=waldir) as container,
        connected(engine, container, user="postgres", password=SECRET) as conn,
    ):
        assert setting(conn, "data_directory") == "/var/lib/postgresql/18/docker"
        listed = engine.client.api.exec_create(container, ["ls", waldir])["Id"]
        assert b"archive_status" in engine.client.api.exec_start(listed)


RUN_BY_SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
words=(run by)
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<-EOSQL
    CREATE TABLE public.seen (n int GENERATED ALWAYS AS IDENTITY, who text);
    INSERT INTO public.seen (who) VALUES ('${words[*]} itself');
EOSQL
"""
SOURCED = """words=(run by the shell)
docker_process_sql <<< "INSERT INTO public.seen (who) VALUES ('${words[*]}')"
"""
INSERT = b"INSERT INTO public.seen (who) VALUES ('%b');\n"
XZ = shutil.which("xz")


def test_scripts_of_a_first_boot_run_once_and_in_order(engine: Engine) -> None:
    """Programs, sourced shell, SQL, packed SQL; nobody gets in by the network before they are done."""
    scripts = {
        "10-run.sh": (RUN_BY_SCRIPT.encode(), 0o755),
        "20-sourced.sh": (SOURCED.encode(), 0o644),
        "30-plain.sql": (INSERT % b"plain", 0o644),
        "40-packed.sql.gz": (gzip.compress(INSERT % b"gz" + b"SELECT pg_sleep(0.5);\n"), 0o644),
        "50-packed.sql.xz": (lzma.compress(INSERT % b"xz"), 0o644),
        "60-read.me": (b"not SQL", 0o644),
    }
    if XZ is None:
        del scripts["50-packed.sql.xz"]
    given: dict[str, Any] = {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": SECRET, "POSTGRES_DB": "pay"}
    who = {"user": "app", "password": SECRET, "dbname": "pay"}
    wanted = ["run by itself", "run by the shell", "plain", "gz", *(["xz"] if XZ else [])]
    with started(engine, scripts=scripts, POSTGRES_INITDB_ARGS="--auth=scram-sha-256", **given) as container:
        for _ in range(2):
            with connected(engine, container, **who) as conn:
                assert [row[0] for row in conn.execute("SELECT who FROM public.seen ORDER BY n")] == wanted
                assert setting(conn, "listen_addresses") == "*"
            engine.client.api.restart(container, timeout=5)
        said = engine.client.api.logs(container).decode()
    assert said.count("ignoring /docker-entrypoint-initdb.d/60-read.me") == 1
    assert SECRET not in said


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("1.sql", b"SELECT 1;\nSELECT nonsense;\n", 'column "nonsense" does not exist'),
        ("1.sh", b"false\n", "sourcing /docker-entrypoint-initdb.d/1.sh"),
        ("1.sql.gz", b"not packed", "not in gzip format"),
    ],
)
def test_a_script_that_fails_is_the_end(engine: Engine, name: str, script: bytes, words: str) -> None:
    """No server with half of its first boot is left running."""
    with started(engine, scripts={name: (script, 0o644)}, POSTGRES_PASSWORD=SECRET) as container:
        status, said = ended(engine, container)
    assert status != 0
    assert words in said


def test_a_user_that_the_image_does_not_know_is_told(engine: Engine) -> None:
    """What initdb says names no way out."""
    with started(engine, user="1234", POSTGRES_PASSWORD=SECRET) as container:
        status, said = ended(engine, container)
    assert status == 1
    assert said == (
        "error: no user of this image has the number 1234, and initdb asks for its name; use --user 999, or none\n"
    )
