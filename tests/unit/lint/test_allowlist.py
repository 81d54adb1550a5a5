"""Exemptions: bound to a rule, a file and a whole statement; unused ones are findings; none ends by date."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from make_lints import BY_ID, lint, lint_input

from scripts.errors.lint import AllowlistError
from scripts.lint.allowlist import Allowlist, Exemption, parse_allowlist, read_allowlist, statement_digest
from scripts.lint.grants import granted_to
from scripts.lint.nodes import relation_of
from scripts.lint.run import find_all, read_lint_input, verify_lint
from scripts.parser.statements import parse_statements
from scripts.result import Outcome
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = "CREATE TABLE public.tenants (id bigint, name text);"
DROP = "ALTER TABLE public.tenants\n    DROP COLUMN name;"
GATE = "migration-expand-contract-policy"


def exemption(text: str = DROP, *, rule: str = "drop-existing", file: str = "0002_two.sql") -> Exemption:
    """The exemption of a one-statement file from a rule."""
    return Exemption(rule, file, digest(text), "the column was never written", "dba")


def digest(text: str) -> str:
    """The digest of a text's first statement."""
    return statement_digest(parse_statements(text, where="x")[0])


def outcome(text: str, *exemptions: Exemption, gate: str = GATE) -> Outcome:
    """What the gate says of a second file with this text."""
    return verify_lint(gate, lint_input(BEFORE, text, allowlist=Allowlist(exemptions))).outcome


def test_an_exemption_covers_its_finding() -> None:
    """What was accepted passes, and the evidence tells who accepted it and why."""
    assert outcome(DROP) is Outcome.FAIL

    result = verify_lint(GATE, lint_input(BEFORE, DROP, allowlist=Allowlist((exemption(),))))
    assert result.outcome is Outcome.PASS
    assert result.details["allowlisted_count"] == 1
    assert result.details["allowlisted"] == [
        {
            "file": "0002_two.sql",
            "lineno": 1,
            "kind": "drop-existing",
            "line": "DROP COLUMN of public.tenants.name",
            "reason": "the column was never written",
            "reviewer": "dba",
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE public.tenants\n    DROP COLUMN name,\n    DROP COLUMN id;",
        "ALTER TABLE public.tenants\n    DROP COLUMN id;",
        "ALTER TABLE public.tenants\n    DROP COLUMN name CASCADE;",
        "ALTER TABLE IF EXISTS public.tenants\n    DROP COLUMN name;",
    ],
)
def test_another_statement_that_begins_alike_is_not_covered(text: str) -> None:
    """D-25: the digest covers the whole statement, not its first line."""
    assert outcome(text, exemption()) is Outcome.FAIL


def test_an_exemption_is_bound_to_its_file_and_rule() -> None:
    """D-25: the same statement elsewhere, or another rule's finding, is not covered."""
    assert outcome(DROP, exemption(file="0001_one.sql")) is Outcome.FAIL
    assert outcome(DROP, exemption(rule="cascade")) is Outcome.FAIL


def test_layout_does_not_count() -> None:
    """A comment, a line break or lower case leave the statement what it is."""
    assert outcome("-- why\nalter table public . tenants drop /* x */ column NAME;", exemption()) is Outcome.PASS
    assert digest("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'") != digest(
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT  1'"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 1", "SELECT 2"),
        ("SELECT 1.0", "SELECT 1.00"),
        ("SELECT 'a'", "SELECT 'b'"),
        ("DROP TABLE public.a", "DROP TABLE public.a, public.b"),
        ("DROP TABLE public.a", "DROP VIEW public.a"),
        ("ALTER TABLE public.a ADD b int", "ALTER TABLE ONLY public.a ADD b int"),
    ],
)
def test_everything_else_counts(one: str, other: str) -> None:
    """Constants, names, kinds and options are part of the digest."""
    assert digest(one) != digest(other)


