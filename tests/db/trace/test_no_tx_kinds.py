"""Statements outside a transaction that choose their relations themselves: the record against the files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from make_zoo import ZOO, Zoo, strongest

from scripts.migrations.apply import migrate
from scripts.migrations.batch import execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.tracer import Tracer
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases, MigrationFolder, ScratchDatabase

    from scripts.migrations.trace.model import StatementTrace

SUX, AX, S = "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE", "SHARE"
MORE = "CREATE INDEX whole_id_idx ON app.whole (id); CREATE TABLE public.theirs (id int)"


@pytest.fixture(scope="module")
def own_zoo(databases: Databases) -> Iterator[Zoo]:
    """A database of this module, because a bare CLUSTER remembers what was clustered before."""
    import psycopg

    with databases.empty() as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        execute_batch(conn, ZOO.encode())
        execute_batch(conn, MORE.encode())
        tracer = Tracer(conn)
        try:
            yield Zoo(conn, tracer, made.admin_dsn)
        finally:
            tracer.close()


def on_disk(zoo: Zoo) -> dict[tuple[str, str], tuple[int, int]]:
    """By kind and name: oid and file, as an onlooker sees them."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as admin:
        rows = admin.execute(
            "SELECT relkind, format('%I.%I', relnamespace::regnamespace, relname), oid, pg_relation_filenode(oid)"
            " FROM pg_class WHERE relkind IN ('r', 'm', 'i') AND oid >= 16384"
            " AND relnamespace <> 'pg_toast'::regnamespace"
        ).fetchall()
    return {(kind, name.replace('"', "")): (oid, file) for kind, name, oid, file in rows}


def run(zoo: Zoo, sql: str) -> tuple[StatementTrace, tuple[str, ...], tuple[str, ...]]:
    """One statement's record, and the tables and indexes that have other files since."""
    zoo.tracer.refresh()
    before = on_disk(zoo)
    (statement,) = MigrationFile.of_text("0001_test.sql", sql).statements
    with zoo.tracer.phase_watch(statement) as watch:
        execute_batch(zoo.conn, statement.text.encode(), watch=watch)
    zoo.tracer.committed()
    after = on_disk(zoo)
    anew = sorted(key for key, file in after.items() if before.get(key) != file)
    tables = tuple(sorted(name for kind, name in anew if kind != "i"))
    return watch.trace(), tables, tuple(sorted(name for kind, name in anew if kind == "i"))


@pytest.mark.parametrize(
    ("prepare", "sql", "effect"),
    [
        ("", "CLUSTER", "catalog"),
        ("CLUSTER app.hot USING hot_pkey", "CLUSTER", "rewrite"),
        ("", "CLUSTER app.whole USING whole_id_idx", "rewrite"),
        ("", "VACUUM (FULL) app.parent", "rewrite"),
        ("", "VACUUM FULL app.parent, app.child", "rewrite"),
        ("", "VACUUM (FULL, ANALYZE) app.whole", "rewrite"),
        ("", "VACUUM FULL", "rewrite"),
        ("", "VACUUM (FULL false) app.parent", "scan"),
        ("", "VACUUM app.parent", "scan"),
        ("", "REINDEX INDEX app.hot_n_idx", "index"),
        ("", "REINDEX INDEX CONCURRENTLY app.hot_n_idx", "index"),
        ("", "REINDEX INDEX app.whole_id_idx", "index"),
        ("", "REINDEX TABLE app.whole", "index"),
        ("", "REINDEX TABLE CONCURRENTLY app.hot", "index"),
        ("", "REINDEX TABLE CONCURRENTLY public.theirs", "catalog"),
        ("", "REINDEX SCHEMA app", "index"),
        ("", "REINDEX SCHEMA CONCURRENTLY app", "index"),
        ("", "REINDEX DATABASE", "index"),
        ("", "REINDEX SYSTEM", "index"),
    ],
)
def test_the_record_is_what_the_files_say(own_zoo: Zoo, prepare: str, sql: str, effect: str) -> None:
    """Rewritten and built are the very relations that have another file, and no other is said to be locked."""
    if prepare:
        execute_batch(own_zoo.conn, prepare.encode())

    trace, tables, indexes = run(own_zoo, sql)

    assert (trace.rewritten, trace.built, trace.effect) == (tables, indexes, effect)
    locked = {lock.relation for lock in trace.locks} | {lock.on for lock in trace.locks if lock.on}
    touched = {*tables, *indexes, *trace.scanned, "app.whole", "app.whole_id_idx"}
    owners = {"app.hot", "app.parent", "app.child", "app.hot_sum", "app.whole_1"} if indexes else set()
    assert locked <= touched | owners
    assert {*tables, *indexes} <= locked or "FULL" in sql or "CLUSTER" in sql
    assert set(tables) <= locked


