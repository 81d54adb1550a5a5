"""Facts are compared as what they mean: each thing that can hollow an object out shows in its text."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.migrations.folder.files import MigrationFile
from scripts.verifiers.facts.compare import ABSENT, Facts, same_expression
from scripts.verifiers.facts.privileges import grantees, matrix_of, open_to, privileges_of
from scripts.verifiers.facts.reading import DefaultGrant, Grant, Held, Reading, Routine
from scripts.verifiers.facts.sessions import Power, is_own, powers_of, settings_of, told
from scripts.verifiers.facts.shape import Column, Constraint, Function, Index, Table, Trigger, asleep, trigger_timing
from scripts.verifiers.facts.sources import function_sources
from scripts.verifiers.facts.stored import decisive
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.model import Findings

COLUMN = Column("a", "text", not_null=True)
CHECK = Constraint("c", name="k", expression="(a > 0)")
FOREIGN = Constraint("f", ("a",), "k", references="public.t", referenced=("b",))
INDEX = Index("i", ("a", "b"))
TRIGGER = Trigger("t", "public.f()", ("INSERT",))
FUNCTION = Function("f", "a integer", "integer", "sql")
OTHER: dict[type, object] = {bool: True, str: "x", int: 7, tuple: ("x",), type(None): "x"}


@pytest.mark.parametrize("thing", [COLUMN, CHECK, FOREIGN, INDEX, TRIGGER, FUNCTION], ids=lambda t: type(t).__name__)
def test_every_field_shows(thing: Column | Constraint | Index | Trigger | Function) -> None:
    """D-08: another value in any field but the name gives another text."""
    silent = {"name", "tree"}
    if isinstance(thing, Constraint):
        silent |= {"kind"} | (
            {"columns", "references", "referenced", "on_update", "on_delete", "match"}
            if thing is CHECK
            else {"expression"}
        )
        silent |= {"nulls_not_distinct"}
    if isinstance(thing, Column):
        silent |= {"virtual"}
    actions = {"on_update": "c", "on_delete": "n", "match": "f"}
    for field in fields(thing):
        if field.name in silent:
            continue
        value = getattr(thing, field.name)
        other = actions.get(field.name) or (not value if isinstance(value, bool) else OTHER[type(value)])
        changed: Any = replace(thing, **{field.name: other})  # type: ignore[arg-type]
        assert changed.text != thing.text, field.name


def test_states_and_kinds_show() -> None:
    """What needs more than one field to show."""
    assert Constraint("u", ("a",)).text == "UNIQUE (a)"
    assert Constraint("u", ("a",), nulls_not_distinct=True).text == "UNIQUE NULLS NOT DISTINCT (a)"
    assert Constraint("p", ("a", "b")).text == "PRIMARY KEY (a, b)"
    assert Constraint("x", ("a",)).text == "EXCLUDE (a)"
    assert FOREIGN.text == "FOREIGN KEY (a) REFERENCES public.t (b) ON UPDATE NO ACTION ON DELETE NO ACTION"
    assert replace(CHECK, valid=False, enforced=False).text == "CHECK ((a > 0)) NOT VALID NOT ENFORCED"
    assert Column("a", "int", generated="1").text != Column("a", "int", generated="1", virtual=True).text
    assert replace(INDEX, valid=False, ready=False).text == "INDEX USING btree (a, b) INVALID NOT READY"


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (1 | 2 | 4, ("BEFORE", "ROW", ("INSERT",))),
        (1 | 2 | 8 | 16, ("BEFORE", "ROW", ("UPDATE", "DELETE"))),
        (2 | 32, ("BEFORE", "STATEMENT", ("TRUNCATE",))),
        (1 | 4, ("AFTER", "ROW", ("INSERT",))),
        (1 | 64 | 4, ("INSTEAD OF", "ROW", ("INSERT",))),
    ],
)
def test_trigger_bits(bits: int, said: tuple[str, str, tuple[str, ...]]) -> None:
    """Timing, level and events are read from the bits, whatever the trigger is called."""
    assert trigger_timing(bits) == said


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("(a IS NOT NULL)", "a is not null", True),
        ("((a > 0) AND (b > 0))", "a > 0 AND b > 0", True),
        ("(a > 0)", "(a >= 0)", False),
        ("(a = 'x'::text)", "(a = 'X'::text)", False),
        ("(a > 0)", "(0 < a)", False),
        (None, None, True),
        ("true", None, False),
    ],
)
def test_expressions_are_compared_as_trees(one: str | None, other: str | None, *, same: bool) -> None:
    """Spacing, case of keywords and needless brackets do not count; everything else does."""
    assert same_expression(one, other) is same


@given(st.sampled_from(sorted(TABLES)), st.data())
def test_a_missing_object_is_absent(name: str, data: st.DataObject) -> None:
    """Whatever is taken out of a table is told as absent, and examined nothing; the rest holds."""
    table = TABLES[name]
    gone = data.draw(st.sampled_from(table.columns))
    there = replace(table, columns=tuple(column for column in table.columns if column is not gone))
    findings = Findings()
    facts = Facts(Reading(tables={name: there}), {}, findings)
    for column in table.columns:
        facts.column(table, column.name)

    (failed,) = [check for check in findings.checks if not check.holds]
    assert (failed.id, failed.observed) == (f"{name}.{gone.name}", ABSENT)
    assert findings.examined == len(table.columns) - 1


def test_a_stricter_column_is_the_column() -> None:
    """A further NOT NULL takes nothing away; a missing one does."""
    loose, strict = Column("a", "text"), Column("a", "text", not_null=True)
    for expected, observed, holds in ((loose, strict, True), (strict, loose, False)):
        findings = Findings()
        facts = Facts(Reading(tables={"t": Table("t", (observed,))}), {}, findings)
        facts.column(Table("t", (expected,)), "a")
        assert [check.holds for check in findings.checks] == [holds]


def test_an_unnamed_constraint_counts_by_meaning() -> None:
    """A constraint that PostgreSQL named is found under any name; a named one under its own alone."""
    found = Table("t", (), constraints=(replace(CHECK, name="renamed"),))
    for expected, holds in ((replace(CHECK, name=""), True), (CHECK, False)):
        findings = Findings()
        Facts(Reading(tables={"t": found}), {}, findings).constraint(Table("t", ()), expected)
        assert [check.holds for check in findings.checks] == [holds]


def test_two_functions_of_one_name_are_not_one() -> None:
    """An overload beside the expected function, a changed body, and a body in no migration are all seen."""
    routine = Routine(FUNCTION, "public.f(integer)", "f", "SELECT 1", "owner", ())
    for routines, sources, holds in (
        ((routine,), {"f": "SELECT 1"}, True),
        ((routine,), {"f": "SELECT 2"}, False),
        ((routine,), {}, False),
        ((routine, routine), {"f": "SELECT 1"}, False),
        ((), {"f": "SELECT 1"}, False),
    ):
        findings = Findings()
        Facts(Reading(routines=routines), sources, findings).function(FUNCTION)
        assert [check.holds for check in findings.checks] == [holds]


def test_bodies_come_from_the_last_migration() -> None:
    """The last CREATE counts; another schema's function, and one the server keeps as a tree, do not."""
    body = "CREATE OR REPLACE FUNCTION {} RETURNS int LANGUAGE sql AS $$ SELECT {} $$;\n"
    files = (
        MigrationFile.of_text("0001_a.sql", body.format("public.f()", 1) + body.format("f2()", 1)),
        MigrationFile.of_text("0002_b.sql", body.format("public.f()", 2) + body.format("squatter.f2()", 3)),
        MigrationFile.of_text("0003_c.sql", "CREATE FUNCTION public.g() RETURNS int LANGUAGE sql RETURN 1;\n"),
    )

    assert function_sources(files) == {"f": " SELECT 2 ", "f2": " SELECT 1 "}


