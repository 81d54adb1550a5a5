"""What is told of a file is told while the server runs the next one: each once, in order, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from scripts.errors.migration import MigrationFailedError
from scripts.migrations import apply
from scripts.migrations.apply import migrate
from scripts.migrations.transactional import apply_transactional
from scripts.settings import Settings

if TYPE_CHECKING:
    from fix_database import MigrationFolder, ScratchDatabase

PLAIN = Settings(migrate_trace=False)
TABLE, INDEX, SECOND = "0001_t.sql", "0002_i.sql", "0003_u.sql"


def written(migrations: MigrationFolder) -> None:
    """An ordinary file, one without a transaction that finds its index there, and an ordinary one."""
    migrations.write(TABLE, "CREATE TABLE public.t (a int);\nCREATE INDEX t_a ON public.t (a);")
    migrations.write(INDEX, "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON public.t (a);")
    migrations.write(SECOND, "CREATE TABLE public.u (a int);")


def applied_lines(told: list[str]) -> list[str]:
    """The files of which it was told that they are applied, and of the others the whole line."""
    return [line.split("   ")[0] for line in told if not line.startswith("running as")]


@pytest.mark.parametrize("trace", [False, True])
def test_every_file_is_told_once_and_in_order(
    empty_database: ScratchDatabase, migrations: MigrationFolder, *, trace: bool
) -> None:
    """What is said of a file comes behind the line of the one before it; the last one is told, too."""
    written(migrations)
    told: list[str] = []
    migrate(empty_database.connect(), migrations.files(), Settings(migrate_trace=trace), report=told.append)
    assert applied_lines(told) == [
        f"applied {TABLE}",
        f"{INDEX}: public.t_a is already there, valid and of this definition: adopted",
        f"applied {INDEX}",
        f"applied {SECOND}",
    ]


def test_it_is_told_while_the_server_is_busy(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """Of two ordinary files the first is told when the second is on its way, and has been recorded by then."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_u.sql", "SELECT pg_sleep(0.2);")
    conn = empty_database.connect()
    seen: list[tuple[str, str, list[str]]] = []

    def report(line: str) -> None:
        seen.append((line.split("   ", maxsplit=1)[0], conn.info.transaction_status.name, empty_database.recorded()))

    migrate(conn, migrations.files(), PLAIN, report=report)
    assert seen == [
        ("applied 0001_t.sql", "ACTIVE", ["0001_t.sql"]),
        ("applied 0002_u.sql", "IDLE", ["0001_t.sql", "0002_u.sql"]),
    ]


def test_a_file_that_fails_takes_no_line_with_it(empty_database: ScratchDatabase, migrations: MigrationFolder) -> None:
    """What ran before it is told, and is recorded."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_u.sql", "SELECT 1/0;")
    told: list[str] = []
    with pytest.raises(MigrationFailedError):
        migrate(empty_database.connect(), migrations.files(), PLAIN, report=told.append)
    assert applied_lines(told) == ["applied 0001_t.sql"]


def test_an_interrupt_before_the_next_is_sent_takes_no_line_with_it(
    empty_database: ScratchDatabase, migrations: MigrationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was told yet, and no message follows that it could be told with."""
    migrations.write("0001_t.sql", "CREATE TABLE public.t (a int);")
    migrations.write("0002_u.sql", "CREATE TABLE public.u (a int);")
    real = apply_transactional

    def interrupted(run: Any, file: Any, applied: Any) -> Any:
        if file.name == "0002_u.sql":
            raise KeyboardInterrupt
        return real(run, file, applied)

    monkeypatch.setattr(apply, "apply_transactional", interrupted)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        migrate(empty_database.connect(), migrations.files(), PLAIN, report=told.append)
    assert applied_lines(told) == ["applied 0001_t.sql"]


def test_a_file_that_is_refused_is_refused_before_the_ledger_is_there(
    empty_database: ScratchDatabase, migrations: MigrationFolder
) -> None:
    """The files are checked while the server makes the ledger: it is taken back, whichever file it was, and told."""
    for number in range(1, 40):
        migrations.write(f"{number:04d}_t.sql", f"CREATE TABLE public.t{number} (a int);")
    migrations.write("0040_c.sql", "COMMIT;")
    conn = empty_database.connect()
    with pytest.raises(Exception, match=r"0040_c\.sql:1:1"):
        migrate(conn, migrations.files(), PLAIN, report=lambda _: None)
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert empty_database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert empty_database.advisory_locks() == []
