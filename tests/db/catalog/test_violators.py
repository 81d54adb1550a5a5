"""Rows that violate what pending files add are counted where they are; nothing of a file is run there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.catalog import violators
from scripts.errors.base import ExitCode
from scripts.run.plan_trace import plan_traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder, ScratchDatabase
    from make_voices import Heard

    from scripts.settings import Settings

    Existing = Callable[..., Settings]

FIRST = """\
CREATE TABLE public.parent (id int PRIMARY KEY);
CREATE TYPE public.mood AS ENUM ('glad', 'sad');
CREATE FUNCTION public.judge(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT $1 = 'x' $$;
CREATE TABLE public.t (id int PRIMARY KEY, a int, b text, p int, m public.mood);
CREATE TABLE public."T x" ("a b" int);
CREATE TABLE public.parts (a int) PARTITION BY LIST (a);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1, 2);
"""
ROWS = """\
INSERT INTO public.parent VALUES (1), (2);
INSERT INTO public.t SELECT n, n, nullif('row ' || n, 'row 10'), n % 4, 'sad' FROM generate_series(1, 10) AS n;
INSERT INTO public.t VALUES (11, NULL, NULL, NULL, NULL);
INSERT INTO public."T x" VALUES (1), (-1);
INSERT INTO public.parts VALUES (1), (1), (2);
"""


@pytest.fixture
def database(empty_database: ScratchDatabase, migrations: MigrationFolder) -> ScratchDatabase:
    """Tables with rows: t has eleven, of which the last is all NULL."""
    migrations.write("0001_t.sql", FIRST)
    empty_database.apply(migrations.files())
    with empty_database.connect_admin() as conn:
        conn.execute(ROWS.encode())
    return empty_database


def plan(database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard) -> Any:
    """What `plan --trace --json` says of rows that violate, by constraint."""
    assert plan_traced(existing(database, migrations.folder), heard.voice(json=True)) == ExitCode.PASSED
    return {item["constraint"]: item for item in json.loads(heard.text)["violators"]}


COUNTED = {
    "CHECK (a > 3) NOT VALID": "3",  # NULL passes
    "CHECK (a IS NOT NULL AND b ~ '^row' AND lower(b) LIKE 'row%') NOT VALID": "1",  # FALSE AND NULL is false
    "CHECK (a IN (1, 2)) NOT VALID": "8",
    "NOT NULL b NOT VALID": "2",
    "FOREIGN KEY (p) REFERENCES public.parent NOT VALID": "4",  # 0, 3; a NULL refers to nothing
    "CHECK (a < 1000) NOT VALID": "0",
}
NOT_COUNTED = {
    "CHECK (public.judge(b)) NOT VALID": violators.NOT_OWN,
    "CHECK (m = 'sad') NOT VALID": violators.NOT_OWN,
    "CHECK (b <> pg_backend_pid()::text) NOT VALID": "it calls pg_backend_pid, which is not immutable",
    "CHECK (b <> '' OR pg_terminate_backend(a)) NOT VALID": "it calls pg_terminate_backend, which is not immutable",
    "FOREIGN KEY (p) REFERENCES public.parent MATCH FULL NOT VALID": (
        "it refers to what is not there yet, or MATCH FULL"
    ),
}


@pytest.mark.parametrize("constraint", COUNTED)
def test_rows_are_counted(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard, constraint: str
) -> None:
    """As the constraint would judge each of them at its next UPDATE; the number alone leaves the database."""
    migrations.write("0002_c.sql", f"ALTER TABLE public.t ADD CONSTRAINT new {constraint};")
    (found,) = plan(database, migrations, existing, heard).values()
    assert found == {
        "relation": "public.t",
        "constraint": "new",
        "validated": False,
        "rows": COUNTED[constraint],
        "why": "",
    }
    with database.connect() as conn:
        conn.execute(f"ALTER TABLE public.t ADD CONSTRAINT new {constraint}".encode())
    # The server's own judgement, row by row.
    refused = 0
    with database.connect() as conn:
        for number in range(1, 12):
            try:
                conn.execute("UPDATE public.t SET id = id + 100, p = p + 0 WHERE id = %s", (number,))
            except Exception:  # noqa: BLE001 - counted
                refused += 1
    if "FOREIGN" not in constraint:  # a key that stays as it was is not looked up again
        assert str(refused) == COUNTED[constraint]


@pytest.mark.parametrize("constraint", NOT_COUNTED)
def test_what_is_not_postgresqls_own_is_not_asked(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard, constraint: str
) -> None:
    """A function of a file's, one that is not immutable, a type of the user's: told with the reason."""
    migrations.write("0002_c.sql", f"ALTER TABLE public.t ADD CONSTRAINT new {constraint};")
    found = plan(database, migrations, existing, heard)["new"]
    assert (found["rows"], found["why"]) == (None, NOT_COUNTED[constraint])


def test_a_column_that_comes_with_its_check(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """The trap of a safe step: every row that is there has NULL in it. With a default it is not known beforehand."""
    migrations.write(
        "0002_c.sql",
        "ALTER TABLE public.t ADD c uuid, ADD d int DEFAULT 1;\n"
        "ALTER TABLE public.t ADD CONSTRAINT c_there CHECK (c IS NOT NULL) NOT VALID;\n"
        "ALTER TABLE public.t ADD CONSTRAINT d_there CHECK (d IS NOT NULL) NOT VALID;\n"
        "CREATE TABLE public.new (a int CHECK (a > 0));",
    )
    found = plan(database, migrations, existing, heard)
    assert {name: (item["rows"], item["why"]) for name, item in found.items()} == {
        "c_there": ("11", ""),
        "d_there": (None, "a column that is added with it has a default"),
    }


def test_told_as_text(database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard) -> None:
    """What no row violates is not told; what is checked at once fails there, though it did not on the copy."""
    migrations.write(
        "0002_c.sql",
        "ALTER TABLE public.t ADD CONSTRAINT fine CHECK (a < 1000) NOT VALID;\n"
        'ALTER TABLE public."T x" ADD CONSTRAINT "a b" CHECK ("a b" > 0);\n'
        "ALTER TABLE public.parts ADD CONSTRAINT small CHECK (a < 2) NOT VALID;\n"
        "ALTER TABLE public.t ADD CONSTRAINT judged CHECK (public.judge(b)) NOT VALID;",
    )
    assert plan_traced(existing(database, migrations.folder), heard.voice()) == ExitCode.PASSED
    block = next(part for part in heard.text.split("\n\n") if part.startswith("rows of the database"))
    assert block == (
        "rows of the database itself that violate what is added\n"
        "  public.T x   a b   1 row: the file fails there\n"
        "  public.parts   small   1 row: an UPDATE of one of them fails\n"
        f"  public.t   judged   not counted: {NOT_COUNTED['CHECK (public.judge(b)) NOT VALID']}"
    )


def test_a_count_ends(
    database: ScratchDatabase,
    migrations: MigrationFolder,
    existing: Existing,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table that is too large for the time is not counted, and the plan is told all the same."""
    with database.connect_admin() as conn:
        conn.execute("INSERT INTO public.t (id) SELECT n FROM generate_series(100, 200000) AS n")
    monkeypatch.setattr(violators, "COUNT_TIMEOUT_MS", 1)
    migrations.write("0002_c.sql", "ALTER TABLE public.t ADD CONSTRAINT new CHECK (md5(b || a) <> 'x') NOT VALID;")
    assert plan(database, migrations, existing, heard)["new"]["why"] == "it takes longer than 1 ms"


def test_rows_that_a_policy_hides_are_no_wrong_number(
    database: ScratchDatabase, migrations: MigrationFolder, existing: Existing, heard: Heard
) -> None:
    """Row security that would leave rows out is an error of the count: 42501."""
    migrations.write("0002_c.sql", "ALTER TABLE public.t ADD CONSTRAINT new CHECK (a > 3) NOT VALID;")
    with database.connect_admin() as conn:
        conn.execute("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; ALTER TABLE public.t FORCE ROW LEVEL SECURITY")
    assert plan(database, migrations, existing, heard)["new"]["why"] == "SQLSTATE 42501"