def test_a_check_id_is_asked_once() -> None:
    """Two answers under one name would hide one of them."""
    findings = Findings()
    findings.check("a", expected=1, observed=1)
    with pytest.raises(RuntimeError, match="two checks of one id: a"):
        findings.check("a", expected=1, observed=2)


def test_grants_count_down_to_columns_and_options() -> None:
    """D-29: MAINTAIN, column grants and grant options are part of what a role holds."""
    held = Held(
        kind="r", persistence="p", owner="owner", row_security=False, rules=(), parents=(), children=(),
        grants=(Grant("owner", "SELECT"), Grant("PUBLIC", "MAINTAIN"), Grant("a", "SELECT", grantable=True)),
        column_grants={"c": (Grant("b", "UPDATE"),)},
    )  # fmt: skip

    assert matrix_of(held) == "PUBLIC: MAINTAIN; a: SELECT WITH GRANT OPTION; b: UPDATE (c)"
    assert privileges_of(held, "c") == "none"
    assert grantees((Grant("owner", "EXECUTE"), Grant("PUBLIC", "EXECUTE")), "owner") == "PUBLIC"


@pytest.mark.parametrize(
    ("rules", "kind", "said"),
    [
        ((), "f", "PUBLIC"),
        ((), "r", "their owner's alone"),
        ((DefaultGrant("o", "", "f", "o", "EXECUTE"),), "f", "their owner's alone"),
        ((DefaultGrant("o", "", "f", None, None),), "f", "their owner's alone"),
        (
            (DefaultGrant("o", "", "f", "o", "EXECUTE"), DefaultGrant("o", "public", "f", "PUBLIC", "EXECUTE")),
            "f",
            "PUBLIC",
        ),
        ((DefaultGrant("o", "public", "f", "o", "EXECUTE"),), "f", "PUBLIC"),
        ((DefaultGrant("o", "public", "r", "a", "SELECT"),), "r", "a"),
        ((DefaultGrant("another", "", "f", "another", "EXECUTE"),), "f", "PUBLIC"),
    ],
)
def test_default_privileges(rules: tuple[DefaultGrant, ...], kind: str, said: str) -> None:
    """D-04: PostgreSQL gives functions to everybody unless a rule for every schema takes that away."""
    assert open_to(rules, "o", kind) == said


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("OOOO", ()),
        ("AAAA", ()),
        ("OODO", ("f2 on public.t DISABLED",)),
        ("ROOO", ("f0 on public.t REPLICA ONLY",)),
        ("OO", ("2 of its 4 triggers gone",)),
        ("", ("4 of its 4 triggers gone",)),
    ],
)
def test_a_foreign_key_is_no_more_than_its_triggers(states: str, said: tuple[str, ...]) -> None:
    """D-08: each of the server's own triggers that does not fire, or is gone, shows in the foreign key's text."""
    silent = asleep(tuple(("public.t", f"f{n}", state) for n, state in enumerate(states)))

    assert silent == said
    assert replace(FOREIGN, asleep=silent).text == FOREIGN.text + (f" BUT {', '.join(said)}" if said else "")


