"""Stored expressions are read whole, and what cannot be read or proved is never taken for harmless."""

from __future__ import annotations

import struct

import pytest

from scripts.verifiers.facts.moments import Given, moment
from scripts.verifiers.facts.trees import interval_of, number_of, parse_tree, text_of
from scripts.verifiers.facts.workings import Names, workings

# left(?, 50), as the server keeps it; a blank in a word has a backslash before it.
_LEFT = (
    r"({FUNCEXPR :funcid 3060 :funcresulttype 25 :args ({VAR :varattno 6 :vartype 25 :name a\ \)b :varnullingrels (b)} "
    "{CONST :consttype 23 :constisnull false :constvalue 4 [ 50 0 0 0 0 0 0 0 ]}) :location -1} "
    "{CONST :consttype 25 :constisnull true :constvalue <>})"
)


def text(value: str) -> bytes:
    """A text in memory."""
    return struct.pack("<I", (len(value.encode()) + 4) * 4) + value.encode()


def test_every_node_and_field_is_read() -> None:
    """Lists, words with brackets in them, bytes, and what is NULL."""
    call, null = parse_tree(_LEFT)
    var, fifty = call.children()

    assert [node.kind for node in (call, var, fifty, null)] == ["FUNCEXPR", "VAR", "CONST", "CONST"]
    assert (call.word("funcid"), call.word("nothing"), var.word("name")) == ("3060", "", r"a\ \)b")
    assert call.under("args") == (var, fifty)
    assert (fifty.constant(), null.constant()) == (bytes([50, 0, 0, 0, 0, 0, 0, 0]), None)
    assert parse_tree("") == ()


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ("{VAR :vartype 25", "a stored expression that has no end"),
        ("({VAR}", "a stored expression that has no end"),
        ("{VAR :vartype 25}}", "a bracket too many in a stored expression"),
        ("{VAR :vartype 25 ]}", "a bracket too many in a stored expression"),
        ("{VAR 25}", "a value without a name in a stored expression"),
        ("words", "no node in a stored expression"),
    ],
)
def test_what_is_no_expression_is_an_error(tree: str, said: str) -> None:
    """It says why; whoever asks what it comes to is told that it cannot be read, not that it is harmless."""
    with pytest.raises(ValueError, match=f"^{said}$"):
        parse_tree(tree)
    assert workings(tree, Names()) == ((), ("what cannot be read",))


def test_what_has_no_name_is_told() -> None:
    """A function or a node that the names do not know."""
    assert workings(_LEFT, Names())[1] == ("what is gone",)
    assert workings("{SUBLINK :arg <>}", Names())[1] == ("SUBLINK",)


def test_constants_are_read_from_memory() -> None:
    """A number of four bytes, a text with its length, an interval by its size; anything else is unknown."""
    assert [number_of(struct.pack(kind, n)) for n in (7, -7) for kind in ("<i", "<q")] == [7, 7, -7, -7]
    assert number_of(b"\x01") is None
    assert (text_of(text("ü")), text_of(text("")), text_of(b"short"), text_of(text("x") + b"y")) == (
        "ü",
        "",
        None,
        None,
    )
    year = struct.pack("<qii", 0, 0, 12)
    assert (interval_of(year), interval_of(struct.pack("<qii", 0, -730, -12)), interval_of(b"")) == (1, 3, None)


def test_a_server_that_writes_the_highest_byte_first_is_not_trusted() -> None:
    """Its constants read as something else, or as nothing: that is red, where it could be green."""
    assert text_of(struct.pack(">I", 20) + b"a") is None
    assert number_of(struct.pack(">q", 50)) is None
    assert (interval_of(struct.pack(">qii", 0, 1, 0)) or 0) > 1_000


@pytest.mark.parametrize(
    ("name", "args", "years", "strange"),
    [
        ("now()", [], 0, False),
        ("timezone(text,timestamp with time zone)", [Given(None, text("UTC")), Given(2, None)], 2, False),
        ("timezone(text,timestamp with time zone)", [Given(None, text("CET")), Given(2, None)], 2, True),
        ("timezone(text,timestamp with time zone)", [Given(None, None), Given(2, None)], 2, True),
        ("+(date,interval)", [Given(0, None), Given(None, struct.pack("<qii", 0, 0, 12))], 1, False),
        ("+(interval,date)", [Given(None, struct.pack("<qii", 0, 0, 12)), Given(0, None)], 1, False),
        ("+(date,interval)", [Given(9_999.5, None), Given(None, struct.pack("<qii", 0, 0, 12))], 10_000.5, True),
        ("date(timestamp with time zone)", [Given(None, None)], None, False),
        ('"timestamp"(date)', [Given(None, None)], None, True),
        ("timestamptz(date)", [Given(None, None)], None, True),
    ],
)
def test_moments(name: str, args: list[Given], years: float | None, strange: bool) -> None:  # noqa: FBT001
    """How far from now, and whether it could fail; what is no function of times is not answered."""
    found = moment(name, args)

    assert found is not None
    assert (found.years, found.strange) == (years, strange)
    assert moment("lower(text)", args) is None
