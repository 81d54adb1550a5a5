"""Mutants written down one by one: what is hollowed out, and which check of which invariant must see it.

Every name stays in place. A rewrite changes a few words of one function's body and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from db.verifiers import hand_outbox, hand_sessions
from db.verifiers.hand_outbox import hollowed, rewritten, sql
from db.verifiers.mutants import Mutant

from scripts.settings import ROOT
from scripts.verifiers.facts.privileges import BOZ_TABLES, EXECUTORS, TABLE_GRANTS
from scripts.verifiers.facts.roles import BOZ_ROLE, ROLES
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.guarantees.append_only import LEDGERS
from scripts.verifiers.guarantees.ledger import NO_TX_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.migrations.folder.files import MigrationFile
    from scripts.verifiers.facts.reading import Reading

_HOT = ("payment_outbox_pending", "payment_outbox_attempts", "participant_outbox_sequences")
_BY_HAND = (
    "symphony_control",
    "symphony_executor",
    "symphony_ingest",
    "symphony_readonly",
    "symphony_auditor",
    "test_user",
)


def by_hand(reading: Reading, files: Sequence[MigrationFile]) -> Iterator[Mutant]:
    """All of them."""
    yield from _history(files)
    yield from _roles()
    yield from _sessions()
    yield from hand_sessions.sessions()
    yield from _privileges()
    yield from _functions(reading)
    yield from _ledgers()
    yield from _policy()
    yield from _conventions()
    yield from _hooks()
    yield from _tenancy()
    yield from _usage()
    yield from hand_outbox.outbox()
    yield from hand_outbox.claims()
    yield from hand_outbox.new_rows()
    yield from hand_outbox.proofs()
    yield from hand_outbox.legacy()


def _history(files: Sequence[MigrationFile]) -> Iterator[Mutant]:
    for file in files:
        change = f"UPDATE public.schema_migrations SET checksum = 'other' WHERE version = '{file.name}'"
        yield sql("migration-history", f"{file.name} was another file", [file.name], change)
    rewritten = "UPDATE public.schema_migrations_history SET reason = 'because' WHERE seq = 7"
    yield sql("migration-history", "a record was changed", ["ledger_chain"], rewritten)
    cut = "DELETE FROM public.schema_migrations_history WHERE seq = 7"
    yield sql("migration-history", "a record was removed", ["ledger_chain"], cut)
    forgotten = "DROP TABLE public.schema_migrations_history"
    yield sql("migration-history", "the history is gone", ["ledger_chain"], forgotten)
    backdated = (
        "UPDATE public.schema_migrations SET applied_at = applied_at - interval '1 day' WHERE version LIKE '0007%'"
    )
    yield sql("migration-history", "a file was applied the day before", ["ledger_chain"], backdated)
    stranger = "INSERT INTO public.schema_migrations (version, checksum) VALUES ('9999_x.sql', 'x')"
    yield sql("migration-history", "a file that is gone was applied", ["recorded_without_file"], stranger)
    spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.{}'::regclass"
    yield sql(
        "migration-history", "an index is invalid", ["invalid_indexes"], spoil.format("idx_tenants_status"), admin=True
    )
    for name in NO_TX_FILES:
        gone = f"DELETE FROM public.schema_migrations WHERE version = '{name}'"
        yield sql("no-tx-migrations", f"{name} is not recorded", [f"{name} recorded"], gone)
        yield sql("migration-history", f"{name} is not recorded", [name], gone)
    for file in files:
        for statement in file.statements if file.no_tx else ():
            index, table = statement.node.idxname, statement.node.relation.relname
            yield sql(
                "no-tx-migrations", f"{index} is invalid", [f"{index} ({table})"], spoil.format(index), admin=True
            )
            yield sql("no-tx-migrations", f"{index} is gone", [f"{index} ({table})"], f"DROP INDEX public.{index}")


def _roles() -> Iterator[Mutant]:
    for role in ROLES:
        yield sql("role-login-posture", f"{role} may log in", [f"role_{role}"], f"ALTER ROLE {role} LOGIN", admin=True)
    limits = ("NOINHERIT", "CONNECTION LIMIT 0", "VALID UNTIL '2020-01-01'", "VALID UNTIL '-infinity'")
    for attribute in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION", *limits):
        change = f"ALTER ROLE symphony_ingest {attribute}"
        yield sql("role-login-posture", f"ingest is {attribute}", ["role_symphony_ingest"], change, admin=True)
    member = "GRANT pg_read_all_data TO symphony_readonly"
    yield sql("role-login-posture", "readonly reads all data", ["role_symphony_readonly"], member, admin=True)
    gone = "ALTER ROLE test_user RENAME TO test_user_no_more"
    yield sql("role-login-posture", "a role is missing", ["role_test_user"], gone, admin=True)
    boz = "boz-observability-role"
    yield sql(boz, "the regulator may log in", [f"role_{BOZ_ROLE}"], f"ALTER ROLE {BOZ_ROLE} LOGIN", admin=True)
    for name in TABLES:
        right = "INSERT" if name in BOZ_TABLES else "SELECT"
        checks = [f"boz_{name}"] + (["boz_reads_attestations"] if name == "ingress_attestations" else [])
        yield sql(boz, f"the regulator has {right} on {name}", checks, f"GRANT {right} ON public.{name} TO {BOZ_ROLE}")
    view = "CREATE VIEW public.people AS SELECT * FROM public.tenant_members"
    away = "CREATE SCHEMA away; CREATE TABLE away.copy (id int); GRANT USAGE ON SCHEMA away TO PUBLIC"
    made = "CREATE FUNCTION public.mutant() RETURNS int LANGUAGE sql RETURN 1"
    for name, *changes in (
        ("reads a view of people", view, f"GRANT SELECT ON public.people TO {BOZ_ROLE}"),
        ("reads a view of people with everybody", view, "GRANT SELECT ON public.people TO PUBLIC"),
        ("reads a table with everybody", "GRANT SELECT ON public.tenant_members TO PUBLIC"),
        ("reads a column with everybody", "GRANT SELECT (member_ref) ON public.tenant_members TO PUBLIC"),
        ("writes with everybody", "GRANT UPDATE ON public.participants TO PUBLIC"),
        ("reads elsewhere", away, f"GRANT SELECT ON away.copy TO {BOZ_ROLE}"),
        ("may use a schema", "CREATE SCHEMA away", f"GRANT USAGE ON SCHEMA away TO {BOZ_ROLE}"),
        ("creates elsewhere", "CREATE SCHEMA away", "GRANT CREATE ON SCHEMA away TO PUBLIC"),
        ("counts", "CREATE SEQUENCE public.mutant", f"GRANT USAGE ON SEQUENCE public.mutant TO {BOZ_ROLE}"),
        ("calls a new function", made, "GRANT EXECUTE ON FUNCTION public.mutant() TO PUBLIC"),
        ("owns a table", "CREATE TABLE public.mutant (id int)", f"ALTER TABLE public.mutant OWNER TO {BOZ_ROLE}"),
        ("reads passwords", f"GRANT SELECT ON pg_catalog.pg_authid TO {BOZ_ROLE}"),
        ("reads a column of passwords", f"GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO {BOZ_ROLE}"),
        ("reads passwords with everybody", "GRANT SELECT ON pg_catalog.pg_authid TO PUBLIC"),
        ("reads files", f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO {BOZ_ROLE}"),
    ):
        yield sql(boz, f"the regulator {name}", ["boz_nothing_else"], *changes, admin=True)
    column = f"GRANT UPDATE (status) ON public.billable_clients TO {BOZ_ROLE}"
    yield sql(boz, "the regulator may change a column", ["boz_billable_clients"], column)
    blind = f"REVOKE SELECT ON public.payment_outbox_pending FROM {BOZ_ROLE}"
    yield sql(boz, "the regulator is blind", ["boz_payment_outbox_pending", "boz_reads_the_queue"], blind)
    yield sql(boz, "the regulator is shut out", ["boz_schema_usage"], f"REVOKE USAGE ON SCHEMA public FROM {BOZ_ROLE}")
    create = f"GRANT CREATE ON SCHEMA public TO {BOZ_ROLE}"
    yield sql(boz, "the regulator creates", ["boz_schema_create", "boz_creates"], create)
    for function, check in (("enqueue_payment_outbox", "boz_enqueues"), ("claim_outbox_batch", "boz_claims")):
        yield sql(
            boz, f"the regulator runs {function}", [check], f"GRANT EXECUTE ON FUNCTION public.{function} TO PUBLIC"
        )


# The name of the database is the test's; a worker is a login that may act as a role of the schema.
_HERE = "DO $do$ BEGIN EXECUTE format('{}', current_database()); END $do$"
_WORKER = "CREATE ROLE mutant_worker LOGIN; GRANT symphony_ingest TO mutant_worker"
_TEAM = "CREATE ROLE mutant_team; GRANT mutant_team TO mutant_worker"


def _sessions() -> Iterator[Mutant]:
    """Ways around the rules that no table's grants show."""
    posture, tables = "role-login-posture", "table-privileges"
    asleep = "SET session_replication_role = ''replica''"
    for name, sleep in (
        ("ingest sleeps", f"ALTER ROLE symphony_ingest {asleep}"),
        ("ingest sleeps here", f"ALTER ROLE symphony_ingest IN DATABASE %I {asleep}"),
        ("everybody sleeps here", f"ALTER DATABASE %I {asleep}"),
        ("everybody sleeps everywhere", f"ALTER ROLE ALL {asleep}"),
        ("everybody looks elsewhere first", "ALTER DATABASE %I SET search_path = pg_temp, public"),
        ("readonly looks elsewhere first", "ALTER ROLE symphony_readonly SET search_path = pg_temp, public"),
        ("rows are hidden", "ALTER DATABASE %I SET row_security = off"),
        ("everybody is the executor", "ALTER DATABASE %I SET role = symphony_executor"),
        ("control is the executor", "ALTER ROLE symphony_control SET role = symphony_executor"),
    ):
        yield sql(posture, name, ["sessions_start_with"], _HERE.format(sleep), admin=True)
    worker = "ALTER ROLE mutant_worker SET session_replication_role = replica"
    yield sql(posture, "a worker sleeps", ["sessions_start_with"], _WORKER, worker, admin=True)
    for role in ("PUBLIC", *ROLES, "mutant_worker", "mutant_team"):
        makers = (_WORKER, _TEAM) if role.startswith("mutant") else ()
        grant = f"GRANT SET ON PARAMETER session_replication_role TO {role}"
        yield sql(posture, f"{role} may sleep", ["parameters_to_set"], *makers, grant, admin=True)
        create = _HERE.format(f"GRANT CREATE ON DATABASE %I TO {role}")
        yield sql(tables, f"{role} makes schemas", ["database_create"], *makers, create, admin=True)
    system = "GRANT ALTER SYSTEM ON PARAMETER session_replication_role TO symphony_control"
    yield sql(posture, "control puts all to sleep", ["parameters_to_set"], system, admin=True)
    system = "GRANT ALTER SYSTEM ON PARAMETER symphony.outbox_retry_ceiling TO symphony_control"
    yield sql(posture, "control sets the ceiling of the server", ["parameters_to_set"], system, admin=True)


