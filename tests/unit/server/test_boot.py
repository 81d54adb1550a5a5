"""When a server is worth a connection: by what it writes into postmaster.pid, which costs it nothing to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.server.embedded.boot import _is_ready
from scripts.server.embedded.layout import Layout
from scripts.server.folders import SOCKET_NAME

if TYPE_CHECKING:
    from pathlib import Path

LINES = "17\n/d\n1700000000\n5432\n/s\n\n  1 2\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Empty folders."""
    found = Layout(tmp_path)
    for folder in (found.data, found.socket):
        folder.mkdir()
    return found


@pytest.mark.parametrize(
    ("written", "ready"),
    [
        ("", False),
        ("17\n/d\n", False),
        (LINES, False),
        (LINES + "starting\n", False),
        (LINES + "stopping\n", False),
        (LINES + "ready   \n", True),
    ],
)
def test_it_is_ready_when_it_says_so(layout: Layout, written: str, *, ready: bool) -> None:
    """Half a file, or another word, is no."""
    (layout.data / "postmaster.pid").write_text(written)
    (layout.socket / SOCKET_NAME).touch()
    assert _is_ready(layout) is ready


def test_where_the_file_cannot_be_read_the_socket_tells(layout: Layout) -> None:
    """A connection is tried as soon as there is something to connect to."""
    assert not _is_ready(layout)
    (layout.socket / SOCKET_NAME).touch()
    assert _is_ready(layout)
