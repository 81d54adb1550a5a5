"""Templates: one for all that it is made of, and never one that somebody has touched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from make_runs import quiet
from make_templates import BUILT, admin, making, ours, tables, templates_of, wait

from scripts.errors.templates import TemplateError
from scripts.migrations.folder.files import read_files
from scripts.migrations.template import recipe_of
from scripts.server.clones import copies, shelf
from scripts.server.clones import templates as templates_module
from scripts.server.clones.copies import read_seen
from scripts.server.clones.marks import Recipe, parse_mark
from scripts.server.clones.templates import open_clone
from scripts.server.readiness import with_database
from scripts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_database import MigrationFolder

    from scripts.server.clones.templates import Templates
    from scripts.server.model import Server


def test_whatever_a_template_is_made_of_makes_another(
    server: Server, templates: Templates, migrations: MigrationFolder
) -> None:
    """A byte of a migration, an option, a setting, the server's version: each is built anew, and found again."""
    migrations.write("0001_a.sql", "CREATE TABLE public.one (id integer);")
    recipe = recipe_of(migrations.files(), Settings())
    migrations.write("0001_a.sql", "CREATE TABLE public.two (id integer);")
    other = recipe_of(migrations.files(), Settings())
    with admin(server) as conn:
        before = ours(conn, "template")
        for wanted, table in ((recipe, "one"), (other, "two"), (recipe, "one")):
            with templates.clone(wanted) as clone:
                assert table in tables(clone.dsn)
        assert len(ours(conn, "template") - before) == 2
        for changed in (
            recipe_of(migrations.files(), replace(Settings(), migrate_trace=False)),
            replace(other, settings={"work_mem": "5MB"}),
            replace(other, ledger="another"),
        ):
            with templates.clone(changed) as clone:
                assert "two" in tables(clone.dsn)
        assert len(ours(conn, "template") - before) == 5
        with open_clone(replace(server, version="18.99"), other, report=quiet):
            pass
        assert len(ours(conn, "template") - before) == 6


def planted(conn: psycopg.Connection[Any], server: Server, name: str) -> None:
    """Opened, changed, and closed again: to look at, it is as it was."""
    conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
    with admin(server, name) as inside:
        inside.execute("CREATE TABLE public.planted ()")
    conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())


CHANGES: dict[str, Callable[[psycopg.Connection[Any], Server, str], object]] = {
    "a table planted": planted,
    "opened": lambda conn, _, name: conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode()),
    "no template": lambda conn, _, name: conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false'.encode()),
    "another owner": lambda conn, _, name: conn.execute(f'ALTER DATABASE "{name}" OWNER TO postgres'.encode()),
    "another right": lambda conn, _, name: conn.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC'.encode()),
    "another setting": lambda conn, _, name: conn.execute(f"ALTER DATABASE \"{name}\" SET work_mem TO '6MB'".encode()),
}


