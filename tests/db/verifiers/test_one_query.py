"""The catalog is read once, in one query, which says what each question says by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.verifiers.facts import planned
from scripts.verifiers.facts.catalog import read_catalog
from scripts.verifiers.facts.logins import read_logins
from scripts.verifiers.facts.openings import read_openings
from scripts.verifiers.facts.reach import read_reach
from scripts.verifiers.facts.reading import read_facts
from scripts.verifiers.facts.roles import ROLES
from scripts.verifiers.facts.standins import read_stand_ins
from scripts.verifiers.facts.tables import REVIEWED, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from db.verifiers.conftest import Bench

# Something for each of the four to tell, with names that are no plain words.
_FOUND = """
    CREATE VIEW public."what's \\ "" seen" AS SELECT * FROM public.tenants;
    GRANT SELECT ON public."what's \\ "" seen" TO PUBLIC;
    CREATE ROLE one_query_seat LOGIN;
    GRANT boz_auditor, pg_read_all_data TO one_query_seat;
    CREATE ROLE one_query_worker LOGIN;
    GRANT symphony_ingest TO one_query_worker WITH ADMIN OPTION;
    CREATE SCHEMA symphony_ingest AUTHORIZATION CURRENT_USER;
    CREATE TABLE symphony_ingest.tenants (n int);
    CREATE FUNCTION public.uuid_strategy(text, "char"[]) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
    CREATE INDEX ON public.tenants (lower(tenant_key)) WHERE parent_tenant_id IS NULL;
"""


@pytest.mark.parametrize("broken", ["", _FOUND], ids=["as reviewed", "with something in each"])
def test_it_says_what_the_four_questions_say(bench: Bench, broken: str) -> None:
    """Part by part, of the schema as it should be and of one with more in it."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(broken.encode())
        whole = read_catalog(bench.admin)

        assert whole.reading == read_facts(bench.admin, ROLES, TABLES, REVIEWED)
        assert whole.reading.logins == read_logins(bench.admin, ROLES, TABLES)
        assert whole.openings == read_openings(bench.admin)
        assert whole.stand_ins == read_stand_ins(bench.admin)
        assert whole.reach == read_reach(bench.admin)
        if broken:
            assert {one.name for one in whole.reading.logins} >= {"one_query_seat", "one_query_worker"}
            assert all((whole.openings.views, whole.stand_ins.names, len(whole.reach) > 1))


def test_a_whole_run_asks_the_catalog_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All invariants with their controls: one question, and one more of the schema that was hollowed out."""
    asked: list[int] = []
    ask = planned.Planned.ask

    def counted(self: planned.Planned, cursor: psycopg.Cursor[Any], *names: Iterable[str]) -> list[tuple[Any, ...]]:
        if "pg_policy" in self.query:
            asked.append(self.parameters)
        return ask(self, cursor, *names)

    monkeypatch.setattr(planned.Planned, "ask", counted)
    assert all(result.passed for result in bench.settle(controls=True).values())
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_what_one_part_cannot_be_asked_for_hides_no_other(bench: Bench) -> None:
    """The owner may not read what one of the four needs: that one's invariant is an ERROR, the others are green."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute("REVOKE SELECT ON pg_catalog.pg_cast FROM PUBLIC")
        bench.admin.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(bench.owner.info.user)))
        found = bench.settle(conn=bench.admin)

    assert {name: result.outcome for name, result in found.items() if not result.passed}.keys() == {
        "definer-search-path"
    }
    assert "42501" in (found["definer-search-path"].error or "")
