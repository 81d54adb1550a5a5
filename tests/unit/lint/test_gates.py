"""The lints as gates: from findings to a result that cannot read as passed when nothing was looked at."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_lints import lint_input

from scripts.errors.history import FileNameError
from scripts.errors.lint import LandedError, RegistryError, SquawkError
from scripts.errors.sql_text import SqlSyntaxError
from scripts.lint import landed, squawk
from scripts.lint.allowlist import Allowlist
from scripts.lint.gates import LINT_GATES
from scripts.lint.run import read_lint_input, verify_lint
from scripts.lint.sqlstates import parse_registry, read_registry
from scripts.lint.subject import LintInput
from scripts.result import Outcome
from scripts.settings import Settings

if TYPE_CHECKING:
    from scripts.result import Result

ROOT = Path(__file__).resolve().parents[3]
GATES = [gate.id for gate in LINT_GATES]


@pytest.fixture(scope="module")
def ours() -> LintInput:
    """The project's own migrations."""
    return read_lint_input(Settings())


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "landed-migrations"])
def test_our_own_migrations_pass(gate: str, ours: LintInput) -> None:
    """AC4: every gate passes on 0001 to 0027, having looked at every statement of every file.

    What has landed is left out: while a migration is being written, the answer depends on the moment. squawk counts
    files, as it reads no statements of ours.
    """
    result = verify_lint(gate, ours)

    assert [check.observed for check in result.failures] == []
    assert result.outcome is Outcome.PASS
    assert ours.statement_count > 600
    assert result.examined == (len(ours.files) if gate == "squawk" else ours.statement_count)
    assert result.details["scanned_files"] == len(ours.files)


def test_every_rule_and_file_is_a_check(ours: LintInput) -> None:
    """What was looked at can be counted: one check for each rule and each file."""
    result = verify_lint("ddl-lock-risk", ours)

    assert len(result.checks) == 6 * len(ours.files)
    assert len({check.id for check in result.checks}) == len(result.checks)


def test_a_finding_fails_its_check_with_its_place() -> None:
    """D-23: a violation is in the evidence of the gate that found it, with file and line, and the gate fails."""
    result = verify_lint("no-tx-marker-lint", lint_input("SELECT 1;\n COMMIT;"))

    assert result.outcome is Outcome.FAIL
    check = next(check for check in result.failures)
    assert check.id == "transaction-control:0001_one.sql"
    assert check.observed == ["0001_one.sql:2:2 COMMIT: the transaction around a file is the runner's"]
    assert check.help.startswith("leave it out")
    assert result.details["violation_count"] == 1
    violation = json.loads(json.dumps(result.details["violations"]))[0]
    assert {key: violation[key] for key in ("file", "lineno", "column", "kind")} == {
        "file": "0001_one.sql",
        "lineno": 2,
        "column": 2,
        "kind": "transaction-control",
    }
    assert len(violation["statement"]) == 64


@pytest.mark.parametrize("gate", GATES)
def test_no_files_is_an_error(gate: str) -> None:
    """Nothing to look at never reads as passed."""
    empty = LintInput((), None, Allowlist(), Settings(), Path())

    result = verify_lint(gate, empty)
    assert result.outcome is Outcome.ERROR
    assert result.error == "there are no files to look at"


def test_a_finding_outside_the_files_counts() -> None:
    """What is wrong in the registry fails the gate, though the registry is no migration."""
    result = verify_lint("sqlstate-map-drift", lint_input("SELECT 1;"))

    assert [check.where for check in result.failures] == ["sqlstates.yml"]
    assert result.outcome is Outcome.FAIL


def refuse(error: Exception) -> object:
    """A function that only raises."""

    def raising(*_: object, **__: object) -> Result:
        raise error

    return raising


