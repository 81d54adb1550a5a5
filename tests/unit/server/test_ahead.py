"""The entry that is read before it is known which one is wanted: used if it is that very one, and never in the way."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.server.cluster.ahead import Ahead
from scripts.server.cluster.archive import Owner, parcel_of
from scripts.server.cluster.cache import find_likely, hint_of
from scripts.server.cluster.packing import PoisonedError, pour_checked, read_checked, read_index, seal

HINT = hint_of((1, 2), "db", other_user=False)


def put(folder: Path, letter: str, *, hint: str = HINT, used_at: int = 0, content: bytes = b"{}\n") -> tuple[Path, str]:
    """An entry of a key of that letter."""
    path = folder / f"{letter * 64}.cluster"
    path.write_bytes(seal({"key": letter * 64, "hint": hint}, content))
    path.chmod(0o600)
    os.utime(path, (used_at, used_at))
    return path, path.read_bytes()[:64].decode()


def test_what_is_likely_has_the_hint_and_was_of_use_last(tmp_path: Path) -> None:
    """Another hint, none (an image's), a name that is not ours, what anybody may write: all that is passed over."""
    assert find_likely(tmp_path, HINT) is None
    old, new = put(tmp_path, "a", used_at=1), put(tmp_path, "b", used_at=2)
    put(tmp_path, "c", hint="other", used_at=3)
    open_to_all, _ = put(tmp_path, "d", used_at=4)
    open_to_all.chmod(0o666)
    (tmp_path / ("e" * 64 + ".cluster")).write_text("no entry")
    os.mkfifo(tmp_path / ("f" * 64 + ".cluster"), 0o600)
    (tmp_path / "0.cluster").write_bytes(new[0].read_bytes())
    assert find_likely(tmp_path, HINT) == new
    new[0].unlink()
    assert find_likely(tmp_path, HINT) == old


@pytest.mark.parametrize(
    "other",
    [
        hint_of((1, 3), "db", other_user=False),
        hint_of((1, 2), "b", other_user=False),
        hint_of((1, 2), "db", other_user=True),
    ],
)
def test_a_hint_is_of_programs_database_and_user(other: str) -> None:
    """Whatever else differs is found by the key."""
    assert other != HINT


def test_what_was_read_is_handed_out_for_its_own_digest_alone(tmp_path: Path) -> None:
    """For any other the entry that is wanted is read."""
    (likely, digest), (wanted, other) = put(tmp_path, "a", used_at=2), put(tmp_path, "b", used_at=1, content=b"{ }\n")
    read: list[str] = []

    def reading(path: str, digest: str) -> memoryview:
        read.append(path)
        return read_checked(path, digest)

    with Ahead(tmp_path, HINT, reading) as ahead:
        assert ahead.read(str(likely), digest) is ahead.likely()
        assert read == [str(likely)]
        assert bytes(ahead.read(str(wanted), other)) == bytes(read_checked(str(wanted), other))
        assert read == [str(likely)]  # what was read there stays


def test_one_that_was_changed_is_not_likely_and_is_refused_when_it_is_wanted(tmp_path: Path) -> None:
    """The thread says nothing; whoever wants that very entry is told."""
    path, digest = put(tmp_path, "a")
    path.write_bytes(path.read_bytes() + b"x")
    with Ahead(tmp_path, HINT, read_checked) as ahead:
        assert ahead.likely() is None
        with pytest.raises(PoisonedError, match="its bytes are not those of its digest"):
            ahead.read(str(path), digest)


def test_without_a_folder_nothing_is_read(tmp_path: Path) -> None:
    """Where nothing is kept, or the folder is not there any more."""
    for folder in (None, tmp_path / "gone"):
        with Ahead(folder, HINT, read_checked) as ahead:
            assert ahead.likely() is None


def test_what_is_poured_is_what_was_digested(tmp_path: Path) -> None:
    """Whatever the file held before, of whatever size; a link is refused, as is another first line."""
    into, _ = tempfile.mkstemp(dir=tmp_path)
    for size in (3_000_000, 5, 1 << 18):
        path, digest = put(tmp_path, "a", content=os.urandom(size))
        poured = pour_checked(str(path), digest, into)
        assert poured == read_checked(str(path), digest)
        assert os.pread(into, 1 << 23, 0) == bytes(poured)
        with pytest.raises(PoisonedError):
            pour_checked(str(path), hashlib.sha256().hexdigest(), into)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(PoisonedError, match="its bytes are not those of its digest"):
            pour_checked(str(path), digest, into)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        pour_checked(str(tmp_path / "link"), digest, into)
    os.close(into)


# Each would be refused by the file system, which would then be blamed for it.
ODD = (
    (b"[]", b'[["a", 384, 0, 1], ["a", 384, 0, 1]]'),
    (b'[["a", 448]]', b'[["a", 384, 0, 1]]'),
    (b'[["a", 448], ["a", 448]]', b"[]"),
    (b'[["a/b", 448], ["a", 448]]', b"[]"),
    (b"[]", b'[["a/b", 384, 0, 1]]'),
    *((b"[]", b'[["%b", 384, 0, 1]]' % name) for name in (b".", b"a" * 256, b"a\\u0000", b"\\ud800")),
    *((b'[["a", 448]]', b'[["a/%b", 384, 0, 1]]' % name) for name in (b"", b".", b"/b", b"a" * 256)),
    (b'[["%b", 448]]' % (b"a" * 1024), b"[]"),
)


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (b"", "it has not the form"),
        (b"[", "it has not the form"),
        (b"[]", "it has not the form"),
        (b'{"folders": []}', "it has not the form"),
        (b'{"folders": [["a"]], "files": []}', "it has not the form"),
        (b'{"folders": [[1, 2]], "files": []}', "it has not the form"),
        (b'{"folders": [["a", "b"]], "files": []}', "it has not the form"),
        (b'{"folders": [], "files": [["a", "b", 0, 0]]}', "it has not the form"),
        (b'{"folders": [], "files": [["a", 384, 0, 5]]}', "it lists what it does not hold"),
        (b'{"folders": [], "files": [["a", 384, -1, 1]]}', "it lists what it does not hold"),
        (b'{"folders": [], "files": [["a", 384, 2, -1]]}', "it lists what it does not hold"),
        (b'{"folders": [], "files": [["a", 1099511627776, 0, 1]]}', "it lists what it does not hold"),
        (b'{"folders": [["a", -1]], "files": []}', "it lists what it does not hold"),
        (b'{"folders": [["a", 448.5]], "files": []}', "it has not the form"),
        (b'{"folders": [["a", 1e9]], "files": []}', "it has not the form"),
        (b'{"folders": [], "files": [["a", 384, 0.5, 1]]}', "it has not the form"),
        (b'{"folders": [], "files": [["a", 384, 0, 1.0]]}', "it has not the form"),
        (b'{"folders": [["", 448]], "files": []}', "it lists what it does not hold"),
        (b'{"folders": [], "files": [["", 384, 0, 1]]}', "it lists what it does not hold"),
        *(
            (b'{"folders": %b, "files": %b}' % (folders, files), "it lists what no folder can hold")
            for folders, files in ODD
        ),
    ],
)
def test_a_list_that_cannot_be_laid_out_is_refused(index: bytes, why: str) -> None:
    """Somebody sealed it: a digest alone does not make it right."""
    with pytest.raises(PoisonedError, match=why):
        read_index(memoryview(b"{}\n" + index + b"\nfour"))


