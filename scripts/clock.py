"""The time, read in one place: a run has one `now`, passed down."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, in UTC, with microseconds."""
    return datetime.now(tz=UTC)  # noqa: TID251 - the owner


def iso_utc(moment: datetime) -> str:
    """RFC 3339 with microseconds and Z: sorts as text in the order of time.

    Raises:
        ValueError: the moment carries no zone.
    """
    if moment.tzinfo is None:
        msg = "a moment without a zone has no UTC form"
        raise ValueError(msg)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
