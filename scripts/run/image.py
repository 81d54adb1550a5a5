"""The server's image, built without a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode
from scripts.errors.settings import UsageError

if TYPE_CHECKING:
    from scripts.run.voice import Voice
    from scripts.settings import Settings


def build_image(settings: Settings, voice: Voice, *, offline: bool) -> int:  # noqa: ARG001 - every command takes both
    """Build the image from what the Python environment and the local system provide.

    Raises:
        UsageError: without `offline`; from a registry's base, Docker itself builds it.
        ServerError: no engine answers, or it refused.
    """
    if not offline:
        raise UsageError.needs_offline()
    from scripts.server.containers.engine import find_engine
    from scripts.server.containers.image import TAG, build_offline_image

    with find_engine() as engine:
        image = build_offline_image(engine, report=voice.say)
    voice.line(f"built {TAG}   {image}")
    voice.line(f"use it with PG_IMAGE={TAG} SERVER=docker invoke pre-ci")
    return int(ExitCode.PASSED)
