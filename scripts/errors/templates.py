"""Troubles with copies of databases on a server of our own: exit 3, the cause and the next step.

Owns: the text of every such error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.server import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence


class CopyError(ServerError):
    """A copy that is not like its source."""

    @classmethod
    def differs(cls, name: str, parts: Sequence[str]) -> CopyError:
        """What was carried over is not what is there.

        Args:
            name: the copy's.
            parts: what differs.
        """
        return cls(
            f'the copy "{name}" does not have what its source has beside its tables',
            facts=[("expected", "the owner, limit, comment, privileges and settings of the source"),
                   ("found", f"others: {', '.join(parts)}")],
            help="somebody changed source or copy meanwhile, or a grantor lost its rights; run again",
        )  # fmt: skip


class TemplateError(ServerError):
    """No template can be had."""

    @classmethod
    def busy(cls, address: str, seconds: float) -> TemplateError:
        """Somebody else builds the same one, and does not come to an end."""
        return cls(
            "another run has been building this template for too long",
            where=address,
            facts=[
                ("expected", f"a template within {seconds:.0f} s"),
                ("found", "a builder that still holds its lock"),
            ],
            help="end that run; what it left half-made is then dropped by itself",
        )

    @classmethod
    def unstable(cls, address: str, attempts: int) -> TemplateError:
        """Whenever a copy was made, the template was gone or changed."""
        return cls(
            "the template is changed or dropped as often as it is made",
            where=address,
            facts=[("expected", "one that nobody touches"), ("found", f"{attempts} attempts, none of which had one")],
            help="find out who else works on this server",
        )

    @classmethod
    def in_use(cls, name: str) -> TemplateError:
        """Something in the database goes on after it was built."""
        return cls(
            "the template was built, and is not let go of",
            where=name,
            facts=[("expected", "nobody connected"), ("found", "a session that does not end")],
            help="a migration must not leave sessions behind that cannot be ended",
        )
