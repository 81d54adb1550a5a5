"""What is broken, and in which ways: everything the catalog holds, with an owner each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from scripts.errors.mutants import UnownedError
from scripts.verifiers.facts.ledger import RUNNER_TABLES
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.mutants.derive import derive_mutants
from scripts.verifiers.mutants.subject import read_subject

if TYPE_CHECKING:
    from fix_database import Databases, ScratchDatabase

    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.mutants.model import Mutant

# Kind of object → what is done to at least one of its kind.
OPERATORS = {
    "table": {
        "dropped", "renamed", "a view instead", "in another schema", "row security on", "row security forced",
        "a child inherits from it", "inherits from a parent", "a trigger that nobody reviewed",
        "a check that nobody reviewed", "a reference that nobody reviewed", "an exclusion that nobody reviewed",
        "a unique index that nobody reviewed", "a policy that nobody reviewed", "no identity for a replica",
        "an index that divides", "a column whose default fails", "statistics that divide",
        "a rule swallows INSERT", "a rule swallows UPDATE", "a rule swallows DELETE", "owned by boz_auditor",
        "fillfactor reset", "fillfactor=90", "no vacuum", "vacuum at no number",
        "no vacuum of long values", "vacuum at a hundred times what is there", "a member of an extension",
    },
    "column": {
        "dropped", "renamed", "default dropped", "default NULL", "given a default", "may be null",
        "may be null in old rows", "type text", "type text, in its place", "another collation",
        "STORAGE PLAIN",
    },
    "constraint": {
        "dropped", "true", "on a twin", "NOT ENFORCED", "NOT VALID", "valid", "deferrable", "ON DELETE CASCADE",
        "ON DELETE SET NULL", "ON UPDATE CASCADE", "to a twin", "RI_FKey_check_ins: DISABLE",
        "RI_FKey_noaction_del: ENABLE REPLICA", "NULLS NOT DISTINCT", "NULLS DISTINCT", "a plain index",
        "without predates_client_key", "with a value more", "goes with an extension",
    },
    "index": {
        "dropped", "renamed", "a view instead", "a table instead", "a sequence instead", "on a twin", "not unique",
        "unique", "covers nothing", "without its predicate", "backwards", "in another order", "nulls alike",
        "in another collation", "with another operator class", "by hash", "not valid", "not ready",
        "goes with an extension",
    },
    "trigger": {
        "dropped", "renamed", "origin only", "replica only", "disabled", "AFTER", "on a twin", "does nothing",
        "skips the row", "FOR EACH STATEMENT", "never", "not on UPDATE", "not on DELETE", "not on INSERT",
        "on UPDATE only", "always", "on INSERT", "goes with an extension",
    },
    "function": {
        "SECURITY INVOKER", "SECURITY DEFINER", "VOLATILE", "STABLE", "IMMUTABLE", "STRICT", "LEAKPROOF",
        "PARALLEL SAFE", "search_path reset", "public first", "pg_temp first", "the caller's path",
        "row_security off", "asleep triggers", "another default", "renamed", "in another schema", "overloaded",
        "a member of an extension", "goes with an extension",
    },
    "schema": {"a SECURITY DEFINER function nobody reviewed, a member of an extension"},
    "around": {
        "a view for PUBLIC", "a view for boz_auditor", "a view of a view", "a materialised view",
        "a view that is written through", "a rule on another table", "a view, a member of an extension",
        "a SECURITY DEFINER function elsewhere for symphony_ingest", "a SECURITY DEFINER trigger on another table",
        "a SECURITY DEFINER cast of another type",
    },
    "comparisons": {"an equality with bigint"},
    "instead": {"a table in schema boz_auditor", "a function in schema boz_auditor", "a view in schema test_user"},
    "body": {"does nothing"},
    "role": {
        "LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "renamed",
        "member of pg_read_all_data", "member of symphony_control", "search_path set",
        "session_replication_role set in the database", "SET on session_replication_role",
    },
    "privileges": {
        "SELECT to PUBLIC", "MAINTAIN to PUBLIC", "UPDATE to symphony_executor", "SELECT from boz_auditor",
        "SELECT to boz_auditor to hand on", "EXECUTE to PUBLIC", "EXECUTE from symphony_ingest", "CREATE to PUBLIC",
        "USAGE from symphony_ingest", "SELECT to a role nobody knows", "owned by boz_auditor",
        "owned by a role nobody knows",
    },
    "default": {"EXECUTE on functions to PUBLIC", "SELECT on tables in schema public to symphony_control"},
    "type": {"a label added", "a label added in front", "renamed", "USAGE from PUBLIC", "a member of an extension",
        "an equality of its own", "an equality of its own in pg_catalog", "an order of its own",
        "an order of its own in the server's family", "a cast to text AS IMPLICIT", "a cast from text AS ASSIGNMENT",
        "another of its name in pg_catalog",
    },
    "ledger": {"another checksum", "gone", "another reason", "its history dropped"},
}  # fmt: skip


def test_every_operator_is_there(mutants: dict[str, Mutant]) -> None:
    """Each way to break each kind of object is used at least once; thousands of mutants come of it."""
    changes: dict[str, set[str]] = defaultdict(set)
    for mutant in mutants.values():
        changes[mutant.object.split()[0]].add(mutant.change)
    missing = {kind: words - changes[kind] for kind, words in OPERATORS.items() if words - changes[kind]}

    assert not missing
    assert len(mutants) > 10_000


def test_every_object_is_broken(database: ScratchDatabase, mutants: dict[str, Mutant]) -> None:
    """No table, column, constraint, index, trigger, function or role is left whole."""
    reading = read_subject(database.connect(), ROLES, list(TABLES)).reading
    broken = {mutant.object for mutant in mutants.values()}
    wanted = set()
    for name in (*TABLES, *RUNNER_TABLES):
        table = reading.tables[name]
        keys = {constraint.name for constraint in table.constraints if constraint.kind in "pu"}
        wanted |= {f"table public.{name}", f"privileges on public.{name}"}
        wanted |= {f"column public.{name}.{column.name}" for column in table.columns}
        wanted |= {f"privileges on public.{name}.{column.name}" for column in table.columns}
        wanted |= {f"constraint {constraint.name} on public.{name}" for constraint in table.constraints}
        wanted |= {f"index public.{index.name}" for index in table.indexes if index.name not in keys}
        wanted |= {f"trigger {trigger.name} on public.{name}" for trigger in table.triggers}
    for routine in reading.routines:
        wanted |= {f"{what} {routine.signature}" for what in ("function", "privileges on")}
        wanted.add(f"body of {routine.function.name}")
    wanted |= {f"role {role}" for role in ROLES}
    wanted |= {f"type public.{name}" for name in reading.enums}

    assert wanted <= broken


def test_every_value_that_may_be_long_is_kept_in_its_row(database: ScratchDatabase, mutants: dict[str, Mutant]) -> None:
    """Of each column whose type can be stored elsewhere, and of no other: for those the change would be none."""
    conn = database.connect()
    found = conn.execute(
        "SELECT format('column public.%s.%s', c.relname, a.attname) FROM pg_attribute AS a "
        "JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_type AS t ON t.oid = a.atttypid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped "
        "AND t.typstorage <> 'p'"
    ).fetchall()

    assert {m.object for m in mutants.values() if m.change == "STORAGE PLAIN"} == {name for (name,) in found}


def test_names_are_the_same_on_another_database(
    databases: Databases, project_files: tuple[MigrationFile, ...], mutants: dict[str, Mutant]
) -> None:
    """A waiver names its mutant in every run: no OID, no order of the catalog is in it."""
    import psycopg

    with databases.migrated(project_files) as made, psycopg.connect(made.dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.before_it (one integer)")
        conn.execute("DROP TABLE public.before_it")
        other = derive_mutants(read_subject(conn, ROLES, list(TABLES)))

    assert [mutant.name for mutant in other] == list(mutants)


def test_an_object_without_an_owner_is_an_error(database: ScratchDatabase) -> None:
    """A new table, trigger or function cannot be left out in silence."""
    conn = database.connect()
    conn.execute("CREATE TABLE public.newcomer (one integer)")
    conn.execute("CREATE FUNCTION public.newcomer() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    conn.execute(
        "CREATE TRIGGER zz_newcomer BEFORE INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.newcomer()"
    )
    with pytest.raises(UnownedError) as caught:
        derive_mutants(read_subject(conn, ROLES, list(TABLES)))

    text = str(caught.value)
    assert "table public.newcomer" in text
    assert "trigger zz_newcomer on public.tenants" in text
    assert "function public.newcomer()" in text
