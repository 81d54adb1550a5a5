"""What was written for psql is refused with its line before anything runs, an earlier file included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.history import HistoryError
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

SETTINGS = Settings(migrate_trace=False)
COMMAND = "remove the line; a dump is cleaned with `grep -v '^\\\\'`"
VARIABLE = "write the value itself: a migration means the same everywhere"
COPY = "write INSERT … VALUES; rows do not stream through a migration"


@pytest.mark.parametrize(
    ("sql", "head", "source", "help_"),
    [
        ("SELECT 1;\n\\i other.sql\n", "psql]: 0002_x.sql:2:1: a psql command", "\\i other.sql\n^", COMMAND),
        ("\\restrict k3y\nSELECT 1;", "psql]: 0002_x.sql:1:1: a psql command", "\\restrict k3y\n^", COMMAND),
        (
            "SELECT 1 AS x \\gset\nSELECT 2;",
            "psql]: 0002_x.sql:1:15: a psql command",
            "SELECT 1 AS x \\gset\n              ^",
            COMMAND,
        ),
        (
            "\\copy public.t FROM 't.csv'\n",
            "psql]: 0002_x.sql:1:1: a psql command",
            "\\copy public.t FROM 't.csv'\n^",
            COMMAND,
        ),
        ("SELECT :x;", "psql]: 0002_x.sql:1:8: a psql variable", "SELECT :x;\n       ^", VARIABLE),
        ("SELECT\n  :'x';", "psql]: 0002_x.sql:2:3: a psql variable", "  :'x';\n  ^", VARIABLE),
        (
            'SELECT 1 FROM :"x";',
            "psql]: 0002_x.sql:1:15: a psql variable",
            'SELECT 1 FROM :"x";\n              ^',
            VARIABLE,
        ),
        ("SELECT :{?x};", "psql]: 0002_x.sql:1:8: a psql variable", "SELECT :{?x};\n       ^", VARIABLE),
        (
            "SELECT 1;\n  COPY public.t FROM STDIN;",
            "copy]: 0002_x.sql:2:3: COPY … FROM STDIN",
            "  COPY public.t FROM STDIN;\n  ^",
            COPY,
        ),
        (
            "COPY public.t TO STDOUT;",
            "copy]: 0002_x.sql:1:1: COPY … TO STDOUT",
            "COPY public.t TO STDOUT;\n^",
            COPY,
        ),
        (
            "COPY (SELECT 1) TO STDOUT;",
            "copy]: 0002_x.sql:1:1: COPY … TO STDOUT",
            "COPY (SELECT 1) TO STDOUT;\n^",
            COPY,
        ),
        (
            "COPY public.t FROM STDIN;\n1\t2\n\\.\nSELECT 1;",
            "copy]: 0002_x.sql:1:1: COPY … FROM STDIN",
            "COPY public.t FROM STDIN;\n^",
            COPY,
        ),
    ],
)
def test_refused_with_the_line(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, sql: str, head: str, source: str, help_: str
) -> None:
    """Exit 4, the whole text; the valid file before it was not applied, nor was a ledger made."""
    migrations.write("0001_good.sql", "CREATE TABLE public.t (a int, b int);")
    migrations.write("0002_x.sql", sql)
    with pytest.raises(HistoryError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    text = str(caught.value)
    assert text.startswith(f"error[{head}\n")
    assert dict(caught.value.facts)["source"] == source
    assert text.endswith(f"\n  help: {help_}")
    assert caught.value.exit_code == 4
    assert empty_database.value("SELECT to_regclass('public.t')") is None
    assert empty_database.value("SELECT to_regclass('public.schema_migrations')") is None


def test_what_only_looks_like_psql_is_sql(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    r"""Slices, casts, :x in a string, a comment or a body, \ in a string: all of them run."""
    migrations.write(
        "0001_ok.sql",
        "-- :x and \\i\n"
        "SELECT (ARRAY[1, 2, 3])[1:2], '1'::int, ':x', E'a\\\\b', '\\restrict', \"a:b\" FROM (SELECT 1 AS \"a:b\") q;\n"
        "SELECT (ARRAY[1, 2])[q.a:q.b] FROM (SELECT 1 AS a, 2 AS b) q;\n"
        "DO $$ DECLARE v int; BEGIN v := 1; /* \\gset */ END $$;",
    )
    assert len(empty_database.apply(migrations.files(), SETTINGS).files) == 1


@pytest.mark.parametrize(
    ("sql", "head"),
    [
        ("COMMIT;", "transaction control]: 0002_x.sql:2:1: COMMIT in a migration"),
        ("ROLLBACK;", "transaction control]: 0002_x.sql:2:1: ROLLBACK in a migration"),
        ("SAVEPOINT s;", "transaction control]: 0002_x.sql:2:1: SAVEPOINT in a migration"),
        ("DO $$ BEGIN\n  COMMIT; END $$;", "transaction control]: 0002_x.sql:3:3: COMMIT in DO in a migration"),
    ],
)
def test_a_commit_in_a_file_is_refused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str, head: str
) -> None:
    """It would end the runner's transaction, and what was made before a later error would stay."""
    migrations.write("0001_good.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_x.sql", f"CREATE TABLE public.u (a int);\n{sql}\nSELECT 1/0;")
    with pytest.raises(HistoryError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    assert str(caught.value).startswith(f"error[{head}")
    assert empty_database.value("SELECT to_regclass('public.t')") is None


def test_a_procedure_that_commits_is_stopped_by_the_server(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """Called inside the runner's transaction it cannot end it: 2D000, and nothing is left."""
    from scripts.errors.migration import MigrationFailedError

    migrations.write(
        "0001_p.sql",
        "CREATE TABLE public.t (a int);\n"
        "CREATE PROCEDURE public.p() LANGUAGE plpgsql AS $$\nBEGIN\n  COMMIT;\nEND $$;\nCALL public.p();",
    )
    with pytest.raises(MigrationFailedError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    assert (caught.value.sqlstate, caught.value.where) == ("2D000", "0001_p.sql:6:1")
    assert dict(caught.value.facts)["inside"] == "0001_p.sql:4 (function p(), line 3)"
    assert empty_database.value("SELECT to_regclass('public.t')") is None


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE INDEX CONCURRENTLY i ON public.t (a);", "CREATE INDEX CONCURRENTLY"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON public.t (a);", "CREATE UNIQUE INDEX CONCURRENTLY"),
        ("DROP INDEX CONCURRENTLY public.i;", "DROP INDEX CONCURRENTLY"),
        ("REINDEX INDEX CONCURRENTLY public.i;", "REINDEX INDEX CONCURRENTLY"),
        ("VACUUM public.t;", "VACUUM"),
    ],
)
def test_what_cannot_run_in_a_transaction_is_known_by_its_tree(
    empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str, words: str
) -> None:
    """Refused without the marker, each form of it; one message of several statements would be a transaction (25001)."""
    migrations.write("0001_good.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_x.sql", sql)
    with pytest.raises(HistoryError) as caught:
        empty_database.apply(migrations.files(), SETTINGS)
    head = f"error[no_tx]: 0002_x.sql:1:1: {words} cannot run inside a transaction, and the file has no marker\n"
    assert str(caught.value).startswith(head)
    assert empty_database.value("SELECT to_regclass('public.t')") is None


def test_a_comment_flips_nothing(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """The words in a comment, a string or a name do not make a file one that runs outside a transaction."""
    migrations.write(
        "0001_a.sql",
        "-- not CREATE INDEX CONCURRENTLY, and not symphony:no_tx either\n"
        "CREATE TABLE public.t (a int); /* DROP INDEX CONCURRENTLY; COMMIT; */\n"
        "COMMENT ON TABLE public.t IS 'REINDEX CONCURRENTLY; VACUUM';\n"
        'CREATE INDEX "create index concurrently" ON public.t (a);',
    )
    done = empty_database.apply(migrations.files(), SETTINGS)
    assert [file.no_tx for file in done.files] == [False]
