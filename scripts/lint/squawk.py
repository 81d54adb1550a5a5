"""squawk, the second opinion: which of its rules are asked, and its answer read strictly.

Owns: the subprocess, `SQUAWK_RULES` with the reason for every choice.
Promises: exit code and JSON must agree; any other answer is an error, never a pass. A comment cannot silence a rule:
    squawk is shown the files with their comments blanked out, so that places stay.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - the owner of squawk
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.errors.lint import SquawkError
from scripts.lint.model import Finding
from scripts.parser.statements import scan_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.lint.subject import LintFile

DEADLINE_S = 60.0
_FIELDS = {"file": str, "line": int, "column": int, "message": str, "rule_name": str}
_HELP = "change the statement, or record an exemption with its reason in lint_allowlist.yml"


@dataclass(frozen=True, slots=True)
class SquawkRule:
    """One of squawk's rules. `asked`: whether its answer counts. `default`: whether squawk asks it by itself."""

    name: str
    asked: bool
    why: str
    default: bool = True


def _asked(*names: str, why: str = "", default: bool = True) -> tuple[SquawkRule, ...]:
    return tuple(SquawkRule(name, asked=True, why=why or "asked as it is", default=default) for name in names)


def _left(*names: str, why: str, default: bool = True) -> tuple[SquawkRule, ...]:
    return tuple(SquawkRule(name, asked=False, why=why, default=default) for name in names)


# Every rule of squawk 2.70 by name. A name that is new to this table is asked all the same: defaults are never trimmed
# to a list, so a new version can only add findings.
SQUAWK_RULES: tuple[SquawkRule, ...] = (
    *_asked(
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "ban-alter-domain-with-add-constraint",
        "ban-alter-identity",
        "ban-char-field",
        "ban-concurrent-index-creation-in-transaction",
        "ban-create-domain-with-constraint",
        "ban-drop-column",
        "ban-drop-constraint",
        "ban-drop-database",
        "ban-drop-domain",
        "ban-drop-extension",
        "ban-drop-generated-expression",
        "ban-drop-not-null",
        "ban-drop-schema",
        "ban-drop-sequence",
        "ban-drop-table",
        "ban-drop-type",
        "ban-drop-view",
        "ban-duplicate-column-assignments",
        "ban-set-schema",
        "ban-truncate-cascade",
        "ban-uncommitted-transaction",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "identifier-too-long",
        "prefer-identity",
        "prefer-repack",
        "prefer-text-field",
        "prefer-timestamp-tz",
        "renaming-column",
        "renaming-object",
        "renaming-table",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "require-enum-value-ordering",
        "transaction-nesting",
    ),
    *_asked(
        "ban-alter-database-options",
        "ban-alter-extension",
        "ban-alter-generated-expression",
        "ban-alter-sequence-values",
        "ban-alter-system-options",
        "ban-detach-inheritance",
        "ban-drop-default",
        "ban-drop-index",
        "ban-drop-policy",
        "ban-replica-identity",
        "require-table-schema",
        why="off by default; a payments schema wants it asked",
        default=False,
    ),
    *_left("ban-drop-function", why="our drop-existing knows a replacement that takes the old calls; squawk does not"),
    *_left("ban-drop-trigger", why="our drop-existing knows a replacement; squawk does not", default=False),
    *_left(
        "require-concurrent-index-creation",
        why="our blocking-index follows tables from file to file; one exemption for one finding is enough",
    ),
    *_left("prefer-robust-stmts", why="the contrary holds here: existence-test and concurrent-if-not-exists forbid it"),
    *_left(
        "require-lock-timeout", why="our lock-timeout asks for it where an existing table is locked, and only there"
    ),
    *_left(
        "require-statement-timeout",
        "require-timeout-settings",
        why="the runner sets statement_timeout for every session",
    ),
    *_left(
        "prefer-bigint-over-int", "prefer-bigint-over-smallint", why="counters that cannot grow so far stay integer"
    ),
    *_left(
        "ban-add-column",
        "ban-add-composite-attribute",
        "ban-add-enum-value",
        "ban-set-default",
        why="expanding the schema is what migrations are for",
        default=False,
    ),
    *_left(
        "ban-disable-trigger",
        why="it also fires on ENABLE ALWAYS, which our guards want; trigger-switch refuses what weakens a trigger",
        default=False,
    ),
    *_left(
        "ban-revoke",
        why="taking privileges from PUBLIC is required here; revoked-grant finds what a role had from an earlier file",
        default=False,
    ),
    *_left(
        "ban-new-write-restriction",
        why="new rows are to be restricted; what that does to old rows is proved on a real server",
        default=False,
    ),
    *_left(
        "ban-alter-function-options",
        "ban-alter-role-options",
        "ban-replace-view-function",
        why="search_path, role-power and drop-existing judge what such a statement does; squawk bans it whole",
        default=False,
    ),
    *_left(
        "ban-alter-policy-condition",
        "ban-alter-policy-roles",
        "ban-create-policy",
        "ban-alter-row-level-security",
        "ban-alter-view-options",
        why="row-security refuses it on existing tables, and trigger-switch refuses switching it off",
        default=False,
    ),
)


