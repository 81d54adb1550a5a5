"""The evidence of one gate, as a JSON document and back.

Owns: the document's shape; `check_id`, `status`, `git_sha`, `timestamp_utc` and `schema_fingerprint` are interface.
Promises: the *core* (every top-level key but `timestamp_utc`, `volatile`, `core_sha256` and `document_sha256`) is
    byte-identical for the same commit and the same answers; times, run id, server and tools stand under `volatile`.
    `status` is computed from the checks when written and computed again when read.
Never: touches a disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from scripts.clock import iso_utc
from scripts.digest import digest_of
from scripts.result import Check, Outcome, Planted, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.digest import Json
    from scripts.evidence.expected import Expected
    from scripts.evidence.source import Source
    from scripts.server.model import Server

FORMAT: Final = "parity-evidence/1"
OUTSIDE_CORE: Final = frozenset({"timestamp_utc", "volatile", "core_sha256", "document_sha256"})
# Every key of ours; a gate's own fields (Result.details) stand beside them and may not take their place.
RESERVED: Final = OUTSIDE_CORE | {
    "check_id",
    "status",
    "git_sha",
    "schema_fingerprint",
    "format",
    "gate",
    "file",
    "verb",
    "title",
    "invariants",
    "criteria",
    "answers",
    "source",
    "migrations_digest",
    "catalog",
    "examined",
    "checks",
    "failures",
    "controls",
    "error",
    "not_run_because",
    "failure_signature",
    "origin_task_id",
    "repro_command",
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What evidence may say of a server: where it came from, never how to log in."""

    origin: str
    version: str
    reason: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, server: Server) -> ServerFacts:
        """Take what may be shown from a server."""
        return cls(server.origin, server.version, server.reason, dict(server.facts))


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of the run's world. It grows as the run goes on; a file holds what was known when it was written.

    `catalog_before` and `catalog_after` are fingerprints of the very database that was looked at, around the gate.
    """

    source: Source
    tools: Mapping[str, str] = field(default_factory=dict)
    server: ServerFacts | None = None
    migrations_digest: str | None = None
    catalog_before: str | None = None
    catalog_after: str | None = None


def statement_json(
    expected: Expected, result: Result, facts: RunFacts, *, run_id: str, opened_at: datetime
) -> dict[str, Any]:
    """Build the document of one gate.

    Args:
        expected: the gate's place in the inventory.
        result: what became of it. A `details` entry named `volatile` joins the volatile part.
        facts: what is known of the run.
        run_id: name of the run.
        opened_at: when the run began: the time shown for a gate that has not run.

    Raises:
        ValueError: a value has no exact JSON form, or a detail takes the place of a field of ours.
        RuntimeError: the result was cut short, so that not every question was asked.
    """
    if result.cut_short:
        msg = f"the result of {result.gate} was cut short: it is no evidence"
        raise RuntimeError(msg)
    details = dict(result.details)
    volatile_details = details.pop("volatile", {})
    taken = sorted(RESERVED & details.keys())
    if taken or not isinstance(volatile_details, dict):
        msg = f"details may not be named {', '.join(taken) or 'volatile, unless an object'}"
        raise ValueError(msg)
    document: dict[str, Any] = {
        "check_id": expected.check_id,
        "status": str(result.outcome),
        "git_sha": facts.source.commit,
        "timestamp_utc": iso_utc(result.finished_at or result.started_at or opened_at),
        "schema_fingerprint": facts.catalog_after or facts.catalog_before,
        "format": FORMAT,
        "gate": expected.gate,
        "file": expected.file,
        "verb": expected.verb,
        "title": expected.title,
        "invariants": list(expected.invariants),
        "criteria": list(expected.criteria),
        "answers": list(expected.answers),
        "source": _source_json(facts.source),
        "migrations_digest": facts.migrations_digest,
        "catalog": {"before": facts.catalog_before, "after": facts.catalog_after},
        "examined": result.examined,
        "checks": [_check_json(check) for check in result.checks],
        "failures": [{"id": check.id, "where": check.where, "help": check.help} for check in result.failures],
        "controls": None if result.controls is None else [_control_json(control) for control in result.controls],
        "error": result.error or None,
        "not_run_because": result.not_run_because or None,
    }
    if result.outcome in (Outcome.FAIL, Outcome.ERROR):
        document |= {
            "failure_signature": expected.signature,
            "origin_task_id": expected.origin_task_id or None,
            "repro_command": expected.repeat,
        }
    document |= details
    document["core_sha256"] = digest_of(core_of(document))
    document["volatile"] = volatile_details | {
        "run_id": run_id,
        "started_at": _moment(result.started_at),
        "finished_at": _moment(result.finished_at),
        "duration_ms": duration_ms(result),
        "branch": facts.source.branch,
        "server": None if facts.server is None else _server_json(facts.server),
        "tools": dict(facts.tools),
    }
    document["document_sha256"] = digest_of(document)
    return document


def core_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a document that is the same for the same commit and the same answers."""
    return {key: value for key, value in document.items() if key not in OUTSIDE_CORE}


