"""The folder: every way in which a name, a number, the bytes or the statements can be wrong has its own error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.digest import sha256_hex
from scripts.errors.history import FileNameError, FileTextError, HistoryError
from scripts.errors.sql_text import CopyStreamError, MarkerError, SqlSyntaxError, TransactionControlError
from scripts.migrations.folder.files import MigrationFile, migrations_digest, read_files, read_migrations
from scripts.migrations.folder.runnable import KEPT_BYTES, require_all_runnable

if TYPE_CHECKING:
    from collections.abc import Callable

NO_TX = "-- symphony:no_tx\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file."""
    path = tmp_path / "migrations"
    path.mkdir()
    (path / "0001_first.sql").write_text("SELECT 1;\n")
    return path


def refused(folder: Path, kind: type[HistoryError]) -> str:
    """The text of the error that reading the folder ends with."""
    with pytest.raises(kind) as caught:
        read_migrations(folder)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_good_folder(folder: Path) -> None:
    """Files come in the order of their numbers, with the bytes' sha256; anything that is no migration is no matter."""
    (folder / "0010_j.sql").write_text("SELECT 10;\n")
    for number in range(2, 10):
        (folder / f"{number:04d}_x-Y_1.sql").write_text(f"SELECT {number};\n")
    (folder / "README.md").write_text("text")
    (folder / ".0002_x.sql.swp").write_text("editor")
    (folder / "archive").mkdir()
    files = read_migrations(folder)
    assert [file.number for file in files] == list(range(1, 11))
    assert files[0].checksum == sha256_hex(b"SELECT 1;\n")
    assert files[0].text == "SELECT 1;\n"
    assert not files[0].no_tx
    assert not files[0].listed


def test_numbers_beyond_four_digits_follow(folder: Path) -> None:
    """9999 is followed by 10000, though text would sort it before."""
    (folder / "0001_first.sql").unlink()
    for number in range(10_001):
        (folder / f"{number:04d}_n.sql").write_text("SELECT 1;")
    assert [file.number for file in read_files(folder)] == list(range(10_001))


@pytest.mark.parametrize(
    "name", ["28_new.sql", "0028_new.SQL", "0028_new.sql.txt", "0028-new.sql", "0028_.sql", "0028_né.sql",
             "new.sql", "0028_a b.sql", "0028_new.sql~", "٠٠٢٨_new.sql", "00000028_new.sql", "0028_new"]
)  # fmt: skip
def test_a_name_that_looks_like_a_migration(folder: Path, name: str) -> None:
    """It was meant to run, so it is not passed over."""
    (folder / name).write_text("SELECT 1;")
    assert refused(folder, FileNameError) == (
        f"error[file name]: {name}: not the name of a migration\n"
        "  expected  NNNN_name.sql: four to six digits, an underscore, letters, digits, `_` or `-`\n"
        "  help: rename it, or move it out of the folder: nothing in it is passed over in silence"
    )


def test_duplicate_numbers(folder: Path) -> None:
    """Two files of one number, written alike or not (D-19)."""
    (folder / "00001_second.sql").write_text("SELECT 1;")
    assert refused(folder, FileNameError) == (
        "error[duplicate number]: number 0001 is taken twice\n"
        "  first   00001_second.sql\n  second  0001_first.sql\n"
        "  help: give the newer one the next free number"
    )


def test_gaps(folder: Path) -> None:
    """A missing number, and a folder that begins too high (D-19)."""
    (folder / "0004_d.sql").write_text("SELECT 1;")
    assert "0004_d.sql: gap in the numbers: 0002, 0003 missing" in refused(folder, FileNameError)
    (folder / "0001_first.sql").unlink()
    (folder / "0004_d.sql").rename(folder / "0009_i.sql")
    text = refused(folder, FileNameError)
    assert "gap in the numbers: 0001, 0002, 0003, 0004, 0005, … missing" in text
    assert "restore the missing file from git" in text


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    """Nothing to run is not nothing to do."""
    assert "no migrations in the folder" in refused(tmp_path, FileNameError)
    assert "gone: no folder of migrations" in refused(tmp_path / "gone", FileNameError)


