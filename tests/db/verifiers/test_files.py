"""What is settled by files as much as by the database: markers, declared indexes, bodies, conventions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.migrations.folder.files import MigrationFile
from scripts.verifiers.guarantees import conventions
from scripts.verifiers.model import Database
from scripts.verifiers.run import select_invariants, verify_invariant

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from db.verifiers.conftest import Bench

    from scripts.result import Result


def settle(bench: Bench, name: str, files: tuple[MigrationFile, ...]) -> Result:
    """The invariant, were the database made from these files."""
    (invariant,) = select_invariants([name])
    return verify_invariant(invariant, Database(bench.owner, bench.database.connect, files))


def test_a_file_without_its_marker_is_seen(bench: Bench) -> None:
    """D-18, D-28: a no-transaction file that became a plain SELECT is red, although its ledger row is there."""
    emptied = tuple(
        MigrationFile.of_text(file.name, "SELECT 1;\n") if file.number == 13 else file for file in bench.files
    )
    red = {check.id for check in settle(bench, "no-tx-migrations", emptied).failures}

    assert red == {"marked_files"}


def test_no_declared_index_is_no_pass(bench: Bench) -> None:
    """Files that declare nothing prove nothing."""
    plain = tuple(file for file in bench.files if not file.no_tx)
    red = {check.id for check in settle(bench, "no-tx-migrations", plain).failures}

    assert {"marked_files", "indexes_declared"} <= red


def test_a_vanished_and_an_unapplied_file_are_seen(bench: Bench) -> None:
    """D-19: a ledger row without file, and a file without ledger row."""
    vanished = settle(bench, "migration-history", bench.files[:-1])
    later = (*bench.files, MigrationFile.of_text("0028_later.sql", "SELECT 1;\n"))
    unapplied = settle(bench, "migration-history", later)

    assert [(c.id, c.observed) for c in vanished.failures] == [("recorded_without_file", [bench.files[-1].name])]
    assert [(c.id, c.observed) for c in unapplied.failures] == [("0028_later.sql", "not recorded")]


def test_an_edited_body_is_not_the_one_that_runs(bench: Bench) -> None:
    """A function whose file says something else than the database is red in every invariant that it holds."""
    edited = tuple(
        MigrationFile.of_text(file.name, file.text.replace("'P7215'", "'P7299'")) if file.number == 26 else file
        for file in bench.files
    )
    for name in ("definer-search-path", "payer-attribution"):
        red = {check.id for check in settle(bench, name, edited).failures}
        assert red == {"set_external_proofs_attribution_function"}


def test_conventions_are_read_from_their_file(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A convention that the schema does not keep is red, and told as missing or as mismatched."""
    wanted = {
        "required_columns": [
            {"name": "no_such_column", "type": "text", "not_null": True},
            {"name": "tenant_key", "type": "uuid", "not_null": True},
        ],
        "required_uniques": [["tenant_name"]],
        "required_indexes": [["status"]],
    }
    spec = tmp_path / "spec.yml"
    spec.write_text(json.dumps({"version": 2, "tables": {"tenants": wanted, "no_such_table": wanted}}))
    monkeypatch.setattr(conventions, "_SPEC", spec)
    result = settle(bench, "table-conventions", bench.files)

    assert {check.id for check in result.checks if check.holds} == {"index on tenants (status)"}
    assert result.details["mismatched"] == ["tenants.tenant_key", "conventions_version"]
    missing = result.details["missing"]
    assert isinstance(missing, list)
    assert "tenants.no_such_column" in missing
    assert result.details["tables_checked"] == 2
