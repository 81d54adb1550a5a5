"""The verbs' bodies: what each command does with the settings it was given.

Owns: the table of commands.
Never: prints or exits; a command speaks through its voice and returns an exit code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from scripts.errors.base import ExitCode
from scripts.gates import all_gates, select_gates, select_severity
from scripts.run.proof import prove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from scripts.gates import Gate
    from scripts.run.voice import Voice
    from scripts.settings import Settings

    Command: TypeAlias = Callable[..., int]


def pre_ci(settings: Settings, voice: Voice) -> int:
    """Every gate."""
    return prove(settings, all_gates(), voice, command="invoke pre-ci", apply=True)


def verify(settings: Settings, voice: Voice, only: Sequence[str] = (), severity: Sequence[str] = ()) -> int:
    """The database's gates: on a fresh database, migrated first; or on an existing one as it is.

    Args:
        settings: what the run was told.
        voice: where to speak.
        only: gates by name; all of them when empty.
        severity: P0, P1; with `only`, what is in both selections.
    """
    chosen = _chosen([gate for gate in all_gates() if gate.needs_database], only)
    if severity:
        chosen = select_severity(chosen, severity)
    command = _called("verify", only) + "".join(f" --severity {name}" for name in severity)
    return prove(settings, chosen, voice, command=command, apply=settings.fresh_db)


def lint(settings: Settings, voice: Voice, only: Sequence[str] = ()) -> int:
    """The gates that need no server."""
    gates = [gate for gate in all_gates() if not gate.needs_database]
    return prove(settings, _chosen(gates, only), voice, command=_called("lint", only), apply=False)


def plan(settings: Settings, voice: Voice, *, trace: bool = False) -> int:
    """What `migrate` would run; with `trace`, also what each of its statements does on a throw-away copy."""
    if trace:
        from scripts.run.plan_trace import plan_traced

        return plan_traced(settings, voice)
    from scripts.run.history import plan as plan_files

    return plan_files(settings, voice)


def drift(settings: Settings, voice: Voice) -> int:
    """The catalog against what the recorded migrations make of it."""
    from scripts.run.drift import drift as find

    return find(settings, voice)


def mutants(settings: Settings, voice: Voice, only: Sequence[str] = (), shard: str = "", from_: str = "") -> int:
    """Break the schema on purpose, and see whether the owner of each guarantee notices."""
    from scripts.run.mutants import judge

    return judge(settings, voice, only=only, shard=shard, from_=from_)


def gates(settings: Settings, voice: Voice) -> int:  # noqa: ARG001 - every command takes both
    """List the gates in their order."""
    every = all_gates()
    width = max(len(gate.id) for gate in every)
    for gate in every:
        voice.line(f"{gate.expected.verb:<8} {gate.severity}  {gate.id:<{width}}  {gate.expected.title}")
    listed = [
        {
            "id": gate.id,
            "check_id": gate.expected.check_id,
            "kind": gate.kind,
            "severity": gate.severity,
            "evidence": gate.expected.file,
            "title": gate.expected.title,
        }
        for gate in every
    ]
    voice.value(json.dumps(listed, indent=2))
    return int(ExitCode.PASSED)


def _chosen(every: Sequence[Gate], only: Sequence[str]) -> tuple[Gate, ...]:
    return select_gates(every, only) if only else tuple(every)


def _called(verb: str, only: Sequence[str]) -> str:
    return f"invoke {verb}" + "".join(f" --only {name}" for name in only)


def _commands() -> Mapping[str, Command]:
    from scripts.run import history, image, ledger, policy, stay

    return {
        "pre-ci": pre_ci,
        "verify": verify,
        "lint": lint,
        "mutants": mutants,
        "gates": gates,
        "migrate": history.migrate_database,
        "status": history.status,
        "plan": plan,
        "drift": drift,
        "catalog.update": history.update_catalog,
        "sums.update": history.update_sums,
        "ledger.verify": ledger.verify_ledger,
        "ledger.accept": ledger.accept_file,
        "ledger.abandon": ledger.abandon_file,
        "policy.seed": policy.seed,
        "image.build": image.build_image,
        "up": stay.up,
        "down": stay.down,
        "psql": stay.psql,
        "servers": stay.servers,
    }


COMMANDS: Final[Mapping[str, Command]] = _commands()
