"""One gate's evidence as a document: bound to a commit and a database, computed, and the same for the same commit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results import COMMIT, NOW, SOURCE, TOOLS, failing, inventory, passing, results

from scripts.digest import canonical_json
from scripts.evidence.expected import Expected, require_inventory
from scripts.evidence.record import run_passed
from scripts.evidence.source import Source
from scripts.evidence.statement import (
    RESERVED,
    RunFacts,
    ServerFacts,
    core_of,
    parse_statement,
    render_document,
    statement_json,
)
from scripts.result import Check, Outcome, Result
from scripts.server.model import Server

(ONE,) = inventory("g-0")
SERVER = Server(
    dsn="host=h password=hunter2hunter2",
    admin_dsn=None,
    origin="embedded",
    reason="no Docker engine",
    version="18.6",
    facts={"port": "5432"},
)
FACTS = RunFacts(SOURCE, TOOLS, ServerFacts.of(SERVER), "m" * 64, "b" * 64, "a" * 64)


def document(result: Result, facts: RunFacts = FACTS, expected: Expected = ONE) -> dict[str, Any]:
    """The document of a result in a run that began at NOW."""
    return statement_json(expected, result, facts, run_id="run-1", opened_at=NOW)


def test_the_head_that_other_tools_read() -> None:
    """check_id, status, git_sha, timestamp_utc and schema_fingerprint stand at the top."""
    found = document(passing("g-0"))
    assert list(found)[:5] == ["check_id", "status", "git_sha", "timestamp_utc", "schema_fingerprint"]
    assert found["check_id"] == "DB-G-0"
    assert found["status"] == "PASS"
    assert found["git_sha"] == COMMIT
    assert found["timestamp_utc"] == "2026-03-01T10:22:05.126456Z"
    assert found["schema_fingerprint"] == "a" * 64


def test_the_file_is_bound_to_commit_database_and_tools() -> None:
    """Commit, dirty flag, catalog, migrations, server and tools are this run's (D-21)."""
    found = document(passing("g-0"))
    assert found["source"]["commit"] == COMMIT
    assert found["source"]["dirty"] is False
    assert found["catalog"] == {"before": "b" * 64, "after": "a" * 64}
    assert found["migrations_digest"] == "m" * 64
    assert found["volatile"]["server"] == {
        "origin": "embedded",
        "version": "18.6",
        "reason": "no Docker engine",
        "facts": {"port": "5432"},
    }
    assert found["volatile"]["tools"] == TOOLS
    assert found["volatile"]["branch"] == "main"
    assert found["volatile"]["duration_ms"] == 3
    assert found["volatile"]["started_at"] == "2026-03-01T10:22:05.123456Z"
    assert found["volatile"]["finished_at"] == "2026-03-01T10:22:05.126456Z"
    assert b"hunter2" not in render_document(found)


def test_a_source_without_a_commit_says_so() -> None:
    """`none` with a reason, never UNKNOWN beside a pass (D-21, D-22)."""
    source = Source("none", None, None, dirty=True, reason="the folder is not a git repository")
    found = document(passing("g-0"), replace(FACTS, source=source))
    assert found["git_sha"] == "none"
    assert found["source"]["dirty"] is True
    assert found["source"]["reason"] == "the folder is not a git repository"


def test_a_gate_that_has_not_run_has_no_times() -> None:
    """NOT_RUN: no start, no end, the time of the run's opening in the head."""
    found = document(Result("g-0"))
    assert found["status"] == "NOT_RUN"
    assert found["volatile"]["started_at"] is None
    assert found["volatile"]["finished_at"] is None
    assert found["volatile"]["duration_ms"] is None
    assert found["timestamp_utc"] == "2026-03-01T10:22:05.123456Z"


