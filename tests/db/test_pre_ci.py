"""The whole product as its users run it: one command, a real server, evidence, and an exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess  # noqa: TID251 - starts the product as its users do
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.digest import sha256_hex
from scripts.evidence.read import read_run
from scripts.migrations.folder.sums import render_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigratedDatabase, MigrationFolder, ScratchDatabase

    from scripts.server.model import Origin

ROOT = Path(__file__).resolve().parents[2]
SIGNATURE = "P0.BIZ.HOOKS.DELTA_TIGHTENING.NEW_ROW_ENFORCEMENT_MISSING"
TIMEOUT_S = 120


def environment(evidence: Path, **more: str) -> dict[str, str]:
    """This process's environment without what would steer the product, and with these."""
    steering = ("DATABASE_URL", "FRESH_DB", "SERVER", "MIGRATIONS_DIR", "PRE_CI_RUN_ID", "KEEP_DB")
    kept = {name: value for name, value in os.environ.items() if name not in steering}  # noqa: TID251 - for a child
    return kept | {"SERVER": "embedded", "EVIDENCE_ROOT": str(evidence), "NO_COLOR": "1"} | more


def invoke(evidence: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=ROOT,
        env=environment(evidence, **more),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def on(database: ScratchDatabase) -> dict[str, str]:
    """The variables that point the product at an existing database."""
    return {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": database.url}


def statements(evidence: Path) -> dict[str, dict[str, Any]]:
    """Evidence of the latest run by gate."""
    found = {}
    for path in (evidence / "latest").resolve().rglob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        if "check_id" in document:
            found[document["gate"]] = document
    return found


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One whole `invoke pre-ci`, looked at by several tests."""
    evidence = tmp_path_factory.mktemp("evidence")
    return invoke(evidence, "pre-ci"), evidence


def test_pre_ci_proves_this_schema(proof: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """Fresh server, 27 migrations, every gate, evidence that reads back as passed (AC4)."""
    done, evidence = proof
    assert done.returncode == 0, done.stdout + done.stderr
    record = read_run(evidence / "latest")
    assert record.passed
    assert sum(record.counts.values()) == len(record.gates) > 20
    assert len(statements(evidence)["migrate"]["checks"]) == 27
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith(f"PASSED   {len(record.gates)} selected = {len(record.gates)} passed")


def test_evidence_is_bound_to_commit_database_and_server(
    proof: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """Commit, dirty flag, fingerprint of this database, server and its origin, digest of the migrations (D-21)."""
    _, evidence = proof
    for gate, document in statements(evidence).items():
        assert len(document["source"]["commit"]) == 40, gate
        assert isinstance(document["source"]["dirty"], bool)
    verified = statements(evidence)["business-foundation-hooks"]
    assert len(verified["catalog"]["after"]) == len(verified["migrations_digest"]) == 64
    server = verified["volatile"]["server"]
    assert server["origin"] == "embedded"
    assert server["version"].startswith("18.")
    assert server["facts"]


def test_no_absolute_path_is_in_the_stable_core(proof: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """Evidence made in two folders is the same evidence (D-21)."""
    _, evidence = proof
    for document in statements(evidence).values():
        core = {name: value for name, value in document.items() if name != "volatile"}
        assert str(ROOT) not in json.dumps(core)


def test_a_database_before_the_task_is_red_with_its_signature(
    migrated_to: Callable[[int], MigratedDatabase], tmp_path: Path
) -> None:
    """At 0025 the seed task's gate fails and says whose failure it is and how to repeat it (D-08, D-20)."""
    done = invoke(tmp_path, "verify", "--only", "business-foundation-hooks", **on(migrated_to(25)))
    assert done.returncode == 1, done.stdout + done.stderr
    document = statements(tmp_path)["business-foundation-hooks"]
    assert document["failure_signature"] == SIGNATURE
    assert document["origin_task_id"] == "TSK-P0-149"
    assert document["repro_command"] == "invoke verify --only business-foundation-hooks"
    assert SIGNATURE in done.stdout
    assert not read_run(tmp_path / "latest").passed


def test_a_broken_guarantee_hides_no_other(database: ScratchDatabase, tmp_path: Path) -> None:
    """Two guarantees broken, names still in place: both gates are red, all others are still asked (D-08, D-20)."""
    with database.connect() as conn:
        conn.execute("ALTER TABLE public.external_proofs DISABLE TRIGGER trg_set_external_proofs_attribution")
        conn.execute("ALTER TABLE public.revoked_tokens DISABLE TRIGGER trg_deny_revoked_tokens_mutation")
    done = invoke(tmp_path, "verify", **on(database))
    assert done.returncode == 1
    red = {gate for gate, document in statements(tmp_path).items() if document["failures"] or document["error"]}
    assert {"business-foundation-hooks", "revocation-tables", "baseline-drift"} <= red
    assert not [gate for gate, document in statements(tmp_path).items() if document["status"] == "NOT_RUN"]


def test_verify_leaves_an_existing_database_as_it_was(database: ScratchDatabase, tmp_path: Path) -> None:
    """FRESH_DB=0: rows, sequences and catalog are what they were; the queue is not emptied (D-28)."""
    from scripts.run.traces import read_traces

    with database.connect() as conn:
        conn.execute("SELECT public.enqueue_payment_outbox('i-1', 'p-1', 'k-1', 'r', '{\"amount\": 1}')")
        before = read_traces(conn, count_rows=True)
        done = invoke(tmp_path, "verify", **on(database))
        assert done.returncode == 0, done.stdout + done.stderr
        assert read_traces(conn, count_rows=True) == before


def test_traces_of_nothing_are_no_proof(database: ScratchDatabase, tmp_path: Path) -> None:
    """Asked alone, the look for traces has nothing to compare: an error, not a pass (D-28)."""
    done = invoke(tmp_path, "verify", "--only", "probe-traces", **on(database))
    assert done.returncode == 1
    assert statements(tmp_path)["probe-traces"]["error"].startswith("no verifier ran before it")


def test_a_trace_is_found(database: ScratchDatabase) -> None:
    """A verifier that leaves a table behind turns the last gate red, and it is named by the catalog (D-28)."""
    from scripts.gates import TRACES, all_gates
    from scripts.migrations.folder.files import read_files
    from scripts.run.database import DatabaseGates
    from scripts.server.model import Server
    from scripts.settings import Settings

    settings = Settings()
    gates = {gate.id: gate for gate in all_gates()}
    server = Server(database.dsn, None, "external", "a test", "18")
    files = read_files(settings.migrations_dir)
    with DatabaseGates(settings, server, files, learn=lambda **_: None, say=lambda _: None) as asked:
        assert asked.settle(gates["outbox-mvcc-posture"], apply=False).passed
        assert asked.settle(TRACES, apply=False).passed
        with database.connect() as conn:
            conn.execute("CREATE TABLE public.left_behind (id integer)")
            conn.execute("SELECT public.enqueue_payment_outbox('i-1', 'p-1', 'k-1', 'r', '{}')")
        found = {check.id for check in asked.settle(TRACES, apply=False).failures}
    assert {"catalog", "rows of public.left_behind", "rows of public.payment_outbox_pending"} <= found


@pytest.mark.parametrize("fresh", [True, False])
def test_a_sequence_that_probes_have_moved_is_told(database: ScratchDatabase, *, fresh: bool) -> None:
    """No rollback gives a number back: the gate names each sequence behind our tables that moved, and is green."""
    from scripts.gates import TRACES, all_gates
    from scripts.migrations.folder.files import read_files
    from scripts.run.database import DatabaseGates
    from scripts.run.traces import read_traces
    from scripts.server.model import Server
    from scripts.settings import Settings

    settings = replace(Settings(), fresh_db=fresh)
    gates = {gate.id: gate for gate in all_gates()}
    server = Server(database.dsn, None, "external", "a test", "18")
    with database.connect() as conn:
        conn.execute("ALTER TABLE public.tenants ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY")
        conn.execute("CREATE SEQUENCE public.spare; CREATE SEQUENCE public.unrelated")
        conn.execute("ALTER TABLE public.participants ADD COLUMN n bigint DEFAULT nextval('public.spare')")
    with DatabaseGates(
        settings, server, read_files(settings.migrations_dir), learn=lambda **_: None, say=lambda _: None
    ) as asked:
        assert asked.settle(gates["tenant-integrity"], apply=False).passed
        with database.connect() as conn:
            kept = {key for key in read_traces(conn, count_rows=True) if key.startswith("position of")}
        result = asked.settle(TRACES, apply=False)

    assert result.passed
    assert kept == {"position of public.unrelated"}
    assert result.details["notes"] == [
        "sequence public.tenants_n_seq gave out numbers: to rows of probes, which are gone, or to others"
    ]


@pytest.mark.parametrize("code", ["53100", "53200", "58030"])
@pytest.mark.parametrize("origin", ["embedded", "external"])
def test_a_full_server_is_no_bad_migration(
    empty_database: ScratchDatabase, migrations: MigrationFolder, code: str, origin: Origin
) -> None:
    """The place, the server's words, whose it is: exit 3."""
    from scripts.errors.base import ExitCode
    from scripts.errors.room import DiskFullError
    from scripts.run.database import DatabaseGates
    from scripts.server.model import Server
    from scripts.settings import Settings

    migrations.write(
        "0001_init.sql",
        "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' "
        f"USING ERRCODE = '{code}'; END $$;\n",
    )
    settings = Settings(migrations_dir=migrations.folder)
    server = Server(empty_database.dsn, None, origin, "a test", "18", {"data_directory": "/place"})
    with (
        DatabaseGates(settings, server, migrations.files(), learn=lambda **_: None, say=lambda _: None) as asked,
        pytest.raises(DiskFullError, match="the server has no room left for 0001_init") as caught,
    ):
        asked.migrate()
    assert caught.value.exit_code is ExitCode.NO_SERVER
    assert (caught.value.where == "/place") is (origin == "embedded")
    assert ("TMPDIR" in caught.value.help) is (origin == "embedded")


def test_no_password_is_told_or_kept(database: ScratchDatabase, tmp_path: Path) -> None:
    """Output and evidence hold no password, not even of a database that is red."""
    from psycopg.conninfo import conninfo_to_dict

    password = str(conninfo_to_dict(database.dsn)["password"])
    done = invoke(tmp_path, "verify", **on(database))
    kept = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json"))
    assert len(kept) > 1000
    assert password not in done.stdout + done.stderr + kept


@pytest.fixture
def broken_folder(tmp_path: Path) -> Path:
    """A copy of the migrations whose 14th file fails, listed as it is."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "schema" / "migrations", folder)
    (folder / "0014_tenants.sql").write_text("CREATE TABLE public.tenants (\n    id nosuchtype\n);\n", encoding="utf-8")
    sums = {path.name: sha256_hex(path.read_bytes()) for path in sorted(folder.glob("*.sql"))}
    (tmp_path / "migrations.sum").write_text(render_sums(sums), encoding="utf-8")
    return folder


def test_a_failing_migration_turns_the_run_red(broken_folder: Path, tmp_path: Path) -> None:
    """Exit 5, place and SQLSTATE told, the gate errored, every later gate says that it did not run (D-09)."""
    done = invoke(tmp_path / "evidence", "verify", MIGRATIONS_DIR=str(broken_folder))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "0014_tenants.sql:2:8" in done.stderr
    assert "42704" in done.stderr
    documents = statements(tmp_path / "evidence")
    assert documents["migrate"]["error"]
    assert documents["business-foundation-hooks"]["status"] == "NOT_RUN"
    assert "migration" in documents["business-foundation-hooks"]["not_run_because"]


def test_a_broken_14th_file_leaves_thirteen(
    broken_folder: Path, empty_database: ScratchDatabase, tmp_path: Path
) -> None:
    """On an existing database: thirteen recorded, the fourteenth neither ran nor is recorded."""
    done = invoke(tmp_path / "evidence", "migrate", MIGRATIONS_DIR=str(broken_folder), **on(empty_database))
    assert done.returncode == 5, done.stdout + done.stderr
    assert len(empty_database.recorded()) == 13
    assert empty_database.value("SELECT to_regclass('public.tenants')") is None


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after_s", [0.45, 1.2])
def test_an_interrupted_run_says_so_and_leaves_no_server(
    tmp_path: Path, signum: signal.Signals, code: int, after_s: float
) -> None:
    """Ctrl-C or SIGTERM in the middle: exit 130 or 143, no server left, evidence says ABORTED (D-20)."""
    evidence = tmp_path / "evidence"
    running = subprocess.Popen(
        [sys.executable, "-m", "invoke", "pre-ci"],
        cwd=ROOT,
        env=environment(evidence),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not list(evidence.glob("*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after_s - 0.45)
    running.send_signal(signum)
    _, told = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == code, told
    record = read_run(evidence / "latest")
    assert record.state == "aborted"
    assert record.counts["ABORTED"] > 0
    assert not children_of_session(running.pid)


def children_of_session(session: int) -> list[str]:
    """Command lines of processes whose session or parent is the run's; the server starts a session of its own."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session or int(fields[1]) == session:
            found.append(command)
    return found


@pytest.mark.parametrize(
    ("variables", "code", "told"),
    [
        ({"FRESH_DB": "maybe"}, 2, "FRESH_DB  expected 0 or 1, found 'maybe'"),
        ({"FORCE_PASS": "1"}, 2, "no check can be bypassed"),
        ({"SERVER": "docker", "DOCKER_HOST": "unix:///no/such/socket"}, 3, "error["),
        (
            {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": "postgresql://u:secret-pw@127.0.0.1:1/d"},
            3,
            "127.0.0.1:1",
        ),
        (
            {"FRESH_DB": "0", "SERVER": "auto", "DATABASE_URL": "postgresql://u:secret-pw@h:port/d"},
            2,
            "DATABASE_URL: the connection URL cannot be read",
        ),
    ],
    ids=["a wrong switch", "a bypass", "no engine", "no server", "no URL"],
)
def test_bad_input_has_its_own_exit_code(tmp_path: Path, variables: dict[str, str], code: int, told: str) -> None:
    """Settings are exit 2 and start nothing; a server that cannot be had is exit 3 with its cause and a hint (D-43)."""
    done = invoke(tmp_path / "evidence", "verify", **variables)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stderr
    assert "help:" in done.stderr
    assert "secret-pw" not in done.stdout + done.stderr


def test_a_server_that_cannot_be_had_leaves_no_pass(tmp_path: Path) -> None:
    """Every gate says that it did not run, and `latest` is this run (D-20, D-22)."""
    good = tmp_path / "evidence" / "0-old"
    good.mkdir(parents=True)
    (tmp_path / "evidence" / "latest").symlink_to("0-old")
    invoke(tmp_path / "evidence", "verify", SERVER="docker", DOCKER_HOST="unix:///no/such/socket")
    record = read_run(tmp_path / "evidence" / "latest")
    assert record.counts["NOT_RUN"] == len(record.gates) > 10


def test_json_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    """`--json` prints one value; progress goes to stderr."""
    done = invoke(tmp_path / "evidence", "lint", "--json")
    value = json.loads(done.stdout)
    assert value["selected"] == len(value["gates"])
    assert value["passed"] is (done.returncode == 0)


@pytest.mark.parametrize("only", ["no-such-gate", ",", "business-foundation-hooks,no-such-gate"])
def test_an_unknown_or_empty_selection_is_an_error(tmp_path: Path, only: str) -> None:
    """Nothing selected never reads as passed: exit 2, and no run is opened."""
    done = invoke(tmp_path / "evidence", "verify", "--only", only)
    assert done.returncode == 2
    assert "error[usage]" in done.stderr
    assert not (tmp_path / "evidence").exists()