def duration_ms(result: Result) -> int | None:
    """How long the gate took, in whole milliseconds; None unless it started and finished."""
    if result.started_at is None or result.finished_at is None:
        return None
    return round((result.finished_at - result.started_at).total_seconds() * 1000)


def render_document(document: Mapping[str, Any]) -> bytes:
    """The one byte form in which a document is stored: ASCII, keys in the order given, one key or list item a line."""
    lines = []
    for key, value in document.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"    {json.dumps(item, allow_nan=False)}" for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def parse_document(data: bytes, *, digest_key: str) -> dict[str, Any]:
    """Read a stored document and require that not one byte of it has changed.

    Args:
        data: the file's content.
        digest_key: the key that holds the digest of all other keys.

    Raises:
        ValueError: not JSON, not in our byte form, or not what its digest names.
    """
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as exc:
        msg = "it is not JSON"
        raise ValueError(msg) from exc
    if not isinstance(document, dict) or render_document(document) != data:
        msg = "its bytes are not in the form they were written in"
        raise ValueError(msg)
    rest = {key: value for key, value in document.items() if key != digest_key}
    if document.get(digest_key) != digest_of(rest):
        msg = f"its content is not what its {digest_key} names"
        raise ValueError(msg)
    return document


def parse_statement(data: bytes) -> tuple[dict[str, Any], Result]:
    """Read one gate's file back and compute its outcome again.

    Raises:
        ValueError: the bytes changed, a field is missing, or the status is not what the checks say.
    """
    document = parse_document(data, digest_key="document_sha256")
    if document.get("format") != FORMAT:
        msg = f"its format is not {FORMAT}"
        raise ValueError(msg)
    try:
        result = _result_of(document)
        holds = [check["holds"] for check in document["checks"]]
        failures = [failure["id"] for failure in document["failures"]]
    except (KeyError, TypeError, AttributeError) as exc:
        msg = "a field is missing or of another type"
        raise ValueError(msg) from exc
    if str(result.outcome) != document["status"]:
        msg = f"its status is {document['status']}, but its checks say {result.outcome}"
        raise ValueError(msg)
    if holds != [check.holds for check in result.checks] or failures != [check.id for check in result.failures]:
        msg = "its failures are not what its checks say"
        raise ValueError(msg)
    if document["core_sha256"] != digest_of(core_of(document)):
        msg = "its core is not what its core_sha256 names"
        raise ValueError(msg)
    return document, result


def _result_of(document: Mapping[str, Any]) -> Result:
    volatile = document["volatile"]
    helps = iter([failure["help"] for failure in document["failures"]])  # in the order of the checks that do not hold
    return Result(
        gate=document["gate"],
        started_at=_read_moment(volatile["started_at"]),
        finished_at=_read_moment(volatile["finished_at"]),
        checks=tuple(
            Check(
                check["id"],
                check["expected"],
                check["observed"],
                check["where"],
                "" if check["holds"] else next(helps, ""),
            )
            for check in document["checks"]
        ),
        examined=document["examined"],
        error=document["error"] or "",
        aborted=document["status"] == Outcome.ABORTED,
        not_run_because=document["not_run_because"] or "",
        details={key: value for key, value in document.items() if key not in RESERVED},
        controls=None if document["controls"] is None else tuple(map(_read_control, document["controls"])),
    )


def _control_json(control: Planted) -> dict[str, Json]:
    return {
        "name": control.name,
        "must": [*control.must],
        "missed": [*control.missed],
        "trouble": control.trouble or None,
    }


def _read_control(control: Mapping[str, Any]) -> Planted:
    return Planted(control["name"], tuple(control["must"]), tuple(control["missed"]), control["trouble"] or "")


def _check_json(check: Check) -> dict[str, Json]:
    return {
        "id": check.id,
        "where": check.where,
        "expected": check.expected,
        "observed": check.observed,
        "holds": check.holds,
    }


def _source_json(source: Source) -> dict[str, Json]:
    """All but the branch: two branches may name one commit, and it is the same source."""
    return {
        "commit": source.commit,
        "tree": source.tree,
        "dirty": source.dirty,
        "dirty_count": source.dirty_count,
        "dirty_digest": source.dirty_digest,
        "reason": source.reason or None,
    }


def _server_json(server: ServerFacts) -> dict[str, Json]:
    return {
        "origin": server.origin,
        "version": server.version,
        "reason": server.reason,
        "facts": dict(server.facts),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else iso_utc(moment)


def _read_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