def test_a_failure_says_what_and_how_to_repeat_it() -> None:
    """Expected and observed of each check; signature, task and command for a failure and for an error."""
    found = document(failing("g-0"))
    assert found["status"] == "FAIL"
    assert found["checks"][1] == {
        "id": "t_reject",
        "where": "public.t",
        "expected": "enabled",
        "observed": "disabled",
        "holds": False,
    }
    assert found["failures"] == [{"id": "t_reject", "where": "public.t", "help": "enable the trigger"}]
    assert found["failure_signature"] == "P0.DB_G_0.FAILED"
    assert found["origin_task_id"] == "TSK-P0-149"
    assert found["repro_command"] == "invoke verify --only g-0"
    broken = document(passing("g-0", error="the server went away"))
    assert broken["status"] == "ERROR"
    assert broken["error"] == "the server went away"
    assert broken["repro_command"] == "invoke verify --only g-0"
    assert "failure_signature" not in document(passing("g-0"))


def test_the_inventorys_own_texts_win() -> None:
    """A signature and a command given by the owner of the guarantee are taken as they are."""
    own = replace(
        ONE, failure_signature="P0.BIZ.MISSING", repro_command="invoke verify --only x", invariants=("INV-1",)
    )
    found = document(failing("g-0"), expected=own)
    assert found["failure_signature"] == "P0.BIZ.MISSING"
    assert found["repro_command"] == "invoke verify --only x"
    assert found["invariants"] == ["INV-1"]
    assert found["origin_task_id"] == "TSK-P0-149"


def test_details_stand_beside_the_rest() -> None:
    """A gate's own fields keep their names; a `volatile` one joins the volatile part."""
    found = document(passing("g-0", details={"roles_checked": 5, "bad_roles": [], "volatile": {"took": 3}}))
    assert found["roles_checked"] == 5
    assert found["bad_roles"] == []
    assert found["volatile"]["took"] == 3
    assert "took" not in json.dumps(core_of(found))


@pytest.mark.parametrize("key", sorted(RESERVED - {"volatile"}))
def test_details_cannot_take_our_place(key: str) -> None:
    """A gate cannot overwrite its own status, commit or checks."""
    with pytest.raises(ValueError, match=f"^details may not be named {key}$"):
        document(failing("g-0", details={key: "x"}))


def test_volatile_details_are_an_object() -> None:
    """Anything else under that name is refused."""
    with pytest.raises(ValueError, match=r"^details may not be named volatile, unless an object$"):
        document(passing("g-0", details={"volatile": 3}))


def test_what_was_cut_short_is_no_evidence() -> None:
    """A result that stopped at its first red check did not ask every question: no document is made of it."""
    with pytest.raises(RuntimeError, match=r"^the result of g-0 was cut short: it is no evidence$"):
        document(replace(failing("g-0"), cut_short=True))


def test_the_core_is_the_same_for_the_same_commit() -> None:
    """Time, run, server, tools and branch leave the core's bytes alone; a commit, a catalog or an answer does not."""
    one = document(passing("g-0"))
    later = NOW + timedelta(days=9)
    elsewhere = replace(
        FACTS,
        server=ServerFacts("docker", "18.1", "asked for", {}),
        tools={"python": "3.14"},
        source=replace(SOURCE, branch="other"),
    )
    two = statement_json(
        ONE, passing("g-0", started_at=later, finished_at=later), elsewhere, run_id="run-2", opened_at=later
    )
    assert canonical_json(core_of(one)) == canonical_json(core_of(two))
    assert one["core_sha256"] == two["core_sha256"]
    assert one["document_sha256"] != two["document_sha256"]
    for other in (
        document(passing("g-0"), replace(FACTS, source=replace(SOURCE, commit="0" * 40))),
        document(passing("g-0"), replace(FACTS, catalog_after="c" * 64)),
        document(failing("g-0")),
    ):
        assert other["core_sha256"] != one["core_sha256"]


@given(results("g-0"))
def test_any_result_is_read_back_as_it_was(result: Result) -> None:
    """Whatever a gate found, its file gives back the same outcome, checks and failures."""
    data = render_document(document(result))
    data.decode("ascii")
    _, again = parse_statement(data)
    assert again.outcome is result.outcome
    assert again.checks == tuple(replace(check, help="" if check.holds else check.help) for check in result.checks)
    assert again.failures == result.failures
    assert (again.examined, again.error, again.started_at) == (result.examined, result.error, result.started_at)


@given(results("g-0"), st.data())
def test_any_flipped_byte_is_seen(result: Result, data: st.DataObject) -> None:
    """One changed byte anywhere, and the file is refused."""
    stored = bytearray(render_document(document(result)))
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"^it|^a field"):
        parse_statement(bytes(stored))


