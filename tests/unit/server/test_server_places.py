"""Places of servers: the mark of those that are ours, and a URL that connects and holds no secret."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from scripts.server.places import connecting_to, own_dsn, shown_url
from scripts.server.readiness import parse_dsn, with_database
from scripts.settings import connecting

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1)
NAMES = WORDS.filter(lambda word: word.strip() == word)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine that the tests run on."""
    for name in [name for name in os.environ if name.startswith("PG")]:  # noqa: TID251 - it is what is tested
        monkeypatch.delenv(name)


def seen() -> str | None:
    """A variable of libpq's, as C reads it."""
    return os.environ.get("PGPASSWORD")  # noqa: TID251 - it is what is tested


def test_what_is_made_of_a_dsn_of_ours_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another database, role, password, options: variables are out; for any other DSN they are in."""
    monkeypatch.setenv("PGPASSWORD", "x")
    ours = own_dsn(host="/s", port="5432", user="u", dbname="d")
    derived = make_conninfo(with_database(ours, "other"), user="v", password="w", options="-c a=b")  # noqa: S106 - none
    for dsn in (ours, derived):
        with connecting_to(parse_dsn(dsn)):
            assert seen() is None
        assert seen() == "x"
    with connecting_to(parse_dsn("host=/s port=5432 user=u dbname=d")):
        assert seen() == "x"


def test_variables_come_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one, with its value, an empty one too; the next connect is not kept waiting."""
    values = {"PGPASSWORD": "x", "PGCONNECT_TIMEOUT": "3", "PGOPTIONS": "", "PGSOMETHINGNEW": "y", "PG_COLOR": "auto"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        inside: set[str] = set()
        with suppress(ZeroDivisionError), connecting(as_the_caller=False):
            inside = {name for name in values if name in os.environ}  # noqa: TID251 - it is what is tested
            _ = 1 / 0
        assert inside == {"PG_COLOR"}
        assert {name: os.environ[name] for name in values} == values  # noqa: TID251 - it is what is tested


def test_a_connect_of_the_callers_waits_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """And has its variables then; the other way round likewise."""
    monkeypatch.setenv("PGPASSWORD", "x")
    for first in (False, True):
        found: list[str | None] = []
        thread = threading.Thread(target=_look, args=(not first, found))
        with connecting(as_the_caller=first):
            thread.start()
            thread.join(timeout=0.1)
            assert thread.is_alive()
            assert seen() == ("x" if first else None)
        thread.join(timeout=5)
        assert found == [None if first else "x"]


def test_nobody_waits_where_no_variable_is_set() -> None:
    """Connects in two threads at once."""
    found: list[str | None] = []
    thread = threading.Thread(target=_look, args=(False, found))
    with connecting(as_the_caller=False), connecting(as_the_caller=True):
        thread.start()
        thread.join(timeout=5)
        assert found == [None]


def _look(as_the_caller: bool, found: list[str | None]) -> None:  # noqa: FBT001 - a thread's argument
    with connecting(as_the_caller=as_the_caller):
        found.append(seen())


@given(NAMES, NAMES, NAMES, st.sampled_from(["/a b/@x", "db.example", "::1", "one,two", "@abstract", "127.0.0.1"]))
def test_a_shown_url_is_the_same_place(user: str, database: str, options: str, host: str) -> None:
    """Read by libpq it is what it was made of."""
    port = "1,2" if "," in host else "6432"
    parts = {"user": user, "host": host, "port": port, "dbname": database, "options": options, "sslmode": "require"}
    from psycopg.conninfo import conninfo_to_dict

    assert conninfo_to_dict(shown_url(parts)) == parts


def test_a_shown_url_holds_nothing_secret_and_adds_nothing() -> None:
    """Whatever libpq takes as a secret; a port, a user or a host that the DSN does not say is not made up."""
    secret = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
    parts = dict.fromkeys(secret, "s3cret") | {"dbname": "d", "hostaddr": "127.0.0.1"}
    assert shown_url(parts) == "postgresql:///d?hostaddr=127.0.0.1"
    assert shown_url({"host": "h", "dbname": "d"}) == "postgresql://h/d"
    assert shown_url({"user": "u", "host": "::1", "port": "1", "dbname": "d"}) == "postgresql://u@[::1]:1/d"


def test_every_secret_of_libpqs_is_known() -> None:
    """What it marks as a password, or names a key's content, is among those that are left out."""
    from psycopg.pq import Conninfo

    for option in Conninfo.get_defaults():
        name = option.keyword.decode()
        if option.dispchar == b"*" or name.startswith("scram_"):
            assert "s3cret" not in shown_url({name: "s3cret"}), name
