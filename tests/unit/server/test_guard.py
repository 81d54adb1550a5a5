"""The container's first process, run by the system's shells: it does what it is told, and ends with who tells it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess  # noqa: TID251 - the shell under test
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from scripts.server.containers.guard import GUARD, SHUT_DOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
ENTRY_POINT = """#!/bin/sh
echo "server got $*; stdin has $(cat | wc -c) bytes"
exit "${STATUS:-0}"
"""


@pytest.fixture(params=SHELLS)
def guard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The guard, with an entry point that tells what it was given."""
    (tmp_path / "bin").mkdir()
    entry = tmp_path / "bin" / "docker-entrypoint.sh"
    entry.write_text(ENTRY_POINT)
    entry.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PGDATA": str(tmp_path / "data"), "STATUS": "7"}
    with subprocess.Popen(
        [request.param, "-c", GUARD, "sh", "postgres", "-c", "a=b c"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    ) as process:
        yield process
        process.kill()


def say(guard: subprocess.Popen[bytes], *words: bytes) -> bytes:
    """Say them, and nothing more; returns what was written meanwhile."""
    out, _ = guard.communicate(b"".join(words), timeout=10)
    return out


def test_a_file_has_every_byte(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Of what is after its line; the next word begins where it ends."""
    content = bytes(range(256)) * 1000 + b"serve 1 -\n"
    out = say(guard, b"file %d %s/a/b\n" % (len(content), bytes(tmp_path)), content, b"file 0 %s/c\n" % bytes(tmp_path))
    assert (tmp_path / "a" / "b").read_bytes() == content
    assert (tmp_path / "c").read_bytes() == b""
    assert (out, guard.returncode) == (b"", 0)


def test_trees_are_unpacked_and_copied(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """One after the other, the second over the first."""
    trees = []
    for content in (b"first", b"second"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            folder = tarfile.TarInfo("x")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(folder)
            member = tarfile.TarInfo("x/f")
            member.size, member.mode = len(content), 0o640
            archive.addfile(member, io.BytesIO(content))
        trees.append(b"tree %d %s/t\n" % (len(buffer.getvalue()), bytes(tmp_path)) + buffer.getvalue())
    where = bytes(tmp_path / "t")
    out = say(guard, trees[0], b"copy %s/x %s/y\n" % (where, where), trees[1])
    assert out == b""
    assert (tmp_path / "t" / "x" / "f").read_bytes() == b"second"
    assert (tmp_path / "t" / "y" / "f").read_bytes() == b"first"
    assert (tmp_path / "t" / "y" / "f").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "t" / "y").stat().st_mode & 0o777 == 0o700


def test_the_server_gets_its_arguments_and_none_of_the_words(guard: subprocess.Popen[bytes]) -> None:
    """It reads from nothing, and its end is told with its number and status."""
    assert guard.stdin is not None
    assert guard.stdout is not None
    guard.stdin.write(b"serve 5 -\n")
    guard.stdin.flush()
    assert guard.stdout.readline() == b"server got postgres -c a=b c; stdin has 0 bytes\n"
    assert guard.stdout.readline() == b"parity-runner: server 5 ended with status 7\n"
    assert guard.poll() is None  # its log can still be read
    guard.stdin.close()
    assert guard.wait(5) == 0


@pytest.mark.parametrize(
    "word", [b"file 3 /proc/nowhere/x\nabc", b"tree 3 /tmp\nabc", b"copy /nowhere /tmp/x\n", b"x\n"]
)
def test_a_word_that_fails_is_told_and_is_the_last(guard: subprocess.Popen[bytes], word: bytes, tmp_path: Path) -> None:
    """What would come next would be done on half of something; the log can still be read."""
    assert guard.stdin is not None
    guard.stdin.write(word)
    guard.stdin.flush()
    time.sleep(0.3)
    assert guard.poll() is None
    out = say(guard, b"file 1 %s/next\nx" % bytes(tmp_path))
    assert out.endswith(b"parity-runner: " + word.split()[0] + b" failed\n")
    assert not (tmp_path / "next").exists()


def test_a_sign_comes_when_all_before_it_is_done(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """While the server starts the copies go on; the sign comes behind the last of them, not behind one that fails."""
    assert guard.stdin is not None
    assert guard.stdout is not None
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_bytes(bytes(1 << 20))
    where = bytes(tmp_path)
    (tmp_path / "bin" / "docker-entrypoint.sh").write_text("#!/bin/sh\nsleep 1\n")
    for number in range(20):
        guard.stdin.write(b"copy %s/source %s/%d\n" % (where, where, number))
    guard.stdin.write(b"serve 1 -\nheard 1 -\n")
    guard.stdin.flush()
    assert guard.stdout.readline() == b"parity-runner: heard 1\n"
    assert (tmp_path / "19" / "f").stat().st_size == 1 << 20
    out = say(guard, b"copy /nowhere /nowhere/x\nheard 2 -\n")
    assert b"copy failed" in out
    assert b"heard 2" not in out


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(guard: subprocess.Popen[bytes], signum: int) -> None:
    """As a first process it would be deaf without a trap, and `docker stop` would wait for ten seconds."""
    time.sleep(0.2)
    guard.send_signal(signum)
    assert guard.wait(5) == 0


@pytest.mark.parametrize("asked", [True, False])
def test_told_to_stay_it_ends_with_its_server(guard: subprocess.Popen[bytes], tmp_path: Path, *, asked: bool) -> None:
    """The end of its stdin is not its end then, and it says so; without that word it is."""
    entry = tmp_path / "bin" / "docker-entrypoint.sh"
    entry.write_text(f"#!/bin/sh\nwhile [ ! -e '{tmp_path}/end' ]; do sleep 0.05; done\n")
    assert guard.stdin is not None
    assert guard.stdout is not None
    guard.stdin.write(b"serve 1 -\n" + (b"stay - -\n" if asked else b""))
    guard.stdin.flush()
    if asked:
        assert guard.stdout.readline() == b"parity-runner: stays\n"
    guard.stdin.close()
    time.sleep(0.3)
    assert (guard.poll() is None) == asked
    (tmp_path / "end").touch()
    assert guard.wait(5) == 0
    if asked:
        assert guard.stdout.readline() == b"parity-runner: server 1 ended with status 0\n"


def test_one_that_stays_ends_when_it_is_told_to(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """`docker stop` finds it waiting for its server."""
    entry = tmp_path / "bin" / "docker-entrypoint.sh"
    entry.write_text("#!/bin/sh\nsleep 2\n")
    assert guard.stdin is not None
    guard.stdin.write(b"serve 1 -\nstay - -\n")
    guard.stdin.close()
    time.sleep(0.3)
    guard.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert guard.wait(5) == 0
    assert time.monotonic() - began < 1


def test_half_of_a_tree_is_not_a_tree(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The run died while it sent: nothing is served."""
    out = say(guard, b"tree 1024 %s\nab" % bytes(tmp_path))
    assert b"tree failed" in out
    assert guard.returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_without_tar_nothing_is_shut_down(shell: str, tmp_path: Path) -> None:
    """The server goes on."""
    (tmp_path / shell).symlink_to(str(shutil.which(shell)))
    done = subprocess.run(
        [str(tmp_path / shell), "-c", SHUT_DOWN], env={"PATH": str(tmp_path), "PGDATA": "/nowhere"}, check=False
    )
    assert done.returncode == 3
    assert os.listdir(tmp_path) == [shell]  # noqa: PTH208 - a name is asked for
