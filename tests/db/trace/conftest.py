"""One database with every kind of relation in it for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from make_zoo import ZOO, Zoo

from scripts.migrations.batch import execute_batch
from scripts.migrations.trace.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from fix_database import Databases


@pytest.fixture(scope="module")
def keeper(databases: Databases) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """The owner's connection to the database, and a superuser's DSN; what a test commits stays for those after it."""
    import psycopg

    with databases.empty() as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        execute_batch(conn, ZOO.encode())
        execute_batch(conn, b"SET TimeZone = 'UTC'")
        yield conn, made.admin_dsn


@pytest.fixture
def zoo(keeper: tuple[psycopg.Connection[Any], str]) -> Iterator[Zoo]:
    """That database, with a tracer of the test's own."""
    conn, admin_dsn = keeper
    tracer = Tracer(conn)
    try:
        yield Zoo(conn, tracer, admin_dsn)
    finally:
        tracer.close()
