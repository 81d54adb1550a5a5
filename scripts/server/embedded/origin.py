"""A fresh PostgreSQL from the wheel's programs (or PG_BINDIR's), on a private Unix socket.

Owns: where its cluster comes from: a copy of one that is kept, or initdb.
Promises: nothing outside folders of our own is written or changed; only this user (and root) can reach the server,
    and a password of this run is asked for even so; when the block is left, or the run dies in whatever way, all but
    the kept cluster is gone.
Never: uses a kept cluster that has been touched, or changes one.
"""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from scripts.errors.server import StartError, WrongPasswordError
from scripts.server.cluster.ahead import Ahead
from scripts.server.cluster.cache import hint_of, key_of, open_folder, pack_cluster
from scripts.server.cluster.kept import Kept, not_fresh, unusable
from scripts.server.embedded.account import find_account
from scripts.server.embedded.binaries import digest_of_binary, digest_of_sources, find_binaries, sizes_of
from scripts.server.embedded.boot import (
    Boot,
    begin_server,
    finish_server,
    make_cluster,
    require_major_of,
    start_server,
)
from scripts.server.embedded.layout import error_of_files, make_layout, minding_room, needs_copy, runnable
from scripts.server.embedded.leash import Leash, RefusedError
from scripts.server.embedded.programs import Programs, find_or_keep
from scripts.server.embedded.sweep import sweeping
from scripts.server.embedded.watched import WatchedHolder
from scripts.server.facts import Since, found_before, read_facts, require_fresh
from scripts.server.folders import SOCKET_PORT
from scripts.server.model import Server
from scripts.server.places import own_dsn
from scripts.server.provision import SUPERUSER, provision, random_password, renew_both, renew_password
from scripts.server.readiness import address_of, connect, parse_dsn, require_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from scripts.errors.room import DiskFullError, FolderError
    from scripts.server.embedded.account import Account
    from scripts.server.embedded.binaries import Binaries
    from scripts.server.embedded.layout import Layout
    from scripts.server.provision import Provisioned
    from scripts.settings import Settings


@contextmanager
def open_embedded(settings: Settings, *, reason: str, report: Callable[[str], None] | None = None) -> Iterator[Server]:
    """Take a cluster that is kept, or make one; start it, hand it out, and remove every trace of the run's copy.

    Args:
        settings: PG_BINDIR, the database's name, the folder for kept clusters and the start's deadline are used.
        reason: why this origin was chosen; kept in the server.
        report: takes a line about a kept cluster that was not what it should be.

    Raises:
        ServerError: one of its kinds, naming the cause.
    """
    since = Since()
    account = find_account()
    found = find_binaries(settings.pg_bindir)
    deadline = time.monotonic() + settings.server_start_timeout_ms / 1000
    say = report or _quiet
    other_user = account is not None
    hint = hint_of(sizes_of(found), settings.postgres_db, other_user=other_user)
    folder = open_folder(settings.cluster_cache, say)
    with sweeping(say), Leash() as leash, Ahead(folder, hint, leash.pour) as ahead:
        ready = _programs(found, leash, account, settings, say)
        layout = make_layout(leash, account)
        boot = Boot(leash, layout, account, ready.binaries, deadline, settings.server_start_timeout_ms)
        if found.source == "PG_BINDIR":
            require_major_of(boot)
        begun = _begin(boot, ahead.likely())
        # While the server starts.
        digest = digest_of_binary(ready.binaries)
        key = key_of(f"{digest} {digest_of_sources(ready.binaries)}", settings.postgres_db, other_user=other_user)
        kept = Kept(folder, key, say)
        kept.find(ahead.read)
        started = _from_kept(boot, settings, kept, begun)
        if started is None:
            with minding_room(layout, "the start of the server"):
                started = _make(boot, settings, kept, hint)
        made, version, facts = started
        require_fresh(facts, address_of(made.owner_dsn), up_at_most_s=since.seconds())
        facts |= ready.facts | {
            "binaries": found.source,
            "postgres_sha256": digest,
            "data_directory": str(layout.folder.parent),
            "runs_as": "the run's own user" if account is None else account.name,
        }
        yield Server(made.owner_dsn, made.admin_dsn, "embedded", reason, version, facts, WatchedHolder(leash))


def _programs(
    found: Binaries, leash: Leash, account: Account | None, settings: Settings, report: Callable[[str], None]
) -> Programs:
    """The programs where they are, or a copy for the server's user, kept where anything is kept."""
    kept = None
    if settings.cluster_cache is not None and needs_copy(found, account):
        kept = find_or_keep(found, report)
    return kept or Programs(runnable(found, leash, account), {})