def _resealed(changes: dict[str, Any]) -> bytes:
    """A forged document with digests that fit, as somebody with this source could make it."""
    from scripts.digest import digest_of

    forged = document(failing("g-0")) | changes
    forged["core_sha256"] = digest_of(core_of(forged))
    del forged["document_sha256"]
    forged["document_sha256"] = digest_of(forged)
    return render_document(forged)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"status": "PASS"}, "^its status is PASS, but its checks say FAIL$"),
        ({"status": "nonsense"}, "^its status is nonsense, but its checks say FAIL$"),
        ({"status": "PASS", "checks": []}, "^its status is PASS, but its checks say ERROR$"),
        (
            {"checks": [check | {"holds": True} for check in document(failing("g-0"))["checks"]]},
            "^its failures are not what its checks say$",
        ),
        ({"failures": []}, "^its failures are not what its checks say$"),
        ({"format": "other"}, "^its format is not parity-evidence/1$"),
        ({"checks": 3}, "^a field is missing or of another type$"),
        ({"volatile": {}}, "^a field is missing or of another type$"),
    ],
)
def test_a_status_that_the_checks_do_not_bear_out(changes: dict[str, Any], text: str) -> None:
    """A pass beside a failed check is refused even when every digest fits (D-22)."""
    with pytest.raises(ValueError, match=text):
        parse_statement(_resealed(changes))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "^it is not JSON$"),
        (b"\xff", "^it is not JSON$"),
        (b"[" * 100_000, "^it is not JSON$"),
        (b"[]\n", "^its bytes are not in the form they were written in$"),
        (b'{"a":1}', "^its bytes are not in the form they were written in$"),
        (b'{\n  "a": 1\n}\n', "^its content is not what its document_sha256 names$"),
    ],
)
def test_what_is_no_document(data: bytes, text: str) -> None:
    """Each kind of damage has its sentence."""
    with pytest.raises(ValueError, match=text):
        parse_statement(data)


def test_a_changed_core_digest_is_seen() -> None:
    """core_sha256 is checked by itself."""
    from scripts.digest import digest_of

    forged = document(passing("g-0")) | {"core_sha256": "0" * 64}
    del forged["document_sha256"]
    forged["document_sha256"] = digest_of(forged)
    with pytest.raises(ValueError, match=r"^its core is not what its core_sha256 names$"):
        parse_statement(render_document(forged))


def test_one_check_stands_on_one_line() -> None:
    """The stored form can be read and searched line by line."""
    text = render_document(document(failing("g-0"))).decode()
    assert '    {"id": "a_col", "where": "public.t", "expected": true, "observed": true, "holds": true},\n' in text
    assert text.endswith("}\n")


def test_a_run_of_nothing_has_not_passed() -> None:
    """No gate, no proof; an unfinished or aborted run has none either."""
    assert not run_passed("finished", [])
    assert run_passed("finished", [passing("g-0")])
    assert not run_passed("running", [passing("g-0")])
    assert not run_passed("aborted", [passing("g-0")])


def test_seven_outcomes_and_only_one_is_a_pass() -> None:
    """The outcomes are these seven."""
    assert len(Outcome) == 7
    assert not Check("x", True, 1).holds


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ((), "^a run that expects no evidence proves nothing$"),
        (inventory("g", "g"), "^two gates share one gate: g$"),
        (
            (Expected("a", "A", "phase0", "same"), Expected("b", "B", "phase0", "same")),
            r"^two gates share one file: phase0/same\.json$",
        ),
        ((Expected("a", "A", "../x", "y"),), "^not a place for evidence: "),
        ((Expected("a", "A", "phase0", "a/b"),), "^not a place for evidence: "),
        ((Expected("", "A", "phase0", "y"),), "^not a place for evidence: "),
    ],
)
def test_an_inventory_that_cannot_be_kept(expected: tuple[Expected, ...], text: str) -> None:
    """An empty or contradictory inventory is a fault of ours, seen before anything is written."""
    with pytest.raises(RuntimeError, match=text):
        require_inventory(expected)
