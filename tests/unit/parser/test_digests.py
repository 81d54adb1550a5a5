"""The digest of statements: blind to comments and white space, and to nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from scripts.migrations.folder.files import MigrationFile, read_files
from scripts.parser import library
from scripts.parser.statements import ParseError, parse_statements, scan_tokens, statement_digest, statement_digests
from scripts.settings import Settings

# Statements as lists of tokens, with what scanners stumble over.
STATEMENTS = [
    ["SELECT", "1", "+", "a", ".", "b", "::", "text"],
    ["SELECT", "'a;b--c'", "AS", '"x;y"', ",", "E'\\';'", "||", "U&'d\\0061t' ", "UESCAPE", "'!'"],
    ["SELECT", "$$ ; -- $q$ $$", ",", "$é$;$é$", ",", "B'01'", ",", "X'ff'", ",", "N'ü漢🙂'"],
    ["CREATE", "TABLE", "public", ".", '"Tä;ble"', "(", "Ä_a", "int", "DEFAULT", "1.5e3", ")"],
    ["CREATE", "FUNCTION", "f", "(", ")", "RETURNS", "int", "LANGUAGE", "sql", "BEGIN", "ATOMIC",
     "SELECT", "1", ";", "SELECT", "CASE", "WHEN", "true", "THEN", "2", "END", ";", "END"],
    ["DO", "$body$ BEGIN /* inside */ PERFORM 1; -- it counts\n END $body$"],
    ["UPDATE", "t", "SET", "a", "=", "b", "WHERE", "c", ">=", "-", "7", "AND", "d", "<>", "0x1F"],
]  # fmt: skip
GAPS = [" ", "\n", "\t", "\f", "\r\n", " -- é ; ' $$ \n", " /* nested /* ; $$ */ 漢 */ ", "\n\n"]
gaps = st.lists(st.sampled_from(GAPS), min_size=1, max_size=3).map("".join)
tokens = st.sampled_from(STATEMENTS)


def joined(parts: list[str], data: st.DataObject) -> str:
    """The tokens with something different between any two."""
    return "".join(part + data.draw(gaps) for part in parts)


@given(tokens, st.data())
def test_comments_and_white_space_never_count(parts: list[str], data: st.DataObject) -> None:
    """Whatever stands between two tokens."""
    assert statement_digest(joined(parts, data)) == statement_digest(" ".join(parts))


@given(tokens, st.data())
def test_the_case_of_keywords_and_bare_names_never_counts(parts: list[str], data: st.DataObject) -> None:
    """The server folds them; it folds ASCII alone."""
    words = [
        "".join(char.swapcase() if char.isascii() and data.draw(st.booleans()) else char for char in part)
        if part[0].isalpha() and "'" not in part
        else part
        for part in parts
    ]
    assert statement_digest(" ".join(words)) == statement_digest(" ".join(parts))


@given(tokens, st.data(), st.sampled_from(["drop", "twice", "swap", "replace", "letter"]))
def test_every_token_counts(parts: list[str], data: st.DataObject, edit: str) -> None:
    """A token removed, repeated, swapped with the next, replaced, or changed in one character."""
    at = data.draw(st.integers(0, len(parts) - 1))
    other = list(parts)
    if edit == "drop":
        del other[at]
    elif edit == "twice":
        other.insert(at, other[at])
    elif edit == "swap":
        other[at : at + 2] = reversed(other[at : at + 2])
    elif edit == "replace":
        other[at] = data.draw(tokens)[0]
    else:
        inside = data.draw(st.integers(0, len(other[at]) - 1))
        char = data.draw(st.sampled_from("aZ9_ .é"))
        other[at] = other[at][:inside] + char + other[at][inside + 1 :]
    try:
        edited = statement_digest(" ".join(other))
    except ParseError:
        return
    assume([part.lower() for part in other] != [part.lower() for part in parts])
    # A character may have been put in for white space, or become white space, between two tokens of the list.
    assume(shape(" ".join(other)) != shape(" ".join(parts)))
    assert edited != statement_digest(" ".join(parts))


def shape(text: str) -> list[tuple[str, str]]:
    """Kind and text of every token: our own, slow reading of what counts."""
    return [
        (token.kind, token.text.lower() if token.text[0].isalpha() and "'" not in token.text else token.text)
        for token in scan_tokens(text)
        if not token.is_comment
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'A'", "SELECT 'a'"),
        ('SELECT "A"', 'SELECT "a"'),
        ('SELECT "a"', "SELECT a"),
        ("SELECT É", "SELECT é"),
        ("SELECT N'a'", "SELECT N 'a'"),
        ("SELECT a >= b", "SELECT a > = b"),
        ("SELECT 'a'\n'b'", "SELECT 'ab'"),
        ("SELECT 1.50", "SELECT 1.5"),
        ("SELECT $1", "SELECT $2"),
        ("DO $$ -- one\n$$", "DO $$ -- two\n$$"),
        ("DO $a$x$a$", "DO $b$x$b$"),
        ("SELECT a b", "SELECT ab"),
        ("SELECT E'a'", "SELECT e'a'"),
    ],
)
def test_what_looks_alike_and_is_not(one: str, other: str) -> None:
    """Where in doubt two texts differ: the word for it is only kept for what cannot matter."""
    assert statement_digest(one) != statement_digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [("SELECT N'a'", "select n'a'"), ("SELECT N'a'", "SELECT NCHAR 'a'"), ("SELECT A", "select a")]
)
def test_what_looks_different_and_is_not(one: str, other: str) -> None:
    """The scanner makes the same tokens of them."""
    assert statement_digest(one) == statement_digest(other)


@given(st.lists(st.tuples(tokens, st.data()), max_size=5), st.sampled_from(["", "-- é\n", ";;", "/* a */ ;"]))
@example([], "-- é\n")
def test_one_scan_of_a_file_gives_what_each_statement_says(
    parts: list[tuple[list[str], st.DataObject]], before: str
) -> None:
    """The digests of a file's statements are those of the statements by themselves, multibyte text between or not."""
    text = "".join(f"{before} {joined(words, data)};" for words, data in parts)
    statements = parse_statements(text, where="f.sql") if _parses(text) else ()
    spans = [(statement.offset, statement.end) for statement in statements]
    assert statement_digests(text, spans) == tuple(statement.digest for statement in statements)


