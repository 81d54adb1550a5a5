"""The table of lock modes, statement by statement: what PostgreSQL 18 takes on relations that existed before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_zoo import strongest

if TYPE_CHECKING:
    from make_zoo import Zoo

HOT, PARENT, CHILD = "app.hot", "app.parent", "app.child"
AX, X, SRX, S = "ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"
SUX, RX, RS, AS = "SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE", "ROW SHARE", "ACCESS SHARE"

# Statement, relation, mode.
LOCKS = [
    ("ALTER TABLE app.hot ADD COLUMN extra int", HOT, AX),
    ("ALTER TABLE app.hot DROP COLUMN note", HOT, AX),
    ("ALTER TABLE app.hot ALTER sure TYPE bigint", HOT, AX),
    ("ALTER TABLE app.hot ALTER n SET NOT NULL", HOT, AX),
    ("ALTER TABLE app.hot ALTER n DROP NOT NULL", HOT, AX),
    ("ALTER TABLE app.hot ALTER n SET DEFAULT 1", HOT, AX),
    ("ALTER TABLE app.hot ALTER note SET STORAGE external", HOT, AX),
    ("ALTER TABLE app.hot ADD CHECK (n < 100000)", HOT, AX),
    ("ALTER TABLE app.hot ADD CHECK (n < 100000) NOT VALID", HOT, AX),
    ("ALTER TABLE app.hot ADD CHECK (n < 100000) NOT ENFORCED", HOT, AX),
    ("ALTER TABLE app.hot ADD NOT NULL n", HOT, AX),
    ("ALTER TABLE app.hot ADD CONSTRAINT n_there NOT NULL n NOT VALID", HOT, AX),
    ("ALTER TABLE app.hot ADD UNIQUE (n)", HOT, AX),
    ("ALTER TABLE app.hot ADD UNIQUE USING INDEX hot_short_uidx", HOT, AX),
    ("ALTER TABLE app.hot ADD EXCLUDE USING btree (n WITH =)", HOT, AX),
    ("ALTER TABLE app.hot DROP CONSTRAINT hot_n_check", HOT, AX),
    ("ALTER TABLE app.hot RENAME COLUMN n TO m", HOT, AX),
    ("ALTER TABLE app.hot RENAME TO cold", HOT, AX),
    ("ALTER TABLE app.hot ENABLE ROW LEVEL SECURITY", HOT, AX),
    ("ALTER TABLE app.hot FORCE ROW LEVEL SECURITY", HOT, AX),
    ("CREATE POLICY all_rows ON app.hot USING (true)", HOT, AX),
    ("ALTER TABLE app.hot OWNER TO CURRENT_USER", HOT, AX),
    ("ALTER TABLE app.hot SET SCHEMA public", HOT, AX),
    ("ALTER TABLE app.child SET UNLOGGED", CHILD, AX),
    ("ALTER TABLE app.hot REPLICA IDENTITY FULL", HOT, AX),
    ("CREATE RULE none AS ON DELETE TO app.hot DO INSTEAD NOTHING", HOT, AX),
    ("DROP INDEX app.hot_n_idx", HOT, AX),
    ("DROP INDEX app.hot_n_idx", "app.hot_n_idx", AX),
    ("DROP TRIGGER hot_touch ON app.hot", HOT, AX),
    ("TRUNCATE app.hot", HOT, AX),
    ("CLUSTER app.hot USING hot_pkey", HOT, AX),
    ("LOCK TABLE app.hot", HOT, AX),
    ("CREATE OR REPLACE VIEW app.hot_view AS SELECT id, n FROM app.hot WHERE n > 1", "app.hot_view", AX),
    ("REFRESH MATERIALIZED VIEW app.hot_sum", "app.hot_sum", AX),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY app.hot_sum", "app.hot_sum", X),
    ("ALTER TABLE app.hot ADD FOREIGN KEY (n) REFERENCES app.parent NOT VALID", HOT, SRX),
    ("ALTER TABLE app.hot ADD FOREIGN KEY (n) REFERENCES app.parent NOT VALID", PARENT, SRX),
    ("ALTER TABLE app.child ADD FOREIGN KEY (parent_id) REFERENCES app.parent", CHILD, SRX),
    ("ALTER TABLE app.child ADD FOREIGN KEY (parent_id) REFERENCES app.parent", PARENT, SRX),
    ("CREATE TRIGGER again AFTER INSERT ON app.hot FOR EACH ROW EXECUTE FUNCTION app.touch()", HOT, SRX),
    ("CREATE OR REPLACE TRIGGER hot_touch BEFORE INSERT ON app.hot EXECUTE FUNCTION app.touch()", HOT, SRX),
    ("ALTER TABLE app.hot DISABLE TRIGGER hot_touch", HOT, SRX),
    ("CREATE INDEX ON app.hot (sure)", HOT, S),
    ("REINDEX INDEX app.hot_n_idx", HOT, S),
    ("REINDEX INDEX app.hot_n_idx", "app.hot_n_idx", AX),
    ("REINDEX TABLE app.hot", HOT, S),
    ("ALTER DOMAIN app.amount ADD CHECK (value > 0)", HOT, S),
    ("ALTER TABLE app.hot VALIDATE CONSTRAINT hot_n_check", HOT, SUX),
    ("ALTER TABLE app.hot VALIDATE CONSTRAINT hot_parent_fkey", HOT, SUX),
    ("ALTER TABLE app.hot VALIDATE CONSTRAINT hot_parent_fkey", PARENT, RS),
    ("ALTER INDEX app.hot_n_idx RENAME TO hot_m_idx", "app.hot_n_idx", SUX),
    ("ALTER TABLE app.hot SET (fillfactor = 80)", HOT, SUX),
    ("ALTER TABLE app.hot ALTER n SET STATISTICS 50", HOT, SUX),
    ("CREATE STATISTICS app.some ON n, sure FROM app.hot", HOT, SUX),
    ("COMMENT ON TABLE app.hot IS 'hot'", HOT, SUX),
    ("ANALYZE app.hot", HOT, SUX),
    ("CREATE PUBLICATION told FOR TABLE app.hot", HOT, SUX),
    ("ALTER TABLE app.whole ATTACH PARTITION app.whole_2 FOR VALUES FROM (1000) TO (2000)", "app.whole", SUX),
    ("GRANT SELECT ON app.hot TO PUBLIC", HOT, AS),
    ("REVOKE SELECT ON app.hot FROM PUBLIC", HOT, AS),
    ("INSERT INTO app.loose VALUES (1, 1)", "app.loose", RX),
    ("UPDATE app.hot SET n = n WHERE id = 1", HOT, RX),
    ("SELECT 1 FROM app.hot WHERE id = 1 FOR UPDATE", HOT, RS),
    # Second tables.
    ("CREATE TABLE app.new (id int, hot_id int REFERENCES app.hot)", HOT, SRX),
    ("ALTER TABLE app.child ADD COLUMN hot_id int REFERENCES app.hot", CHILD, AX),
    ("ALTER TABLE app.child ADD COLUMN hot_id int REFERENCES app.hot", HOT, SRX),
    ("ALTER TABLE app.child DROP CONSTRAINT child_parent_fkey", PARENT, AX),
    ("DROP TABLE app.child", PARENT, AX),
    ("DROP TABLE app.child", CHILD, AX),
    ("CREATE TABLE app.whole_9 PARTITION OF app.whole FOR VALUES FROM (9000) TO (9999)", "app.whole", AX),
    ("ALTER TABLE app.whole ATTACH PARTITION app.whole_2 FOR VALUES FROM (1000) TO (2000)", "app.whole_2", AX),
    ("ALTER TABLE app.whole DETACH PARTITION app.whole_1", "app.whole", AX),
    ("ALTER TABLE app.whole DETACH PARTITION app.whole_1", "app.whole_1", AX),
    ("ALTER TABLE app.loose ALTER CONSTRAINT loose_parent_fkey ENFORCED", "app.loose", AX),
    ("ALTER TABLE app.loose ALTER CONSTRAINT loose_parent_fkey ENFORCED", PARENT, SRX),
    ("CREATE TABLE app.copy (LIKE app.hot INCLUDING ALL)", HOT, AS),
    ("CREATE VIEW app.other_view AS SELECT id FROM app.hot", HOT, AS),
]

NO_TABLE_LOCK = [
    "CREATE OR REPLACE FUNCTION app.constant() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 8'",
    "CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END'",
    "ALTER TYPE app.mood ADD VALUE 'so so'",
    "ALTER DOMAIN app.amount ADD CHECK (value > 0) NOT VALID",
    "CREATE TABLE app.new (id int PRIMARY KEY, body text UNIQUE)",
    "CREATE SCHEMA other",
    "SET LOCAL lock_timeout = 1000",
]


@pytest.mark.parametrize(("statement", "relation", "mode"), LOCKS)
def test_mode_on_an_existing_relation(zoo: Zoo, statement: str, relation: str, mode: str) -> None:
    """The trace names the strongest mode that PostgreSQL takes on the relation."""
    assert mode == strongest(zoo.last(statement)).get(relation)


@pytest.mark.parametrize("statement", NO_TABLE_LOCK)
def test_no_lock_on_any_existing_relation(zoo: Zoo, statement: str) -> None:
    """A statement that locks only what is new, or nothing, has no lock in its trace."""
    assert strongest(zoo.last(statement)) == {}


def test_owner_change_locks_every_index(zoo: Zoo) -> None:
    """OWNER TO takes ACCESS EXCLUSIVE on the indexes too, and each is told to belong to its table."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE trace_other_owner")
        owner = zoo.conn.info.user
        conn.execute(f'GRANT trace_other_owner TO "{owner}"'.encode())
        conn.execute("GRANT CREATE ON SCHEMA app TO trace_other_owner")
        try:
            trace = zoo.last("ALTER TABLE app.hot OWNER TO trace_other_owner")
        finally:
            conn.execute("REVOKE ALL ON SCHEMA app FROM trace_other_owner")
            conn.execute("DROP ROLE trace_other_owner")

    indexes = {lock.relation: (lock.on, lock.mode) for lock in trace.locks if lock.relkind == "i"}
    assert {"app.hot_pkey", "app.hot_n_idx", "app.hot_short_uidx"} <= indexes.keys()
    assert indexes["app.hot_n_idx"] == (HOT, "AccessExclusiveLock")


