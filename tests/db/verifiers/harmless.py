"""Changes of a database that take no guarantee away: no invariant may turn red under any of them.

Owns: the list. `{n}` stands for a number of the change's own, so that several can be made in one database.

What is not in it, and why:
- A function in `public` that no migration made: an unqualified call may be answered by it (definer-search-path).
- What could be meant where ours is: an operator, a cast, a name that is found earlier (test_stand_ins.py, with those
  that could not).
- A view of our tables for somebody who could not read them, and a function that lends its owner's rights to a role of
  the schema (test_openings.py, with those that open nothing).
- A reference onto the queue: completion deletes its rows (test_openings.py); onto other tables anybody may refer.
- A trigger on one of our tables that no migration made: it could undo what the others do.
- A check, reference, exclusion or unique index that says what no reviewed one says: it could refuse a promised row.
- A column or an index that works out what can fail, or that holds no long document (test_hurdles.py, with those that
  are in nobody's way).
- NOT NULL on a column that a caller of the queue may leave out, that the queue's functions empty, or without which a
  tenant or payer from before is upserted: those calls are promised. On one that a statement of the release before
  leaves out n-minus-one is red, and nothing else (HEARD). Every other column may be NOT NULL (FREE).
- Another name for a constraint that a function names (`participant_outbox_sequences_pkey`).
- A queue that is not vacuumed any more; how often it is vacuumed is for whoever runs it.
"""

from __future__ import annotations

from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes.stricter import RELAXED

# Makes each function, trigger, index and constraint of ours once more, from its own definition: other OIDs, same thing.
_FUNCTIONS_AGAIN = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT p.oid, pg_get_functiondef(p.oid) AS definition FROM pg_proc AS p
              WHERE pronamespace = 'public'::regnamespace LOOP
        EXECUTE r.definition;
    END LOOP;
END $$"""
_TRIGGERS_AGAIN = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT g.tgname AS name, g.tgrelid::regclass AS of, g.tgenabled AS enabled,
                    pg_get_triggerdef(g.oid) AS definition
               FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid
              WHERE NOT g.tgisinternal AND c.relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', r.name, r.of);
        EXECUTE r.definition;
        IF r.enabled = 'A' THEN
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', r.of, r.name);
        END IF;
    END LOOP;
END $$"""
_INDEXES_AGAIN = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS definition
               FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
              WHERE c.relnamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) LOOP
        EXECUTE format('DROP INDEX %s', r.name);
        EXECUTE r.definition;
    END LOOP;
END $$"""
_CONSTRAINTS_AGAIN = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT k.conname AS name, k.conrelid::regclass AS of, pg_get_constraintdef(k.oid) AS definition
               FROM pg_constraint AS k
              WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('c', 'f') LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s', r.of, r.name, r.definition);
    END LOOP;
END $$"""
# Two more of each, under names that come before and after; the first is made once more: its OID is the later then.
_INDEXES_BESIDE = """DO $$ DECLARE r record; copy text; BEGIN
    FOR r IN SELECT c.relname AS name, i.indexrelid::regclass AS of, pg_get_indexdef(i.indexrelid) AS definition
               FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
              WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND c.relname LIKE 'ux\\_%'
                AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) LOOP
        FOREACH copy IN ARRAY ARRAY['aa_' || r.name, 'zz_' || r.name] LOOP
            EXECUTE replace(r.definition, ' ' || r.name || ' ON ', format(' %I ON ', left(copy, 63)));
        END LOOP;
        EXECUTE format('DROP INDEX %s', r.of);
        EXECUTE r.definition;
    END LOOP;
END $$"""
_CONSTRAINTS_BESIDE = """DO $$ DECLARE r record; copy text; BEGIN
    FOR r IN SELECT k.conname AS name, k.conrelid::regclass AS of, pg_get_constraintdef(k.oid) AS definition
               FROM pg_constraint AS k
              WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('c', 'f') LOOP
        FOREACH copy IN ARRAY ARRAY['aa_' || r.name, 'zz_' || r.name] LOOP
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.of, left(copy, 63), r.definition);
        END LOOP;
    END LOOP;
END $$"""
_RENAMED = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT k.conname AS name, k.conrelid::regclass AS of, row_number() OVER () AS n FROM pg_constraint AS k
              WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('c', 'f', 'n', 'p')
                AND k.conname ~ '(_check|_not_null|_fkey|_pkey)[0-9]*$'
                -- One was named by hand, one is named by a function.
                AND k.conname NOT IN
                    ('payment_outbox_pending_lease_whole_check', 'participant_outbox_sequences_pkey') LOOP
        EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', r.of, r.name, 'renamed_' || r.n);
    END LOOP;
