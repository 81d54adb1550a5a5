"""SQL inside bodies: every statement of DO blocks and functions, with its place in the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.parser.statements import BodyStatement, body_language, body_statements, parse_statements

FUNCTION = r"""-- é
CREATE FUNCTION public.p(a int, b text) RETURNS SETOF x LANGUAGE plpgsql SET search_path = 'a' AS $é$
#variable_conflict use_column
<<outer>>
DECLARE
  c CURSOR (k int) FOR SELECT * FROM t WHERE id = k;
  n CONSTANT int NOT NULL := 1 + (SELECT count(*) FROM tt);
  r public.x%ROWTYPE; z ALIAS FOR $1;
BEGIN
  SELECT a, b INTO STRICT n, r.x FROM t1 WHERE CASE WHEN x THEN 1 ELSE 2 END = 2;
  IF x > 1 AND (CASE WHEN y THEN true END) THEN
     RAISE EXCEPTION 'é %', n USING ERRCODE = 'P7001', TABLE = 'x', HINT := 'y';
  ELSIF z THEN RAISE; ELSE NULL; END IF;
  FOR i IN REVERSE 1..10 BY 2 LOOP x := i; END LOOP;
  FOR r IN SELECT 1 FROM q LOOP EXIT outer WHEN r IS NULL; CONTINUE; END LOOP outer;
  FOR r IN EXECUTE 'select ' || b USING 1 LOOP NULL; END LOOP;
  FOREACH x SLICE 1 IN ARRAY ARRAY[1,2] LOOP NULL; END LOOP;
  CASE x WHEN 1, 2 THEN INSERT INTO t2 (a) VALUES (1) RETURNING id INTO n; ELSE NULL; END CASE;
  x[1].y := CASE WHEN a THEN 1 END;
  EXECUTE 'drop table a;
    create index on b (c)';
  EXECUTE format('drop table %I', b) INTO x USING y;
  PERFORM f(1), g;
  GET DIAGNOSTICS x = ROW_COUNT;
  OPEN c2 FOR SELECT 1; OPEN c(1); OPEN c3 FOR EXECUTE 'select 2';
  FETCH c INTO r; ASSERT x > 1, 'no';
  RETURN QUERY SELECT 1 FROM zz;
  RETURN QUERY EXECUTE 'select 1 from yy';
  RETURN NEXT r;
  BEGIN
    MERGE INTO t USING s ON t.a=s.a WHEN MATCHED THEN UPDATE SET x=1 WHEN NOT MATCHED THEN DO NOTHING;
    CREATE FUNCTION a.b() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN 1=1 THEN 2 END; END;
    COMMIT AND CHAIN;
  EXCEPTION WHEN unique_violation OR SQLSTATE '23503' THEN
    CASE x WHEN 3 THEN NULL; END CASE;
  END;
  <<l>> WHILE true LOOP UPDATE t SET a = b; END LOOP;
  RETURN;
END $é$;
"""


def bodies(text: str) -> list[BodyStatement]:
    """Every body statement of every statement."""
    return [inner for statement in parse_statements(text, where="f") for inner in body_statements(statement)]


def test_a_function_with_every_construct() -> None:
    """Each PL/pgSQL statement is cut at its ends, its SQL parsed, its line the file's."""
    found = bodies(FUNCTION)
    assert [(item.line, item.kind) for item in found if item.kind != "NULL"] == [
        (6, "DECLARE"), (7, "DECLARE"), (8, "DECLARE"), (8, "DECLARE"),
        (10, "SelectStmt"), (11, "IF"), (12, "RAISE"), (13, "IF"), (13, "RAISE"),
        (14, "FOR"), (14, "ASSIGN"), (15, "FOR"), (15, "EXIT"), (15, "CONTINUE"),
        (16, "FOR"), (17, "FOREACH"), (18, "CASE"), (18, "WHEN"), (18, "InsertStmt"), (19, "ASSIGN"),
        (20, "EXECUTE"), (20, "DropStmt"), (21, "IndexStmt"), (22, "EXECUTE"), (23, "PERFORM"), (24, "GET"),
        (25, "OPEN"), (25, "OPEN"), (25, "OPEN"), (25, "SelectStmt"), (26, "FETCH"), (26, "ASSERT"),
        (27, "RETURN"), (28, "RETURN"), (28, "SelectStmt"), (29, "RETURN"),
        (31, "MergeStmt"), (32, "CreateFunctionStmt"), (32, "SelectStmt"), (32, "SelectStmt"), (33, "COMMIT"),
        (34, "EXCEPTION"), (35, "CASE"), (35, "WHEN"), (37, "WHILE"), (37, "UpdateStmt"), (38, "RETURN"),
    ]  # fmt: skip
    assert [item.problem for item in found if item.problem] == []
    assert [item.text for item in found if item.dynamic] == [
        "FOR r IN EXECUTE 'select ' || b USING 1",
        "EXECUTE format('drop table %I', b) INTO x USING y",
    ]
    for item in found:
        assert FUNCTION[item.offset : item.offset + len(item.text)] == item.text
        assert item.line == FUNCTION.count("\n", 0, item.offset) + 1