@pytest.mark.parametrize("weaker", [X, SRX, S, SUX, RX, RS, AS])
def test_a_wrong_row_of_the_table_is_red(zoo: Zoo, weaker: str) -> None:
    """Control: a planted wrong mode is not what the trace says."""
    assert strongest(zoo.last("ALTER TABLE app.hot ADD COLUMN extra int"))[HOT] != weaker


def test_each_statement_has_its_own_locks(zoo: Zoo) -> None:
    """Locks are kept until the end of the transaction, but the trace gives each to the statement that took it."""
    first, second, third = zoo.would_do(
        "COMMENT ON TABLE app.hot IS 'x'; CREATE INDEX ON app.hot (sure); ALTER TABLE app.hot ADD COLUMN extra int;"
    ).statements

    assert [strongest(trace)[HOT] for trace in (first, second, third)] == [SUX, S, AX]
    assert [sum(lock.relation == HOT for lock in trace.locks) for trace in (first, second, third)] == [1, 1, 1]


def test_locks_inside_do_blocks_and_functions(zoo: Zoo) -> None:
    """What a program does is seen, though no parser can tell it."""
    trace = zoo.last("DO $$ BEGIN EXECUTE 'ALTER TABLE ' || 'app.hot' || ' ADD COLUMN extra int'; END $$")

    assert strongest(trace) == {HOT: AX}