PARTS = st.sampled_from(["a", "b", "", ".", "..", "a" * 255, "a" * 256, "\0", "é", "\ud800", "\n", ".a", "base", "1"])
PATHS = st.one_of(st.lists(PARTS, max_size=4).map("/".join), st.lists(st.sampled_from("ab"), max_size=3).map("/".join))
NUMBERS = st.one_of(st.integers(-1, 5), st.integers(), st.floats(), st.booleans(), st.none())
MODES = st.one_of(st.just(0o600), st.just(0o700), NUMBERS)
ANY_JSON = st.recursive(NUMBERS | PATHS, lambda some: st.lists(some) | st.dictionaries(PATHS, some), max_leaves=9)
FOLDERS = st.lists(st.tuples(PATHS, MODES), max_size=4)
FILES = st.lists(st.tuples(PATHS, MODES, NUMBERS, NUMBERS), max_size=3)
PLAIN = st.lists(st.tuples(PATHS, st.just(0o600), st.just(0), st.just(4)), max_size=2)


@given(st.one_of(ANY_JSON, st.fixed_dictionaries({"folders": FOLDERS | ANY_JSON, "files": FILES | PLAIN | ANY_JSON})))
def test_what_a_list_is_handed_on_for_can_be_laid_out(index: object) -> None:
    """Whatever was sealed: refused as what it is, or each of its folders and files can be made, here and in a tar."""
    checked = memoryview(b"{}\n" + json.dumps(index).encode() + b"\nfour")
    try:
        _, folders, files = read_index(checked)
    except PoisonedError:
        return
    with tempfile.TemporaryDirectory() as place:
        for path, mode in folders:
            (Path(place) / path).mkdir()
            assert stat.S_IMODE(mode) == mode
        for path, mode, at, size in files:
            (Path(place) / path).touch(exist_ok=False)
            assert stat.S_IMODE(mode) == mode
            assert len(b"four"[at : at + size]) == size
    with suppress(PoisonedError):  # a longer path than that form has room for
        parcel_of(checked, Owner("postgres", "postgres", 999, 999))


def test_a_list_is_handed_on_as_it_is() -> None:
    """With the place where the contents begin."""
    index = {"folders": [["a", 0o700]], "files": [["a/b", 0o600, 0, 4]]}
    data = b"{}\n" + json.dumps(index).encode() + b"\n"
    begin, folders, files = read_index(memoryview(data + b"four"))
    assert (begin, {"folders": folders, "files": files}) == (len(data), index)
    with pytest.raises(PoisonedError, match="form"):
        read_index(memoryview(b"{}"))