def _privileges() -> Iterator[Mutant]:  # noqa: C901 - a list, one loop a kind of grant
    tables = "table-privileges"
    for name in TABLES:
        grant = f"GRANT MAINTAIN ON public.{name} TO symphony_auditor"
        yield sql(tables, f"auditor maintains {name}", [f"{name}_privileges"], grant)
    for name in TABLE_GRANTS:
        revoke = f"REVOKE SELECT ON public.{name} FROM {', '.join(ROLES)}"
        if "(" not in TABLE_GRANTS[name]:
            yield sql(tables, f"nobody reads {name}", [f"{name}_privileges"], revoke)
    for name in _HOT:
        for role in _BY_HAND:
            checks = [f"{name}_privileges", *(f"{verb} {name} as {role}" for verb in ("delete", "truncate", "lock"))]
            grant = f"GRANT DELETE, TRUNCATE ON public.{name} TO {role}"
            yield sql(tables, f"{role} empties {name}", checks, grant)
    for name in _HOT[:2]:
        checks = [f"{name}_privileges", f"trigger on {name} as symphony_control"]
        yield sql(tables, f"control arms {name}", checks, f"GRANT TRIGGER ON public.{name} TO symphony_control")
    forge = "GRANT INSERT ON public.payment_outbox_attempts TO symphony_control"
    yield sql(
        tables,
        "control forges attempts",
        ["payment_outbox_attempts_privileges", "forged attempt as symphony_control"],
        forge,
    )
    column = "GRANT UPDATE (state) ON public.payment_outbox_attempts TO symphony_readonly"
    yield sql(tables, "readonly changes a column", ["payment_outbox_attempts_privileges"], column)
    public = "GRANT SELECT (checksum) ON public.schema_migrations TO PUBLIC"
    yield sql(tables, "everybody reads a column", ["schema_migrations_privileges"], public)
    option = "GRANT SELECT ON public.payment_outbox_pending TO symphony_readonly WITH GRANT OPTION"
    yield sql(tables, "readonly passes it on", ["payment_outbox_pending_privileges"], option)
    owner = "ALTER TABLE public.tenants OWNER TO postgres"
    yield sql(tables, "a table has another owner", ["tables_have_one_owner"], owner, admin=True)
    for role in ROLES:
        grant = f"GRANT CREATE ON SCHEMA public TO {role}"
        checks = ["schema_public_create", f"create in public as {role}"]
        yield sql(tables, f"{role} creates", checks, grant)
        yield sql("ci-invariant-gate", f"{role} creates", [f"{role} creates in public"], grant)
    everybody = "GRANT CREATE ON SCHEMA public TO PUBLIC"
    yield sql("ci-invariant-gate", "PUBLIC creates", ["PUBLIC creates in public"], everybody)
    shut = "REVOKE USAGE ON SCHEMA public FROM symphony_readonly"
    yield sql(tables, "readonly is shut out", ["schema_public_usage"], shut)
    for schema in ("", "IN SCHEMA public "):
        later = f"ALTER DEFAULT PRIVILEGES {schema}GRANT SELECT ON TABLES TO PUBLIC"
        yield sql(tables, f"later tables are open {schema}", ["tables_to_come"], later)
    place = "CREATE SCHEMA beside; GRANT USAGE ON SCHEMA beside TO PUBLIC"
    view = "CREATE VIEW beside.queue AS TABLE public.payment_outbox_pending"
    yield sql(tables, "a view of the queue", ["opened_by_views"], place, view, "GRANT SELECT ON beside.queue TO PUBLIC")
    lends = "CREATE FUNCTION beside.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    let = "GRANT EXECUTE ON FUNCTION beside.f() TO symphony_ingest"
    yield sql(tables, "a function lends rights", ["opened_by_functions"], place, lends, let)
    yield sql(
        tables, "ingest makes tables", ["schemas_create"], place, "GRANT CREATE ON SCHEMA beside TO symphony_ingest"
    )
    for name in ("schema_migrations", *_HOT, "policy_versions"):
        grant = f"GRANT SELECT ON public.{name} TO PUBLIC"
        yield sql("ci-invariant-gate", f"everybody reads {name}", [f"public_no_privs_{name}"], grant)
    delete = "GRANT DELETE ON public.payment_outbox_attempts TO symphony_control"
    yield sql("ci-invariant-gate", "control deletes attempts", ["symphony_control_on_attempts"], delete)
    business = "business-foundation-hooks"
    for name in (n for n in TABLE_GRANTS if TABLE_GRANTS[n] == f"{BOZ_ROLE}: SELECT"):
        for right in ("MAINTAIN", "SELECT"):
            grant = f"GRANT {right} ON public.{name} TO PUBLIC"
            yield sql(business, f"everybody has {right} on {name}", [f"public_no_privs_{name}"], grant)


