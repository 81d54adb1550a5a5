"""Troubles with the files and with what the ledger says of them: exit 4, found before anything runs.

Owns: one class for each way in which history can be wrong; the text of each.
Promises: every text names the file, and the line where there is one; nothing was applied when one of these is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode, ProjectError

if TYPE_CHECKING:
    from collections.abc import Sequence


class HistoryError(ProjectError):
    """The files, or files and ledger together, may not be run as they are."""

    kind = "history"
    exit_code = ExitCode.HISTORY


class FileNameError(HistoryError):
    """What lies in the folder, judged by name and kind alone."""

    kind = "file name"

    @classmethod
    def malformed(cls, name: str) -> FileNameError:
        """It looks like a migration, but is not called like one."""
        return cls(
            "not the name of a migration",
            where=name,
            facts=[("expected", "NNNN_name.sql: four to six digits, an underscore, letters, digits, `_` or `-`")],
            help="rename it, or move it out of the folder: nothing in it is passed over in silence",
        )

    @staticmethod
    def duplicate(number: int, first: str, second: str) -> DuplicateNumberError:
        """Two files with one number."""
        return DuplicateNumberError(
            f"number {number:04d} is taken twice",
            facts=[("first", first), ("second", second)],
            help="give the newer one the next free number",
        )

    @staticmethod
    def gap(missing: Sequence[int], before: str) -> GapError:
        """Numbers are missing below a file."""
        shown = ", ".join(f"{number:04d}" for number in missing[:5]) + (", …" if len(missing) > 5 else "")
        return GapError(
            f"gap in the numbers: {shown} missing",
            where=before,
            facts=[("expected", "numbers without a gap, from 0000 or 0001")],
            help="restore the missing file from git, or renumber the files that were never applied",
        )

    @classmethod
    def not_regular(cls, name: str, found: str) -> FileNameError:
        """A folder, a device, a link that leads elsewhere."""
        return cls(
            "not a file of this folder",
            where=name,
            facts=[("expected", "a regular file in the folder"), ("found", found)],
            help="put the file itself there",
        )

    @classmethod
    def no_folder(cls, folder: str) -> FileNameError:
        """There is no such folder, or it cannot be read."""
        return cls("no folder of migrations", where=folder, help="set MIGRATIONS_DIR to a folder that exists")

    @classmethod
    def no_files(cls, folder: str) -> FileNameError:
        """Nothing to run is never taken for nothing to do."""
        return cls(
            "no migrations in the folder",
            where=folder,
            facts=[("expected", "at least one NNNN_name.sql"), ("found", "none")],
            help="set MIGRATIONS_DIR to the folder that holds them",
        )

    @classmethod
    def unreadable(cls, name: str, reason: str) -> FileNameError:
        """The operating system refuses it."""
        return cls("cannot be read", where=name, facts=[("found", reason)], help="make the file readable")


class DuplicateNumberError(FileNameError):
    """Two files claim one place in the order."""

    kind = "duplicate number"


class GapError(FileNameError):
    """A number is missing in the order."""

    kind = "gap"


class FileTextError(HistoryError):
    """The bytes of a file are not those of a migration."""

    kind = "file text"

    @classmethod
    def empty(cls, name: str) -> FileTextError:
        """Nothing, or nothing but comments."""
        return cls(
            "no statement",
            where=name,
            facts=[("expected", "at least one statement"), ("found", "nothing but white space and comments")],
            help="write the migration, or remove the file",
        )

    @classmethod
    def byte_order_mark(cls, name: str) -> FileTextError:
        """An editor's mark at the start."""
        return cls(
            "begins with a byte order mark",
            where=f"{name}:1:1",
            facts=[("expected", "UTF-8 without a mark"), ("found", "EF BB BF")],
            help="save it as UTF-8 without BOM",
        )

    @classmethod
    def carriage_return(cls, name: str, line: int) -> FileTextError:
        """CRLF: the checksum would depend on who checked the file out."""
        return cls(
            "a carriage return",
            where=f"{name}:{line}",
            facts=[("expected", "lines that end in LF"), ("found", "CR")],
            help="convert the file with `sed -i 's/\\r//'`, and set `* text=auto eol=lf` in .gitattributes",
        )

    @classmethod
    def nul(cls, name: str, line: int) -> FileTextError:
        """A NUL byte."""
        return cls(
            "a NUL byte",
            where=f"{name}:{line}",
            facts=[("expected", "text")],
            help="remove it: whatever follows would never reach the server",
        )

    @classmethod
    def not_utf8(cls, name: str, line: int, byte_offset: int) -> FileTextError:
        """Bytes of another encoding."""
        return cls(
            "not UTF-8",
            where=f"{name}:{line}",
            facts=[("expected", "UTF-8"), ("found", f"an invalid byte at offset {byte_offset}")],
            help="convert the file with `iconv -t UTF-8`",
        )


