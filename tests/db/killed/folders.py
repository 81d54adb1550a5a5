"""Migrations that hold every kind of statement the engine treats in a way of its own.

Every ordinary file leaves a row in `public.marks`, which has no key: what is applied twice is seen. The backfill adds
to what is there, for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NO_TX = "-- symphony:no_tx\n"

EVERY_KIND = {
    "0001_accounts.sql": """
        CREATE TABLE public.marks (file text NOT NULL);
        CREATE TABLE public.accounts (id integer CONSTRAINT accounts_pkey PRIMARY KEY, email text, amount numeric);
        INSERT INTO public.accounts SELECT g, 'a' || g || '@example.org', g FROM generate_series(1, 300) AS g;
        CREATE INDEX accounts_old ON public.accounts (amount);
        CREATE INDEX accounts_amount ON public.accounts (amount DESC);
    """,
    "0002_functions.sql": """
        SET search_path = public;
        CREATE FUNCTION public.total() RETURNS numeric LANGUAGE sql STABLE
            SET search_path = pg_catalog AS 'SELECT sum(amount) FROM public.accounts';
        CREATE VIEW public.rich AS SELECT id FROM public.accounts WHERE amount > 100;
        CREATE FUNCTION public.with_memory(value integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN
            IF pg_catalog.current_setting('maintenance_work_mem') <> '8MB' THEN
                RAISE EXCEPTION 'the build has not the memory that the file set';
            END IF;
            RETURN value;
        END $$;
        CREATE FUNCTION public.of_row(public.accounts) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1.id';
        CREATE TABLE public.large (a integer);
        INSERT INTO public.large VALUES (1), (2);
    """,
    "0003_events.sql": """
        CREATE TYPE public.kind AS ENUM ('opened', 'closed');
        CREATE TABLE public.events (id integer NOT NULL, at date NOT NULL, kind public.kind) PARTITION BY RANGE (at);
        CREATE TABLE public.events_1 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
        CREATE TABLE public.events_2 PARTITION OF public.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        CREATE TABLE public.events_3 PARTITION OF public.events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
        INSERT INTO public.events SELECT g, date '2026-01-01' + g % 90, 'opened' FROM generate_series(1, 300) AS g;
    """,
    "0004_value_in_a_transaction.sql": "ALTER TYPE public.kind ADD VALUE 'moved' AFTER 'opened';",
    "0005_value_outside.sql": _NO_TX
    + """
        ALTER TYPE public.kind ADD VALUE 'frozen';
        ALTER TYPE public.kind ADD VALUE IF NOT EXISTS 'thawed' AFTER 'frozen';
    """,
    "0006_builds.sql": _NO_TX
    + """
        SET maintenance_work_mem = '8MB';
        CREATE INDEX CONCURRENTLY accounts_email_lower ON public.accounts (lower(email)) WHERE amount > 10;
        CREATE INDEX CONCURRENTLY large_a ON public.large (public.with_memory(a));
        CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS accounts_email ON public.accounts (email) INCLUDE (amount);
        CREATE INDEX CONCURRENTLY accounts_row ON public.accounts (public.of_row(accounts)) WHERE accounts IS NOT NULL;
    """,
    "0007_parent_index.sql": "CREATE INDEX events_at ON ONLY public.events (at);",
    "0008_partition_builds.sql": _NO_TX
    + """
        CREATE INDEX CONCURRENTLY events_1_at ON public.events_1 (at);
        CREATE INDEX CONCURRENTLY events_2_at ON public.events_2 (at);
        CREATE INDEX CONCURRENTLY events_3_at ON public.events_3 (at);
    """,
    "0009_attach.sql": """
        ALTER INDEX public.events_at ATTACH PARTITION public.events_1_at;
        ALTER INDEX public.events_at ATTACH PARTITION public.events_2_at;
        ALTER INDEX public.events_at ATTACH PARTITION public.events_3_at;
    """,
    "0010_drop_index.sql": _NO_TX + "DROP INDEX CONCURRENTLY public.accounts_old;",
    "0011_reindex.sql": _NO_TX + "REINDEX INDEX CONCURRENTLY public.accounts_amount;",
    "0012_detach.sql": _NO_TX + "ALTER TABLE public.events DETACH PARTITION public.events_3 CONCURRENTLY;",
    "0013_vacuum.sql": _NO_TX + "VACUUM (ANALYZE) public.accounts;",
    "0014_backfill.sql": """
        UPDATE public.accounts SET amount = amount + 1;
        ALTER TABLE public.accounts ALTER COLUMN email SET NOT NULL;
    """,
    "0015_path_of_new_sessions.sql": """
        CREATE SCHEMA aside;
        DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET search_path = aside, public', current_database());
        END $$;
    """,
    "0016_on_that_path.sql": "CREATE TABLE on_that_path (a integer);",
}

# One concurrent statement a file, on a table that a test can hold. `slowly` lets it stop a build in the midst.
MID_BUILD = {
    "0001_things.sql": """
        CREATE TABLE public.marks (file text NOT NULL);
        CREATE FUNCTION public.slowly(value integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS
            $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711); RETURN value; END $$;
        CREATE TABLE public.things (a integer NOT NULL, b integer);
        INSERT INTO public.things SELECT g, g FROM generate_series(1, 200) AS g;
        CREATE INDEX things_old ON public.things (b);
        CREATE INDEX things_again ON public.things (b, a);
        CREATE TABLE public.papers (a integer CONSTRAINT papers_pkey PRIMARY KEY, words text);
        INSERT INTO public.papers VALUES (1, 'one');
        CREATE TABLE public.parts (a integer NOT NULL) PARTITION BY RANGE (a);
        CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (100);
        CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM (100) TO (200);
    """,
    "0002_build.sql": _NO_TX + "CREATE UNIQUE INDEX CONCURRENTLY things_a ON public.things (public.slowly(a));",
    "0003_reindex.sql": _NO_TX + "REINDEX INDEX CONCURRENTLY public.things_again;",
    "0004_drop.sql": _NO_TX + "DROP INDEX CONCURRENTLY public.things_old;",
    "0005_detach.sql": _NO_TX + "ALTER TABLE public.parts DETACH PARTITION public.parts_2 CONCURRENTLY;",
    "0006_reindex_table.sql": _NO_TX + "REINDEX TABLE CONCURRENTLY public.papers;",
    "0007_after.sql": "UPDATE public.things SET b = b + 1;",
}


def write_folder(folder: Path, files: Mapping[str, str], *, up_to: int = 9999) -> Path:
    """Write migrations below a new folder, each ordinary one with its mark."""
    folder.mkdir()
    for name, text in files.items():
        if int(name[:4]) <= up_to:
            mark = "" if text.startswith(_NO_TX) else f"\nINSERT INTO public.marks VALUES ('{name}');\n"
            (folder / name).write_text(text + mark, encoding="utf-8", newline="")
    return folder
