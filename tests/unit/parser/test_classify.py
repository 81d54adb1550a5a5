"""What a statement asks of the transaction around it. A server is asked the same in tests/db/migrations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.parser.statements import (
    copies_client_stream,
    is_plain,
    is_transaction_control,
    may_need_no_transaction,
    needs_no_transaction,
    parse_statements,
    transaction_word,
)

NEEDS = {
    "CREATE INDEX CONCURRENTLY i ON t (a)": "CREATE INDEX CONCURRENTLY",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)": "CREATE UNIQUE INDEX CONCURRENTLY",
    "DROP INDEX CONCURRENTLY i": "DROP INDEX CONCURRENTLY",
    "REINDEX INDEX CONCURRENTLY i": "REINDEX INDEX CONCURRENTLY",
    "REINDEX (CONCURRENTLY) TABLE t": "REINDEX TABLE CONCURRENTLY",
    "REINDEX (VERBOSE, CONCURRENTLY on) TABLE t": "REINDEX TABLE CONCURRENTLY",
    "REINDEX SCHEMA s": "REINDEX SCHEMA",
    "REINDEX DATABASE d": "REINDEX DATABASE",
    "REINDEX SYSTEM d": "REINDEX SYSTEM",
    "VACUUM": "VACUUM",
    "VACUUM (FULL, ANALYZE) t": "VACUUM",
    "CREATE DATABASE d": "CREATE DATABASE",
    "DROP DATABASE d": "DROP DATABASE",
    "ALTER DATABASE d SET TABLESPACE s": "ALTER DATABASE … SET TABLESPACE",
    "CREATE TABLESPACE s LOCATION '/x'": "CREATE TABLESPACE",
    "DROP TABLESPACE s": "DROP TABLESPACE",
    "ALTER SYSTEM SET work_mem = '1MB'": "ALTER SYSTEM",
    "CLUSTER": "CLUSTER of every table",
    "ALTER TABLE p DETACH PARTITION c CONCURRENTLY": "ALTER TABLE … DETACH PARTITION CONCURRENTLY",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p": "CREATE SUBSCRIPTION with a slot",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (create_slot = true)": "CREATE SUBSCRIPTION with a slot",
    "ALTER SUBSCRIPTION s REFRESH PUBLICATION": "ALTER SUBSCRIPTION … REFRESH PUBLICATION",
    "ALTER SUBSCRIPTION s SET PUBLICATION p": "ALTER SUBSCRIPTION … SET PUBLICATION with a refresh",
    "ALTER SUBSCRIPTION s ADD PUBLICATION p": "ALTER SUBSCRIPTION … ADD PUBLICATION with a refresh",
    "ALTER SUBSCRIPTION s SET (failover = true)": "ALTER SUBSCRIPTION … SET (failover or two_phase)",
}
MAY_NEED = {
    "REINDEX TABLE t": "REINDEX",
    "REINDEX (CONCURRENTLY false) TABLE t": "REINDEX",
    "CLUSTER t": "CLUSTER",
    "DROP SUBSCRIPTION s": "DROP SUBSCRIPTION",
    "ALTER TYPE e ADD VALUE 'x'": "ALTER TYPE … ADD VALUE",
    "SET maintenance_work_mem = '1GB'": "SET",
}
NEEDS_NOT = [
    "CREATE INDEX i ON t (a)",
    "DROP INDEX i",
    "ANALYZE t",
    "ALTER DATABASE d SET work_mem = '1MB'",
    "ALTER DATABASE d OWNER TO o",
    "ALTER TABLE p DETACH PARTITION c",
    "ALTER TABLE p DETACH PARTITION c FINALIZE",
    "ALTER TABLE p ATTACH PARTITION c DEFAULT",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false)",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (create_slot = off)",
    "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)",
    "ALTER SUBSCRIPTION s DISABLE",
    "SELECT 'CREATE INDEX CONCURRENTLY i ON t (a)' -- VACUUM",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "ALTER TYPE e RENAME VALUE 'a' TO 'b'",
    "SET search_path = public",
    "SET LOCAL maintenance_work_mem = '1GB'",
]


@pytest.mark.parametrize(("sql", "reason"), NEEDS.items())
def test_needs_no_transaction(sql: str, reason: str) -> None:
    """The server refuses it in a transaction; the reason names it."""
    (statement,) = parse_statements(sql, where="f")
    assert needs_no_transaction(statement) == reason
    assert may_need_no_transaction(statement) == reason


@pytest.mark.parametrize(("sql", "reason"), MAY_NEED.items())
def test_may_need_no_transaction(sql: str, reason: str) -> None:
    """It depends on the catalog, so either kind of file may hold it."""
    (statement,) = parse_statements(sql, where="f")
    assert needs_no_transaction(statement) is None
    assert may_need_no_transaction(statement) == reason


@pytest.mark.parametrize("sql", NEEDS_NOT)
def test_needs_a_transaction(sql: str) -> None:
    """It runs in a transaction on every database."""
    (statement,) = parse_statements(sql, where="f")
    assert needs_no_transaction(statement) is None
    assert may_need_no_transaction(statement) is None


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION"),
        ("COMMIT AND CHAIN", "COMMIT"),
        ("END", "COMMIT"),
        ("ABORT", "ROLLBACK"),
        ("SAVEPOINT s", "SAVEPOINT"),
        ("RELEASE s", "RELEASE SAVEPOINT"),
        ("ROLLBACK TO s", "ROLLBACK TO SAVEPOINT"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
        ("COMMIT PREPARED 'x'", "COMMIT PREPARED"),
        ("ROLLBACK PREPARED 'x'", "ROLLBACK PREPARED"),
    ],
)
def test_transaction_control(sql: str, word: str) -> None:
    """Every form, by its own word."""
    (statement,) = parse_statements(sql, where="f")
    assert is_transaction_control(statement)
    assert transaction_word(statement.node) == word


@pytest.mark.parametrize(
    ("sql", "direction"),
    [
        ("COPY t FROM STDIN", "… FROM STDIN"),
        ("COPY (SELECT 1) TO STDOUT", "… TO STDOUT"),
        ("COPY t FROM '/x'", None),
        ("COPY t TO PROGRAM 'cat'", None),
        ("SELECT 1", None),
    ],
)
def test_client_streams(sql: str, direction: str | None) -> None:
    """COPY with the client is recognised in both directions; COPY with the server's files is not."""
    (statement,) = parse_statements(sql, where="f")
    assert copies_client_stream(statement) == direction