def test_an_unnamed_foreign_key_that_sleeps_is_told_as_such() -> None:
    """D-08: it is there under some name, and the text says what of it does not fire."""
    sleeping = replace(FOREIGN, name="renamed", asleep=("f on public.t DISABLED",))
    findings = Findings()
    facts = Facts(Reading(tables={"t": Table("t", (), constraints=(sleeping,))}), {}, findings)
    facts.constraint(Table("t", ()), replace(FOREIGN, name=""))

    (check,) = findings.checks
    assert not check.holds
    assert str(check.observed).endswith("ON DELETE NO ACTION BUT f on public.t DISABLED")


def test_what_everybody_has_is_told_once() -> None:
    """Through PUBLIC every role has it; each would be named, and the cause would not."""
    rows = [("PUBLIC", "SET a"), ("control", "SET a"), ("control", "SET b"), ("control", "SET b")]

    assert told(powers_of(rows)) == "PUBLIC: SET a, control: SET b"
    assert told(powers_of(None)) == "nobody"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("session_replication_role=replica", "every role: session_replication_role=replica"),
        ("search_path=a, b=c", "every role: search_path=a, b=c"),
        ("row_security=off", "every role: row_security=off"),
        ("role=x", "every role: role=x"),
        ("symphony.outbox_retry_ceiling=7", "none"),
        ("statement_timeout=5s", "none"),
    ],
)
def test_a_stored_setting_counts_when_it_decides_whose_rules_hold(entry: str, said: str) -> None:
    """The value of a setting may hold anything, also what looks like another setting."""
    assert decisive(settings_of([("", entry, None)])) == said
    assert decisive(settings_of([("a", entry, ["b"])])) == said.replace("every role", "a")