END $$"""
_COMMENTS = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END AS kind
               FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') LOOP
        EXECUTE format('COMMENT ON %s %s IS %L', r.kind, r.name, 'another');
    END LOOP;
    FOR r IN SELECT a.attrelid::regclass AS of, a.attname AS name FROM pg_attribute AS a
               JOIN pg_class AS c ON c.oid = a.attrelid
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
                AND NOT a.attisdropped LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', r.of, r.name, 'another');
    END LOOP;
    FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', r.name, 'another');
    END LOOP;
    EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'another');
    COMMENT ON SCHEMA public IS 'another';
END $$"""
_STATISTICS = """DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT a.attrelid::regclass AS of, a.attname AS name FROM pg_attribute AS a
               JOIN pg_class AS c ON c.oid = a.attrelid
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
                AND NOT a.attisdropped AND a.attgenerated <> 'v' LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 500', r.of, r.name);
    END LOOP;
END $$"""

# By the owner of the schema.
BY_OWNER = {
    "comments on everything": _COMMENTS,
    "statistics": "ANALYZE public.tenants, public.payment_outbox_pending, public.policy_versions",
    "a target of statistics for every column": _STATISTICS,
    "extended statistics": "CREATE STATISTICS public.pairs_{n} ON tenant_id, status FROM public.tenant_members",
    "every function again": _FUNCTIONS_AGAIN,
    "every trigger again": _TRIGGERS_AGAIN,
    "every index again": _INDEXES_AGAIN,
    "every check and reference again": _CONSTRAINTS_AGAIN,
    "a trigger with its events in another order": (
        "DROP TRIGGER trg_settle_tenant_payer ON public.tenants; CREATE TRIGGER trg_settle_tenant_payer BEFORE UPDATE "
        "OR INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.settle_tenant_payer(); "
        "ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER trg_settle_tenant_payer"
    ),
    "a check in another spelling": (
        "ALTER TABLE public.payment_outbox_attempts DROP CONSTRAINT payment_outbox_attempts_attempt_no_check, "
        "ADD CONSTRAINT payment_outbox_attempts_attempt_no_check CHECK ((((attempt_no))  >= (1)))"
    ),
    "another name for whatever PostgreSQL could have named": _RENAMED,
    "an unrelated table": (
        "CREATE TABLE public.unrelated_{n} (id bigint PRIMARY KEY, note text DEFAULT 'x' CHECK (note <> ''))"
    ),
    "an unrelated table with a trigger of one of our functions": (
        "CREATE TABLE public.unrelated_{n} (id bigint); "
        "CREATE TRIGGER t BEFORE UPDATE ON public.unrelated_{n} FOR EACH ROW "
        "EXECUTE FUNCTION public.deny_append_only_mutation()"
    ),
    "an unrelated partitioned table": (
        "CREATE TABLE public.unrelated_{n} (id int) PARTITION BY RANGE (id); "
        "CREATE TABLE public.part_{n} PARTITION OF public.unrelated_{n} FOR VALUES FROM (1) TO (2)"
    ),
    "an unrelated table that refers to ours": (
        "CREATE TABLE public.unrelated_{n} (tenant_id uuid REFERENCES public.tenants, member_id uuid REFERENCES "
        "public.tenant_members ON DELETE CASCADE)"
    ),
    "an unrelated view": "CREATE VIEW public.unrelated_{n} AS SELECT tenant_id, status FROM public.tenants",
    "an unrelated materialised view": (
        "CREATE MATERIALIZED VIEW public.unrelated_{n} AS SELECT tenant_id FROM public.tenants"
    ),
    "an unrelated sequence": "CREATE SEQUENCE public.unrelated_{n}",
    "an unrelated enum": "CREATE TYPE public.unrelated_{n} AS ENUM ('a', 'b')",
    "an unrelated domain and type": (
        "CREATE DOMAIN public.unrelated_{n} AS text; CREATE TYPE public.pair_{n} AS (a int, b int)"
    ),
    "an unrelated schema with tables of our names": (
        "CREATE SCHEMA unrelated_{n}; CREATE TABLE unrelated_{n}.tenants (id int); "
        "CREATE TABLE unrelated_{n}.unrelated_{n} (id int)"
    ),
    "an unrelated function in another schema": (
        "CREATE SCHEMA unrelated_{n}; CREATE FUNCTION unrelated_{n}.f() RETURNS int LANGUAGE sql RETURN 1"
    ),
    "an unrelated function with its owner's rights that no role of the schema may run": (
        "CREATE SCHEMA unrelated_{n}; GRANT USAGE ON SCHEMA unrelated_{n} TO symphony_control; "
        "CREATE FUNCTION unrelated_{n}.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
        "REVOKE EXECUTE ON FUNCTION unrelated_{n}.f() FROM PUBLIC"
    ),
    "an unrelated table and a view of it for a role of the schema": (
        "CREATE SCHEMA unrelated_{n}; GRANT USAGE ON SCHEMA unrelated_{n} TO symphony_ingest; "
        "CREATE TABLE unrelated_{n}.t (id int); CREATE VIEW unrelated_{n}.v AS TABLE unrelated_{n}.t; "
        "GRANT ALL ON unrelated_{n}.t, unrelated_{n}.v TO symphony_ingest"
    ),
    "an unrelated view of the queue for who reads the queue": (
        "CREATE SCHEMA unrelated_{n}; GRANT USAGE ON SCHEMA unrelated_{n} TO symphony_readonly; "
        "CREATE VIEW unrelated_{n}.v AS SELECT payload FROM public.payment_outbox_pending; "
        "GRANT SELECT ON unrelated_{n}.v TO symphony_readonly"
    ),
    "an unrelated type with an equality and a cast of its own": (
        "CREATE SCHEMA unrelated_{n}; CREATE TYPE unrelated_{n}.pair AS (a int); "
        "CREATE FUNCTION unrelated_{n}.same(unrelated_{n}.pair, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
        "CREATE OPERATOR unrelated_{n}.= (FUNCTION = unrelated_{n}.same, LEFTARG = unrelated_{n}.pair, "
        "RIGHTARG = text); "
        "CREATE FUNCTION unrelated_{n}.f(unrelated_{n}.pair) RETURNS text LANGUAGE sql AS $$SELECT ''$$; "
        "CREATE CAST (unrelated_{n}.pair AS text) WITH FUNCTION unrelated_{n}.f(unrelated_{n}.pair) AS IMPLICIT"
    ),
    "a further index": "CREATE INDEX further_{n} ON public.tenants (tenant_name)",
    "a further index on the queue": "CREATE INDEX further_{n} ON public.payment_outbox_pending (rail_type, created_at)",
    "a further index beside each unique one, the same": _INDEXES_BESIDE,
    "a further check or reference beside each, the same": _CONSTRAINTS_BESIDE,
    "a further column": "ALTER TABLE public.tenants ADD COLUMN note_{n} text",
    "a further column with a default": (
        "ALTER TABLE public.payment_outbox_attempts ADD COLUMN note_{n} text DEFAULT 'none'"
    ),
    "a further generated column": (
        "ALTER TABLE public.tenants ADD COLUMN short_{n} text GENERATED ALWAYS AS (substr(tenant_name, 1, 8)) STORED"
    ),
    "a further column of an enum of its own": (
        "CREATE TYPE public.mood_{n} AS ENUM ('a', 'b'); ALTER TABLE public.tenants ADD COLUMN mood_{n} "
        "public.mood_{n}; ALTER TABLE public.payment_outbox_pending ADD COLUMN mood_{n} public.mood_{n} DEFAULT 'a'; "
        "CREATE INDEX ON public.payment_outbox_pending (mood_{n}) WHERE mood_{n} = 'a'"
    ),
    "a further column of a domain in another schema": (
        "CREATE SCHEMA unrelated_{n}; CREATE DOMAIN unrelated_{n}.words AS text; "
        "ALTER TABLE public.billable_clients ADD COLUMN words_{n} unrelated_{n}.words"
    ),
    "a further column that numbers the rows": (
        "ALTER TABLE public.tenants ADD COLUMN number_{n} bigint GENERATED ALWAYS AS IDENTITY; "
        "ALTER TABLE public.payment_outbox_attempts ADD COLUMN number_{n} bigint GENERATED BY DEFAULT AS IDENTITY; "
        "ALTER TABLE public.payment_outbox_pending ADD COLUMN number_{n} bigint GENERATED BY DEFAULT AS IDENTITY"
    ),
    "a further NOT NULL": "ALTER TABLE public.participants ADD COLUMN note_{n} text NOT NULL DEFAULT ''",
    "room in the pages of other tables": (
        "ALTER TABLE public.tenants SET (fillfactor = 90); "
        "ALTER TABLE public.payment_outbox_attempts SET (fillfactor = 95)"
    ),
    "how the queue is vacuumed": (
        "ALTER TABLE public.payment_outbox_pending SET (autovacuum_vacuum_scale_factor = 0.01, "
        "autovacuum_vacuum_cost_delay = 0, toast.autovacuum_enabled = true)"
    ),
    "the order of the rows": "ALTER TABLE public.payment_outbox_attempts CLUSTER ON payment_outbox_attempts_pkey",
    "what is replicated of a change": "ALTER TABLE public.payment_outbox_pending REPLICA IDENTITY FULL",
    "how a column is stored": "ALTER TABLE public.payment_outbox_pending ALTER COLUMN payload SET STORAGE EXTERNAL",
    "temporary tables for everybody": (
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$"
    ),
    "what the regulator cannot reach": (
        "CREATE SCHEMA unrelated_{n}; CREATE TABLE unrelated_{n}.t (id int); GRANT ALL ON unrelated_{n}.t TO PUBLIC; "
        "CREATE SCHEMA empty_{n}; GRANT USAGE ON SCHEMA empty_{n} TO PUBLIC; "
        "CREATE FUNCTION unrelated_{n}.f() RETURNS int "
        "LANGUAGE sql RETURN 1"
    ),
    "a reviewed check once more": (
        "ALTER TABLE public.tenants ADD CONSTRAINT again_{n} CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED'))"
    ),
}
# Settings that a worker may be given, whoever is responsible for it: deadlines that it keeps, the server's own values,
# how much memory it takes, what is written to the log, how values are shown.
SANE = (
    *(
        (f"{what}_timeout", value)
        for what in ("statement", "lock", "transaction", "idle_in_transaction_session", "idle_session")
        for value in ("0", "'100ms'", "'1min'", "'2h'", "250")
    ),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "'read committed'"),
    ("default_transaction_deferrable", "on"),
    ("search_path", "public"),
    ("search_path", '"$user", public'),
    ("search_path", "pg_catalog, PUBLIC, pg_temp"),
    ("search_path", "'', public"),
    ("search_path", '"$user", public, extensions'),
    ("session_replication_role", "origin"),
    ("row_security", "on"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("synchronous_commit", "remote_write"),
    ("session_preload_libraries", "auto_explain, '$libdir/pg_stat_statements'"),
    ("dynamic_library_path", "'$libdir'"),
    ("work_mem", "'64MB'"),
    ("log_min_duration_statement", "100"),
    ("check_function_bodies", "off"),
    ("plpgsql.variable_conflict", "use_column"),
    ("plpgsql.extra_errors", "'all'"),
    ("DateStyle", "'German, DMY'"),
    ("TimeZone", "'Asia/Kathmandu'"),
    ("extra_float_digits", "0"),
    ("bytea_output", "escape"),
    ("enable_seqscan", "off"),
    ("symphony.outbox_retry_ceiling", "5"),
)
# By a superuser: roles and what belongs to the server.
BY_ADMIN = {
    "a new role": "CREATE ROLE newcomer_{n} NOLOGIN",
    "a new role with a grant on a new table": (
        "CREATE ROLE newcomer_{n}; CREATE TABLE public.unrelated_{n} (id int); "
        "GRANT SELECT ON public.unrelated_{n} TO newcomer_{n}"
    ),
    "a new role with a grant in a new schema": (
        "CREATE ROLE newcomer_{n}; CREATE SCHEMA unrelated_{n}; GRANT ALL ON SCHEMA unrelated_{n} TO newcomer_{n}"
    ),
    "a login that may act as a worker": "CREATE ROLE worker_{n} LOGIN; GRANT symphony_executor TO worker_{n}",
    "a login of a team that is a worker": (
        "CREATE ROLE team_{n}; GRANT symphony_ingest TO team_{n}; CREATE ROLE worker_{n} LOGIN; "
        "GRANT team_{n} TO worker_{n}"
    ),
    "a login that becomes a worker by SET ROLE alone": (
        "CREATE ROLE worker_{n} LOGIN; GRANT symphony_control TO worker_{n} WITH INHERIT FALSE, SET TRUE"
    ),
    "a login of the regulator's that can only read": (
        "CREATE ROLE seat_{n} LOGIN; GRANT boz_auditor TO seat_{n}; "
        "ALTER ROLE seat_{n} SET default_transaction_read_only = on; "
        "ALTER ROLE seat_{n} SET default_transaction_isolation = 'repeatable read'"
    ),
    "a worker's login with tables and a large object of its own, and a team's": (
        "CREATE ROLE team_{n}; CREATE ROLE worker_{n} LOGIN; GRANT symphony_ingest, team_{n} TO worker_{n}; "
        "CREATE SCHEMA unrelated_{n}; GRANT USAGE ON SCHEMA unrelated_{n} TO team_{n}, worker_{n}; "
        "CREATE TABLE unrelated_{n}.t (); ALTER TABLE unrelated_{n}.t OWNER TO team_{n}; "
        "CREATE TABLE unrelated_{n}.own (); ALTER TABLE unrelated_{n}.own OWNER TO worker_{n}; "
        "CREATE TABLE unrelated_{n}.lent (); GRANT SELECT, INSERT ON unrelated_{n}.lent TO worker_{n}; "
        "DO $$ BEGIN EXECUTE format('ALTER LARGE OBJECT %s OWNER TO worker_{n}', lo_create(0)); END $$"
    ),
    "a login of the regulator's through a group, with the right to connect": (
        "CREATE ROLE group_{n}; GRANT boz_auditor TO group_{n}; CREATE ROLE seat_{n} LOGIN; "
        "GRANT group_{n} TO seat_{n}; DO $$ BEGIN EXECUTE format("
        "'GRANT CONNECT ON DATABASE %I TO seat_{n}, group_{n}', current_database()); END $$"
    ),
    "a connection kept free for a worker": (
        "CREATE ROLE worker_{n} LOGIN; GRANT symphony_executor, pg_use_reserved_connections TO worker_{n}"
    ),
    "a login of no role of ours that has many powers": (
        "CREATE ROLE dba_{n} LOGIN CREATEROLE CREATEDB BYPASSRLS; GRANT pg_write_all_data, pg_monitor TO dba_{n}"
    ),
    "another who made roles and administers ours": (
        "CREATE ROLE maker_{n} LOGIN CREATEROLE; GRANT symphony_ingest, boz_auditor TO maker_{n} "
        "WITH INHERIT FALSE, SET FALSE, ADMIN TRUE"
    ),
    "the right to connect, and to make temporary tables": (
        "DO $$ BEGIN EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); "
        "EXECUTE format('GRANT CONNECT ON DATABASE %I TO boz_auditor, symphony_control', current_database()); "
        "EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO symphony_control', current_database()); END $$"
    ),
    "an event trigger that is disabled": (
        "CREATE FUNCTION pg_temp.event_{n}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "CREATE EVENT TRIGGER event_{n} ON ddl_command_end EXECUTE FUNCTION pg_temp.event_{n}(); "
        "ALTER EVENT TRIGGER event_{n} DISABLE"
    ),
    "default privileges of another's for another": (
        "CREATE ROLE maker_{n}; CREATE ROLE reader_{n}; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE maker_{n} GRANT SELECT ON TABLES TO reader_{n}; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE maker_{n} REVOKE USAGE ON TYPES FROM PUBLIC; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE maker_{n} GRANT USAGE ON TYPES TO reader_{n}, PUBLIC"
    ),
    "a wrapper and a server of nobody's": (
        "CREATE FOREIGN DATA WRAPPER wrapper_{n}; CREATE SERVER server_{n} FOREIGN DATA WRAPPER wrapper_{n}; "
        "CREATE ROLE user_{n}; GRANT USAGE ON FOREIGN SERVER server_{n} TO user_{n}"
    ),
    "settings that change nothing": "; ".join(
        f"CREATE ROLE worker_{at}_{{n}} LOGIN; GRANT symphony_ingest TO worker_{at}_{{n}}; "
        f"ALTER ROLE worker_{at}_{{n}} SET {name} = {value}"
        for at, (name, value) in enumerate(SANE)
    ),
    "a deadline of a role's own": "ALTER ROLE symphony_ingest SET statement_timeout = '5s'",
    "a comment on a role": "COMMENT ON ROLE symphony_ingest IS 'another'",
    "an extension whose functions everybody may run": "CREATE EXTENSION citext SCHEMA public",
    "extensions in public and in a schema of their own": (
        "CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION pg_trgm SCHEMA public; "
        "CREATE SCHEMA unrelated_{n}; CREATE EXTENSION ltree SCHEMA unrelated_{n}; "
        "CREATE EXTENSION pg_stat_statements SCHEMA unrelated_{n}"
    ),
    "a further column of an extension's type": (
        "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public; "
        "ALTER TABLE public.tenant_members ADD COLUMN words_{n} public.citext; "
        "CREATE INDEX words_{n} ON public.tenant_members (words_{n}); "
        "CREATE INDEX small_words_{n} ON public.tenant_members (lower(words_{n}::text))"
    ),
    "an unrelated function with the rights of somebody who has none": (
        "CREATE ROLE newcomer_{n}; CREATE SCHEMA unrelated_{n}; "
        "GRANT USAGE ON SCHEMA unrelated_{n} TO symphony_ingest; "
        "CREATE TABLE unrelated_{n}.t (id int); GRANT INSERT ON unrelated_{n}.t TO symphony_ingest; "
        "CREATE FUNCTION unrelated_{n}.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
        "CREATE FUNCTION unrelated_{n}.g() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        "AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER t BEFORE INSERT ON unrelated_{n}.t FOR EACH ROW EXECUTE FUNCTION unrelated_{n}.g(); "
        "ALTER FUNCTION unrelated_{n}.f() OWNER TO newcomer_{n}; ALTER FUNCTION unrelated_{n}.g() OWNER TO newcomer_{n}"
    ),
    "unrelated tables with a cascade, and everything on them for a role of the schema": (
        "CREATE SCHEMA unrelated_{n}; GRANT USAGE ON SCHEMA unrelated_{n} TO symphony_ingest; "
        "CREATE TABLE unrelated_{n}.p (id int PRIMARY KEY, name text); "
        "CREATE TABLE unrelated_{n}.c (id int REFERENCES unrelated_{n}.p ON DELETE CASCADE CHECK (id > 0)); "
        "CREATE INDEX ON unrelated_{n}.p (lower(name)); "
        "GRANT ALL ON unrelated_{n}.p, unrelated_{n}.c TO symphony_ingest"
    ),
    "indexes by an extension's operator classes": (
        "CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public; "
        "CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public; "
        "CREATE INDEX pieces_{n} ON public.tenants USING gin (tenant_name public.gin_trgm_ops); "
        "CREATE INDEX near_{n} ON public.payment_outbox_attempts USING gist (participant_id, created_at)"
    ),
    "a publication": "CREATE PUBLICATION unrelated_{n} FOR TABLE public.payment_outbox_attempts",
}

