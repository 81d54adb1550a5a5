"""Tracing changes nothing of what a file does: the same answers, the same catalog, the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.migrations.batch import execute_batch
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.trace.quiet import Quiet

if TYPE_CHECKING:
    from make_zoo import Zoo

STATEMENTS = (
    "ALTER TABLE app.hot ADD COLUMN IF NOT EXISTS extra int DEFAULT 3 CHECK (extra > 0)",
    "ALTER TABLE app.hot ALTER sure TYPE bigint",
    "CREATE INDEX IF NOT EXISTS hot_sure_idx ON app.hot (sure)",
    "UPDATE app.hot SET note = note || '!' WHERE id <= 3 RETURNING id, note",
    "INSERT INTO app.loose VALUES (1, 2) RETURNING *",
    "DELETE FROM app.child WHERE id < 4",
    "SELECT count(*), sum(id) FROM app.loose",
    "CREATE TABLE IF NOT EXISTS app.fresh (id int PRIMARY KEY, body text)",
    "COMMENT ON TABLE app.hot IS 'warm'",
    "CREATE OR REPLACE FUNCTION app.constant() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 9'",
    "DO $$ BEGIN RAISE NOTICE 'x'; INSERT INTO app.loose VALUES (7, 7); END $$",
    "SET LOCAL search_path = app, public",
    "SET LOCAL client_min_messages = error",
    "SHOW search_path",
    "SELECT app.constant()",
    "TRUNCATE app.child",
    "SELECT current_user, current_setting('lock_timeout'), now() = transaction_timestamp()",
)
# Statements that lock nothing from before, behind what makes them so.
QUIET = (
    "CREATE TABLE app.n (id int PRIMARY KEY, body text UNIQUE DEFAULT 'x' CHECK (body <> ''))",
    "CREATE TABLE app.n (id int); CREATE UNIQUE INDEX ON app.n (id)",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n ALTER id SET DEFAULT 3, ALTER id SET NOT NULL",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n ADD CONSTRAINT positive CHECK (id > 0)",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n ADD CONSTRAINT n_key UNIQUE (id)",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n OWNER TO CURRENT_USER",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n SET (fillfactor = 50)",
    "CREATE TABLE app.n (id int); COMMENT ON TABLE app.n IS 'new'",
    "CREATE TABLE app.n (id int); COMMENT ON COLUMN app.n.id IS 'new'",
    "CREATE TABLE app.n (id int); GRANT SELECT ON app.n TO PUBLIC",
    "CREATE TABLE app.n (id int); CREATE TRIGGER a BEFORE UPDATE ON app.n FOR EACH ROW EXECUTE FUNCTION app.touch()",
    (
        "CREATE TABLE app.n (id int);"
        " CREATE TRIGGER a BEFORE UPDATE ON app.n FOR EACH ROW EXECUTE FUNCTION app.touch();"
        " ALTER TABLE app.n ENABLE ALWAYS TRIGGER a"
    ),
    "COMMENT ON FUNCTION app.touch() IS 'x'",
    "COMMENT ON SCHEMA app IS 'x'",
    "COMMENT ON TYPE app.mood IS 'x'",
    "GRANT EXECUTE ON FUNCTION app.constant() TO PUBLIC",
    "REVOKE ALL ON FUNCTION app.constant() FROM PUBLIC",
    "GRANT USAGE ON SCHEMA app TO PUBLIC",
    "GRANT USAGE ON TYPE app.mood TO PUBLIC",
    "CREATE SCHEMA other",
    "CREATE TYPE app.colour AS ENUM ('red')",
    (
        "CREATE OR REPLACE FUNCTION app.p(app.hot) RETURNS app.hot.n%TYPE LANGUAGE plpgsql"
        " AS $$ DECLARE r app.hot%ROWTYPE; BEGIN SELECT * INTO r FROM app.hot; RETURN r.n; END $$"
    ),
)
# Their neighbours, of which one has to ask.
LOUD = (
    "CREATE TABLE app.n (id int REFERENCES app.parent)",
    "CREATE TABLE app.n (id int, FOREIGN KEY (id) REFERENCES app.parent)",
    "CREATE TABLE app.n (LIKE app.hot)",
    "CREATE TABLE app.n () INHERITS (app.hot)",
    "CREATE TABLE app.n PARTITION OF app.whole DEFAULT",
    "CREATE TABLE IF NOT EXISTS app.hot (id int)",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n ADD FOREIGN KEY (id) REFERENCES app.parent",
    "CREATE TABLE app.n (id int); ALTER TABLE app.n INHERIT app.hot",
    "CREATE TABLE app.n (id int); GRANT SELECT ON app.n, app.hot TO PUBLIC",
    "CREATE TABLE app.n (id int); CREATE INDEX ON app.n (app.constant())",
    "CREATE TABLE n (id int); COMMENT ON TABLE n IS 'a name that the search path decides about'",
    "COMMENT ON TABLE app.hot IS 'x'",
    "COMMENT ON COLUMN app.hot.id IS 'x'",
    "COMMENT ON CONSTRAINT hot_pkey ON app.hot IS 'x'",
    "COMMENT ON INDEX app.hot_pkey IS 'x'",
    "GRANT SELECT ON ALL TABLES IN SCHEMA app TO PUBLIC",
    "CREATE INDEX ON app.hot (n)",
    "CREATE OR REPLACE FUNCTION app.s() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.hot'",
    "CREATE SCHEMA other CREATE VIEW v AS SELECT id FROM app.hot",
)


def outcome(zoo: Zoo, sql: str, *, probes: bool) -> tuple[list[Any], str, tuple[Any, ...]]:
    """Every statement's answer, the catalog's fingerprint and some rows; rolled back."""
    file = MigrationFile.of_text("0001_test.sql", sql)
    woven = zoo.tracer.weave(file, probes=probes)
    zoo.tracer.begin(file)
    try:
        results = execute_batch(zoo.conn, b"BEGIN;" + woven.text + b"\n;SET LOCAL search_path = DEFAULT")[1:]
        own = [results[index] for index in range(woven.results) if woven.statement_of(index) is not None]
        answers = [
            (
                result.command_status,
                [[result.get_value(r, c) for c in range(result.nfields)] for r in range(result.ntuples)],
            )
            for result in own
        ]
        rows = zoo.conn.execute(
            "SELECT (SELECT count(*) FROM app.loose), (SELECT count(*) FROM app.child),"
            " (SELECT pg_catalog.string_agg(note, ',' ORDER BY id) FROM app.hot)",
            prepare=False,
        ).fetchone()
        return answers, fingerprint(read_catalog(zoo.conn)), tuple(rows or ())
    finally:
        execute_batch(zoo.conn, b"ROLLBACK")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8))
def test_woven_or_not_the_server_does_the_same(zoo: Zoo, statements: list[str]) -> None:
    """Any list of statements gives the same answers, catalog and rows with the questions and without."""
    sql = ";\n".join(statements)

    assert outcome(zoo, sql, probes=True) == outcome(zoo, sql, probes=False)


def test_another_outcome_is_seen(zoo: Zoo) -> None:
    """Control: the comparison is not blind."""
    first = outcome(zoo, "INSERT INTO app.loose VALUES (1, 1)", probes=True)

    assert first != outcome(zoo, "INSERT INTO app.loose VALUES (1, 1), (2, 2)", probes=True)
    assert first[1] != outcome(zoo, "CREATE TABLE app.other (id int)", probes=True)[1]


@pytest.mark.parametrize("sql", QUIET)
def test_spared_questions_lose_nothing(zoo: Zoo, sql: str) -> None:
    """A statement whose locks are not asked for has none on relations that existed before: the server is asked."""
    statements = MigrationFile.of_text("0001_test.sql", sql).statements
    quiet = Quiet(statements, event_triggers=False)
    assert [quiet.is_quiet(statement) for statement in statements] == [True] * len(statements)

    zoo.tracer._event_triggers = True  # every statement is asked for its locks
    trace = zoo.would_do(sql)

    assert [(statement.locks, statement.effect) for statement in trace.statements] == [((), "catalog")] * len(
        statements
    )


@pytest.mark.parametrize("sql", QUIET)
def test_a_quiet_file_ends_as_if_it_were_asked(zoo: Zoo, sql: str) -> None:
    """A file that is not asked for locks at its end leaves the same relations as one that is, and no strong lock."""
    ends = []
    for asks_always in (False, True):
        zoo.tracer._event_triggers = asks_always
        zoo.would_do(sql)
        read = zoo.tracer._read
        assert read is not None
        ends.append((sorted((row.schema, row.name, row.kind) for row in read.found.values()), read.changing))

    assert ends[0] == ends[1]
    assert not ends[0][1]


# Asked for their locks, and not listened to: the table that each makes is empty, and nobody's yet.
MUTE = (
    "CREATE TABLE app.n (id int PRIMARY KEY REFERENCES app.parent)",
    "CREATE TABLE app.n (id int, body text UNIQUE, FOREIGN KEY (id) REFERENCES app.parent ON DELETE CASCADE)",
    "CREATE TABLE app.n (id int PRIMARY KEY, up int REFERENCES app.n, other int REFERENCES app.parent)",
    "CREATE TABLE app.n (id int NOT NULL CHECK (id > 0) DEFAULT 1, FOREIGN KEY (id) REFERENCES app.parent)",
)
HEARD = (
    "CREATE TABLE app.n (LIKE app.hot INCLUDING ALL)",
    "CREATE TABLE app.n (id int) INHERITS (app.hot)",
    "CREATE TABLE app.n PARTITION OF app.whole DEFAULT",
    "CREATE TABLE app.n PARTITION OF app.whole FOR VALUES FROM (9000) TO (9999)",
    "CREATE TABLE app.n (id int) PARTITION BY LIST (id)",
    "CREATE TABLE IF NOT EXISTS app.n (id int REFERENCES app.parent)",
    "CREATE TABLE app.n AS SELECT * FROM app.hot",
    "ALTER TABLE app.child ADD FOREIGN KEY (id) REFERENCES app.parent",
    "CREATE INDEX ON app.hot (n)",
)


@pytest.mark.parametrize("sql", MUTE)
def test_messages_that_are_not_heard_say_nothing(zoo: Zoo, sql: str) -> None:
    """The trace is the same as with all of them: the server is asked both ways."""
    statements = MigrationFile.of_text("0001_test.sql", sql).statements
    assert all(Quiet(statements, event_triggers=False).tells_nothing(statement) for statement in statements)
    found = []
    for hears in (False, True):
        zoo.tracer._event_triggers = hears
        trace = zoo.would_do(sql)
        found.append([replace(statement, duration_us=0) for statement in trace.statements])

    assert found[0] == found[1]
    assert any(statement.locks for statement in found[0])


@pytest.mark.parametrize("sql", HEARD)
def test_whoever_may_speak_of_others_is_heard(sql: str) -> None:
    """What resembles a table by itself, and may read or build something of another."""
    (statement,) = statements = MigrationFile.of_text("0001_test.sql", sql).statements

    assert not Quiet(statements, event_triggers=False).tells_nothing(statement)


def test_a_database_with_event_triggers_is_heard() -> None:
    """A trigger may do anything to any table while the statement runs."""
    (statement,) = statements = MigrationFile.of_text("0001_test.sql", MUTE[0]).statements

    assert not Quiet(statements, event_triggers=True).tells_nothing(statement)


@pytest.mark.parametrize("sql", LOUD)
def test_neighbours_are_asked(sql: str) -> None:
    """What resembles a statement that can be spared, and may lock more, is asked for its locks."""
    statements = MigrationFile.of_text("0001_test.sql", sql).statements
    quiet = Quiet(statements, event_triggers=False)

    assert not [quiet.is_quiet(statement) for statement in statements][-1]