def squawk_program() -> Path:
    """squawk, beside the Python that runs this.

    Raises:
        SquawkError: it is not there.
    """
    name = "squawk.exe" if sys.platform == "win32" else "squawk"
    # Not resolved: a virtual environment's python is a link to another folder.
    program = Path(sys.executable).parent / name
    if not program.is_file():
        raise SquawkError.missing(name)
    return program


def ask_squawk(
    files: Sequence[LintFile], *, program: Path | None = None, deadline_s: float = DEADLINE_S
) -> list[Finding]:
    """Every finding, in the order of the files.

    Args:
        files: what to look at.
        program: squawk; the environment's own when None.
        deadline_s: longest wait, in seconds, for each of the two kinds of files.

    Raises:
        SquawkError: it is missing, gives no answer, or one that cannot be believed.
    """
    program = program or squawk_program()
    found: list[Finding] = []
    for no_tx in (False, True):
        group = {file.name: file for file in files if file.no_tx is no_tx}
        if group:
            found += _ask(program, group, no_tx=no_tx, deadline_s=deadline_s)
    order = {file.name: index for index, file in enumerate(files)}
    return sorted(found, key=lambda finding: (order[finding.file], finding.line, finding.column, finding.rule))


def _ask(program: Path, group: dict[str, LintFile], *, no_tx: bool, deadline_s: float) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="squawk-") as scratch:
        for name, file in group.items():
            (Path(scratch) / name).write_text(_without_comments(file.text), encoding="utf-8")
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, no shell, names that were checked
                [str(program), *arguments(no_tx=no_tx), *group],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise SquawkError.unusable(f"nothing within {deadline_s:g} s") from exc
        except OSError as exc:
            raise SquawkError.unusable(exc.strerror or type(exc).__name__) from exc
    answer = parse_answer(done.returncode, done.stdout, group.keys())
    return (_finding(entry, group[entry["file"]]) for entry in answer)


def arguments(*, no_tx: bool) -> list[str]:
    """What squawk is called with, the files left out."""
    excluded = [rule.name for rule in SQUAWK_RULES if rule.default and not rule.asked]
    included = [rule.name for rule in SQUAWK_RULES if not rule.default and rule.asked]
    # An empty configuration file: one that lies in a folder above must not choose other rules.
    return [
        "--config=/dev/null" if sys.platform != "win32" else "--config=NUL",
        "--reporter=json",
        "--pg-version=18",
        "--no-assume-in-transaction" if no_tx else "--assume-in-transaction",
        *(f"--exclude={name}" for name in excluded),
        *(f"--include={name}" for name in included),
    ]


def parse_answer(exit_code: int, output: bytes, names: Any) -> list[dict[str, Any]]:
    """The findings in squawk's answer.

    Args:
        exit_code: 0 for none, 1 for some.
        output: what it wrote to stdout.
        names: the files it was shown.

    Raises:
        SquawkError: anything else than these two forms.
    """
    expected = "exit code 0 and [], or exit code 1 and a list of findings"
    try:
        answer = json.loads(output)
    except ValueError as exc:
        raise SquawkError.unexpected(exit_code, expected, "no JSON") from exc
    if exit_code not in (0, 1) or not isinstance(answer, list) or bool(answer) != (exit_code == 1):
        found = f"{len(answer)} findings" if isinstance(answer, list) else "JSON of another form"
        raise SquawkError.unexpected(exit_code, expected, found)
    for entry in answer:
        if not isinstance(entry, dict) or any(not isinstance(entry.get(k), t) for k, t in _FIELDS.items()):
            raise SquawkError.unexpected(exit_code, f"findings with {', '.join(_FIELDS)}", "an entry of another form")
        if entry["file"] not in names:
            raise SquawkError.unexpected(exit_code, "findings in the files it was shown", "one in another file")
    return answer


def _finding(entry: dict[str, Any], file: LintFile) -> Finding:
    line, column = entry["line"] + 1, entry["column"] + 1  # squawk counts from 0
    before = [statement for statement in file.statements if (statement.line, statement.column) <= (line, column)]
    rule = f"squawk/{entry['rule_name']}"
    return Finding(
        rule,
        file.name,
        line,
        column,
        entry["rule_name"],
        f"{rule}: {entry['message']}",
        entry.get("help") or _HELP,
        before[-1] if before else None,
    )


def _without_comments(text: str) -> str:
    """The text with every comment turned to blanks: `-- squawk-ignore` would hide what follows."""
    pieces, end = [], 0
    for token in scan_tokens(text):
        if token.is_comment:
            blank = "".join("\n" if char == "\n" else " " for char in token.text)
            pieces += [text[end : token.start], blank]
            end = token.end
    return "".join([*pieces, text[end:]])
