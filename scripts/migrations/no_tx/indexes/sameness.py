"""Whether an index that is there is the one that a statement builds.

Owns: that comparison, and its words for people: both definitions, with the tablespace where the statement names one.
How: the statement is held against what the server writes of a valid index, as trees: where the two say the same the
    index is the same. Where they do not, the server may say one thing in other words, and a twin shows what the
    statement makes (twin.py). Where none can be made for one that is not valid, words decide alone, and only of what
    this file began and somebody cut short.
Promises: an index that cannot be compared is neither the same nor another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.migrations.no_tx.indexes.state import Found, Table, tablespace_of, usable_shape
from scripts.migrations.no_tx.indexes.twin import wanted_shape
from scripts.migrations.told.failure import shown_words
from scripts.parser.statements import ParseError, option_text, parse_raw, walk

if TYPE_CHECKING:
    from scripts.migrations.no_tx.work import Work
    from scripts.parser.statements import Statement

# A lock that was not to be had, a deadlock, a timeout: they say nothing about the statement.
_PASSING = frozenset({"55P03", "40P01", "57014"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """same: None when it cannot be told. wanted, found: the definitions, as the server writes them where it could.

    refusal: why it could not write the wanted one, in as much of its words as may be shown; else empty.
    """

    same: bool | None
    wanted: str
    found: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """shape: empty when no twin can show it; then `definition` is the statement's own text, and `refusal` says why."""

    shape: str
    definition: str
    refusal: str = ""


def wanted_of(work: Work, statement: Statement, table: Table) -> Wanted:
    """What the statement would build.

    Raises:
        psycopg.Error: the connection is lost, or the table could not be had in time.
    """
    import psycopg

    try:
        shown = wanted_shape(work.conn, statement.node, table, lock_timeout_ms=work.budgets.lock_timeout_ms)
    except psycopg.Error as exc:
        if work.conn.closed or work.conn.broken or exc.sqlstate in _PASSING:
            raise
        (words,) = shown_words([exc.diag], work.file.text, work.conn)
        return Wanted("", statement.text, f"{words} (SQLSTATE {exc.sqlstate})")
    return Wanted(*shown)


def is_surely_there(work: Work, statement: Statement) -> bool:
    """Whether what the statement builds is there already, by its words alone; False where more has to be asked."""
    node = statement.node
    if node.table_space:
        return False
    shape = usable_shape(work.conn, node)
    return bool(shape) and says_the_same(node, shape)


def compared(work: Work, statement: Statement, table: Table, found: Found) -> Comparison:
    """Hold an index against what the statement would build on the table.

    Raises:
        psycopg.Error: as `wanted_of`.
    """
    named = statement.node.table_space
    usable = found.valid and found.ready
    # One that is not would be dropped: a twin has to say so, too.
    if usable and not named and found.table == table and says_the_same(statement.node, found.shape):
        return Comparison(True, found.definition, found.definition, "")
    twin = wanted_of(work, statement, table)
    wanted, there = twin.definition, found.definition
    same = found.table == table and found.shape == twin.shape
    in_words = not twin.shape and found.table == table
    if in_words:
        same = not found.valid and work.was_begun(statement) and says_the_same(statement.node, found.shape)
    if named:
        place = tablespace_of(work.conn, found.oid)
        if twin.shape:
            wanted = f"{wanted} TABLESPACE {named}"
        there, same = f"{there} TABLESPACE {place}", same and place == named
    return Comparison(None if in_words and not same else same, wanted, there, twin.refusal)


def says_the_same(node: Any, shape: str) -> bool:
    """Whether a CREATE INDEX surely makes an index of this shape, by its words alone.

    Args:
        node: the statement; it is not changed.
        shape: what the server writes of an index on the same table, as `indexes.shape_of` leaves it. What it writes
            makes the same index when it is sent in the same session, so equal trees make equal indexes.
    """
    unique, words = ("UNIQUE ", shape.removeprefix("UNIQUE ")) if shape.startswith("UNIQUE ") else ("", shape)
    try:
        # That of a constraint has the constraint behind it, and so is no statement.
        (written,) = parse_raw(f"CREATE {unique}INDEX ON x USING {words}")
        return _plain(node) == _plain(written.node)
    except ParseError:
        return False


def _plain(node: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The statement without its names and place, and without what says no more than the default."""
    copy = type(node)()
    copy.CopyFrom(node)
    copy.concurrent = copy.if_not_exists = False
    copy.idxname = copy.table_space = ""
    copy.relation.Clear()
    copy.relation.relname, copy.relation.inh = "x", True
    for parameter in copy.index_params:
        element = parameter.index_elem
        orders, nulls = (element.DESCRIPTOR.fields_by_name[name].enum_type for name in ("ordering", "nulls_ordering"))
        order, last = orders.values_by_name, nulls.values_by_name
        descends = element.ordering == order["SORTBY_DESC"].number
        usual = last["SORTBY_NULLS_FIRST" if descends else "SORTBY_NULLS_LAST"].number
        if element.ordering == order["SORTBY_ASC"].number:
            element.ordering = order["SORTBY_DEFAULT"].number
        if element.nulls_ordering == usual:
            element.nulls_ordering = last["SORTBY_NULLS_DEFAULT"].number
    # The server writes every value in quotes.
    options = sorted(
        (
            f"{option.def_elem.defnamespace}.{option.def_elem.defname}",
            option_text(option.def_elem.arg) if option.def_elem.HasField("arg") else "true",
        )
        for option in copy.options
    )
    copy.ClearField("options")
    for message in walk(copy):
        if "location" in message.DESCRIPTOR.fields_by_name:
            message.ClearField("location")
    return copy, options
