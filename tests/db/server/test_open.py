"""The choice of a server: said before it starts, and never changed in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.docker import DockerError
from scripts.server.open import open_server
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DOCKER_HOST at a socket that does not exist."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def test_docker_without_an_engine_is_an_error_with_a_hint(no_engine: None) -> None:
    """Asked for by name, it never becomes the embedded server."""
    lines: list[str] = []
    with pytest.raises(DockerError) as caught, open_server(Settings(server="docker"), run_id="r", report=lines.append):
        pass
    text = str(caught.value)
    assert text.startswith("error[docker]: no Docker engine answers\n  expected  an engine at DOCKER_HOST")
    assert "No such file or directory" in text
    assert text.endswith("help: start Docker, or use SERVER=embedded, which needs none")
    assert caught.value.exit_code == 3
    assert lines == []


def test_auto_without_an_engine_is_embedded_and_says_why(no_engine: None) -> None:
    """One line, before the start; the server keeps it."""
    lines: list[str] = []
    with open_server(Settings(), run_id="r", report=lines.append) as server:
        assert server.origin == "embedded"
        assert server.reason.startswith("no Docker engine answers (")
    assert lines == [f"server   embedded: {server.reason}"]


def test_a_database_url_that_is_not_used_is_mentioned() -> None:
    """SERVER=embedded wins over DATABASE_URL."""
    lines: list[str] = []
    settings = Settings(server="embedded", database_url="postgresql://u:secret@nowhere/d")
    with open_server(settings, run_id="r", report=lines.append) as server:
        assert server.origin == "embedded"
    assert lines == ["server   embedded: SERVER=embedded; DATABASE_URL is not used"]
