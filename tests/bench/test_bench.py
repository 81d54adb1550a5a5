"""The bench: it runs, every line is told, and a target that is not reached is said so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bench import __main__ as bench
from bench.measure import Line, beyond, in_turn, ratios, render_table
from bench.servers import measure_servers
from bench.table import Size, measure

from scripts.settings import Settings

if TYPE_CHECKING:
    from scripts.server.model import Server


def test_every_line_is_measured(server: Server) -> None:
    """The bench runs from end to end on a server, with a round of each and folders of a few files."""
    told: list[str] = []
    lines = list(measure(server, Settings(), Size(rounds=1, few=10, many=30), told.append))
    assert len(told) == 6
    assert len({line.what for line in lines}) == len(lines) == 30
    assert all(value >= 0 for line in lines for value in line.values if line.unit != "bytes")
    targets = {line.what: line.most for line in lines if line.most is not None}
    assert targets == {
        "apply ours: engine over bare": 1.2,
        "apply ours: engine, traced, over bare": 1.5,
        "nothing to do: ours": 10,
        "verify ours: facts, probes, controls": 1000,
        "read the facts of ours: again after a change": 12,
        "nothing to do: 10 files": 500,
        "nothing to do: 30 files": 500,
        "time for a file, 30 over 10: engine": 1.3,
        "peak memory for one more file": 4096,
    }


def test_a_target_is_met_or_not() -> None:
    """The median is judged, and the table says which."""
    lines = [
        Line("quick", (1.0, 9.0, 1.1), "times", 1.2),
        Line("slow", (1.3,), "times", 1.2),
        Line("long", (1234.56,), "ms"),
        Line("large", (5000.0,), "bytes", 4096),
    ]
    assert render_table(lines) == (
        "           median     least … most  target\n"
        "quick  1.10 times      1.00 … 9.00   ≤ 1.2  met\n"
        "slow   1.30 times      1.30 … 1.30   ≤ 1.2  NOT met\n"
        "long    1234.6 ms  1234.6 … 1234.6\n"
        "large  5000 bytes      5000 … 5000  ≤ 4096  NOT met"
    )
    assert [line.verdict for line in lines] == ["met", "NOT met", "", "NOT met"]
    assert lines[1].as_json() == {
        "what": "slow", "unit": "times", "median": "1.300", "values": ["1.300"],
        "target": "1.200", "verdict": "NOT met",
    }  # fmt: skip


def test_what_was_not_measured_does_not_read_as_met() -> None:
    """It stands in the table with its reason, and without numbers."""
    line = Line("docker", (), "ms", 400, unmeasured="no engine answers")
    assert line.verdict == "not measured: no engine answers"
    assert render_table([Line("other", (1.0,), "ms"), line]).splitlines()[2].split() == [
        "docker", "≤", "400", "not", "measured:", "no", "engine", "answers",
    ]  # fmt: skip
    assert line.as_json() == {
        "what": "docker", "unit": "ms", "median": None, "values": [], "target": "400.000",
        "verdict": "not measured: no engine answers",
    }  # fmt: skip


def test_a_gate_fails_far_beyond_a_target_and_for_what_was_not_measured() -> None:
    """Ratios with a target only: times are the machine's."""
    lines = [
        Line("near", (1.9, 1.8), "times", 1.5),
        Line("far", (2.2, 1.9, 2.1), "times", 1.5),
        Line("free", (9.0,), "times"),
        Line("slow", (999.0,), "ms", 1),
        Line("docker", (), "ms", 400, unmeasured="no engine answers"),
    ]
    assert beyond(lines, 2) == ["docker: not measured: no engine answers", "far: 2.10 times, at most 2"]
    assert beyond(lines[:1], 2) == []


def test_the_gate_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """1, and the sentences; without it a target that is not met is told only."""
    monkeypatch.setattr(bench, "_measured", lambda *_: iter([Line("far", (2.2,), "times", 1.5)]))
    monkeypatch.setattr("sys.argv", ["bench", "--only", "servers"])
    bench.main()
    assert "NOT met" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["bench", "--only", "servers", "--gate", "2"])
    with pytest.raises(SystemExit, match="1"):
        bench.main()
    assert capsys.readouterr().err == "bench: far: 2.20 times, at most 2\n"


def test_every_start_is_measured_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of each; containers only where an engine answers, and else it is said."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    told: list[str] = []
    lines = {line.what: line for line in measure_servers(Settings(), 1, told.append)}
    assert len(told) == 3
    starts = (
        "embedded, from nothing",
        "embedded, on a kept cluster",
        "embedded, on a kept cluster, on a disk",
        "a migrated clone",
    )
    assert [lines[what].most for what in starts] == [700, 100, 350, 20]
    for what in starts:
        (value,), (floor,), (ratio,) = (lines[f"{what}{part}"].values for part in ("", ": floor", ": over its floor"))
        assert ratio == pytest.approx(value / floor)
        assert lines[f"{what}: over its floor"].most == 1.5
    assert lines["embedded: stop"].most == 30
    for what in ("docker, from nothing", "docker, on a kept cluster"):
        assert lines[what].verdict.startswith("not measured: ")
        assert "/nowhere/docker.sock" in lines[what].verdict
    assert len(lines) == 15


def test_candidates_take_turns_and_the_first_round_is_not_counted() -> None:
    """Nobody is always first, and everybody's caches are warm."""
    order: list[str] = []

    def candidate(name: str, seconds: float) -> float:
        order.append(name)
        return seconds + len(order) / 100

    found = in_turn(2, {"a": lambda: candidate("a", 1), "b": lambda: candidate("b", 2)})
    assert "".join(order) == "abbaab"
    assert found == {"a": [pytest.approx(1.04), pytest.approx(1.05)], "b": [pytest.approx(2.03), pytest.approx(2.06)]}
    assert ratios([2.0, 3.0], [1.0, 2.0]) == (2.0, 1.5)
