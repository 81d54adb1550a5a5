"""Files without a transaction: decided from the catalog, completed after any interruption, recorded when proved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from scripts.errors.migration import (
    ConnectionLostError,
    DuplicateKeysError,
    IndexConflictError,
    InvalidIndexError,
    MigrationFailedError,
)
from scripts.migrations.apply import migrate
from scripts.migrations.no_tx.indexes.state import find_index
from scripts.migrations.no_tx.repeat import repeat
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase

BUILD = "-- symphony:no_tx\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a ON public.t (a) WHERE a IS NOT NULL;\n"
TABLE = (
    "CREATE TABLE public.t (id int, a text);\nINSERT INTO public.t SELECT g, 'k' || g FROM generate_series(1, 50) g;\n"
)


@pytest.fixture
def with_table(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """0001 made and filled public.t; 0002 is the unique concurrent build, not yet run."""
    migrations.write("0001_t.sql", TABLE)
    empty_database.apply(migrations.files())
    migrations.write("0002_i.sql", BUILD)
    return empty_database


def state(database: ScratchDatabase, index: str = "t_a") -> str | None:
    """valid, invalid, or None when there is no such index."""
    value = database.value(
        "SELECT CASE WHEN indisvalid AND indisready THEN 'valid' ELSE 'invalid' END FROM pg_index"
        " WHERE indexrelid = to_regclass(%s)",
        f"public.{index}",
    )
    return None if value is None else str(value)


def run(database: ScratchDatabase, migrations: MigrationFolder, **settings: Any) -> list[str]:
    """Migrate and return the progress lines."""
    told: list[str] = []
    migrate(database.connect(), migrations.files(), Settings(**settings), report=told.append)
    return told


def test_a_build_that_is_killed_is_rebuilt_and_then_recorded(
    with_table: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """A writer is open, the building backend is killed: not recorded; the next run rebuilds and records (D-10)."""
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    call = background(lambda: with_table.apply(migrations.files()))
    pid = call.until(lambda: with_table.value("SELECT pid FROM pg_stat_progress_create_index"))
    with_table.value("SELECT pg_terminate_backend(%s)", pid)
    with pytest.raises(ConnectionLostError, match=r"0002_i\.sql"):
        call.join()
    writer.commit()
    assert state(with_table) == "invalid"
    assert with_table.recorded() == ["0001_t.sql"]

    told = run(with_table, migrations)
    assert told[0] == ("0002_i.sql: public.t_a was left invalid by an interrupted build: dropped and built again")
    assert state(with_table) == "valid"
    assert with_table.recorded() == ["0001_t.sql", "0002_i.sql"]
    with with_table.connect() as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("INSERT INTO public.t VALUES (101, 'open')")


def test_duplicates_are_counted_and_never_shown(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """23505: the remains go, groups are counted, the query is handed over; the keys stay inside (D-10)."""
    with with_table.connect() as conn:
        conn.execute("INSERT INTO public.t VALUES (1, 'secret-1'), (2, 'secret-1'), (3, 'secret-2'), (4, 'secret-2')")
    with pytest.raises(DuplicateKeysError) as caught:
        with_table.apply(migrations.files())
    query = (
        'SELECT a, count(*) FROM "public"."t" WHERE ((a IS NOT NULL)) AND (a) IS NOT NULL '
        "GROUP BY a HAVING count(*) > 1;"
    )
    assert str(caught.value) == (
        "error[duplicates]: 0002_i.sql:2:1: public.t_a cannot be unique: public.t holds duplicate keys\n"
        "  SQLSTATE    23505\n"
        "  duplicates  2 keys occur more than once\n"
        f"  list them   {query}\n"
        "  help: resolve the duplicates and run again; the unfinished index is dropped, nothing is recorded"
    )
    assert "secret" not in repr(caught.value)
    assert state(with_table) is None
    with with_table.connect() as conn:
        assert len(conn.execute(query.encode()).fetchall()) == 2
        conn.execute("DELETE FROM public.t WHERE id IN (2, 4) AND a LIKE 'secret%'")
    run(with_table, migrations)
    assert state(with_table) == "valid"


def test_one_duplicate_of_an_expression(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The query works for expressions and several keys, NULLS NOT DISTINCT included."""
    migrations.write(
        "0002_i.sql",
        "-- symphony:no_tx\nCREATE UNIQUE INDEX CONCURRENTLY t_a ON public.t (lower(a), (id % 2)) NULLS NOT DISTINCT;",
    )
    with with_table.connect() as conn:
        conn.execute("INSERT INTO public.t VALUES (1, NULL), (3, NULL)")
    with pytest.raises(DuplicateKeysError, match="one key occurs more than once") as caught:
        with_table.apply(migrations.files())
    with with_table.connect() as conn:
        assert len(conn.execute(dict(caught.value.facts)["list them"].encode()).fetchall()) == 1


