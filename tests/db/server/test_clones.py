"""Clones: as good as a migrated database, one's own, gone afterwards, and nobody else's is ever dropped."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from make_runs import quiet
from make_templates import BUILT, admin, making, ours, tables, templates_of

from scripts.errors.server import NotAllowedError, StartError
from scripts.migrations.template import recipe_of
from scripts.server.clones.copies import read_seen
from scripts.server.clones.marks import KINDS, Mark, about_key, name_of
from scripts.server.clones.templates import open_clone, open_templates
from scripts.server.readiness import address_of, connect, parse_dsn
from scripts.settings import Settings

if TYPE_CHECKING:
    from scripts.migrations.folder.files import MigrationFile
    from scripts.server.clones.templates import Templates
    from scripts.server.model import Server


def test_a_clone_is_a_migrated_database_of_ones_own(
    server: Server, templates: Templates, project_files: tuple[MigrationFile, ...], lines: list[str]
) -> None:
    """Another one each time, built once; the owner's, who is no superuser; dropped at the end, without a word."""
    recipe = recipe_of(project_files, Settings())
    with templates.clone(recipe) as one, templates.clone(recipe) as two, admin(server) as conn:
        assert one.name != two.name
        assert {one.name, two.name} <= ours(conn, "clone")
        with connect(one.dsn) as owner:
            assert owner.execute("SELECT current_user, (SELECT count(*) FROM public.schema_migrations)").fetchone() == (
                "symphony_owner", 27,
            )  # fmt: skip
            owner.execute("DROP TABLE public.tenants CASCADE")
        assert "tenants" in tables(two.dsn)
        assert len(templates_of(conn, recipe, server)) == 1
    with admin(server) as conn:
        assert not {one.name, two.name} & ours(conn)
    assert lines == []
    assert "password" not in repr(one)


def test_what_create_database_leaves_behind_is_carried_over(server: Server, templates: Templates) -> None:
    """Privileges with their grantors and options, settings for all and for a role, limit and comment."""
    roles = [f"carried_{number}" for number in range(3)]
    first, second, third = roles
    with admin(server) as conn:
        for role in roles:
            conn.execute(f"CREATE ROLE {role}".encode())
        with templates.empty() as source:
            for statement in (
                "REVOKE ALL ON DATABASE {} FROM PUBLIC",
                f"GRANT CREATE, CONNECT ON DATABASE {{}} TO {third} WITH GRANT OPTION",
                f"BEGIN; SET LOCAL ROLE {third}; GRANT CREATE ON DATABASE {{}} TO {second} WITH GRANT OPTION; COMMIT",
                f"BEGIN; SET LOCAL ROLE {second}; GRANT CREATE ON DATABASE {{}} TO {first}; COMMIT",
                "GRANT TEMPORARY ON DATABASE {} TO PUBLIC",
                'ALTER DATABASE {} SET search_path TO "$user", "odd "" name", public',
                "ALTER DATABASE {} SET search_path TO ''",
                "ALTER DATABASE {} SET DateStyle TO 'ISO, DMY'",
                "ALTER DATABASE {} SET our.flag TO 'it''s = on'",
                f'ALTER ROLE {first} IN DATABASE {{}} SET search_path TO "a, b", c',
                f"ALTER ROLE {first} IN DATABASE {{}} SET statement_timeout TO '7s'",
                "ALTER DATABASE {} CONNECTION LIMIT 7",
                "COMMENT ON DATABASE {} IS 'it''s \"mine\"'",
            ):
                conn.execute(statement.format(f'"{source.name}"').encode())
            with templates.copy(source.name) as copy:
                seen = read_seen(conn, [source.name, copy.name])
                assert seen[copy.name].shared == seen[source.name].shared
                shared = seen[copy.name].shared
                assert len(shared.grants or ()) == 8
                assert (len(shared.settings), shared.connection_limit, shared.comment) == (5, 7, 'it\'s "mine"')
                joined = "pg_db_role_setting JOIN pg_database AS d ON d.oid = setdatabase"
                found = conn.execute(f"SELECT datname, unnest(setconfig) FROM {joined}").fetchall()
                assert sorted(text for name, text in found if name == copy.name) == sorted(
                    text for name, text in found if name == source.name
                )
        for role in roles:
            conn.execute(f"DROP ROLE {role}".encode())


def test_the_template_s_own_are_carried_over_too(server: Server, templates: Templates) -> None:
    """A comment and a setting that the migrations gave; the recipe's settings hold while they run, and in the clone."""
    recipe = making(
        "carried",
        "CREATE TABLE public.seen AS SELECT current_setting('our.flag') AS flag",
        "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''by migration''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem TO ''5MB''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$",
        settings={"our.flag": "x y"},
    )
    for _ in range(2):
        with templates.clone(recipe) as clone, admin(server, clone.name) as conn:
            assert conn.execute("SELECT flag FROM public.seen").fetchone() == ("x y",)
            assert conn.execute("SELECT current_setting('our.flag'), current_setting('work_mem')").fetchone() == (
                "x y", "5MB",
            )  # fmt: skip
            shared = read_seen(conn, [clone.name])[clone.name].shared
            assert shared.comment == "by migration"
            assert "TEMPORARY" not in {grant.privilege for grant in shared.grants or () if grant.grantee is None}
    with open_clone(server, recipe, report=quiet) as clone, admin(server) as conn:
        assert read_seen(conn, [clone.name])[clone.name].shared == shared
    assert len(BUILT["carried"]) == 1


