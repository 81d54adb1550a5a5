"""The bench: the server, the zygote and the undisturbed runs to compare with; one for each test process.

Owns: what every test here does after the kill: the next run, the comparison, one run more.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from db.killed.proof import State, describe, problems_of, read_state

from scripts.migrations.apply import migrate
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from db.killed.cluster import Cluster
    from db.killed.runs import Run, Zygote

    from scripts.migrations.folder.files import MigrationFile


@dataclass(frozen=True)
class Undisturbed:
    """What a run that nobody disturbs does: how many exchanges, how long, and what it leaves.

    unsent: the exchanges whose message is sent only while the answer is asked for; the other ones are under way before.
    first_applied: after how many exchanges its first file is recorded.
    """

    exchanges: int
    unsent: tuple[int, ...]
    first_applied: int
    seconds: float
    state: State = field(repr=False)


@dataclass
class Bench:
    """The folders by name, and where they are run."""

    cluster: Cluster
    zygote: Zygote
    files: Mapping[str, tuple[MigrationFile, ...]]
    exact: frozenset[str]
    _undisturbed: dict[str, Undisturbed] = field(default_factory=dict)
    _templates: dict[str, str] = field(default_factory=dict)

    def prepare(self, folder: str, *, template: str = "template1", before: int = 0) -> None:
        """Run it once in the zygote, so that it has loaded everything; once to count, and once more for the time.

        Args:
            folder: to run.
            template: what is copied for each run.
            before: how many of the files are applied in it.
        """
        with self.database(folder, template=template) as database:
            self.zygote.warm(folder, self.cluster.dsn(database))
        for _ in range(2):
            with self.database(folder, template=template) as database:
                run = self.zygote.run(folder, self.cluster.dsn(database))
                assert run.applied == [file.name for file in self.files[folder][before:]]
                state = self.state(folder, database)
        done, ended = run.first("done"), run.first("ended")
        assert done is not None
        assert ended is not None
        first = next(item["exchange"] for item in run.events if item.get("text", "").startswith("applied "))
        problems = problems_of(state, state, self.files[folder])
        assert not problems, "\n".join(("an undisturbed run is not as it should be:", *problems))
        self._undisturbed[folder] = Undisturbed(
            done["exchanges"], tuple(done["unsent"]), first, ended["seconds"], state
        )

    def undisturbed(self, folder: str) -> Undisturbed:
        """What was measured."""
        return self._undisturbed[folder]

    def template(self, folder: str) -> str:
        """A database with a folder applied, made once, to be copied."""
        if folder not in self._templates:
            name = self._templates[folder] = self.cluster.create()
            run = self.zygote.run(folder, self.cluster.dsn(name))
            assert run.applied == [file.name for file in self.files[folder]]
            self._require_gone(name, run)
        return self._templates[folder]

    def older_ledger(self, folder: str) -> str:
        """The same, as a runner left it that kept neither history nor journal."""
        name = self.cluster.create(template=self.template(folder))
        with psycopg.connect(self.cluster.admin_dsn(name), autocommit=True) as conn:
            conn.execute("DROP TABLE public.schema_migrations_history, public.schema_migrations_journal")
        return name

    @contextmanager
    def database(self, folder: str, *, template: str = "template1") -> Iterator[str]:
        """A database for one attempt; the roles an earlier one made are gone, too."""
        if folder not in self.exact:
            self.cluster.drop_roles()
        name = self.cluster.create(template=template)
        try:
            yield name
        finally:
            self.cluster.drop(name)

    def state(self, folder: str, database: str) -> State:
        """Everything that is compared."""
        return read_state(self.cluster.admin_dsn(database), exact=folder in self.exact)

    def require_recovery(self, folder: str, database: str, what: str, killed: Run) -> Run:
        """Run again, and require that all is as if nothing had happened.

        Args:
            folder: that was run.
            database: the killed run's.
            what: which kill this was, for the text of a failure.
            killed: the run, for the same.
        """
        recovery = self.zygote.run(folder, self.cluster.dsn(database))
        self.require_recovered(folder, database, what, killed, recovery)
        return recovery

    def require_recovered(self, folder: str, database: str, what: str, killed: Run, recovery: Run) -> None:
        """The same, for a recovery that has been run."""
        story = f"{what}\nthe killed run:\n{killed.story}\nthe next run:\n{recovery.story}"
        if recovery.first("done") is None:
            state = self.state(folder, database)
            raise AssertionError(f"the next run did not end well after {story}\nnow: {describe(state)}")
        self._require_gone(database, recovery)
        state = self.state(folder, database)
        problems = problems_of(state, self.undisturbed(folder).state, self.files[folder])
        assert not problems, "\n".join((f"not as undisturbed after {story}", "found:", *problems))
        again = self._run_once_more(folder, database)
        assert again == [], f"a further run applied {again} after {story}"

    def _run_once_more(self, folder: str, database: str) -> list[str]:
        with psycopg.connect(self.cluster.dsn(database), autocommit=True) as conn:
            applied = migrate(conn, self.files[folder], Settings(), report=lambda _: None)
        return [file.name for file in applied.files]

    def _require_gone(self, database: str, recovery: Run) -> None:
        """The recovery's own session may need a moment to end after its client did."""
        query = (
            "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        )
        deadline = time.monotonic() + 10
        while True:
            row: Any = self.cluster.admin.execute(query, (database,)).fetchone()
            if row[0] == 0:
                return
            assert time.monotonic() < deadline, f"a session is left:\n{recovery.story}"
            time.sleep(0.001)


def draw(seed: int, *what: object) -> random.Random:
    """A generator for one point: the same whatever ran before it, and in whichever process."""
    return random.Random(f"{seed} {' '.join(str(part) for part in what)}")  # noqa: S311 - reproducible, not secret
