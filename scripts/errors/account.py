"""Errors about the user that an embedded server runs as: PostgreSQL refuses root, and a number without a name.

Never: a user is made, or a permission widened, to get around one.
"""

from __future__ import annotations

from scripts.errors.server import ServerError


class AccountError(ServerError):
    """Nobody whom PostgreSQL would run as."""

    @classmethod
    def none(cls, name: str, reason: str) -> AccountError:
        """PostgreSQL refuses to run as root, and there is no unprivileged account to use."""
        return cls(
            "PostgreSQL refuses to run as root, and there is no unprivileged user to run it as",
            facts=[("expected", f'the system user "{name}"'), ("found", reason)],
            help="run as a user other than root, or use SERVER=docker or DATABASE_URL; no user is ever created",
        )

    @classmethod
    def unknown(cls, uid: int) -> AccountError:
        """The user is a number alone, as `docker run --user 1234` gives one; initdb asks for its name."""
        return cls(
            "initdb runs only as a user that the system knows by name",
            facts=[
                ("expected", f"an entry for the user {uid}, in /etc/passwd or where else the system looks"),
                ("found", "none"),
            ],
            help="run as a user that has an entry, or add one; SERVER=docker and DATABASE_URL need none",
        )
