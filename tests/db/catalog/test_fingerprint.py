"""The fingerprint: every change of the schema changes it, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from make_changes import CHANGES, SEEN_OTHERWISE
from make_kinds import BASE

from scripts.catalog.compare import compare_catalogs, verify_baseline
from scripts.catalog.fingerprint import fingerprint
from scripts.catalog.read import read_catalog
from scripts.catalog.render import KINDS, parse_catalog, render_catalog

if TYPE_CHECKING:
    from fix_database import Databases, ScratchDatabase

    from scripts.catalog.read import Catalog


@pytest.fixture
def base(empty_database: ScratchDatabase) -> ScratchDatabase:
    """A database with at least one object of every kind; `<owner>` is the superuser here."""
    with empty_database.connect_admin() as conn:
        conn.execute(f"ALTER DATABASE {empty_database.name} OWNER TO CURRENT_USER".encode())
        conn.execute(numbered(BASE, empty_database).encode())
    return empty_database


def numbered(sql: str, database: ScratchDatabase) -> str:
    """Roles belong to the server, so each test has its own."""
    return sql.replace("{n}", database.name)


def catalog_of(database: ScratchDatabase) -> Catalog:
    """As the superuser reads it."""
    with database.connect_admin() as conn:
        return read_catalog(conn)


def test_every_change_is_seen_and_named(base: ScratchDatabase) -> None:
    """Each one alone: another fingerprint, and the comparison names the object (D-27); no kind of fact is left out."""
    unseen: list[str] = []
    changed: set[tuple[str, str]] = set()
    present: set[tuple[str, str]] = set()
    with base.connect_admin() as conn:
        before = read_catalog(conn)
        for change, title in CHANGES.items():
            with conn.transaction(force_rollback=True):
                conn.execute(numbered(change, base).encode())
                after = read_catalog(conn)
            differences = compare_catalogs(before, after)
            titles = {difference.title for difference in differences}
            if fingerprint(before) == fingerprint(after) or numbered(title, base) not in titles:
                unseen.append(change)
            kinds = {item.title: item.kind for item in (*before.objects, *after.objects)}
            changed |= {(kinds[difference.title], difference.fact) for difference in differences}
            present |= {(item.kind, fact) for item in (*before.objects, *after.objects) for fact in item.facts}
        assert fingerprint(read_catalog(conn)) == fingerprint(before)
    assert unseen == []
    otherwise = {(kind, fact) for kind, facts in SEEN_OTHERWISE.items() for fact in facts}
    assert present - changed - otherwise - {("system object", "acl")} == set()


def test_reading_is_repeatable_and_every_kind_is_known(base: ScratchDatabase) -> None:
    """Twice the same; the golden text reads back to the same objects, whatever their names and bodies hold."""
    first = catalog_of(base)
    assert fingerprint(first) == fingerprint(catalog_of(base))
    assert {item.kind for item in first.objects} <= set(KINDS)
    assert len({item.title for item in first.objects}) == len(first.objects)
    assert parse_catalog(render_catalog(first)) == first
    assert not any("16" in item.name and item.name.isdigit() for item in first.objects)


def test_order_oids_and_dropped_columns_are_no_matter(
    base: ScratchDatabase, empty_database: ScratchDatabase, databases: Databases
) -> None:
    """The same objects made in another order, by a detour, under other OIDs: the same fingerprint."""
    with base.connect_admin() as conn:
        conn.execute("CREATE TABLE public.z1 (a int, b text); CREATE TABLE public.z2 (c int)")
        conn.execute("CREATE INDEX z1_a ON public.z1 (a); CREATE INDEX z1_b ON public.z1 (b)")
    wanted = catalog_of(base)
    with base.connect_admin() as conn:
        conn.execute("DROP TABLE public.z1, public.z2")
        conn.execute("CREATE TABLE public.z2 (gone text, c int); ALTER TABLE public.z2 DROP gone")
        conn.execute("CREATE TABLE public.z1 (a int, gone int, b text); ALTER TABLE public.z1 DROP gone")
        conn.execute("CREATE INDEX z1_b ON public.z1 (b); CREATE INDEX z1_a ON public.z1 (a)")
        conn.execute("INSERT INTO public.z2 VALUES (1); ANALYZE; SELECT nextval('public.seq')")
    assert [str(difference) for difference in compare_catalogs(wanted, catalog_of(base))] == []


# The same options and settings, given back in another order: an array in the catalog, and a set in what it says.
REORDERED = (
    (
        "ALTER TABLE public.a SET (autovacuum_enabled = false)",
        "ALTER TABLE public.a RESET (fillfactor); ALTER TABLE public.a SET (fillfactor = 80)",
    ),
    (
        "ALTER TABLE public.a SET (toast.vacuum_truncate = false, toast.autovacuum_enabled = false)",
        "ALTER TABLE public.a RESET (toast.vacuum_truncate); ALTER TABLE public.a SET (toast.vacuum_truncate = false)",
    ),
    (
        "ALTER INDEX public.a_x SET (deduplicate_items = off, fillfactor = 70)",
        "ALTER INDEX public.a_x RESET (deduplicate_items); ALTER INDEX public.a_x SET (deduplicate_items = off)",
    ),
    (
        "ALTER TABLE public.a ALTER x SET (n_distinct = 5, n_distinct_inherited = 6)",
        "ALTER TABLE public.a ALTER x RESET (n_distinct); ALTER TABLE public.a ALTER x SET (n_distinct = 5)",
    ),
    (
        "ALTER FUNCTION public.f SET work_mem = '1MB'; ALTER FUNCTION public.f SET search_path = public",
        "ALTER FUNCTION public.f RESET work_mem; ALTER FUNCTION public.f SET work_mem = '1MB'",
    ),
    (
        "ALTER ROLE fp_reader_{n} SET work_mem = '1MB'; ALTER ROLE fp_reader_{n} SET search_path = public",
        "ALTER ROLE fp_reader_{n} RESET work_mem; ALTER ROLE fp_reader_{n} SET work_mem = '1MB'",
    ),
)


@pytest.mark.parametrize(("given", "again"), REORDERED)
def test_the_order_of_options_and_settings_is_no_matter(base: ScratchDatabase, given: str, again: str) -> None:
    """One taken away and given back stands last in the catalog; that the values themselves count is shown above."""
    with base.connect_admin() as conn, conn.transaction(force_rollback=True):
        before = fingerprint(read_catalog(conn))
        conn.execute(numbered(given, base).encode())
        wanted = read_catalog(conn)
        assert fingerprint(wanted) != before
        conn.execute(numbered(again, base).encode())
        assert [str(difference) for difference in compare_catalogs(wanted, read_catalog(conn))] == []


def test_a_parameter_of_somebody_without_a_part_here_is_no_matter(base: ScratchDatabase) -> None:
    """Parameters are the whole server's: what another database's login may set is not this schema's."""
    wanted = catalog_of(base)
    with base.connect_admin() as conn, conn.transaction(force_rollback=True):
        conn.execute(numbered("CREATE ROLE fp_other_{n}", base).encode())
        conn.execute(numbered("GRANT SET ON PARAMETER work_mem TO fp_other_{n}, CURRENT_USER", base).encode())
        assert [str(difference) for difference in compare_catalogs(wanted, read_catalog(conn))] == []


