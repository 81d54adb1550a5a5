"""What is turned round, left out or denied in an expression or a body, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.parser.native import parse_raw
from scripts.verifiers.mutants.bodies import edits_of
from scripts.verifiers.mutants.clauses import without_clauses
from scripts.verifiers.mutants.expressions import other_values, simpler
from scripts.verifiers.mutants.flips import edges_of, flipped, flips_of

BODY = """
DECLARE
    v_count integer := 1;
    c_word constant text := 'x = y';
BEGIN
    -- a = b in a comment
    IF p_one IS NULL OR p_two = 'a = b' THEN
        RAISE EXCEPTION 'no = %', p_one USING ERRCODE = 'P0001', HINT = 'Give it.';
    ELSIF NOT FOUND THEN
        v_count := 2;
    END IF;
    FOR v_row IN SELECT t.a FROM public.t AS t WHERE t.a > 3 LOOP
        UPDATE public.t SET a = 1 WHERE a BETWEEN 1 AND 2;
        RETURN NEXT;
    END LOOP;
    WHILE v_count < 3 LOOP
        v_count := v_count + 1;
    END LOOP;
    RETURN;
END
"""


def applied(body: str, language: str = "plpgsql") -> dict[str, str]:
    """What is done → the body with it, without the place."""
    return {
        edit.what.split(" ", 1)[1]: body[: edit.start] + edit.text + body[edit.end :]
        for edit in edits_of(language, body)
    }


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a = b", "a <> b"),
        ("a <> b", "a = b"),
        ("a != b", "a = b"),
        ("a < b", "a >= b"),
        ("a >= b", "a < b"),
        ("a > b", "a <= b"),
        ("a <= b", "a > b"),
        ("a ~ 'x'", "a !~ 'x'"),
        ("a IS NULL", "a IS NOT NULL"),
        ("a IS NOT NULL", "a IS NULL"),
        ("a IS TRUE", "a IS NOT TRUE"),
        ("a IS DISTINCT FROM b", "a IS NOT DISTINCT FROM b"),
        ("a IS NOT DISTINCT FROM b", "a IS DISTINCT FROM b"),
        ("a IN (1, 2)", "a NOT IN (1, 2)"),
        ("a NOT IN (1, 2)", "a IN (1, 2)"),
        ("EXISTS (SELECT 1)", "NOT EXISTS (SELECT 1)"),
        ("NOT EXISTS (SELECT 1)", "EXISTS (SELECT 1)"),
        ("NOT a", "a"),
        ("a AND b", "a OR b"),
        ("a OR b", "a AND b"),
        ("é = 'ü' ", "é <> 'ü' "),
    ],
)
def test_each_comparison_has_its_opposite(expression: str, expected: str) -> None:
    """One comparison, one flip, and it is the opposite; an offset counts characters, not bytes."""
    (found,) = (text for _, text in flipped(expression))

    assert " ".join(found.split()) == " ".join(expected.split())


def test_a_comparison_in_a_string_or_a_comment_is_none() -> None:
    """Only what the tree has is turned round; BETWEEN keeps its AND."""
    assert list(flipped("f('a = b AND c', $$x < y$$)")) == []
    assert list(flipped("1 /* a = b */")) == []
    assert [text for _, text in flipped("a BETWEEN 1 AND 2")] == []


def test_an_assignment_of_update_is_no_comparison() -> None:
    """SET a = 1 assigns; what stands in WHERE compares."""
    (flip,) = flips_of("UPDATE public.t SET a = 1 WHERE b = 2")

    assert flip.start == len("UPDATE public.t SET a = 1 WHERE b ")


@given(st.recursive(st.sampled_from(["a = 1", "b IS NULL", "c < 2", "d"]), lambda inner: st.builds(
    "({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner), max_leaves=8))  # fmt: skip
def test_every_flip_parses_and_differs(expression: str) -> None:
    """Whatever the expression, each flip is another one that PostgreSQL's grammar takes."""
    for _, text in flipped(expression):
        parse_raw(f"SELECT {text}")
        assert text != expression
    found = len(list(flipped(expression)))
    wanted = sum(expression.count(word) for word in (" = ", " IS ", " < ", " AND ", " OR "))
    assert found == wanted


