"""The table of effects: what rewrites, what scans, what builds, what touches the catalog only; over rows."""

from __future__ import annotations

import pytest
from make_zoo import Zoo

HOT = ("app.hot",)

REWRITES = [
    ("ALTER TABLE app.hot ADD COLUMN made timestamptz DEFAULT clock_timestamp()", HOT),
    ("ALTER TABLE app.hot ADD COLUMN key uuid DEFAULT gen_random_uuid()", HOT),
    ("ALTER TABLE app.hot ADD COLUMN number bigserial", HOT),
    ("ALTER TABLE app.hot ADD COLUMN number int GENERATED ALWAYS AS IDENTITY", HOT),
    ("ALTER TABLE app.hot ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED", HOT),
    ("ALTER TABLE app.hot ALTER short TYPE varchar(8)", HOT),
    ("ALTER TABLE app.hot ALTER price TYPE numeric(10,3)", HOT),
    ("ALTER TABLE app.hot ALTER sure TYPE bigint", HOT),
    ("ALTER TABLE app.child SET UNLOGGED", ("app.child",)),
    ("CLUSTER app.hot USING hot_pkey", HOT),
    ("SET LOCAL TimeZone = 'Africa/Lusaka'; ALTER TABLE app.hot ALTER at TYPE timestamptz", HOT),
    ("ALTER TABLE app.whole ADD COLUMN key uuid DEFAULT gen_random_uuid()", ("app.whole_1",)),
    ("REFRESH MATERIALIZED VIEW app.hot_sum", ("app.hot_sum",)),
    ("DO $$ BEGIN ALTER TABLE app.hot ALTER sure TYPE bigint; END $$", HOT),
    ("DO $$ BEGIN CLUSTER app.hot USING hot_pkey; END $$", HOT),
    ("DO $$ BEGIN SET LOCAL enable_sort = off; CLUSTER app.hot USING hot_pkey; END $$", HOT),
    ("DO $$ BEGIN REFRESH MATERIALIZED VIEW app.hot_sum; END $$", ("app.hot_sum",)),
]
SCANS = [
    ("ALTER TABLE app.hot ADD COLUMN extra int CHECK (extra > 0)", HOT),
    ("ALTER TABLE app.hot ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) VIRTUAL CHECK (twice > 0)", HOT),
    ("ALTER TABLE app.hot ALTER n SET NOT NULL", HOT),
    ("ALTER TABLE app.hot ADD CHECK (sure < 100000)", HOT),
    ("ALTER TABLE app.hot ADD NOT NULL n", HOT),
    ("ALTER TABLE app.hot VALIDATE CONSTRAINT hot_n_check", HOT),
    ("ALTER TABLE app.child ADD FOREIGN KEY (parent_id) REFERENCES app.parent", ("app.child", "app.parent")),
    ("ALTER TABLE app.hot VALIDATE CONSTRAINT hot_parent_fkey", ("app.hot", "app.parent")),
    ("ALTER TABLE app.whole ATTACH PARTITION app.whole_2 FOR VALUES FROM (1000) TO (2000)", ("app.whole_2",)),
    ("ALTER DOMAIN app.amount ADD CHECK (value > 0)", HOT),
    ("ANALYZE app.hot", HOT),
    ("SELECT count(*) FROM app.parent", ("app.parent",)),
]
CATALOG_ONLY = [
    "ALTER TABLE app.hot ADD COLUMN extra int",
    "ALTER TABLE app.hot ADD COLUMN extra int DEFAULT 7 NOT NULL",
    "ALTER TABLE app.hot ADD COLUMN made timestamptz DEFAULT now()",
    "ALTER TABLE app.hot ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) VIRTUAL",
    "ALTER TABLE app.hot ALTER short TYPE varchar(80)",
    "ALTER TABLE app.hot ALTER short TYPE text",
    "ALTER TABLE app.hot ALTER price TYPE numeric(12,2)",
    "ALTER TABLE app.hot ADD COLUMN seven int DEFAULT app.constant()",
    "ALTER TABLE app.hot ALTER at TYPE timestamptz",
    "ALTER TABLE app.hot ALTER sure SET NOT NULL",
    "ALTER TABLE app.hot ADD CHECK (sure < 100000) NOT VALID",
    "ALTER TABLE app.hot ADD FOREIGN KEY (n) REFERENCES app.parent NOT VALID",
    "ALTER TABLE app.whole ATTACH PARTITION app.whole_3 FOR VALUES FROM (2000) TO (3000)",
    "ALTER TABLE app.hot ADD UNIQUE USING INDEX hot_short_uidx",
    "ALTER TABLE app.hot DROP COLUMN note",
    "ALTER TABLE app.hot RENAME TO cold",
    "DROP INDEX app.hot_n_idx",
    "DROP TABLE app.loose",
    "COMMENT ON TABLE app.hot IS 'hot'",
    "CREATE VIEW app.other_view AS SELECT id FROM app.hot",
    "CREATE TABLE app.fresh (id int PRIMARY KEY); INSERT INTO app.fresh SELECT 1; CREATE INDEX ON app.fresh (id);",
    "DO $$ BEGIN PERFORM 1; END $$",
]
BUILDS = [
    ("CREATE INDEX hot_sure_idx ON app.hot (sure)", ("app.hot_sure_idx",)),
    ("ALTER TABLE app.hot ADD CONSTRAINT hot_n_key UNIQUE (n)", ("app.hot_n_key",)),
    ("ALTER TABLE app.hot ADD CONSTRAINT hot_n_excl EXCLUDE USING hash (n WITH =)", ("app.hot_n_excl",)),
    ("REINDEX INDEX app.hot_n_idx", ("app.hot_n_idx",)),
    ("REINDEX TABLE app.child", ("app.child_pkey",)),
    ("CREATE INDEX whole_at_idx ON app.whole (at)", ("app.whole_1_at_idx",)),
]
ROWS = [
    ("INSERT INTO app.loose SELECT g, 1 FROM generate_series(1, 30) g", "data", 30),
    ("UPDATE app.hot SET note = 'x' WHERE id <= 20", "data", 20),
    ("DELETE FROM app.child WHERE id <= 10", "data", 10),
    ("UPDATE app.hot SET note = 'x' WHERE false", "data", 0),
    ("MERGE INTO app.child c USING app.parent p ON c.id = p.id WHEN MATCHED THEN UPDATE SET parent_id = 1", "data", 50),
    ("DO $$ BEGIN UPDATE app.hot SET note = 'x' WHERE id <= 20; DELETE FROM app.child; END $$", "data", 120),
    ("DO $$ BEGIN PERFORM 1 FROM app.hot; END $$", "scan", 0),
    ("WITH gone AS (DELETE FROM app.child RETURNING id) SELECT count(*) FROM gone", "data", 100),
    ("CREATE TABLE app.taken AS SELECT * FROM app.hot", "scan", 200),
    ("ALTER TABLE app.hot ADD COLUMN extra int", "catalog", None),
]