def test_it_is_dropped_with_everybody_in_it(server: Server, templates: Templates) -> None:
    """Whoever has forgotten to close a connection does not keep it."""
    with templates.clone(making("dropped", "CREATE TABLE public.one ()")) as clone:
        forgotten = psycopg.connect(clone.dsn)
        forgotten.execute("SELECT * FROM public.one")
    with admin(server) as conn:
        assert clone.name not in ours(conn)
    forgotten.close()


def test_one_that_was_dropped_in_the_block_is_no_trouble(server: Server, templates: Templates) -> None:
    """It is gone; that was wanted."""
    with templates.empty() as clone, admin(server) as conn:
        conn.execute(f'DROP DATABASE "{clone.name}"'.encode())


def test_a_clone_that_cannot_be_dropped_is_told(server: Server, templates: Templates) -> None:
    """Somebody made a template of it; what went wrong in the block comes first."""
    with (
        pytest.raises(NotAllowedError, match="could not be dropped") as caught,
        admin(server) as conn,
        templates.empty() as clone,
    ):
        conn.execute(f'ALTER DATABASE "{clone.name}" IS_TEMPLATE true'.encode())
    assert f'drop it by hand: DROP DATABASE "{clone.name}" WITH (FORCE)' in str(caught.value)


def test_after_a_failure_it_is_kept_and_shown_without_the_password(
    server: Server, templates: Templates, lines: list[str]
) -> None:
    """With how to remove it; the next user of templates leaves it alone. An interruption keeps nothing."""
    recipe = making("kept", "CREATE TABLE public.one ()", "SELECT 1")
    with pytest.raises(ZeroDivisionError), templates.clone(recipe, keep_failed=True) as clone:
        _ = 1 / 0
    where = address_of(clone.admin_dsn)
    assert lines == [f'server   kept: {where}; DROP DATABASE "{clone.name}" WITH (FORCE) removes it']
    assert parse_dsn(clone.admin_dsn)["password"] not in lines[0]
    with pytest.raises(KeyboardInterrupt), templates.clone(recipe, keep_failed=True) as interrupted:
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), templates.clone(recipe) as unwanted:
        _ = 1 / 0
    with templates.empty() as asked_for:
        asked_for.keep()
    assert len(lines) == 2
    with admin(server) as conn:
        with open_clone(server, recipe, report=quiet):
            assert {clone.name, asked_for.name} <= ours(conn)
            assert not {interrupted.name, unwanted.name} & ours(conn)
        removal = re.search(r"DROP DATABASE .* \(FORCE\)", lines[0])
        assert removal is not None
        conn.execute(removal[0].encode())
        assert clone.name not in ours(conn)


def test_a_database_of_somebody_s_own_is_never_dropped(server: Server, templates: Templates) -> None:
    """Names that look like ours, without their digest; and a template's very name without our mark."""
    about = "0123456789abcdef"
    alike = [
        f"parity_half_{about}_01234567_89abcdef",
        f"parity_clone_{about}_01234567_89abcdef",
        f"parity_template_{about}_01234567_89abcdef",
        "parity_half", "parity_clone_", "parity_1700000000_abc", "parity_mine", "Parity_template",
        name_of("half", about).upper(), name_of("clone", about) + "_",
        name_of("template", about),
    ]  # fmt: skip
    with admin(server) as conn, ExitStack() as stack:
        for name in alike:
            conn.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy'.encode())
            stack.callback(conn.execute, f'DROP DATABASE "{name}"'.encode())
        with templates.clone(making("alike", "SELECT 1")):
            names = {row[0] for row in conn.execute("SELECT datname::text FROM pg_database")}
            assert set(alike) <= names


def test_a_name_that_is_taken_is_somebody_s_own(
    server: Server, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should chance hit one: an error, and the database that has it stays as it is."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "01234567")
    recipe = making("taken", "SELECT 1")
    about = about_key(recipe.key(version=server.version, owner="symphony_owner"))
    taken = [name_of(kind, about) for kind in KINDS if kind != "clone"] + [name_of("clone", templates._maker)]
    with admin(server) as conn:
        for name in taken:
            conn.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy'.encode())
            conn.execute(f"""COMMENT ON DATABASE "{name}" IS '{Mark("kept").text()}'""".encode())
            with pytest.raises(StartError) as caught, templates.clone(recipe):
                pass
            assert f'database "{name}" already exists' in str(caught.value)
            with pytest.raises(StartError) if "clone" in name else ExitStack(), templates.empty():
                pass
            assert name in ours(conn)
            conn.execute(f'DROP DATABASE "{name}"'.encode())


def test_a_source_that_is_not_there_or_in_use_is_told(server: Server, templates: Templates) -> None:
    """In the server's own words."""
    with pytest.raises(StartError, match='the copy of "nowhere" failed') as caught, templates.copy("nowhere"):
        pass
    assert 'template database "nowhere" does not exist' in str(caught.value)


def test_a_server_that_is_not_ours_has_no_templates(server: Server) -> None:
    """Not even for a superuser: a checkpoint for each copy is nothing for somebody's server."""
    for foreign in (replace(server, origin="external"), replace(server, admin_dsn=None)):
        with pytest.raises(RuntimeError, match="a server of our own"), open_templates(foreign, report=quiet):
            pass
