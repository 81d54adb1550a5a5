"""A schema with an object of every kind, and one change after another to it, each with the object it must be told by.

`{n}` stands for something of the test's own, since roles belong to the whole server.
"""

from __future__ import annotations

BASE = """
CREATE ROLE fp_reader_{n} NOLOGIN;
CREATE TYPE public.mood AS ENUM ('good', 'bad');
CREATE DOMAIN public.name AS text CHECK (VALUE <> '');
CREATE TYPE public.pair AS (a int, b int);
CREATE TYPE public.span AS RANGE (subtype = int4);
CREATE TABLE public.a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text NOT NULL,
  y numeric(10, 2) DEFAULT 1.5, z int GENERATED ALWAYS AS (length(x)) STORED,
  v int GENERATED ALWAYS AS (1 + 1) VIRTUAL, m public.mood,
  CONSTRAINT a_y_check CHECK (y > 0)) WITH (fillfactor = 80);
CREATE TABLE public.b (id bigint CONSTRAINT b_fk REFERENCES public.a DEFERRABLE, x text);
CREATE TABLE public."C d" ("E f" text COLLATE "C");
CREATE TABLE public.part (a int, t timestamptz) PARTITION BY RANGE (t);
CREATE TABLE public.part_1 PARTITION OF public.part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX a_x ON public.a (lower(x)) WHERE y > 1;
CREATE INDEX part_a ON public.part (a);
CREATE VIEW public.v AS SELECT id, x FROM public.a;
CREATE MATERIALIZED VIEW public.mv AS SELECT 1 AS one;
CREATE SEQUENCE public.seq;
CREATE FUNCTION public.f(p int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 'first';  -- one
  PERFORM 'second';
  RETURN p;
END $$;
CREATE FUNCTION public.tg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE PROCEDURE public.p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
CREATE AGGREGATE public.agg (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.tg();
CREATE RULE r AS ON DELETE TO public.b DO INSTEAD NOTHING;
ALTER TABLE public.b ENABLE ROW LEVEL SECURITY;
CREATE POLICY pol ON public.b TO fp_reader_{n} USING (id > 1);
CREATE STATISTICS public.st ON id, x FROM public.a;
CREATE PUBLICATION pub_a FOR TABLE public.a;
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq);
CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION public.et();
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO fp_reader_{n};
GRANT SELECT ON public.a TO fp_reader_{n};
CREATE ROLE fp_group_{n} NOLOGIN;
CREATE ROLE fp_super_{n} SUPERUSER;
CREATE SCHEMA side;
CREATE VIEW public.lit AS SELECT 'one' AS l WHERE 1 < 2;
CREATE TRIGGER w BEFORE UPDATE ON public.a FOR EACH ROW WHEN (new.id > 1) EXECUTE FUNCTION public.tg();
CREATE TABLE public.c (id int NOT NULL, k int, CONSTRAINT c_k UNIQUE (k) DEFERRABLE, note text,
  virt int GENERATED ALWAYS AS (k + 1) VIRTUAL);
CREATE SEQUENCE public.owned OWNED BY public.c.k;
CREATE FUNCTION public.series() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.less(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN $1 < $2;
CREATE FUNCTION public.to_pair(text) RETURNS public.pair LANGUAGE sql IMMUTABLE RETURN ROW(1, 2)::public.pair;
CREATE CAST (text AS public.pair) WITH FUNCTION public.to_pair(text);
CREATE COLLATION public.col (provider = builtin, locale = 'C');
CREATE CONVERSION public.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE OPERATOR CLASS public.ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
CREATE TRUSTED LANGUAGE lang HANDLER plpgsql_call_handler VALIDATOR plpgsql_validator;
CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE TEXT SEARCH DICTIONARY public.dict (TEMPLATE = pg_catalog.simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION public.conf (PARSER = pg_catalog."default");
ALTER TEXT SEARCH CONFIGURATION public.conf ADD MAPPING FOR word WITH public.dict;
CREATE TEXT SEARCH PARSER public.prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
  LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE public.tmpl (LEXIZE = dsimple_lexize);
CREATE FOREIGN DATA WRAPPER fdw OPTIONS (debug 'true');
CREATE SERVER srv FOREIGN DATA WRAPPER fdw OPTIONS (host 'one', sslpassword 'hush');
CREATE FOREIGN TABLE public.ft (a int) SERVER srv OPTIONS (name 'one');
CREATE TYPE public.base;
CREATE FUNCTION public.base_in(cstring) RETURNS public.base LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION public.base_out(public.base) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE public.base (INPUT = public.base_in, OUTPUT = public.base_out, LIKE = int4);
COMMENT ON COLUMN public.a.x IS 'what it is';
""".replace(
    "CREATE EVENT TRIGGER",
    "CREATE FUNCTION public.et() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER",
)

