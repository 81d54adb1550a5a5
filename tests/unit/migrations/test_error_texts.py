"""The texts of errors that no server in the tests can be brought to cause, and what may be shown of a message."""

from __future__ import annotations

import pytest

from scripts.errors.migration import ConnectionLostError
from scripts.errors.sql_text import SqlSyntaxError
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.told.shown import author, shown_message
from scripts.parser.native import TooDeepError
from scripts.parser.parse import parse_statements


def test_a_tree_that_cannot_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a protobuf that keeps its limit, the file is refused and never passed."""

    def give_up(_: str) -> None:
        raise TooDeepError("nested too deeply", None)

    monkeypatch.setattr("scripts.parser.parse.parse_raw", give_up)
    with pytest.raises(SqlSyntaxError) as caught:
        parse_statements("SELECT 1", where="0001_a.sql")
    assert str(caught.value) == (
        "error[syntax]: 0001_a.sql: nested too deeply to be checked\n"
        "  expected  a tree that fits the parser's limit\n"
        "  help: split the expression"
    )


def test_a_connection_lost_between_files_and_in_doubt() -> None:
    """Exit 3; a COMMIT on the way is said to be in doubt."""
    between = ConnectionLostError.between_files(sqlstate="")
    assert str(between) == (
        "error[connection lost]: the connection to the server is lost\n"
        "  SQLSTATE  none: the server said nothing\n"
        "  help: run again when the server answers: the ledger decides what is left to do"
    )
    doubt = ConnectionLostError.during("0002_b.sql", recorded=1, total=3, sqlstate="57P01", in_doubt=True)
    assert dict(doubt.facts)["0002_b.sql"] == "unknown: its COMMIT was on the way"
    assert (between.exit_code, doubt.exit_code) == (3, 3)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('invalid input syntax: "4111"', 'invalid input syntax: "(value withheld)"'),
        ('invalid input syntax: "mine"', 'invalid input syntax: "mine"'),
        ('value "x" and value "mine"', 'value "x" and value "mine"'),
        ('value "y" and value "mine"', 'value "(value withheld)"'),
        ('invalid input syntax: "4"mine"1"', 'invalid input syntax: "(value withheld)"'),
        ("invalid byte sequence: 0xc3 0x28", "invalid byte sequence: (bytes withheld)"),
        ('duplicate key value violates unique constraint "t_a"',
         'duplicate key value violates unique constraint "(value withheld)"'),
        ('relation "x" does not exist', 'relation "x" does not exist'),
        ('relation "t" does not exist', 'relation "(value withheld)" does not exist'),
    ],
)  # fmt: skip
def test_values_in_messages(message: str, shown: str) -> None:
    """What is quoted may be a value: kept only when the file says it."""
    file = MigrationFile.of_text("0001_a.sql", "SELECT 'mine'; SELECT x;")
    assert shown_message(message, author(file.text)) == shown