def test_columns_in_another_order_are_a_matter(empty_database: ScratchDatabase) -> None:
    """A row type is positional."""
    with empty_database.connect_admin() as conn:
        conn.execute("CREATE TABLE public.z (a int, b int)")
        before = read_catalog(conn)
        conn.execute("DROP TABLE public.z; CREATE TABLE public.z (b int, a int)")
        assert fingerprint(before) != fingerprint(read_catalog(conn))


def test_whoever_migrates_gives_the_same_fingerprint(empty_database: ScratchDatabase, databases: Databases) -> None:
    """The owner's name is <owner>, whichever role it is; a clone, another database name and another reader agree."""
    ledger = "CREATE TABLE public.schema_migrations (version text PRIMARY KEY)"
    rest = (
        "CREATE TABLE public.t (a int); GRANT SELECT ON public.t TO pg_monitor; CREATE VIEW public.v AS SELECT 1 AS x"
    )
    with empty_database.connect() as conn:
        conn.execute(f"{ledger}; {rest}".encode())
        mine = read_catalog(conn)
    assert fingerprint(mine) == fingerprint(catalog_of(empty_database))
    empty_database.close()
    import psycopg

    with databases.copy(empty_database.name) as clone, psycopg.connect(clone.admin_dsn, autocommit=True) as conn:
        assert fingerprint(read_catalog(conn)) == fingerprint(mine)
    with databases.empty() as other, psycopg.connect(other.admin_dsn, autocommit=True) as conn:
        conn.execute(f"{ledger}; {rest}".encode())
        assert fingerprint(read_catalog(conn)) == fingerprint(mine)
        assert "postgres" not in render_catalog(read_catalog(conn))


