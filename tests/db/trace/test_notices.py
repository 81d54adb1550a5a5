"""Notices: given to the statement that caused them, and shown only as far as they cannot hold a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.migrations.trace.model import Notice

if TYPE_CHECKING:
    from make_zoo import Zoo


def test_notices_belong_to_their_statement(zoo: Zoo) -> None:
    """Ten statements, every second one speaks: each notice is its own statement's."""
    text = "".join(
        f"DO $$ BEGIN RAISE NOTICE 'said by {number}'; END $$; COMMENT ON TABLE app.hot IS '{number}';\n"
        for number in range(5)
    )

    trace = zoo.would_do(text)

    said = [notice.message for statement in trace.statements for notice in statement.notices]
    assert said == [f"said by {number}" for number in range(5)]
    assert [bool(statement.notices) for statement in trace.statements] == [True, False] * 5
    assert trace.unplaced == ()


def test_the_servers_own_notice(zoo: Zoo) -> None:
    """Severity, SQLSTATE and text of what the server itself says are kept."""
    trace = zoo.last("DROP TABLE IF EXISTS app.never_there")

    assert trace.notices == (Notice("NOTICE", "00000", 'table "never_there" does not exist, skipping'),)


def test_long_name_is_cut_and_told(zoo: Zoo) -> None:
    """The server's notice on a name that is too long is kept like any other."""
    name = "n" * 70
    trace = zoo.would_do(f"DO $$ BEGIN EXECUTE 'CREATE TABLE app.{name} (id int)'; END $$; SELECT 1;")

    assert [notice.sqlstate for notice in trace.statements[0].notices] == ["42622"]


def test_a_raised_text_may_hold_a_row(zoo: Zoo) -> None:
    """What a function makes up is left out, but for a constant of the file; SQLSTATE and severity stay."""
    trace = zoo.last(
        "DO $$ DECLARE secret text; BEGIN SELECT note INTO secret FROM app.hot WHERE id = 7;"
        " RAISE WARNING 'row is %', secret USING ERRCODE = '01P01'; RAISE NOTICE 'done'; END $$"
    )

    assert trace.notices == (Notice("WARNING", "01P01", ""), Notice("NOTICE", "00000", "done"))


def test_debug_chatter_is_no_notice(zoo: Zoo) -> None:
    """The messages that tell of rewrites and scans, and a program's own, are not kept as notices."""
    trace = zoo.would_do(
        "ALTER TABLE app.hot ALTER sure TYPE bigint; DO $$ BEGIN RAISE DEBUG 'x'; RAISE LOG 'y'; END $$;"
    )

    assert [statement.notices for statement in trace.statements] == [(), ()]


def test_notice_where_messages_were_silenced(zoo: Zoo) -> None:
    """A program that silences its session still has what gets through given to its statement."""
    trace = zoo.would_do(
        "DO $$ BEGIN PERFORM set_config('client_min_messages', 'warning', true); END $$;"
        "DO $$ BEGIN RAISE WARNING 'heard'; END $$; SELECT 1; SELECT 2;"
    )

    assert [[notice.message for notice in statement.notices] for statement in trace.statements] == [
        [],
        ["heard"],
        [],
        [],
    ]


def test_no_row_and_no_literal_in_a_trace(zoo: Zoo) -> None:
    """Neither what a statement says nor what the tables hold is in the record."""
    trace = zoo.would_do(
        "INSERT INTO app.loose VALUES (424242, 1); UPDATE app.hot SET note = 'top secret' WHERE id = 171717;"
        "DO $$ BEGIN RAISE NOTICE 'value %', 565656; END $$; ALTER TABLE app.hot ADD COLUMN x text DEFAULT 'hidden';"
        "SELECT note FROM app.hot WHERE id = 7;"
    )

    text = json.dumps(trace.as_json())
    for secret in ("424242", "top secret", "171717", "565656", "hidden", "note 7"):
        assert secret not in text