def test_only_set_on_the_schemas_own_parameters_is_its_own() -> None:
    """D-07: the ceiling may be set by whoever the functions then do not listen to; the server's ceiling may not."""
    assert is_own(Power("a", "SET symphony.outbox_retry_ceiling"))
    assert not is_own(Power("a", "ALTER SYSTEM symphony.outbox_retry_ceiling"))
    assert not is_own(Power("a", "SET session_replication_role"))


def test_a_table_is_known_by_the_whole_set_of_its_constraints_and_unique_indexes() -> None:
    """What refuses more rows is told with its meaning; another name, a copy and a plain index are no alarm."""
    known = Table(
        "t",
        (Column("a", "text"),),
        (Constraint("p", ("a",)), Constraint("c", expression="(a > 'b'::text)"), Constraint("u", ("a",), "ux_named")),
        (Index("ux_a", ("a",), unique=True, predicate="(a IS NOT NULL)"),),
    )
    given = (*(replace(one, name=f"given_{one.kind}") for one in known.constraints[:2]), known.constraints[2])

    def told(*constraints: Constraint, indexes: tuple[Index, ...] = ()) -> dict[str, tuple[object, str]]:
        found = replace(known, constraints=constraints, indexes=(*known.indexes, *indexes))
        findings = Findings()
        Facts(Reading(tables={"t": found}), {}, findings).only_constraints(known)
        return {check.id: (check.observed, check.help) for check in findings.checks if not check.holds}

    help_ = "only a migration may add one: it can refuse rows that the schema promises to take"
    copy = Index("ux_a_ccnew", ("a",), unique=True, predicate="(a IS NOT NULL)", valid=False)
    spelled = Constraint("c", (), "twice", expression="((a) > ('b'::text))")
    assert told(*given) == {}
    assert told(*given, spelled, indexes=(copy, Index("further", ("a",)))) == {}
    assert told(*given[1:]) == {}
    assert told(*given[1:], Constraint("c", (), "given_p", expression="true")) == {}
    for more, text in (
        (Constraint("c", (), "no", expression="false", valid=False), "no: CHECK (false) NOT VALID"),
        (
            Constraint("f", ("a",), "away", references="public.u", referenced=("a",)),
            "away: FOREIGN KEY (a) REFERENCES public.u (a) ON UPDATE NO ACTION ON DELETE NO ACTION",
        ),
        (Constraint("x", ("a",), "out"), "out: EXCLUDE (a)"),
    ):
        assert told(*given, more) == {"t_no_other_constraint": (text, help_)}
    strange = Index("odd", ("b",), unique=True)
    assert told(*given, indexes=(strange,)) == {"t_no_other_unique_index": ("odd: UNIQUE INDEX USING btree (b)", help_)}
    findings = Findings()
    Facts(Reading(), {}, findings).only_constraints(known)
    assert [check.observed for check in findings.checks] == ["absent", "absent"]
