"""The check of a folder in pieces: what is not checked has not passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.errors.sql_text import TransactionControlError
from scripts.migrations.folder import runnable
from scripts.migrations.folder.files import read_files
from scripts.migrations.folder.runnable import FolderCheck

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.migrations.folder.files import MigrationFile


def folder(path: Path, *texts: str) -> tuple[MigrationFile, ...]:
    """Files of these texts."""
    for number, text in enumerate(texts, start=1):
        (path / f"{number:04d}_f.sql").write_text(text)
    return read_files(path)


@pytest.mark.parametrize("pieces", range(6))
def test_the_first_refusal_is_told_at_the_end(tmp_path: Path, pieces: int) -> None:
    """However much of it was done in pieces: the same file is refused, and again when it is asked again."""
    check = FolderCheck(folder(tmp_path, "SELECT 1;", "COMMIT;", "ROLLBACK;"))
    done = [check.piece() for _ in range(pieces)]
    assert done == [True, False, False, False, False][:pieces]
    for _ in range(2):
        with pytest.raises(TransactionControlError, match=r"0002_f\.sql:1:1"):
            check.finish()


def test_all_pieces_are_a_whole(tmp_path: Path) -> None:
    """A piece is a file; then there are none, and nothing is refused."""
    check = FolderCheck(folder(tmp_path, "SELECT 1;", "SELECT 2;"))
    assert [check.piece() for _ in range(4)] == [True, True, False, False]
    check.finish()


def test_a_file_whose_check_was_interrupted_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption, or a fault of our own, is no verdict: the file is not passed over."""
    check = FolderCheck(folder(tmp_path, "SELECT 1;", "COMMIT;"))
    assert check.piece()
    with monkeypatch.context() as patch:

        def interrupted(_: MigrationFile) -> None:
            raise KeyboardInterrupt

        patch.setattr(runnable, "require_runnable", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check.piece()
    with pytest.raises(TransactionControlError, match=r"0002_f\.sql:1:1"):
        check.finish()