def _functions(reading: Reading) -> Iterator[Mutant]:
    privileges, path = "function-privileges", "definer-search-path"
    tried = (*(name for name in EXECUTORS if name != "uuid_v7_or_random"), "bump_participant_outbox_seq")
    for routine in reading.routines:
        name, signature = routine.function.name, routine.signature
        denied = [f"{name} as {role}" for role in ROLES if name in tried and role not in EXECUTORS.get(name, ())]
        everybody = f"GRANT EXECUTE ON FUNCTION {signature} TO PUBLIC"
        yield sql(privileges, f"everybody runs {name}", [signature, *denied], everybody)
        if name in EXECUTORS:
            nobody = f"REVOKE EXECUTE ON FUNCTION {signature} FROM {', '.join(EXECUTORS[name])}"
            yield sql(privileges, f"nobody runs {name}", [signature], nobody)
        facts = [f"{name}_function"]
        yield sql(path, f"{name} is leaky", facts, f"ALTER FUNCTION {signature} LEAKPROOF", admin=True)
        if routine.function.settings:
            checks = facts + ([f"{signature} path"] if routine.function.definer else [])
            for label, change in (
                ("the caller's path", "RESET search_path"),
                ("no pg_temp", "SET search_path = public"),
            ):
                yield sql(path, f"{name} on {label}", checks, f"ALTER FUNCTION {signature} {change}")
        security = "INVOKER" if routine.function.definer else "DEFINER"
        yield sql(path, f"{name} as {security}", facts, f"ALTER FUNCTION {signature} SECURITY {security}")
        if routine.function.result == "trigger":
            yield Mutant(
                f"{name} is hollow",
                {path: frozenset(facts)},
                (hollowed(signature, definer=routine.function.definer),),
            )
    overload = (
        "CREATE FUNCTION public.outbox_retry_ceiling(text) RETURNS integer LANGUAGE sql "
        "SET search_path = pg_catalog, public, pg_temp AS 'SELECT 1'"
    )
    yield sql(path, "a second ceiling", ["outbox_retry_ceiling_function"], overload)
    stranger = "CREATE FUNCTION public.coalesce_of(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"
    yield sql(path, "a function nobody has reviewed", ["functions_not_reviewed"], stranger)
    beside = ("CREATE SCHEMA symphony_ingest", "CREATE TABLE symphony_ingest.tenants (tenant_id integer)")
    yield sql(path, "ingest finds other tenants", ["names_not_reviewed"], *beside)
    cast = "CREATE CAST (public.outbox_attempt_state AS text) WITH INOUT AS IMPLICIT"
    yield sql(path, "a state is a text", ["casts_not_reviewed"], cast)
    same = "CREATE FUNCTION symphony_ingest.same(uuid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    equal = "CREATE OPERATOR public.= (FUNCTION = symphony_ingest.same, LEFTARG = uuid, RIGHTARG = text)"
    yield sql(path, "a key is any text", ["operators_not_reviewed"], beside[0], same, equal)
    random = (
        "CREATE OR REPLACE FUNCTION public.uuid_v7_or_random() RETURNS uuid LANGUAGE sql PARALLEL SAFE "
        "RETURN gen_random_uuid()"
    )
    yield sql(path, "keys are random", ["uuid_v7_or_random_function"], random)
    later = "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC"
    yield sql(privileges, "later functions are open", ["functions_to_come"], later)
    owner = "ALTER FUNCTION public.deny_tenant_change() OWNER TO postgres"
    yield sql(privileges, "a function has another owner", ["functions_have_one_owner"], owner, admin=True)
    yield Mutant(
        "completion writes to whatever table comes first",
        {path: frozenset({"complete_outbox_attempt_function", "temporary_table_is_no_ledger"})},
        ("ALTER FUNCTION public.complete_outbox_attempt SET search_path = pg_catalog, public",),
        rewrites=(("complete_outbox_attempt", "public.payment_outbox_attempts", "payment_outbox_attempts"),),
        only=False,
    )


