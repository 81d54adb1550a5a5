"""Splitting files into statements: exact places, whatever stands between and inside the statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.history import HistoryError
from scripts.errors.sql_text import ClientCommandError, CopyStreamError, SqlSyntaxError
from scripts.parser.statements import Positions, cut_statements, parse_statements, scan_tokens, walk

if TYPE_CHECKING:
    from scripts.parser.statements import Statement

# Statements whose text holds what naive splitters fall over.
STATEMENTS = [
    "SELECT 1",
    "SELECT 'a;b--c' AS \"x;y\"",
    "SELECT $$ ; -- $q$ $$, $é$;$é$",
    "SELECT E'\\';' || 'ü漢🙂'",
    'CREATE TABLE public."Tä;ble" (a int DEFAULT 1 /* ; */)',
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
    "UPDATE t SET a = b -- why\n WHERE c",
]
BETWEEN = ["\n", " ", "-- é ; '\n", "/* nested /* ; $$ */ 漢 */", "\t", ";", "\n\n;; -- x\n", "/**/"]


def one(text: str) -> Statement:
    """The only statement of a text."""
    (statement,) = parse_statements(text, where="f.sql")
    return statement


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(BETWEEN), max_size=3), st.sampled_from(STATEMENTS)), max_size=6),
    st.lists(st.sampled_from(BETWEEN), max_size=3),
    st.sampled_from([";", ""]),
)
def test_every_statement_is_found_where_it_stands(
    parts: list[tuple[list[str], str]], tail: list[str], semicolon: str
) -> None:
    """Text, offset, line and column are exact; nothing is lost, joined or cut, multibyte or not."""
    text, expected = "", []
    for index, (before, statement) in enumerate(parts):
        text += "".join(before)
        expected.append((statement, len(text)))
        last = index == len(parts) - 1
        text += statement + (semicolon if last else ";")
    text += ("\n" if not semicolon else "") + "".join(tail)
    found = parse_statements(text, where="f.sql")
    cut = cut_statements(text, where="f.sql")
    assert [item.with_node(other.node) for item, other in zip(cut, found, strict=True)] == list(found)
    assert [item.parsed(where="f.sql").kind for item in cut] == [item.kind for item in found]
    assert [(item.text, item.offset) for item in found] == expected
    for item in found:
        assert text[item.offset :].startswith(item.text)
        assert item.line == text.count("\n", 0, item.offset) + 1
        assert item.column == item.offset - (text.rfind("\n", 0, item.offset) + 1) + 1
    assert [item.index for item in found] == list(range(len(found)))


@given(st.text(alphabet="abc'\"$;-/*é🙂\\:\n\t ()@0_", max_size=60))
def test_any_text_is_parsed_or_refused_with_a_place(text: str) -> None:
    """Never another exception, never a silent loss: what is not in a statement is blank, a comment or a semicolon."""
    error: HistoryError | None
    found: tuple[Statement, ...] = ()
    try:
        found = parse_statements(text, where="f.sql")
    except HistoryError as caught:
        error = caught
    else:
        error = None
    if error is not None:
        with pytest.raises(type(error)) as also:
            cut_statements(text, where="f.sql")
        assert str(also.value) == str(error)
        assert error.where.startswith("f.sql")
        assert error.exit_code == 4
        return
    inside = "".join(
        token.text
        for token in scan_tokens(text)
        if not token.is_comment and any(s.offset <= token.start < s.offset + len(s.text) for s in found)
    )
    everything = "".join(token.text for token in scan_tokens(text) if not token.is_comment)
    assert everything.replace(";", "") == inside.replace(";", "")


def test_kinds_are_the_grammars_names() -> None:
    """`kind` and `node` agree; a walk meets every message below, wrappers left out."""
    statement = one("CREATE INDEX CONCURRENTLY i ON t (lower(a)) WHERE b > (SELECT 1)")
    assert statement.kind == "IndexStmt"
    assert statement.node.concurrent
    names = [node.DESCRIPTOR.name for node in walk(statement.node)]
    assert names[0] == "IndexStmt"
    assert {"RangeVar", "FuncCall", "SubLink", "SelectStmt", "ColumnRef"} <= set(names)
    assert "Node" not in names


def test_deep_expressions_are_parsed() -> None:
    """A hundred levels are protobuf's default limit; real concatenations are longer."""
    text = "SELECT " + " || ".join(["a"] * 1500)
    assert sum(node.DESCRIPTOR.name == "ColumnRef" for node in walk(one(text).node)) == 1500


