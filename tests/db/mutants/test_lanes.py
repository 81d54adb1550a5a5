"""Several processes at once: every verdict in its place, and nothing left when the call is over."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from db.mutants.conftest import lane_of
from make_voices import Heard

from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.golden import read_golden
from scripts.errors.mutants import LaneLostError, NotGreenError, SelectionError
from scripts.evidence.read import read_run
from scripts.result import Outcome
from scripts.run.mutants import judge
from scripts.settings import Settings
from scripts.verifiers.mutants import lanes as lanes_module
from scripts.verifiers.mutants.lanes import judge_mutants
from scripts.verifiers.mutants.model import Fate, Mutant

if TYPE_CHECKING:
    from pathlib import Path

    from fix_database import Databases, ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile


def test_two_lanes_judge_in_order(
    database: ScratchDatabase,
    databases: Databases,
    project_files: tuple[MigrationFile, ...],
    mutants: dict[str, Mutant],
) -> None:
    """As one would: the verdicts stand in the order of the mutants, those of roles among them."""
    chosen = [m for m in mutants.values() if m.cluster][::6] + [m for m in mutants.values() if not m.cluster][::250]
    with databases.migrated(project_files) as other:
        verdicts = judge_mutants(chosen, [lane_of(database), lane_of(other)])

    assert [one.mutant for one in verdicts] == chosen
    assert [one.mutant.name for one in verdicts if one.fate is Fate.FAILED] == []
    assert not multiprocessing.active_children()


def test_a_red_schema_is_not_judged(database: ScratchDatabase, mutants: dict[str, Mutant]) -> None:
    """A red invariant kills everything, so there is no score."""
    database.connect().execute("DROP INDEX public.idx_tenants_status")
    mutant = mutants["index public.idx_tenants_parent_tenant_id: dropped"]
    with pytest.raises(NotGreenError, match="idx_tenants_status"):
        judge_mutants([replace(mutant, owners=("table-definitions",))], [lane_of(database)])

    assert not multiprocessing.active_children()


def test_a_lane_that_dies_gives_no_score(database: ScratchDatabase, mutants: dict[str, Mutant]) -> None:
    """A process that cannot even connect is no verdict."""
    lane = replace(lane_of(database), admin_dsn=database.admin_dsn + " dbname=nowhere")
    with pytest.raises(LaneLostError):
        judge_mutants(list(mutants.values())[:1], [lane])

    assert not multiprocessing.active_children()


def test_an_interrupt_leaves_no_process(
    database: ScratchDatabase, mutants: dict[str, Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised in the middle, the lanes end."""
    monkeypatch.setattr(lanes_module, "CHUNK", 1)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_mutants(list(mutants.values())[:5], [lane_of(database)], progress=stop)

    assert not multiprocessing.active_children()


def test_the_verb_prints_one_json_value(tmp_path: Path) -> None:
    """On a server of its own, from nothing to the score, which is in evidence, bound to commit and schema (D-21)."""
    heard = Heard()
    settings = Settings(server="embedded", evidence_dir=tmp_path)
    code = judge(settings, heard.voice(json=True), only=["outbox-mvcc-posture"])

    value = json.loads(heard.text)
    assert code == 0
    assert (value["total"], value["killed"], value["waived"], value["survivors"]) == (8, 8, 0, [])
    assert value["seconds"] > 0
    record = read_run(tmp_path / "latest")
    (gate,) = record.gates
    document = gate.document
    assert record.passed
    assert value["evidence"] == str(tmp_path / record.run_id)
    assert document["check_id"] == "DB-MUTANTS"
    golden = read_golden(settings.migrations_dir)
    assert golden is not None
    assert document["schema_fingerprint"] == fingerprint(golden)
    assert document["migrations_digest"]
    assert (document["total"], document["killed"], document["waived"], document["survivors"]) == (8, 8, [], [])
    assert (document["shard"], document["only"], document["given"]) == ([1, 1], ["outbox-mvcc-posture"], False)
    assert document["mutants_of"] == {"outbox-mvcc-posture": 8}
    assert document["derived"] > 10_000
    assert float(document["volatile"]["seconds"]) > 0


def test_the_verb_judges_a_file(tmp_path: Path) -> None:
    """A survivor fails the run and is told."""
    path = tmp_path / "given.sql"
    path.write_text("-- mutant: a comment\nCOMMENT ON TABLE public.tenants IS 'x';\n", encoding="utf-8")
    heard = Heard()
    code = judge(Settings(server="embedded", evidence_dir=tmp_path / "e"), heard.voice(), from_=str(path))

    assert code == 1
    (gate,) = read_run(tmp_path / "e" / "latest").gates
    assert gate.result.outcome is Outcome.FAIL
    assert gate.document["survivors"] == ["a comment"]
    assert "COMMENT ON" not in json.dumps(gate.document), "what others wrote is not kept"
    text = heard.text
    assert "SURVIVED a comment" in text
    assert "1 mutants = 0 killed + 0 waived + 1 survived + 0 errors" in text


def test_a_database_that_exists_is_never_broken(tmp_path: Path) -> None:
    """FRESH_DB=0 is refused before anything is connected to, and no run is opened."""
    url = "postgresql://nobody@nowhere.invalid/x"
    settings = Settings(fresh_db=False, database_url=url, evidence_dir=tmp_path / "e")
    with pytest.raises(SelectionError, match="never put into a database that exists"):
        judge(settings, Heard().voice())
    assert not (tmp_path / "e").exists()


def test_an_empty_selection_is_an_error(tmp_path: Path) -> None:
    """Nothing judged never reads as passed, neither on the screen nor in evidence."""
    settings = Settings(server="embedded", evidence_dir=tmp_path)
    with pytest.raises(SelectionError, match="no mutant is selected"):
        judge(settings, Heard().voice(), only=["outbox-mvcc-posture"], shard="9/9")
    (gate,) = read_run(tmp_path / "latest").gates
    assert gate.result.outcome is Outcome.ERROR