def _ledgers() -> Iterator[Mutant]:
    gates = {
        "ingress_attestations": ("ingress-attestation",),
        "revoked_client_certs": ("revocation-tables",),
        "revoked_tokens": ("revocation-tables",),
    }
    # Emptying one of these empties what refers to it, whose own guard then refuses.
    followers = {
        "ingress_attestations": ("external_proofs",),
        "evidence_packs": ("evidence_pack_items", "evidence_pack_signatures"),
    }
    for table in LEDGERS:
        row, empty = (next(t for t in table.triggers if t.name.endswith(e)) for e in ("_mutation", "_truncate"))
        for invariant in ("append-only-ledgers", *gates.get(table.name, ())):
            off = f"ALTER TABLE public.{table.name} DISABLE TRIGGER "
            checks = [row.name, f"{table.name}_update", f"{table.name}_delete"]
            yield sql(invariant, f"{table.name} can be changed", checks, off + row.name)
            others = [
                f"ALTER TABLE public.{other} DISABLE TRIGGER trg_deny_{other}_truncate"
                for other in followers.get(table.name, ())
            ]
            checks = [empty.name, f"{table.name}_truncate"]
            yield sql(invariant, f"{table.name} can be emptied", checks, off + empty.name, *others)
            hollow = (
                f"CREATE OR REPLACE FUNCTION {row.function} RETURNS trigger LANGUAGE plpgsql "
                "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN coalesce(NEW, OLD); END'"
            )
            function = row.function.removeprefix("public.").removesuffix("()")
            checks = [f"{function}_function", f"{table.name}_update", f"{table.name}_delete"]
            yield sql(invariant, f"{table.name} is guarded by nothing", checks, hollow)
    for name in ("revoked_client_certs", "revoked_tokens"):
        twice = f"ALTER TABLE public.{name} DROP CONSTRAINT {name}_pkey"
        yield sql("revocation-tables", f"{name} takes the same twice", [f"{name}_twice"], twice)