@pytest.mark.parametrize(("statement", "tables"), REWRITES)
def test_rewrite(zoo: Zoo, statement: str, tables: tuple[str, ...]) -> None:
    """A table that is written anew is named."""
    trace = zoo.last(statement)

    assert (trace.effect, trace.rewritten) == ("rewrite", tables)
    assert set(tables).isdisjoint(trace.scanned)


@pytest.mark.parametrize(("statement", "tables"), SCANS)
def test_scan(zoo: Zoo, statement: str, tables: tuple[str, ...]) -> None:
    """A table that is read from end to end is named, and nothing is said to be rewritten."""
    trace = zoo.last(statement)

    assert (trace.effect, trace.scanned, trace.rewritten) == ("scan", tables, ())


@pytest.mark.parametrize("statement", CATALOG_ONLY)
def test_catalog_only(zoo: Zoo, statement: str) -> None:
    """No table is read or written."""
    for trace in zoo.would_do(statement).statements:
        assert trace.rewritten == trace.scanned == trace.built == ()
    assert zoo.last(statement).effect == "catalog"


@pytest.mark.parametrize(("statement", "indexes"), BUILDS)
def test_build(zoo: Zoo, statement: str, indexes: tuple[str, ...]) -> None:
    """An index that is built on a table that existed before is named."""
    trace = zoo.last(statement)

    assert (trace.effect, trace.built) == ("index", indexes)


@pytest.mark.parametrize(("statement", "effect", "rows"), ROWS)
def test_rows_changed(zoo: Zoo, statement: str, effect: str, rows: int | None) -> None:
    """Rows come from the command tag, and from the counters when a program changed them."""
    trace = zoo.last(statement)

    assert (trace.effect, trace.rows) == (effect, rows)


