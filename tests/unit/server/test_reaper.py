"""How long the process beside a starting container goes on after its run's death: while something may still come."""

from __future__ import annotations

import os
import select
import socket
import subprocess  # noqa: TID251 - its exception
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from scripts.server.containers.engine import Engine
from scripts.server.containers.reaper import ANSWERED, ASKED, PATIENCE_S, REQUEST_S, dismiss, leave, spawn_reaper, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.server.containers.reaper import Door

# Long enough for a Python to start on a busy machine, and far from the patience.
SOON_S = 3.0
assert SOON_S < PATIENCE_S / 2


class Answers:
    """A socket on which requests are answered with the statuses given, the last of them from then on; 0: never."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.statuses = [404]
        self.asked: list[str] = []
        self._held: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self.serve(self._listener)

    def serve(self, listener: socket.socket) -> None:
        """Answer there as well."""
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """No more."""
        self._listener.close()
        for client in self._held:
            client.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.asked.append(client.recv(4096).split(b"\r\n")[0].decode())
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            if not status:
                self._held.append(client)
                continue
            with client:
                client.sendall(f"HTTP/1.1 {status} Said\r\n\r\n".encode())


@pytest.fixture
def answers() -> Iterator[Answers]:
    """One, in a place with a short name."""
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        made = Answers(Path(folder))
        yield made
        made.close()


def after(answers: Answers, words: bytes, door: Door | None = None) -> float | None:
    """Seconds from the run's last word to the end of the process; None where it goes on."""
    reaper = spawn_reaper(door or ("unix", str(answers.path)), "parity-runner-0")
    tell(reaper, words)
    stdin = reaper.stdin
    assert stdin is not None
    stdin.close()
    began = time.monotonic()
    try:
        reaper.wait(timeout=SOON_S)
    except subprocess.TimeoutExpired:
        reaper.kill()
        reaper.wait()
        return None
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("words", "statuses", "asked"),
    [
        (b"", [404], 0),  # nothing was asked for, so nothing can come
        (ASKED, [204], 1),
        (ASKED, [409], 1),  # it runs, so the request was answered
        (ASKED, [404, 404, 204], 3),  # it came after its run's death
        (ASKED + ANSWERED, [404], 1),  # it is gone
        (ASKED + ANSWERED, [409], 1),  # its guard's
        (ASKED + ANSWERED, [500, 204], 2),
    ],
)
def test_it_ends_when_nothing_can_come_any_more(
    answers: Answers, words: bytes, statuses: list[int], asked: int
) -> None:
    """Not after ten seconds: as soon as the engine's word and the run's say so together."""
    answers.statuses = statuses
    assert after(answers, words) is not None
    assert answers.asked == ["DELETE /containers/parity-runner-0?v=1 HTTP/1.1"] * asked


def test_over_a_network_it_asks_the_same(answers: Answers) -> None:
    """At an address; TLS, with the run's own keys, is in tests/db/server/test_remote_engine.py."""
    answers.statuses = [204]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers.serve(listener)
        door = ("tcp", "127.0.0.1", str(listener.getsockname()[1]))
        assert after(answers, ASKED, door) is not None
        listener.shutdown(socket.SHUT_RDWR)
    assert answers.asked == ["DELETE /containers/parity-runner-0?v=1 HTTP/1.1"]


def test_a_machine_that_is_not_reached_uses_up_its_patience() -> None:
    """Packets that are swallowed are no engine that is silent: it does not stay for that one's hour."""
    with ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # who is not accepted is in the way of the next
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        reaper = spawn_reaper(("tcp", "127.0.0.1", str(full.getsockname()[1])), "parity-runner-0", patience_s=1.0)
        tell(reaper, ASKED)
        assert reaper.stdin is not None
        reaper.stdin.close()
        assert reaper.wait(timeout=2 * REQUEST_S + SOON_S) == 0


