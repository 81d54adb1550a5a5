"""A violation that cannot be planted: then nobody knows whether the check that is to notice it would."""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError


class UnplantedError(ProjectError):
    """A control has nothing to take hold of; what it was to prove is unproven."""

    kind = "unplanted"
    exit_code = ExitCode.FAILED

    @classmethod
    def reads_otherwise(cls, function: str, *, expected: str) -> UnplantedError:
        """The words that a violation replaces do not stand in the function, or there is not one of its name."""
        return cls(
            f"could not be planted: the body of {function} reads otherwise",
            facts=[("looked for", expected)],
            help="write the violation of this probe anew, against the function as it is now",
        )