def _policy() -> Iterator[Mutant]:
    gate, table = "ci-invariant-gate", "public.policy_versions"
    hollow = f"ALTER TABLE {table} DROP CONSTRAINT {{0}}, ADD CONSTRAINT {{0}} CHECK (true)"
    for name, check in (
        ("ck_policy_grace_requires_expiry", "policy_grace_without_end"),
        ("ck_policy_active_has_no_grace_expiry", "policy_active_with_end"),
    ):
        yield sql(gate, f"{name} holds always", [name, check], hollow.format(name))
    nonempty = "ck_policy_checksum_nonempty"
    checks = [nonempty, "policy_checksum_blank", "policy_rows_without_checksum"]
    row = f"INSERT INTO {table} (version, status, checksum) VALUES ('blank', 'RETIRED', ' ')"
    yield sql(gate, "a version without checksum", checks, hollow.format(nonempty), row)
    null = f"ALTER TABLE {table} ALTER COLUMN checksum DROP NOT NULL"
    yield sql(gate, "a checksum may be null", ["policy_versions.checksum", "policy_checksum_missing"], null)
    single = "ux_policy_versions_single_active"
    many = (f"DROP INDEX public.{single}", f"CREATE INDEX {single} ON {table} ((1)) WHERE status = 'ACTIVE'")
    yield sql(gate, "two versions are active", [single, "policy_second_active"], *many)
    never = (
        f"ALTER TABLE {table} DROP CONSTRAINT ck_policy_grace_requires_expiry, "
        "ADD CONSTRAINT ck_policy_grace_requires_expiry CHECK (status <> 'GRACE')"
    )
    yield sql(gate, "no version can be in grace", ["policy_grace", "policy_retired_again"], never)
    for column in ("version", "checksum"):
        trigger = "trg_deny_policy_version_rewrite"
        other = "checksum" if column == "version" else "version"
        yield sql(
            gate,
            f"a version's {column} can be rewritten",
            [trigger, f"policy_{column}_rewritten"],
            f"DROP TRIGGER {trigger} ON {table}",
            f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.{other} <> NEW.{other}) "
            "EXECUTE FUNCTION public.deny_policy_version_rewrite()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}",
        )
    off = f"ALTER TABLE {table} DISABLE TRIGGER trg_deny_policy_versions_truncate"
    yield sql(gate, "the policy can be emptied", ["trg_deny_policy_versions_truncate", "policy_truncated"], off)
    for role in ROLES:
        verb, link = ("GRANT", "TO") if role == BOZ_ROLE else ("REVOKE", "FROM")
        change = f"{verb} SELECT ON {table} {link} {role}"
        yield sql(gate, f"the start-up query of {role}", [f"boot_query as {role}"], change)
    for column, change in (("is_active", "DROP EXPRESSION"), ("status", "DROP DEFAULT")):
        alter = f"ALTER TABLE {table} ALTER COLUMN {column} {change}"
        yield sql(gate, f"policy_versions.{column} is another", [f"policy_versions.{column}"], alter)
    key = f"ALTER TABLE {table} DROP CONSTRAINT policy_versions_pkey"
    yield sql(gate, "versions repeat", ["policy_versions: PRIMARY KEY (version)"], key)
    for function in ("deny_policy_version_rewrite", "deny_outbox_attempts_mutation"):
        hollow = (
            f"CREATE OR REPLACE FUNCTION public.{function}() RETURNS trigger LANGUAGE plpgsql "
            "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END'"
        )
        yield sql(gate, f"{function} is hollow", [f"{function}_function"], hollow)
    yield sql(
        gate, "the attempts' guard is off", ["trg_deny_outbox_attempts_mutation"],
        "ALTER TABLE public.payment_outbox_attempts DISABLE TRIGGER trg_deny_outbox_attempts_mutation",
    )  # fmt: skip


