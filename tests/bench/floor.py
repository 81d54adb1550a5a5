"""What a start cannot do without: a cluster, copied or made; the server; a connection. Nothing else is done here.

Owns: the floors that embedded starts are compared with. They are measured as a person would do it by hand: `cp` or
    `initdb`, the server's own program, the driver. No digest is checked, no password renewed, and nothing ends the
    server when this process is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess  # noqa: TID251 - the measure is the bare programs
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.server.cluster.cache import SUFFIX
from scripts.server.cluster.packing import read_checked, read_known
from scripts.server.embedded.account import find_account
from scripts.server.embedded.binaries import find_binaries
from scripts.server.embedded.layout import CONFIG, make_layout, runnable
from scripts.server.embedded.leash import Leash
from scripts.server.provision import INITDB_OPTIONS, SUPERUSER, random_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.server.embedded.account import Account
    from scripts.server.embedded.binaries import Binaries


@contextmanager
def open_floor(kept: Path, home: Path) -> Iterator[Callable[[], float]]:
    """A candidate for `measure.in_turn`: one call copies, starts, connects, asks `SELECT 1`, and cleans up.

    Args:
        kept: a folder with a kept cluster in it (`Settings.cluster_cache` after one start).
        home: the file system to measure on.

    Yields:
        A function that returns the milliseconds up to the answer; cleaning up is not counted.
    """
    entry = max(kept.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    with entry.open("rb") as file:
        digest, known = read_known(file.fileno())
    account = find_account()
    with Leash() as leash:
        layout = make_layout(leash, account)
        leash.begin_unpack(read_checked(str(entry), digest), layout.data, account)
        leash.finish_unpack()
        leash.require_unpacked()
        programs = runnable(find_binaries(None), leash, account)
        yield _Case(layout.data, home, programs, account, str(known["password"])).measure


@contextmanager
def open_initdb_floor(home: Path) -> Iterator[Callable[[], float]]:
    """The same with `initdb` in the place of the copy: the floor of a start from nothing.

    Args:
        home: the file system to measure on.

    Yields:
        As above.
    """
    account = find_account()
    with Leash() as leash:
        programs = runnable(find_binaries(None), leash, account)
        yield _Case(None, home, programs, account, random_password()).measure


@dataclass(frozen=True, slots=True)
class _Case:
    source: Path | None
    home: Path
    programs: Binaries
    account: Account | None
    password: str

    def measure(self) -> float:
        import psycopg

        base = Path(tempfile.mkdtemp(prefix="floor-", dir=self.home))
        data, socket = base / "d", base / "s"
        socket.mkdir()
        if self.account is not None:
            base.chmod(0o711)
            os.chown(socket, self.account.uid, self.account.gid)
        server = None
        try:
            began = time.perf_counter()
            self._make(data, socket / "pw")
            argv = [str(self.programs.postgres), "-D", str(data), "-k", str(socket), "-c", f"config_file={CONFIG}"]
            server = self._spawn([*argv, "-c", "listen_addresses="])
            conn = None
            while conn is None and server.poll() is None:
                try:
                    conn = psycopg.connect(
                        host=str(socket), user=SUPERUSER, password=self.password, dbname="template1", autocommit=True
                    )
                except psycopg.OperationalError:
                    time.sleep(0.001)
            if conn is None:
                raise RuntimeError("the bare server ended")
            conn.execute("SELECT 1")
            took_ms = (time.perf_counter() - began) * 1000
            conn.close()
            return took_ms
        finally:
            if server is not None:
                server.send_signal(signal.SIGQUIT)
                server.wait()
            shutil.rmtree(base)

    def _make(self, data: Path, password: Path) -> None:
        if self.source is not None:
            subprocess.run(["/bin/cp", "-a", self.source, data], check=True)
            return
        data.mkdir(mode=0o700)
        password.write_text(self.password)
        if self.account is not None:
            for path in (data, password):
                os.chown(path, self.account.uid, self.account.gid)
        argv = [str(self.programs.initdb), "-D", str(data), *INITDB_OPTIONS, f"--pwfile={password}"]
        if self._spawn([*argv, "--no-sync", "--no-instructions"]).wait() != 0:
            raise RuntimeError("the bare initdb failed")

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        user, group = (None, None) if self.account is None else (self.account.uid, self.account.gid)
        quiet = subprocess.DEVNULL
        return subprocess.Popen(argv, user=user, group=group, cwd="/", stdout=quiet, stderr=quiet)
