"""What may be shown of another session's query: its names, never its constants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.parser.redact import LENGTH, redacted

SECRET = "zqx4111zqx"
# Every form in which a value can stand in a query. Numbers and bit strings have a secret of their own digits.
FORMS = (
    "'{}'",
    "'it''s {}'",
    "E'\\'{}'",
    "e'\\\\' || E'{}\\n'",
    "U&'\\0041{}'",
    "U&'!0041{}' UESCAPE '!'",
    "N'{}'",
    "'a'\n  '{}'",
    "$${}$$",
    "$a$ x $b$ {} $a$",
    "/* {} */ 1",
    "/* a /* {} */ b */ 1",
    "1 -- {}\n",
    "PASSWORD '{}'",
)
QUERIES = (
    "UPDATE t SET a = {} WHERE b = {}",
    "INSERT INTO public.t (a, b) VALUES ({}, {}), ({}, {})",
    "SELECT {}, {}",
    "DO $body$ BEGIN PERFORM {}; END $body$",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$ SELECT {} $f$; SELECT {}",
    "ALTER ROLE app {}",
    "SET app.token = {}",
    'é ö SELECT {} AS "naïve", {}',
    "BEGIN; SELECT {}; COMMIT; NOTIFY c, {}",
)


@given(st.sampled_from(QUERIES), st.lists(st.sampled_from(FORMS), min_size=6, max_size=6))
def test_no_secret_is_shown_wherever_the_query_is_cut(template: str, forms: list[str]) -> None:
    """A value in every form, the query cut after every byte as the server cuts it: nothing of the value is shown."""
    query = template.format(*(form.format(SECRET) for form in forms)).encode()
    for length in range(len(query) + 1):
        shown = redacted(query[:length].decode(errors="replace"))
        # A cut value is as secret as a whole one; three characters of it are no accident.
        assert SECRET[:3] not in shown, (query[:length], shown)
        assert "\n" not in shown
        assert len(shown) <= LENGTH


@pytest.mark.parametrize("number", ["41117777", "4111.7777", ".41117777", "4111e7777", "0x41117777", "4_111_7777"])
def test_no_digit_of_a_number_is_shown(number: str) -> None:
    """Every form of a number, and one that was cut."""
    query = f"UPDATE t SET a = {number}"
    for length in range(len("UPDATE t SET a = ") + 1, len(query) + 1):
        assert redacted(query[:length]) in ("UPDATE t SET a = ?", "UPDATE t SET a = …", "UPDATE t SET a = .")


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    """Whatever it is: one line, bounded, no error, no quote that opens a constant."""
    shown = redacted(text)
    assert len(shown) <= LENGTH
    assert "'" not in shown


@given(st.text(alphabet=st.sampled_from("aE1'\"\\$/*- \n;.é?=U&x"), max_size=60))
def test_any_sql_like_text_is_answered(text: str) -> None:
    """The characters that the scanner cares about, in any order."""
    assert "'" not in redacted(text)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("UPDATE t SET a = 'x', b=-12.5\n WHERE c = $1", "UPDATE t SET a = ?, b=-? WHERE c = $1"),
        ("SELECT * FROM t WHERE a IN (1, 2, 3) AND b", "SELECT * FROM t WHERE a IN (?, …) AND b"),
        ("/* app:web */ SELECT 1 -- done", "SELECT ?"),
        ("SELECT a /* b */ , c", "SELECT a , c"),
        ("COPY t FROM STDIN;\n4111\tzqx\n\\.\n", "COPY t FROM STDIN …"),
        ("COPY t FROM STDIN", "COPY t FROM STDIN"),
        ("SET app.token = zqx4111; SELECT a = b", "SET app.token = ?; SELECT a = b"),
        ('SET LOCAL app.token TO zqx, "zqx"', "SET LOCAL app.token TO ?, …"),
        ('SELECT "Order", "a@b.c", U&"zqx" FROM "t 1"', 'SELECT "Order", ?, … FROM ?'),
        ("SELECT true, NULL", "SELECT true, NULL"),
        ("autovacuum: VACUUM public.t (to prevent wraparound)", "autovacuum: VACUUM public.t (to prevent wraparound)"),
        ("", ""),
        ("SELECT 1\0zqx", "SELECT ? …"),
        ("'zqx", "…"),
        ("SELECT E'\\u12'", "SELECT …"),
    ],
)  # fmt: skip
def test_what_is_kept(query: str, shown: str) -> None:
    """Names and structure are what a reader needs."""
    assert redacted(query) == shown


def test_a_string_that_another_session_would_read_on_from_ends_the_answer() -> None:
    r"""With standard_conforming_strings off, 'a\' goes on: what we would take for a name is still inside it."""
    assert redacted("SELECT 'a\\'zqx', b FROM t") == "SELECT ? …"


def test_a_long_query_is_cut() -> None:
    """At the length, with a mark."""
    shown = redacted("SELECT " + ", ".join(f"column_{number}" for number in range(100)))
    assert len(shown) <= LENGTH
    assert shown.endswith(" …")
