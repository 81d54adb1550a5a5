"""squawk: its rules are chosen, its answers believed only in two forms, and no comment silences it."""

from __future__ import annotations

import stat
import subprocess  # noqa: TID251 - asks squawk itself
from typing import TYPE_CHECKING

import pytest
from make_lints import lint_input, places

from scripts.errors.lint import SquawkError
from scripts.lint.squawk import SQUAWK_RULES, arguments, ask_squawk, parse_answer, squawk_program

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '[{"file": "0001_one.sql", "line": 0, "column": 0, "message": "m", "rule_name": "r", "help": null}]'


def program(folder: Path, script: str) -> Path:
    """A program in squawk's place."""
    path = folder / "squawk"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_it_finds_what_it_is_asked() -> None:
    """A dropped table is found where it stands, counted from 1, and bound to its statement."""
    findings = ask_squawk(lint_input("SELECT 1;\nDROP TABLE public.a;").files)

    assert places(findings) == ["1:2:1 ban-drop-table"]
    assert findings[0].rule == "squawk/ban-drop-table"
    assert findings[0].statement is not None
    assert findings[0].statement.index == 1


def test_clean_files_have_no_findings() -> None:
    """What is right passes, in both kinds of files at once."""
    texts = ("CREATE TABLE public.a (id bigint);", "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i ON public.a (id);")

    assert ask_squawk(lint_input(*texts).files) == []


def test_kind_of_file_decides_about_the_transaction() -> None:
    """A concurrent build is an error in a file that becomes a transaction, and none in one that is marked."""
    build = "SET statement_timeout = 0;\nCREATE INDEX CONCURRENTLY i ON public.a (id);"

    assert places(ask_squawk(lint_input(build, f"-- symphony:no_tx\n{build}").files)) == [
        "1:2:14 ban-concurrent-index-creation-in-transaction"
    ]


@pytest.mark.parametrize(
    "comment",
    ["-- squawk-ignore-file", "-- squawk-ignore ban-drop-table", "/* squawk-ignore-file */", "-- squawk-ignore-file é"],
)
def test_comments_silence_nothing(comment: str) -> None:
    """Its own ignore comments are blanked out before it reads the file; the place stays."""
    assert places(ask_squawk(lint_input(f"{comment}\nDROP TABLE public.a;").files)) == ["1:2:1 ban-drop-table"]


def test_a_configuration_above_chooses_no_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .squawk.toml beside, or above, the scratch folder is not read."""
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-drop-table"]\n', encoding="utf-8")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert places(ask_squawk(lint_input("DROP TABLE public.a;").files)) == ["1:1:1 ban-drop-table"]


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo '[]'; exit 1", "exit code 1, 0 findings"),
        (f"echo '{GOOD}'; exit 0", "exit code 0, 1 findings"),
        ("echo '[]'; exit 2", "exit code 2, 0 findings"),
        ("exit 0", "exit code 0, no JSON"),
        ("echo oops; exit 1", "exit code 1, no JSON"),
        ("echo '{}'; exit 0", "exit code 0, JSON of another form"),
        ("echo '[1]'; exit 1", "exit code 1, an entry of another form"),
        (f"echo '{GOOD.replace('0001_one.sql', 'other.sql')}'; exit 1", "exit code 1, one in another file"),
        ("kill -9 $$", "exit code -9, no JSON"),
    ],
    ids=str,
)
def test_any_other_answer_is_an_error(tmp_path: Path, script: str, found: str) -> None:
    """Exit code and JSON have to agree: whatever does not is never a pass."""
    with pytest.raises(SquawkError) as caught:
        ask_squawk(lint_input("SELECT 1;").files, program=program(tmp_path, script))

    assert f"found     {found}" in str(caught.value)
    assert "pin the squawk-cli version" in str(caught.value)


def test_no_answer_in_time(tmp_path: Path) -> None:
    """A program that hangs is an error after its deadline."""
    with pytest.raises(SquawkError, match="squawk gave no answer"):
        ask_squawk(lint_input("SELECT 1;").files, program=program(tmp_path, "exec sleep 60"), deadline_s=0.2)


def test_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program beside this Python there is no second opinion, so there is an error."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    with pytest.raises(SquawkError) as caught:
        squawk_program()
    assert str(caught.value).splitlines() == [
        "error[squawk]: squawk is not installed in this environment",
        "  expected  the program squawk beside the Python that runs this",
        "  found     none",
        "  help: install the locked requirements: pip install --require-hashes -r requirements.txt",
    ]
    with pytest.raises(SquawkError, match="squawk gave no answer"):
        ask_squawk(lint_input("SELECT 1;").files, program=tmp_path / "squawk")


def test_syntax_it_does_not_know_is_a_finding() -> None:
    """Its parser is its own; where it stops, nothing behind was looked at."""
    answer = parse_answer(1, GOOD.replace('"r"', '"syntax-error"').encode(), {"0001_one.sql"})

    assert answer[0]["rule_name"] == "syntax-error"


def test_every_rule_named_is_one_of_its_rules(tmp_path: Path) -> None:
    """The table names rules of the version installed, each once, each with a reason."""
    names = [rule.name for rule in SQUAWK_RULES]
    assert len(set(names)) == len(names)
    assert all(rule.why for rule in SQUAWK_RULES)
    (tmp_path / "a.sql").write_text("SELECT 1;\n", encoding="utf-8")

    every = [f"--include={name}" for name in names]
    done = subprocess.run([str(squawk_program()), *every, "a.sql"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_rules_left_out_are_left_out_and_added_ones_added() -> None:
    """The command line says exactly what the table says."""
    called = arguments(no_tx=False)

    assert {a for a in called if a.startswith("--exclude=")} == {
        f"--exclude={rule.name}" for rule in SQUAWK_RULES if rule.default and not rule.asked
    }
    assert {a for a in called if a.startswith("--include=")} == {
        f"--include={rule.name}" for rule in SQUAWK_RULES if not rule.default and rule.asked
    }
    assert "--assume-in-transaction" in called
    assert "--no-assume-in-transaction" in arguments(no_tx=True)
