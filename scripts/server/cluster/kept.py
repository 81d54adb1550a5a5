"""The kept cluster of one run: looked for, believed or thrown away, and said to have been used.

Owns: what a run does about its key's entry, whatever kind of server starts on the copy: the bytes are checked before
    anything is written, the server is asked afterwards; an entry that fails either costs one line and a new cluster.
Never: starts a server, or lays an entry out.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.errors.server import StartInterruptedError
from scripts.server.cluster.cache import find_entry, keep, open_folder, remove_entry
from scripts.server.cluster.packing import PoisonedError, read_checked
from scripts.server.facts import found_before

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from scripts.errors.server import ServerError
    from scripts.server.cluster.cache import Entry

# What the server itself must agree with: a cluster that was changed and sealed anew has the right digest.
IDENTITY = ("system_identifier", "next_oid")
# How a server ends that was killed, or that the machine had nothing left for: the cluster is not to blame.
_KILLED = re.compile(r"signal (?:9|15)|exit status (?:137|143)")
_WANTING = re.compile(
    r"[Cc]annot allocate memory|[Oo]ut of memory|could not create (?:semaphores|shared memory)|Too many open files"
    r"|insufficient file descriptors"
)


@dataclass(slots=True)
class Kept:
    """The folder for kept clusters, the key of the one wanted, the one found; how often one was poisoned.

    `found`: the entry and its bytes, every one of which was checked.
    """

    folder: Path | None
    key: str
    report: Callable[[str], None]
    found: tuple[Entry, memoryview] | None = None
    poisoned: int = 0

    @classmethod
    def of(cls, wanted: Path | None, key: str, report: Callable[[str], None]) -> Kept:
        """Find the folder; nothing is read yet.

        Args:
            wanted: the folder that the settings name, None where nothing is to be kept.
            key: what the cluster depends on, as `key_of` gives it.
            report: takes a line about a folder or an entry that is not what it should be.
        """
        return cls(open_folder(wanted, report), key, report)

    def find(self, read: Callable[[str, str], memoryview] = read_checked) -> None:
        """Look for the entry, and read and check it.

        Args:
            read: how, from path and digest; raises what `read_checked` raises.
        """
        if self.folder is None:
            return
        entry = None
        try:
            entry = find_entry(self.folder, self.key)
            if entry is not None:
                self.found = entry, read(str(entry.path), entry.digest)
        except PoisonedError as exc:
            self._discard(str(exc), entry)
        except OSError as exc:  # thrown away by another run, between choice and reading
            self.report(f"server   the kept cluster cannot be read: {(exc.strerror or str(exc)).lower()}")

    def discard(self, why: str) -> None:
        """The entry that was found is not what it was: throw it away, say so and count it."""
        if self.found is None:
            raise RuntimeError("nothing was found that could be discarded")
        entry, _ = self.found
        self.found = None
        self._discard(why, entry)

    def _discard(self, why: str, entry: Entry | None) -> None:
        if self.folder is None:
            raise RuntimeError("an entry without a folder")
        self.poisoned += 1
        self.report(f"server   the kept cluster is not used: {why}; a new one is made")
        remove_entry(self.folder, self.key, inode=None if entry is None else entry.inode)

    def facts(self) -> dict[str, str]:
        """For the evidence: whose copy the server is, how old that is, and that it was looked at again."""
        if self.found is None:
            told = {"cluster": "made for this run"}
            if self.poisoned:
                told["cluster_poisoned"] = str(self.poisoned)
            return told if self.folder is None else told | {"cluster_key": self.key}
        entry, _ = self.found
        return {
            "cluster": "kept",
            "cluster_key": self.key,
            "cluster_sha256": entry.digest,
            "cluster_age_s": _age(int(time.time()) - int(entry.known["made_at_s"])),
            "cluster_identity": "system_identifier and initdb_epoch are those of the kept cluster",
        }

    def keep(self, packed: bytes, facts: Mapping[str, str], password: str, **more: Any) -> None:
        """Put a cluster there for the next run.

        Args:
            packed: what `pack` made of it.
            facts: what its server says of itself.
            password: the superuser's in it, which the first statement of each run replaces.
            more: what else is to be known of it, in what JSON can hold.
        """
        if self.folder is None:
            raise RuntimeError("a cluster without a folder")
        known = {name: facts[name] for name in IDENTITY}
        keep(
            self.folder,
            self.key,
            packed,
            {**more, **known, "made_at_s": int(time.time()), "password": password},
            self.report,
        )


def _age(seconds: int) -> str:
    """In seconds; one that was made in the future is of no known age: the clock was set meanwhile."""
    return str(seconds) if seconds >= 0 else "unknown"


def not_fresh(facts: Mapping[str, str], entry: Entry) -> str:
    """What the server says against an entry whose bytes are right: somebody sealed another cluster."""
    found = found_before(facts)
    if found:
        return f"it holds {found}"
    for name in IDENTITY:
        if facts[name] != entry.known[name]:
            return f"its {name} is {facts[name]}, and was {entry.known[name]}"
    return ""


def unusable(exc: ServerError) -> str:
    """Why an entry is to blame for a server on it that cannot be used.

    Raises:
        ServerError: `exc` itself, which says nothing of the entry: the time was over, the server was killed, memory or
            the watcher was gone. The run ends with it, and the entry stays.
    """
    told = dict(exc.facts)
    if (
        isinstance(exc, StartInterruptedError)
        or _KILLED.fullmatch(told.get("found", ""))
        or _WANTING.search(told.get("log", ""))
    ):
        raise exc
    return f"a server on it cannot be used ({exc.what})"
