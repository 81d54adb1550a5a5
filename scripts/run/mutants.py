"""`invoke mutants`: break a migrated schema in every way we know, and see whether the owner of each guarantee notices.

Owns: the order: a fresh server of our own, the migrations, the mutants, the lanes, the score, its evidence.
Promises: no database that exists is broken, not even DATABASE_URL's server is used; a score is given only when every
    owner was green before; server and copies are gone afterwards, also after a signal. Evidence is a run of its own
    with one gate, written as NOT_RUN before anything starts; only what is read back from it is exit 0.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.clock import utc_now
from scripts.errors.base import ExitCode, ProjectError
from scripts.errors.mutants import SelectionError
from scripts.evidence.expected import Expected
from scripts.evidence.read import read_run
from scripts.evidence.secrets import collect_secrets
from scripts.evidence.source import read_source
from scripts.evidence.store import open_run
from scripts.evidence.tools import read_tools
from scripts.migrations.apply import migrate
from scripts.migrations.folder.files import migrations_digest, read_files
from scripts.report.mutants import render_score, score_json
from scripts.result import Result
from scripts.run.proof import shown_path
from scripts.run.rehearsal import rehearsal_settings
from scripts.server.open import open_server
from scripts.server.readiness import connect
from scripts.settings import ROOT
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.mutants.blocks import read_blocks
from scripts.verifiers.mutants.clones import open_lanes
from scripts.verifiers.mutants.derive import derive_mutants
from scripts.verifiers.mutants.lanes import judge_mutants
from scripts.verifiers.mutants.model import Score
from scripts.verifiers.mutants.select import owned_by, parse_shard, shard_of
from scripts.verifiers.mutants.settled import GATE, Selection, result_of
from scripts.verifiers.mutants.subject import read_subject
from scripts.verifiers.mutants.waivers import read_waivers, require_known, waived
from scripts.verifiers.run import select_invariants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scripts.evidence.store import EvidenceRun
    from scripts.migrations.folder.files import MigrationFile
    from scripts.run.voice import Voice
    from scripts.settings import Settings
    from scripts.verifiers.mutants.model import Mutant

EXPECTED = Expected(
    gate=GATE,
    check_id="DB-MUTANTS",
    folder="phase0",
    stem="mutants",
    verb="mutants",
    title="whatever is taken away from the schema, the owner of the guarantee notices",
    repro_command="invoke mutants",
    answers=("D-08", "D-28", "D-30"),
)
# A lane with fewer mutants than this would take longer to start than to run.
_LANE_MIN = 40
# Of mutants that somebody else wrote one that survives is put before every invariant, for half a second and more.
_LANE_MIN_GIVEN = 8
_TELL_EVERY_S = 5.0


def judge(settings: Settings, voice: Voice, *, only: Sequence[str] = (), shard: str = "", from_: str = "") -> int:
    """Judge the mutants derived from the schema, or those of a file.

    Args:
        settings: FRESH_DB must be 1.
        voice: where the score goes.
        only: invariants; the mutants that they own.
        shard: `K/N`; every mutant is in exactly one of N shards.
        from_: a file of mutants that somebody else wrote.

    Returns:
        0 when there are mutants, each is killed or waived, and the evidence says so; else 1.
    """
    if not settings.fresh_db:
        raise SelectionError.existing_database()
    share = parse_shard(shard) if shard else (1, 1)
    names = [name.strip() for part in only for name in part.split(",")]
    owners = frozenset(invariant.id for invariant in select_invariants(names)) if names else frozenset()
    given = read_blocks(Path(from_)) if from_ else ()
    waivers: Mapping[str, str] = {} if from_ else read_waivers(settings.migrations_dir)
    files = read_files(settings.migrations_dir)
    started_at = utc_now()
    with open_run(
        settings.evidence_dir,
        settings.run_id,
        [EXPECTED],
        source=read_source(ROOT),
        tools=read_tools(ROOT),
        command=_called(names, shard, from_),
    ) as run:
        run.start(GATE)
        try:
            score, selection = _scored(
                settings, voice, run, files, share=share, owners=owners, given=given, waivers=waivers
            )
        except ProjectError as error:
            run.settle(Result(GATE, started_at, utc_now(), error=f"{error.kind}: {error.what}"))
            run.close()
            raise
        run.settle(result_of(score, selection, started_at, utc_now()))
        run.close()
    record, shown = read_run(run.path), shown_path(run)
    voice.line(render_score(score, evidence=shown))
    voice.value(score_json(score, evidence=shown))
    return int(ExitCode.PASSED if score.passed and record.passed else ExitCode.FAILED)


def _scored(  # noqa: PLR0913 - what was chosen, by keyword
    settings: Settings,
    voice: Voice,
    run: EvidenceRun,
    files: tuple[MigrationFile, ...],
    *,
    share: tuple[int, int],
    owners: frozenset[str],
    given: tuple[Mutant, ...],
    waivers: Mapping[str, str],
) -> tuple[Score, Selection]:
    own = replace(rehearsal_settings(settings), migrate_trace=False)
    with open_server(own, run_id=run.run_id, report=voice.say) as server:
        run.guard(collect_secrets([server.dsn, server.admin_dsn]))
        run.learn(server=server, migrations_digest=migrations_digest(files))
        with connect(server.dsn) as conn:
            migrate(conn, files, own, report=lambda _: None)
            run.learn(catalog_before=fingerprint(read_catalog(conn)))
            every = given or derive_mutants(read_subject(conn, ROLES, list(TABLES)))
        require_known(waivers, every)
        chosen = shard_of(owned_by(every, owners), *share)
        if not chosen:
            raise SelectionError.nothing()
        count = min(_processors(), 1 + len(chosen) // (_LANE_MIN_GIVEN if given else _LANE_MIN))
        voice.say(f"mutants  {len(chosen)} of {len(every)}, in {count} processes")
        with open_lanes(server, own.migrations_dir, count) as lanes:
            began: list[float] = []
            verdicts = judge_mutants(
                chosen,
                lanes,
                progress=_teller(voice.say, len(chosen)),
                began=lambda: began.append(time.monotonic()),
            )
            seconds = time.monotonic() - began[0]
    score = Score(verdicts, waived(waivers, verdicts), seconds, count)
    return score, Selection(len(every), share, tuple(sorted(owners)), given=bool(given))


def _called(only: Sequence[str], shard: str, from_: str) -> str:
    words = [f"--only {name}" for name in only]
    words += [f"--shard {shard}"] if shard else []
    words += [f"--from {Path(from_).name}"] if from_ else []
    return " ".join(["invoke mutants", *words])


def _teller(say: Callable[[str], None], total: int) -> Callable[[int], None]:
    """Say how far it is, now and then."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _TELL_EVERY_S:
            last = time.monotonic()
            say(f"mutants  {done} of {total} judged")

    return tell


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