def _quiet(_line: str) -> None:
    """Nobody wants to know."""


_Started: TypeAlias = "tuple[Provisioned, str, dict[str, str]]"


@dataclass(frozen=True, slots=True)
class _Begun:
    """A server that starts on a copy of these bytes; or why they cannot be laid out, or were not."""

    checked: memoryview
    why: str = ""
    refused: RefusedError | None = None


def _begin(boot: Boot, checked: memoryview | None) -> _Begun | None:
    """Lay checked bytes out, and start a server on them; nobody connects to it before `_from_kept` agrees."""
    if checked is None:
        return None
    try:
        boot.leash.begin_unpack(checked, boot.layout.data, boot.account)
        # The driver takes a tenth of a second to load the first time; the watcher lays the files out meanwhile.
        import psycopg  # noqa: F401 - loaded here for its time

        why = boot.leash.finish_unpack()
    except RefusedError as exc:
        return _Begun(checked, refused=exc)  # whether it matters is not known before it is known which one is wanted
    if not why:
        begin_server(boot)
    return _Begun(checked, why)


def _from_kept(boot: Boot, settings: Settings, kept: Kept, begun: _Begun | None) -> _Started | None:
    """Start a copy of a kept cluster; None where there is none, or none that can be trusted.

    Args:
        boot: the start.
        settings: the database's name.
        kept: the entry that is wanted.
        begun: what has been begun before that was known.
    """
    found = kept.found
    if begun is not None and (found is None or found[1] is not begun.checked):
        _empty(boot)
        begun = None
    if found is None:
        return None
    entry, checked = found
    begun = begun or _begin(boot, checked)
    if begun is not None and begun.refused is not None:
        raise _copying(boot, begun.refused)
    why = "" if begun is None else begun.why
    if not why:
        dsn = _superuser_dsn(boot.layout, entry.password, settings.postgres_db)
        try:
            # A full disk is asked about first: it says nothing of the cluster, and there is no room for another.
            with minding_room(boot.layout, "the start on a copy of the kept cluster"), finish_server(boot, dsn) as conn:
                made, version, facts = _hand_over(conn, dsn)
            why = not_fresh(facts, entry)
            boot.leash.require_unpacked()
        except (StartError, WrongPasswordError) as exc:
            why = unusable(exc)
        except RefusedError as exc:
            raise _copying(boot, exc) from exc
    if why:
        kept.discard(why)
        _empty(boot)
        return None
    return made, version, facts | kept.facts()


def _copying(boot: Boot, refused: RefusedError) -> FolderError | DiskFullError:
    """The file system said no to a part of the copy."""
    return error_of_files(refused, "the copy of the kept cluster", boot.layout.folder.parent)


def _empty(boot: Boot) -> None:
    """Make room for another cluster."""
    boot.leash.stop()
    try:
        for path in boot.layout.data.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as exc:
        raise error_of_files(exc, "the removal of the copy of the kept cluster", boot.layout.folder.parent) from exc


def _make(boot: Boot, settings: Settings, kept: Kept, hint: str) -> _Started:
    """Run initdb, provision, and keep the cluster for the next run where it can be kept."""
    password = random_password()
    make_cluster(boot, password)
    admin_dsn = _superuser_dsn(boot.layout, password, "postgres")
    with start_server(boot, admin_dsn) as conn:
        version = require_version(conn, admin_dsn)
        admin_dsn = renew_password(conn, admin_dsn)
        made = provision(conn, admin_dsn, settings.postgres_db, to_be_kept=kept.folder is not None)
    if kept.folder is None:
        with connect(made.admin_dsn) as conn:
            return made, version, read_facts(conn) | kept.facts()
    # What is kept has been shut down, so this run, too, starts from that.
    packed = pack_cluster(boot.layout.data) if boot.leash.stop() else None
    password = parse_dsn(admin_dsn)["password"]
    with start_server(boot, made.admin_dsn) as conn:
        made, version, facts = _hand_over(conn, made.admin_dsn)
    if packed is not None and not found_before(facts):
        kept.keep(packed, facts, password, hint=hint)
    return made, version, facts | kept.facts()


def _hand_over(conn: Connection, dsn: str) -> _Started:
    version = require_version(conn, dsn)
    made = renew_both(conn, dsn)
    return made, version, read_facts(conn)


def _superuser_dsn(layout: Layout, password: str, database: str) -> str:
    return own_dsn(host=str(layout.socket), port=SOCKET_PORT, user=SUPERUSER, password=password, dbname=database)
