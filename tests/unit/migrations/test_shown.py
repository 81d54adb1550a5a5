"""What of a message may be shown: never a character that is neither the server's nor the author's."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.row_data import RowData, RowDataRefusedError
from scripts.migrations.shown import WITHHELD, author_texts, shown_message, shown_raised

SOURCE = r"""
CREATE FUNCTION public.guard() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  RAISE EXCEPTION 'payment % of %% must not change', OLD.id USING HINT = 'ask ''the'' ledger team';
  RAISE EXCEPTION USING MESSAGE = 'payer ' || OLD.payer || ' is unknown';
  RAISE EXCEPTION USING MESSAGE = format('tenant %s has no %I', OLD.tenant, 'x');
END $body$;
DO E'BEGIN RAISE EXCEPTION \'in an E string: %\', 1; END';
DO LANGUAGE plpython3u $$ it's not sql $$;
"""
TEXTS = author_texts(SOURCE)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("payment 4111 of % must not change", "payment … of % must not change"),
        ("payment a\nb of % must not change", "payment … of % must not change"),
        ("ask 'the' ledger team", "ask 'the' ledger team"),
        ("payer Ada Lovelace is unknown", "payer …"),
        ("tenant 17 has no account", "tenant … has no …"),
        ("in an E string: 17", "in an E string: …"),
        ("4111 1111 1111 1111", WITHHELD),
        ("", WITHHELD),
    ],
)
def test_only_the_authors_words(message: str, shown: str) -> None:
    """A format with its holes, a constant, the beginning of one; else nothing."""
    assert shown_raised(message, TEXTS) == shown


@given(st.text(max_size=30), st.lists(st.text(max_size=12), max_size=6))
def test_nothing_but_constants_is_ever_shown(message: str, texts: list[str]) -> None:
    """Whatever the message and the source: every piece of what is shown stands in a constant."""
    shown = shown_raised(message, texts)
    if shown == WITHHELD:
        return
    known = [piece for text in texts for piece in (text, text.replace("%%", "%"))]
    for piece in shown.split("…"):
        assert any(piece in text for text in known)


@given(st.text(alphabet='ab"\\ ', max_size=12))
def test_a_value_that_is_not_the_authors_never_shows(value: str) -> None:
    """However many quotes it holds."""
    shown = shown_message(f'invalid input syntax for type uuid: "{value}"', "22P02", frozenset())
    assert shown == 'invalid input syntax for type uuid: "(value withheld)"'


@pytest.mark.parametrize(
    ("message", "sqlstate", "dynamic", "shown"),
    [
        ('syntax error at or near "4111"', "42601", True, 'syntax error at or near "(value withheld)"'),
        ('syntax error at or near "4111"', "42601", False, 'syntax error at or near "4111"'),
        ('column "ask" does not exist', "42703", False, 'column "ask" does not exist'),
    ],
)
def test_a_statement_made_at_run_time_may_quote_rows(message: str, sqlstate: str, shown: str, *, dynamic: bool) -> None:
    """What it quotes is withheld, unless the author wrote it."""
    assert shown_message(message, sqlstate, TEXTS, dynamic=dynamic) == shown


def test_row_data_is_in_no_text() -> None:
    """Not in repr, str, format, a copy or a pickle; only reveal() tells."""
    kept = RowData((("detail", "Key (pan)=(4111)\nsecond line"), ("context", "x")))
    for text in (repr(kept), str(kept), f"{kept}", repr([kept]), repr(copy.deepcopy(kept).reveal())):
        assert not re.search("pan|4111|second", text)
    data = pickle.dumps(kept)
    assert b"4111" not in data
    assert not pickle.loads(data)  # noqa: S301 - made above
    assert kept.reveal() == "  detail   Key (pan)=(4111)\n           second line\n  context  x"
    assert not RowData()
    assert RowData((("detail", "a\tb\x1b[2Jc"),)).reveal() == "  detail  a\tb\\x1b[2Jc"


def test_the_refusals() -> None:
    """Where output is kept, row data is not shown."""
    assert str(RowDataRefusedError.no_terminal()) == (
        "error[usage]: --show-row-data: row data is shown on a terminal alone\n"
        "  expected  standard error to be a terminal\n"
        "  found     a file or a pipe\n"
        "  help: run it by hand, without redirection; nothing was run"
    )
    assert str(RowDataRefusedError.in_ci()) == (
        "error[usage]: --show-row-data: row data is never shown in CI\n"
        "  expected  CI to be unset\n"
        "  found     CI is set\n"
        "  help: run it by hand on a terminal; nothing was run"
    )
    assert RowDataRefusedError.in_ci().exit_code == 2