def test_each_conjunct_is_taken_out_at_every_depth() -> None:
    """Of `a OR (b AND c)` four are made: without each side of the OR, without each side of the AND."""
    texts = {text for _, text in simpler("a OR (b IS NULL AND c)")}

    assert texts == {"b IS NULL AND c", "a", "a OR c", "a OR b IS NULL"}


def test_each_value_of_a_list_is_taken_out_and_one_is_added() -> None:
    """A list of texts loses each value and gains one; a list of numbers only loses."""
    texts = [text for _, text in other_values("s = ANY (ARRAY['A'::text, 'B'::text])")]
    numbers = [text for _, text in other_values("n = ANY (ARRAY[0, 3])")]

    assert len(texts) == 3
    assert "MUTANT" in texts[-1]
    assert len(numbers) == 2


def test_each_statement_of_a_body_is_left_out() -> None:
    """Simple ones, those inside IF and LOOP, and each compound one whole; the rest of the text stays."""
    found = applied(BODY)

    without = [what for what in found if what.startswith("without")]
    assert [what.split()[1] if "all of" not in what else "all of " + what.split()[3] for what in without] == [
        "the", "all of IF", "RAISE", "v_count", "all of FOR", "UPDATE", "RETURN", "all of WHILE", "v_count", "RETURN",
    ]  # fmt: skip
    assert "v_count integer;" in found["without the value of v_count integer := 1"]
    gone = next(text for what, text in found.items() if what.startswith("without all of IF"))
    assert "NULL;" in gone
    assert "ELSIF" not in gone
    assert "FOR v_row" in gone


def test_options_of_raise_and_constants_stay() -> None:
    """ERRCODE = '…' compares nothing, and a constant without a value would not compile."""
    found = applied(BODY)

    assert not [what for what in found if "ERRCODE" in what and what.startswith("= is")]
    assert not [what for what in found if "c_word" in what and what.startswith("without")]


def test_conditions_without_one_comparison_are_denied() -> None:
    """IF NOT FOUND, and conditions of several parts."""
    found = applied(BODY)

    assert any("NOT coalesce(p_one IS NULL OR p_two = 'a = b', false)" in text for text in found.values())
    assert any("ELSIF  FOUND" in text for text in found.values())


def test_statements_of_an_sql_body_but_the_last_are_left_out() -> None:
    """The last one makes the result."""
    found = applied("SELECT public.f(1);\nSELECT a FROM public.t WHERE a = 1", "sql")

    assert [what for what in found if what.startswith("without")] == ["without SELECT public.f(1)"]
    assert any("a <> 1" in text for text in found.values())


def test_edits_have_names_of_their_own() -> None:
    """Line and column are part of a name, so that a waiver names one edit."""
    names = [edit.what for edit in edits_of("plpgsql", BODY)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t FOR UPDATE", ["FOR UPDATE"]),
        ("SELECT a FROM t FOR NO KEY UPDATE OF t NOWAIT", ["FOR NO KEY UPDATE OF t NOWAIT"]),
        ("SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE SKIP LOCKED", [
            "ORDER BY a", "LIMIT 1", "FOR UPDATE SKIP LOCKED", "SKIP LOCKED",
        ]),
        ("SELECT (SELECT b FROM u ORDER BY b, c LIMIT 1), 'ORDER BY x' FROM t", ["ORDER BY b, c", "LIMIT 1"]),
        ("SELECT array_agg(a ORDER BY b) FROM t", ["ORDER BY b"]),
        ("SELECT substring(a FROM 1 FOR 2) FROM t", []),
        ("SELECT row_number() OVER (ORDER BY a) FROM t", []),
        ("not sql at all", []),
    ],
)  # fmt: skip
def test_each_clause_is_left_out(sql: str, expected: list[str]) -> None:
    """Locks, waits that are skipped, orders and limits: each once, and what remains is SQL."""
    found = list(without_clauses(sql))

    assert [flip.what.removeprefix("without ") for flip in found] == expected
    for flip in found:
        parse_raw(sql[: flip.start] + flip.text + sql[flip.end :])


def test_edges_are_moved_both_ways() -> None:
    """What is equal falls to the other side; an arrow or a string is no order."""
    found = [flip.what for flip in edges_of("SELECT a < 1, b <= 2, c > 3, d >= 4, e -> 'x < y', f = 5, g(h => 6)")]

    assert found == ["< is <=", "<= is <", "> is >=", ">= is >"]
