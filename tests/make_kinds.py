"""A schema with at least one object of every kind; a superuser makes it.

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
CREATE SCHEMA brought;
CREATE EXTENSION citext SCHEMA brought VERSION '1.4';
COMMENT ON COLUMN public.a.x IS 'what it is';
""".replace(
    "CREATE EVENT TRIGGER",
    "CREATE FUNCTION public.et() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER",
)
