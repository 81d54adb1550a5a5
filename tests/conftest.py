"""What every test shares: the fixtures' index, reproducible property tests, and golden files.

Fixtures live beside this file: `fix_server` (a PostgreSQL 18 of this session), `fix_database` (databases on it);
`fix_killed` prints what was killed; `fix_ending` ends a run with whoever started it.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
PLUGINS = ("fix_server", "fix_database", "fix_killed", "fix_elsewhere", "fix_ending")
pytest_plugins = [name for name in PLUGINS if (HERE / f"{name}.py").exists()]

# The same examples in every run: a red run is red again when it is repeated. No deadline: the machines are shared.
settings.register_profile(
    "project", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("project")


def pytest_configure() -> None:
    """Undo ignored signals that a shell handed down (`nohup`, a background job): the tests send them to be obeyed."""
    for signum, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` rewrites the golden files instead of comparing with them; `--kills` sets a number."""
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files with what the tests produce"
    )
    parser.addoption("--skips-fail", action="store_true", help="a skipped test makes the run red: for who insists")
    parser.addoption("--kills", type=int, default=3, help="how many runs of each kind are killed (tests/db/server)")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With `--skips-fail` a run that skipped anything is red: it was asked for just these."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--skips-fail") and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Golden:
    """Compare text with the golden file of a name, or rewrite it when asked."""

    def __init__(self, *, update: bool) -> None:
        self._update = update

    def require_equal(self, name: str | Path, text: str) -> None:
        """Fail unless `text` is what the golden file holds.

        Args:
            name: a file name below tests/golden, with its ending; or the path of a generated document elsewhere.
            text: what the product printed.
        """
        path = GOLDEN / name
        if self._update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{name} differs; if that is meant, run with --update-golden"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden files, compared; changed only by --update-golden."""
    return Golden(update=bool(request.config.getoption("--update-golden")))
