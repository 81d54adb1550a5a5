# ruff: noqa: E501, ISC004 - a statement keeps its line, since its columns are counted
"""Broken migrations, each named after its defect, and the exact place where the lints find it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from make_lints import lint, places

A = "CREATE TABLE public.a (id bigint PRIMARY KEY, b varchar(10), n numeric(10,2) NOT NULL);"
T = "SET LOCAL lock_timeout = '500ms';\n"
PIN = "SET search_path = pg_catalog, public, pg_temp"


class Broken(NamedTuple):
    """A defect: the rule that finds it, the files, and every finding as `file:line:column object`."""

    defect: str
    rule: str
    files: tuple[str, ...]
    found: tuple[str, ...]


BROKEN = (
    # transaction control
    Broken("lower-case begin", "transaction-control", ("begin; SELECT 1; end;",), ("1:1:1 BEGIN", "1:1:18 COMMIT")),
    Broken("start transaction", "transaction-control", ("START TRANSACTION READ ONLY;",), ("1:1:1 START TRANSACTION",)),
    Broken(
        "savepoints",
        "transaction-control",
        ("SAVEPOINT a;\nROLLBACK TO a; RELEASE a;",),
        ("1:1:1 SAVEPOINT", "1:2:1 ROLLBACK TO SAVEPOINT", "1:2:16 RELEASE SAVEPOINT"),
    ),
    Broken("two-phase", "transaction-control", ("PREPARE TRANSACTION 'x';",), ("1:1:1 PREPARE TRANSACTION",)),
    Broken("commit in DO", "transaction-control", ("DO $x$\nBEGIN\n  COMMIT;\nEND $x$;",), ("1:3:3 COMMIT",)),
    Broken(
        "commit in a procedure",
        "transaction-control",
        ("CREATE PROCEDURE public.p() LANGUAGE plpgsql AS 'BEGIN ROLLBACK; END';",),
        ("1:1:56 ROLLBACK",),
    ),
    Broken("commit and chain", "transaction-control", ("/* a */ commit and chain;",), ("1:1:9 COMMIT",)),
    # the marker
    Broken(
        "unique concurrent build unmarked",
        "no-tx-missing",
        (A, "create unique index concurrently a_b on public.a (b);"),
        ("2:1:1 CREATE UNIQUE INDEX CONCURRENTLY",),
    ),
    Broken("vacuum unmarked", "no-tx-missing", (A, "VACUUM (ANALYZE) public.a;"), ("2:1:1 VACUUM",)),
    Broken(
        "drop and reindex unmarked",
        "no-tx-missing",
        (A, "DROP INDEX CONCURRENTLY public.i;\nREINDEX TABLE CONCURRENTLY public.a;"),
        ("2:1:1 DROP INDEX CONCURRENTLY", "2:2:1 REINDEX TABLE CONCURRENTLY"),
    ),
    Broken(
        "concurrent build in a DO of a marked file",
        "no-tx-missing",
        (A, "-- symphony:no_tx\nDO $$BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY i ON public.a (b)'; END$$;"),
        ("2:2:21 CREATE INDEX CONCURRENTLY",),
    ),
    Broken("marker for nothing", "no-tx-useless", ("-- symphony:no_tx\nSELECT 1;",), ("1:1:1 0001_one.sql",)),
    Broken(
        "marker for a comment",
        "no-tx-useless",
        (A, "-- symphony:no_tx\n-- CREATE INDEX CONCURRENTLY x ON public.a (b);\nANALYZE public.a;"),
        ("2:1:1 0002_two.sql",),
    ),
    Broken(
        "DDL beside a build",
        "no-tx-mixed",
        (A, "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY i ON public.a (b);\nALTER TABLE public.a ADD c text;"),
        ("2:3:1 AlterTable",),
    ),
    Broken(
        "if not exists on a build",
        "concurrent-if-not-exists",
        (A, "-- symphony:no_tx\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.a (b);"),
        ("2:2:1 i",),
    ),
    Broken("copy to the client", "client-stream", (A, "COPY (SELECT 1) TO STDOUT;"), ("2:1:1 COPY",)),
    Broken(
        "copy from the server's machine",
        "client-stream",
        (A, "COPY public.a FROM '/x'; COPY public.a TO PROGRAM 'x';"),
        ("2:1:1 COPY", "2:1:26 COPY"),
    ),
    # settings
    Broken(
        "set_config of the server's own",
        "session-setting",
        ("SELECT set_config('lock_timeout', '0', true);",),
        ("1:1:8 set_config",),
    ),
    Broken(
        "set for the session", "session-setting", ("SET SESSION statement_timeout = 0;",), ("1:1:1 statement_timeout",)
    ),
    Broken("reset all", "session-setting", ("RESET ALL;",), ("1:1:1 all",)),
    Broken("set role", "session-setting", ("SET LOCAL ROLE app;",), ("1:1:1 role",)),
    Broken(
        "session authorization",
        "session-setting",
        ("SET SESSION AUTHORIZATION app;",),
        ("1:1:1 session_authorization",),
    ),
    Broken("discard", "session-setting", ("DISCARD PLANS;",), ("1:1:1 DISCARD",)),
    Broken(
        "set_config for the session",
        "session-setting",
        ("SELECT 1,\n  set_config('search_path', '', false);",),
        ("1:2:3 set_config",),
    ),
    Broken(
        "set_config of unknown reach in DO",
        "session-setting",
        ("DO $$BEGIN PERFORM pg_catalog.set_config('a.b', 'c', 1 = 1); END$$;",),
        ("1:1:12 set_config",),
    ),
    Broken(
        "names in capitals and quotes",
        "session-setting",
        ('SET LOCAL "ROLE" TO app;\nSET "Search_Path" = x;',),
        ("1:1:1 role", "1:2:1 search_path"),
    ),
    Broken(
        "a setting of roles, databases and the server",
        "lasting-setting",
        (
            'ALTER ROLE app SET lock_timeout = 0;\nALTER ROLE ALL IN DATABASE d SET "Search_Path" = x;\n'
            "ALTER DATABASE d RESET ALL; ALTER SYSTEM SET session_replication_role = replica;\n"
            "ALTER USER app RESET role; ALTER DATABASE d SET symphony.ceiling = 5;\n"
            "DO $$BEGIN EXECUTE format('ALTER ROLE %I SET role = x', 'app'); END$$;",
        ),
        (
            "1:1:1 lock_timeout",
            "1:2:1 search_path",
            "1:3:1 all",
            "1:3:29 session_replication_role",
            "1:4:1 role",
            "1:5:12 role",
        ),
    ),
    Broken("isolation", "session-setting", ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",), ("1:1:1 transaction",)),
    # how long a lock is waited for
    Broken(
        "for ever, for long, and for what the server says",
        "long-lock-timeout",
        (
            "SET LOCAL lock_timeout = 0;\nSET LOCAL lock_timeout = '6s'; SET LOCAL \"Lock_Timeout\" = '1h';\n"
            "SET LOCAL lock_timeout TO DEFAULT; SET LOCAL lock_timeout = '400us'; SET LOCAL lock_timeout = '0x7fffffff';\n"
            "SET LOCAL lock_timeout = 5001; SET LOCAL lock_timeout = 5000;",
        ),
        (
            "1:1:1 lock_timeout",
            "1:2:1 lock_timeout",
            "1:2:32 lock_timeout",
            "1:3:1 lock_timeout",
            "1:3:36 lock_timeout",
            "1:3:70 lock_timeout",
            "1:4:1 lock_timeout",
        ),
    ),
    Broken(
        "lifted by a call",
        "long-lock-timeout",
        (
            T + "SELECT set_config('lock_timeout', '0', true);\n"
            "DO $$BEGIN PERFORM pg_catalog.set_config('LOCK_TIMEOUT', '1min', true); END$$;\n"
            "SELECT set_config('lock_timeout', NULL::text, true);",
        ),
        ("1:2:8 lock_timeout", "1:3:12 lock_timeout", "1:4:8 lock_timeout"),
    ),
    Broken(
        "computed from nothing",
        "long-lock-timeout",
        (
            "DO $$DECLARE n int; BEGIN PERFORM set_config('lock_timeout', n::text, true); END$$;",
            T + "DO $$DECLARE n int; BEGIN PERFORM set_config('lock_timeout', n::text, true); END$$;",
        ),
        ("1:1:27 lock_timeout",),
    ),
    Broken(
        "a lock after a bound that is none",
        "lock-timeout",
        (
            A,
            "SET LOCAL lock_timeout = '1h'; ALTER TABLE public.a ADD c text;",
            T + "SELECT set_config('lock_timeout', '0', true);\nALTER TABLE public.a ADD d text;",
            T + "DO $$BEGIN PERFORM set_config('lock_timeout', '0', true); END$$;\nALTER TABLE public.a ADD d text;",
            T + "DO $$BEGIN PERFORM set_config('lock_timeout', '9', 1 = 1); END$$;\nALTER TABLE public.a ADD d text;",
        ),
        ("2:1:32 public.a", "3:3:1 public.a", "4:3:1 public.a", "5:3:1 public.a"),
    ),
    Broken(
        "a bound that nothing reaches",
        "lock-timeout",
        (
            A,
            "CREATE VIEW public.v AS SELECT set_config('lock_timeout', '500ms', true);\nALTER TABLE public.a ADD c text;",
            "DO $$BEGIN IF false THEN SET LOCAL lock_timeout = '500ms'; END IF; END$$;\nALTER TABLE public.a ADD c text;",
        ),
        ("2:2:1 public.a", "3:2:1 public.a"),
    ),
    Broken(
        "a name computed at run time may be lock_timeout",
        "lock-timeout",
        (
            A,
            T + "DO $$DECLARE n text; BEGIN PERFORM set_config(n, n, true); END$$;\nALTER TABLE public.a ADD c text;",
        ),
        ("2:3:1 public.a",),
    ),
    # search path
    Broken(
        "definer after the body",
        "definer-search-path",
        ("CREATE FUNCTION public.f() RETURNS int AS 'SELECT 1' LANGUAGE sql SECURITY DEFINER;",),
        ("1:1:1 public.f",),
    ),
    Broken(
        "external security definer procedure",
        "definer-search-path",
        ("create or replace procedure public.p() external security definer language sql as 'select 1';",),
        ("1:1:1 public.p",),
    ),
    Broken(
        "path in one string",
        "definer-search-path",
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
            "SET search_path = 'pg_catalog, public, pg_temp' AS 'SELECT 1';",
        ),
        ("1:1:1 public.f",),
    ),
    Broken(
        "path from current",
        "definer-search-path",
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS 'SELECT 1';",
        ),
        ("1:1:1 public.f",),
    ),
    Broken(
        "the caller's own schema",
        "definer-search-path",
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
            "SET search_path = pg_catalog, \"$user\", pg_temp AS 'SELECT 1';",
        ),
        ("1:1:1 public.f",),
    ),
    Broken(
        "empty path",
        "definer-search-path",
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';",),
        ("1:1:1 public.f",),
    ),
    Broken(
        "pg_temp in front",
        "definer-search-path",
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
            "SET search_path = pg_temp, pg_catalog, pg_temp AS 'SELECT 1';",
        ),
        ("1:1:1 public.f",),
    ),
    Broken(
        "made definer later",
        "definer-search-path",
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN 1;", "ALTER ROUTINE public.f() SECURITY DEFINER;"),
        ("2:1:1 public.f",),
    ),
    Broken(
        "path reset later",
        "definer-search-path",
        (
            f"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER {PIN} AS 'SELECT 1';",
            "ALTER FUNCTION public.f() RESET search_path;",
            "ALTER FUNCTION public.f() RESET ALL;",
        ),
        ("2:1:1 public.f", "3:1:1 public.f"),
    ),
    Broken(
        "unknown function loses its path",
        "definer-search-path",
        ("ALTER FUNCTION public.g() SET search_path = public;",),
        ("1:1:1 public.g",),
    ),
    Broken(
        "definer made in DO",
        "definer-search-path",
        (
            "DO $d$ BEGIN\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';\nEND $d$;",
        ),
        ("1:2:1 public.f",),
    ),
    Broken(
        "replaced without its path",
        "function-search-path",
        (
            f"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql {PIN} AS 'SELECT 1';",
            "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 2';",
        ),
        ("2:1:1 public.f",),
    ),
    # dynamic and opaque SQL
    Broken(
        "concatenation in a definer",
        "definer-dynamic-sql",
        (
            f"CREATE FUNCTION public.f(t text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER {PIN} AS $$\n"
            "BEGIN\n  EXECUTE 'DROP TABLE ' || t;\nEND $$;",
        ),
        ("1:3:3 public.f",),
    ),
    Broken(
        "for in execute, return query execute, open for execute",
        "definer-dynamic-sql",
        (
            f"CREATE FUNCTION public.f(t text) RETURNS SETOF int LANGUAGE plpgsql SECURITY DEFINER {PIN} AS $$\n"
            "DECLARE r record; c refcursor;\nBEGIN\n  FOR r IN EXECUTE t LOOP NULL; END LOOP;\n  RETURN QUERY EXECUTE t;\n"
            "  OPEN c FOR EXECUTE t;\nEND $$;",
        ),
        ("1:4:3 public.f", "1:5:3 public.f", "1:6:3 public.f"),
    ),
    Broken(
        "made definer in a later file",
        "definer-dynamic-sql",
        (
            f"CREATE FUNCTION public.f(t text) RETURNS void LANGUAGE plpgsql {PIN} AS $$BEGIN EXECUTE t; END$$;",
            f"ALTER FUNCTION public.f(text) SECURITY DEFINER {PIN};",
        ),
        ("1:1:121 public.f",),
    ),
    Broken(
        "variable run by a migration",
        "opaque-sql",
        ("DO $$ DECLARE q text; BEGIN EXECUTE q; END $$;",),
        ("1:1:29 EXECUTE",),
    ),
    Broken(
        "format with %s",
        "opaque-sql",
        ("DO $$ DECLARE q text; BEGIN EXECUTE format('DROP %s', q); END $$;",),
        ("1:1:29 EXECUTE",),
    ),
    Broken("body that does not parse", "opaque-sql", ("DO $$BEGIN SELEC 1; END$$;",), ("1:1:12 SQL",)),
    Broken(
        "body hidden in escapes",
        "opaque-sql",
        ("DO U&'BEGIN DR\\004FP TABLE public.a; END';", "DO 'BEGIN END';"),
        ("1:1:1 Do",),
    ),
    Broken(
        "body in C",
        "opaque-sql",
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE c AS 'lib', 'f';",),
        ("1:1:1 public.f",),
    ),
    Broken(
        "table made by a function",
        "runtime-ddl",
        (
            f"CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql {PIN} AS $$\nBEGIN\n"
            "  EXECUTE 'CREATE TABLE public.t (a int)';\n  GRANT SELECT ON public.a TO app;\nEND $$;",
        ),
        ("1:3:12 public.f", "1:4:3 public.f"),
    ),
    # expand and contract
    Broken(
        "drops of every kind",
        "drop-existing",
        (
            A,
            "DROP TABLE public.a; DROP VIEW public.v;\nDROP TYPE public.t; DROP SCHEMA s;\n"
            "DROP FUNCTION public.f(int), public.g; DROP SEQUENCE public.q; DROP EXTENSION x; DROP ROLE r;",
        ),
        (
            "2:1:1 public.a",
            "2:1:22 public.v",
            "2:2:1 public.t",
            "2:2:21 s",
            "2:3:1 public.f",
            "2:3:1 public.g",
            "2:3:40 public.q",
            "2:3:64 x",
            "2:3:82 DROP ROLE",
        ),
    ),
    Broken(
        "drops on a table",
        "drop-existing",
        (A, "DROP TRIGGER g ON public.a; DROP POLICY p ON public.a; DROP RULE r ON public.a; DROP INDEX public.i;"),
        ("2:1:1 public.a.g", "2:1:29 public.a.p", "2:1:56 public.a.r", "2:1:81 public.i"),
    ),
    Broken(
        "several commands, COLUMN left out",
        "drop-existing",
        (A, "alter table only public.a\n  drop b,\n  drop constraint a_pkey,\n  alter n drop default;"),
        ("2:1:1 public.a.b", "2:1:1 public.a.a_pkey", "2:1:1 public.a.n"),
    ),
    Broken(
        "drop in DO", "drop-existing", (A, "DO $$BEGIN\n EXECUTE 'drop table public.a';\nEND$$;"), ("2:2:11 public.a",)
    ),
    Broken(
        "drop by format",
        "drop-existing",
        (A, "DO $$DECLARE t text; BEGIN\n EXECUTE format('DROP TABLE public.%I', t);\nEND$$;"),
        ("2:2:2 public.dynamic_name",),
    ),
    Broken(
        "split keyword",
        "drop-existing",
        (A, "DO $$BEGIN EXECUTE 'DROP TA' || 'BLE public.a'; END$$;"),
        ("2:1:12 public.a",),
    ),
    Broken(
        "replacement that takes other calls",
        "drop-existing",
        (
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql RETURN 1;",
            "DROP FUNCTION public.f(int);\nCREATE FUNCTION public.f(a int, b int) RETURNS int LANGUAGE sql RETURN 1;",
        ),
        ("2:1:1 public.f",),
    ),
    Broken(
        "replacement that renames a parameter",
        "drop-existing",
        (
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql RETURN 1;",
            "DROP FUNCTION public.f;\nCREATE FUNCTION public.f(z int) RETURNS int LANGUAGE sql RETURN 1;",
        ),
        ("2:1:1 public.f",),
    ),
    Broken(
        "replacement that returns another type",
        "drop-existing",
        (
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql RETURN 1;",
            "DROP FUNCTION public.f(int);\nCREATE FUNCTION public.f(a int) RETURNS text LANGUAGE sql RETURN 'x';",
        ),
        ("2:1:1 public.f",),
    ),
    Broken(
        "replacement that loses a column",
        "drop-existing",
        (
            "CREATE FUNCTION public.f() RETURNS TABLE (x int, y int) LANGUAGE sql AS 'SELECT 1, 2';",
            "DROP FUNCTION public.f();\nCREATE FUNCTION public.f() RETURNS TABLE (y int) LANGUAGE sql AS 'SELECT 1';",
        ),
        ("2:1:1 public.f",),
    ),
    Broken(
        "cascade",
        "cascade",
        (A, "DROP TABLE public.x CASCADE; TRUNCATE public.a CASCADE;"),
        ("2:1:1 CASCADE", "2:1:30 CASCADE"),
    ),
    Broken(
        "cascade of a column and of a grant",
        "cascade",
        (A, "ALTER TABLE public.a DROP COLUMN b CASCADE; REVOKE SELECT ON public.a FROM r CASCADE;"),
        ("2:1:1 CASCADE", "2:1:45 CASCADE"),
    ),
    Broken(
        "truncate of several",
        "truncate-existing",
        (A, "truncate\n  table only public.a, public.z;"),
        ("2:2:14 public.a", "2:2:24 public.z"),
    ),
    Broken(
        "renames",
        "rename",
        (
            A,
            "ALTER TABLE public.a RENAME b TO c; ALTER TABLE public.a RENAME TO z;\nALTER TYPE public.t RENAME VALUE 'x' TO 'y';\n"
            "ALTER TABLE public.a SET SCHEMA s; ALTER FUNCTION public.f(int) RENAME TO g;",
        ),
        ("2:1:1 public.a.b", "2:1:37 public.a", "2:3:1 public.a", "2:3:36 public.f"),
    ),
    Broken(
        "required column",
        "required-column",
        (A, "ALTER TABLE public.a ADD c int, ADD d int NOT NULL;"),
        ("2:1:37 public.a.d",),
    ),
    Broken(
        "required column in a table of unknown origin",
        "required-column",
        ("ALTER TABLE other.a\n  ADD COLUMN c int NOT NULL;",),
        ("1:2:14 other.a.c",),
    ),
    Broken(
        "created only if it is not there",
        "required-column",
        ("CREATE TABLE IF NOT EXISTS public.z (a int); ALTER TABLE public.z ADD b int NOT NULL;",),
        ("1:1:71 public.z.b",),
    ),
    Broken(
        "set not null, COLUMN left out",
        "set-not-null",
        (A, "ALTER TABLE public.a ALTER b SET NOT NULL;"),
        ("2:1:1 public.a.b",),
    ),
    Broken("set not null of a domain", "set-not-null", ("ALTER DOMAIN public.d SET NOT NULL;",), ("1:1:1 public.d",)),
    Broken(
        "drop not null of a domain", "drop-not-null", ("ALTER DOMAIN public.d DROP NOT NULL;",), ("1:1:1 public.d",)
    ),
    Broken(
        "domain loses its check", "drop-existing", ("ALTER DOMAIN public.d DROP CONSTRAINT c;",), ("1:1:1 public.d",)
    ),
    Broken("drop not null", "drop-not-null", (A, "ALTER TABLE public.a ALTER n DROP NOT NULL;"), ("2:1:1 public.a.n",)),
    Broken(
        "existence tests",
        "existence-test",
        (
            A,
            "CREATE INDEX IF NOT EXISTS i ON public.a (b);\nALTER TABLE public.a ADD COLUMN IF NOT EXISTS c int;\n"
            "CREATE SCHEMA IF NOT EXISTS s; CREATE EXTENSION IF NOT EXISTS x;\nALTER TYPE public.t ADD VALUE IF NOT EXISTS 'v';",
        ),
        ("2:1:1 Index", "2:2:1 AlterTable", "2:3:1 CreateSchema", "2:3:32 CreateExtension", "2:4:1 AlterEnum"),
    ),
    Broken(
        "backfill in WITH and in DO",
        "data-change",
        (A, "WITH x AS (UPDATE public.a SET b = 1 RETURNING 1) SELECT 1;\nDO $$BEGIN\n  DELETE FROM public.a;\nEND$$;"),
        ("2:1:19 public.a", "2:3:15 public.a"),
    ),
    Broken(
        "upsert and merge",
        "data-change",
        (
            A,
            "INSERT INTO public.a (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2;\n"
            "MERGE INTO public.a USING public.b ON a.id = b.id WHEN MATCHED THEN DELETE;",
        ),
        ("2:1:13 public.a", "2:2:12 public.a"),
    ),
    Broken(
        "update behind EXPLAIN ANALYZE",
        "data-change",
        (A, "EXPLAIN ANALYZE UPDATE public.a SET b = 1;"),
        ("2:1:24 public.a",) * 2,
    ),
    # keys and types
    Broken("key type", "key-type-change", (A, f"{T}ALTER TABLE public.a ALTER id TYPE int;"), ("2:2:1 public.a.id",)),
    Broken(
        "referring column",
        "key-type-change",
        (
            A,
            "CREATE TABLE public.c (a_id bigint, CONSTRAINT f FOREIGN KEY (a_id) REFERENCES public.a (id));",
            "ALTER TABLE public.c ALTER COLUMN a_id SET DATA TYPE text;",
        ),
        ("3:1:1 public.c.a_id",),
    ),
    Broken("unknown column", "key-type-change", ("ALTER TABLE public.x ALTER y TYPE text;",), ("1:1:1 public.x.y",)),
    Broken(
        "narrowing", "column-type-change", (A, "ALTER TABLE public.a ALTER b TYPE varchar(9);"), ("2:1:1 public.a.b",)
    ),
    Broken(
        "other scale",
        "column-type-change",
        (A, "ALTER TABLE public.a ALTER n TYPE numeric(10,3);"),
        ("2:1:1 public.a.n",),
    ),
    Broken(
        "conversion by USING",
        "column-type-change",
        (A, "ALTER TABLE public.a ALTER b TYPE text USING b || '';"),
        ("2:1:1 public.a.b",),
    ),
    # locks
    Broken("plain build", "blocking-index", (A, f"{T}create unique index on public.a (b);"), ("2:2:1 an index",)),
    Broken(
        "plain drop and reindex",
        "blocking-index",
        (A, "CREATE INDEX CONCURRENTLY i ON public.a (b);", "DROP INDEX public.i; REINDEX (VERBOSE) INDEX public.i;"),
        ("3:1:1 public.i", "3:1:22 public.i"),
    ),
    Broken(
        "constraints that scan",
        "validated-constraint",
        (
            A,
            "ALTER TABLE public.a\n  ADD CHECK (id > 0),\n  ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES public.z (id),\n"
            "  ADD CONSTRAINT q NOT NULL b,\n  ADD COLUMN c int REFERENCES public.z (id);",
        ),
        ("2:2:7 public.a", "2:3:7 public.a.k", "2:4:7 public.a.q", "2:5:20 public.a.c"),
    ),
    Broken(
        "validated in the same file",
        "validated-constraint",
        (
            A,
            "ALTER TABLE public.a ADD CONSTRAINT k CHECK (id > 0) NOT VALID;\nALTER TABLE public.a VALIDATE CONSTRAINT k;",
        ),
        ("2:2:1 public.a.k",),
    ),
    Broken(
        "domain check", "validated-constraint", ("ALTER DOMAIN public.d ADD CHECK (VALUE > 0);",), ("1:1:1 public.d",)
    ),
    Broken(
        "keys without an index",
        "inline-unique",
        (
            A,
            "ALTER TABLE public.a ADD PRIMARY KEY (id), ADD c int UNIQUE, ADD CONSTRAINT x EXCLUDE USING gist (b WITH =);",
        ),
        ("2:1:26 public.a", "2:1:54 public.a.c", "2:1:66 public.a.x"),
    ),
    Broken(
        "columns that rewrite",
        "rewriting-column",
        (
            A,
            "ALTER TABLE public.a ADD c uuid DEFAULT pg_catalog.uuidv7(), ADD d bigserial,\n"
            "  ADD e bigint GENERATED ALWAYS AS IDENTITY, ADD f bigint GENERATED ALWAYS AS (id) STORED,\n"
            "  ADD g timestamptz DEFAULT clock_timestamp(), ADD h int DEFAULT public.now();",
        ),
        (
            "2:1:26 public.a.c",
            "2:1:66 public.a.d",
            "2:2:7 public.a.e",
            "2:2:50 public.a.f",
            "2:3:7 public.a.g",
            "2:3:52 public.a.h",
        ),
    ),
    Broken(
        "column of a domain",
        "rewriting-column",
        (A, "CREATE DOMAIN public.d AS int CHECK (VALUE > 0);", "ALTER TABLE public.a ADD c public.d;"),
        ("3:1:26 public.a.c",),
    ),
    Broken(
        "heavy statements",
        "heavy-maintenance",
        (
            A,
            "CLUSTER public.a USING a_pkey; VACUUM FULL public.a; VACUUM (FULL true);\nREFRESH MATERIALIZED VIEW public.m;\n"
            "LOCK public.a; ALTER TABLE public.a SET UNLOGGED;\nALTER TABLE public.a ATTACH PARTITION public.p DEFAULT;\n"
            "ALTER TABLE public.a DETACH PARTITION public.p;",
        ),
        (
            "2:1:1 public.a",
            "2:1:32 VACUUM FULL",
            "2:1:54 VACUUM FULL",
            "2:2:1 public.m",
            "2:3:1 public.a",
            "2:3:16 public.a",
            "2:4:1 public.a",
            "2:5:1 public.a",
        ),
    ),
    Broken(
        "no budget",
        "lock-timeout",
        (A, "\n  ALTER TABLE public.a ADD c int;\nALTER TABLE public.a ADD d int;"),
        ("2:2:3 public.a",),
    ),
    Broken(
        "budget of nothing",
        "lock-timeout",
        (A, "SET LOCAL lock_timeout = 0; ALTER TABLE public.a ADD c int;"),
        ("2:1:29 public.a",),
    ),
    Broken(
        "budget for the session",
        "lock-timeout",
        (A, "SET lock_timeout = '1s'; ALTER TABLE public.a ADD c int;"),
        ("2:1:26 public.a",),
    ),
    Broken(
        "budget in a comment",
        "lock-timeout",
        (A, f"-- {T}CREATE TRIGGER t BEFORE INSERT ON public.a EXECUTE FUNCTION public.f();"),
        ("2:2:1 public.a",),
    ),
    Broken(
        "budget lifted",
        "lock-timeout",
        (A, f"{T}SET LOCAL lock_timeout TO DEFAULT; DROP TRIGGER t ON public.a;"),
        ("2:2:36 public.a",),
    ),
    Broken(
        "budget in a function only",
        "lock-timeout",
        (A, f"CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $$BEGIN {T} END$$;\nDROP TABLE public.a;"),
        ("2:3:1 public.a",),
    ),
    Broken(
        "second tables",
        "second-table-lock",
        (
            A,
            "CREATE TABLE public.c (a_id bigint REFERENCES public.a);\nCREATE TABLE public.p PARTITION OF public.a DEFAULT;\n"
            "CREATE TABLE public.q () INHERITS (public.a);",
        ),
        ("2:1:47 public.a", "2:2:36 public.a", "2:3:36 public.a"),
    ),
    Broken(
        "second table inside CREATE SCHEMA",
        "second-table-lock",
        (A, "CREATE SCHEMA s CREATE TABLE c (a_id bigint REFERENCES public.a (id));"),
        ("2:1:56 public.a",),
    ),
    Broken(
        "a table that may not have been created",
        "drop-existing",
        (A, "DO $$BEGIN IF false THEN CREATE TABLE public.a (x int); END IF; END$$;\nDROP TABLE public.a;"),
        ("2:2:1 public.a",),
    ),
    Broken(
        "a budget that may not have been set",
        "lock-timeout",
        (A, "DO $$BEGIN IF false THEN SET LOCAL lock_timeout = '1s'; END IF; END$$;\nALTER TABLE public.a ADD c int;"),
        ("2:2:1 public.a",),
    ),
    Broken(
        "a revoke that may not have been run",
        "function-execute",
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN 1;\n"
            "DO $$BEGIN IF false THEN REVOKE ALL ON FUNCTION public.f() FROM PUBLIC; END IF; END$$;",
        ),
        ("1:1:1 public.f",),
    ),
    # SQLSTATEs
    Broken(
        "codes nobody knows",
        "sqlstate-registered",
        (
            "DO $$BEGIN\n  RAISE SQLSTATE 'P7998';\n  RAISE no_such_condition;\n  RAISE EXCEPTION 'x' USING ERRCODE = 'p7002';\n"
            "  RAISE EXCEPTION 'x' USING ERRCODE := 'P7' || '002';\nEXCEPTION WHEN SQLSTATE 'P7997' OR no_such THEN NULL;\nEND$$;",
        ),
        ("1:2:3 P7998", "1:3:3 no_such_condition", "1:4:3 p7002", "1:5:3 ERRCODE", "1:6:11 P7997", "1:6:11 no_such"),
    ),
    Broken(
        "P0001 unless registered",
        "sqlstate-registered",
        ("DO $$BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'P0002'; END$$;",),
        (),
    ),
    Broken(
        "raise without a code",
        "sqlstate-implicit",
        ("DO $$BEGIN\n raise 'x'; RAISE EXCEPTION 'y %', 1; END$$;",),
        ("1:2:2 P0001", "1:2:13 P0001"),
    ),
    Broken(
        "reserved and raised",
        "sqlstate-used",
        ("DO $$BEGIN RAISE SQLSTATE 'P0001'; RAISE SQLSTATE 'P7777'; END$$;",),
        ("s:2:1 P0001",),
    ),
    # privileges
    Broken(
        "grants to everybody",
        "public-grant",
        (
            A,
            "GRANT SELECT (id) ON public.a TO app, public;\nGRANT USAGE ON SCHEMA public TO PUBLIC;\n"
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;\nGRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;\n"
            "DO $$BEGIN EXECUTE 'grant all on public.a to public'; END$$;",
        ),
        ("2:1:39 PUBLIC", "2:2:33 PUBLIC", "2:3:52 PUBLIC", "2:4:52 PUBLIC", "2:5:46 PUBLIC"),
    ),
    Broken(
        "create on a schema",
        "schema-create-grant",
        ("grant all on schema public to app, web;\nGRANT TEMP, CREATE ON DATABASE d TO app;",),
        ("1:1:1 app, web", "1:2:1 app"),
    ),
    Broken(
        "broad grants",
        "broad-grant",
        (
            A,
            "GRANT ALL PRIVILEGES ON public.a TO app; GRANT SELECT, TRIGGER ON public.a TO app;\n"
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app; GRANT SELECT ON public.a TO app WITH GRANT OPTION;",
        ),
        (
            "2:1:1 ALL on TABLE",
            "2:1:42 SELECT, TRIGGER on TABLE",
            "2:2:1 SELECT on ALL IN SCHEMA TABLE",
            "2:2:53 SELECT on TABLE",
        ),
    ),
    Broken(
        "functions for everybody",
        "function-execute",
        (
            "REVOKE EXECUTE ON FUNCTION public.f() FROM PUBLIC;\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN 1;\n"
            "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql RETURN 1;\nREVOKE ALL ON FUNCTION public.f() FROM app;\n"
            "REVOKE ALL ON FUNCTION public.f(int) FROM PUBLIC;",
        ),
        ("1:2:1 public.f",),
    ),
    Broken(
        "default privileges that do nothing",
        "function-execute",
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;\n"
            "ALTER DEFAULT PRIVILEGES FOR ROLE other REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;\n"
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN 1;",
        ),
        ("1:1:1 default privileges", "1:3:1 public.f"),
    ),
    Broken(
        "roles with power",
        "role-power",
        (
            "CREATE USER u; CREATE ROLE r SUPERUSER PASSWORD 'x';\nALTER ROLE r LOGIN; GRANT pg_read_all_data TO r;\n"
            "DO $$DECLARE n text; BEGIN EXECUTE format('ALTER ROLE %I BYPASSRLS', n); END$$;",
        ),
        ("1:1:1 u", "1:1:30 r", "1:1:40 r", "1:2:14 r", "1:2:21 pg_read_all_data", "1:3:28 dynamic_name"),
    ),
    Broken(
        "rights to change settings",
        "role-power",
        (
            "GRANT SET ON PARAMETER session_replication_role, work_mem TO app;\nREVOKE SET ON PARAMETER work_mem FROM app;",
        ),
        ("1:1:1 session_replication_role, work_mem",),
    ),
    Broken(
        "owners of every kind",
        "owner-change",
        (
            A,
            "alter table only public.a add c text, owner to app; ALTER VIEW public.v OWNER TO app;\n"
            "ALTER FUNCTION public.f(int) OWNER TO CURRENT_USER; ALTER SCHEMA s OWNER TO app;\n"
            "ALTER TYPE public.t OWNER TO app; ALTER DATABASE d OWNER TO app; REASSIGN OWNED BY app TO x;\n"
            "CREATE SCHEMA AUTHORIZATION app; CREATE SCHEMA s2 AUTHORIZATION app; CREATE SCHEMA s3;\n"
            "DO $$BEGIN EXECUTE format('ALTER TABLE public.%I OWNER TO %I', 'a', 'b'); END$$;",
        ),
        (
            "2:1:1 public.a",
            "2:1:53 public.v",
            "2:2:1 public.f",
            "2:2:53 s",
            "2:3:1 public.t",
            "2:3:35 d",
            "2:3:66 REASSIGN OWNED",
            "2:4:1 app",
            "2:4:34 s2",
            "2:5:12 public.a",
        ),
    ),
    # code from elsewhere
    Broken(
        "extensions, languages and libraries",
        "foreign-code",
        (
            "CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;\nALTER EXTENSION x UPDATE; ALTER EXTENSION x ADD TABLE public.a;\n"
            "CREATE LANGUAGE plpython3u; LOAD 'lib';\nDO $$BEGIN EXECUTE 'CREATE EXTENSION dblink'; END$$;",
        ),
        ("1:1:1 pgcrypto", "1:2:1 x", "1:2:27 x", "1:3:1 plpython3u", "1:3:29 lib", "1:4:21 dblink"),
    ),
    # what was granted
    Broken(
        "grants taken back",
        "revoked-grant",
        (
            A
            + "\nGRANT SELECT, INSERT ON public.a TO app, x; GRANT USAGE ON SCHEMA public TO app; GRANT app TO service;\n"
            "GRANT EXECUTE ON FUNCTION public.f(int) TO app; GRANT USAGE ON SEQUENCE public.q TO app; GRANT USAGE ON TYPE public.t TO app;\n"
            "GRANT ALL ON FUNCTION public.g() TO app;",
            "revoke insert on public.a from app;\nREVOKE ALL ON TABLE public.a FROM x;\n"
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, app; REVOKE ALL PRIVILEGES ON SCHEMA public FROM app;\n"
            "REVOKE app FROM service;\nREVOKE ALL ON ROUTINE public.f FROM app; REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM app;\n"
            "REVOKE USAGE ON TYPE public.t FROM app;\nREVOKE EXECUTE ON FUNCTION public.g FROM app; REVOKE USAGE ON SEQUENCE public.q FROM x;\n"
            "DO $$BEGIN EXECUTE format('REVOKE SELECT ON public.%I FROM %I', n, r); END$$;",
        ),
        (
            "2:1:1 public.a app",
            "2:2:1 public.a x",
            "2:3:1 public.* app",
            "2:3:61 public app",
            "2:4:1 app service",
            "2:5:1 public.f app",
            "2:5:42 public.* app",
            "2:6:1 public.t app",
            "2:7:1 public.g app",
            "2:8:12 public.dynamic_name dynamic_name",
        ),
    ),
    Broken(
        "given back in part, or where it may not be reached",
        "revoked-grant",
        (
            A + "\nGRANT SELECT, INSERT ON public.a TO app;",
            "REVOKE ALL ON public.a FROM app;\nGRANT SELECT ON public.a TO app;",
            "REVOKE ALL ON public.a FROM app;\nDO $$BEGIN GRANT SELECT, INSERT ON public.a TO app; END$$;",
        ),
        ("2:1:1 public.a app", "3:1:1 public.a app"),
    ),
    # statements that come to mean something else
    Broken(
        "rules on what was there",
        "new-rule",
        (
            A,
            "CREATE RULE r AS ON INSERT TO public.a DO INSTEAD NOTHING;\n"
            "DO $$BEGIN CREATE OR REPLACE RULE r AS ON DELETE TO public.v DO ALSO SELECT 1; END$$;",
        ),
        ("2:1:1 public.a.r", "2:2:12 public.v.r"),
    ),
    Broken(
        "row security of what was there",
        "row-security",
        (
            A,
            "ALTER TABLE public.a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;\n"
            "CREATE POLICY p ON public.a USING (true); ALTER POLICY p ON public.a TO app;\n"
            "DO $$BEGIN EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', t); END$$;",
        ),
        ("2:1:1 public.a", "2:1:1 public.a", "2:2:1 public.a.p", "2:2:43 public.a.p", "2:3:12 public.dynamic_name"),
    ),
    Broken(
        "a guard written over",
        "replaced-trigger",
        (
            A,
            "create or replace trigger g before insert on public.a execute function public.g();\n"
            "DO $$BEGIN CREATE OR REPLACE TRIGGER h AFTER INSERT ON public.v EXECUTE FUNCTION public.g(); END$$;",
        ),
        ("2:1:1 public.a.g", "2:2:12 public.v.h"),
    ),
    Broken(
        "copy with a program, in every form",
        "client-stream",
        (A, "copy (select 1) to program 'x';\nDO $$BEGIN COPY public.a FROM PROGRAM 'x' WITH (FORMAT csv); END$$;"),
        ("2:1:1 COPY", "2:2:12 COPY"),
    ),
    # names
    Broken(
        "bare names at the top",
        "unqualified-name",
        (
            "CREATE TABLE t (a state);\nCREATE INDEX i ON t (a);\nSELECT f(1) FROM x JOIN public.y ON true;\nDROP FUNCTION g(int);\n"
            "CREATE TRIGGER z BEFORE INSERT ON public.y EXECUTE FUNCTION h();\nCOMMENT ON COLUMN t.a IS '';",
        ),
        ("1:1:14 t", "1:1:19 state", "1:2:19 t", "1:3:8 f", "1:3:18 x", "1:4:1 g", "1:5:1 h", "1:6:1 t"),
    ),
    Broken(
        "bare names in a body",
        "unqualified-name",
        (
            "CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $$\nDECLARE\n  r t%ROWTYPE; s public.t.a%TYPE; u state;\nBEGIN\n"
            "  INSERT INTO t VALUES (1);\n  IF g(1) THEN PERFORM 1 FROM t; END IF;\n  EXECUTE 'SELECT 1 FROM t';\nEND $$;",
        ),
        ("1:3:3 t", "1:3:35 state", "1:5:15 t", "1:6:3 g", "1:6:16 t", "1:7:26 t"),
    ),
    Broken(
        "bare names in strings",
        "unqualified-name",
        ("SELECT 't'::regclass, nextval('s'), to_regprocedure('f(int)');",),
        ("1:1:8 't'", "1:1:31 's'", "1:1:53 'f(int)'"),
    ),
    Broken(
        "WITH does not name itself",
        "unqualified-name",
        ("WITH t AS (SELECT 1 FROM t) SELECT 1 FROM t;",),
        ("1:1:26 t",),
    ),
    Broken(
        "WITH is not what is written to",
        "unqualified-name",
        ("WITH t AS (SELECT 1) INSERT INTO t SELECT 1 FROM t;",),
        ("1:1:34 t",),
    ),
    Broken(
        "WITH ends with its statement",
        "unqualified-name",
        ("WITH w AS (SELECT 1) SELECT 1 FROM w; SELECT 1 FROM w;",),
        ("1:1:53 w",),
    ),
    Broken(
        "a name too long",
        "long-identifier",
        (f'SELECT 1 AS {"x" * 64};\nDO $$BEGIN PERFORM 1 AS "{"é" * 32}"; END$$;',),
        (f"1:1:13 {'x' * 64}", f"1:2:25 {'é' * 32}"),
    ),
    # weak guarantees
    Broken(
        "guards switched off",
        "trigger-switch",
        (
            A,
            "ALTER TABLE public.a DISABLE TRIGGER g, DISABLE ROW LEVEL SECURITY;\nSET LOCAL session_replication_role = replica;\n"
            "ALTER TABLE public.a ENABLE TRIGGER g; ALTER TABLE public.a ENABLE REPLICA TRIGGER g;",
        ),
        (
            "2:1:1 public.a.g",
            "2:1:1 public.a",
            "2:2:1 session_replication_role",
            "2:3:1 public.a.g",
            "2:3:40 public.a.g",
        ),
    ),
    Broken(
        "replica mode by a call",
        "trigger-switch",
        (
            "SELECT pg_catalog.set_config('Session_Replication_Role', 'replica', true);\n"
            "DO $$BEGIN PERFORM set_config('session_replication_role', 'replica', true); END$$;\n"
            'SET LOCAL "SESSION_REPLICATION_ROLE" = replica;',
        ),
        ("1:1:8 session_replication_role", "1:2:12 session_replication_role", "1:3:1 session_replication_role"),
    ),
    Broken(
        "replica mode in a function",
        "trigger-switch",
        (
            f"CREATE FUNCTION public.f(n text) RETURNS void LANGUAGE plpgsql {PIN} AS $$\nBEGIN\n"
            "  PERFORM set_config('session_replication_role', 'replica', true);\n  PERFORM set_config(n, 'replica', true);\n"
            "  PERFORM set_config('a.b', n, true);\n"
            "  UPDATE pg_catalog.pg_settings SET setting = 'replica' WHERE name = n;\nEND $$;",
        ),
        ("1:3:3 session_replication_role", "1:4:3 set_config", "1:6:10 pg_settings"),
    ),
    Broken(
        "replica mode as an option",
        "trigger-switch",
        (
            "ALTER DATABASE d SET session_replication_role = replica;\n"
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET session_replication_role = replica AS 'SELECT 1';",
        ),
        ("1:1:1 session_replication_role", "1:2:1 session_replication_role"),
    ),
    Broken(
        "not enforced",
        "not-enforced",
        (
            A,
            "ALTER TABLE public.a ADD CONSTRAINT k CHECK (id > 0) NOT ENFORCED;\n"
            "ALTER TABLE public.a ALTER CONSTRAINT f NOT ENFORCED;\nCREATE TABLE public.z (x int CHECK (x > 0) NOT ENFORCED);",
        ),
        ("2:1:26 k", "2:2:1 f", "2:3:44 a constraint"),
    ),
    Broken(
        "one index twice",
        "duplicate-index",
        (
            A,
            "CREATE INDEX i1 ON public.a (b) WHERE id > 0;",
            "CREATE INDEX CONCURRENTLY i2 ON public.a (b) where id>0;",
        ),
        ("3:1:1 i2",),
    ),
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.rule}: {broken.defect}")
def test_defect_is_found_where_it_stands(broken: Broken) -> None:
    """D-24: every defect is found by its rule, at its own line and column, and nothing else is."""
    assert sorted(places(lint(broken.rule, *broken.files))) == sorted(broken.found)
