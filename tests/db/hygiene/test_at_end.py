"""What fails when all statements of a file have run: the text says when, and which statement brought it about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

TABLES = """CREATE TABLE public.p (id int CONSTRAINT p_pkey PRIMARY KEY);
CREATE TABLE public.c (id int CONSTRAINT c_fk REFERENCES public.p DEFERRABLE INITIALLY DEFERRED,
  n int CONSTRAINT c_n UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE public.other (id int);
INSERT INTO public.p VALUES (41112222);
INSERT INTO public.c VALUES (41112222, 1);
CREATE FUNCTION public.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'not that';
END $$;
CREATE CONSTRAINT TRIGGER watch AFTER INSERT ON public.other DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION public.guard();
"""
MINE = """CREATE CONSTRAINT TRIGGER mine AFTER INSERT ON public.p DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION public.guard();"""


def failure(
    database: ScratchDatabase, migrations: MigrationFolder, sql: str, *, trace: bool, tables: str = TABLES
) -> MigrationFailedError:
    """The error of a second file."""
    migrations.write("0001_t.sql", tables)
    migrations.write("0002_x.sql", sql)
    told: list[str] = []
    with pytest.raises(MigrationFailedError) as caught, database.connect() as conn:
        migrate(conn, migrations.files(), Settings(migrate_trace=trace), report=told.append)
    assert database.recorded() == ["0001_t.sql"]
    assert "41112222" not in str(caught.value) + "".join(told)
    return caught.value


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
def test_a_deferred_foreign_key(empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool) -> None:
    """The whole text: when it was checked, the constraint, and the statements that changed rows of its table."""
    error = failure(
        empty_database,
        migrations,
        "INSERT INTO public.other SELECT 1 WHERE false;\nINSERT INTO c VALUES (7, 7);\n"
        "DO $$ BEGIN\n  UPDATE public.c SET id = 8 WHERE id = 7; END $$;\n"
        "WITH gone AS (DELETE FROM public.c WHERE id = 0 RETURNING *) SELECT * FROM gone;",
        trace=trace,
    )
    assert str(error) == (
        'error[migration failed]: 0002_x.sql: insert or update on table "c" violates foreign key constraint "c_fk"\n'
        "  SQLSTATE         23503\n"
        "  constraint       c_fk\n"
        "  table            public.c\n"
        "  checked          at the end of the file, because the constraint is deferred\n"
        "  rows changed by  0002_x.sql:2:1 INSERT INTO\n"
        "                   0002_x.sql:4:3 UPDATE in DO\n"
        "                   0002_x.sql:5:1 WITH\n"
        "  or perhaps by    0002_x.sql:1:1 INSERT INTO (fires what other has)\n"
        "  detail           (withheld: `invoke migrate --show-row-data` prints it on a terminal)\n"
        "  recorded         1 of 2; 0002_x.sql left nothing behind\n"
        "  help: correct the file and run again"
    )


@pytest.mark.parametrize(
    ("sql", "facts"),
    [
        ("DELETE FROM public.p;", {"constraint": "c_fk", "rows changed by": "0002_x.sql:1:1 DELETE FROM"}),
        ("\n  UPDATE public.c SET n = 5;\nINSERT INTO c VALUES (NULL, 5);",
         {"constraint": "c_n", "rows changed by": "0002_x.sql:2:3 UPDATE\n0002_x.sql:3:1 INSERT INTO"}),
        ("INSERT INTO public.other VALUES (1);",
         {"constraint trigger": "watch", "rows changed by": "0002_x.sql:1:1 INSERT INTO",
          "inside": "function guard(), line 3"}),
        (MINE + "\nINSERT INTO public.p VALUES (1);",
         {"constraint trigger": "mine\nwatch", "rows changed by": "0002_x.sql:3:1 INSERT INTO"}),
        ("DO $$ BEGIN EXECUTE 'INSERT INTO public.c VALUES (9)'; END $$;",
         {"constraint": "c_fk", "rows changed by":
          "0002_x.sql:1:22 INSERT INTO in DO"}),
        ("DO $$ BEGIN EXECUTE 'INSERT INTO public.' || 'c VALUES (9)'; END $$;",
         {"constraint": "c_fk", "rows changed by":
          "not known: no statement of the file changes its rows by itself; a function, a trigger or EXECUTE may",
          "or perhaps by": "0002_x.sql:1:13 EXECUTE in DO (of what is put together)"}),
        # Made, prepared or explained, and not run.
        (("CREATE FUNCTION add_c(i int) RETURNS void BEGIN ATOMIC INSERT INTO public.c VALUES (i); END;\n"
         "PREPARE q AS UPDATE public.c SET id = 9;\n"
         "CREATE RULE r AS ON DELETE TO public.other DO ALSO DELETE FROM public.c;\n"
         "EXPLAIN DELETE FROM public.c;\nSELECT lower('X'), add_c(1);"),
         {"rows changed by":
          "not known: no statement of the file changes its rows by itself; a function, a trigger or EXECUTE may",
          "or perhaps by": "0002_x.sql:5:1 SELECT (calls add_c)"}),
        (("PREPARE q AS INSERT INTO public.c VALUES (9);\nEXECUTE q;\n"
         "EXPLAIN (ANALYZE) UPDATE public.c SET n = n;"),
         {"rows changed by": "0002_x.sql:3:1 EXPLAIN",
          "or perhaps by": "0002_x.sql:2:1 EXECUTE (of what was prepared)"}),
        (("CREATE RULE r AS ON UPDATE TO public.other DO ALSO INSERT INTO public.c VALUES (9);\n"
         "CREATE TABLE public.mine (id int);\nINSERT INTO public.mine VALUES (1);\n"
         "UPDATE public.other SET id = 1;\nINSERT INTO public.c SELECT NULL;\n"
         "DO $$ BEGIN EXECUTE 'CREATE FUNCTION g() RETURNS void BEGIN ATOMIC DELETE FROM public.c; END';\n"
         "  INSERT INTO public.c VALUES (8);\n END $$;"),
         {"rows changed by": "0002_x.sql:5:1 INSERT INTO\n0002_x.sql:7:3 INSERT INTO in DO",
          "or perhaps by": "0002_x.sql:4:1 UPDATE (fires what other has)"}),
        ("PREPARE x AS SELECT 1; INSERT INTO public.c VALUES (9);",
         {"constraint": "c_fk", "rows changed by": "0002_x.sql:1:24 INSERT INTO"}),
        ("\n".join(["INSERT INTO public.c VALUES (9);"] * 12),
         {"rows changed by": "\n".join([*(f"0002_x.sql:{n}:1 INSERT INTO" for n in range(1, 11)), "… and 2 more"])}),
    ],
)  # fmt: skip
def test_what_brought_it_about(
    empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str, facts: dict[str, str]
) -> None:
    """A key that was taken away, a unique constraint, a constraint trigger, and what no text tells."""
    error = failure(empty_database, migrations, sql, trace=False)
    found = dict(error.facts)
    assert error.where == "0002_x.sql"
    assert found["checked"] == "at the end of the file, because the constraint is deferred"
    assert {label: found.get(label) for label in facts} == facts


def test_what_fails_at_its_own_statement_is_not_called_deferred(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """SET CONSTRAINTS in the file: the error has its line, as before."""
    error = failure(
        empty_database, migrations, "INSERT INTO public.c VALUES (9);\nSET CONSTRAINTS ALL IMMEDIATE;", trace=False
    )
    assert error.where == "0002_x.sql:2:1"
    assert "checked" not in dict(error.facts)


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
def test_a_file_that_makes_itself_read_only(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """25006: what the runner writes fails, so the place is that of the statement that made it so."""
    error = failure(
        empty_database,
        migrations,
        "SET LOCAL lock_timeout = '1s';\n SET TRANSACTION READ ONLY;\nSELECT 1;",
        trace=trace,
    )
    assert str(error) == (
        "error[migration failed]: 0002_x.sql:2:2: the file makes its own transaction read only, and what it did cannot"
        " be recorded in it\n"
        "  source     SET TRANSACTION READ ONLY;\n"
        "             ^\n"
        "  SQLSTATE  25006\n"
        "  recorded  1 of 2; 0002_x.sql left nothing behind\n"
        "  help: a file and its record are one transaction: take that setting out of the file"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SET transaction_read_only = on;",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY;",
        "SELECT set_config('transaction_read_only', 'on', true);",
        "DO $$ BEGIN SET TRANSACTION_READ_ONLY TO true; END $$;",
    ],
)
def test_other_ways_to_say_it(empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str) -> None:
    """Each is found by its place; a statement of the file that then fails has its own, and says since when."""
    error = failure(empty_database, migrations, f"{sql}\nSELECT 1;", trace=False)
    assert (error.sqlstate, error.where) == ("25006", "0002_x.sql:1:1")
    error = failure(empty_database, migrations, f"{sql}\nSELECT 1;\nINSERT INTO public.other VALUES (1);", trace=False)
    assert (error.where, error.what) == ("0002_x.sql:3:1", "cannot execute INSERT in a read-only transaction")
    words = "SET TRANSACTION" if sql.startswith("SET TRANSACTION") else sql.split(" ", maxsplit=1)[0]
    assert dict(error.facts)["read only since"].startswith(f"0002_x.sql:1:1 {words}")


def test_read_write_is_not_read_only(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """SET TRANSACTION READ WRITE above a failure is not blamed for it."""
    error = failure(
        empty_database,
        migrations,
        "SET TRANSACTION READ WRITE;\nDO $$ BEGIN PERFORM set_config('transaction' || '_read_only', 'on', true);"
        " END $$;",
        trace=False,
    )
    assert (error.sqlstate, error.where) == ("25006", "0002_x.sql")
    assert error.help == "the transaction is read only: by what the file calls, or because the server is a standby"


UNSAID = "SELECT current_setting('transaction_read_only');"
BY_A_FUNCTION = """CREATE TABLE public.other (id int);
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT set_config('transaction_read_only', 'on', true) $$;"""


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL transaction_read_only = off;",
        "SET TRANSACTION READ ONLY; SET TRANSACTION READ WRITE;",
        "SELECT set_config('transaction_read_only', 'off', true);",
        "SELECT set_config('transaction_read_only', 'on', true) WHERE false;",
        "DO $$ BEGIN IF false THEN SET transaction_read_only = on; END IF; END $$;",
        "DO $$ BEGIN SET transaction_read_only = on; RAISE EXCEPTION 'no'; EXCEPTION WHEN others THEN NULL; END $$;",
        (
            "DO $$ BEGIN CREATE FUNCTION public.g() RETURNS void LANGUAGE plpgsql AS\n"
            "  'BEGIN SET transaction_read_only = on; END'; END $$;"
        ),
        "COMMENT ON TABLE public.other IS 'SET transaction_read_only';",
    ],
)
def test_what_did_not_make_it_read_only_is_not_accused(
    empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str
) -> None:
    """A function of an earlier file does: the text proves nothing, and nothing is said."""
    error = failure(
        empty_database,
        migrations,
        f"{sql}\n{UNSAID}\nSELECT public.f();\nINSERT INTO public.other VALUES (1);",
        trace=False,
        tables=BY_A_FUNCTION,
    )
    assert error.sqlstate == "25006"
    assert "read only since" not in dict(error.facts)
    assert error.help == "the transaction is read only: by what the file calls, or because the server is a standby"


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL transaction_read_only = 1;",
        "SET transaction_read_only TO 'YE';",
        "SET TRANSACTION READ WRITE, READ ONLY;",
        "SELECT 1, pg_catalog.set_config('Transaction_Read_Only', 'tr', true);",
        "DO $$ BEGIN PERFORM 1; EXECUTE 'SET LOCAL transaction_read_only = on'; END $$;",
    ],
)
def test_the_first_that_made_it_read_only_is_named(
    empty_database: ScratchDatabase, migrations: MigrationFolder, sql: str
) -> None:
    """Whoever says it again has changed nothing."""
    error = failure(
        empty_database,
        migrations,
        f"{sql}\n{UNSAID}\nSET transaction_read_only = on;\nINSERT INTO public.other VALUES (1);",
        trace=False,
        tables=BY_A_FUNCTION,
    )
    assert dict(error.facts)["read only since"].startswith("0002_x.sql:1:1 ")
