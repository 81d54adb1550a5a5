"""What of a message may be shown: never a character that is neither the server's nor the author's."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.row_data import RowData, RowDataRefusedError, escaped
from scripts.migrations.folder.files import MigrationFile
from scripts.migrations.told.inner import frames_of, inner_places
from scripts.migrations.told.shown import WITHHELD, author, author_texts, shown_message, shown_raised

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
    known = [escaped(piece) for text in texts for piece in (text, text.replace("%%", "%"))]
    for piece in shown.split("…"):
        assert any(piece in text for text in known)


FILE = """CREATE TABLE public.t (a int, "Odd" text); ALTER TABLE other DROP COLUMN Folded;
INSERT INTO t VALUES ('it''s', 12345); SELECT nosuch(1); SELECT q.b = 1;"""
WROTE = author(FILE)
NOBODY = author("")


@given(st.text(alphabet='ab"\\ ', max_size=12))
def test_a_value_that_is_not_the_authors_never_shows(value: str) -> None:
    """However many quotes it holds."""
    shown = shown_message(f'invalid input syntax for type uuid: "{value}"', NOBODY)
    assert shown == 'invalid input syntax for type uuid: "(value withheld)"'


PLACES = [
    'relation "%" does not exist',
    'column "%" of relation "t" does not exist',
    'value "a" and value "%"',
    'syntax error in tsquery: "%"',
    'constraint "%" of relation "%" does not exist',
    "improper qualified name (too many dotted names): %",
    "improper relation name (too many dotted names): %",
    "cross-database references are not implemented: %",
    "operator does not exist: %",
    "requested character too large for encoding: %",
    "function %(integer) does not exist",
    "column t.% does not exist",
    "more than one operator named %",
    "tablesample method % does not exist",
    "type % does not exist",
    '% is outside the valid range for parameter "work_mem" (64 .. 2147483647)',
    'setval: value % is out of bounds for sequence "t" (1..100)',
    "index % out of valid range, 0..7",
    "unrecognized name '%'",
    "Relation \u00bb%\u00ab existiert nicht",
    "la relation \u00ab % \u00bb existe",
    "Relation \u201e%\u201c",
]


@given(
    st.sampled_from(PLACES),
    st.text(min_size=1, max_size=4),
    st.text(max_size=4),
    st.sampled_from(["SEKRET4111", "sekret", "4111111"]),
)
def test_a_secret_never_survives_any_place(place: str, before: str, behind: str, secret: str) -> None:
    """Whatever stands around it, quotes, colons and line ends too: unless the file holds it, it is gone."""
    value = before + secret + behind
    message = place.replace("%", value)
    assert secret not in shown_message(message, WROTE)
    assert secret not in shown_message(message, WROTE, {"t", "a"})


@pytest.mark.parametrize("place", PLACES)
def test_what_the_file_holds_is_shown_in_every_place(place: str) -> None:
    """The same places with the author's own word stay whole."""
    message = place.replace("%", "nosuch")
    said = author("nosuch a t t.nosuch work_mem 1..100 0..7 64 2147483647 outside «nosuch»")
    shown = shown_message(message, said)
    assert "nosuch" in shown
    assert "withheld" not in shown


@pytest.mark.parametrize(
    ("message", "names", "shown"),
    [
        ('relation "t" already exists', (), None),
        ('relation "public.t" does not exist', (), None),
        ('column "Odd" of relation "t" already exists', (), None),
        ('column "folded" of relation "other" does not exist', (), None),
        ('duplicate key value violates unique constraint "t_pkey"', ("t_pkey",), None),
        ('duplicate key value violates unique constraint "t_pkey"', (),
         'duplicate key value violates unique constraint "(value withheld)"'),
        ('null value in column "z" of relation "old" violates not-null constraint', ("z", "old"), None),
        ("operator does not exist: integer = text", (), None),
        ("function nosuch(integer) does not exist", (), None),
        ("column q.b does not exist", (), None),
        ("cannot drop table t because other objects depend on it", (), None),
        ("syntax error at or near \"'it''s'\"", (), None),
        ("invalid input syntax for type integer: \"it's\"", (), None),
        ("invalid byte sequence: 0xc3 0x28", (), "invalid byte sequence: (bytes withheld)"),
        ('could not open file "t": No such file or directory', (), None),
        ('value "123" is out of range', (), 'value "(value withheld)" is out of range'),
        ('type "t" \x1b[J\r\nPASSED \u202e\x9b', (), 'type "t" \\x1b[J\\x0d\\x0aPASSED \\u202e\\x9b'),
    ],
)  # fmt: skip
def test_useful_texts_stay_useful(message: str, names: tuple[str, ...], shown: str | None) -> None:
    """What the author wrote, or the server's own fields name, stays; a piece of a longer word is not the author's."""
    assert shown_message(message, WROTE, names) == (shown or message)


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    """C0, DEL, C1, and what turns the direction of a line."""
    kept = escaped(text)
    assert not re.search("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]", kept)
    assert escaped(kept) == kept
    assert shown_raised(text, {text}) in (kept, WITHHELD)


def test_a_row_cannot_forge_a_line_of_the_context() -> None:
    """A quoted statement may hold a line that reads like a function's: its name is withheld unless the file has it."""
    forged = "SQL statement \"SELECT '\nPL/pgSQL function sekret() line 3 at RAISE\n'\""
    file = MigrationFile.of_text("0001_a.sql", "SELECT 1;")
    assert inner_places(frames_of(forged), None, file, None) == "function (name withheld), line 3"
    plain = frames_of('PL/pgSQL function "a\x1bb"() line 3 at RAISE')
    assert inner_places(plain, None, file, None) == 'function "a\\x1bb"(), line 3'


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
