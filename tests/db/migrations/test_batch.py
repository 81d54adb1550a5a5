"""A message of many statements: what is done with the answers while the server has not given them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.migrations.batch import BatchError, execute_batch

if TYPE_CHECKING:
    from fix_database import Databases
    from psycopg.pq.abc import PGresult

# A notice is sent at once, and what was answered before it with it.
SAY = "DO $$ BEGIN RAISE NOTICE 'here'; END $$"


def test_answers_are_seen_while_others_are_to_come(databases: Databases) -> None:
    """Whoever wants to is called between the answers, with those that have come, and never when all are there."""
    import psycopg

    results: list[PGresult] = []
    seen: list[int] = []
    with databases.empty() as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        text = f"SELECT 1; SELECT 2; {SAY}; SELECT pg_sleep(0.2); SELECT 5"
        execute_batch(conn, text.encode(), into=results, between=lambda: seen.append(len(results)))

    assert len(results) == 5
    assert seen == sorted(seen)
    assert {2, 3} & set(seen)
    assert not {0, 5} & set(seen)


def test_an_error_is_no_answer_to_look_at(databases: Databases) -> None:
    """When a statement has failed nobody is called any more: the last result is none of a statement."""
    import psycopg

    results: list[PGresult] = []
    seen: list[int] = []
    with databases.empty() as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        # The error is sent at once; the server then takes back a table's rows before it is ready again.
        text = f"CREATE TABLE t AS SELECT generate_series(1, 300000) a; {SAY}; SELECT 1/0; SELECT 4"
        with pytest.raises(BatchError) as caught:
            execute_batch(conn, text.encode(), into=results, between=lambda: seen.append(len(results)))

    assert caught.value.index == 2
    assert len(results) == 3
    assert 3 not in seen
