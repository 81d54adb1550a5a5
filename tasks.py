"""The verbs. Each hands over to `scripts.console`, imported only when a verb runs: `invoke --list` stays quick."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.tasks import task

if TYPE_CHECKING:
    from invoke.context import Context

if hasattr(sys.modules["__main__"], "program"):  # Invoke's own, not whoever else looks at the verbs
    from scripts.server.signals import end_at_once_on_signals

    end_at_once_on_signals()

ONLY = {
    "only": "gates to run, by id, check id or number (INV-nnn); repeat it or separate with commas",
    "json": "print JSON on stdout",
}
SEVERITY = {"severity": "P0 or P1: gates of that severity alone; with --only those that are in both"}
NAME = {"name": "the server's; default: the one that goes with this project's folder"}
JSON = {"json": "print JSON on stdout"}
ROW_DATA = {"show-row-data": "after a failure print what the server said about rows; on a terminal alone, never in CI"}
REPAIR = {"file": "its name, with the ending", "reason": "why, for whoever reads the ledger in a year"} | JSON


def _run(command: str, **options: object) -> None:
    from scripts.console import main

    main(command, **options)


@task(name="pre-ci", help=JSON)
def pre_ci(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - invoke makes a flag of it
    """Prove this commit: lints, fresh PostgreSQL 18, migrations, verifiers, evidence."""
    _run("pre-ci", json=json)


@task(help=ONLY | SEVERITY, iterable=["only", "severity"])
def verify(_: Context, only: list[str], severity: list[str], json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Run the database's gates (on a fresh database, or on DATABASE_URL with FRESH_DB=0)."""
    _run("verify", only=only, severity=severity, json=json)


@task(help=ONLY, iterable=["only"])
def lint(_: Context, only: list[str], json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Run the gates that need no server."""
    _run("lint", only=only, json=json)


@task(help=ROW_DATA | JSON)
def migrate(_: Context, show_row_data: bool = False, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Apply what is pending, in order, one runner at a time."""
    _run("migrate", show_row_data=show_row_data, json=json)


@task(help=JSON)
def status(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Say what is applied and what is pending."""
    _run("status", json=json)


@task(
    help={"trace": "try it on a throw-away copy, and show what each statement locks and does there"} | ROW_DATA | JSON
)
def plan(_: Context, trace: bool = False, show_row_data: bool = False, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Say what `migrate` would run; nothing is run in the database."""
    _run("plan", trace=trace, show_row_data=show_row_data, json=json)


@task(help=JSON)
def drift(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Compare the database with what its recorded migrations make of it; exit 1 when it differs."""
    _run("drift", json=json)


@task(
    help={
        "only": "invariants whose mutants are judged; repeat it or separate with commas",
        "shard": "K/N: every mutant falls to exactly one of N shards",
        "from": "a file of mutants that somebody else wrote, each behind a line `-- mutant: NAME`",
    }
    | JSON,
    iterable=["only"],
)
def mutants(_: Context, only: list[str], shard: str = "", from_: str = "", json: bool = False) -> None:  # noqa: FBT001, FBT002 - invoke makes a flag of it
    """Break the schema in every way we know, and see whether the owner of each guarantee notices."""
    _run("mutants", only=only, shard=shard, from_=from_, json=json)


@task(help=JSON)
def gates(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """List the gates in their order."""
    _run("gates", json=json)


@task(help=NAME | {"no-migrate": "leave it as it is: no migration is applied"} | JSON)
def up(_: Context, name: str = "", no_migrate: bool = False, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Start a PostgreSQL 18 that stays, migrated, for development; one that is there is migrated and told of."""
    _run("up", name=name, no_migrate=no_migrate, json=json)


@task(help=NAME | {"all": "every one of this user's, of whatever project"} | JSON)
def down(_: Context, name: str = "", all: bool = False, json: bool = False) -> None:  # noqa: A002, FBT001, FBT002 - the same
    """End a server that stays, and remove its data."""
    _run("down", name=name, every=all, json=json)


@task(help=NAME | {"superuser": "log in as the server's superuser, not as the database's owner"})
def psql(_: Context, name: str = "", superuser: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Become psql on a server that stays; what follows `--` is psql's."""
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []  # invoke would join them
    _run("psql", name=name, superuser=superuser, arguments=arguments)


@task(help=JSON)
def servers(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """List the servers that stay, and whether each is there."""
    _run("servers", json=json)


@task(name="update")
def catalog_update(_: Context) -> None:
    """Rewrite schema/catalog.txt from a fresh database with every migration applied."""
    _run("catalog.update")


@task(name="update")
def sums_update(_: Context) -> None:
    """Add the files that schema/migrations.sum does not list yet; a listed file's sum never changes."""
    _run("sums.update")


@task(name="verify", help={"head": "NUMBER:HASH of the chain as it was noted elsewhere"} | JSON)
def ledger_verify(_: Context, head: str = "", json: bool = False) -> None:  # noqa: FBT001, FBT002 - invoke makes a flag of it
    """Check that nobody wrote to the ledger by hand: rows, records and traces."""
    _run("ledger.verify", head=head, json=json)


@task(name="accept", help=REPAIR)
def ledger_accept(_: Context, file: str, reason: str, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Record that only comments of an applied file were changed, and why that is wanted."""
    _run("ledger.accept", file=file, reason=reason, json=json)


@task(name="abandon", help=REPAIR)
def ledger_abandon(_: Context, file: str, reason: str, json: bool = False) -> None:  # noqa: FBT001, FBT002 - the same
    """Give up what is noted of an unfinished file without a transaction; the next run begins it anew."""
    _run("ledger.abandon", file=file, reason=reason, json=json)


@task(name="seed", help=JSON)
def policy_seed(_: Context, json: bool = False) -> None:  # noqa: FBT001, FBT002 - invoke makes a flag of it
    """Give an existing database the policy it starts with; one that is there already is left as it is."""
    _run("policy.seed", json=json)


@task(name="build", help={"offline": "from what is installed here, without a registry"})
def image_build(_: Context, offline: bool = False) -> None:  # noqa: FBT001, FBT002 - invoke makes a flag of it
    """Build the Docker image of the server."""
    _run("image.build", offline=offline)


namespace = Collection(pre_ci, verify, lint, migrate, status, plan, drift, mutants, gates, up, down, psql, servers)
namespace.add_collection(Collection("catalog", catalog_update))
namespace.add_collection(Collection("sums", sums_update))
namespace.add_collection(Collection("ledger", ledger_verify, ledger_accept, ledger_abandon))
namespace.add_collection(Collection("policy", policy_seed))
namespace.add_collection(Collection("image", image_build))
