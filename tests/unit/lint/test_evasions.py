# ruff: noqa: E501 - SQL keeps its lines
"""D-24: no ordinary formatting hides a defect, and none makes one up.

The examples of every rule are laid out anew: other letter case, line breaks, comments (nested ones, too) between any two
tokens, at the top and inside bodies. What is found must not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_lints import lint, with_before

from scripts.lint.registry import RULES
from scripts.parser.statements import Token, scan_tokens

if TYPE_CHECKING:
    from scripts.lint.model import Rule

BLANKS = (
    " ",
    "\n",
    "\t",
    " /* a */ ",
    "/* b /* nested; DROP TABLE public.a CASCADE; */ COMMIT; */",
    " -- BEGIN; '\n",
    "\n\n  ",
)


def laid_out(text: str, draw: st.DataObject) -> str:
    """The same SQL in another layout; a no_tx marker stays where it is."""
    marker = "-- symphony:no_tx\n" if text.startswith("-- symphony:no_tx\n") else ""
    pieces = [marker]
    end = len(marker)
    text_tokens = [token for token in scan_tokens(text) if token.start >= end]
    for token in text_tokens:
        if token.is_comment:
            continue
        touching = token.start == end and pieces[-1] != marker
        # Tokens that touch may be one operator or name with its dot; those may be taken apart, too, but not signs.
        if not touching or token.text in (".", "(", ")", ",", ";"):
            pieces.append(draw.draw(st.sampled_from(BLANKS)))
        pieces.append(_spelled(token, draw))
        end = token.end
    return "".join(pieces)


def _spelled(token: Token, draw: st.DataObject) -> str:
    if token.text.startswith("$") and token.text.count("$") >= 4:
        tag = token.text[: token.text.index("$", 1) + 1]
        body = token.text[len(tag) : -len(tag)]
        return f"{tag}{laid_out(body, draw)}\n{tag}" if _is_code(body) else token.text
    if token.text.isascii() and token.text.replace("_", "").isalnum() and token.text[0].isalpha():
        return draw.draw(st.sampled_from((token.text.lower(), token.text.upper(), token.text.title())))
    return token.text


def _is_code(body: str) -> bool:
    return "BEGIN" in body


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@settings(max_examples=15)
@given(data=st.data())
def test_layout_hides_nothing(rule: Rule, data: st.DataObject) -> None:
    """D-24: letter case, line breaks and comments change the place of a finding and nothing else."""
    *before, red = with_before(rule, rule.red)
    texts = [*before, laid_out(red, data)]

    assert [(f.object, f.message) for f in lint(rule, *texts)] == [
        (f.object, f.message) for f in lint(rule, *before, red)
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@settings(max_examples=15)
@given(data=st.data())
def test_layout_makes_nothing_up(rule: Rule, data: st.DataObject) -> None:
    """D-24: what is right stays right, whatever its comments say."""
    *before, green = with_before(rule, rule.green)

    assert lint(rule, *before, laid_out(green, data)) == []


WRAPPERS = {
    "several statements on a line": "SELECT 1; {sql}",
    "DO block": "DO $wrap$ BEGIN {sql} END $wrap$;",
    "DO block, language first": "DO LANGUAGE plpgsql $wrap$ DECLARE x int; BEGIN IF true THEN {sql} END IF; END $wrap$;",
    "constant EXECUTE": "DO $wrap$ BEGIN EXECUTE $exec${sql}$exec$; END $wrap$;",
    "EXECUTE of joined constants": "DO $wrap$ BEGIN EXECUTE $exec${sql}$exec$ || ''; END $wrap$;",
    "handler": "DO $wrap$ BEGIN NULL; EXCEPTION WHEN others THEN {sql} END $wrap$;",
    "loop": "DO $wrap$ BEGIN FOR i IN 1..2 LOOP {sql} END LOOP; END $wrap$;",
    "DO in DO": "DO $wrap$ BEGIN DO $wrap2$ BEGIN {sql} END $wrap2$; END $wrap$;",
    "EXECUTE of a DO": "DO $wrap$ BEGIN EXECUTE $exec$DO $wrap2$ BEGIN {sql} END $wrap2$$exec$; END $wrap$;",
}
# One statement each that migrating must not run, wherever it stands.
STATEMENTS = {
    "drop-existing": "DROP TABLE public.a;",
    "truncate-existing": "TRUNCATE public.a;",
    "cascade": "DROP TABLE public.z CASCADE;",
    "set-not-null": "ALTER TABLE public.a ALTER id SET NOT NULL;",
    "required-column": "ALTER TABLE public.a ADD c text NOT NULL;",
    "rename": "ALTER TABLE public.a RENAME TO b;",
    "blocking-index": "CREATE INDEX i ON public.a (id);",
    "validated-constraint": "ALTER TABLE public.a ADD CHECK (id > 0);",
    "inline-unique": "ALTER TABLE public.a ADD UNIQUE (id);",
    "rewriting-column": "ALTER TABLE public.a ADD c bigserial;",
    "heavy-maintenance": "LOCK TABLE public.a;",
    "lock-timeout": "ALTER TABLE public.a ADD c text;",
    "second-table-lock": "CREATE TABLE public.c (x bigint REFERENCES public.a);",
    "key-type-change": "ALTER TABLE public.a ALTER id TYPE text;",
    "public-grant": "GRANT SELECT ON public.a TO PUBLIC;",
    "schema-create-grant": "GRANT CREATE ON SCHEMA public TO app;",
    "broad-grant": "GRANT TRIGGER ON public.a TO app;",
    "role-power": "CREATE ROLE r LOGIN;",
    "trigger-switch": "ALTER TABLE public.a DISABLE TRIGGER ALL;",
    "data-change": "UPDATE public.a SET id = 2;",
    "existence-test": "CREATE TABLE IF NOT EXISTS public.c (x int);",
    "session-setting": "SET search_path = x;",
    "long-lock-timeout": "SET LOCAL lock_timeout = '1h';",
    "new-rule": "CREATE RULE r AS ON INSERT TO public.a DO INSTEAD NOTHING;",
    "row-security": "ALTER TABLE public.a ENABLE ROW LEVEL SECURITY;",
    "replaced-trigger": "CREATE OR REPLACE TRIGGER g BEFORE INSERT ON public.a EXECUTE FUNCTION public.g();",
    "foreign-code": "CREATE EXTENSION pgcrypto;",
    "owner-change": "ALTER TABLE public.a OWNER TO app;",
    "revoked-grant": "REVOKE ALL ON public.a FROM old;",
    "client-stream": "COPY public.a FROM PROGRAM 'x';",
    "lasting-setting": "ALTER ROLE app SET search_path = public;",
    "definer-search-path": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';",
    "function-execute": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql RETURN 1;",
    "unqualified-name": "INSERT INTO t VALUES (1);",
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
@pytest.mark.parametrize("rule", STATEMENTS, ids=str)
def test_no_place_is_out_of_sight(rule: str, wrapper: str) -> None:
    """D-24: in a DO block, a constant string or behind another statement, a defect is the same defect."""
    before = "CREATE TABLE public.a (id bigint PRIMARY KEY); GRANT SELECT ON public.a TO old;"

    assert len(lint(rule, before, wrapper.format(sql=STATEMENTS[rule]))) == 1


FALSE_ALARMS = {
    "words in comments": "-- DROP TABLE public.a; COMMIT; GRANT ALL ON x TO PUBLIC\n/* TRUNCATE public.a; */ SELECT 1;",
    "words in strings": "SELECT 'DROP TABLE public.a; COMMIT', $$GRANT ALL ON x TO PUBLIC; TRUNCATE a$$, E'\\'; BEGIN';",
    "words in names": 'CREATE TABLE public."drop table; commit" ("truncate" text, "create index concurrently" text);',
    "comment on the marker": "-- about symphony:no_tx and CREATE INDEX CONCURRENTLY\nSELECT 1;",
    "CASE … END in a body": "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql\n"
    "RETURN CASE a WHEN 1 THEN 2 ELSE 3 END; REVOKE ALL ON FUNCTION public.f FROM PUBLIC;",
    "a table of this file": "CREATE TABLE public.n (id int); CREATE INDEX n_i ON public.n (id);\n"
    "ALTER TABLE public.n ADD CHECK (id > 0), ALTER id SET NOT NULL, ADD u uuid DEFAULT gen_random_uuid();\n"
    "UPDATE public.n SET id = 1; ALTER TABLE public.n DROP COLUMN u; TRUNCATE public.n; DROP TABLE public.n;",
    "safe forms on an old table": "SET LOCAL lock_timeout TO '2s';\nALTER TABLE public.a ADD c text DEFAULT 'x' NOT NULL,\n"
    "  ADD d timestamptz DEFAULT now(), ADD CONSTRAINT k CHECK (id > 0) NOT VALID,\n"
    "  ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES public.a (id) NOT VALID, ALTER b TYPE text, ALTER b SET STATISTICS 5;",
    "validation by itself": "ALTER TABLE public.a VALIDATE CONSTRAINT k;",
    "WITH, aliases and functions in FROM": "WITH RECURSIVE w AS (SELECT 1 AS x UNION SELECT x + 1 FROM w) SELECT count(*),\n"
    "  coalesce(max(q.x), 0) FROM w AS q, generate_series(1, 2) AS g, LATERAL (SELECT q.x) AS l;",
    "special forms of the grammar": "SELECT extract(year FROM now()), trim(both ' ' FROM 'x'), position('a' IN 'b'), current_user,\n"
    "  '1 day'::interval, ARRAY[1]::int[], nullif(1, 2), greatest(1, 2), 'pg_catalog.pg_class'::regclass;",
    "variables of PL/pgSQL": "DO $$ DECLARE r public.a%ROWTYPE; n CONSTANT integer NOT NULL := 1; t text[]; c CURSOR FOR SELECT 1;\n"
    "BEGIN SELECT * INTO STRICT r FROM public.a WHERE id = n; r.b := lower(r.b); t[1] := r.b; END $$;",
    "a replacement that takes the old calls": "DROP FUNCTION public.f(int);\nCREATE FUNCTION public.f(a int, b text DEFAULT '')\n"
    "  RETURNS int LANGUAGE sql RETURN 1;\nREVOKE EXECUTE ON FUNCTION public.f(int, text) FROM PUBLIC;",
    "a trigger that comes back": "SET LOCAL lock_timeout = '1s'; DROP TRIGGER g ON public.a;\n"
    "CREATE TRIGGER g BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.g();",
    "a constraint that comes back": "SET LOCAL lock_timeout = '1s'; ALTER TABLE public.a DROP CONSTRAINT k,\n"
    "  ADD CONSTRAINT k CHECK (id > 1) NOT VALID;",
    "revoking": "REVOKE ALL ON public.a FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC;\nALTER ROLE app NOLOGIN NOSUPERUSER;",
    "rules and row security of a table of this file": "CREATE TABLE public.n (id int); ALTER TABLE public.n ENABLE ROW LEVEL SECURITY,\n"
    "  FORCE ROW LEVEL SECURITY; CREATE POLICY p ON public.n USING (true); CREATE RULE r AS ON UPDATE TO public.n DO INSTEAD NOTHING;\n"
    "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON public.n FOR EACH ROW EXECUTE FUNCTION public.g();",
    "what is taken and given back": "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM app; GRANT SELECT, INSERT ON public.a TO app;\n"
    "REVOKE GRANT OPTION FOR SELECT ON public.a FROM app; REVOKE DELETE ON public.a FROM app; REVOKE SELECT ON public.a FROM new;",
    "a budget counted down": "SET LOCAL lock_timeout = '100ms'; ALTER TABLE public.a ADD c text;\nSELECT set_config('a.b', now()::text, true);",
    "transition tables": "CREATE TABLE public.n (id int); CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql\n"
    "  SET search_path = pg_catalog, public, pg_temp AS $$ BEGIN PERFORM 1 FROM fresh; RETURN NULL; END $$;\n"
    "REVOKE ALL ON FUNCTION public.tr() FROM PUBLIC;\nCREATE TRIGGER t AFTER INSERT ON public.n REFERENCING NEW TABLE AS fresh\n"
    "  FOR EACH STATEMENT EXECUTE FUNCTION public.tr();",
    "temporary tables": "CREATE TEMPORARY TABLE scratch (id int); INSERT INTO pg_temp.scratch VALUES (1);",
    "raising again": "DO $$ BEGIN NULL; EXCEPTION WHEN unique_violation OR internal_error THEN RAISE; END $$;",
    "raising by name and by code": "DO $$ BEGIN RAISE NOTICE 'x'; RAISE check_violation USING MESSAGE = 'x'; RAISE EXCEPTION USING\n"
    "  ERRCODE = 'unique_violation', MESSAGE = 'x'; RAISE SQLSTATE '22012'; END $$;",
    "settings for the transaction": "SET LOCAL lock_timeout = '1s'; SELECT set_config('a.b', 'c', true);",
    "a name of 63 bytes": f"SELECT 1 AS {'x' * 63};",
}
EXISTING = (
    "CREATE TABLE public.a (id bigint PRIMARY KEY, b varchar(10), CONSTRAINT k CHECK (id > 0));\n"
    "CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE sql RETURN 1; REVOKE ALL ON FUNCTION public.f(int) FROM PUBLIC;\n"
    "CREATE TRIGGER g BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.g();\n"
    "GRANT SELECT, INSERT ON public.a TO app;"
)


@pytest.mark.parametrize("sql", FALSE_ALARMS.values(), ids=FALSE_ALARMS.keys())
def test_right_sql_raises_no_alarm(sql: str) -> None:
    """D-24: not one of all rules finds anything in SQL that is right."""
    findings = [f for rule in RULES if rule.id != "sqlstate-used" for f in lint(rule, EXISTING, sql)]

    assert [str(finding) for finding in findings] == []
