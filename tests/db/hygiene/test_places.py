"""An error points at the statement, and at the line inside a DO block or function: read off a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

FAILING = "CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1/0;\nEND $$;\n"


def failure(
    database: ScratchDatabase, migrations: MigrationFolder, sql: str, *, name: str = "0001_a.sql", trace: bool = False
) -> MigrationFailedError:
    """What the run of one file ends with."""
    migrations.write(name, sql)
    with pytest.raises(MigrationFailedError) as caught:
        database.apply(migrations.files(), Settings(migrate_trace=trace, statement_timeout_ms=5000))
    return caught.value


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize(
    ("sql", "where", "statement", "inside"),
    [
        pytest.param("SELECT 1;\n\nALTER TABLE public.nix ADD a int;", "0001_a.sql:3:1", None, None, id="no position"),
        pytest.param(
            "-- é\n  SELECT 'ü',\n    nosuch;", "0001_a.sql:3:5", "0001_a.sql:2:3 SELECT", None, id="the very token"
        ),
        pytest.param(
            "SELECT 1;\nDO $tag$\nBEGIN\n  x := 1;\nEND $tag$;",
            "0001_a.sql:4:3",
            "0001_a.sql:2:1 DO",
            None,
            id="grammar of a DO block",
        ),
        pytest.param(
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$\nSELECT 1;\nSELECT nosuch; $$;",
            "0001_a.sql:3:8",
            "0001_a.sql:1:1 CREATE FUNCTION",
            None,
            id="grammar of a SQL function",
        ),
        pytest.param(
            "DO $tag$\nBEGIN\n  SELECT 1 FROM nix;\nEND $tag$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:3:17 (line 3 of the DO block)\n  SELECT 1 FROM nix;\n                ^",
            id="statement of a DO block",
        ),
        pytest.param(
            "DO $$\nBEGIN\n  PERFORM nosuch FROM pg_class;\nEND $$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:3:11 (line 3 of the DO block)\n  PERFORM nosuch FROM pg_class;\n          ^",
            id="PERFORM",
        ),
        pytest.param(
            "DO $$\nDECLARE v int;\nBEGIN\n  SELECT 1 INTO v\n  FROM nix;\nEND $$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:5:8 (line 4 of the DO block)\n  FROM nix;\n       ^",
            id="SELECT INTO",
        ),
        pytest.param(
            "DO LANGUAGE plpgsql E'\\nBEGIN\n  PERFORM 1/0;\nEND';",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:2 (line 3 of the DO block)",
            id="escapes in the body",
        ),
        pytest.param(
            "DO 'BEGIN\n  PERFORM ''x''::int;\nEND';",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:2:11 (line 2 of the DO block)\n  PERFORM ''x''::int;\n          ^",
            id="doubled quotes",
        ),
        pytest.param(
            "DO $$\nDECLARE\n  v int := 1/0;\nBEGIN\nEND $$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:3 (line 3 of the DO block)",
            id="declaration",
        ),
        pytest.param(
            FAILING + "\nSELECT public.f();",
            "0001_a.sql:6:1",
            None,
            "0001_a.sql:3 (function f(), line 3)",
            id="function of the same file",
        ),
        pytest.param(
            FAILING
            + "CREATE FUNCTION public.g(a int, OUT b int) LANGUAGE plpgsql AS $$\nBEGIN\n  b := public.f();\nEND $$;\n"
            "DO $$\nBEGIN\n  PERFORM 1;\n  PERFORM public.g(1);\nEND $$;",
            "0001_a.sql:9:1",
            None,
            "0001_a.sql:3 (function f(), line 3)\n0001_a.sql:7 (function g(integer), line 3)\n"
            "0001_a.sql:12 (line 4 of the DO block)",
            id="the whole chain",
        ),
        pytest.param(
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$\n  SELECT 1;\n  SELECT 1/count(*)::int FROM"
            " pg_class WHERE false;\n$$;\nSELECT public.f();",
            "0001_a.sql:5:1",
            None,
            "0001_a.sql:3 (function f, statement 2)",
            id="SQL function",
        ),
        pytest.param(
            FAILING + "CREATE FUNCTION public.s() RETURNS int LANGUAGE sql\nBEGIN ATOMIC\n  SELECT 1;\n"
            "  SELECT public.f() FROM pg_class;\nEND;\nSELECT public.s();",
            "0001_a.sql:10:1",
            None,
            "0001_a.sql:3 (function f(), line 3)\n0001_a.sql:8 (function s, statement 2)",
            id="BEGIN ATOMIC",
        ),
        pytest.param(
            "SET check_function_bodies = off;\n"
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$\nSELECT 1;\nSELECT nosuch $$;\n"
            "SELECT public.f();",
            "0001_a.sql:5:1",
            None,
            "0001_a.sql:4:8 (function f, statement 2)\nSELECT nosuch $$;\n       ^",
            id="SQL function that was not checked",
        ),
        pytest.param(
            "CREATE TABLE public.t (a int);\n"
            "CREATE FUNCTION public.trg() RETURNS trigger LANGUAGE plpgsql AS E'\nBEGIN\n"
            "  RAISE EXCEPTION ''no'';\nEND';\n"
            "CREATE TRIGGER t BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.trg();\n"
            "INSERT INTO public.t VALUES (1);",
            "0001_a.sql:7:1",
            None,
            "0001_a.sql:4 (function trg(), line 3)",
            id="trigger",
        ),
        pytest.param(
            "DO $$\nBEGIN\n  EXECUTE $q$SELECT\n    nosuch$q$;\nEND $$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:4:5 (line 3 of the DO block)\n    nosuch$q$;\n    ^",
            id="constant EXECUTE",
        ),
        pytest.param(
            "DO $$\nBEGIN\n  EXECUTE 'SELECT ' || 'nosuch';\nEND $$;",
            "0001_a.sql:1:1",
            None,
            "0001_a.sql:3 (line 3 of the DO block), at character 8 of what EXECUTE ran",
            id="EXECUTE of what is made at run time",
        ),
        pytest.param(
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\n"
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n RETURN 1/0; END $$;\n"
            "SELECT public.f(1);",
            "0001_a.sql:5:1",
            None,
            "0001_a.sql:4 (function f(integer), line 3)",
            id="overloads",
        ),
        pytest.param(
            "CREATE FUNCTION public.f(a text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\n"
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n RETURN 1/0; END $$;\n"
            "SELECT public.f(1);",
            "0001_a.sql:5:1",
            None,
            "function f(integer), line 3",
            id="overloads that cannot be told apart",
        ),
    ],
)
def test_the_place(
    empty_database: ScratchDatabase,
    migrations: MigrationFolder,
    sql: str,
    *,
    where: str,
    statement: str | None,
    inside: str | None,
    trace: bool,
) -> None:
    """file:line:column, the statement's own place when that is another, and the chain of inner lines."""
    error = failure(empty_database, migrations, sql, trace=trace)
    facts = dict(error.facts)
    assert error.where == where
    assert facts.get("statement") == statement
    assert facts.get("inside") == inside