def test_it_keeps_open_what_the_run_needs_for_it(answers: Answers) -> None:
    """The tunnel that it asks through, from the run's death to its own end."""
    answers.statuses = [404, 204]
    inside, outside = os.pipe()
    reaper = spawn_reaper(("unix", str(answers.path)), "parity-runner-0", hold=[outside])
    os.close(outside)
    assert select.select([inside], [], [], 0.2)[0] == []
    tell(reaper, ASKED)
    assert reaper.stdin is not None
    reaper.stdin.close()
    reaper.wait(timeout=SOON_S)
    assert os.read(inside, 1) == b""
    os.close(inside)
    assert len(answers.asked) == 2


@pytest.mark.parametrize(
    ("base_url", "verify", "cert", "door"),
    [
        ("http://10.0.0.1:2375", True, None, ("tcp", "10.0.0.1", "2375")),
        ("https://h:2376", "/ca", ("/c", "/k"), ("tls", "h", "2376", "/ca", "/c", "/k", "verify")),
        ("https://h:2376", True, None, ("tls", "h", "2376", DEFAULT_CA_BUNDLE_PATH, "", "", "verify")),
        (
            *("https://h:2376", "keys/ca", ("keys/c", "keys/k")),
            ("tls", "h", "2376", *(str(Path.cwd() / "keys" / name) for name in ("ca", "c", "k")), "verify"),
        ),
        ("https://[::1]:2376", False, "/both", ("tls", "::1", "2376", "", "/both", "", "")),
        ("npipe:////./pipe/docker_engine", True, None, None),
    ],
)
def test_the_door_is_where_the_run_itself_goes_in(
    base_url: str, verify: object, cert: object, door: Door | None
) -> None:
    """As the SDK has it: address, authority, the client's files, and whether the engine's name is checked."""
    api = SimpleNamespace(base_url=base_url, verify=verify, cert=cert)
    assert Engine(SimpleNamespace(api=api), "h", "").door == door


@pytest.mark.parametrize(("words", "status"), [(ASKED, 404), (ASKED + ANSWERED, 500)])
def test_it_goes_on_while_something_may_come(answers: Answers, words: bytes, status: int) -> None:
    """The request may be under way; or the engine does not say what has become of it."""
    answers.statuses = [status]
    assert after(answers, words) is None
    assert len(answers.asked) > 3


def test_an_engine_that_is_silent_does_not_use_up_its_patience(answers: Answers) -> None:
    """It takes connections: what it was asked for it does when it goes on, however late. One that answers does."""
    answers.statuses = [0, 0, 404, 204]
    reaper = spawn_reaper(("unix", str(answers.path)), "parity-runner-0", patience_s=1.0)
    tell(reaper, ASKED)
    leave(reaper)
    deadline = time.monotonic() + 3 * REQUEST_S + SOON_S
    while len(answers.asked) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(answers.asked) == 4
    answers.statuses = [404]
    impatient = spawn_reaper(("unix", str(answers.path)), "parity-runner-1", patience_s=0.3)
    tell(impatient, ASKED)
    assert impatient.stdin is not None
    impatient.stdin.close()
    assert impatient.wait(timeout=SOON_S) == 0


def test_dismissed_it_asks_for_nothing_and_left_it_does_its_work(answers: Answers) -> None:
    """Whoever does not know that the container is gone leaves it to its work, and does not wait for it."""
    answers.statuses = [204]
    dismissed = spawn_reaper(("unix", str(answers.path)), "parity-runner-0")
    tell(dismissed, ASKED + ANSWERED)
    dismiss(dismissed)
    dismiss(dismissed)
    assert answers.asked == []
    left = spawn_reaper(("unix", str(answers.path)), "parity-runner-1")
    tell(left, ASKED + ANSWERED)
    leave(left)
    deadline = time.monotonic() + SOON_S
    while not answers.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answers.asked == ["DELETE /containers/parity-runner-1?v=1 HTTP/1.1"]