NOT_PLAIN = [
    *NEEDS, "BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT s", "RELEASE s",
    "ROLLBACK TO s", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'",
    "COPY t FROM STDIN", "COPY t TO STDOUT", "COPY (SELECT 1) TO STDOUT", "DO $$ BEGIN COMMIT; END $$",
]  # fmt: skip


@given(st.sampled_from(NOT_PLAIN), st.data())
def test_what_asks_anything_of_the_transaction_is_never_plain(sql: str, data: st.DataObject) -> None:
    """Whatever the case of its letters, and whatever stands between its words."""
    words = ["".join(data.draw(st.sampled_from((c.lower(), c.upper()))) for c in word) for word in sql.split(" ")]
    gap = data.draw(st.sampled_from([" ", "\n", "/* x */", " -- select\n"]))
    text = gap.join(words)
    parse_statements(text, where="f")
    assert not is_plain(text)


@pytest.mark.parametrize("sql", [*NEEDS, *MAY_NEED, *NEEDS_NOT, *NOT_PLAIN])
def test_the_tree_agrees_with_the_words(sql: str) -> None:
    """A statement that is plain by its words is so by its tree."""
    (statement,) = parse_statements(sql, where="f")
    if is_plain(statement.text):
        assert needs_no_transaction(statement) is None
        assert copies_client_stream(statement) is None
        assert not is_transaction_control(statement)
        assert statement.kind != "DoStmt"


def test_most_statements_are_plain() -> None:
    """Else their trees would be made for nothing."""
    for sql in (
        "CREATE TABLE t (a int)",
        "comment on table t is 'x'",
        "Create/**/Index i ON t (a)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    ):
        assert is_plain(sql)