def test_a_function_from_before_is_named(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Its text is not in the file that failed, so its own line is all there is."""
    migrations.write("0001_f.sql", FAILING)
    empty_database.apply(migrations.files(), Settings(migrate_trace=False))
    error = failure(empty_database, migrations, "SELECT 1;\nSELECT public.f();", name="0002_a.sql")
    assert (error.where, dict(error.facts)["inside"]) == ("0002_a.sql:2:1", "function f(), line 3")


def test_a_statement_outside_a_transaction(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Sent alone, it is placed in the file all the same."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files(), Settings(migrate_trace=False))
    sql = (
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY a ON public.t (a);\n"
        "CREATE INDEX CONCURRENTLY b\n  ON public.t (b);"
    )
    error = failure(empty_database, migrations, sql, name="0002_i.sql")
    assert error.sqlstate == "42703"
    assert error.where == "0002_i.sql:3:1"


def test_a_deep_recursion_is_cut(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Ten levels are shown, the others counted."""
    sql = (
        "CREATE FUNCTION public.f(n int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
        "  RETURN CASE WHEN n = 0 THEN 1/n ELSE public.f(n - 1) END;\nEND $$;\nSELECT public.f(20);"
    )
    lines = dict(failure(empty_database, migrations, sql).facts)["inside"].split("\n")
    assert (len(lines), lines[-1]) == (11, "… and 11 more")


def test_names_of_what_is_concerned(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Constraint, table, column and type, as the server names them."""
    found = dict(
        failure(
            empty_database,
            migrations,
            "CREATE DOMAIN public.small AS int CONSTRAINT small_check CHECK (VALUE < 9);\n"
            "CREATE TABLE public.t (a int NOT NULL, b public.small);\nINSERT INTO public.t VALUES (1, 10);",
        ).facts
    )
    assert (found["constraint"], found["type"]) == ("small_check", "small")
    found = dict(
        failure(
            empty_database, migrations, "CREATE TABLE public.t (a int NOT NULL);\nINSERT INTO public.t VALUES (NULL);"
        ).facts
    )
    assert (found["table"], found["column"], found["SQLSTATE"]) == ("public.t", "a", "23502")


def test_another_language_does_no_harm(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """With lc_messages that the server cannot speak, or can, the place of the statement stays."""
    with empty_database.connect_admin() as admin:
        known = [row[0] for row in admin.execute("SELECT collname FROM pg_collation WHERE collname ~ '^de_DE'")]
        admin.execute(f"ALTER DATABASE {empty_database.name} SET lc_messages = '{known[0] if known else 'C'}'".encode())
    error = failure(empty_database, migrations, "DO $$ BEGIN\n PERFORM 1/0; END $$;")
    assert (error.where, error.sqlstate) == ("0001_a.sql:1:1", "22012")