def _conventions() -> Iterator[Mutant]:
    yield sql(
        "outbox-mvcc-posture", "pages are full", ["payment_outbox_pending_storage"],
        "ALTER TABLE public.payment_outbox_pending SET (fillfactor = 100)",
    )  # fmt: skip
    yield sql(
        "outbox-mvcc-posture", "long values keep their dead rows", ["payment_outbox_pending_vacuumed"],
        "ALTER TABLE public.payment_outbox_pending SET (toast.autovacuum_enabled = off)",
    )  # fmt: skip
    index = "idx_payment_outbox_pending_due_claim"
    yield sql(
        "outbox-pending-indexes", "the claim's index sorts otherwise", [index], f"DROP INDEX public.{index}",
        f"CREATE INDEX {index} ON public.payment_outbox_pending (lease_expires_at, next_attempt_at, created_at)",
    )  # fmt: skip
    for name in ("schema_migrations", *_HOT, "policy_versions"):
        rls = f"ALTER TABLE public.{name} ENABLE ROW LEVEL SECURITY"
        yield sql("ci-invariant-gate", f"{name} hides rows", [f"{name}_table"], rls)
    for name in (
        "ux_ingress_attestations_tenant_instruction",
        "idx_ingress_attestations_tenant_received",
        "idx_ingress_attestations_tenant_correlation",
        "idx_ingress_attestations_correlation_id",
    ):
        found = TABLES["ingress_attestations"].index(name)
        kind = "UNIQUE INDEX" if found.unique else "INDEX"
        yield sql(
            "ingress-hotpath-indexes", f"{name} covers nothing", [name], f"DROP INDEX public.{name}",
            f"CREATE {kind} {name} ON public.ingress_attestations ({', '.join(found.keys)}) WHERE false",
        )  # fmt: skip
    for name in ("idx_ingress_attestations_instruction", "idx_ingress_attestations_received_at"):
        yield sql(
            "ingress-attestation", f"{name} covers nothing", [name], f"DROP INDEX public.{name}",
            f"CREATE INDEX {name} ON public.ingress_attestations (payload_hash)",
        )  # fmt: skip
    gates = {
        "ingress-attestation": ("ingress_attestations",),
        "revocation-tables": ("revoked_client_certs", "revoked_tokens"),
        "append-only-ledgers": tuple(ledger.name for ledger in LEDGERS),
    }
    for gate, table in ((gate, table) for gate, tables in gates.items() for table in tables):
        rls = f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY"
        yield sql(gate, f"{table} hides rows", [f"{table}_table"], rls)
        extra = (
            "CREATE FUNCTION public.mutant() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            f"CREATE TRIGGER a_mutant BEFORE INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION public.mutant()",
        )
        yield sql(gate, f"{table} has a stranger's trigger", [f"{table}_no_other_trigger"], *extra)