def test_a_valid_index_of_this_definition_is_adopted(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Built by hand, or by a run that died before the ledger row: recorded, not built again."""
    with with_table.connect() as conn:
        conn.execute("CREATE UNIQUE INDEX t_a ON t USING btree (a) WHERE (t.a IS NOT NULL)")
    before = with_table.value("SELECT 'public.t_a'::regclass::oid")
    told = run(with_table, migrations)
    assert told[0] == "0002_i.sql: public.t_a is already there, valid and of this definition: adopted"
    assert with_table.value("SELECT 'public.t_a'::regclass::oid") == before
    assert with_table.recorded() == ["0001_t.sql", "0002_i.sql"]


@pytest.mark.parametrize(
    ("squatter", "found"),
    [
        ("CREATE INDEX t_a ON public.t (a) WHERE a IS NOT NULL", "CREATE INDEX t_a ON public.t USING btree (a)"),
        ("CREATE UNIQUE INDEX t_a ON public.t (a)", "CREATE UNIQUE INDEX t_a ON public.t USING btree (a)"),
        ("CREATE UNIQUE INDEX t_a ON public.t (id) WHERE a IS NOT NULL", "USING btree (id) WHERE (a IS NOT NULL)"),
        ("CREATE UNIQUE INDEX t_a ON public.t (a DESC) WHERE a IS NOT NULL", "(a DESC) WHERE"),
        ('CREATE UNIQUE INDEX t_a ON public.t (a COLLATE "C") WHERE a IS NOT NULL', 'COLLATE "C"'),
        ("CREATE UNIQUE INDEX t_a ON public.t (a) INCLUDE (id) WHERE a IS NOT NULL", "INCLUDE (id)"),
        ("CREATE TABLE public.u (a text); CREATE UNIQUE INDEX t_a ON public.u (a) WHERE a IS NOT NULL", "ON public.u"),
    ],
)
def test_another_definition_stops_the_run(
    with_table: ScratchDatabase, migrations: MigrationFolder, squatter: str, found: str
) -> None:
    """The name is no proof: both definitions are shown, in the server's own words, and nothing is touched (D-10)."""
    with with_table.connect() as conn:
        conn.execute(squatter.encode())
    with pytest.raises(IndexConflictError) as caught:
        with_table.apply(migrations.files())
    facts = dict(caught.value.facts)
    assert str(caught.value).startswith(
        "error[index conflict]: 0002_i.sql:2:1: public.t_a is there with another definition\n"
    )
    assert facts["wanted"] == "CREATE UNIQUE INDEX t_a ON public.t USING btree (a) WHERE (a IS NOT NULL)"
    assert found in facts["found"]
    assert caught.value.exit_code == 5
    assert state(with_table) == "valid"
    assert with_table.recorded() == ["0001_t.sql"]
    assert with_table.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'twin%'") == 0


@pytest.mark.parametrize(
    "squatter",
    [
        "CREATE UNIQUE INDEX t_a ON public.t (a)",
        "CREATE INDEX t_a ON public.t (a) WHERE a IS NOT NULL",
        "CREATE INDEX t_a ON public.t USING hash (a)",
        "CREATE TABLE public.u (a text); CREATE INDEX t_a ON public.u (a)",
    ],
)
def test_another_definition_than_the_plainest_stops_the_run(
    with_table: ScratchDatabase, migrations: MigrationFolder, squatter: str
) -> None:
    """An index that is neither unique nor partial is asked for in the fewest words: what is there is no such one."""
    migrations.write("0002_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON public.t (a);")
    with with_table.connect() as conn:
        conn.execute(squatter.encode())
    with pytest.raises(IndexConflictError) as caught:
        with_table.apply(migrations.files())
    assert dict(caught.value.facts)["wanted"] == "CREATE INDEX t_a ON public.t USING btree (a)"
    assert with_table.recorded() == ["0001_t.sql"]


def test_a_view_of_that_name_stops_the_run(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """IF NOT EXISTS would be satisfied by any relation of the name (D-10)."""
    with with_table.connect() as conn:
        conn.execute("CREATE VIEW public.t_a AS SELECT 1 AS one")
    with pytest.raises(IndexConflictError, match=r"(?s)public\.t_a is the name of something else.*found   a view"):
        with_table.apply(migrations.files())


def test_a_build_by_another_session_is_waited_for(
    with_table: ScratchDatabase,
    migrations: MigrationFolder,
    background: Callable[..., Any],
    migrating: Callable[..., Any],
) -> None:
    """An orphaned backend still builds the index: wait, then adopt what it made."""
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    orphan = background(
        lambda: with_table.connect().execute(
            b"CREATE UNIQUE INDEX CONCURRENTLY t_a ON public.t (a) WHERE a IS NOT NULL"
        )
    )
    orphan.until(lambda: with_table.value("SELECT pid FROM pg_stat_progress_create_index"))
    with pytest.raises(IndexConflictError, match=r"(?s)is being built by another session.*builder  pid \d+"):
        run(with_table, migrations, index_timeout_ms=200)
    call = migrating(with_table, migrations)
    call.until(lambda: call.told)
    writer.commit()
    orphan.join()
    call.join()
    assert "is being built by pid" in call.told[0]
    assert "adopted" in call.told[1]
    assert state(with_table) == "valid"


def test_several_builds_in_one_file_are_completed(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The second of three fails: the first stays, nothing is recorded; the next run adopts it and does the rest."""
    text = (
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_1 ON public.t (a);\n"
        "CREATE INDEX CONCURRENTLY t_2 ON public.t ({column});\nCREATE INDEX CONCURRENTLY t_3 ON public.t (id, a);\n"
    )
    migrations.write("0002_i.sql", text.format(column="nix"))
    with pytest.raises(MigrationFailedError) as caught:
        with_table.apply(migrations.files())
    assert caught.value.where.startswith("0002_i.sql:3:")
    assert dict(caught.value.facts)["recorded"] == ("1 of 2; 0002_i.sql is not recorded, its first 1 statements stay")
    migrations.write("0002_i.sql", text.format(column="id"))
    told = run(with_table, migrations)
    assert [line for line in told if "adopted" in line] == [
        "0002_i.sql: public.t_1 is already there, valid and of this definition: adopted"
    ]
    assert [state(with_table, f"t_{n}") for n in (1, 2, 3)] == ["valid"] * 3


def test_an_index_dropped_again_is_not_recorded(
    with_table: ScratchDatabase, migrations: MigrationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog is asked once more before the ledger row is written (the proof, not the command's success) (D-10)."""
    conn = with_table.connect()
    conn.execute("CREATE FUNCTION public.never(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'")

    def sabotage(work: Any, statement: Any) -> None:
        repeat(work, statement)
        conn.execute("DROP INDEX public.t_a")

    monkeypatch.setattr("scripts.migrations.no_tx.apply.repeat", sabotage)
    with pytest.raises(InvalidIndexError, match=r"(?s)t_a is not usable.*found     nothing"):
        with_table.apply(migrations.files())
    assert with_table.recorded() == ["0001_t.sql"]


def test_drop_reindex_and_vacuum(with_table: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Other statements that need no transaction run singly, and a second run after a failure is safe."""
    with with_table.connect() as conn:
        conn.execute("CREATE INDEX old ON public.t (id)")
        conn.execute("CREATE INDEX keep ON public.t (id)")
    migrations.write(
        "0002_i.sql",
        "-- symphony:no_tx\nDROP INDEX CONCURRENTLY public.old;\nREINDEX INDEX CONCURRENTLY public.keep;\n"
        "VACUUM public.t;\nVACUUM public.nix;",
    )
    with pytest.raises(MigrationFailedError, match="nix"):
        with_table.apply(migrations.files())
    migrations.write("0002_i.sql", (migrations.folder / "0002_i.sql").read_text().replace("VACUUM public.nix;", ""))
    told = run(with_table, migrations)
    assert told[:2] == [
        "0002_i.sql: statement 1 was done by an earlier run",
        "0002_i.sql: statement 2 was done by an earlier run",
    ]
    assert state(with_table, "keep") == "valid"
    assert with_table.recorded()[-1] == "0002_i.sql"


def test_leftovers_of_an_interrupted_reindex_are_dropped(
    with_table: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """A failed REINDEX CONCURRENTLY leaves keep_ccnew behind, which a later success would not remove."""
    with with_table.connect() as conn:
        conn.execute("CREATE INDEX keep ON public.t (id)")
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    with with_table.connect() as conn:
        conn.execute("SET lock_timeout = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("REINDEX INDEX CONCURRENTLY public.keep")
    writer.commit()
    assert state(with_table, "keep_ccnew") == "invalid"
    migrations.write("0002_i.sql", "-- symphony:no_tx\nREINDEX INDEX CONCURRENTLY public.keep;")
    told = run(with_table, migrations)
    assert told[0] == "0002_i.sql: dropped public.keep_ccnew, left by an interrupted REINDEX CONCURRENTLY"
    assert state(with_table, "keep_ccnew") is None


@pytest.mark.parametrize(
    ("other", "reindexed"),
    [
        ("CREATE INDEX keep_ccnew ON public.t (a)", "TABLE CONCURRENTLY public.t"),
        ("CREATE UNIQUE INDEX keep_ccnew ON public.t (id)", "INDEX CONCURRENTLY public.keep"),
        ("CREATE INDEX keep_ccnew ON public.t (id) WHERE id > 0", "INDEX CONCURRENTLY public.keep"),
        ("CREATE INDEX keep_ccnew ON public.t (id DESC)", "INDEX CONCURRENTLY public.keep"),
        ("CREATE INDEX keep_ccnew ON public.t USING hash (id)", "INDEX CONCURRENTLY public.keep"),
        ("CREATE INDEX keep_ccnew ON public.t ((id + 1))", "INDEX CONCURRENTLY public.keep"),
        ("CREATE INDEX by_hand_ccnew ON public.t (id)", "TABLE CONCURRENTLY public.t"),
        ("CREATE INDEX by_hand ON public.t (a); CREATE INDEX by_hand_ccnew ON public.t (a)",
         "INDEX CONCURRENTLY public.keep"),
    ],
    ids=["columns", "unique", "predicate", "order", "method", "expression", "no index of that name", "another's twin"],
)  # fmt: skip
def test_an_invalid_index_that_only_sounds_like_a_leftover_stays(
    with_table: ScratchDatabase, migrations: MigrationFolder, other: str, reindexed: str
) -> None:
    """A name that ends in _ccnew is no proof: a rest of REINDEX has its index's name and definition, or it is not ours.

    It is told at the end, with every other index that is not valid.
    """
    with with_table.connect() as conn:
        conn.execute(f"CREATE INDEX keep ON public.t (id); {other}".encode())
    with with_table.connect_admin() as conn:
        conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE '%_ccnew'")
    migrations.write("0002_i.sql", f"-- symphony:no_tx\nREINDEX {reindexed};")
    name = other.rpartition(" INDEX ")[2].partition(" ")[0]
    with pytest.raises(InvalidIndexError, match=f"{name} on public.t"):
        with_table.apply(migrations.files())
    assert state(with_table, name) == "invalid"
    assert with_table.recorded()[-1] == "0002_i.sql"


def test_a_leftover_of_a_long_name_is_known_by_what_is_left_of_it(
    with_table: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The server cuts the name to make room for its suffix: 63 bytes are all there are."""
    long = "k" * 60 + "ab"
    with with_table.connect() as conn:
        conn.execute(f"CREATE INDEX {long} ON public.t (id)".encode())
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    with with_table.connect() as conn:
        conn.execute("SET lock_timeout = 50")
        for _ in range(2):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                conn.execute(f"REINDEX INDEX CONCURRENTLY public.{long}".encode())
    writer.commit()
    assert with_table.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 2
    migrations.write("0002_i.sql", f"-- symphony:no_tx\nREINDEX INDEX CONCURRENTLY public.{long};")
    with_table.apply(migrations.files())
    assert with_table.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_leftovers_in_toast_are_told_to_whoever_may_drop_them(
    with_table: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """REINDEX TABLE rebuilds TOAST's index, too; its rest is a superuser's to drop, and no run is green until it is."""
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    with with_table.connect() as conn:
        conn.execute("SET lock_timeout = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("REINDEX TABLE CONCURRENTLY public.t")
    writer.commit()
    left = with_table.value("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    assert left.startswith("pg_toast.pg_toast_")
    migrations.write("0002_i.sql", "-- symphony:no_tx\nREINDEX TABLE CONCURRENTLY public.t;")
    with pytest.raises(InvalidIndexError) as caught:
        with_table.apply(migrations.files())
    assert left in str(caught.value)
    assert "one in pg_toast as a superuser, without building it again" in str(caught.value)
    assert with_table.recorded() == ["0001_t.sql", "0002_i.sql"]
    with pytest.raises(InvalidIndexError):
        with_table.apply(migrations.files())
    with with_table.connect_admin() as conn:
        conn.execute(f"DROP INDEX CONCURRENTLY {left}".encode())
    assert with_table.apply(migrations.files()).files == ()


def test_leftovers_below_a_partitioned_table_are_dropped(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """REINDEX TABLE CONCURRENTLY of the parent rebuilds the partitions' indexes, and leaves its rest there."""
    migrations.write(
        "0001_p.sql",
        "CREATE TABLE public.p (a int) PARTITION BY LIST (a);\nCREATE INDEX p_a ON public.p (a);\n"
        "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES IN (1);",
    )
    empty_database.apply(migrations.files())
    reader = empty_database.connect()
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM public.p")
    with empty_database.connect() as conn:
        conn.execute("SET lock_timeout = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("REINDEX TABLE CONCURRENTLY public.p")
    reader.execute("COMMIT")
    assert state(empty_database, "p1_a_idx_ccnew") == "invalid"
    migrations.write("0002_r.sql", "-- symphony:no_tx\nREINDEX TABLE CONCURRENTLY public.p;")
    told = run(empty_database, migrations)
    assert told[0].startswith("0002_r.sql: dropped public.p1_a_idx_ccnew")
    assert empty_database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_a_build_of_a_role_we_may_not_look_into_is_waited_for(
    with_table: ScratchDatabase,
    migrations: MigrationFolder,
    background: Callable[..., Any],
    migrating: Callable[..., Any],
) -> None:
    """The progress view hides which index a superuser builds, and not that he builds: waited for, and adopted."""
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    admin = with_table.connect_admin()
    build = "CREATE UNIQUE INDEX CONCURRENTLY t_a ON public.t (a) WHERE a IS NOT NULL"
    theirs = background(lambda: admin.execute(build))
    theirs.until(lambda: with_table.value("SELECT pid FROM pg_stat_progress_create_index"))
    ours = migrating(with_table, migrations)
    ours.until_told(
        f"public.t_a is not valid, and pid {admin.info.backend_pid} builds an index, perhaps this one, and holds its"
        " table: waiting for it"
    )
    writer.commit()
    theirs.join()
    ours.join()
    assert any("adopted" in line for line in ours.told)
    assert state(with_table) == "valid"


def test_a_build_by_somebody_else_is_no_invalid_index(
    with_table: ScratchDatabase, migrations: MigrationFolder, background: Callable[..., Any]
) -> None:
    """The sweep at the end does not call for the drop of an index that a role we may not look into is building."""
    with_table.apply(migrations.files())
    writer = with_table.connect(autocommit=False)
    writer.execute("INSERT INTO public.t VALUES (100, 'open')")
    admin = with_table.connect_admin()
    theirs = background(lambda: admin.execute("CREATE INDEX CONCURRENTLY theirs ON public.t (id)"))
    theirs.until(lambda: with_table.value("SELECT pid FROM pg_stat_progress_create_index"))
    assert with_table.apply(migrations.files()).files == ()
    writer.commit()
    theirs.join()


@pytest.mark.parametrize(
    "constraint",
    ["UNIQUE (a) DEFERRABLE", "UNIQUE (a)", "EXCLUDE USING btree (a WITH =)"],
)
def test_the_index_of_a_constraint_is_not_adopted(
    with_table: ScratchDatabase, migrations: MigrationFolder, constraint: str
) -> None:
    """Deferrable, exclusion, or simply dropped with its constraint: another thing, even where the text is the same."""
    with with_table.connect() as conn:
        conn.execute(f"ALTER TABLE public.t ADD CONSTRAINT t_a {constraint}".encode())
    unique = "UNIQUE" if "UNIQUE" in constraint else ""
    migrations.write("0002_i.sql", f"-- symphony:no_tx\nCREATE {unique} INDEX CONCURRENTLY t_a ON public.t (a);")
    with pytest.raises(IndexConflictError, match="of a constraint"):
        with_table.apply(migrations.files())


def test_an_enum_value_and_a_partition(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """ADD VALUE and DETACH CONCURRENTLY whose work is already done are recognised by the catalog."""
    migrations.write(
        "0001_t.sql",
        "CREATE TYPE public.mood AS ENUM ('ok'); CREATE TABLE public.p (a int) PARTITION BY LIST (a);\n"
        "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES IN (1);",
    )
    empty_database.apply(migrations.files())
    migrations.write(
        "0002_n.sql",
        "-- symphony:no_tx\nALTER TYPE public.mood ADD VALUE 'bad';\n"
        "ALTER TABLE public.p DETACH PARTITION public.p1 CONCURRENTLY;\nVACUUM public.nix;",
    )
    with pytest.raises(MigrationFailedError):
        empty_database.apply(migrations.files())
    migrations.write("0002_n.sql", (migrations.folder / "0002_n.sql").read_text().replace("nix", "p1"))
    told = run(empty_database, migrations)
    assert told[:2] == [
        "0002_n.sql: statement 1 was done by an earlier run",
        "0002_n.sql: statement 2 was done by an earlier run",
    ]


def test_names_that_need_quotes(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Upper case, spaces, quotes, a name with USING in it: adopted as surely as a plain one."""
    migrations.write("0001_t.sql", 'CREATE SCHEMA "S x"; CREATE TABLE "S x"."T USING x" ("a""b" int);')
    empty_database.apply(migrations.files())
    migrations.write(
        "0002_i.sql", '-- symphony:no_tx\nCREATE INDEX CONCURRENTLY "I USING y" ON "S x"."T USING x" ("a""b");'
    )
    with empty_database.connect() as conn:
        conn.execute('CREATE INDEX "I USING y" ON "S x"."T USING x" ("a""b")')
        found = find_index(conn, "S x", "I USING y")
    assert found is not None
    assert found.shape == 'btree ("a""b")'
    assert "adopted" in run(empty_database, migrations)[0]


def test_a_comment_that_mentions_concurrently_changes_nothing(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The statement decides, not the text: the file is transactional, and its failure leaves nothing (D-18)."""
    migrations.write(
        "0001_t.sql",
        "-- CREATE INDEX CONCURRENTLY comes later; see symphony:no_tx\n"
        "CREATE TABLE public.t (a text DEFAULT 'CREATE INDEX CONCURRENTLY');\nSELECT 1/0;",
    )
    with pytest.raises(MigrationFailedError, match="left nothing behind"):
        empty_database.apply(migrations.files())
    assert empty_database.value("SELECT to_regclass('public.t')") is None
