"""AC4, INV-001, INV-003, INV-041: what ran is what is in the files, outside a transaction where it must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.compare import ABSENT, Facts
from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.privileges import NONE, matrix_of
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from scripts.digest import Json
    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.model import Database, Findings

_LEDGER = "public.schema_migrations"
_ONE_CHAIN = "one chain, and the ledger is what it says"
_INVALID = """
    SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND n.nspname NOT LIKE 'pg\\_%'
     ORDER BY 1
"""


def verify_history(database: Database, findings: Findings) -> None:
    """One row a file with the file's checksum, no row without its file, one chain, whole; no invalid index anywhere."""
    recorded = _recorded(database)
    for file in database.files:
        checksum = recorded.get(file.name)
        findings.check(
            file.name,
            expected=f"sha256:{file.checksum}",
            observed=f"sha256:{checksum}" if checksum else "not recorded",
            where=_LEDGER,
            examined=int(checksum is not None),
        )
    names = {file.name for file in database.files}
    strangers: list[Json] = [name for name in sorted(recorded) if name not in names]
    findings.check("recorded_without_file", expected=[], observed=strangers, where=_LEDGER)
    findings.check(
        "ledger_chain",
        expected=_ONE_CHAIN,
        observed=_chain(database),
        where="public.schema_migrations_history",
        help="`invoke ledger.verify` says more; a ledger without history gets one from the next `invoke migrate`",
    )
    _verify_runners(database, findings)
    invalid: list[Json] = [row[0] for row in database.conn.execute(_INVALID)]
    findings.check("invalid_indexes", expected=[], observed=invalid, where="every schema")


def _verify_runners(database: Database, findings: Findings) -> None:
    """What the runner writes its history into is what it made, and nobody but the ledger's owner gets at it."""
    facts = Facts(database.facts, database.sources, findings)
    ledger = database.facts.held.get("schema_migrations")
    for table in RUNNER_TABLES.values():
        facts.whole(table)
        held = database.facts.held.get(table.name)
        observed = ABSENT
        if held is not None:
            observed = matrix_of(held)
            # Whoever owns it can write a history of his own.
            observed += f" OWNED BY {held.owner}" if ledger is None or held.owner != ledger.owner else ""
        findings.check(
            f"{table.name}_privileges",
            expected=NONE,
            observed=observed,
            where=f"public.{table.name}",
            examined=int(held is not None),
        )


def verify_no_tx(database: Database, findings: Findings) -> None:
    """Which files are marked, that each is recorded, and every index such a file declares, by definition."""
    recorded = _recorded(database)
    marked: list[Json] = [file.name for file in database.files if file.no_tx]
    findings.check("marked_files", expected=[*NO_TX_FILES], observed=marked, where="schema/migrations")
    for name in NO_TX_FILES:
        findings.check(f"{name} recorded", expected=True, observed=name in recorded, where=_LEDGER)
    by_file = {file.name: _declared(file) for file in database.files if file.no_tx}
    declared = [pair for pairs in by_file.values() for pair in pairs]
    facts = Facts(database.facts, database.sources, findings)
    for index, table in declared:
        facts.index(TABLES[table], index, id=f"{index} ({table})")
    # A marked file that builds no index has nothing that could show it ran.
    idle = ", ".join(name for name, pairs in by_file.items() if not pairs)
    findings.check(
        "indexes_declared",
        expected="by every marked file",
        observed=f"none by {idle}" if idle else "by every marked file" if declared else "none",
        where="schema/migrations",
        examined=0,
    )
    due = next(
        (check for check in findings.checks if check.id.startswith("idx_payment_outbox_pending_due_claim")), None
    )
    findings.details.update(
        migration_applied=NO_TX_FILES[0] in recorded,
        index_exists=due is not None and due.observed != ABSENT,
        index_validity=due is not None and due.holds,
    )


NO_TX_FILES = (
    "0013_outbox_pending_indexes_concurrently.sql",
    "0018_outbox_tenant_attribution.sql",
    "0021_correlation_indexes_concurrently.sql",
    "0027_billable_clients_client_key_index_concurrently.sql",
)


def _recorded(database: Database) -> dict[str, str]:
    if "schema_migrations" not in database.facts.tables:
        return {}
    from psycopg.rows import tuple_row

    with database.conn.cursor(row_factory=tuple_row) as cursor:
        rows: list[tuple[Any, ...]] = cursor.execute(
            "SELECT version, checksum FROM public.schema_migrations"
        ).fetchall()
    return {str(version): str(checksum) for version, checksum in rows}


def _chain(database: Database) -> str:
    import psycopg

    from scripts.errors.base import ProjectError
    from scripts.migrations.ledger.table import HISTORY, JOURNAL, OWN_PATH, SHAPES, ledger_shapes, read_ledger

    with database.conn.transaction(force_rollback=True):
        database.conn.execute(OWN_PATH, prepare=False)
        shapes = ledger_shapes(database.conn)
    missing = [name for name in SHAPES if shapes[name] is None]
    if missing:
        # Both came later than the ledger itself; one alone is of nobody's making.
        return "no history" if missing == [HISTORY, JOURNAL] else f"{', '.join(missing)}: not there"
    others = [name for name in SHAPES if shapes[name] != SHAPES[name]]
    if others:
        return f"{', '.join(others)}: not of the ledger's shape"
    try:
        with database.conn.transaction():
            ledger = read_ledger(database.conn)
    except (ProjectError, psycopg.Error) as exc:
        return exc.what if isinstance(exc, ProjectError) else f"cannot be read: SQLSTATE {exc.sqlstate}"
    return "no history" if ledger.head is None else _ONE_CHAIN


def _declared(file: MigrationFile) -> list[tuple[str, str]]:
    """(index, table) of each index the file builds."""
    nodes = [statement.node for statement in file.statements if statement.kind == "IndexStmt"]
    return [(node.idxname, node.relation.relname) for node in nodes]