def test_a_lint_that_cannot_look_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither squawk nor git failing is a pass, and neither stops the gates beside it."""
    monkeypatch.setattr(squawk, "ask_squawk", refuse(SquawkError.missing("squawk")))
    monkeypatch.setattr(landed, "compare_landed", refuse(LandedError.no_base("origin/main", shallow=True)))
    subject = lint_input("SELECT 1;")

    result = verify_lint("squawk", subject)
    assert result.outcome is Outcome.ERROR
    assert result.error == (
        "squawk is not installed in this environment (expected the program squawk beside the Python that runs this;"
        " found none); install the locked requirements: pip install --require-hashes -r requirements.txt"
    )
    assert verify_lint("landed-migrations", subject).outcome is Outcome.ERROR
    assert verify_lint("names-lint", subject).outcome is Outcome.PASS


def test_landed_says_what_it_compared_with(ours: LintInput) -> None:
    """The record of a comparison names its base, or the reason why there is none."""
    result = verify_lint("landed-migrations", ours)

    assert str(result.details["comparison"]).startswith("compared with ")
    assert str(result.details["comparison"]) in result.checks[0].where
    assert result.examined >= len(ours.files)
    assert result.details["landed_files"]


def test_landed_is_an_error_where_our_own_folder_has_no_history(
    ours: LintInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """D-19: the project's files without git, or without their repository, are no pass, on CI or not."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = verify_lint("landed-migrations", ours)
    assert result.outcome is Outcome.ERROR
    assert result.error == (
        "git is not installed (expected a program git, to tell which migrations have landed; found none on the PATH);"
        " install git, and put its folder on the PATH"
    )
    monkeypatch.undo()

    monkeypatch.setattr(landed, "OWN_FOLDER", tmp_path)
    result = verify_lint("landed-migrations", replace(ours, folder=tmp_path))
    assert result.outcome is Outcome.ERROR
    assert result.error.startswith("the folder of migrations is not part of a git repository")


def test_a_file_that_does_not_parse_stops_the_lints(tmp_path: Path) -> None:
    """There is no half of an answer: the file, line and column are told, and nothing passes."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    settings = replace(Settings(), migrations_dir=folder)
    with pytest.raises(FileNameError, match="no migrations in the folder"):
        read_lint_input(settings)

    (folder / "0001_a.sql").write_text("SELECT 1;\nSELEC 2;\n", encoding="utf-8")
    with pytest.raises(SqlSyntaxError, match=r"0001_a\.sql:2:1"):
        read_lint_input(settings)


def test_any_folder_can_be_linted(tmp_path: Path) -> None:
    """A folder of other tables, outside of git and without registry or exemptions, gets its own answers."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_shop.sql").write_text("CREATE TABLE shop.orders (id bigint);\n", encoding="utf-8")
    (folder / "0002_shop.sql").write_text("ALTER TABLE shop.orders DROP COLUMN id;\n", encoding="utf-8")

    subject = read_lint_input(replace(Settings(), migrations_dir=folder))
    assert verify_lint("migration-expand-contract-policy", subject).outcome is Outcome.FAIL
    assert verify_lint("sqlstate-map-drift", subject).outcome is Outcome.PASS
    result = verify_lint("landed-migrations", subject)
    assert result.outcome is Outcome.PASS
    assert result.examined == 2
    assert result.checks[0].where == "0001_shop.sql, no repository: nothing has landed"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("codes: {}", "Expecting value"),
        ('{"codes": []}', "no object `codes` of objects"),
        ('{"codes": {"P7001": 1}}', "no object `codes` of objects"),
        ('{"codes": {"P701": {}}}', "'P701', which is no SQLSTATE"),
        ('{"codes": {"P7001": {}, "P7001": {}}}', "'P7001' twice"),
    ],
)
def test_a_registry_that_cannot_be_read_is_an_error(text: str, found: str) -> None:
    """No JSON, another shape, a code twice or a code that is none: never an empty registry."""
    with pytest.raises(RegistryError) as caught:
        parse_registry(text)

    assert "sqlstates.yml: cannot be read" in str(caught.value)
    assert found in str(caught.value)


def test_no_registry_is_none(tmp_path: Path) -> None:
    """A folder without a registry has none; one that is no text is an error."""
    assert read_registry(tmp_path / "migrations") is None
    (tmp_path / "sqlstates.yml").write_bytes(b"\xff")
    with pytest.raises(RegistryError, match="cannot be read"):
        read_registry(tmp_path / "migrations")


def test_lists_of_gates_cost_no_parser() -> None:
    """Naming the gates imports neither the parser nor the driver."""
    source = (ROOT / "scripts/lint/gates.py").read_text(encoding="utf-8")

    assert "scripts.parser" not in source


def test_lints_are_quick(ours: LintInput) -> None:
    """All gates over our files, squawk and git included, stay within a second on a busy machine."""
    verify_lint("sqlstate-map-drift", ours)  # the driver's import is not the lints'
    started = time.perf_counter()
    for gate in GATES:
        verify_lint(gate, ours)

    assert time.perf_counter() - started < 3