SETTINGS = {
    "search_path": "public, side",
    "quote_all_identifiers": "on",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "row_security": "off",
    "lc_messages": "C",
    "jit": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_session_is_no_matter(base: ScratchDatabase, setting: str) -> None:
    """Whatever a session is set to, it reads the same catalog, and is set to it afterwards."""
    wanted = fingerprint(catalog_of(base))
    with base.connect_admin() as conn:
        conn.execute("SELECT pg_catalog.set_config(%s, %s, false)", (setting, SETTINGS[setting]))
        assert fingerprint(read_catalog(conn)) == wanted
        row = conn.execute("SELECT pg_catalog.current_setting(%s)", (setting,)).fetchone()
    assert row == (SETTINGS[setting],)


def test_the_reading_role_is_no_matter(base: ScratchDatabase) -> None:
    """A role without any privilege, and a superuser, read the same."""
    wanted = catalog_of(base)
    with base.connect_admin() as conn:
        conn.execute(numbered("CREATE ROLE nobody_{n}", base).encode())
    with base.connect(f"nobody_{base.name}") as conn:
        assert [str(difference) for difference in compare_catalogs(wanted, read_catalog(conn))] == []


def test_data_and_upkeep_are_no_matter(base: ScratchDatabase) -> None:
    """Rows, large objects, sequence positions, statistics, VACUUM, REINDEX and CLUSTER leave the fingerprint alone."""
    wanted = catalog_of(base)
    with base.connect_admin() as conn:
        conn.execute("SELECT pg_catalog.lo_from_bytea(4111, 'x'); GRANT SELECT ON LARGE OBJECT 4111 TO pg_monitor")
        conn.execute("INSERT INTO public.a (x, y) SELECT 'x', 2 FROM pg_catalog.generate_series(1, 50)")
        conn.execute("INSERT INTO public.part VALUES (1, '2024-03-01'); SELECT pg_catalog.setval('public.seq', 7)")
        for upkeep in ("VACUUM (FULL, ANALYZE)", "REINDEX DATABASE", "CLUSTER public.a USING a_pkey", "CHECKPOINT"):
            conn.execute(upkeep.encode())
        conn.execute("ALTER INDEX public.a_pkey SET (fillfactor = 50); ALTER INDEX public.a_pkey RESET (fillfactor)")
    changed = [str(difference) for difference in compare_catalogs(wanted, catalog_of(base))]
    assert changed == ["index public.a_pkey: clustered: expected nothing, found true"]


def test_a_password_among_options_is_not_read(base: ScratchDatabase) -> None:
    """A server's option that looks like a secret is told without its value."""
    with base.connect_admin() as conn:
        conn.execute(
            numbered("CREATE USER MAPPING FOR fp_reader_{n} SERVER srv OPTIONS (password 'hush')", base).encode()
        )
    text = render_catalog(catalog_of(base))
    assert "hush" not in text
    assert "sslpassword=(not shown)" in text


def test_privileges_given_and_taken_back_are_no_matter(base: ScratchDatabase) -> None:
    """A grant on what the server brings along, undone, leaves no object behind."""
    wanted = catalog_of(base)
    with base.connect_admin() as conn:
        for grant in (
            "{} EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) {} fp_reader_{n}",
            "{} USAGE ON TYPE pg_catalog.int4 {} fp_reader_{n}",
            "{} SELECT ON pg_catalog.pg_authid {} fp_reader_{n}",
            "{} USAGE ON LANGUAGE plpgsql {} fp_reader_{n}",
        ):
            text = numbered(grant.replace("{}", "%s"), base)
            conn.execute((text % ("GRANT", "TO")).encode())
            conn.execute((text % ("REVOKE", "FROM")).encode())
    assert [str(difference) for difference in compare_catalogs(wanted, catalog_of(base))] == []


def test_the_reader_changes_nothing(base: ScratchDatabase) -> None:
    """Inside the caller's transaction: it sees uncommitted changes, and leaves settings and transaction alone."""
    with base.connect_admin(autocommit=False) as conn:
        conn.execute("SET search_path = public; CREATE TABLE open_one (a int)")
        catalog = read_catalog(conn)
        assert "table public.open_one" in {item.title for item in catalog.objects}
        row = conn.execute("SELECT current_setting('search_path')").fetchone()
        assert row == ("public",)
        conn.rollback()
    assert base.value("SELECT to_regclass('public.open_one')") is None


def test_the_baseline(base: ScratchDatabase) -> None:
    """Equal: one check a kind, all hold. Changed: the kind fails, and one check tells each difference (D-27)."""
    golden = parse_catalog(render_catalog(catalog_of(base)))
    checks = verify_baseline(catalog_of(base), golden)
    assert len(checks) > 20
    assert all(check.holds for check in checks)
    with base.connect_admin() as conn:
        conn.execute("ALTER TABLE public.a ALTER x DROP NOT NULL; DROP VIEW public.v")
    failing = [check for check in verify_baseline(catalog_of(base), golden) if not check.holds]
    told = {(check.where, check.expected, check.observed) for check in failing if check.id == "catalog_difference"}
    assert ("column public.a.x not_null", "true", "nothing") in told
    assert ("view public.v", "present", "absent") in told
    assert {check.id for check in failing} == {
        "catalog_column", "catalog_constraint", "catalog_view", "catalog_difference"
    }  # fmt: skip


def test_the_projects_schema_in_one_breath(database: ScratchDatabase) -> None:
    """Every migration applied: the catalog reads, renders and parses back without loss."""
    catalog = catalog_of(database)
    assert parse_catalog(render_catalog(catalog)) == catalog
    assert {"table public.schema_migrations", "table public.payment_outbox_pending"} <= {
        item.title for item in catalog.objects
    }