# What changes it, and the object (kind and name) that the comparison must name.
CHANGES = {
    "ALTER TABLE public.a ALTER x DROP NOT NULL": "column public.a.x",
    "ALTER TABLE public.a DROP COLUMN x CASCADE; ALTER TABLE public.b ADD COLUMN y text": "column public.b.y",
    "ALTER TABLE public.a ALTER y SET DEFAULT 1.50": "column public.a.y",
    "ALTER TABLE public.a ALTER y TYPE numeric(11, 2)": "column public.a.y",
    "ALTER TABLE public.a ALTER x SET STORAGE external": "column public.a.x",
    "ALTER TABLE public.a ALTER x SET COMPRESSION pglz": "column public.a.x",
    "ALTER TABLE public.a ALTER x SET STATISTICS 50": "column public.a.x",
    "ALTER TABLE public.a ALTER id SET GENERATED BY DEFAULT": "column public.a.id",
    "ALTER TABLE public.a ALTER z DROP EXPRESSION": "column public.a.z",
    "GRANT UPDATE (x) ON public.a TO fp_reader_{n}": "column public.a.x",
    "COMMENT ON COLUMN public.a.x IS 'something else'": "column public.a.x",
    "ALTER TABLE public.a RENAME x TO xx": "column public.a.xx",
    "ALTER TABLE public.a DROP CONSTRAINT a_y_check; ALTER TABLE public.a ADD CONSTRAINT a_y_check CHECK (y > 1)":
        "constraint public.a.a_y_check",
    "ALTER TABLE public.a DROP CONSTRAINT a_y_check, ADD CONSTRAINT a_y_check CHECK (y > 0) NOT VALID":
        "constraint public.a.a_y_check",
    "ALTER TABLE public.a DROP CONSTRAINT a_y_check, ADD CONSTRAINT a_y_check CHECK (y > 0) NOT ENFORCED":
        "constraint public.a.a_y_check",
    "ALTER TABLE public.b ALTER CONSTRAINT b_fk INITIALLY DEFERRED": "constraint public.b.b_fk",
    "ALTER TABLE public.b ALTER CONSTRAINT b_fk NOT ENFORCED": "constraint public.b.b_fk",
    "ALTER TABLE public.b DISABLE TRIGGER ALL": "constraint public.b.b_fk",
    "ALTER DOMAIN public.name DROP CONSTRAINT name_check": "constraint public.name.name_check",
    "ALTER DOMAIN public.name SET NOT NULL": "domain public.name",
    "ALTER TYPE public.mood ADD VALUE 'so so'": "enum public.mood",
    "ALTER TYPE public.mood RENAME VALUE 'bad' TO 'worse'": "enum public.mood",
    "DROP TYPE public.mood CASCADE; CREATE TYPE public.mood AS ENUM ('bad', 'good')": "enum public.mood",
    "ALTER TYPE public.pair ADD ATTRIBUTE c int": "column public.pair.c",
    "REVOKE USAGE ON TYPE public.mood FROM PUBLIC": "enum public.mood",
    "DROP INDEX public.a_x; CREATE INDEX a_x ON public.a (lower(x)) WHERE y > 2": "index public.a_x",
    "ALTER INDEX public.a_x SET (fillfactor = 50)": "index public.a_x",
    "ALTER TABLE public.a CLUSTER ON a_pkey": "index public.a_pkey",
    "ALTER TABLE public.a SET (fillfactor = 90)": "table public.a",
    'ALTER TABLE public."C d" SET UNLOGGED': 'table public."C d"',
    "ALTER TABLE public.a REPLICA IDENTITY FULL": "table public.a",
    "ALTER TABLE public.a OWNER TO pg_monitor": "table public.a",
    "ALTER TABLE public.a ENABLE ROW LEVEL SECURITY": "table public.a",
    "ALTER TABLE public.a FORCE ROW LEVEL SECURITY": "table public.a",
    "GRANT SELECT ON public.a TO PUBLIC": "table public.a",
    "GRANT SELECT ON public.a TO fp_reader_{n} WITH GRANT OPTION": "table public.a",
    "GRANT MAINTAIN ON public.a TO fp_reader_{n}": "table public.a",
    "REVOKE DELETE ON public.a FROM CURRENT_USER": "table public.a",
    "COMMENT ON TABLE public.a IS 'x'": "table public.a",
    "ALTER TABLE public.a DISABLE TRIGGER t": "trigger public.a.t",
    "ALTER TABLE public.a ENABLE ALWAYS TRIGGER t": "trigger public.a.t",
    "DROP TRIGGER t ON public.a; CREATE TRIGGER t BEFORE UPDATE ON public.a FOR EACH ROW EXECUTE FUNCTION public.tg()":
        "trigger public.a.t",
    "CREATE OR REPLACE FUNCTION public.f(p int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
    "  PERFORM 'second';\n  PERFORM 'first';  -- one\n  RETURN p;\nEND $$": "function public.f(p integer)",
    "CREATE OR REPLACE FUNCTION public.f(p int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
    "  PERFORM 'first';  -- two\n  PERFORM 'second';\n  RETURN p;\nEND $$": "function public.f(p integer)",
    "ALTER FUNCTION public.f SECURITY DEFINER": "function public.f(p integer)",
    "ALTER FUNCTION public.f SET search_path = pg_catalog, pg_temp": "function public.f(p integer)",
    "ALTER FUNCTION public.f STABLE": "function public.f(p integer)",
    "ALTER FUNCTION public.f STRICT": "function public.f(p integer)",
    "ALTER FUNCTION public.f PARALLEL SAFE": "function public.f(p integer)",
    "ALTER FUNCTION public.f LEAKPROOF": "function public.f(p integer)",
    "ALTER FUNCTION public.f COST 7": "function public.f(p integer)",
    "REVOKE EXECUTE ON FUNCTION public.f FROM PUBLIC": "function public.f(p integer)",
    "CREATE OR REPLACE FUNCTION public.f(p int DEFAULT 2) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
    "  PERFORM 'first';  -- one\n  PERFORM 'second';\n  RETURN p;\nEND $$": "function public.f(p integer)",
    "CREATE OR REPLACE PROCEDURE public.p() LANGUAGE sql BEGIN ATOMIC SELECT 2; END": "procedure public.p()",
    "CREATE OR REPLACE AGGREGATE public.agg (int) (SFUNC = int4pl, STYPE = int, INITCOND = '1')":
        "aggregate public.agg(integer)",
    "CREATE OR REPLACE VIEW public.v AS SELECT id, lower(x) AS x FROM public.a": "view public.v",
    "ALTER VIEW public.v SET (security_invoker = true)": "view public.v",
    "REFRESH MATERIALIZED VIEW public.mv WITH NO DATA": "materialized view public.mv",
    "ALTER SEQUENCE public.seq MAXVALUE 10": "sequence public.seq",
    "ALTER SEQUENCE public.seq OWNED BY public.a.x": "sequence public.seq",
    "ALTER POLICY pol ON public.b USING (id > 2)": "policy public.b.pol",
    "ALTER POLICY pol ON public.b TO PUBLIC": "policy public.b.pol",
    "CREATE OR REPLACE RULE r AS ON DELETE TO public.b DO ALSO NOTHING": "rule public.b.r",
    "ALTER TABLE public.b DISABLE RULE r": "rule public.b.r",
    "ALTER STATISTICS public.st SET STATISTICS 10": "statistics public.st",
    "ALTER PUBLICATION pub_a SET (publish = 'insert')": "publication pub_a",
    "ALTER PUBLICATION pub_a ADD TABLE public.b": "publication pub_a",
    "ALTER EVENT TRIGGER et DISABLE": "event trigger et",
    "DROP OPERATOR public.=== (int, int)": "operator public.===(integer,integer)",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO fp_reader_{n}":
        "default privileges <owner> in public tables",
    "GRANT CREATE ON SCHEMA public TO PUBLIC": "schema public",
    "CREATE SCHEMA s": "schema s",
    "ALTER TABLE public.part DETACH PARTITION public.part_1": "table public.part_1",
    # Literals.
    "CREATE OR REPLACE VIEW public.lit AS SELECT 'two' AS l WHERE 1 < 2": "view public.lit",
    "CREATE OR REPLACE VIEW public.lit AS SELECT 'one' AS l WHERE 1 < 3": "view public.lit",
    "ALTER TABLE public.c ALTER virt SET EXPRESSION AS (k + 2)": "column public.c.virt",
    "ALTER TABLE public.a ALTER z SET EXPRESSION AS (length(x) + 1)": "column public.a.z",
    "DROP TRIGGER w ON public.a; CREATE TRIGGER w BEFORE UPDATE ON public.a FOR EACH ROW WHEN (new.id > 2)"
    " EXECUTE FUNCTION public.tg()": "trigger public.a.w",
    "ALTER TABLE public.part DETACH PARTITION public.part_1; ALTER TABLE public.part ATTACH PARTITION public.part_1"
    " FOR VALUES FROM ('2024-01-01') TO ('2024-06-01')": "table public.part_1",
    "ALTER POLICY pol ON public.b WITH CHECK (id > 1)": "policy public.b.pol",
    # Privileges.
    "GRANT USAGE ON SEQUENCE public.seq TO fp_reader_{n}": "sequence public.seq",
    "GRANT USAGE ON DOMAIN public.name TO fp_reader_{n} WITH GRANT OPTION": "domain public.name",
    "GRANT USAGE ON TYPE public.a TO fp_reader_{n}": "table public.a",
    "GRANT EXECUTE ON PROCEDURE public.p() TO fp_reader_{n} WITH GRANT OPTION": "procedure public.p()",
    "GRANT USAGE ON SCHEMA side TO fp_reader_{n}": "schema side",
    "GRANT USAGE ON LANGUAGE lang TO fp_reader_{n} WITH GRANT OPTION": "language lang",
    "GRANT USAGE ON FOREIGN DATA WRAPPER fdw TO fp_reader_{n}": "foreign-data wrapper fdw",
    "GRANT USAGE ON FOREIGN SERVER srv TO fp_reader_{n}": "foreign server srv",
    "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO fp_reader_{n}": "default privileges <owner> schemas",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC": "default privileges <owner> functions",
    "GRANT fp_group_{n} TO fp_reader_{n}": "role fp_reader_{n}",
    "GRANT fp_group_{n} TO fp_reader_{n} WITH INHERIT FALSE, SET FALSE": "role fp_reader_{n}",
    "GRANT fp_group_{n} TO fp_reader_{n} WITH ADMIN OPTION": "role fp_reader_{n}",
    "GRANT pg_read_all_data TO fp_reader_{n}": "role fp_reader_{n}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO fp_reader_{n}":
        "system object pg_catalog.pg_read_file(pg_catalog.text)",
    "REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC": "system object pg_catalog.pg_class",
    "GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO fp_reader_{n}":
        "system object pg_catalog.pg_authid.rolpassword",
    "GRANT CREATE ON SCHEMA pg_catalog TO fp_reader_{n}": "system object pg_catalog",
    "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC": "system object plpgsql",
    "REVOKE USAGE ON TYPE pg_catalog.int4 FROM PUBLIC": "system object integer",
    "CREATE FUNCTION pg_catalog.lower(int) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$":
        "function pg_catalog.lower(integer)",
    # Owners.
    "ALTER FUNCTION public.f OWNER TO fp_reader_{n}": "function public.f(p integer)",
    "ALTER SCHEMA side OWNER TO fp_reader_{n}": "schema side",
    "ALTER SEQUENCE public.seq OWNER TO fp_reader_{n}": "sequence public.seq",
    "ALTER TYPE public.mood OWNER TO fp_reader_{n}": "enum public.mood",
    "ALTER TYPE public.pair OWNER TO fp_reader_{n}": "composite type public.pair",
    "ALTER VIEW public.v OWNER TO fp_reader_{n}": "view public.v",
    "ALTER STATISTICS public.st OWNER TO fp_reader_{n}": "statistics public.st",
    "ALTER OPERATOR public.=== (int, int) OWNER TO fp_reader_{n}": "operator public.===(integer,integer)",
    "ALTER COLLATION public.col OWNER TO fp_reader_{n}": "collation public.col",
    "ALTER CONVERSION public.conv OWNER TO fp_reader_{n}": "conversion public.conv",
    "ALTER SERVER srv OWNER TO fp_super_{n}": "foreign server srv",
    # Enabled states.
    "ALTER TABLE public.a ENABLE REPLICA TRIGGER t": "trigger public.a.t",
    "ALTER TABLE public.b ENABLE ALWAYS RULE r": "rule public.b.r",
    "ALTER TABLE public.b ENABLE REPLICA RULE r": "rule public.b.r",
    "ALTER EVENT TRIGGER et ENABLE REPLICA": "event trigger et",
    "ALTER EVENT TRIGGER et ENABLE ALWAYS": "event trigger et",
    "ALTER TABLE public.c DISABLE TRIGGER ALL": "constraint public.c.c_k",
    # Storage and planning.
    "ALTER TABLE public.a SET (toast.autovacuum_enabled = false)": "table public.a",
    "ALTER TABLE public.a SET (autovacuum_vacuum_scale_factor = 0.5)": "table public.a",
    "ALTER TABLE public.a ALTER x SET (n_distinct = 5)": "column public.a.x",
    "ALTER INDEX public.a_x ALTER COLUMN 1 SET STATISTICS 100": "index public.a_x",
    "ALTER TABLE public.a SET ACCESS METHOD am": "table public.a",
    'ALTER TABLE public."C d" ALTER "E f" TYPE text COLLATE "POSIX"': 'column public."C d"."E f"',
    # Constraints and identity.
    "ALTER TABLE public.c DROP CONSTRAINT c_k, ADD CONSTRAINT c_k UNIQUE (k)": "constraint public.c.c_k",
    "ALTER TABLE public.b ALTER CONSTRAINT b_fk NOT DEFERRABLE": "constraint public.b.b_fk",
    "ALTER TABLE public.c ALTER id DROP NOT NULL;"
    " ALTER TABLE public.c ADD CONSTRAINT c_id_not_null NOT NULL id NOT VALID":
        "constraint public.c.c_id_not_null",
    "ALTER TABLE public.a REPLICA IDENTITY NOTHING": "table public.a",
    "ALTER TABLE public.a REPLICA IDENTITY USING INDEX a_pkey": "index public.a_pkey",
    "ALTER TABLE public.a ALTER id SET INCREMENT BY 2": "sequence public.a_id_seq",
    "ALTER TABLE public.a ALTER id DROP IDENTITY": "column public.a.id",
    "ALTER SEQUENCE public.seq CACHE 5": "sequence public.seq",
    "ALTER SEQUENCE public.seq CYCLE": "sequence public.seq",
    "ALTER SEQUENCE public.seq START 3": "sequence public.seq",
    "ALTER SEQUENCE public.seq AS int": "sequence public.seq",
    "ALTER SEQUENCE public.seq SET UNLOGGED": "sequence public.seq",
    "ALTER SEQUENCE public.owned OWNED BY NONE": "sequence public.owned",
    # Publications.
    "ALTER PUBLICATION pub_a SET TABLE public.a WHERE (id > 1)": "publication pub_a",
    "ALTER PUBLICATION pub_a SET TABLE public.a (id, x)": "publication pub_a",
    "ALTER PUBLICATION pub_a ADD TABLES IN SCHEMA side": "publication pub_a",
    # Functions.
    "ALTER FUNCTION public.series ROWS 7": "function public.series()",
    "ALTER FUNCTION public.f RESET ALL; ALTER FUNCTION public.f SET work_mem = '1MB'": "function public.f(p integer)",
    "CREATE OR REPLACE AGGREGATE public.agg (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', COMBINEFUNC = int4pl)":
        "aggregate public.agg(integer)",
    # Rarer kinds.
    "ALTER OPERATOR public.=== (int, int) SET (RESTRICT = eqsel)": "operator public.===(integer,integer)",
    "ALTER OPERATOR public.=== (int, int) SET (HASHES)": "operator public.===(integer,integer)",
    "ALTER OPERATOR FAMILY public.ops USING btree ADD FUNCTION 1 (int, int8) btint48cmp(int, int8)":
        "operator family public.ops USING btree",
    "ALTER OPERATOR FAMILY public.ops USING btree ADD OPERATOR 1 < (int, int8)":
        "operator family public.ops USING btree",
    "DROP OPERATOR CLASS public.ops USING btree; CREATE OPERATOR CLASS public.ops FOR TYPE int8 USING btree FAMILY"
    " public.ops AS OPERATOR 1 <, FUNCTION 1 btint8cmp(int8, int8)": "operator class public.ops USING btree",
    "DROP CAST (text AS public.pair); CREATE CAST (text AS public.pair) WITH FUNCTION public.to_pair(text) AS IMPLICIT":
        "cast (pg_catalog.text AS public.pair)",
    "DROP COLLATION public.col; CREATE COLLATION public.col (provider = builtin, locale = 'C.UTF-8')":
        "collation public.col",
    "DROP CONVERSION public.conv; CREATE DEFAULT CONVERSION public.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8":
        "conversion public.conv",
    "DROP LANGUAGE lang; CREATE LANGUAGE lang HANDLER plpgsql_call_handler VALIDATOR plpgsql_validator":
        "language lang",
    "DROP ACCESS METHOD am; CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler": "access method am",
    "CREATE OR REPLACE TRANSFORM FOR int LANGUAGE sql (TO SQL WITH FUNCTION int4recv(internal))":
        "transform for integer language sql",
    "ALTER TEXT SEARCH DICTIONARY public.dict (STOPWORDS = german)": "text search dictionary public.dict",
    "ALTER TEXT SEARCH CONFIGURATION public.conf ALTER MAPPING FOR word WITH pg_catalog.simple":
        "text search configuration public.conf",
    "DROP TEXT SEARCH PARSER public.prs; CREATE TEXT SEARCH PARSER public.prs (START = prsd_start, END = prsd_end,"
    " GETTOKEN = prsd_nexttoken, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline)":
        "text search parser public.prs",
    "DROP TEXT SEARCH TEMPLATE public.tmpl; CREATE TEXT SEARCH TEMPLATE public.tmpl (LEXIZE = dsynonym_lexize)":
        "text search template public.tmpl",
    "ALTER FOREIGN DATA WRAPPER fdw OPTIONS (SET debug 'false')": "foreign-data wrapper fdw",
    "ALTER FOREIGN DATA WRAPPER fdw VALIDATOR postgresql_fdw_validator": "foreign-data wrapper fdw",
    "ALTER SERVER srv OPTIONS (SET host 'two')": "foreign server srv",
    "ALTER SERVER srv VERSION '2'": "foreign server srv",
    "ALTER FOREIGN TABLE public.ft OPTIONS (SET name 'two')": "foreign table public.ft",
    "ALTER TYPE public.base SET (STORAGE = plain, TYPMOD_IN = numerictypmodin)": "base type public.base",
    "DROP TYPE public.span; CREATE TYPE public.span AS RANGE (subtype = int4, subtype_diff = int4range_subdiff)":
        "range type public.span",
    # Owners and privileges of the rest.
    "ALTER AGGREGATE public.agg (int) OWNER TO fp_reader_{n}": "aggregate public.agg(integer)",
    "GRANT EXECUTE ON FUNCTION public.agg(int) TO fp_reader_{n} WITH GRANT OPTION": "aggregate public.agg(integer)",
    "ALTER DOMAIN public.name OWNER TO fp_reader_{n}": "domain public.name",
    "ALTER EVENT TRIGGER et OWNER TO fp_super_{n}": "event trigger et",
    "ALTER FOREIGN TABLE public.ft OWNER TO fp_reader_{n}": "foreign table public.ft",
    "GRANT INSERT ON public.ft TO fp_reader_{n}": "foreign table public.ft",
    "ALTER FOREIGN DATA WRAPPER fdw OWNER TO fp_super_{n}": "foreign-data wrapper fdw",
    "ALTER LANGUAGE lang OWNER TO fp_reader_{n}": "language lang",
    "ALTER MATERIALIZED VIEW public.mv OWNER TO fp_reader_{n}": "materialized view public.mv",
    "GRANT SELECT ON public.mv TO fp_reader_{n}": "materialized view public.mv",
    "GRANT SELECT ON public.v TO fp_reader_{n}": "view public.v",
    "ALTER OPERATOR CLASS public.ops USING btree OWNER TO fp_reader_{n}": "operator class public.ops USING btree",
    "ALTER OPERATOR FAMILY public.ops USING btree OWNER TO fp_reader_{n}": "operator family public.ops USING btree",
    "ALTER TABLE public.part OWNER TO fp_reader_{n}": "partitioned table public.part",
    "GRANT SELECT ON public.part TO fp_reader_{n}": "partitioned table public.part",
    "ALTER PROCEDURE public.p() OWNER TO fp_reader_{n}": "procedure public.p()",
    "ALTER PROCEDURE public.p() SECURITY DEFINER": "procedure public.p()",
    "ALTER PUBLICATION pub_a OWNER TO fp_super_{n}": "publication pub_a",
    "ALTER TYPE public.span OWNER TO fp_reader_{n}": "range type public.span",
    "GRANT USAGE ON TYPE public.span TO fp_reader_{n} WITH GRANT OPTION": "range type public.span",
    "ALTER TYPE public.base OWNER TO fp_reader_{n}": "base type public.base",
    "REVOKE USAGE ON TYPE public.base FROM PUBLIC": "base type public.base",
    "GRANT USAGE ON TYPE public.pair TO fp_reader_{n} WITH GRANT OPTION": "composite type public.pair",
    "ALTER TEXT SEARCH CONFIGURATION public.conf OWNER TO fp_reader_{n}": "text search configuration public.conf",
    "ALTER TEXT SEARCH DICTIONARY public.dict OWNER TO fp_reader_{n}": "text search dictionary public.dict",
    "REVOKE SELECT ON public.a FROM fp_reader_{n}": "table public.a",
    "ALTER ROLE fp_reader_{n} SUPERUSER": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} BYPASSRLS": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} CREATEDB": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} CREATEROLE": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} NOINHERIT": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} REPLICATION": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} CONNECTION LIMIT 3": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} VALID UNTIL '2030-01-01'": "role fp_reader_{n}",
    # Definitions of the rest: dropped and made again, the name is the same.
    "DROP MATERIALIZED VIEW public.mv; CREATE MATERIALIZED VIEW public.mv AS SELECT 2 AS one":
        "materialized view public.mv",
    "DROP TABLE public.part CASCADE; CREATE TABLE public.part (a int, t timestamptz) PARTITION BY RANGE (a)":
        "partitioned table public.part",
    "DROP POLICY pol ON public.b; CREATE POLICY pol ON public.b FOR SELECT TO fp_reader_{n} USING (id > 1)":
        "policy public.b.pol",
    "DROP POLICY pol ON public.b; CREATE POLICY pol ON public.b AS RESTRICTIVE TO fp_reader_{n} USING (id > 1)":
        "policy public.b.pol",
    "DROP OPERATOR public.=== (int, int);"
    " CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4pl)":
        "operator public.===(integer,integer)",
    "ALTER OPERATOR public.=== (int, int) SET (COMMUTATOR = OPERATOR(public.===), MERGES, JOIN = eqjoinsel)":
        "operator public.===(integer,integer)",
    "DROP CAST (text AS public.pair); CREATE CAST (text AS public.pair) WITH INOUT":
        "cast (pg_catalog.text AS public.pair)",
    "DROP COLLATION public.col; CREATE COLLATION public.col (provider = libc, locale = 'C')": "collation public.col",
    "DROP CONVERSION public.conv; CREATE CONVERSION public.conv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1":
        "conversion public.conv",
    "DROP DOMAIN public.name; CREATE DOMAIN public.name AS varchar CHECK (VALUE <> '')": "domain public.name",
    "ALTER DOMAIN public.name SET DEFAULT 'x'": "domain public.name",
    "DROP EVENT TRIGGER et; CREATE EVENT TRIGGER et ON sql_drop EXECUTE FUNCTION public.et()": "event trigger et",
    "DROP EVENT TRIGGER et; CREATE EVENT TRIGGER et ON ddl_command_end WHEN TAG IN ('CREATE TABLE')"
    " EXECUTE FUNCTION public.et()": "event trigger et",
    "CREATE FUNCTION public.et2() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; DROP EVENT TRIGGER et;"
    " CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION public.et2()": "event trigger et",
    "DROP SERVER srv CASCADE; CREATE FOREIGN DATA WRAPPER other; CREATE SERVER srv FOREIGN DATA WRAPPER other":
        "foreign server srv",
    "CREATE SERVER other FOREIGN DATA WRAPPER fdw; DROP FOREIGN TABLE public.ft;"
    " CREATE FOREIGN TABLE public.ft (a int) SERVER other OPTIONS (name 'one')": "foreign table public.ft",
    "DROP FUNCTION public.f(int); CREATE FUNCTION public.f(p int DEFAULT 1) RETURNS bigint LANGUAGE sql AS 'SELECT 1'":
        "function public.f(p integer)",
    "ALTER FUNCTION public.series SUPPORT pg_catalog.generate_series_int4_support": "function public.series()",
    "CREATE OR REPLACE FUNCTION public.less(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE TRANSFORM FOR TYPE int"
    " RETURN $1 < $2": "function public.less(integer, integer)",
    "CREATE FUNCTION public.tg2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
    " DROP TRIGGER t ON public.a; CREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.tg2()":
        "trigger public.a.t",
    "DROP INDEX public.a_x; CREATE UNIQUE INDEX a_x ON public.a (lower(x)) WHERE y > 1": "index public.a_x",
    "DROP INDEX public.a_x; CREATE INDEX a_x ON public.b (x)": "index public.a_x",
    "ALTER TABLE public.a DROP CONSTRAINT a_pkey CASCADE; ALTER TABLE public.a ADD CONSTRAINT a_pkey UNIQUE (id)":
        "constraint public.a.a_pkey",
    "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'public.a_x'::regclass": "index public.a_x",
    "UPDATE pg_catalog.pg_index SET indisready = false WHERE indexrelid = 'public.a_x'::regclass": "index public.a_x",
    "UPDATE pg_catalog.pg_index SET indislive = false WHERE indexrelid = 'public.a_x'::regclass": "index public.a_x",
    "UPDATE pg_catalog.pg_inherits SET inhdetachpending = true WHERE inhrelid = 'public.part_1'::regclass":
        "table public.part_1",
    "ALTER TABLE public.a DROP CONSTRAINT a_y_check, ADD CONSTRAINT a_y_check CHECK (y > 0) NO INHERIT":
        "constraint public.a.a_y_check",
    'CREATE TYPE public.shape AS ("E f" text COLLATE "C"); ALTER TABLE public."C d" OF public.shape':
        'table public."C d"',
    'CREATE TABLE public.above (); ALTER TABLE public."C d" INHERIT public.above': 'table public."C d"',
    "ALTER SEQUENCE public.seq MINVALUE -5": "sequence public.seq",
    "DROP PUBLICATION pub_a; CREATE PUBLICATION pub_a FOR ALL TABLES": "publication pub_a",
    "ALTER PUBLICATION pub_a SET (publish = 'update, delete, truncate')": "publication pub_a",
    "ALTER PUBLICATION pub_a SET (publish_via_partition_root = true)": "publication pub_a",
    "ALTER PUBLICATION pub_a SET (publish_generated_columns = stored)": "publication pub_a",
    "DROP AGGREGATE public.agg (int); CREATE AGGREGATE public.agg (int) (SFUNC = int4mul, STYPE = int, INITCOND = '0')":
        "aggregate public.agg(integer)",
    "DROP AGGREGATE public.agg (int); CREATE AGGREGATE public.agg (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0',"
    " MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int, MINITCOND = '0')": "aggregate public.agg(integer)",
    "DROP LANGUAGE lang; CREATE TRUSTED LANGUAGE lang HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler":
        "language lang",
    "DROP TYPE public.span; CREATE TYPE public.span AS RANGE (subtype = int8)": "range type public.span",
    # Comments.
    "COMMENT ON FUNCTION public.f IS 'x'": "function public.f(p integer)",
    "COMMENT ON INDEX public.a_x IS 'x'": "index public.a_x",
    "COMMENT ON CONSTRAINT b_fk ON public.b IS 'x'": "constraint public.b.b_fk",
    "COMMENT ON TRIGGER t ON public.a IS 'x'": "trigger public.a.t",
    "COMMENT ON POLICY pol ON public.b IS 'x'": "policy public.b.pol",
    "COMMENT ON RULE r ON public.b IS 'x'": "rule public.b.r",
    "COMMENT ON SCHEMA side IS 'x'": "schema side",
    "COMMENT ON TYPE public.pair IS 'x'": "composite type public.pair",
    "COMMENT ON TYPE public.a IS 'x'": "table public.a",
    "COMMENT ON DOMAIN public.name IS 'x'": "domain public.name",
    "COMMENT ON PUBLICATION pub_a IS 'x'": "publication pub_a",
    "COMMENT ON EVENT TRIGGER et IS 'x'": "event trigger et",
    "COMMENT ON SERVER srv IS 'x'": "foreign server srv",
    "COMMENT ON OPERATOR public.=== (int, int) IS 'x'": "operator public.===(integer,integer)",
    "COMMENT ON CAST (text AS public.pair) IS 'x'": "cast (pg_catalog.text AS public.pair)",
    "COMMENT ON ROLE fp_reader_{n} IS 'x'": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} IN DATABASE {n} SET work_mem = '1MB'": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} LOGIN": "role fp_reader_{n}",
    "ALTER ROLE fp_reader_{n} SET work_mem = '1MB'": "role fp_reader_{n}",
}  # fmt: skip

# Facts that have no change of their own above: they are the object's identity, or what they stand for is dropped first.
SEEN_OTHERWISE = {
    "aggregate": {"arguments", "cost", "language", "result", "security", "volatility"},
    "constraint": {"index"},
    "language": {"handler"},
    "operator class": {"family"},
    "procedure": {"arguments", "cost", "language", "volatility"},
    "text search configuration": {"parser"},
    "text search dictionary": {"template"},
    "text search parser": {"end", "start", "token", "types"},
}