def test_a_syntax_error_shows_file_line_column_and_caret() -> None:
    """The place is in characters, after multibyte text too."""
    with pytest.raises(SqlSyntaxError) as caught:
        parse_statements("SELECT 'é漢';\nSELECT '漢' FORM t t t;\n", where="0001_a.sql")
    assert str(caught.value) == (
        'error[syntax]: 0001_a.sql:2:17: syntax error at or near "t"\n'
        "  source  SELECT '漢' FORM t t t;\n"
        "                           ^\n"
        "  help: correct the statement"
    )


def test_a_nul_is_refused_before_the_parser_could_stop_at_it() -> None:
    """The C library would silently read the first half."""
    with pytest.raises(SqlSyntaxError, match=r"f\.sql:1:9: a NUL character"):
        parse_statements("SELECT 1\0; DROP TABLE t", where="f.sql")


@pytest.mark.parametrize(
    ("text", "place"),
    [("\\restrict x\nSELECT 1;", "1:1"), ("SELECT 1;\n\\i other.sql\n", "2:1"), ("SELECT 1 \\gset", "1:10")],
)
def test_psql_commands_are_named(text: str, place: str) -> None:
    """A backslash command is refused as what it is."""
    with pytest.raises(ClientCommandError, match=rf"error\[psql\]: f\.sql:{place}: a psql command\n") as caught:
        parse_statements(text, where="f.sql")
    assert "grep -v '^\\\\'" in str(caught.value)


@pytest.mark.parametrize("variable", [":x", ":'x'", ':"x"', ":{?x}"])
def test_psql_variables_are_named(variable: str) -> None:
    """So is a variable, in each of its forms."""
    with pytest.raises(ClientCommandError, match=r"f\.sql:1:8: a psql variable"):
        parse_statements(f"SELECT {variable}", where="f.sql")


@pytest.mark.parametrize("rows", ["1\t2\n\\.\n", "it's\n\\.\n", "\\.\n", "a;b\n;c\n\\.\n"])
def test_copy_with_data_is_named(rows: str) -> None:
    """Whatever the rows look like, the error points at the COPY and not at the data."""
    with pytest.raises(CopyStreamError) as caught:
        parse_statements(f"SELECT 1;\nCOPY public.t (a) FROM STDIN WITH (FORMAT text);\n{rows}", where="f.sql")
    text = str(caught.value)
    assert text.startswith("error[copy]: f.sql:2:1: COPY … FROM STDIN\n")
    assert "help: write INSERT … VALUES" in text


def test_a_tree_too_deep_to_read_is_refused() -> None:
    """The grammar's own limit is told as an error of the file."""
    with pytest.raises(SqlSyntaxError):
        parse_statements("SELECT " + "f(" * 20000 + "1" + ")" * 20000, where="f.sql")


@given(st.text(alphabet="ab\té漢🙂\n", max_size=300), st.integers(0, 300))
def test_the_caret_stands_under_the_place(text: str, offset: int) -> None:
    """The caret line is as wide as what is before the place, however long the line is."""
    offset = min(offset, len(text))
    line, column = Positions(text).line_column(offset)
    lines = text.split("\n")
    assert sum(len(part) + 1 for part in lines[: line - 1]) + column - 1 == offset
    source, caret = Positions(text).caret(offset).split("\n")
    assert caret.strip() == "^"
    assert len(source) <= 112


@given(st.text(alphabet="aé漢🙂", max_size=40), st.data())
def test_bytes_become_characters(text: str, data: st.DataObject) -> None:
    """Offsets of the C library count bytes."""
    characters = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    offsets = [len(text[:index].encode()) for index in characters]
    assert Positions(text).characters(offsets) == characters