def test_an_unused_exemption_is_a_finding() -> None:
    """D-25: what no longer covers anything has to go, or be reviewed anew."""
    gate = "ddl-allowlist-governance"
    assert outcome(DROP, exemption(), gate=gate) is Outcome.PASS
    assert outcome(DROP, gate=gate) is Outcome.PASS

    result = verify_lint(gate, lint_input(BEFORE, "SELECT 1;", allowlist=Allowlist((exemption(),))))
    assert [check.observed for check in result.failures] == [
        ["lint_allowlist.yml:1:1 the exemption from drop-existing in 0002_two.sql covers nothing"]
    ]


def test_an_exemption_from_squawk() -> None:
    """What squawk finds is accepted in the same way."""
    accepted = exemption(rule="squawk/ban-drop-column")
    assert outcome(DROP, gate="squawk") is Outcome.FAIL
    assert outcome(DROP, accepted, gate="squawk") is Outcome.PASS
    assert outcome(DROP, accepted, gate="ddl-allowlist-governance") is Outcome.PASS


def test_a_finding_of_no_statement_cannot_be_exempted() -> None:
    """A useless marker belongs to the file; there is nothing to accept."""
    finding = lint("no-tx-useless", "-- symphony:no_tx\nSELECT 1;")[0]
    entry = Exemption(finding.rule, finding.file, "", "x", "y")

    assert Allowlist((entry,)).covers(finding) is None


def written(**changes: Any) -> dict[str, Any]:
    """One complete entry, with changes; None removes a field."""
    entry = {"rule": "r", "file": "f", "statement": "s", "reason": "because", "reviewer": "dba"} | changes
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (written(reason=None), "no reason"),
        (written(reviewer=" "), "no reviewer"),
        (written(statement=1), "no statement"),
        (written(expires_on="2026-01-01"), "an unknown expires_on"),
        ("text", "something that is no object"),
    ],
    ids=str,
)
def test_an_incomplete_exemption_is_an_error(entry: Any, found: str) -> None:
    """Every exemption says what, where, why and who, and nothing else; no date ends one."""
    with pytest.raises(AllowlistError) as caught:
        parse_allowlist(json.dumps({"exemptions": [written(), entry]}))

    assert "lint_allowlist.yml: exemption 2 is not complete" in str(caught.value)
    assert f"found     {found}" in str(caught.value)


@pytest.mark.parametrize("text", ["exemptions: []", "[]", "{}", '{"exemptions": {}}', '{"exemptions": [], "x": 1}'])
def test_another_form_is_an_error(text: str) -> None:
    """A list that cannot be read hides nothing and is not taken for an empty one."""
    with pytest.raises(AllowlistError, match="cannot be read"):
        parse_allowlist(text)


def test_the_same_exemption_twice_is_an_error() -> None:
    """Two entries for one finding would both count as used."""
    with pytest.raises(AllowlistError, match="exemption 2 is not complete"):
        parse_allowlist(json.dumps({"exemptions": [written(), written(reason="again")]}))


def test_no_file_is_no_exemption(tmp_path: Path) -> None:
    """A folder without a list has no exemptions; one that is no text is an error."""
    folder = tmp_path / "migrations"
    assert read_allowlist(folder) == Allowlist()

    (tmp_path / "lint_allowlist.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(AllowlistError, match="cannot be read"):
        read_allowlist(folder)


def test_identity_is_rule_file_and_statement() -> None:
    """Reason and reviewer explain an exemption; they do not make it another one."""
    assert exemption().key == replace(exemption(), reason="other").key


def test_no_reason_says_empty_of_a_table_that_may_be_written() -> None:
    """Where an exemption rests on an empty table, no file up to then lets a role insert into it."""
    ours = read_lint_input(Settings())
    inserts = [g for g in granted_to(ours, is_grant=True) if {"insert", "all"} & g.privileges]
    numbers = {file.name: file.number for file in ours.files}
    claims = {(e.file, e.statement) for e in ours.allowlist.exemptions if "it is empty" in e.reason}
    assert claims

    for finding in find_all(ours, [BY_ID["blocking-index"]]):
        assert finding.statement is not None
        if (finding.file, statement_digest(finding.statement)) in claims:
            table = str(relation_of(finding.statement.node.relation))
            writers = [g.role for g in inserts if g.name == table and g.part.file.number <= numbers[finding.file]]
            assert (finding.file, table, writers) == (finding.file, table, [])
