"""Names and marks of the databases that we make on a server, so that each can be told from anybody else's.

Owns: the key of a template, the form of a name, the record in a database's comment, the number of a lock.
Promises: a name of ours carries a digest of itself, so that a look-alike is not taken for ours; nothing here asks a
    server, or needs one.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from scripts.digest import canonical_json, digest_of, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.digest import Json

# Whoever changes what a template is made of counts on: those of another form have another key.
FORM = 1
PREFIX = "parity_"
Kind = Literal["half", "template", "clone"]
KINDS: tuple[Kind, ...] = ("half", "template", "clone")
_BY = "parity-runner"
# Hex digits in a name: of the key, of a random number, of the digest of the rest.
_KEY, _NONCE, _CHECK = 16, 8, 8
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a template is made, and all that it depends on beside the server.

    migrations: digest of the files' names and bytes, in order.
    ledger: digest of the statements that make the ledger.
    build: fills an empty database, given its owner's DSN. What it does may depend on nothing but the other parts.
    options: what else `build` was told.
    settings: of the database itself: they hold while it is built, and in every clone.
    """

    migrations: str
    ledger: str
    build: Callable[[str], object] = field(repr=False, compare=False)
    options: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def key(self, *, version: str, owner: str) -> str:
        """One digest for all of it.

        Args:
            version: of the server.
            owner: the role whose database it is, and who runs the files.
        """
        return digest_of(
            {
                "form": FORM,
                "migrations": self.migrations,
                "ledger": self.ledger,
                "version": version,
                "owner": owner,
                "options": dict(self.options),
                "settings": dict(self.settings),
            }
        )


@dataclass(frozen=True, slots=True)
class Name:
    """A name of ours, taken apart. `about`: the key's beginning for a template, the maker's number for a clone."""

    kind: Kind
    about: str

    @property
    def lock(self) -> int:
        """The advisory lock that is held, on the maintenance database, by whoever is at work on it."""
        return lock_of("clone" if self.kind == "clone" else "template", self.about)


def about_key(key: str) -> str:
    """As much of a template's key as its name and its lock hold."""
    return key[:_KEY]


def name_of(kind: Kind, about: str) -> str:
    """A new name, `parity_<kind>_<about>_<random>_<check>`: 50 bytes of the 63 that there are.

    Args:
        kind: of the database.
        about: `about_key` of a template's key, or the number of who makes a clone: 16 hex digits.
    """
    rest = f"{kind}_{about}_{secrets.token_hex(_NONCE // 2)}"
    return f"{PREFIX}{rest}_{_check(rest)}"


def parse_name(name: str) -> Name | None:
    """What a name says; None when it is not one of ours."""
    if not name.startswith(PREFIX):
        return None
    rest, _, check = name.removeprefix(PREFIX).rpartition("_")
    kind, _, numbers = rest.partition("_")
    about, _, nonce = numbers.partition("_")
    found: Kind | None = next((known for known in KINDS if known == kind), None)
    right = len(about) == _KEY and len(nonce) == _NONCE and _HEX.issuperset(about + nonce)
    return Name(found, about) if found is not None and right and check == _check(rest) else None


def lock_of(kind: Literal["template", "clone"], about: str) -> int:
    """A signed 64-bit number, as advisory locks have it."""
    return int.from_bytes(bytes.fromhex(sha256_hex(f"{_BY} {kind} {about}".encode()))[:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the comment of a database of ours says.

    kind: "template", once it is complete; "kept" for a clone that is to stay.
    key: the template's whole key.
    xid: the transaction that completed it.
    settings: digest of the database's settings then.
    comment: the one that the migrations gave the database.
    """

    kind: Literal["template", "kept"]
    key: str = ""
    xid: str = ""
    settings: str = ""
    comment: str | None = None

    def text(self) -> str:
        """As the comment."""
        return canonical_json(
            {
                "by": _BY,
                "form": FORM,
                "kind": self.kind,
                "key": self.key,
                "xid": self.xid,
                "settings": self.settings,
                "comment": self.comment,
            }
        ).decode()


def parse_mark(comment: str | None) -> Mark | None:
    """The mark in a comment; None when it is anybody's."""
    try:
        found = json.loads(comment or "")
        parts = {name: found[name] for name in Mark.__dataclass_fields__}
        strings = all(isinstance(value, str) or (name == "comment" and value is None) for name, value in parts.items())
        mark = Mark(**parts)
        return mark if strings and mark.kind in ("template", "kept") and mark.text() == comment else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _check(rest: str) -> str:
    return sha256_hex(f"{_BY} {rest}".encode())[:_CHECK]
