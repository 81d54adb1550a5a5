"""A database with every kind of relation in it, and a way to see what a file would do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.batch import execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.model import mode_words, strength

if TYPE_CHECKING:
    import psycopg

    from scripts.migrations.trace.model import FileTrace, StatementTrace
    from scripts.migrations.trace.tracer import Tracer

ZOO = """
CREATE SCHEMA app;
CREATE DOMAIN app.amount AS int;
CREATE TYPE app.mood AS ENUM ('well', 'ill');
CREATE TABLE app.parent (id int CONSTRAINT parent_pkey PRIMARY KEY, name text);
CREATE TABLE app.hot (
    id int CONSTRAINT hot_pkey PRIMARY KEY, n int, sure int, short varchar(10), price numeric(10,2), at timestamp,
    paid app.amount, parent_id int, note text,
    CONSTRAINT hot_sure_check CHECK (sure IS NOT NULL));
ALTER TABLE app.hot ADD CONSTRAINT hot_n_check CHECK (n > 0) NOT VALID;
CREATE INDEX hot_n_idx ON app.hot (n);
CREATE UNIQUE INDEX hot_short_uidx ON app.hot (short);
CREATE TABLE app.child (
    id int CONSTRAINT child_pkey PRIMARY KEY,
    parent_id int CONSTRAINT child_parent_fkey REFERENCES app.parent);
ALTER TABLE app.hot ADD CONSTRAINT hot_parent_fkey FOREIGN KEY (parent_id) REFERENCES app.parent NOT VALID;
CREATE TABLE app.loose (id int, parent_id int);
ALTER TABLE app.loose ADD CONSTRAINT loose_parent_fkey FOREIGN KEY (parent_id) REFERENCES app.parent NOT ENFORCED;
CREATE VIEW app.hot_view AS SELECT id, n FROM app.hot;
CREATE MATERIALIZED VIEW app.hot_sum AS SELECT id, n FROM app.hot;
CREATE UNIQUE INDEX hot_sum_id_uidx ON app.hot_sum (id);
CREATE TABLE app.whole (id int, at date) PARTITION BY RANGE (id);
CREATE TABLE app.whole_1 PARTITION OF app.whole FOR VALUES FROM (0) TO (1000);
CREATE TABLE app.whole_2 (id int, at date);
CREATE TABLE app.whole_3 (id int NOT NULL, at date, CONSTRAINT bound CHECK (id >= 2000 AND id < 3000));
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION app.constant() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 7';
CREATE TRIGGER hot_touch BEFORE UPDATE ON app.hot FOR EACH ROW EXECUTE FUNCTION app.touch();
INSERT INTO app.parent SELECT g, 'name ' || g FROM generate_series(1, 50) g;
INSERT INTO app.hot SELECT g, g, g, 's' || g, g, '2020-01-01', g, g % 50 + 1, 'note ' || g
  FROM generate_series(1, 200) g;
INSERT INTO app.child SELECT g, g % 50 + 1 FROM generate_series(1, 100) g;
INSERT INTO app.whole SELECT g, '2020-01-01' FROM generate_series(1, 100) g;
INSERT INTO app.whole_2 SELECT g, '2020-01-01' FROM generate_series(1000, 1100) g;
INSERT INTO app.whole_3 SELECT g, '2020-01-01' FROM generate_series(2000, 2100) g;
REFRESH MATERIALIZED VIEW app.hot_sum;
"""


@dataclass
class Zoo:
    """A database, its owner's connection, on which a tracer listens, and a superuser's DSN."""

    conn: psycopg.Connection[Any]
    tracer: Tracer
    admin_dsn: str

    def would_do(self, sql: str) -> FileTrace:
        """What a file does; it is rolled back."""
        file = MigrationFile.of_text("0001_test.sql", sql)
        woven = self.tracer.weave(file)
        assert woven.results > len(file.statements)
        into = self.tracer.begin(file)
        execute_batch(self.conn, b"BEGIN")
        try:
            results = execute_batch(self.conn, woven.text + b"\n;RESET ALL; SELECT 1", into=into)
            return self.tracer.read(results, woven)
        finally:
            execute_batch(self.conn, b"ROLLBACK")

    def does(self, sql: str) -> FileTrace:
        """What a file did; it is committed."""
        file = MigrationFile.of_text("0001_test.sql", sql)
        woven = self.tracer.weave(file)
        into = self.tracer.begin(file, ahead=1)
        results = execute_batch(self.conn, b"BEGIN;" + woven.text + b"\n;RESET ALL", into=into)[1:]
        trace = self.tracer.read(results, woven)
        execute_batch(self.conn, b"COMMIT")
        self.tracer.committed()
        return trace

    def last(self, sql: str) -> StatementTrace:
        """What the last statement of a file does; it is rolled back."""
        return self.would_do(sql).statements[-1]


def strongest(trace: StatementTrace) -> dict[str, str]:
    """The strongest mode a statement took on every relation, in the manual's words."""
    found: dict[str, str] = {}
    for lock in trace.locks:
        if lock.relation not in found or strength(lock.mode) > strength(found[lock.relation]):
            found[lock.relation] = lock.mode
    return {relation: mode_words(mode) for relation, mode in found.items()}