@pytest.mark.parametrize("what", ["folder", "pipe", "link out", "link to nothing"])
def test_only_regular_files_of_this_folder(folder: Path, tmp_path: Path, what: str) -> None:
    """A folder, a pipe, a link that leads out or to nothing."""
    path = folder / "0002_b.sql"
    outside = tmp_path / "outside.sql"
    outside.write_text("SELECT 1;")
    expected: dict[str, tuple[str, Callable[[], object]]] = {
        "folder": ("a folder", path.mkdir),
        "pipe": ("something else", lambda: os.mkfifo(path)),
        "link out": ("a link that leads out of the folder", lambda: path.symlink_to(outside)),
        "link to nothing": ("a link to nothing that can be read", lambda: path.symlink_to(folder / "nothing")),
    }
    found, make = expected[what]
    make()
    assert refused(folder, FileNameError) == (
        "error[file name]: 0002_b.sql: not a file of this folder\n"
        f"  expected  a regular file in the folder\n  found     {found}\n"
        "  help: put the file itself there"
    )


def test_a_link_inside_the_folder_is_a_file(folder: Path) -> None:
    """It leads to another file that is checked just the same."""
    (folder / "original").write_text("SELECT 2;")
    (folder / "0002_b.sql").symlink_to("original")
    assert read_migrations(folder)[1].text == "SELECT 2;"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0002_b.sql: no statement\n"),
        (b" \n\t\n", "0002_b.sql: no statement\n"),
        (b"-- later\n/* SELECT 1; */\n;;\n", "found     nothing but white space and comments"),
        (b"\xef\xbb\xbfSELECT 1;", "0002_b.sql:1:1: begins with a byte order mark\n"),
        (b"SELECT 1;\r\nSELECT 2;\r\n", "0002_b.sql:1: a carriage return\n"),
        (b"SELECT 1;\nSELECT\0 2;", "0002_b.sql:2: a NUL byte\n"),
        (b"SELECT 1;\n\nSELECT 'caf\xe9';", "0002_b.sql:3: not UTF-8\n"),
        (b"SELECT 1;\n\nSELECT 'caf\xe9';", "found     an invalid byte at offset 22"),
        ("SELECT 1;".encode("utf-16"), "0002_b.sql:1: a NUL byte\n"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_migration(folder: Path, data: bytes, text: str) -> None:
    """Each with its line, and the byte's offset where that helps."""
    (folder / "0002_b.sql").write_bytes(data)
    found = refused(folder, FileTextError)
    assert found.startswith("error[file text]: ")
    assert text in found


def test_an_unreadable_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own sentence is shown (root can read everything, so the refusal is made here)."""
    real = os.open

    def deny(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "0001_first.sql":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr("scripts.migrations.folder.files.os.open", deny)
    with pytest.raises(FileNameError, match=r"(?s)0001_first\.sql: cannot be read.*found  Permission denied"):
        read_files(folder)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("SELECT 1;\nBEGIN;\nCOMMIT;", TransactionControlError, "0002_b.sql:2:1: BEGIN in a migration"),
        ("SELECT 1; SAVEPOINT a;", TransactionControlError, "0002_b.sql:1:11: SAVEPOINT in a migration"),
        ("DO $$\nBEGIN\n  COMMIT;\nEND $$;", TransactionControlError, "0002_b.sql:3:3: COMMIT in DO in a migration"),
        ("DO $$ BEGIN IF true THEN ROLLBACK; END IF; END $$", TransactionControlError, "ROLLBACK in DO in a migration"),
        (NO_TX + "VACUUM; COMMIT;", TransactionControlError, "0002_b.sql:2:9: COMMIT in a migration"),
        ("COPY t FROM STDIN;", CopyStreamError, "0002_b.sql:1:1: COPY … FROM STDIN"),
        ("COPY (SELECT 1) TO STDOUT;", CopyStreamError, "0002_b.sql:1:1: COPY … TO STDOUT"),
        ("SELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY i ON t (a);", MarkerError,
         "0002_b.sql:2:1: CREATE UNIQUE INDEX CONCURRENTLY cannot run inside a transaction, and the file"),
        ("SELECT '-- symphony:no_tx';\nVACUUM;", MarkerError, "0002_b.sql:2:1: VACUUM cannot run inside a transaction"),
        ("VACUUM;\n-- symphony:no_tx\nVACUUM;", MarkerError, "0002_b.sql:1:1: VACUUM cannot run inside a transaction"),
        ("/* symphony:no_tx */\nVACUUM;", MarkerError, "0002_b.sql:2:1: VACUUM cannot run inside a transaction"),
        ("/*\n-- symphony:no_tx\n*/\nVACUUM;", MarkerError, "0002_b.sql:4:1: VACUUM cannot run inside a transaction"),
        ("-- not symphony:no_tx\nVACUUM;", MarkerError, "0002_b.sql:2:1: VACUUM cannot run inside a transaction"),
        (NO_TX + "CREATE TABLE t (a int);\nVACUUM;", MarkerError, "0002_b.sql:2:1: CREATE TABLE in a no_tx file"),
        (NO_TX + "VACUUM;\nINSERT INTO t VALUES (1);", MarkerError, "0002_b.sql:3:1: INSERT INTO in a no_tx file"),
        (NO_TX + "SET maintenance_work_mem = '1GB';", MarkerError, "0002_b.sql: marked no_tx, but no statement"),
        (NO_TX + "CREATE INDEX CONCURRENTLY ON t (a);", MarkerError,
         "0002_b.sql:2:1: a concurrent index build without a name"),
    ],
)  # fmt: skip
def test_statements_that_may_not_stand_there(folder: Path, text: str, kind: type[HistoryError], expected: str) -> None:
    """Each is refused by its line, with a caret, before anything runs."""
    (folder / "0002_b.sql").write_text(text)
    found = refused(folder, kind)
    assert expected in found
    assert "\n  help: " in found
    assert ("^" in found) == (": marked no_tx" not in found)


@pytest.mark.parametrize(
    "text",
    [
        NO_TX + "CREATE INDEX CONCURRENTLY i ON t (a);",
        "-- first\n\n--symphony:no_tx  \n/* x */ VACUUM;",
        "/* x\n*/\n-- symphony:no_tx\nSET maintenance_work_mem = '1GB';\nREINDEX TABLE t;",
        NO_TX + "ALTER TYPE e ADD VALUE 'x';",
    ],
)
def test_the_marker_is_found(folder: Path, text: str) -> None:
    """A comment of its own, anywhere before the first statement (D-18)."""
    (folder / "0002_b.sql").write_text(text)
    assert read_migrations(folder)[1].no_tx


@pytest.mark.parametrize(
    "text",
    [
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'COMMIT' $$; -- ROLLBACK;",
        "DO $$ BEGIN CREATE PROCEDURE p() LANGUAGE plpgsql AS $i$ BEGIN COMMIT; END $i$; END $$;",
        "SELECT 'CREATE INDEX CONCURRENTLY i ON t (a)'; -- symphony:no_tx",
    ],
)
def test_words_in_strings_and_procedures_are_no_matter(folder: Path, text: str) -> None:
    """What is not run by the file is not held against it."""
    (folder / "0002_b.sql").write_text(text)
    assert not read_migrations(folder)[1].no_tx


def test_hashing_parses_nothing(folder: Path) -> None:
    """`read_files` reads broken SQL without a word: only what is pending is parsed."""
    (folder / "0002_b.sql").write_text("SELEC")
    files = read_files(folder)
    assert [sorted(file.__dict__) for file in files] == [["checksum", "data", "folder", "listed", "name", "number"]] * 2


def test_the_digest_names_every_file_and_byte(folder: Path) -> None:
    """Another name or another byte is another digest; the folder's place is not part of it."""
    first = migrations_digest(read_files(folder))
    (folder / "0001_first.sql").rename(folder / "0001_other.sql")
    second = migrations_digest(read_files(folder))
    (folder / "0001_other.sql").write_text("SELECT 1; \n")
    third = migrations_digest(read_files(folder))
    assert len({first, second, third}) == 3
    same = MigrationFile.of_text("0001_first.sql", "SELECT 1;\n", folder=Path("elsewhere"))
    assert migrations_digest((same,)) == first
    with pytest.raises(FileNameError):
        MigrationFile.of_text("first.sql", "SELECT 1;")


@pytest.mark.parametrize(
    "body",
    ["$$ BEGIN CoMMiT; END $$", "E'BEGIN \\x43OMMIT; END'", "U&'BEGIN R\\004FLLBACK; END'", "'begin com'\n'mit; end'"],
)
def test_a_do_block_that_ends_the_transaction(folder: Path, body: str) -> None:
    """However the word is written: what counts is the body that the server gets."""
    (folder / "0002_b.sql").write_text(f"DO {body};")
    assert " in DO in a migration" in refused(folder, TransactionControlError)


def test_what_is_released_is_made_again(folder: Path) -> None:
    """Letting go of a file's text and trees loses nothing, and what is small is not worked out twice."""
    (folder / "0002_b.sql").write_text(NO_TX + "DROP INDEX CONCURRENTLY i;\nDROP INDEX CONCURRENTLY j;\n")
    for file in read_migrations(folder):
        before = (file.no_tx, file.statement_count, file.statements_digest, file.excerpts, file.statements)
        file.release()
        assert not {"text", "excerpts", "statements"} & set(file.__dict__)
        assert (file.no_tx, file.statement_count, file.statements_digest) == before[:3]
        assert "excerpts" not in file.__dict__
        assert (file.excerpts, file.statements) == before[3:]


def test_texts_of_many_files_are_not_kept(folder: Path) -> None:
    """Every file is checked before the first one runs; the trees of ten thousand would fill the memory."""
    (folder / "0001_first.sql").write_text(f"SELECT '{'x' * KEPT_BYTES}';")
    for number in range(2, 5):
        (folder / f"{number:04d}_n.sql").write_text("SELECT 1;")
    files = read_files(folder)
    require_all_runnable(files)
    assert ["excerpts" in file.__dict__ for file in files] == [False] * 4
    assert [file.statement_count for file in files] == [1] * 4
    require_all_runnable(files[1:])
    assert ["excerpts" in file.__dict__ for file in files] == [False, True, True, True]


def test_plain_statements_need_no_tree(folder: Path) -> None:
    """What may stand in any transaction is told by its words; only the rest is taken apart."""
    (folder / "0002_b.sql").write_text("CREATE TABLE t (a int);\nDO $$ BEGIN NULL; END $$;\n")
    for file in read_migrations(folder):
        assert "statements" not in file.__dict__


def test_a_statement_too_deep_is_refused(folder: Path) -> None:
    """The grammar's own limit ends as an error of the file, whether a tree is asked for or not."""
    deep = "f(" * 20000 + "1" + ")" * 20000
    for text in (f"SELECT {deep};", f"CALL {deep};"):
        (folder / "0002_b.sql").write_text(text)
        assert "0002_b.sql" in refused(folder, SqlSyntaxError)


def test_every_file_is_checked(folder: Path) -> None:
    """The last one too, and whatever was let go of before it."""
    (folder / "0001_first.sql").write_text(f"SELECT '{'x' * KEPT_BYTES}';")
    (folder / "0002_b.sql").write_text("SELECT 1; COMMIT;")
    with pytest.raises(TransactionControlError, match=r"0002_b\.sql:1:11"):
        require_all_runnable(read_files(folder))


@pytest.mark.parametrize("told", [0, 3, 9, 10, 11, 4096])
def test_a_file_that_changes_its_size_meanwhile_is_read_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    """Whatever size was told when it was opened."""
    real = os.fstat

    class Told:
        def __init__(self, status: os.stat_result) -> None:
            self.st_mode, self.st_size = status.st_mode, told

    monkeypatch.setattr("scripts.migrations.folder.files.os.fstat", lambda handle: Told(real(handle)))
    assert read_files(folder)[0].data == b"SELECT 1;\n"
