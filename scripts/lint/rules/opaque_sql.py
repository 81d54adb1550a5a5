"""opaque-sql: what migrating runs, and what a function holds, can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.lint.nodes import concrete, kind_of, name_of, option, strings
from scripts.parser.statements import body_language, scan_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput, Part


def find(subject: LintInput) -> Iterator[Finding]:
    """Bodies that do not parse, bodies in other languages, and dynamic SQL of unknown shape in a DO block."""
    for part in subject.parts:
        if part.problem:
            yield RULE.at(part, part.kind, f"cannot be parsed: {part.problem}")
        elif part.kind in ("CreateFunctionStmt", "DoStmt") and body_language(part.node) not in ("sql", "plpgsql"):
            language = body_language(part.node) or "no language"
            name = name_of(part.node.funcname) if part.kind == "CreateFunctionStmt" else "DO"
            yield RULE.at(part, name, f"a body in {language}, which no rule can read")
        elif part.kind in ("CreateFunctionStmt", "DoStmt") and _is_hidden(part):
            yield RULE.at(part, part.kind.removesuffix("Stmt"), "a body that cannot be found in the file (U&'…'?)")
        elif part.dynamic and part.executed and not _has_template(part):
            yield RULE.at(part, part.kind, "runs SQL that is made at run time and whose shape cannot be known")


def _is_hidden(part: Part) -> bool:
    """Whether there is a body, and not one part of the file came of it."""
    node = part.node
    body = option(node.args if part.kind == "DoStmt" else node.options, "as")
    if body is None or part.order[1] > 0:
        return False  # a body inside a body was cut with the body around it
    if any(other.body is not None for other in part.file.parts if other.statement is part.statement):
        return False
    arg = concrete(body.arg)
    text = arg.sval if kind_of(arg) == "String" else "".join(strings(arg.items))
    words = {token.word for token in scan_tokens(text) if not token.is_comment}
    return not words <= {"begin", "end", ";", "declare"}


def _has_template(part: Part) -> bool:
    return any(other.template and other.body is part.body for other in part.file.parts)


RULE = Rule(
    id="opaque-sql",
    gate="security-definer-dynamic-sql",
    severity="error",
    title="Every body is SQL or PL/pgSQL that parses, and a migration's dynamic SQL has a known shape",
    why="Whatever no rule can read would pass every rule.",
    help="use constants, or format() with %I and %L alone: then the shape is known",
    red="DO $$ BEGIN EXECUTE 'DROP ' || current_setting('x.y'); END $$;",
    green="DO $$ DECLARE r text := 'app'; BEGIN EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r); END $$;",
    find=find,
)
