"""The SQL inside DO blocks and function bodies, with its place in the file.

Owns: `BodyStatement`.
Promises: nothing in a body is passed over: what cannot be parsed is handed on with `node` None, what is made at run
time is marked dynamic, and what is constant inside EXECUTE '…' is parsed as if it stood there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.parser.cutter import Piece
from scripts.parser.literals import Source, literal_source
from scripts.parser.native import ParseError, Token, parse_raw, scan_tokens
from scripts.parser.plpgsql import cut_plpgsql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.parser.parse import Statement

# EXECUTE 'DO $$ … EXECUTE …' may nest; nobody writes it deeper than this, and a loop must end.
NESTING_MAX = 16


@dataclass(frozen=True, slots=True)
class BodyStatement:
    """One statement of a body.

    text: its source; for an IF, WHILE, FOR, CASE or WHEN the head alone.
    offset: character offset in the file; `line` and `column` are 1-based in the file.
    kind: the protobuf message's name for SQL (InsertStmt, …), else the PL/pgSQL keyword (IF, RETURN, RAISE, EXECUTE,
        ASSIGN, PERFORM, DECLARE, COMMIT, …).
    node: the parsed SQL; for a PL/pgSQL statement a SelectStmt of its expressions; None when there is nothing to parse
        or the grammar refuses it (then `problem` says why).
    dynamic: the SQL that runs is made at run time; `node` is then the expression that makes it.
    language: plpgsql or sql.
    depth: 0 in the statement's own body; more in a body inside that body, and in the constant of an EXECUTE.
    """

    text: str
    offset: int
    line: int
    column: int
    kind: str
    node: Any = field(repr=False, compare=False)
    dynamic: bool
    language: str
    problem: str = ""
    depth: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    source: Source
    line_base: Statement

    def at(self, offset: int) -> tuple[int, int, int]:
        """File offset, line and column of a character of the source."""
        statement = self.line_base
        inside = self.source.in_file(offset) - statement.offset
        before = statement.text[:inside]
        line = statement.line + before.count("\n")
        newline = before.rfind("\n")
        column = statement.column + inside if newline < 0 else inside - newline
        return statement.offset + inside, line, column


def body_statements(statement: Statement) -> tuple[BodyStatement, ...]:
    """Every statement inside a DO block or a function body; nothing for any other statement.

    Bodies in other languages than sql and plpgsql hold no SQL that could be read.
    """
    source = Source(statement.text, statement.offset)
    return tuple(_of_node(statement.node, source, statement, 0))


def body_language(node: Any) -> str:
    """The language of a DO block or function, in lower case; `sql` for BEGIN ATOMIC; empty for any other node."""
    if node.DESCRIPTOR.name not in ("DoStmt", "CreateFunctionStmt"):
        return ""
    if node.DESCRIPTOR.name == "CreateFunctionStmt" and node.HasField("sql_body"):
        return "sql"
    for wrapper in _options(node):
        if wrapper.def_elem.defname == "language":
            return str(wrapper.def_elem.arg.string.sval).lower()
    return "plpgsql" if node.DESCRIPTOR.name == "DoStmt" else ""


def _options(node: Any) -> Any:
    return node.args if node.DESCRIPTOR.name == "DoStmt" else node.options


def _of_node(node: Any, source: Source, base: Statement, depth: int) -> Iterator[BodyStatement]:
    language = body_language(node)
    if language not in ("sql", "plpgsql") or depth > NESTING_MAX:
        return
    if node.DESCRIPTOR.name == "CreateFunctionStmt" and node.HasField("sql_body"):
        yield from _of_sql_body(source, base, depth)
        return
    body = _body_source(node, source)
    if body is None:
        return
    if language == "sql":
        yield from _of_sql(body, base, depth)
    else:
        yield from _of_plpgsql(body, base, depth)


def body_text(node: Any) -> str | None:
    """The body of a DO block or function as the server gets it; None when it is not given as a string."""
    for wrapper in _options(node):
        option = wrapper.def_elem
        if option.defname == "as":
            arg = option.arg
            value: str = arg.string.sval if arg.WhichOneof("node") == "string" else arg.list.items[0].string.sval
            return value
    return None


def _body_source(node: Any, source: Source) -> Source | None:
    """The value of the AS string, placed in the file."""
    value = body_text(node)
    if value is None:
        return None
    # Its place is the word AS (or the string itself in a DO): the body is the first string from there on whose
    # value it is; only a string of another option could come between, and that one has another value.
    for token in scan_tokens(source.text):
        if token.kind in ("SCONST", "USCONST") and _contains_value(token, value):
            return literal_source(token, value, source)
    return None


def _contains_value(token: Token, value: str) -> bool:
    if token.text.startswith("$"):
        return token.text.endswith("$") and value in token.text and len(token.text) - len(value) >= 4
    placed = literal_source(token, value, Source("", 0))
    return placed.offsets is not None and (len(set(placed.offsets)) > 1 or not value)


def _of_sql_body(source: Source, base: Statement, depth: int) -> Iterator[BodyStatement]:
    """BEGIN ATOMIC … END, or RETURN expression: parsed again piece by piece for the places."""
    tokens = [token for token in scan_tokens(source.text) if not token.is_comment]
    begin = next(
        (i for i, token in enumerate(tokens[:-1]) if token.word == "begin" and tokens[i + 1].word == "atomic"), None
    )
    if begin is None:
        start = next(i for i in range(len(tokens) - 1, -1, -1) if tokens[i].word == "return")
        last = tokens[-1].end
        piece = Piece(
            "RETURN", tokens[start].start, last, "SELECT" + source.text[tokens[start].end : last], tokens[start].start
        )
        yield from _of_piece(piece, _Place(source, base), "sql", depth)
        return
    end = max(i for i, token in enumerate(tokens) if token.word == "end")
    start, nested = begin + 2, 0
    for index in range(begin + 2, end):
        token = tokens[index]
        nested += (token.text == "(") - (token.text == ")")
        if token.text == ";" and nested == 0:
            if start < index:
                first, last = tokens[start].start, tokens[index - 1].end
                text = source.text[first:last]
                # RETURN inside BEGIN ATOMIC is not a statement of its own for the grammar.
                sql = "SELECT" + text[len("return") :] if tokens[start].word == "return" else text
                yield from _of_piece(Piece("SQL", first, last, sql, first), _Place(source, base), "sql", depth)
            start = index + 1


def _of_sql(body: Source, base: Statement, depth: int) -> Iterator[BodyStatement]:
    place = _Place(body, base)
    try:
        statements = parse_raw(body.text)
    except ParseError as exc:
        yield _unread(body, base, exc, "SQL", depth)
        return
    for raw in statements:
        text = body.text[raw.start : raw.end].rstrip()
        offset, line, column = place.at(raw.start)
        yield BodyStatement(
            text, offset, line, column, raw.node.DESCRIPTOR.name, raw.node, dynamic=False, language="sql", depth=depth
        )
        yield from _of_node(raw.node, body.part(raw.start, raw.end), base, depth + 1)


def _of_plpgsql(body: Source, base: Statement, depth: int) -> Iterator[BodyStatement]:
    place = _Place(body, base)
    try:
        tokens = [token for token in scan_tokens(body.text) if not token.is_comment]
    except ParseError as exc:
        yield _unread(body, base, exc, "BODY", depth)
        return
    for piece in cut_plpgsql(body.text, tokens):
        yield from _of_piece(piece, place, "plpgsql", depth)


def _unread(body: Source, base: Statement, exc: ParseError, kind: str, depth: int) -> BodyStatement:
    """A body that the grammar refuses, as one statement with its problem."""
    offset, line, column = _Place(body, base).at(exc.offset or 0)
    return BodyStatement(
        body.text,
        offset,
        line,
        column,
        kind,
        None,
        dynamic=False,
        language="sql" if kind == "SQL" else "plpgsql",
        problem=exc.message,
        depth=depth,
    )


def _of_piece(piece: Piece, place: _Place, language: str, depth: int) -> Iterator[BodyStatement]:
    source = place.source
    offset, line, column = place.at(piece.start)
    node, problem = _parsed(piece.sql)
    constant = _constant(piece, node)
    kind = node.DESCRIPTOR.name if piece.kind == "SQL" and node is not None else piece.kind
    yield BodyStatement(
        source.text[piece.start : piece.end],
        offset,
        line,
        column,
        kind,
        node,
        dynamic=piece.dynamic and constant is None,
        language=language,
        problem=problem,
        depth=depth,
    )
    if constant is not None:
        token, value = constant
        inner = literal_source(token, value, source)
        yield from _of_sql(inner, place.line_base, depth + 1)
    elif piece.kind == "SQL" and node is not None:
        yield from _of_node(node, source.part(piece.start, piece.end), place.line_base, depth + 1)


def _parsed(sql: str) -> tuple[Any, str]:
    if not sql.strip():
        return None, ""
    try:
        statements = parse_raw(sql)
    except ParseError as exc:
        return None, exc.message
    if len(statements) != 1:
        return None, f"{len(statements)} statements where one was expected"
    return statements[0].node, ""


def _constant(piece: Piece, node: Any) -> tuple[Token, str] | None:
    """The string token and value of an EXECUTE whose SQL is a constant."""
    if not piece.dynamic or node is None or len(node.target_list) != 1:
        return None
    value = node.target_list[0].res_target.val
    if value.WhichOneof("node") != "a_const" or value.a_const.WhichOneof("val") != "sval":
        return None
    for token in scan_tokens(piece.sql):
        if token.kind in ("SCONST", "USCONST"):
            moved = Token(token.kind, token.start + piece.sql_start, token.end + piece.sql_start, token.text)
            return moved, value.a_const.sval.sval
    return None