def _parses(text: str) -> bool:
    try:
        parse_statements(text, where="f.sql")
    except Exception:  # noqa: BLE001 - some of the lists of tokens are no SQL
        return False
    return True


def test_the_form_is_the_one_that_is_written_down() -> None:
    """Somebody else computes the same from the description; a stored digest must mean the same for ever."""
    file = MigrationFile.of_text("0001_a.sql", '-- symphony:no_tx\nDROP INDEX /* x */ Concurrently\n Public."I" ;;\n')
    words = b"\0".join([b"drop", b"index", b"concurrently", b"public", b".", b'"I"'])
    statement = hashlib.sha256(words).hexdigest()
    assert file.statements[0].digest == statement
    assert file.statements_digest == hashlib.sha256(f"statements/1\nno_tx\n{statement}\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("SELECT 1; SELECT 2;", True),
        ("-- why\nSELECT 1;;\n;SELECT 2", True),
        ("SELECT 1 /* ; */ ; select\t2;\n", True),
        ("SELECT 2; SELECT 1;", False),
        ("SELECT 1;", False),
        ("SELECT 1; SELECT 2; SELECT 2;", False),
        ("SELECT 1 SELECT; SELECT 2;", False),
    ],
)
def test_a_file_is_its_statements(text: str, same: bool) -> None:  # noqa: FBT001 - a parametrised value
    """Empty statements are none; the order and the number of the others count."""
    first = MigrationFile.of_text("0001_a.sql", "SELECT 1;\nSELECT 2;\n")
    assert (MigrationFile.of_text("0001_a.sql", text).statements_digest == first.statements_digest) is same


def test_the_marker_is_a_comment_that_counts() -> None:
    """Whether the file runs in a transaction is part of what it says; a comment that only mentions it is not."""
    plain, marked, mentioned = (
        MigrationFile.of_text("0001_a.sql", f"{head}DROP INDEX CONCURRENTLY i;").statements_digest
        for head in ("", "-- symphony:no_tx\n", "-- not symphony:no_tx\n")
    )
    assert plain == mentioned
    assert plain != marked


def test_every_file_of_the_project_says_something_else() -> None:
    """No two files, and no two statements of a file that are not copies, share a digest."""
    files = read_files(Path(Settings().migrations_dir))
    assert len({file.statements_digest for file in files}) == len(files)
    for file in files:
        texts = {tuple(shape(statement.text)) for statement in file.statements}
        assert len({statement.digest for statement in file.statements}) == len(texts)


@pytest.mark.parametrize("text", ["SELECT 'a", 'SELECT "a', "SELECT /* a", "SELECT $$a"])
def test_what_cannot_be_scanned_has_no_digest(text: str) -> None:
    """An unterminated constant has no tokens."""
    with pytest.raises(ParseError, match="unterminated"):
        statement_digest(text)


def test_keywords_are_those_of_the_grammar() -> None:
    """Of every word that the scanner takes for a keyword the case is of no account, and of nothing else but names."""
    words = [name.removesuffix("_P") for name in library.enum_names("Token").values() if name.isidentifier()]
    flat = library.scan(" ".join(words).encode())
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    kinds = [value for tag, value in pairs if tag == 32]
    keywords = sum(tag == 40 for tag, _ in pairs)
    first = {name: number for number, name in library.enum_names("Token").items()}["ABORT_P"]
    assert keywords == sum(kind >= first for kind in kinds) > 480