def _hooks() -> Iterator[Mutant]:
    """Hooks that one definition shares, and conventions."""
    business, tenants = "business-foundation-hooks", "tenant-member-hooks"
    ingress = "ALTER TABLE public.ingress_attestations "
    null = f"{ingress} ALTER COLUMN signatures DROP NOT NULL"
    yield sql(business, "signatures may be null", ["ingress_signatures_not_null"], null)
    text = (
        f"{ingress} DROP CONSTRAINT ingress_attestations_signatures_is_array_check, "
        "ALTER COLUMN signatures DROP DEFAULT, ALTER COLUMN signatures TYPE text"
    )
    yield sql(business, "signatures are text", ["ingress_signatures_col"], text)
    null = f"{ingress} ALTER COLUMN tenant_id DROP NOT NULL"
    yield sql(tenants, "an attestation of nobody", ["ingress_tenant_id_not_null"], null)
    text = f"{ingress} DROP CONSTRAINT ingress_attestations_tenant_id_fkey, ALTER COLUMN tenant_id TYPE text"
    yield sql(tenants, "tenants are text", ["ingress_tenant_id_uuid"], text)
    other = f"{ingress} RENAME COLUMN tenant_id TO tenant"
    yield sql(tenants, "the tenant is called otherwise", ["ingress_tenant_id_col"], other)
    hollow = (
        "CREATE OR REPLACE FUNCTION public.enforce_member_tenant_match() RETURNS trigger LANGUAGE plpgsql "
        "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END'"
    )
    yield sql(tenants, "members are not matched", ["member_tenant_match_fn"], hollow)
    gate = "table-conventions"
    spec = json.loads((ROOT / "schema" / "table_conventions.yml").read_text(encoding="utf-8"))["tables"]
    for name, wanted in spec.items():
        table = f"ALTER TABLE public.{name}"
        for column in wanted["required_columns"]:
            check = [f"{name}.{column['name']}"]
            change = "DROP NOT NULL" if column["not_null"] else "TYPE date"
            alter = f"{table} ALTER COLUMN {column['name']} {change}"
            yield sql(gate, f"{check[0]} is looser", check, alter)
        for kind, wants in (("unique", wanted["required_uniques"]), ("index", wanted["required_indexes"])):
            for columns in wants:
                check = [f"{kind} on {name} ({', '.join(columns)})"]
                found = _index_on(name, tuple(columns))
                drop = f"{table} DROP CONSTRAINT {found}" if found in _KEYS else f"DROP INDEX public.{found}"
                yield sql(gate, f"no {check[0]}", check, drop)


_KEYS = ("ux_pending_idempotency", "ux_evidence_pack_items_pack_hash")


def _index_on(table: str, columns: tuple[str, ...]) -> str:
    """The name of the index or unique constraint on exactly these columns."""
    expected = TABLES[table]
    names = [index.name for index in expected.indexes if index.keys == columns]
    names += [one.name for one in expected.constraints if one.kind == "u" and one.columns == columns]
    return names[0]


def _tenancy() -> Iterator[Mutant]:
    gate = "tenant-integrity"
    member, client = "enforce_member_tenant_match", "enforce_client_tenant_match"
    ingress = "public.ingress_attestations"

    def off(table: str, trigger: str, *checks: str) -> Mutant:
        change = f"ALTER TABLE public.{table} DISABLE TRIGGER {trigger}"
        return sql(gate, f"{trigger} is off", [trigger, *checks], change)

    yield off(
        "ingress_attestations", "trg_ingress_member_tenant_match",
        "attestation_member_without_tenant", "attestation_member_of_another",
    )  # fmt: skip
    yield off("ingress_attestations", "trg_ingress_client_tenant_match", "attestation_client_of_another")
    yield off("payment_outbox_attempts", "trg_attempts_member_tenant_match", "attempt_for_member_of_another")
    yield off("tenant_members", "trg_deny_tenant_members_tenant_change", "member_moved")
    yield off("tenant_clients", "trg_deny_tenant_clients_tenant_change", "client_moved")
    yield off("tenants", "trg_deny_tenant_cycle", "own_parent", "circle_of_two")
    yield rewritten(gate, member, "'P7202'", "'P7203'", f"{member}_function", "attestation_member_of_another")
    yield rewritten(
        gate, member, "'foreign_key_violation'", "'P7299'", f"{member}_function", "attestation_unknown_member"
    )
    yield rewritten(gate, client, "'P7203'", "'P7202'", f"{client}_function", "attestation_client_of_another")
    yield rewritten(
        gate, client, "'foreign_key_violation'", "'P7203'", f"{client}_function", "attestation_unknown_client"
    )
    yield sql(
        gate,
        "people move",
        ["deny_tenant_change_function", "member_moved", "client_moved"],
        hollowed("public.deny_tenant_change()"),
    )
    yield sql(
        gate,
        "circles close",
        ["deny_tenant_cycle_function", "own_parent", "circle_of_two"],
        hollowed("public.deny_tenant_cycle()"),
    )
    null = f"ALTER TABLE {ingress} ALTER COLUMN tenant_id DROP NOT NULL"
    yield sql(gate, "an attestation of nobody", ["attestation_no_tenant"], null)
    for name, check in (
        ("ingress_attestations_signatures_is_array_check", "attestation_signatures_no_array"),
        ("ingress_attestations_instruction_id_nonempty_check", "attestation_empty_instruction"),
        ("ingress_attestations_payload_hash_nonempty_check", "attestation_empty_hash"),
        ("ingress_attestations_tenant_id_fkey", "attestation_unknown_tenant"),
    ):
        weak = f"ALTER TABLE {ingress} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (true)"
        yield sql(gate, f"{name} holds always", [check], weak)
    twice = "ux_ingress_attestations_tenant_instruction"
    index = (f"DROP INDEX public.{twice}", f"CREATE INDEX {twice} ON {ingress} (tenant_id, instruction_id)")
    yield sql(gate, "an attestation twice", ["attestation_twice"], *index)
    narrow = (f"DROP INDEX public.{twice}", f"CREATE UNIQUE INDEX {twice} ON {ingress} (instruction_id)")
    yield sql(gate, "one instruction for all tenants", ["same_instruction_elsewhere"], *narrow)
    closed = f"REVOKE INSERT ON {ingress} FROM symphony_ingest"
    yield sql(gate, "ingest cannot attest", ["attestation_of_own_people"], closed)
    fk = "tenants_parent_tenant_fk"
    weak = f"ALTER TABLE public.tenants DROP CONSTRAINT {fk}, ADD CONSTRAINT {fk} CHECK (true)"
    yield sql(gate, "a parent that is not there", ["unknown_parent"], weak)
    strict = "ALTER TABLE public.tenants ADD CONSTRAINT mutant CHECK (parent_tenant_id IS NULL)"
    yield sql(gate, "no tenant has a parent", ["parent"], strict)
    for table in ("ingress_attestations", "payment_outbox_attempts", "payment_outbox_pending"):
        for constraint in TABLES[table].constraints:
            if constraint.kind == "f":
                name = f"{table}_{constraint.columns[0]}_fkey"
                weak = f"ALTER TABLE public.{table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (true)"
                yield sql(gate, f"{name} holds always", [f"{table}: {constraint.text}"], weak)


