"""Settings stored for roles and databases: which of them stop a worker, or change what it is promised.

Owns: the names that count, and for each the values under which everything is as promised.
Promises: what is not in the list was measured to change nothing (docs/adr/0058, and the test that plants every
parameter there is); a value of a name in the list that cannot be read counts.
Never: reads the catalog (reading.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.verifiers.facts.lists import files_listed, names_listed
from scripts.verifiers.facts.roles import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scripts.verifiers.facts.sessions import Setting

# A deadline below this cuts off what a worker does: it is twice what a claim of 1,000 items takes on two busy cores,
# and what one of two requests under the same key waits for the other.
SANE_MS = 100
_MS = {"us": 0.001, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][0-9]+)?)\s*(us|ms|s|min|h|d)?\s*")
# A claim of 1,000 items sorts as many rows, where a stored work_mem keeps them out of memory.
SANE_KB = 16 * 1024
_KB = {"B": 1 / 1024, "kB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}
_SIZE = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]*)?(?:[eE][0-9]+)?)\s*(B|kB|MB|GB|TB)?\s*")
# Libraries that watch and change nothing. Those that anybody may name lie in a folder of their own.
_WATCHING = ("auto_explain", "pg_stat_statements")
_OF_ITS_OWN = "$libdir/"
_OF_EVERYBODY = "$libdir/plugins/"
# What begins with these finds our tables first: "$user" is no schema of anybody's, and none can be made without a name.
_PLACES = frozenset({"public", "pg_catalog", "$user", ""})


def is_off(value: str) -> bool:
    """Whether the server reads it as off; it takes any beginning of a word that is no other's."""
    word = value.lower()
    return word in ("0", "of", "off") or (word != "" and ("false".startswith(word) or "no".startswith(word)))


def _on(value: str) -> bool:
    word = value.lower()
    return word in ("1", "on") or (word != "" and ("true".startswith(word) or "yes".startswith(word)))


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in values


def _long_enough(value: str) -> bool:
    """No deadline, or one that a worker does not meet."""
    read = _DURATION.fullmatch(value)
    if read is None:
        return False
    limit_ms = float(read[1]) * _MS[read[2] or "ms"]
    return limit_ms == 0 or limit_ms >= SANE_MS


def _unlimited(value: str) -> bool:
    """No limit on what is sorted on the disk, or one that a worker does not meet."""
    read = _SIZE.fullmatch(value)
    if read is None:
        return False
    limit_kb = float(read[1]) * _KB[read[2] or "kB"]
    return limit_kb <= -1 or limit_kb >= SANE_KB


def _watching(folder: str) -> Callable[[str], bool]:
    """Nothing but libraries that watch, by their names or in that folder."""
    harmless = {*_WATCHING, *(folder + library for library in _WATCHING)}

    def judge(value: str) -> bool:
        libraries = files_listed(value)
        return libraries is not None and harmless.issuperset(libraries)

    return judge


def _ours_first(value: str, *, alone: bool = False) -> bool:
    """Whether public and the server's come before anybody's schema and before what is temporary.

    What stands behind them is found for no name of ours; what could be chosen there for its types, on a stored path,
    is definer-search-path's to say (standins.sql). `alone`: nothing may stand there.
    """
    places = names_listed(value)
    if places and places[-1] == "pg_temp":
        places.pop()
    if not places or "public" not in places or "pg_temp" in places:
        return False
    first = next((at for at, place in enumerate(places) if place not in _PLACES), len(places))
    ours, others = places[:first], places[first:]
    # The server's own comes first where it is not named.
    return "public" in ours and "pg_catalog" not in others and not (alone and others)


def _with_the_servers_own(value: str) -> bool:
    return value == "$libdir" or value.startswith("$libdir:")


def _utf8(value: str) -> bool:
    """The names that the server knows it by; it reads letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", value.lower()) in ("utf8", "unicode")


def _never(_: str) -> bool:
    return False


# Name, as the server writes it, in small letters → whether nothing changes under the value. What a worker gets under
# any other, each seen: docs/adr/0058.
HARMLESS_IF: Mapping[str, Callable[[str], bool]] = {
    # Somebody else acts, a name means another table, rows are hidden, triggers and foreign keys sleep.
    "role": _one_of("none"),
    "session_authorization": _never,
    "search_path": _ours_first,
    "row_security": _on,
    "session_replication_role": _one_of("origin", "local"),
    # Every request is refused, or refused where two meet.
    "default_transaction_read_only": is_off,
    "default_transaction_isolation": _one_of("read committed", "read uncommitted"),
    # A refusal ends the session, also one that a function would have caught.
    "exit_on_error": is_off,
    # The same statement asks for something else: another key is another payment.
    "standard_conforming_strings": _on,
    "backslash_quote": _one_of("safe_encoding"),
    # A driver that writes UTF-8 and says nothing of it is read as something else: other letters, another key.
    "client_encoding": _utf8,
    # What was accepted is gone after a crash; what is damaged reads as empty.
    "synchronous_commit": lambda value: not is_off(value),
    "zero_damaged_pages": is_off,
    "ignore_checksum_failure": is_off,
    # Everybody's large objects are open to the regulator.
    "lo_compat_privileges": is_off,
    # Somebody else's code runs, or no session begins, or no function.
    "session_preload_libraries": _watching(_OF_ITS_OWN),
    "local_preload_libraries": _watching(_OF_EVERYBODY),
    "dynamic_library_path": _with_the_servers_own,
    # What does not fit into memory is refused.
    "temp_file_limit": _unlimited,
    **dict.fromkeys(
        (
            "statement_timeout",
            "transaction_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
        ),
        _long_enough,
    ),
}
# What accepted requests survive a crash by. Where the server or the database is thrown away, nobody's payments are in
# it, and the server has it off for speed.
OF_THE_DISK = frozenset({"synchronous_commit"})
# Whether and when vacuum comes (upkeep.py); of a server that is thrown away nobody asks for it, for the same reason.
OF_UPKEEP = frozenset(
    {
        "autovacuum",
        "track_counts",
        "autovacuum_naptime",
        "autovacuum_vacuum_threshold",
        "autovacuum_vacuum_scale_factor",
        "autovacuum_vacuum_max_threshold",
    }
)
# Whoever only reads may be kept from writing, and may want to read one moment.
_OF_WRITERS = frozenset({"default_transaction_read_only", "default_transaction_isolation", "synchronous_commit"})


def decisive(settings: Iterable[Setting]) -> str:
    """The stored settings that stop a worker or change what it is promised, one line; `none` without any."""
    return ", ".join(sorted(one.text for one in settings if _decides(one))) or "none"


def asked_of_the_server(*, lasting: bool) -> frozenset[str]:
    """The parameters that count where they are the server's own.

    Args:
        lasting: whether the database is there after the run, with somebody's rows in it.
    """
    names = frozenset(HARMLESS_IF)
    return names | OF_UPKEEP if lasting else names - OF_THE_DISK


def _decides(setting: Setting) -> bool:
    name = setting.name.lower()
    harmless = HARMLESS_IF.get(name)
    if harmless is None or harmless(setting.value):
        # Of the server's own path nobody asks what stands in the schemas on it.
        return setting.of_server and name == "search_path" and not _ours_first(setting.value, alone=True)
    only_reads = bool(setting.acts_as) and set(setting.acts_as) <= READERS
    return not (only_reads and name in _OF_WRITERS)
