"""Troubles with seeding the policy: its source, the versions that are there already, the table itself."""

from __future__ import annotations

from scripts.errors.base import ExitCode, ProjectError


def _shown(text: str) -> str:
    """What a table or a file says, unable to steer a terminal."""
    return text if text.isprintable() else ascii(text)


class PolicySourceError(ProjectError):
    """What the policy is made from cannot be used; no database was asked."""

    kind = "policy source"
    exit_code = ExitCode.USAGE

    @classmethod
    def missing(cls, path: str) -> PolicySourceError:
        """SEED_POLICY_FILE names what is not there, or cannot be read."""
        return cls(
            "the policy file is missing",
            where="SEED_POLICY_FILE",
            facts=[("expected", "a file that can be read"), ("found", path)],
            help="name the file, or unset the variable",
        )

    @classmethod
    def without_version(cls, path: str, why: str) -> PolicySourceError:
        """Neither the file nor the environment says which version it is."""
        return cls(
            "the policy has no version",
            where=path,
            facts=[("expected", 'a JSON object with a text "policy_version", or SEED_POLICY_VERSION'), ("found", why)],
            help="write the version into the file, or set SEED_POLICY_VERSION",
        )

    @classmethod
    def other_version(cls, path: str, *, expected: str, found: str) -> PolicySourceError:
        """The environment names another version than the file."""
        return cls(
            "the policy file is of another version",
            where=path,
            facts=[("expected", expected), ("found", found)],
            help="name the file of that version, or unset SEED_POLICY_VERSION",
        )

    @classmethod
    def other_checksum(cls, path: str, *, expected: str, found: str) -> PolicySourceError:
        """The environment expects other bytes than the file has."""
        return cls(
            "Policy checksum mismatch: the file is not the one that was named",
            where=path,
            facts=[("expected", expected), ("found", found)],
            help="restore the file, or correct SEED_POLICY_CHECKSUM",
        )

    @classmethod
    def half(cls, given: str, lacking: str) -> PolicySourceError:
        """A version without a checksum, or the reverse."""
        return cls(
            "half a policy",
            facts=[("expected", f"{given} and {lacking}, or neither"), ("found", f"{given} alone")],
            help=f"set {lacking}, or name the file with SEED_POLICY_FILE",
        )


class NoPolicySourceError(ProjectError):
    """A policy was required, and nothing says which."""

    kind = "policy source"
    exit_code = ExitCode.FAILED

    @classmethod
    def required(cls) -> NoPolicySourceError:
        """REQUIRE_POLICY_SEED=1 without a source."""
        return cls(
            "a policy has to be seeded, and none is named",
            facts=[
                ("expected", "SEED_POLICY_FILE, or a version and a checksum"),
                ("found", "REQUIRE_POLICY_SEED=1 alone"),
            ],
            help="set SEED_POLICY_FILE, or SEED_POLICY_VERSION and SEED_POLICY_CHECKSUM",
        )


class PolicyError(ProjectError):
    """The database holds what this policy may not be put beside; nothing was changed."""

    kind = "policy"
    exit_code = ExitCode.FAILED

    @classmethod
    def checksum(cls, version: str, status: str, *, expected: str, found: str) -> PolicyError:
        """The version is there with another checksum."""
        return cls(
            f"Policy checksum mismatch: version {_shown(version)} is recorded with another",
            where=f"public.policy_versions, {_shown(version)} ({status})",
            facts=[("recorded", _shown(found)), ("to seed", expected)],
            help="seed the policy that is recorded, or give the new one a version of its own",
        )

    @classmethod
    def another_active(cls, version: str, active: str) -> PolicyError:
        """Another version is active; seeding never takes its place."""
        return cls(
            f"Active policy already exists: {_shown(active)}",
            where="public.policy_versions",
            facts=[("to seed", version), ("active", _shown(active))],
            help="seeding never rotates: end the active version first, by the procedure for rotations",
        )

    @classmethod
    def not_active(cls, version: str, status: str) -> PolicyError:
        """The version is there, and its time is over: it does not count as seeded, and does not come back."""
        return cls(
            f"policy version {version} is {status}, so it is not seeded",
            where="public.policy_versions",
            facts=[("expected", f"{version} ACTIVE, or not there"), ("found", status)],
            help="seed a version that was not in force before; one that is over does not come back by seeding",
        )

    @classmethod
    def several_active(cls, count: int) -> PolicyError:
        """The index that allows one active version is not there, or not whole."""
        return cls(
            f"{count} policy versions are active",
            where="public.policy_versions",
            facts=[("expected", "one"), ("found", str(count))],
            help="`invoke verify --only ci-invariant-gate` says what is missing; nothing was changed",
        )

    @classmethod
    def busy(cls, *, sqlstate: str) -> PolicyError:
        """Somebody else is writing a policy version and has not ended."""
        return cls(
            "somebody else is writing a policy version",
            where="public.policy_versions",
            facts=[("SQLSTATE", sqlstate)],
            help="repeat it when that has ended; LOCK_TIMEOUT_MS says how long to wait",
        )

    @classmethod
    def no_right(cls, *, sqlstate: str) -> PolicyError:
        """The role may not read or write the table."""
        return cls(
            "this role may not seed a policy",
            where="public.policy_versions",
            facts=[("SQLSTATE", sqlstate)],
            help="connect as the owner of the schema, or set MIGRATE_ROLE to it",
        )

    @classmethod
    def lost(cls) -> PolicyError:
        """The connection broke; whether the row was committed is not known."""
        return cls(
            "the connection was lost while the policy was seeded",
            where="public.policy_versions",
            facts=[("expected", "an answer to the commit"), ("found", "none")],
            help="repeat it: what was committed is found there and not written twice",
        )

    @classmethod
    def refused(cls, *, sqlstate: str, constraint: str) -> PolicyError:
        """The database would not take the row."""
        return cls(
            "the database refused the policy version",
            where="public.policy_versions",
            facts=[("SQLSTATE", f"{sqlstate} {constraint}".strip())],
            help="`invoke verify --only ci-invariant-gate` says whether the table is as it must be",
        )


class NoPolicyTableError(ProjectError):
    """The database is not migrated as far as the policy's table."""

    kind = "policy"
    exit_code = ExitCode.HISTORY

    @classmethod
    def absent(cls) -> NoPolicyTableError:
        """There is no public.policy_versions."""
        return cls(
            "there is no table for policy versions",
            where="public.policy_versions",
            facts=[("expected", "the table of 0005_policy_versions.sql"), ("found", "nothing")],
            help="run `invoke migrate` first",
        )