# Those of BY_OWNER that touch every object of a kind.
ALONE = (
    "every function again",
    "every trigger again",
    "every index again",
    "every check and reference again",
    "another name for whatever PostgreSQL could have named",
    "a further index beside each unique one, the same",
    "a further check or reference beside each, the same",
)
# Columns that may be empty in the tables whose rows come from outside the schema: the writers may agree on more, save
# where rows from before are promised something.
STRICTER = tuple(
    (table.name, column.name)
    for table in TABLES.values()
    for column in table.columns
    if not column.not_null and column.generated is None and (table.name, column.name) in RELAXED
)
# Triggers fill these, so that no writer leaves them empty.
FILLED = (
    ("ingress_attestations", "correlation_id"),
    ("payment_outbox_pending", "correlation_id"),
    ("payment_outbox_attempts", "correlation_id"),
    ("external_proofs", "correlation_id"),
    ("external_proofs", "tenant_id"),
    ("external_proofs", "billable_client_id"),
)
# Tables into which a statement of the release before inserts, naming none of those columns.
_HEARD = ("tenants", "ingress_attestations", "billable_clients", "external_proofs")
HEARD = tuple(one for one in STRICTER if one[0] in _HEARD)
FREE = (*(one for one in STRICTER if one[0] not in _HEARD), *FILLED)
