"""What a database's own event triggers do to the session does not reach the runner's statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import MigrationFolder, ScratchDatabase

BECOME = """
CREATE FUNCTION public.become() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN SET ROLE pg_monitor; END $$;
CREATE EVENT TRIGGER become ON ddl_command_end EXECUTE FUNCTION public.become()"""


@pytest.fixture
def possessed(empty_database: ScratchDatabase, migrations: MigrationFolder) -> Iterator[ScratchDatabase]:
    """A database with a file applied, where every DDL statement now leaves the session as pg_monitor."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files())
    with empty_database.connect_admin() as admin:
        admin.execute("GRANT pg_monitor TO symphony_owner WITH SET TRUE")
        try:
            admin.execute(BECOME.encode())
            yield empty_database
        finally:
            admin.execute("REVOKE pg_monitor FROM symphony_owner")


def test_an_event_trigger_that_changes_the_role(possessed: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Journal, row and record are the runner's own, and so is the next statement of a file without a transaction."""
    migrations.write(
        "0002_i.sql",
        "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY t_a ON public.t (a);\n"
        "CREATE INDEX CONCURRENTLY t_b ON public.t ((a + 1));",
    )
    migrations.write("0003_u.sql", "CREATE TABLE public.u (a int);")
    assert len(possessed.apply(migrations.files()).files) == 2
    assert possessed.recorded() == ["0001_t.sql", "0002_i.sql", "0003_u.sql"]
    owners = "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'"
    assert possessed.value(owners) == "symphony_owner"
    assert possessed.value("SELECT count(*) FROM public.schema_migrations_journal WHERE state <> 'done'") == 0


FORGETFUL = """
CREATE FUNCTION public.forget() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$;
CREATE EVENT TRIGGER forget ON ddl_command_end EXECUTE FUNCTION public.forget()"""


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("trace", [False, True])
def test_an_event_trigger_that_drops_what_the_runner_has_prepared(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, count: int, trace: bool
) -> None:
    """Entries of the journal, row and record are sent in full then: each statement is noted once, and begun once."""
    settings = Settings(migrate_trace=trace)
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    empty_database.apply(migrations.files(), settings)
    with empty_database.connect_admin() as admin:
        admin.execute(FORGETFUL.encode())
    builds = "".join(f"CREATE INDEX CONCURRENTLY t_{n} ON public.t ((a + {n}));\n" for n in range(count))
    migrations.write("0002_i.sql", f"-- symphony:no_tx\n{builds}")
    migrations.write("0003_u.sql", "CREATE TABLE public.u (a int);")
    migrations.write("0004_i.sql", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY u_a ON public.u (a);")
    assert len(empty_database.apply(migrations.files(), settings).files) == 3
    assert len(empty_database.recorded()) == 4
    states = "SELECT string_agg(version || ' ' || statement || ' ' || state, ', ' ORDER BY 1) FROM"
    found = empty_database.value(f"{states} public.schema_migrations_journal")
    expected = [f"0002_i.sql {n} done" for n in range(count)] + ["0004_i.sql 0 done"]
    assert found == ", ".join(expected)