@pytest.mark.parametrize(
    "statement", ["TRUNCATE app.child", "DO $$ BEGIN TRUNCATE app.child; END $$", "TRUNCATE app.child, app.loose"]
)
def test_truncate_is_no_rewrite(zoo: Zoo, statement: str) -> None:
    """An emptied table has a new file on disk too, but nothing was copied."""
    trace = zoo.last(statement)

    assert (trace.effect, trace.rewritten) == ("truncate", ())
    assert "app.child" in trace.truncated


def test_proof_instead_of_a_scan(zoo: Zoo) -> None:
    """When a constraint proves the result the trace says so."""
    assert zoo.last("ALTER TABLE app.hot ALTER sure SET NOT NULL").proved == ("hot.sure",)
    assert zoo.last("ALTER TABLE app.hot ALTER n SET NOT NULL").proved == ()


def test_two_tables_of_one_name(zoo: Zoo) -> None:
    """The server's messages name a table without its schema: counters and files tell which one it was."""
    zoo.does("CREATE SCHEMA twin; CREATE TABLE twin.hot (id int, n int); INSERT INTO twin.hot VALUES (1, 1);")

    first, second, third = zoo.would_do(
        "ALTER TABLE app.hot ADD COLUMN extra int;"
        "ALTER TABLE twin.hot ALTER n SET NOT NULL;"
        "ALTER TABLE twin.hot ALTER n TYPE bigint;"
    ).statements

    assert (first.effect, second.scanned, third.rewritten) == ("catalog", ("twin.hot",), ("twin.hot",))
    zoo.does("DROP SCHEMA twin CASCADE")


def test_new_table_with_the_name_of_an_old_one(zoo: Zoo) -> None:
    """What happens to a table of this file is not taken for its namesake's."""
    _, _, third, fourth = zoo.would_do(
        "COMMENT ON TABLE app.hot IS 'x'; CREATE TABLE public.hot (id int, n int);"
        "ALTER TABLE public.hot ALTER n SET NOT NULL; CREATE INDEX ON public.hot (n);"
    ).statements

    assert [third.effect, fourth.effect] == ["catalog", "catalog"]


def test_counters_of_an_earlier_transaction_do_not_count(zoo: Zoo) -> None:
    """The server keeps its counters for up to a second: what ran before the file is not this file's."""
    zoo.would_do("SELECT count(*) FROM app.hot; UPDATE app.child SET parent_id = 1;")

    trace = zoo.last("REVOKE ALL ON app.hot, app.child FROM PUBLIC")

    assert (trace.effect, trace.scanned) == ("catalog", ())


def test_the_same_rewrite_twice(zoo: Zoo) -> None:
    """Each of two rewrites in one transaction is seen."""
    first, second = zoo.would_do(
        "ALTER TABLE app.hot ALTER sure TYPE bigint; ALTER TABLE app.hot ALTER sure TYPE numeric;"
    ).statements

    assert (first.rewritten, second.rewritten) == (HOT, HOT)


def test_foreign_key_checked_by_index(zoo: Zoo) -> None:
    """When the planner checks a key by both indexes, the tables were read all the same."""
    trace = zoo.last(
        "SET LOCAL enable_seqscan = off; ALTER TABLE app.hot ADD FOREIGN KEY (id) REFERENCES app.child (id) NOT VALID;"
        "DELETE FROM app.hot WHERE id > 100; ALTER TABLE app.hot VALIDATE CONSTRAINT hot_id_fkey;"
    )

    assert (trace.effect, trace.scanned) == ("scan", ("app.child", "app.hot"))


def test_without_counters_the_messages_remain(zoo: Zoo) -> None:
    """A server that counts no scans still tells of them."""
    import psycopg

    from scripts.migrations.trace.tracer import Tracer

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute("SET track_counts = off")
        tracer = Tracer(conn)
        scan = Zoo(conn, tracer, zoo.admin_dsn).last("ALTER TABLE app.hot ALTER n SET NOT NULL")
        rewrite = Zoo(conn, tracer, zoo.admin_dsn).last("ALTER TABLE app.hot ALTER sure TYPE bigint")
        tracer.close()

    assert (scan.effect, scan.scanned) == ("scan", HOT)
    assert (rewrite.effect, rewrite.rewritten) == ("rewrite", HOT)
