"""A proof: from settings to evidence, gate by gate, in the order of the list.

Owns: which gate runs when, and what becomes of the rest when one thing goes wrong.
Promises: every expected file exists before anything runs; one failing gate hides no other; a run that cannot go on
    says of each gate left that it did not run, and why; only a run read back from its files is called passed.
Never: prints (it has a voice), decides an outcome (a Result does), or knows how a gate is settled.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scripts.clock import utc_now
from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.evidence import EvidenceError
from scripts.evidence.read import read_run
from scripts.evidence.secrets import collect_secrets
from scripts.evidence.source import read_source
from scripts.evidence.store import EvidenceRun, open_run
from scripts.evidence.tools import read_tools
from scripts.report.json import render_json
from scripts.report.text import label_of, render_failure, render_progress, render_summary
from scripts.result import Result
from scripts.settings import ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.evidence.read import RunRecord
    from scripts.gates import Gate
    from scripts.migrations.folder.files import MigrationFile
    from scripts.run.voice import Voice


def prove(settings: Settings, gates: Sequence[Gate], voice: Voice, *, command: str, apply: bool) -> int:
    """Run the gates and keep the evidence.

    Args:
        settings: what the run was told.
        gates: what to run, in order; never empty.
        voice: where to speak.
        command: what was called, for the record.
        apply: whether pending migrations are applied to the database; if not, it is looked at as it is.

    Returns:
        The exit code: 0 when every gate passed, 1 when one did not.

    Raises:
        ProjectError: the run could not go on (no server, history wrong, migration failed); its evidence is closed.
        EvidenceError: the evidence could not be kept.
    """
    trouble: ProjectError | None = None
    source, tools, inventory = read_source(ROOT), read_tools(ROOT), [gate.expected for gate in gates]
    with open_run(
        settings.evidence_dir, settings.run_id, inventory, source=source, tools=tools, command=command
    ) as run:
        attempt = _Attempt(run, settings, voice, gates)
        try:
            attempt.run_gates(apply=apply)
        except EvidenceError:
            raise
        except ProjectError as error:
            trouble = error
            attempt.leave_rest(f"{error.kind}: {error.what}")
        run.close()
    record = read_run(run.path)
    _tell(record, voice, evidence=shown_path(run))
    if trouble is not None:
        raise trouble
    return int(ExitCode.PASSED if record.passed else ExitCode.FAILED)


class _Attempt:
    """One pass over the gates."""

    def __init__(self, run: EvidenceRun, settings: Settings, voice: Voice, gates: Sequence[Gate]) -> None:
        self._run = run
        self._settings = settings
        self._voice = voice
        self._gates = gates
        self._width = max(len(label_of(gate.expected)) for gate in gates)

    def run_gates(self, *, apply: bool) -> None:
        """Files first, then, if any gate needs it, a database."""
        from scripts.migrations.folder.files import migrations_digest, read_migrations

        lints = [gate for gate in self._gates if not gate.needs_database]
        files: tuple[MigrationFile, ...] | None = None
        if lints:
            self._lint(lints)
        databases = [gate for gate in self._gates if gate.needs_database]
        if databases:
            files = read_migrations(self._settings.migrations_dir)
            self._run.learn(migrations_digest=migrations_digest(files))
            self._on_database(databases, files, apply=apply)

    def leave_rest(self, reason: str) -> None:
        """Say of every gate that was not settled that it did not run."""
        for entry in self._run.entries:
            if entry.state != "settled":
                self._settle(Result(entry.expected.gate, not_run_because=reason))

    def _lint(self, gates: Sequence[Gate]) -> None:
        from scripts.lint.run import read_lint_input, verify_lint

        subject = read_lint_input(self._settings)
        for gate in gates:
            self._one(gate.id, partial(verify_lint, gate.id, subject))

    def _on_database(self, gates: Sequence[Gate], files: tuple[MigrationFile, ...], *, apply: bool) -> None:
        from scripts.run.database import DatabaseGates
        from scripts.server.open import open_server

        with open_server(self._settings, run_id=self._run.run_id, report=self._voice.say) as server:
            self._run.guard(collect_secrets([server.dsn, server.admin_dsn, self._settings.database_url]))
            self._run.learn(server=server)
            verifying = [gate.id for gate in gates if gate.kind == "verify" and gate.id != "probe-traces"]
            with DatabaseGates(
                self._settings, server, files, verifying=verifying, learn=self._run.learn, say=self._voice.say
            ) as database:
                if apply and not any(gate.kind == "migrate" for gate in gates):
                    database.migrate()
                for gate in gates:
                    self._one(gate.id, partial(database.settle, gate, apply=apply))

    def _one(self, name: str, settle: Callable[[], Result]) -> None:
        self._run.start(name)
        started_at = utc_now()
        try:
            result = settle()
        except EvidenceError:
            raise
        except ProjectError as error:
            # The gate met what stops the whole run: it errored, the rest did not run.
            self._settle(Result(name, started_at, utc_now(), error=f"{error.kind}: {error.what}"))
            raise
        self._settle(result)

    def _settle(self, result: Result) -> None:
        stored = self._run.settle(result)
        expected = next(gate.expected for gate in self._gates if gate.id == stored.gate)
        self._voice.line(render_progress(expected, stored, label_width=self._width, color=self._voice.color))


def shown_path(run: EvidenceRun) -> str:
    """Where the evidence is, as people are told."""
    return str(run.path.relative_to(ROOT)) if run.path.is_relative_to(ROOT) else str(run.path)


def _tell(record: RunRecord, voice: Voice, *, evidence: str) -> None:
    gates = [(gate.expected, gate.result) for gate in record.gates]
    for expected, result in gates:
        failure = render_failure(expected, result, evidence=evidence, color=voice.color)
        if failure and not result.not_run_because:
            voice.line("\n" + failure)
    summary = render_summary(record.state, [result for _, result in gates], evidence=evidence, color=voice.color)
    voice.line("\n" + summary)
    voice.value(render_json(record.run_id, record.state, gates, reason=record.reason, evidence=evidence))
