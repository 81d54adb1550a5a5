"""Exemptions: a finding that somebody looked at and accepted, for one statement as it stands.

Owns: the reading of `lint_allowlist.yml` (JSON, which is YAML, too), and the digest of a statement.
Promises: an exemption covers one rule, in one file, for one whole statement; whatever changes in the statement but its
    layout ends it. An exemption that covers nothing is itself a finding. None ends by date: a repository that did not
    change does not turn red.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.digest import digest_of
from scripts.errors.lint import AllowlistError
from scripts.lint.nodes import concrete, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.lint.model import Finding
    from scripts.parser.statements import Statement

FILE_NAME = "lint_allowlist.yml"
_FIELDS = ("rule", "file", "statement", "reason", "reviewer")
# Where something stands in the file, which layout changes and meaning does not.
_PLACES = frozenset({"location", "stmt_location", "stmt_len", "name_location", "list_start", "list_end"})


@dataclass(frozen=True, slots=True)
class Exemption:
    """One accepted finding. `statement` is the digest of the statement (`statement_digest`)."""

    rule: str
    file: str
    statement: str
    reason: str
    reviewer: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it covers."""
        return self.rule, self.file, self.statement


@dataclass(frozen=True)
class Allowlist:
    """Every exemption. `name`: the file's name."""

    exemptions: tuple[Exemption, ...] = ()
    name: str = FILE_NAME

    def covers(self, finding: Finding) -> Exemption | None:
        """The exemption for a finding, or None."""
        candidates = [e for e in self.exemptions if (e.rule, e.file) == (finding.rule, finding.file)]
        if not candidates or finding.statement is None:
            return None
        digest = statement_digest(finding.statement)
        return next((e for e in candidates if e.statement == digest), None)


def read_allowlist(folder: Path) -> Allowlist:
    """The exemptions beside the folder of migrations; none when there is no such file.

    Raises:
        AllowlistError: it is there and cannot be used.
    """
    try:
        text = (folder.parent / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Allowlist()
    except (OSError, UnicodeDecodeError) as exc:
        raise AllowlistError.unreadable(FILE_NAME, type(exc).__name__) from exc
    return parse_allowlist(text)


def parse_allowlist(text: str) -> Allowlist:
    """Read the list's text.

    Raises:
        AllowlistError: no JSON, another shape, an entry that is not complete, or one that stands there twice.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise AllowlistError.unreadable(FILE_NAME, str(exc)) from exc
    entries = document.get("exemptions") if isinstance(document, dict) else None
    if not isinstance(entries, list) or set(document) != {"exemptions"}:
        raise AllowlistError.unreadable(FILE_NAME, "no list `exemptions`, or something beside it")
    exemptions = [_exemption(number, entry) for number, entry in enumerate(entries, 1)]
    seen: set[tuple[str, str, str]] = set()
    for number, exemption in enumerate(exemptions, 1):
        if exemption.key in seen:
            raise AllowlistError.malformed(FILE_NAME, number, ["an entry that stands there already"])
        seen.add(exemption.key)
    return Allowlist(tuple(exemptions))


def statement_digest(statement: Statement) -> str:
    """sha256 of the parsed statement: layout, comments and letter case do not count, everything else does.

    The body of a function is a string, so there layout counts, too.
    """
    return digest_of(_tree(statement.node))


def _tree(node: Any) -> Any:
    message = concrete(node)
    if message is None:
        return None
    fields: dict[str, Any] = {"": kind_of(message)}
    for descriptor, value in message.ListFields():
        if descriptor.name in _PLACES:
            continue
        if descriptor.message_type is None:
            fields[descriptor.name] = list(map(_plain, value)) if hasattr(value, "append") else _plain(value)
        elif hasattr(value, "append"):
            fields[descriptor.name] = [_tree(item) for item in value]
        else:
            fields[descriptor.name] = _tree(value)
    return fields


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | str) else str(value)


def _exemption(number: int, entry: Any) -> Exemption:
    if not isinstance(entry, dict):
        raise AllowlistError.malformed(FILE_NAME, number, ["something that is no object"])
    problems = [f"no {name}" for name in _FIELDS if not isinstance(entry.get(name), str) or not entry[name].strip()]
    problems += [f"an unknown {name}" for name in sorted(set(entry) - set(_FIELDS))]
    if problems:
        raise AllowlistError.malformed(FILE_NAME, number, problems)
    return Exemption(**entry)
