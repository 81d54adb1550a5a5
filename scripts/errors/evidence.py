"""Troubles with keeping evidence: exit 1, because a run whose evidence cannot be kept has proved nothing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode, ProjectError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the operating system said, what that means here, and what to do about it.
_WRITE_TROUBLES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space, or point EVIDENCE_ROOT at another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or point EVIDENCE_ROOT at another disk"),
    errno.EFBIG: ("the file would be larger than this process may write", "raise the limit (`ulimit -f`)"),
    errno.EROFS: ("the file system is read-only", "point EVIDENCE_ROOT at a folder that can be written"),
    errno.EACCES: ("permission denied", "make the folder writable for this user, or point EVIDENCE_ROOT elsewhere"),
    errno.EPERM: ("permission denied", "make the folder writable for this user, or point EVIDENCE_ROOT elsewhere"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "move the file away, or point EVIDENCE_ROOT elsewhere"),
    errno.ELOOP: ("a symbolic link stands where none may be", "remove the link; evidence is never written through one"),
    errno.ENOENT: ("the folder has gone", "leave the evidence folder alone while a run writes to it, then run again"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, or point EVIDENCE_ROOT at another one"),
}


class EvidenceError(ProjectError):
    """Evidence could not be written whole, or what was read is not what was written."""

    kind = "evidence"
    exit_code = ExitCode.FAILED

    @classmethod
    def unwritable(cls, where: str, exc: OSError) -> EvidenceError:
        """The operating system refused a write, a rename or a flush."""
        what, help_ = _WRITE_TROUBLES.get(
            exc.errno or 0, ("it cannot be written", "see the cause above, or point EVIDENCE_ROOT elsewhere")
        )
        return cls(what, where=where, facts=[("cause", exc.strerror or type(exc).__name__)], help=help_)

    @classmethod
    def run_exists(cls, where: str) -> EvidenceError:
        """The run id was used before; a folder of evidence belongs to one run for ever."""
        return cls(
            "this run already has its evidence",
            where=where,
            facts=[("expected", "a run id that was never used"), ("found", "a folder of that name")],
            help="unset PRE_CI_RUN_ID, or give it a value that was never used",
        )

    @classmethod
    def run_id_refused(cls, run_id: str) -> EvidenceError:
        """The run id cannot name a folder of evidence."""
        return cls(
            "not a run id",
            facts=[
                ("expected", "letters, digits, dot, dash, underscore; at most 80; not `latest`"),
                ("found", repr(run_id)),
            ],
            help="unset PRE_CI_RUN_ID, or give it another value",
        )

    @classmethod
    def latest_in_the_way(cls, where: str, found: str) -> EvidenceError:
        """Somebody made a real `latest`; it is theirs, so it is not deleted."""
        return cls(
            "`latest` is not ours to replace",
            where=where,
            facts=[("expected", "a symbolic link, or nothing"), ("found", found)],
            help="move it away; every run points `latest` at its own folder",
        )

    @classmethod
    def read_back_differs(cls, where: str) -> EvidenceError:
        """The file was written, and then held something else."""
        return cls(
            "what was read back is not what was written",
            where=where,
            help="find out who else writes there, or check the disk; then run again",
        )

    @classmethod
    def folder_replaced(cls, where: str) -> EvidenceError:
        """The run's folder was moved or exchanged while the run wrote to it."""
        return cls(
            "the folder of this run was moved or replaced while the run was going on",
            where=where,
            help="leave the evidence folder alone while a run writes to it, then run again",
        )

    @classmethod
    def no_such_run(cls, where: str) -> EvidenceError:
        """There is no evidence at that place."""
        return cls(
            "no evidence of a run here",
            where=where,
            facts=[("expected", "a folder with run.json"), ("found", "none")],
            help="name a folder below evidence/, or `evidence/latest`",
        )

    @classmethod
    def not_intact(cls, where: str, problems: Sequence[str]) -> EvidenceError:
        """One or more files are not what the run left behind; all problems together."""
        count = len(problems)
        return cls(
            "the evidence is not what the run left behind" + ("" if count == 1 else f", in {count} ways"),
            where=where,
            facts=[("found", problem) for problem in problems],
            help="trust none of it; run again, and keep the damaged folder if you need to know who changed it",
        )


class SecretInEvidenceError(EvidenceError):
    """A password of this run would have been stored. It is not shown here either."""

    @classmethod
    def found(cls, where: str) -> SecretInEvidenceError:
        """The bytes about to be written hold it."""
        return cls(
            "a password of this run would have been written into evidence, so the file was not written",
            where=where,
            help="report this as a bug and name the gate; change the password if it is not a throw-away one",
        )


class FanInError(EvidenceError):
    """The jobs of CI and their evidence do not add up to one proof; all problems together."""

    kind = "ci"

    @classmethod
    def matrix_refused(cls, problem: str, *, expected: str) -> FanInError:
        """The job matrix is empty, has shrunk, or is none."""
        return cls(
            "the job matrix is not the one expected",
            facts=[("expected", expected), ("found", problem)],
            help="see `python -m scripts.gates --matrix`; if that is meant, change the number in the workflow too",
        )

    @classmethod
    def not_one_proof(cls, problems: Sequence[str]) -> FanInError:
        """A job is not green, or the evidence is not the whole of what the matrix promised."""
        count = len(problems)
        return cls(
            "the jobs do not add up to a proof" + ("" if count == 1 else f", for {count} reasons"),
            facts=[("found", problem) for problem in problems],
            help="open the job or the evidence named above; a job that was skipped or cancelled has to run again",
        )
