"""Troubles with the environment and the call: exit 2, every problem of one reading together."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode, ProjectError

if TYPE_CHECKING:
    from collections.abc import Sequence


class SettingsError(ProjectError):
    """One or more variables hold what they may not."""

    kind = "settings"
    exit_code = ExitCode.USAGE

    @classmethod
    def of_problems(cls, problems: Sequence[tuple[str, str, str]]) -> SettingsError:
        """Report all problems at once.

        Args:
            problems: (variable, expected, found); a secret's value is never passed in as found.
        """
        count = len(problems)
        return cls(
            "one setting is wrong" if count == 1 else f"{count} settings are wrong",
            facts=[(name, f"expected {expected}, found {found}") for name, expected, found in problems],
            help="correct them in the environment or in infra/docker/.env; infra/docker/.env.example explains each",
        )


class UsageError(ProjectError):
    """The command was called with something it does not know."""

    kind = "usage"
    exit_code = ExitCode.USAGE

    @classmethod
    def unknown_selection(cls, unknown: Sequence[str], known: Sequence[str]) -> UsageError:
        """`--only` named what does not exist."""
        return cls(
            "no gate of that name",
            facts=[
                ("found", ", ".join(unknown)),
                ("expected", textwrap.fill("one of " + ", ".join(known), 100, break_on_hyphens=False)),
            ],
            help="`invoke gates` lists them all",
        )

    @classmethod
    def unknown_severity(cls, unknown: Sequence[str], known: Sequence[str]) -> UsageError:
        """`--severity` named what does not exist."""
        return cls(
            "no such severity",
            facts=[("expected", " or ".join(known)), ("found", ", ".join(unknown))],
            help="P0 stops a release, P1 has a deadline; docs/invariants.md says which gate has which",
        )

    @classmethod
    def none_of_severity(cls, wanted: Sequence[str], named: Sequence[tuple[str, str]]) -> UsageError:
        """`--only` and `--severity` have no gate in common.

        Args:
            wanted: the severities asked for.
            named: gates chosen by name, each with its severity.
        """
        found = "none" if not named else ", ".join(f"{gate} {severity}" for gate, severity in named)
        return cls(
            "the selection is empty",
            facts=[
                ("expected", f"at least one gate of severity {' or '.join(wanted)} among those named"),
                ("found", textwrap.fill(found, 100, break_on_hyphens=False)),
            ],
            help="leave --only or --severity out",
        )

    @classmethod
    def needs_offline(cls) -> UsageError:
        """`image.build` without `--offline`: Docker builds from a registry's base, and needs nothing of ours for it."""
        return cls(
            "only the image that needs no registry is built here",
            facts=[("expected", "--offline"), ("found", "nothing")],
            help="add --offline; where a registry is at hand, `docker build -t parity-postgres:18 infra/docker`",
        )

    @classmethod
    def needs_database(cls, verb: str) -> UsageError:
        """A verb that makes no sense on a database that is made for it."""
        return cls(
            f"`invoke {verb}` works on a database that exists",
            facts=[("expected", "FRESH_DB=0 with DATABASE_URL"), ("found", "FRESH_DB=1")],
            help="set FRESH_DB=0, and DATABASE_URL to the database",
        )

    @classmethod
    def bad_head(cls, head: str) -> UsageError:
        """`--head` in another form than the one that is printed."""
        return cls(
            "not the head of a chain",
            facts=[("expected", "NUMBER:HASH, as `invoke ledger.verify` and evidence have it"), ("found", repr(head))],
            help="copy the line from the evidence of an earlier run",
        )

    @classmethod
    def empty_selection(cls) -> UsageError:
        """`--only` with nothing in it."""
        return cls(
            "the selection is empty",
            facts=[("expected", "at least one gate"), ("found", "none")],
            help="leave --only out to run every gate",
        )
