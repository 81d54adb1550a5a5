"""Numbers in a message of the server: only the author's and the server's own are shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.migrations.told.shown import author, shown_message

NOBODY = author("")
WROTE = author(
    "CREATE SEQUENCE s MAXVALUE 100; SELECT ids[$7], 7, n2 + 1.5 - 33 FROM public.t2 WHERE d = '2020-01-02';"
)
# % is a value of a row. Formats of PostgreSQL 18, those with a limit included.
FORMATS = [
    "RESTART value (%) cannot be greater than MAXVALUE (100)",
    "RESTART value (100) cannot be greater than MAXVALUE (%)",
    "MINVALUE (%) must be less than MAXVALUE (100)",
    "CACHE (%) must be greater than zero",
    "transaction ID % is in the future",
    "PID % is not a PostgreSQL backend process",
    "NUMERIC precision % must be between 1 and 1000",
    "NUMERIC scale % must be between -1000 and 1000",
    "interval(%) precision must be between 0 and 6",
    'value % out of bounds for option "fillfactor"',
    "ORDER BY position % is not in select list",
    "there is no parameter $%",
    "could not open relation with OID %",
    "cache lookup failed for relation %",
    "large object % does not exist",
    '% is outside the valid range for parameter "work_mem" (64 kB .. 2147483647 kB)',
    '% kB is outside the valid range for parameter "work_mem" (64 kB .. 2147483647 kB)',
    'setval: value % is out of bounds for sequence "s" (1..100)',
    'nextval: reached maximum value of sequence "s" (%)',
    "index % out of valid range, 0..15",
    "bit index % out of valid range (0..15)",
    "invalid large-object descriptor: %",
    "invalid memory alloc request size %",
    "TIMESTAMP(%) precision reduced to maximum allowed, 6",
    "number of array dimensions (%) exceeds the maximum allowed (6)",
    'index row size % exceeds btree version 4 maximum 2704 for index "i"',
    "row is too big: size %, maximum size 8160",
    'hour "%" is invalid for the 12-hour clock',
    "value for % = % (a=%), (b:%) <%> and %, %; [%] {%}.",
    "what was x% and %y and a.%",
    "Spalte %: gibt es nicht, %% %",
]
VALUES = st.one_of(
    st.integers(min_value=10**7, max_value=10**18).map(str),
    st.integers(min_value=10**7, max_value=10**18).map("-{}".format),
    st.decimals(min_value=-(10**9), max_value=10**9, places=3).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.uuids().map(str),
    st.text(alphabet="0123456789abc.,:-/+@_ ", min_size=9, max_size=24),
    st.integers(min_value=10**7).map(
        lambda number: "".join(chr(0x0660 + int(digit)) for digit in str(number))  # Arabic digits
    ),
)


@given(st.sampled_from(FORMATS), VALUES)
def test_no_digit_of_a_row_in_any_format(form: str, value: str) -> None:
    """With nothing known but the server's own limits, what is left of digits is what the format had."""
    shown = shown_message(form.replace("%", value), NOBODY)
    assert set(re.findall(r"\d+", shown)) <= set(re.findall(r"\d+", form))


@given(st.text(max_size=20), VALUES, st.text(max_size=20), st.text(max_size=5))
def test_no_digit_of_a_row_in_any_text(before: str, value: str, behind: str, between: str) -> None:
    """Whatever stands around it: no place of a limit can be forged by a part of a message."""
    for text in (
        f"x {before}{value}{behind}",
        f"x {before} ({value}) {behind}{between}{value}",
        f"x {before} NUMERIC precision {value} must be between {value} and {value} {behind}",
    ):
        assert re.findall(r"\d{3,}", shown_message(text, NOBODY)) == []


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("RESTART value (41112222) cannot be greater than MAXVALUE (100)",
         "RESTART value (value withheld) cannot be greater than MAXVALUE (100)"),
        ("transaction ID 41112222 is in the future", "transaction ID (value withheld) is in the future"),
        ("there is no parameter $41112222", "there is no parameter (value withheld)"),
        ("NUMERIC precision 41112222 must be between 1 and 1000",
         "NUMERIC precision (value withheld) must be between 1 and 1000"),
        ("NUMERIC precision 33 must be between 1 and 1000", None),
        ("nothing like more than 32 columns", "nothing like more than (value withheld) columns"),
        ("cannot use more than 32 columns in an index", None),
        ("cannot partition using more than 32 columns", None),
        ("tables can have at most 1600 columns", None),
        ("target lists can have at most 1664 entries", None),
        ("cannot pass more than 100 arguments to a function", None),
        ("number of array dimensions (7) exceeds the maximum allowed (6)", None),
        ("number of array dimensions (8) exceeds the maximum allowed (6)",
         "number of array dimensions (value withheld) exceeds the maximum allowed (6)"),
        ("row is too big: size 9999, maximum size 8160", "row is too big: size (value withheld), maximum size 8160"),
        ('5 kB is outside the valid range for parameter "n2" (64 kB .. 2147483647 kB)',
         '(value withheld) is outside the valid range for parameter "n2" (64 kB .. 2147483647 kB)'),
        ("relation public.t2 of n2 is odd", None),
        ("subscript 7, 1.5, -33 and +33 of 2020-01-02.", None),
        ("5 is a piece of 1.5, and 2020 of the date", "(value withheld) is a piece of 1.5, and 2020 of the date"),
        ('encoding "UTF8" knows int4range', None),
        ("function pg_catalog.int4(text) is odd, and so is $7", None),
        ('Increase "max_locks" (currently 64).', 'Increase "(value withheld)" (currently 64).'),
        ("value out of range: overflow", None),
        ("value out of range: flow", "value out of range: (value withheld)"),
        ("column number must be in range from 1 to 32767", None),
        ("value too long for restore point (maximum 63 characters)", None),
        ("setseed parameter 4.11122e+07 is out of allowed range [-1,1]",
         "setseed parameter (value withheld) is out of allowed range [-1,1]"),
        ("0 at the very start", "(value withheld) at the very start"),
    ],
)  # fmt: skip
def test_what_stays(message: str, shown: str | None) -> None:
    """Words, the author's numbers and the server's limits stay; None: all of it."""
    assert shown_message(message, WROTE) == (message if shown is None else shown)


def test_names_of_the_servers_own_fields() -> None:
    """A constraint's name may hold digits, quoted and not, and only as a whole."""
    message = 'check "c 4111" of c_4111 is violated by 4111'
    assert shown_message(message, NOBODY, {"c 4111", "c_4111"}) == (
        'check "c 4111" of c_4111 is violated by (value withheld)'
    )


def test_a_long_message_is_soon_read() -> None:
    """Whatever looks like a part of a limit in it, and as often."""
    message = "cannot change data type of view column " + "a " * 4000 + "from " * 2000 + " to 41112222"
    assert "41112222" not in shown_message(message, NOBODY)