@pytest.mark.parametrize("known", [True, False], ids=["in use", "found"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_template_that_somebody_changed_is_not_copied(
    server: Server, templates: Templates, lines: list[str], change: str, *, known: bool
) -> None:
    """Nobody gets what was planted; one line says how it showed; there is a new one, and the changed one is gone."""
    recipe = making(f"{change} {known}", "CREATE TABLE public.one ()")
    with templates.clone(recipe):
        pass
    with admin(server) as conn:
        (name,) = templates_of(conn, recipe, server)
        CHANGES[change](conn, server, name)
        for _ in range(2):
            using = templates.clone(recipe) if known else open_clone(server, recipe, report=lines.append)
            with using as clone:
                assert tables(clone.dsn) == ["one"]
        assert len(BUILT[f"{change} {known}"]) == 2
        why = "its settings were changed" if "setting" in change else "it was opened or changed"
        assert lines == [f"server   the template {name} is not used: {why} after it was made; a new one is made"]
        assert name not in ours(conn)
        assert len(templates_of(conn, recipe, server)) == 1


def test_a_template_that_somebody_is_looking_at_stays(server: Server, templates: Templates, lines: list[str]) -> None:
    """Opened by hand, with a session in it: told once, not used, not taken from under them."""
    recipe = making("looked at", "CREATE TABLE public.one ()")
    with templates.clone(recipe):
        pass
    with admin(server) as conn:
        (name,) = templates_of(conn, recipe, server)
        conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
        with admin(server, name) as inside:
            for _ in range(2):
                with open_clone(server, recipe, report=lines.append if not lines else quiet) as clone:
                    assert tables(clone.dsn) == ["one"]
            assert inside.execute("SELECT 1").fetchone() == (1,)
        assert len(lines) == 1
        assert f"the template {name} is not used, and stays, since somebody is connected to it: " in lines[0]
        assert len(templates_of(conn, recipe, server)) == 2
        with open_clone(server, recipe, report=quiet):
            pass
        wait(lambda: swept_away(server, recipe, conn, name))


def swept_away(server: Server, recipe: Recipe, conn: psycopg.Connection[Any], name: str) -> bool:
    """Whether the next user has taken it away, now that nobody is connected."""
    with open_clone(server, recipe, report=quiet):
        return name not in ours(conn)


def test_a_template_that_is_dropped_meanwhile_is_built_again(server: Server, templates: Templates) -> None:
    """By another run, which keeps only so many."""
    recipe = making("vanished", "CREATE TABLE public.one ()")
    for _ in range(2):
        with templates.clone(recipe) as clone, admin(server) as conn:
            assert tables(clone.dsn) == ["one"]
            (name,) = templates_of(conn, recipe, server)
            conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false'.encode())
            conn.execute(f'DROP DATABASE "{name}"'.encode())
    assert len(BUILT["vanished"]) == 2


def test_a_template_that_is_opened_at_the_last_moment_is_not_copied(
    server: Server, templates: Templates, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses the copy while somebody is in it: it is looked at again, and another one built."""
    recipe = making("opened", "CREATE TABLE public.one ()")
    with templates.clone(recipe):
        pass
    real = copies.copy_database

    def refused(conn: psycopg.Connection[Any], source: str, *rest: Any) -> copies.Seen | None:
        conn.execute(f'ALTER DATABASE "{source}" ALLOW_CONNECTIONS true'.encode())
        monkeypatch.setattr(templates_module, "copy_database", real)
        raise psycopg.errors.ObjectInUse  # five seconds later, were it real

    monkeypatch.setattr(templates_module, "copy_database", refused)
    with templates.clone(recipe) as clone:
        assert tables(clone.dsn) == ["one"]
    assert len(BUILT["opened"]) == 2
    assert "it was opened or changed after it was made" in lines[0]


def test_a_role_that_is_called_otherwise_now_is_no_trouble(server: Server, templates: Templates) -> None:
    """The privileges are read again."""
    with admin(server) as conn:
        conn.execute("CREATE ROLE formerly")
        grant = "EXECUTE format('GRANT CREATE ON DATABASE %I TO formerly', current_database())"
        recipe = making("renamed", f"DO $$ BEGIN {grant}; END $$")
        with templates.clone(recipe):
            pass
        conn.execute("ALTER ROLE formerly RENAME TO nowadays")
        with templates.clone(recipe) as clone:
            grants = read_seen(conn, [clone.name])[clone.name].shared.grants or ()
            assert "nowadays" in {grant.grantee for grant in grants}
        (name,) = templates_of(conn, recipe, server)
        conn.execute(f'REVOKE ALL ON DATABASE "{name}" FROM nowadays'.encode())
        conn.execute("DROP ROLE nowadays")
    assert len(BUILT["renamed"]) == 1


def test_where_no_template_stays_as_it_is_there_is_an_error(
    server: Server, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts, and no copy of any of them is left."""
    monkeypatch.setattr(shelf.Template, "is_still", lambda *_: False)
    with admin(server) as conn:
        before = ours(conn, "clone")
        with (
            pytest.raises(TemplateError, match="changed or dropped as often"),
            templates.clone(making("odd", "SELECT 1")),
        ):
            pass
        assert ours(conn, "clone") == before


def test_only_so_many_are_kept(server: Server, templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go when another one is built; in silence, and never one that is looked at."""
    with admin(server) as conn:
        before = ours(conn, "template")
        recipes = [making(f"many {number}", "SELECT 1") for number in range(4)]
        monkeypatch.setattr(shelf, "KEEP", len(before) + 2)
        for recipe in recipes[:2]:
            with templates.clone(recipe):
                pass
        # Those of the session are older than the test's.
        monkeypatch.setattr(shelf, "KEEP", 1)
        monkeypatch.setattr(shelf.Shelf, "_throw_away", only(shelf.Shelf._throw_away, ours(conn, "template") - before))
        for recipe in recipes[2:]:
            with templates.clone(recipe):
                pass
        assert [len(templates_of(conn, recipe, server)) for recipe in recipes] == [0, 0, 1, 1]
        assert before <= ours(conn, "template")


def only(real: Callable[..., None], names: set[str]) -> Callable[..., None]:
    """The real thing, for some names."""

    def call(self: shelf.Shelf, name: str, why: str) -> None:
        if name in names:
            real(self, name, why)

    return call


def test_the_mark_says_what_was_made(server: Server, templates: Templates) -> None:
    """A complete template cannot be connected to, and tells its key; there is no secret in it."""
    recipe = making("marked", "SELECT 1")
    with templates.clone(recipe), admin(server) as conn:
        (name,) = templates_of(conn, recipe, server)
        seen = read_seen(conn, [name])[name]
        assert (seen.is_template, seen.connectable) == (True, False)
        mark = parse_mark(seen.shared.comment)
        assert mark is not None
        key = recipe.key(version=server.version, owner="symphony_owner")
        assert (mark.kind, mark.key, mark.xid) == ("template", key, seen.xid)
        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            psycopg.connect(with_database(str(server.admin_dsn), name))
        # That the project's own folder has a template of its own is what the session's tests rest on.
        assert recipe_of(read_files(Settings().migrations_dir), Settings()).options == {
            "migrate_role": None,
            "migrate_trace": True,
        }
