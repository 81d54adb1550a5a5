"""Where inside a statement the server stumbled: DO blocks, functions, and functions that they call.

Owns: the reading of the server's CONTEXT, and the way from a line of a body to a line of the file.
Promises: of CONTEXT only function names and line numbers are kept; it quotes statements, which may hold values, and a
value may hold a line that looks like a function's: where CONTEXT quotes, a name is shown when the file holds it.
Limits: CONTEXT is read in the server's own English; under another lc_messages the inner places are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.errors.row_data import escaped
from scripts.migrations.told.shown import author, known
from scripts.parser.literals import Source, literal_source
from scripts.parser.statements import Positions, body_statements, parse_raw, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.migrations.folder.files import MigrationFile
    from scripts.parser.statements import Statement

_FRAME = re.compile(
    r"^(?:PL/pgSQL function (?P<name>.+?) line (?P<line>\d+) (?:at|during) (?P<doing>.+)"
    r'|SQL function "(?P<sql>.+)" statement (?P<number>\d+)'
    r'|compilation of PL/pgSQL function "(?P<made>.+)" near line (?P<near>\d+))$',
    re.MULTILINE,
)
_INLINE = "inline_code_block"
_FRAMES_MAX = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of the chain.

    name: with argument types for PL/pgSQL, without for SQL; empty for a DO block.
    number: the line of the body, or, for SQL, of the statement in it; from 1.
    sure: CONTEXT quoted nothing, so that the line is the server's.
    """

    name: str
    number: int
    language: str
    doing: str = ""
    sure: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Internal:
    """What the server was parsing inside: its text (never shown) and the character, from 0."""

    query: str
    position: int


def frames_of(context: str) -> tuple[Frame, ...]:
    """The chain, innermost first."""
    frames: list[Frame] = []
    sure = all(_FRAME.fullmatch(line) for line in context.split("\n"))
    for match in _FRAME.finditer(context):
        if match["sql"]:
            frames.append(Frame(match["sql"], int(match["number"]), "sql", sure=sure))
        elif match["made"]:
            frames.append(Frame(match["made"], int(match["near"]), "plpgsql", sure=sure))
        else:
            name = "" if match["name"] == _INLINE else match["name"]
            frames.append(Frame(name, int(match["line"]), "plpgsql", match["doing"], sure))
    return tuple(frames)


def inner_places(
    frames: Sequence[Frame], internal: Internal | None, file: MigrationFile, statement: Statement | None
) -> str:
    """The chain for people, innermost first, one level a line; the line and a caret when the character is known.

    Args:
        frames: as `frames_of` gives them.
        internal: where in an inner statement the server stumbled, when it says so.
        file: what ran.
        statement: the one that failed; None at the end of the transaction.
    """
    positions = Positions(file.text)
    lines: list[str] = []
    for level, frame in enumerate(frames[:_FRAMES_MAX]):
        owner = _owner(frame, file, statement)
        offset, exact = (None, False) if owner is None else _offset(frame, owner, internal if level == 0 else None)
        text = _frame_text(frame, file, positions, offset, exact=exact)
        if level == 0 and internal is not None and not exact and frame.doing == "EXECUTE":
            text += f", at character {internal.position + 1} of what EXECUTE ran"
        lines.append(text)
        if exact and offset is not None:
            lines.append(positions.caret(offset))
    if len(frames) > _FRAMES_MAX:
        lines.append(f"… and {len(frames) - _FRAMES_MAX} more")
    return "\n".join(lines)


def _owner(frame: Frame, file: MigrationFile, statement: Statement | None) -> Statement | None:
    """The statement of the file that holds the body; None for a function from elsewhere, or one that is not sure."""
    if not frame.name:
        return statement if statement is not None and statement.kind == "DoStmt" else None
    before = file.statements if statement is None else file.statements[: statement.index + 1]
    named = [made for made in before if made.kind == "CreateFunctionStmt" and _is_called(made, frame)]
    return named[0] if len(named) == 1 else None


