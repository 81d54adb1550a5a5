"""What is said to be an extension's own is read like everything else: one statement says so of anything there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from db.verifiers.test_hollow import controlled

from scripts.verifiers.facts.reach import read_reach
from scripts.verifiers.facts.reading import read_facts
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

STRANGER = "CREATE FUNCTION public.stranger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
HIDE = "ALTER EXTENSION plpgsql ADD "


def reds(bench: Bench, gate: str, *changes: str) -> dict[str, object]:
    """What the failed checks of the gate observe under the changes, which a superuser makes."""
    with bench.admin.transaction(force_rollback=True):
        for change in changes:
            bench.admin.execute(change.encode())
        result = bench.settle(gate, conn=bench.admin)[gate]
    assert not result.error
    return {check.id: check.observed for check in result.failures}


@pytest.mark.parametrize(
    ("hidden", "gate", "check"),
    [
        ("TABLE public.payment_outbox_pending", "table-definitions", "payment_outbox_pending_table"),
        ("FUNCTION public.deny_append_only_mutation()", "append-only-ledgers", "deny_append_only_mutation_function"),
        ("FUNCTION public.uuid_strategy()", "definer-search-path", "uuid_strategy_function"),
        ("TYPE public.outbox_attempt_state", "table-definitions", "outbox_attempt_state_type"),
        ("SCHEMA public", "table-privileges", "schema_public_usage"),
    ],
)
def test_a_reviewed_object_that_is_said_to_be_an_extensions_is_red(
    bench: Bench, hidden: str, gate: str, check: str
) -> None:
    """It would be in no dump, and go with the extension; it is not taken for absent."""
    red = reds(bench, gate, HIDE + hidden)

    assert set(red) == {check}
    assert str(red[check]).endswith("MEMBER OF EXTENSION plpgsql")


@pytest.mark.parametrize("installed", [False, True])
def test_a_function_that_nobody_reviewed_is_hidden_by_no_extension(bench: Bench, installed: bool) -> None:  # noqa: FBT001 - of the parameter list
    """Beside what came with the server it is red as ever; as a trigger on a table of ours, behind any extension."""
    trigger = "CREATE TRIGGER zz BEFORE INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.stranger()"
    extension = "citext" if installed else "plpgsql"
    before = ("CREATE EXTENSION citext SCHEMA public",) if installed else ()
    hidden = (*before, STRANGER, trigger, f"ALTER EXTENSION {extension} ADD FUNCTION public.stranger()")

    assert reds(bench, "table-definitions", *hidden) == {"tenants_no_other_trigger": "zz"}
    red = reds(bench, "definer-search-path", *hidden)
    assert red == ({} if installed else {"functions_not_reviewed": ["public.stranger()"]})


def test_a_second_function_of_our_name_is_red_whoever_brings_it(bench: Bench) -> None:
    """It could be meant where ours is; that an extension which was installed has it does not matter."""
    changes = (
        "CREATE EXTENSION citext SCHEMA public",
        "CREATE FUNCTION public.outbox_retry_ceiling(x integer) RETURNS integer LANGUAGE sql RETURN 1",
        "ALTER EXTENSION citext ADD FUNCTION public.outbox_retry_ceiling(integer)",
    )
    red = reds(bench, "definer-search-path", *changes)

    assert set(red) == {"outbox_retry_ceiling_function"}
    assert " and " in str(red["outbox_retry_ceiling_function"])


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_the_regulator_reaches_what_is_hidden(bench: Bench, kind: str) -> None:
    """What was granted before it was added looks as if the extension had brought the grant along."""
    with bench.admin.transaction(force_rollback=True):
        made = "(x integer)" if kind == "TABLE" else "AS SELECT member_id FROM public.tenant_members"
        bench.admin.execute(f"CREATE {kind} public.hidden {made}".encode())
        bench.admin.execute("GRANT SELECT ON public.hidden TO boz_auditor")
        bench.admin.execute(f"{HIDE}{kind} public.hidden".encode())
        reach = read_reach(bench.admin, "boz_auditor")
        result = bench.settle("boz-observability-role", conn=bench.admin)["boz-observability-role"]

    assert reach["public.hidden"] == ("SELECT",)
    assert [(check.id, check.observed) for check in result.failures] == [
        ("boz_nothing_else", "public.hidden: SELECT"),
    ]


def test_what_an_extension_brought_is_its_own(bench: Bench) -> None:
    """Its functions are read, told apart, asked of nobody, and the facts are seen to fail beside them."""
    bench.admin.execute("CREATE EXTENSION citext SCHEMA public")
    reading = read_facts(bench.owner, [], list(TABLES))
    brought = {routine.extension for routine in reading.routines if routine.installed}
    results = controlled(bench, "function-privileges", "definer-search-path", "table-definitions")

    assert brought == {"citext"}
    assert all(routine.installed is bool(routine.extension) for routine in reading.routines)
    assert {name: (r.error, r.failures, r.unproven) for name, r in results.items() if not r.passed} == {}
