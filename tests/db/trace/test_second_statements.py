"""A statement is judged by what it did, also where one before it has touched the same relation, or renamed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from make_zoo import Zoo

TOUCH = "UPDATE app.hot SET n = n WHERE id = 1; SELECT count(*) FROM app.hot;"
RENAME = "ALTER TABLE app.hot RENAME TO cold;"
FRESH = "REFRESH MATERIALIZED VIEW CONCURRENTLY app.hot_sum;"
ALL = ("app.hot_n_idx", "app.hot_pkey", "app.hot_short_uidx")


@pytest.mark.parametrize(
    ("before", "sql", "effect", "built"),
    [
        (TOUCH, "REINDEX INDEX app.hot_short_uidx", "index", ("app.hot_short_uidx",)),
        (TOUCH, "REINDEX TABLE app.hot", "index", ALL),
        (TOUCH, "ALTER TABLE app.hot ADD CONSTRAINT hot_id_n UNIQUE (id, n)", "index", ("app.hot_id_n",)),
        (TOUCH, "CREATE INDEX hot_sure_idx ON app.hot (sure)", "index", ("app.hot_sure_idx",)),
        ("ALTER TABLE app.hot ALTER sure TYPE bigint;", "REINDEX INDEX app.hot_n_idx", "index", ("app.hot_n_idx",)),
        (RENAME, "REINDEX INDEX app.hot_short_uidx", "index", ("app.hot_short_uidx",)),
        (RENAME, "REINDEX TABLE app.cold", "index", ALL),
        (RENAME, "ALTER TABLE app.cold ADD CONSTRAINT hot_id_n UNIQUE (id, n)", "index", ("app.hot_id_n",)),
        (RENAME, "DO $$ BEGIN EXECUTE 'REINDEX TABLE app.cold'; END $$", "index", ALL),
        (RENAME + "CREATE TABLE app.hot (id int);", "REINDEX TABLE app.cold", "index", ALL),
        (RENAME + "CREATE TABLE app.hot (id int); INSERT INTO app.hot VALUES (1);",
         "CREATE INDEX new_idx ON app.hot (id)", "catalog", ()),
        (RENAME, "REINDEX TABLE app.cold; ALTER TABLE app.cold RENAME TO ice", "catalog", ()),
        (FRESH, "DROP MATERIALIZED VIEW app.hot_sum", "catalog", ()),
        (f"{FRESH} UPDATE app.hot SET n = n + 1; {FRESH}", "DROP MATERIALIZED VIEW app.hot_sum", "catalog", ()),
        ("UPDATE app.loose SET id = 1; INSERT INTO app.loose VALUES (1, 1);", "DROP TABLE app.loose", "catalog", ()),
        (TOUCH, "ALTER TABLE app.hot ADD CHECK (n < 100000)", "scan", ()),
        (TOUCH, "ALTER TABLE app.hot ALTER sure TYPE bigint", "rewrite", None),
    ],
)  # fmt: skip
def test_second_statement(zoo: Zoo, before: str, sql: str, effect: str, built: tuple[str, ...] | None) -> None:
    """Its effect is its own."""
    trace = zoo.last(f"{before} {sql}")

    assert (trace.effect, None if built is None else trace.built) == (effect, built)


def test_renamed_for_a_while(zoo: Zoo) -> None:
    """A name that a table has neither before nor behind the file: the counters say which one it was."""
    trace = zoo.would_do(f"{RENAME} REINDEX TABLE app.cold; ALTER TABLE app.cold RENAME TO ice")

    assert (trace.statements[1].effect, trace.statements[1].built) == ("index", ALL)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("DROP MATERIALIZED VIEW app.hot_sum", "DROP MATERIALIZED VIEW"),
        ("CREATE UNIQUE INDEX x ON app.parent (id)", "CREATE UNIQUE INDEX"),
        ("CREATE /* c */ UNIQUE INDEX x ON app.parent (id)", "CREATE UNIQUE INDEX"),
        ("CREATE OR REPLACE VIEW app.v AS SELECT 1", "CREATE OR REPLACE VIEW"),
        ("CREATE TEMP TABLE x (a int)", "CREATE TEMP TABLE"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC", "ALTER DEFAULT PRIVILEGES"),
        ("REFRESH MATERIALIZED VIEW app.hot_sum", "REFRESH MATERIALIZED VIEW"),
        ("CREATE TEXT SEARCH CONFIGURATION app.c (COPY = simple)", "CREATE TEXT SEARCH CONFIGURATION"),
        ("CREATE TABLE app.x (a int)", "CREATE TABLE"),
        ("DROP INDEX app.hot_n_idx", "DROP INDEX"),
        ("SELECT 1", "SELECT"),
    ],
)
def test_kind_is_not_cut(zoo: Zoo, sql: str, kind: str) -> None:
    """It goes on until it names the kind of object."""
    assert zoo.last(sql).kind == kind


@pytest.mark.parametrize(
    ("sql", "rows", "effect"),
    [
        ("EXPLAIN ANALYZE DELETE FROM app.hot WHERE id <= 7", 7, "data"),
        ("EXPLAIN (ANALYZE, COSTS off) UPDATE app.hot SET n = n WHERE id <= 7", 7, "data"),
        ("EXPLAIN DELETE FROM app.hot", None, "catalog"),
        ("EXPLAIN ANALYZE SELECT 1 FROM app.parent", None, "scan"),
    ],
)
def test_explain_that_runs(zoo: Zoo, sql: str, rows: int | None, effect: str) -> None:
    """EXPLAIN ANALYZE changes rows, and its command tag does not count them."""
    trace = zoo.last(sql)
    assert (trace.rows, trace.effect) == (rows, effect)