def test_locks_on_tables_of_this_file_are_left_out(zoo: Zoo) -> None:
    """Nobody waits for a table that nobody else can see yet."""
    trace = zoo.would_do("CREATE TABLE app.fresh (id int); ALTER TABLE app.fresh ADD COLUMN n int DEFAULT random();")

    assert [strongest(statement) for statement in trace.statements] == [{}, {}]
    assert [statement.effect for statement in trace.statements] == ["catalog", "catalog"]


def test_a_table_of_the_file_before_is_known(zoo: Zoo) -> None:
    """After a file is committed its tables exist, under the names it gave them, and the dropped ones do not."""
    zoo.does("CREATE TABLE app.yesterday (id int); CREATE TABLE app.gone (id int);")
    zoo.does("ALTER TABLE app.yesterday RENAME TO today; DROP TABLE app.gone;")

    assert strongest(zoo.last("ALTER TABLE app.today ADD COLUMN n int")) == {"app.today": AX}
    zoo.does("DROP TABLE app.today")


def test_a_renamed_schema_is_known(zoo: Zoo) -> None:
    """A schema's new name is its tables' new name, though no row of theirs changed."""
    zoo.does("CREATE SCHEMA old_name; CREATE TABLE old_name.t (id int);")
    zoo.does("ALTER SCHEMA old_name RENAME TO new_name;")

    assert strongest(zoo.last("DROP TABLE new_name.t")) == {"new_name.t": AX}
    zoo.does("DROP SCHEMA new_name CASCADE")


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ('ALTER TABLE "od d"."T[1]" RENAME TO "it""s, ☃"', '"od d"."it""s, ☃"'),
        ('ALTER TABLE "od d"."T[1]" SET SCHEMA app', 'app."T[1]"'),
        ("""DO $$ BEGIN EXECUTE 'ALTER TABLE "od d"."T[1]" SET  schema app'; END $$""", 'app."T[1]"'),
        ('ALTER TABLE "od d"."T[1]" ALTER id TYPE bigint', '"od d"."T[1]"'),
    ],
)
def test_any_name_is_known(zoo: Zoo, change: str, now: str) -> None:
    """Names that have to be quoted, and another schema, are known to the file behind the one that gave them."""
    zoo.does('CREATE SCHEMA "od d"; CREATE TABLE "od d"."T[1]" (id int); CREATE INDEX i ON "od d"."T[1]" (id)')
    try:
        zoo.does(change)
        before = set(zoo.tracer._known.relations.items())
        trace = zoo.last(f"ALTER TABLE {now} ADD COLUMN n int")
        zoo.tracer.refresh()
        assert before == set(zoo.tracer._known.relations.items())
    finally:
        zoo.does('DROP TABLE IF EXISTS app."T[1]"; DROP SCHEMA "od d" CASCADE')

    assert list(strongest(trace)) == [now.replace('"od d"', "od d").replace('."', ".").replace('""', '"').rstrip('"')]
    assert trace.effect == "catalog"


