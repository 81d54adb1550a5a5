"""One database with every kind of relation in it for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_zoo import ZOO, Zoo

from scripts.migrations.batch import execute_batch
from scripts.migrations.trace.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_database import Databases


@pytest.fixture(scope="module")
def zoo(databases: Databases) -> Iterator[Zoo]:
    """The database; what a test commits stays for the tests after it."""
    import psycopg

    name, dsn, admin_dsn = databases.create()
    with psycopg.connect(dsn, autocommit=True) as conn:
        execute_batch(conn, ZOO.encode())
        execute_batch(conn, b"SET TimeZone = 'UTC'")
        tracer = Tracer(conn)
        try:
            yield Zoo(conn, tracer, dsn, admin_dsn)
        finally:
            tracer.close()
            conn.close()
            databases.drop(name)