def test_raise_options_are_readable() -> None:
    """ERRCODE = 'P7001' stands in the node as a comparison, so that a lint finds the SQLSTATE in the tree."""
    (raised,) = [item for item in bodies(FUNCTION) if item.kind == "RAISE" and item.node is not None]
    options = [target.res_target.val for target in raised.node.target_list]
    values = {
        value.a_expr.lexpr.column_ref.fields[0].string.sval: value.a_expr.rexpr.a_const.sval.sval
        for value in options
        if value.WhichOneof("node") == "a_expr"
    }
    assert values == {"errcode": "P7001", "_able": "x", "hint": "y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DO $$ BEGIN COMMIT; END $$", [(1, "COMMIT", 0)]),
        ("DO LANGUAGE plpgsql 'BEGIN\n EXECUTE ''DROP TABLE x''; END'", [(2, "EXECUTE", 0), (2, "DropStmt", 1)]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS E'SELECT 1;\\n SELECT\\n2'",
         [(1, "SelectStmt", 0), (1, "SelectStmt", 0)]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE SQL\nAS $$ SELECT 1;\nSELECT 2 $$",
         [(2, "SelectStmt", 0), (3, "SelectStmt", 0)]),
        ("CREATE FUNCTION f() RETURNS int\nRETURN (SELECT 1 FROM u)", [(2, "RETURN", 0)]),
        ("CREATE PROCEDURE f() BEGIN ATOMIC INSERT INTO a VALUES (1);\nDELETE FROM b; END",
         [(1, "InsertStmt", 0), (2, "DeleteStmt", 0)]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'symbol'", []),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'x ='", []),
        ("DO $a$ BEGIN CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $b$ BEGIN\nDELETE FROM t; END $b$; END $a$",
         [(1, "CreateFunctionStmt", 0), (2, "DeleteStmt", 1)]),
        ("CREATE FUNCTION f(a t.b%TYPE) RETURNS trigger LANGUAGE plpgsql AS\n'BEGIN new.x = 1; RETURN new; END'",
         [(2, "ASSIGN", 0), (2, "RETURN", 0)]),
        ("SELECT 'DO $$ BEGIN COMMIT; END $$'", []),
    ],
)  # fmt: skip
def test_bodies_of_every_form(text: str, expected: list[tuple[int, str, int]]) -> None:
    """Quoted in any way, in either language; other languages hold nothing to read."""
    assert [(item.line, item.kind, item.depth) for item in bodies(text)] == expected


def test_what_cannot_be_parsed_is_handed_on() -> None:
    """A statement the grammar refuses is there, without a node, with the grammar's sentence."""
    first, second = bodies("DO $$ BEGIN SELEC 1; PERFORM 1; END $$")
    assert first.node is None
    assert first.problem == 'syntax error at or near "SELEC"'
    assert second.problem == ""
    (broken,) = bodies("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELEC 1'")
    assert (broken.node, broken.text) == (None, "SELEC 1")


def test_languages() -> None:
    """DO without a language is PL/pgSQL; BEGIN ATOMIC is SQL; anything else has none."""
    texts = ["DO ''", "CREATE FUNCTION f() RETURNS int RETURN 1", "SELECT 1", "CREATE FUNCTION f() RETURNS int AS 'a'"]
    assert [body_language(parse_statements(text, where="f")[0].node) for text in texts] == ["plpgsql", "sql", "", ""]


WORDS = (
    "BEGIN END ; IF THEN LOOP FOR IN CASE WHEN DECLARE EXCEPTION x := ( ) [ ] EXECUTE INTO RAISE USING RETURN QUERY .. "
    "1 'a' << >> #o , . CREATE FUNCTION ELSE SELECT OPEN é"
)


@given(st.lists(st.sampled_from([*WORDS.split(), "--\n"]), max_size=25))
def test_no_body_breaks_the_reader(words: list[str]) -> None:
    """Whatever stands in a body: no exception, no endless loop, every place inside the statement."""
    text = "DO $body$ " + " ".join(words) + " $body$"
    for item in bodies(text):
        assert text[item.offset : item.offset + len(item.text)] == item.text


@given(st.text(alphabet="ab'\\\n\té🙂$;", max_size=30))
def test_quoted_bodies_keep_their_places(padding: str) -> None:
    """The line of a statement is right behind any text in a doubled-quote or escape string."""
    for prefix, escaped in (("", padding.replace("'", "''")), ("E", padding.replace("\\", "\\\\").replace("'", "\\'"))):
        constant = escaped if prefix else escaped.replace("\\", "")
        text = f"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS {prefix}'SELECT $q${constant}$q$;\nSELECT 2'"
        found = bodies(text)
        if found and found[-1].node is not None:
            assert text[found[-1].offset :].startswith(found[-1].text[:6])
            assert found[-1].line == text.count("\n", 0, found[-1].offset) + 1
