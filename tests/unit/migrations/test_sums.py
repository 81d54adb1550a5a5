"""The list of sums: every disagreement with the folder, and every malformation, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.digest import sha256_hex
from scripts.errors.history import HistoryError, SumsError
from scripts.migrations.folder.files import read_files
from scripts.migrations.folder.sums import add_new_sums, read_sums, render_sums, require_sums, sums_path
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files and their list."""
    path = tmp_path / "migrations"
    path.mkdir()
    for number in range(1, COUNT + 1):
        (path / f"{number:04d}_f.sql").write_text(f"SELECT {number};\n")
    (tmp_path / "migrations.sum").write_text(render_sums(checksums(path)))
    return path


def checksums(folder: Path) -> dict[str, str]:
    """sha256 by name, in order."""
    return {path.name: sha256_hex(path.read_bytes()) for path in sorted(folder.glob("*.sql"))}


def refused(folder: Path) -> str:
    """The text of the refusal."""
    with pytest.raises(SumsError) as caught:
        read_files(folder)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_listed_folder(folder: Path) -> None:
    """Every file says that it is listed."""
    assert all(file.listed for file in read_files(folder))


def test_a_changed_file(folder: Path) -> None:
    """Both sums are shown."""
    (folder / "0002_f.sql").write_text("SELECT 2; \n")
    text = refused(folder)
    assert text.startswith("error[sums]: 0002_f.sql is not the file that migrations.sum lists\n  listed   sha256:")
    assert text.endswith("help: restore the file from git and put the change in a new migration")


def test_a_new_file_and_a_lost_one(folder: Path) -> None:
    """A file without a line, and a line without a file."""
    (folder / "0005_f.sql").write_text("SELECT 5;")
    assert "0005_f.sql is not listed in migrations.sum" in refused(folder)
    assert "`invoke sums.update` adds new files" in refused(folder)
    (folder / "0005_f.sql").unlink()
    (folder / "0004_f.sql").unlink()
    assert "0004_f.sql is listed in migrations.sum, but is not there" in refused(folder)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda lines: [*lines, lines[0]], "migrations.sum:5: 0001_f.sql is listed twice"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "migrations.sum:2: 0001_f.sql stands out of order"),
        (lambda lines: [*lines[:2], "", *lines[2:]], "migrations.sum:3: not a line of sha256sum"),
        (lambda lines: [lines[0].upper(), *lines[1:]], "migrations.sum:1: not a line of sha256sum"),
        (lambda lines: [lines[0].replace("  ", " *"), *lines[1:]], "migrations.sum:1: not a line of sha256sum"),
        (lambda lines: [lines[0][1:], *lines[1:]], "migrations.sum:1: not a line of sha256sum"),
        (lambda lines: [lines[0] + "\r", *lines[1:]], "migrations.sum:1: not a line of sha256sum"),
        (lambda lines: ["# sums", *lines], "migrations.sum:1: not a line of sha256sum"),
        (lambda lines: [lines[0].replace("0001_f", "../0001_f"), *lines[1:]], "migrations.sum:1: not a line"),
    ],
)
def test_malformed_lists(folder: Path, change: object, text: str) -> None:
    """A line twice, out of order, or of another form."""
    path = sums_path(folder)
    lines = path.read_text().splitlines()
    assert callable(change)
    path.write_text("\n".join(change(lines)) + "\n", newline="")
    assert text in refused(folder)


def test_a_list_without_its_last_newline(folder: Path) -> None:
    """The last line may be half of one."""
    path = sums_path(folder)
    path.write_text(path.read_text().rstrip("\n"))
    assert "migrations.sum:4: not a line of sha256sum" in refused(folder)


def test_a_foreign_folder_may_have_none(folder: Path) -> None:
    """Then the files are not marked as listed; the project's own folder must have its list."""
    sums_path(folder).unlink()
    assert not any(file.listed for file in read_files(folder))


def test_the_projects_own_folder_must_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing the list does not remove the check."""
    monkeypatch.setattr("scripts.migrations.folder.sums.read_sums", lambda _: None)
    with pytest.raises(SumsError, match=r"(?s)migrations\.sum: the list of sums is not there.*restore it from git"):
        require_sums(Settings().migrations_dir, {})


def test_new_files_are_added_and_nothing_else(folder: Path) -> None:
    """A listed sum never changes; a changed or lost file stops the update and the list stays as it is."""
    (folder / "0005_f.sql").write_text("SELECT 5;")
    assert add_new_sums(folder, checksums(folder)) == ("0005_f.sql",)
    assert add_new_sums(folder, checksums(folder)) == ()
    assert len(read_files(folder)) == 5
    before = sums_path(folder).read_bytes()
    (folder / "0001_f.sql").write_text("SELECT 0;")
    with pytest.raises(SumsError, match="is not the file that"):
        add_new_sums(folder, checksums(folder))
    (folder / "0001_f.sql").unlink()
    with pytest.raises(SumsError, match="is not there"):
        add_new_sums(folder, checksums(folder))
    assert sums_path(folder).read_bytes() == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_first_list(folder: Path) -> None:
    """A folder without a list gets one, in the format that sha256sum checks."""
    sums_path(folder).unlink()
    assert len(add_new_sums(folder, checksums(folder))) == COUNT
    assert list(read_sums(sums_path(folder)) or {}) == [f"{n:04d}_f.sql" for n in range(1, COUNT + 1)]
    assert oct(sums_path(folder).stat().st_mode)[-3:] == "644"


@given(st.data())
def test_any_change_of_one_byte_is_caught(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """In a file or in the list: flipped, inserted or removed; nothing is read as if it had not happened."""
    folder = tmp_path_factory.mktemp("sums") / "m"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number:04d}_f.sql").write_text(f"SELECT {number};\n")
    sums_path(folder).write_text(render_sums(checksums(folder)))
    path = data.draw(st.sampled_from([sums_path(folder), folder / "0001_f.sql", folder / "0002_f.sql"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "insert", "remove"])):
        case "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        case "insert":
            content.insert(at, data.draw(st.integers(0, 255)))
        case _:
            del content[at]
    path.write_bytes(bytes(content))
    with pytest.raises(HistoryError):
        read_files(folder)
