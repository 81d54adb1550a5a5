"""Moving a definition to the twin: every name of ours, nothing else, and nothing that reaches outside."""

from __future__ import annotations

import pytest

from scripts.verifiers.twin.mapping import TWIN, TwinError, mapped
from scripts.verifiers.twin.names import PATTERN, key_of, new_name

COPIED = frozenset({"queue", "claim", "Odd"})
KEPT = frozenset({"state"})


def moved(text: str, *, body: bool = False, schemas: frozenset[str] = frozenset({"other"})) -> str:
    """The text with the twin's name as T."""
    return mapped(text, COPIED, KEPT, schemas, body=body).replace(TWIN, "T")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT public.claim(1) FROM public.queue AS q", "SELECT T.claim(1) FROM T.queue AS q"),
        ('SELECT "public"."Odd", PUBLIC.queue', 'SELECT T."Odd", T.queue'),
        ("SELECT 'x'::public.state", "SELECT 'x'::public.state"),
        ("SELECT 1 -- public.queue\n/* public.queue */", "SELECT 1 -- public.queue\n/* public.queue */"),
        ("SELECT 'public.queue'", "SELECT 'public.queue'"),
        ("SELECT q.public FROM public.queue AS q", "SELECT q.public FROM T.queue AS q"),
        ("SET search_path TO 'pg_catalog', 'public', 'pg_temp'", "SET search_path TO 'pg_catalog', 'T', 'pg_temp'"),
        ("SELECT pg_catalog.pg_notify('c', '')", "SELECT T.pg_notify('c', '')"),
        ("SELECT pg_catalog.now(), é.public FROM public.queue é", "SELECT pg_catalog.now(), é.public FROM T.queue é"),
        # An alias that is called like a schema is no schema.
        ("SELECT other.id FROM public.queue AS other", "SELECT other.id FROM T.queue AS other"),
    ],
)
def test_names_of_ours_are_moved(text: str, expected: str) -> None:
    """Tables, functions, quoted and in any letter case; strings, comments, columns and types stay."""
    assert moved(text) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("INSERT INTO public.payments VALUES (1)", "public.payments, which is not copied"),
        ("SELECT public.pay()", "public.pay, which is not copied"),
        ("INSERT INTO other.queue VALUES (1)", "the schema other"),
        ("SELECT other.pay()", "the schema other"),
        ("BEGIN EXECUTE 'DELETE FROM q'; END", "execute in a body"),
        ("BEGIN NOTIFY c; END", "notify in a body"),
        ("SELECT pg_notify('c', '')", "pg_notify in a body"),
        ("SELECT 'DELETE FROM PUBLIC.queue'", "a string that speaks of public"),
        ("SET search_path TO public", "the schema public by itself"),
        ("SELECT 'not closed", "a text that cannot be read"),
    ],
)
def test_what_reaches_outside_is_refused(text: str, what: str) -> None:
    """What runs in the twin is committed: it may touch nothing else, and says what it would have touched."""
    with pytest.raises(TwinError) as caught:
        moved(text, body=True)
    assert caught.value.what == what


def test_a_name_is_the_key_of_its_lock() -> None:
    """Sixteen digits, read as one signed integer of 64 bits."""
    import re

    assert re.fullmatch(PATTERN, new_name())
    assert key_of("parity_twin_00000000000000ff") == 255
    assert key_of("parity_twin_ffffffffffffffff") == -1