def _is_called(made: Statement, frame: Frame) -> bool:
    name, bracket, arguments = frame.name.partition("(")
    *schema, bare = (part.strip('"') for part in name.split("."))
    parts = [part.string.sval for part in made.node.funcname]
    if parts[-1] != bare or (schema and len(parts) > 1 and parts[0] != schema[0]):
        return False
    if not bracket:
        return True
    wanted = len([part for part in arguments.rstrip(")").split(",") if part])
    modes = [parameter.function_parameter.mode for parameter in made.node.parameters]
    # FUNC_PARAM_OUT and FUNC_PARAM_TABLE are no part of a signature.
    return sum(mode not in (_OUT, _TABLE) for mode in modes) == wanted


_OUT, _TABLE = 2, 5


def _offset(frame: Frame, owner: Statement, internal: Internal | None) -> tuple[int | None, bool]:
    """The file's offset of the place, and whether it is the very character."""
    body = _body(owner)
    start = 0
    if body is not None and frame.language == "plpgsql":
        start = _line_start(body.text, frame.number)
    if internal is not None and body is not None:
        found = _find(internal.query, body.text, start)
        if found is not None and internal.position >= found[1]:
            return body.in_file(found[0] + internal.position - found[1]), True
    if frame.language == "sql":
        inner = [part for part in body_statements(owner) if part.depth == 0]
        return (inner[frame.number - 1].offset if frame.number <= len(inner) else None), False
    if body is None:
        return None, False
    while start < len(body.text) - 1 and body.text[start].isspace():
        start += 1
    return body.in_file(start), False


def _body(owner: Statement) -> Source | None:
    """The value of the string that holds the body, placed in the file; None for BEGIN ATOMIC."""
    before = ""
    for token in scan_tokens(owner.text):
        if token.is_comment:
            continue
        if token.kind in ("SCONST", "USCONST") and (
            before == "as" or (owner.kind == "DoStmt" and before != "language")
        ):
            value = parse_raw(f"SELECT {token.text}")[0].node.target_list[0].res_target.val.a_const.sval.sval
            return literal_source(token, value, Source(owner.text, owner.offset))
        before = token.word
    return None


def _line_start(text: str, line: int) -> int:
    start = 0
    for _ in range(line - 1):
        newline = text.find("\n", start)
        if newline < 0:
            break
        start = newline + 1
    return start


def _find(query: str, text: str, start: int) -> tuple[int, int] | None:
    """Where a statement of PL/pgSQL stands in a body, and how many characters of it are not the author's.

    PL/pgSQL puts SELECT for PERFORM, and blanks for INTO.
    """
    for added in (0, len("SELECT ") if query.startswith("SELECT ") else 0):
        blanks = re.compile(r"(?:\\ ){2,}")
        pattern = blanks.sub(lambda found: f"[\\s\\S]{{{len(found[0]) // 2}}}", re.escape(query[added:]))
        for match in re.compile(pattern).finditer(text, start) if query[added:].strip() else ():
            if not added or text[: match.start()].rstrip().lower().endswith("perform"):
                return match.start(), added
    return None


def _frame_text(frame: Frame, file: MigrationFile, positions: Positions, offset: int | None, *, exact: bool) -> str:
    unit = "statement" if frame.language == "sql" else "line"
    name = escaped(frame.name)
    if name and not frame.sure and not known(frame.name.replace('"', ""), author(file.text)):
        name = "(name withheld)"
    if offset is None:
        return f"function {name}, {unit} {frame.number}" if name else f"DO block, line {frame.number}"
    line, column = positions.line_column(offset)
    place = f"{file.name}:{line}:{column}" if exact else f"{file.name}:{line}"
    if not name:
        return f"{place} (line {frame.number} of the DO block)"
    return f"{place} (function {name}, {unit} {frame.number})"
