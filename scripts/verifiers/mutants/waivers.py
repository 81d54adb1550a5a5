"""Waivers: survivors that somebody looked at and found to change nothing anybody could see.

Owns: the reading of `schema/mutant_waivers.yml` (JSON, which is YAML, too).
Promises: a waiver names one mutant, whole; one that names no mutant, or one that is killed, is an error: a list that
nobody needs any more would hide the next survivor of that name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.errors.mutants import WaiverError
from scripts.verifiers.mutants.model import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from scripts.verifiers.mutants.model import Mutant, Verdict

FILE_NAME = "mutant_waivers.yml"
_FIELDS = {"name", "reason"}


def read_waivers(folder: Path) -> Mapping[str, str]:
    """Name of a mutant → why it need not be killed; of the file beside the folder of migrations, none without it.

    Raises:
        WaiverError: it is there and cannot be used.
    """
    try:
        text = (folder.parent / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise WaiverError.unreadable(FILE_NAME, type(exc).__name__) from exc
    return parse_waivers(text)


def parse_waivers(text: str) -> Mapping[str, str]:
    """Read the list's text.

    Raises:
        WaiverError: no JSON, another shape, an entry without a reason, or a name that stands there twice.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise WaiverError.unreadable(FILE_NAME, str(exc)) from exc
    entries = document.get("waivers") if isinstance(document, dict) else None
    if not isinstance(entries, list) or set(document) != {"waivers"}:
        raise WaiverError.unreadable(FILE_NAME, "no list `waivers`, or something beside it")
    waivers: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or set(entry) != _FIELDS:
            raise WaiverError.malformed(FILE_NAME, number, "something missing or too much")
        name, reason = entry["name"], entry["reason"]
        if not all(isinstance(value, str) and value.strip() for value in (name, reason)):
            raise WaiverError.malformed(FILE_NAME, number, "a name or a reason without text")
        if name in waivers:
            raise WaiverError.malformed(FILE_NAME, number, f"a name that stands there already: {name}")
        waivers[name] = reason
    return waivers


def require_known(waivers: Iterable[str], mutants: Sequence[Mutant]) -> None:
    """Each waiver names a mutant of the database.

    Raises:
        WaiverError: one does not.
    """
    unknown = sorted(set(waivers) - {mutant.name for mutant in mutants})
    if unknown:
        raise WaiverError.unused(FILE_NAME, unknown, "names no mutant")


def waived(waivers: Iterable[str], verdicts: Sequence[Verdict]) -> frozenset[str]:
    """The survivors among the verdicts that have a waiver.

    Raises:
        WaiverError: a mutant that has one is killed.
    """
    fates = {one.mutant.name: one.fate for one in verdicts}
    named = [name for name in waivers if name in fates]
    killed = [name for name in named if fates[name] in (Fate.KILLED, Fate.STALLED)]
    if killed:
        raise WaiverError.unused(FILE_NAME, killed, "is killed")
    return frozenset(name for name in named if fates[name] is Fate.SURVIVED)
