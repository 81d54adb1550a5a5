"""PL/pgSQL cut into its statements, by tokens of PostgreSQL's own scanner.

Owns: where a PL/pgSQL statement begins and ends, and which part of it is SQL.
Why not libpg_query's own PL/pgSQL parser: it answers "Not implemented" for %TYPE and %ROWTYPE of relations, and
invalid JSON for every trigger function (libpg_query 18, seen with postgast 0.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.cutter import CLOSING, OPENING, Cutter, Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.parser.native import Token

_QUERY_STARTS = frozenset({"select", "with", "values", "table", "insert", "update", "delete", "merge", "("})
# Option names of RAISE … USING that SQL reserves; one letter is masked so that `name = value` parses as a comparison.
_RESERVED_OPTIONS = frozenset({"column", "constraint", "table"})


def cut_plpgsql(text: str, tokens: Sequence[Token]) -> list[Piece]:
    """Every statement of a body, in the order of the source; nested blocks are flattened.

    Args:
        text: the body.
        tokens: its tokens, comments left out.
    """
    cutter = Cutter(text, tokens)
    while cutter.at < len(tokens):
        before = cutter.at
        _step(cutter)
        cutter.at = max(cutter.at, before + 1)
    return cutter.pieces


def _step(cutter: Cutter) -> None:
    word = cutter.word()
    if word == ";":
        cutter.at += 1
    elif word.startswith("#"):
        # A compiler option such as #variable_conflict: its line belongs to it.
        end = cutter.text.find("\n", cutter.tokens[cutter.at].start)
        while cutter.at < len(cutter.tokens) and (end < 0 or cutter.tokens[cutter.at].start < end):
            cutter.at += 1
    elif word == "<<":
        while cutter.at < len(cutter.tokens) and cutter.word() != ">>":
            cutter.at += 1
        cutter.at += 1
    elif word == "declare":
        cutter.declaring = True
        cutter.at += 1
    elif word == "begin":
        cutter.declaring = False
        cutter.open.append("block")
        cutter.at += 1
    elif cutter.declaring:
        _declaration(cutter)
    else:
        _statement(cutter, word)


def _declaration(cutter: Cutter) -> None:
    end = cutter.until()
    cursor = next((i for i in range(cutter.at + 1, min(cutter.at + 4, end)) if cutter.words[i] == "cursor"), None)
    if cursor is not None:
        start = cutter.until("for", "is", first=cursor)
        cutter.add("DECLARE", end, sql=(start + 1, end))
    else:
        start = cutter.until("default", ":=", "=")
        cutter.add("DECLARE", end, sql=(start + 1, end), prefix="SELECT ")
    cutter.at = end + 1


def _statement(cutter: Cutter, word: str) -> None:
    if word == "end":
        if cutter.open:
            cutter.open.pop()
        cutter.at = cutter.until() + 1
    elif word == "exception":
        if cutter.open:
            cutter.open[-1] = "handler"
        cutter.at += 1
    elif word == "else":
        cutter.at += 1
    elif word == "loop":
        cutter.open.append("loop")
        cutter.at += 1
    elif word in _HEADS:
        _HEADS[word](cutter)
    else:
        end = _end_of_simple(cutter)
        _SIMPLE.get(word, _sql_or_assignment)(cutter, end)
        cutter.at = end + 1


def _end_of_simple(cutter: Cutter) -> int:
    """The semicolon that ends a statement; one inside BEGIN ATOMIC … END of a CREATE FUNCTION does not."""
    words = [cutter.word(ahead) for ahead in range(5)]
    if words[0] != "create" or not {"function", "procedure"} & set(words):
        return cutter.until()
    end, depth = cutter.at, 0
    while end < len(cutter.tokens):
        word = cutter.words[end]
        if word == ";" and depth <= 0:
            break
        depth += (word in ("begin", "case")) - (word == "end")
        end += 1
    return end


def _if(cutter: Cutter) -> None:
    if cutter.word() == "if":
        cutter.open.append("if")
    _head(cutter, "IF", "then")


def _while(cutter: Cutter) -> None:
    cutter.open.append("loop")
    _head(cutter, "WHILE", "loop")


def _head(cutter: Cutter, kind: str, stop: str) -> None:
    end = cutter.until(stop)
    cutter.add(kind, end, sql=(cutter.at + 1, end), prefix="SELECT ")
    cutter.at = end + 1


def _when(cutter: Cutter) -> None:
    end = cutter.until("then")
    if cutter.open and cutter.open[-1] == "handler":
        cutter.add("EXCEPTION", end)
    else:
        cutter.add("WHEN", end, sql=(cutter.at + 1, end), prefix="SELECT ")
    cutter.at = end + 1


def _case(cutter: Cutter) -> None:
    cutter.open.append("case")
    end = cutter.until("when", first=cutter.at + 1)
    cutter.add("CASE", end, sql=(cutter.at + 1, end), prefix="SELECT ")
    cutter.at = end


def _for(cutter: Cutter) -> None:
    cutter.open.append("loop")
    end = cutter.until("loop")
    start = cutter.until("in", first=cutter.at) + 1
    first = cutter.words[start] if start < end else ""
    if cutter.word() == "foreach":
        array = next((i for i in range(start, end) if cutter.words[i] == "array"), end - 1)
        cutter.add("FOREACH", end, sql=(array + 1, end), prefix="SELECT ")
    elif first == "execute":
        _dynamic(cutter, "FOR", start + 1, end)
    elif first in _QUERY_STARTS and not _is_range(cutter, start, end):
        cutter.add("FOR", end, sql=(start, end))
    else:
        # An integer range is two or three expressions, a cursor loop is a name with arguments.
        start += first == "reverse"
        sql_start, sql_end = cutter.span(start, end)
        expressions = list(cutter.text[sql_start:sql_end])
        for index in range(start, end):
            token = cutter.tokens[index]
            if token.word in ("..", "by"):
                expressions[token.start - sql_start : token.end - sql_start] = ", "
        begin, stop = cutter.span(cutter.at, end)
        cutter.pieces.append(Piece("FOR", begin, stop, "SELECT " + "".join(expressions), sql_start - len("SELECT ")))
    cutter.at = end + 1


def _is_range(cutter: Cutter, start: int, end: int) -> bool:
    return any(cutter.tokens[index].kind == "DOT_DOT" for index in range(start, end))


_HEADS = {
    "if": _if,
    "elsif": _if,
    "elseif": _if,
    "while": _while,
    "when": _when,
    "case": _case,
    "for": _for,
    "foreach": _for,
}


def _dynamic(cutter: Cutter, kind: str, start: int, end: int) -> None:
    """EXECUTE expression [INTO …] [USING …]: the expression makes the SQL."""
    stop = cutter.until("into", "using", first=start)
    cutter.add(kind, end, sql=(start, min(stop, end)), prefix="SELECT ", dynamic=True)


def _execute(cutter: Cutter, end: int) -> None:
    _dynamic(cutter, "EXECUTE", cutter.at + 1, end)


def _perform(cutter: Cutter, end: int) -> None:
    cutter.add("PERFORM", end, sql=(cutter.at + 1, end), prefix="SELECT ")


def _return(cutter: Cutter, end: int) -> None:
    if cutter.word(1) == "query" and cutter.word(2) == "execute":
        _dynamic(cutter, "RETURN", cutter.at + 3, end)
    elif cutter.word(1) == "query":
        cutter.add("RETURN", end, sql=(cutter.at + 2, end))
    else:
        cutter.add("RETURN", end, sql=(cutter.at + (2 if cutter.word(1) == "next" else 1), end), prefix="SELECT ")


def _open(cutter: Cutter, end: int) -> None:
    start = cutter.until("for") + 1
    if start <= end and cutter.words[start] == "execute":
        _dynamic(cutter, "OPEN", start + 1, end)
    elif start <= end:
        cutter.add("OPEN", end, sql=(start, end))
    else:
        cutter.add("OPEN", end)


def _leave(cutter: Cutter, end: int) -> None:
    cutter.add(cutter.word().upper(), end, sql=(cutter.until("when") + 1, end), prefix="SELECT ")


def _assert(cutter: Cutter, end: int) -> None:
    cutter.add("ASSERT", end, sql=(cutter.at + 1, end), prefix="SELECT ")


def _plain(cutter: Cutter, end: int) -> None:
    cutter.add(cutter.word().upper(), end)


def _transaction(cutter: Cutter, end: int) -> None:
    cutter.add(cutter.word().upper(), end, sql=(cutter.at, end))


def _raise(cutter: Cutter, end: int) -> None:
    """RAISE level 'format', expression, … USING option = expression: parameters and options as one SELECT list."""
    using = min(cutter.until("using"), end)
    comma = min(cutter.until(",", first=cutter.at), using)
    first, last = (comma + 1, end) if comma < using else (using + 1, end)
    if first >= last:
        cutter.add("RAISE", end)
        return
    sql_start, sql_end = cutter.span(first, last)
    source = list(cutter.text[sql_start:sql_end])
    for index in range(first, last):
        token = cutter.tokens[index]
        at = token.start - sql_start
        if index == using:
            source[at : at + len("using")] = ",    "
        elif index > using and token.word in _RESERVED_OPTIONS and cutter.words[index - 1] in (",", "using"):
            source[at] = "_"
        elif index > using and token.word == ":=":
            source[at : at + 2] = "= "
    begin, stop = cutter.span(cutter.at, end)
    cutter.pieces.append(Piece("RAISE", begin, stop, "SELECT " + "".join(source), sql_start - len("SELECT ")))


def _sql_or_assignment(cutter: Cutter, end: int) -> None:
    value = _assigned(cutter, end)
    if value is not None:
        cutter.add("ASSIGN", end, sql=(value, end), prefix="SELECT ")
        return
    start, stop = cutter.span(cutter.at, end)
    source = list(cutter.text[start:stop])
    for token in _into_target(cutter, end):
        source[token.start - start : token.end - start] = " " * (token.end - token.start)
    cutter.pieces.append(Piece("SQL", start, stop, "".join(source), start))


def _assigned(cutter: Cutter, end: int) -> int | None:
    """The index of the first token of the value when the statement is `target := value`."""
    index = cutter.at + 1
    while index < end:
        word = cutter.words[index]
        if word in (":=", "="):
            return index + 1
        if word == ".":
            index += 2
        elif word == "[":
            index = cutter.until("]", first=index + 1) + 1
        else:
            return None
    return None


def _into_target(cutter: Cutter, end: int) -> list[Token]:
    """The tokens of `INTO [STRICT] target, …`, which is PL/pgSQL's and not SQL's."""
    depth = 0
    for index in range(cutter.at + 1, end):
        word, previous = cutter.words[index], cutter.words[index - 1]
        depth += (word in OPENING) - (word in CLOSING)
        if word != "into" or depth or previous in ("insert", "merge") or cutter.word() == "import":
            continue
        stop = index + 1
        if stop < end and cutter.words[stop] == "strict":
            stop += 1
        stop = _target_end(cutter, stop, end)
        return list(cutter.tokens[index:stop])
    return []


def _target_end(cutter: Cutter, index: int, end: int) -> int:
    while index < end:
        index += 1  # the name
        while index < end and cutter.words[index] in (".", "["):
            index = index + 2 if cutter.words[index] == "." else cutter.until("]", first=index + 1) + 1
        if index >= end or cutter.words[index] != ",":
            return index
        index += 1
    return index


_SIMPLE = {
    "execute": _execute,
    "perform": _perform,
    "return": _return,
    "open": _open,
    "exit": _leave,
    "continue": _leave,
    "assert": _assert,
    "raise": _raise,
    "get": _plain,
    "fetch": _plain,
    "move": _plain,
    "close": _plain,
    "null": _plain,
    "commit": _transaction,
    "rollback": _transaction,
}