MODES = {
    "VACUUM FULL app.parent": {"app.parent": AX},
    "VACUUM app.parent": {"app.parent": SUX},
    "VACUUM FULL app.whole": {"app.whole": AX, "app.whole_1": AX},
    "REINDEX TABLE app.whole": {"app.whole": S, "app.whole_1": S, "app.whole_1_id_idx": AX},
    "REINDEX INDEX CONCURRENTLY app.whole_id_idx": {"app.whole": SUX, "app.whole_1": SUX, "app.whole_1_id_idx": SUX},
}


def test_modes(own_zoo: Zoo) -> None:
    """The manual's modes, of what was touched; a partitioned parent, which has no file, is locked by name."""
    for sql, modes in MODES.items():
        told = strongest(run(own_zoo, sql)[0])

        assert {name: mode for name, mode in told.items() if name in modes} == modes, sql
        # Who looks on may have seen an index being locked with its table; no other table is.
        assert all(name.endswith(("_pkey", "_idx")) for name in told.keys() - modes.keys()), (sql, told)


def test_what_is_skipped_is_not_told_as_done(own_zoo: Zoo) -> None:
    """VACUUM FULL of a table of somebody else: a warning, no new file, no lock, no rewrite."""
    import psycopg

    role, owner = f"weak_{own_zoo.conn.info.dbname}"[:60], own_zoo.conn.info.user
    with psycopg.connect(own_zoo.admin_dsn, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE "{role}"; GRANT "{role}" TO "{owner}" WITH SET TRUE'.encode())
        execute_batch(own_zoo.conn, f'SET ROLE "{role}"'.encode())
        try:
            for sql in ("VACUUM FULL public.theirs", "VACUUM public.theirs"):
                trace, tables, indexes = run(own_zoo, sql)

                assert (tables, indexes) == ((), ())
                assert (trace.effect, trace.rewritten, trace.scanned, trace.locks) == ("catalog", (), (), ())
                assert [notice.severity for notice in trace.notices] == ["WARNING"]
                assert trace.notices[0].message.endswith("skipping it")
        finally:
            execute_batch(own_zoo.conn, b"RESET ROLE")
            admin.execute(f'DROP ROLE "{role}"'.encode())


def test_where_the_server_does_not_count(own_zoo: Zoo) -> None:
    """Without track_counts nothing tells which tables a VACUUM read: it is not called catalog only."""
    import psycopg

    owner = own_zoo.conn.info.user
    with psycopg.connect(own_zoo.admin_dsn, autocommit=True) as admin:
        admin.execute(f'GRANT SET ON PARAMETER track_counts TO "{owner}"'.encode())
        try:
            execute_batch(own_zoo.conn, b"SET track_counts = off")
            trace, _, _ = run(own_zoo, "VACUUM app.parent")
        finally:
            execute_batch(own_zoo.conn, b"RESET track_counts")
            admin.execute(f'REVOKE SET ON PARAMETER track_counts FROM "{owner}"'.encode())

    assert trace.effect == "unseen"
    # What an onlooker happened to see is told, and nothing from a book.
    assert {(lock.relation, lock.mode) for lock in trace.locks} <= {("app.parent", SUX)}
    assert not any(lock.source == "documented" for lock in trace.locks)


def test_a_bare_cluster_in_a_run(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Of the runner's own tables, and of every other that was never clustered, the chained record tells nothing."""
    migrations.write(
        "0001_a.sql",
        "CREATE TABLE public.a (id int CONSTRAINT a_pkey PRIMARY KEY); CREATE TABLE public.b (id int);"
        " ALTER TABLE public.a CLUSTER ON a_pkey;",
    )
    migrations.write("0002_b.sql", "-- symphony:no_tx\nCLUSTER;\n")
    with empty_database.connect() as conn:
        migrate(conn, migrations.files(), Settings(), report=list[str]().append)
        (found,) = conn.execute(
            "SELECT trace::text FROM public.schema_migrations_history ORDER BY seq DESC LIMIT 1"
        ).fetchall()
    (statement,) = as_json(found[0])["statements"]
    assert (statement["effect"], statement["rewritten"], statement["built"]) == (
        "rewrite",
        ["public.a"],
        ["public.a_pkey"],
    )
    assert ("public.a", AX) in {(lock["relation"], lock["mode"]) for lock in statement["locks"]}
    assert {lock["relation"] for lock in statement["locks"]} <= {"public.a", "public.a_pkey"}


def as_json(text: str) -> Any:
    """Parsed."""
    import json

    return json.loads(text)