def _usage() -> Iterator[Mutant]:
    gate, table, function = "usage-billing", "public.billing_usage_events", "enforce_usage_event_parties"
    for code, check in (
        ("P7221", "usage_payer_of_another"),
        ("P7222", "usage_payer_closed"),
        ("P7202", "usage_member_of_another"),
    ):
        yield rewritten(gate, function, f"'{code}'", "'P7299'", f"{function}_function", check)
    yield rewritten(gate, function, "'P7203'", "'P7299'", "usage_client_of_another", "usage_subject_client_of_another")
    trigger = "trg_billing_usage_events_parties"
    checks = [trigger, "usage_payer_of_another", "usage_payer_closed"]
    yield sql(gate, f"{trigger} is off", checks, f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    for name, check in (
        ("billing_usage_events_subject_zero_or_one_chk", "usage_two_subjects"),
        ("billing_usage_events_member_requires_tenant_chk", "usage_member_without_tenant"),
        ("billing_usage_events_quantity_check", "usage_quantity_zero"),
        ("billing_usage_events_created_at_required_new_rows_chk", "usage_created_at_missing"),
        ("billing_usage_events_billable_client_id_fkey", "usage_payer_unknown"),
    ):
        weak = f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (true)"
        yield sql(gate, f"{name} holds always", [check], weak)
    null = f"ALTER TABLE {table} ALTER COLUMN billable_client_id DROP NOT NULL"
    yield sql(gate, "nobody pays", ["usage_payer_missing"], null)
    index = "ux_billing_usage_events_idempotency"
    many = (f"DROP INDEX public.{index}", f"CREATE INDEX {index} ON {table} (billable_client_id, idempotency_key)")
    yield sql(gate, "usage twice", [index, "usage_twice"], *many)
    key = (
        f"DROP INDEX public.{index}",
        f"CREATE UNIQUE INDEX {index} ON {table} (billable_client_id, idempotency_key) NULLS NOT DISTINCT",
    )
    yield sql(gate, "one event without a key", [index, "usage_without_key_twice"], *key)
    strict = f"ALTER TABLE {table} ADD CONSTRAINT mutant CHECK (client_id IS NULL)"
    yield sql(gate, "no event names a client", ["usage_of_own_people"], strict)
    for constraint in TABLES["billing_usage_events"].constraints:
        if constraint.kind == "c" and not constraint.name and "quantity" not in str(constraint.expression):
            column = "units" if "units" in str(constraint.expression) else "event_type"
            name = f"billing_usage_events_{column}_check"
            weak = f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (true)"
            yield sql(gate, f"{name} holds always", [f"billing_usage_events: {constraint.text}"], weak)
        if constraint.kind == "f":
            name = f"billing_usage_events_{constraint.columns[0]}_fkey"
            weak = f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (true)"
            yield sql(gate, f"{name} holds always", [f"billing_usage_events: {constraint.text}"], weak)
        if constraint.kind == "p":
            keyless = f"ALTER TABLE {table} DROP CONSTRAINT billing_usage_events_pkey"
            yield sql(gate, "events have no key", [f"billing_usage_events: {constraint.text}"], keyless)
        if constraint.name:
            weak = (
                f"ALTER TABLE {table} DROP CONSTRAINT {constraint.name}, ADD CONSTRAINT {constraint.name} CHECK (true)"
            )
            yield sql(gate, f"{constraint.name} is weak", [constraint.name], weak)
    yield sql(
        gate, f"{function} is hollow", [f"{function}_function"],
        f"CREATE OR REPLACE FUNCTION public.{function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        "SET search_path = pg_catalog, public, pg_temp AS 'BEGIN RETURN NEW; END'",
    )  # fmt: skip
