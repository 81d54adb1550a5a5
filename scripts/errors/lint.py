"""Troubles that keep a lint from answering: its input, git or squawk. Never a finding; a finding is a result.

Owns: one class for each thing a lint leans on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.errors.base import ProjectError

if TYPE_CHECKING:
    from collections.abc import Sequence


class LintError(ProjectError):
    """A lint could not look. Its gate is an error, which is never a pass."""

    kind = "lint"


class RegistryError(LintError):
    """The registry of SQLSTATEs cannot be used."""

    kind = "sqlstate registry"

    @classmethod
    def unreadable(cls, name: str, found: str) -> RegistryError:
        """No JSON, or not the registry's shape.

        Args:
            name: the file's name.
            found: what is wrong, in a few words.
        """
        return cls(
            "cannot be read",
            where=name,
            facts=[("expected", "JSON: an object with `codes`, each entry an object"), ("found", found)],
            help="write it as JSON (which is YAML, too); restore it from git if it was like that before",
        )


class AllowlistError(LintError):
    """The list of exemptions cannot be used."""

    kind = "lint allowlist"

    @classmethod
    def unreadable(cls, name: str, found: str) -> AllowlistError:
        """No JSON, or not the list's shape."""
        return cls(
            "cannot be read",
            where=name,
            facts=[("expected", 'JSON: {"exemptions": [{rule, file, statement, reason, reviewer}]}'), ("found", found)],
            help="correct it: an exemption that cannot be read would otherwise hide a finding, or show one twice",
        )

    @classmethod
    def malformed(cls, name: str, number: int, problems: Sequence[str]) -> AllowlistError:
        """One entry with something missing or too much."""
        return cls(
            f"exemption {number} is not complete",
            where=name,
            facts=[
                ("expected", "rule, file, statement, reason and reviewer, each with text"),
                *(("found", problem) for problem in problems),
            ],
            help="`invoke lint` keeps the digest of a statement beside its finding, as `statement` in the evidence",
        )


class LandedError(LintError):
    """Git cannot say which migrations have landed."""

    kind = "landed"

    @classmethod
    def no_base(cls, base_ref: str, *, shallow: bool) -> LandedError:
        """The base does not exist here, and a run that must be strict has nothing to compare with."""
        return cls(
            f"no commit to compare the migrations with: {base_ref} is not in this clone",
            facts=[
                ("expected", f"{base_ref}, with history back to where this change left it"),
                ("found", "a shallow clone" if shallow else "no such ref"),
            ],
            help="fetch it (actions/checkout: fetch-depth: 0), or set BASE_REF to the commit this change starts from",
        )

    @classmethod
    def no_merge_base(cls, base_ref: str, *, shallow: bool) -> LandedError:
        """Base and HEAD have no common ancestor that is known here."""
        return cls(
            f"HEAD and {base_ref} have no common ancestor in this clone",
            facts=[("expected", "one history"), ("found", "a shallow clone" if shallow else "two histories")],
            help="fetch the whole history (git fetch --unshallow), or set BASE_REF to the right commit",
        )

    @classmethod
    def git(cls, what: str, found: str) -> LandedError:
        """Git is slow, or answers what it should not."""
        return cls(what, facts=[("found", found)], help="run `git status` in the folder of migrations to see why")

    @classmethod
    def no_git(cls) -> LandedError:
        """There is something to compare with, and no program to ask."""
        return cls(
            "git is not installed",
            facts=[("expected", "a program git, to tell which migrations have landed"), ("found", "none on the PATH")],
            help="install git, and put its folder on the PATH",
        )

    @classmethod
    def not_tracked(cls, found: str) -> LandedError:
        """The project's own folder, and any folder on CI, must be part of a repository."""
        return cls(
            "the folder of migrations is not part of a git repository",
            facts=[("expected", "a clone whose commits hold the migrations"), ("found", found)],
            help="clone the repository instead of copying its files, and commit before the lints run",
        )


class SquawkError(LintError):
    """squawk did not give an answer that can be believed."""

    kind = "squawk"

    @classmethod
    def missing(cls, place: str) -> SquawkError:
        """Not installed beside this Python."""
        return cls(
            "squawk is not installed in this environment",
            facts=[("expected", f"the program {place} beside the Python that runs this"), ("found", "none")],
            help="install the locked requirements: pip install --require-hashes -r requirements.txt",
        )

    @classmethod
    def unusable(cls, found: str) -> SquawkError:
        """It cannot be started, or gave no answer in time."""
        return cls("squawk gave no answer", facts=[("found", found)], help="run `squawk --version` to see why")

    @classmethod
    def unexpected(cls, exit_code: int, expected: str, found: str) -> SquawkError:
        """Exit code and output do not belong together, or the output is of another form."""
        return cls(
            "squawk answered in a way that is neither clean nor a list of findings",
            facts=[("expected", expected), ("found", f"exit code {exit_code}, {found}")],
            help="pin the squawk-cli version of requirements.txt; another version needs its rules reviewed",
        )
