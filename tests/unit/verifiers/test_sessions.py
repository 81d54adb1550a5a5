"""What is told of stored settings, logins, event triggers, holdings and default privileges."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.verifiers.facts.holdings import NOTHING, held_by_the_seat, held_by_workers, holdings_of
from scripts.verifiers.facts.logins import LEGAL, beyond_one_role, logins_of
from scripts.verifiers.facts.privileges import ALONE, others_to_come
from scripts.verifiers.facts.reading import DefaultGrant
from scripts.verifiers.facts.sessions import EventTrigger, fired, settings_of
from scripts.verifiers.facts.stored import decisive


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        ("temp_file_limit=-1", False),
        ("temp_file_limit=-0.4", True),
        ("temp_file_limit=16384", False),
        ("temp_file_limit=16383", True),
        ("temp_file_limit=1GB", False),
        ("temp_file_limit=1kB", True),
        ("temp_file_limit=much", True),
        ("statement_timeout=99", True),
        ("statement_timeout=100", False),
        ("statement_timeout=0", False),
        ("statement_timeout=0.1s", False),
        ("statement_timeout=99999us", True),
        ("lock_timeout=1min", False),
        ("lock_timeout=1 d", False),
        ("lock_timeout=soon", True),
        ("idle_session_timeout=", True),
        ("default_transaction_read_only=ON", True),
        ("default_transaction_read_only=fal", False),
        ("default_transaction_read_only=of", False),
        ("default_transaction_isolation=Read Committed", False),
        ("default_transaction_isolation=serializable", True),
        ("row_security=yes", False),
        ("row_security=", True),
        ("role=none", False),
        ("session_authorization=none", True),
        ('search_path="$user", public', False),
        ("search_path=public, pg_temp", False),
        ("search_path=pg_temp, public", True),
        ("search_path=pg_catalog", True),
        ('search_path=""', True),
        ('search_path="", public', False),
        ('search_path="$user", public, extensions', False),
        ('search_path=public, "Extensions, too", pg_temp', False),
        ("search_path=pg_catalog, public, extensions", False),
        ("search_path=extensions, public", True),
        ('search_path="$user", extensions, public', True),
        ("search_path=extensions, pg_temp", True),
        # The server's functions would be found after somebody's.
        ("search_path=public, extensions, pg_catalog", True),
        ("search_path=public, pg_temp, extensions", True),
        ("search_path=public, pg_temp, pg_temp", True),
        ('search_path="""$user"", public"', True),
        ('search_path="public, pg_temp"', True),
        ('search_path="public, public"', True),
        ('search_path="Public"', True),
        ('search_path=Public , "$user"', False),
        ('search_path=pub"lic', True),
        ('search_path="public', True),
        ("search_path=public, ", True),
        ("search_path=public pg_catalog", True),
        ("search_path=", True),
        ("synchronous_commit=local", False),
        ("synchronous_commit=FALSE", True),
        ("session_preload_libraries=", False),
        ("session_preload_libraries=auto_explain", False),
        ('session_preload_libraries="auto_explain", "other"', True),
        ('session_preload_libraries="auto_explain", pg_stat_statements ,"$libdir/auto_explain"', False),
        ('session_preload_libraries="auto_explain, pg_stat_statements"', True),
        ('session_preload_libraries="""auto_explain"""', True),
        ('session_preload_libraries=""', True),
        ("session_preload_libraries=Auto_Explain", True),
        ("session_preload_libraries=auto_explain,", True),
        ("local_preload_libraries=$libdir/plugins/auto_explain", False),
        ('local_preload_libraries="$libdir/auto_explain"', True),
        ("dynamic_library_path=$libdir:/more", False),
        ("dynamic_library_path=$libdirs", True),
        ("SESSION_REPLICATION_ROLE=local", False),
        ("client_encoding=UTF8", False),
        ("client_encoding=utf-8", False),
        ("client_encoding=UNICODE", False),
        ("client_encoding=LATIN1", True),
        ("client_encoding=SQL_ASCII", True),
        ("client_encoding=", True),
        ("work_mem=64kB", False),
    ],
)
def test_a_stored_setting_counts_by_its_value(entry: str, counts: bool) -> None:  # noqa: FBT001 - a parameter
    """However the value is written; one that cannot be read counts."""
    assert (decisive(settings_of([("", entry, None)])) != "none") is counts


def test_a_login_that_only_reads_may_be_kept_from_writing() -> None:
    """Only that, and only while it can become no role that writes."""
    entry = "default_transaction_read_only=on"
    assert decisive(settings_of([("seat", entry, ["boz_auditor"])])) == "none"
    assert decisive(settings_of([("seat", entry, ["boz_auditor", "symphony_ingest"])])) == f"seat: {entry}"
    assert decisive(settings_of([("seat", entry, None)])) == f"seat: {entry}"
    asleep = "session_replication_role=replica"
    assert decisive(settings_of([("seat", asleep, ["boz_auditor"])])) == f"seat: {asleep}"


