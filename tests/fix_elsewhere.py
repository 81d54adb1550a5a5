"""A Docker engine on what the network takes for another machine: a network of its own, reached by TLS and by ssh.

Owns: that network (Linux, root), its dockerd and sshd, their keys, and their end. What is published there on the
    loopback cannot be reached from here.
"""

from __future__ import annotations

import ipaddress
import os
import random
import shutil
import subprocess  # noqa: TID251 - the programs of the other machine
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TLS_PORT, SSH_PORT = 2376, 2222
START_S = 30.0


@dataclass(frozen=True)
class Elsewhere:
    """Where it is. `certificates` is as DOCKER_CERT_PATH wants it; `ssh` a folder with an ssh that knows the host."""

    address: str
    socket: Path
    certificates: Path
    ssh: Path
    engine: subprocess.Popen[bytes]

    def by_tls(self) -> dict[str, str]:
        """The variables that lead to the engine."""
        host = f"tcp://{self.address}:{TLS_PORT}"
        return {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self.certificates)}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """The other machine, with its engine and its sshd running."""
    with another_machine() as machine:
        yield machine


@contextmanager
def another_machine(*options: str) -> Iterator[Elsewhere]:
    """One of the caller's own; its dockerd has these options, too."""
    with ExitStack() as opened:
        # containerd's sockets want a short path.
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="t-", dir="/tmp")))
        name, address = opened.enter_context(_network())
        socket = folder / "docker.sock"
        certificates = _make_certificates(folder, address)
        engine = opened.enter_context(_dockerd(name, folder, socket, address, options))
        opened.enter_context(_sshd(name, folder, socket, address))
        yield Elsewhere(address, socket, certificates, folder / "bin", engine)


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv[0]}: {done.stderr}"


@contextmanager
def _network() -> Iterator[tuple[str, str]]:
    """A network with one wire to ours; returns its name and its address."""
    assert os.geteuid() == 0, "a network of its own can be made by root only, on Linux: run these tests so, or in CI"
    number = random.SystemRandom().randrange(1 << 14)
    name, here, there = f"parity{number}", f"pv{number}a", f"pv{number}b"
    first = ipaddress.ip_address("10.213.0.0") + 4 * number
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _run("ip", "address", "add", f"{first + 1}/30", "dev", here)
        _run("ip", "link", "set", here, "up")
        for words in (f"address add {first + 2}/30 dev {there}", f"link set {there} up", "link set lo up"):
            _run("ip", "-n", name, *words.split())
        yield name, str(first + 2)
    finally:
        _run("ip", "netns", "delete", name)


def _there(network: str) -> tuple[str, ...]:
    """Not by `ip netns exec`, which hides the cgroups."""
    return ("nsenter", f"--net=/run/netns/{network}")


@contextmanager
def _process(log: Path, *argv: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file, subprocess.Popen(argv, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(START_S)


def _unmount(path: Path) -> None:
    """Take a mount away, if there is one. The containerd of an engine that was killed dies a moment after it."""
    deadline = time.monotonic() + START_S
    # By the kernel's list: a folder that is mounted on itself has the device of the one above it.
    while f" {path} " in Path("/proc/self/mountinfo").read_text() and time.monotonic() < deadline:
        if subprocess.run(["umount", "-q", path], check=False).returncode != 0:
            time.sleep(0.05)


@contextmanager
def _dockerd(
    network: str, folder: Path, socket: Path, address: str, options: tuple[str, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    keys, log = folder / "server", folder / "dockerd.log"
    argv: list[str | Path] = [*_there(network), "dockerd", *options, "--host", f"unix://{socket}"]
    argv += ["--host", f"tcp://{address}:{TLS_PORT}", "--tlsverify"]
    for option, name in (("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")):
        argv += [option, keys / name]
    for option in ("data-root", "exec-root", "pidfile"):
        argv += [f"--{option}", folder / option]
    try:
        with _process(log, *argv) as process:
            deadline = time.monotonic() + START_S
            while "API listen on /" not in log.read_text():
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.05)
            yield process
    finally:
        # It leaves its own network's mount behind, and one that has not come up its data's.
        for mount in (*(folder / "exec-root" / "netns").glob("*"), folder / "data-root"):
            _unmount(mount)
        shutil.rmtree(folder / "data-root", ignore_errors=True)


@contextmanager
def _sshd(network: str, folder: Path, socket: Path, address: str) -> Iterator[None]:
    for name in ("host", "user"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    known = folder / "known_hosts"
    known.write_text(f"[{address}]:{SSH_PORT} {(folder / 'host.pub').read_text()}")
    server = {
        "Port": SSH_PORT,
        "ListenAddress": address,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password",
        "SetEnv": f"DOCKER_HOST=unix://{socket}",
    }
    client = {"IdentityFile": folder / "user", "IdentitiesOnly": "yes", "UserKnownHostsFile": known}
    for name, lines in (("sshd_config", server), ("ssh_config", client)):
        (folder / name).write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    (folder / "bin").mkdir()
    program = folder / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder / "ssh_config"} "$@"\n')
    program.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    argv = [*_there(network), shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f"]
    with _process(folder / "sshd.log", *argv, folder / "sshd_config"):
        deadline = time.monotonic() + START_S
        while "Server listening" not in (folder / "sshd.log").read_text():
            assert time.monotonic() < deadline, (folder / "sshd.log").read_text()
            time.sleep(0.05)
        yield


def _make_certificates(folder: Path, address: str) -> Path:
    """An authority, a server's and a client's certificate; returns the client's folder."""
    root = ("-keyout", folder / "ca-key.pem", "-out", folder / "ca.pem", "-subj", "/CN=authority")
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")
    signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem")
    _run(*new, *root)
    for who in ("server", "client"):
        keys = folder / who
        keys.mkdir()
        shutil.copy(folder / "ca.pem", keys)
        name = ("-subj", f"/CN={who}", "-addext", f"subjectAltName=IP:{address}")
        _run(*new, *signed, *name, "-keyout", keys / "key.pem", "-out", keys / "cert.pem")
    return folder / "client"