def test_a_table_that_came_late_is_known(zoo: Zoo) -> None:
    """Made elsewhere before the newest one, and seen only afterwards: from its first lock on it is known."""
    import psycopg

    with psycopg.connect(zoo.admin_dsn) as other:
        other.execute(f'SET ROLE "{zoo.conn.info.user}"'.encode())
        other.execute("CREATE TABLE app.late (id int)")
        zoo.does("CREATE TABLE app.early (id int)")
        other.commit()
    try:
        zoo.does("ALTER TABLE app.late ADD COLUMN n int")
        trace = zoo.last("ALTER TABLE app.late ADD COLUMN m int")
    finally:
        zoo.does("DROP TABLE app.late, app.early")

    assert strongest(trace) == {"app.late": AX}


def test_the_name_is_the_one_before_the_file(zoo: Zoo) -> None:
    """A renamed and a dropped table are called what traffic called them."""
    trace = zoo.would_do("ALTER TABLE app.hot RENAME TO cold; DROP TABLE app.loose;")

    assert HOT in strongest(trace.statements[0])
    assert strongest(trace.statements[1])["app.loose"] == AX


def test_exclusive_lock_held_while_others_run(zoo: Zoo) -> None:
    """A file says how long it kept everybody away from a table, and how many statements that covered."""
    trace = zoo.would_do("ALTER TABLE app.hot ADD COLUMN extra int; SELECT pg_sleep(0.05); SELECT 1;")

    (held,) = trace.held
    assert (held.relation, held.taken_by, held.statements) == (HOT, 0, 2)
    assert 50_000 <= held.exclusive_held_us < 5_000_000
    assert trace.statements[1].duration_us is not None
    assert trace.statements[1].duration_us >= 50_000
    assert sum(statement.duration_us or 0 for statement in trace.statements) <= held.exclusive_held_us