def test_a_login_is_told_with_all_that_it_is_beyond_one_role() -> None:
    """One role is legal; what is more is named, and whose login it is."""
    rows: list[dict[str, Any]] = [
        {"name": "w", "acts_as": ["symphony_ingest"], "beside": None, "powers": None, "hands_on": None},
        {
            "name": "b",
            "acts_as": ["test_user", "boz_auditor"],
            "beside": ["pg_read_all_data"],
            "powers": ["createrole", "bypassrls"],
            "hands_on": ["test_user"],
        },
        {"name": "a", "acts_as": ["symphony_ingest"], "beside": ["owner"], "powers": None, "hands_on": None},
    ]
    both = "a: owner; b: boz_auditor, test_user, pg_read_all_data, BYPASSRLS, CREATEROLE, hands test_user on"

    assert beyond_one_role(logins_of(rows)) == both
    assert beyond_one_role(logins_of(rows), "boz_auditor") == both.partition("; ")[2]
    assert beyond_one_role(logins_of(rows[:1])) == beyond_one_role(logins_of(None)) == LEGAL


def test_event_triggers_are_told_with_event_and_function() -> None:
    """In order of their names."""
    triggers = [EventTrigger("b", "sql_drop", "s.f()"), EventTrigger("a", "login", "s.g()")]

    assert fired(triggers) == "event trigger a on login: s.g(), event trigger b on sql_drop: s.f()"
    assert fired([]) == "none"


def test_holdings_are_told_of_whom_they_count_for() -> None:
    """The regulator may hold less than a worker, and what everybody has counts as its own."""
    rows = [
        ("boz_auditor", False, "pg_type", "type public.t", None, False, None),
        ("boz_auditor", False, "pg_database", "database d", ["CONNECT"], False, None),
        ("boz_auditor", False, "pg_database", "database e", ["CONNECT", "TEMPORARY"], False, None),
        ("PUBLIC", False, "pg_foreign_server", "server s", None, False, None),
        ("test_user", False, "pg_type", "type public.t", None, False, None),
        ("test_user", False, "pg_database", "database e", ["CONNECT", "TEMPORARY"], False, None),
        ("test_user", False, "pg_database", "database f", ["CREATE"], False, None),
        ("test_user", True, "pg_type", "type public.u", None, False, None),
        ("test_user", False, "pg_proc", "function pg_catalog.lo_import(text)", None, True, None),
        ("test_user", False, "pg_proc", "function other.f()", None, False, None),
    ]
    holdings = holdings_of(rows)

    assert held_by_the_seat(holdings) == (
        "PUBLIC was given server s; boz_auditor was given database e (CONNECT, TEMPORARY); "
        "boz_auditor was given type public.t"
    )
    assert held_by_workers(holdings) == (
        "test_user owns type public.u; test_user was given database f (CREATE); "
        "test_user was given function pg_catalog.lo_import(text)"
    )
    logins = [
        (who, *row[1:-1], acts_as)
        for who, acts_as in (("w", ["test_user"]), ("s as team", ["boz_auditor"]))
        for row in (
            *rows[4:],
            ("", True, "pg_largeobject", "large object 1", None, False, None),
            ("", True, "pg_foreign_server", "server s", None, False, None),
            ("", False, "pg_class", "table other.t", None, False, None),
            ("", False, "pg_class", "table other.t", None, False, None),
        )
    ]

    assert held_by_workers(holdings_of(logins)) == (
        "w owns server s; w was given database f (CREATE); w was given function pg_catalog.lo_import(text)"
    )
    assert held_by_the_seat(holdings_of(logins)) == (
        "s as team owns large object 1; s as team owns server s; s as team owns type public.u; "
        "s as team was given database e (CONNECT, TEMPORARY); s as team was given database f (CREATE); "
        "s as team was given function other.f(); s as team was given function pg_catalog.lo_import(text); "
        "s as team was given table other.t; s as team was given type public.t"
    )
    assert held_by_workers(holdings_of(None)) == held_by_the_seat(()) == NOTHING


def test_default_privileges_are_told_with_who_gives_what_to_whom() -> None:
    """The owner's tables and functions have checks of their own; what PostgreSQL gives by itself is no news."""
    owners = frozenset({"owner"})
    given = (
        DefaultGrant("owner", "", "r", "stranger", "SELECT"),
        DefaultGrant("owner", "", "f", "PUBLIC", "EXECUTE"),
        DefaultGrant("owner", "", "S", "stranger", "USAGE"),
        DefaultGrant("owner", "", "T", "PUBLIC", "USAGE"),
        DefaultGrant("owner", "public", "T", "PUBLIC", "USAGE"),
        DefaultGrant("owner", "", "n", "owner", "USAGE"),
        DefaultGrant("owner", "", "L", None, None),
        DefaultGrant("other", "", "r", "test_user", "SELECT"),
        DefaultGrant("other", "", "r", "stranger", "SELECT"),
        DefaultGrant("other", "", "f", "PUBLIC", "EXECUTE"),
    )

    assert others_to_come(given, owners) == (
        "other gives test_user SELECT on tables; owner gives PUBLIC USAGE on types; "
        "owner gives stranger USAGE on sequences"
    )
    assert others_to_come((), owners) == ALONE
