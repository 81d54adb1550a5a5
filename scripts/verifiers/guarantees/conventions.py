"""INV-099: each table keeps the conventions written down in schema/table_conventions.yml."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scripts.settings import ROOT
from scripts.verifiers.facts.compare import ABSENT

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.verifiers.facts.shape import Table
    from scripts.verifiers.model import Database, Findings

_SPEC = ROOT / "schema" / "table_conventions.yml"
_NAME = "schema/table_conventions.yml"


def verify(database: Database, findings: Findings) -> None:
    """Each required column by type and nullability, each unique and index by its columns in order."""
    spec = read_spec() if database.spec is None else database.spec
    columns: list[Json] = []
    for name, wanted in spec["tables"].items():
        table = database.facts.tables.get(name)
        columns.extend(_column(findings, name, table, column) for column in wanted.get("required_columns", []))
        for kind, unique in (("required_uniques", True), ("required_indexes", False)):
            for keys in wanted.get(kind, []):
                _keys(findings, name, table, tuple(keys), unique=unique)
    findings.check("conventions_version", expected=1, observed=spec["version"], where=_NAME, examined=0)
    missing: list[Json] = [check.id for check in findings.checks if check.observed == ABSENT]
    mismatched: list[Json] = [name for name in findings.failed() if name not in missing]
    findings.details.update(
        spec_file=_NAME,
        tables_checked=len(spec["tables"]),
        checked_columns=columns,
        missing=missing,
        mismatched=mismatched,
    )


def read_spec() -> dict[str, Any]:
    """The written conventions."""
    # JSON is YAML: the file is kept in the part of YAML that needs no further reader.
    spec: dict[str, Any] = json.loads(_SPEC.read_text(encoding="utf-8"))
    return spec


def _column(findings: Findings, name: str, table: Table | None, wanted: dict[str, Any]) -> Json:
    found = next((c for c in table.columns if c.name == wanted["name"]), None) if table else None
    expected = wanted["type"] + (" NOT NULL" if wanted.get("not_null") else "")
    observed = ABSENT
    if found is not None:
        plain = replace(found, default=None, generated=None, not_null=found.not_null and bool(wanted.get("not_null")))
        observed = plain.text
    findings.check(
        f"{name}.{wanted['name']}",
        expected=expected,
        observed=observed,
        where=f"public.{name}.{wanted['name']}",
        examined=int(found is not None),
    )
    return {
        "table": name,
        "column": wanted["name"],
        "data_type": found.type if found else None,
        "is_nullable": not found.not_null if found else None,
    }


def _keys(findings: Findings, name: str, table: Table | None, keys: tuple[str, ...], *, unique: bool) -> None:
    label = f"{'unique' if unique else 'index'} on {name} ({', '.join(keys)})"
    here = [
        index
        for index in (table.indexes if table else ())
        if index.keys == keys and index.valid and index.ready and (index.unique or not unique)
    ]
    findings.check(
        label,
        expected="valid",
        observed="valid" if here else ABSENT,
        where=f"public.{name}",
        examined=len(here),
    )