class SumsError(HistoryError):
    """The list of sums beside the folder, and the files, disagree."""

    kind = "sums"

    @classmethod
    def differs(cls, name: str, sums: str, *, listed: str, found: str) -> SumsError:
        """A file was changed after it was listed."""
        return cls(
            f"{name} is not the file that {sums} lists",
            facts=[("listed", f"sha256:{listed}"), ("on disk", f"sha256:{found}")],
            help="restore the file from git and put the change in a new migration",
        )

    @classmethod
    def not_listed(cls, name: str, sums: str) -> SumsError:
        """A file without a line."""
        return cls(
            f"{name} is not listed in {sums}",
            facts=[("expected", "one line for every file")],
            help="`invoke sums.update` adds new files; review the line with the file",
        )

    @classmethod
    def no_file(cls, name: str, sums: str) -> SumsError:
        """A line without a file."""
        return cls(
            f"{name} is listed in {sums}, but is not there",
            facts=[("expected", "the file"), ("found", "nothing")],
            help="restore the file from git: history is only ever added to",
        )

    @classmethod
    def malformed(cls, sums: str, line: int) -> SumsError:
        """A line of another form."""
        return cls(
            "not a line of sha256sum",
            where=f"{sums}:{line}",
            facts=[("expected", "64 lower-case hex digits, two spaces, a file name, LF")],
            help="restore the list from git and run `invoke sums.update`",
        )

    @classmethod
    def duplicate(cls, name: str, sums: str, line: int) -> SumsError:
        """One file listed twice."""
        return cls(
            f"{name} is listed twice",
            where=f"{sums}:{line}",
            facts=[("expected", "one line for every file")],
            help="keep the line that git shows as the older one",
        )

    @classmethod
    def unsorted(cls, name: str, sums: str, line: int) -> SumsError:
        """Lines out of order hide a change in review."""
        return cls(
            f"{name} stands out of order",
            where=f"{sums}:{line}",
            facts=[("expected", "lines in the order of the numbers")],
            help="sort the lines",
        )

    @classmethod
    def absent(cls, sums: str) -> SumsError:
        """The project's own folder is never read without its list."""
        return cls(
            "the list of sums is not there",
            where=sums,
            facts=[("expected", "one line for every migration"), ("found", "no file")],
            help="restore it from git",
        )


class TamperedError(HistoryError):
    """A file was edited after it was applied."""

    kind = "tampered"

    @classmethod
    def of(  # noqa: PLR0913 - each is a part of the sentence
        cls, name: str, *, ledger: str, applied_at: str, found: str, next_number: int, others: Sequence[str]
    ) -> TamperedError:
        """Ledger and disk disagree on a checksum."""
        facts = [("ledger", f"sha256:{ledger}   applied_at {applied_at}"), ("on disk", f"sha256:{found}")]
        if others:
            facts.append(("likewise", ", ".join(others)))
        return cls(
            f"{name} is not the file that was applied",
            facts=facts,
            help=f"restore the file from git and put the change in {next_number:04d}",
        )


class CommentsDifferError(TamperedError):
    """An applied file was edited, but not in its statements."""

    @classmethod
    def only(cls, name: str, *, ledger: str, applied_at: str, found: str) -> CommentsDifferError:
        """Other bytes, the same statements."""
        return cls(
            f"{name} is not the file that was applied: only comments differ",
            facts=[("ledger", f"sha256:{ledger}   applied_at {applied_at}"), ("on disk", f"sha256:{found}")],
            help=f"restore the file from git, or record that you accept it: `invoke ledger.accept {name} --reason …`",
        )


class VanishedError(HistoryError):
    """The ledger records a file that is not there."""

    kind = "vanished"

    @classmethod
    def of(cls, name: str, *, applied_at: str, others: Sequence[str]) -> VanishedError:
        """A ledger row without its file."""
        facts = [("ledger", f"applied_at {applied_at}"), ("on disk", "no such file")]
        if others:
            facts.append(("likewise", ", ".join(others)))
        return cls(
            f"{name} was applied, but is not in the folder",
            facts=facts,
            help="restore the file from git, or check that MIGRATIONS_DIR and the database belong together",
        )


class OutOfOrderError(HistoryError):
    """A file below the highest one applied was never applied."""

    kind = "out of order"

    @classmethod
    def of(cls, name: str, *, highest: str, next_number: int, others: Sequence[str]) -> OutOfOrderError:
        """A late file."""
        facts = [("expected", f"a number above {highest}, which is applied"), ("found", name)]
        if others:
            facts.append(("likewise", ", ".join(others)))
        return cls(
            f"{name} comes too late",
            facts=facts,
            help=f"rename it to {next_number:04d}_…: other databases ran without it, in another order",
        )


class LedgerShapeError(HistoryError):
    """A table of the ledger's name that is not the ledger."""

    kind = "ledger"

    @classmethod
    def incomplete(cls, missing: str) -> LedgerShapeError:
        """Some of its tables were dropped."""
        return cls(
            "a part of the ledger is gone",
            facts=[("missing", missing)],
            help="find out who dropped it, and restore it: an empty one would not be the one that is missing",
        )

    @classmethod
    def of(cls, name: str, *, expected: str, found: str) -> LedgerShapeError:
        """Another tool's table, or an altered one."""
        return cls(
            f"{name} is not this runner's ledger",
            facts=[("expected", expected), ("found", found)],
            help="point DATABASE_URL at the right database, or move the other tool's table out of the way",
        )


class GoldenCatalogError(HistoryError):
    """The golden file is not what `render_catalog` writes."""

    kind = "golden catalog"

    @classmethod
    def malformed(cls, line: int, found: str) -> GoldenCatalogError:
        """A line that is neither an object nor a fact."""
        return cls(
            "not a line of a golden catalog",
            where=f"line {line}",
            facts=[("expected", "`kind name`, or `  fact: value`"), ("found", found)],
            help="restore the file from git, or make it anew with `invoke catalog.update`",
        )
