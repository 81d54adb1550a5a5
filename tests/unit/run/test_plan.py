"""`invoke plan` on a fresh database: nothing is started, and what a file does to its budgets is said beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from make_voices import Heard

from scripts.run.history import plan
from scripts.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_budget_that_a_file_switches_off_is_said_before_it_runs(tmp_path: Path) -> None:
    """As progress, beside the plan: the file and the line, the setting, and the budget that does not hold."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\nSET lock_timeout = 0;\n")
    (tmp_path / "0002_b.sql").write_text("SET LOCAL lock_timeout = '1s';\n")
    heard = Heard()
    assert plan(Settings(migrations_dir=tmp_path), heard.voice()) == 0
    assert [line for line in heard.progress if "lock_timeout" in line] == [
        "0001_a.sql:2: lock_timeout is 0 from here to the end of the file: LOCK_TIMEOUT_MS does not bound it"
    ]
    assert "0002_b.sql" in heard.text
