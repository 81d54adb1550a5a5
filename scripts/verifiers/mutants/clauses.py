"""Clauses of a query left out: the lock it takes, SKIP LOCKED, its order, its limit.

Owns: where such a clause begins and ends.
Promises: a clause is left out only where the tree without it has one less, and the grammar takes what remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.parser.cutter import CLOSING, OPENING
from scripts.parser.native import ParseError, Token, parse_raw, scan_tokens
from scripts.parser.parse import walk
from scripts.verifiers.mutants.flips import Flip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STRENGTHS = frozenset({"update", "share", "no", "key"})
# What can follow a sort clause or a limit at its own depth.
_NEXT = frozenset({"limit", "offset", "fetch", "for", "union", "intersect", "except", ";"})


def without_clauses(sql: str) -> Iterator[Flip]:
    """Every lock, SKIP LOCKED, ORDER BY and LIMIT of one statement left out, each by itself.

    Args:
        sql: one statement that the grammar takes; nothing is found in another.
    """
    whole = _count(sql)
    if whole is None:
        return
    tokens = [token for token in scan_tokens(sql) if not token.is_comment]
    for index, token in enumerate(tokens):
        end = _end_of(tokens, index)
        if end is None:
            continue
        start, stop = token.start, tokens[end - 1].end
        rest = _count(sql[:start] + sql[stop:])
        if rest is not None and sum(rest) < sum(whole):
            yield Flip(start, stop, "", f"without {' '.join(sql[start:stop].split())}")


def _end_of(tokens: Sequence[Token], index: int) -> int | None:
    """The index behind the clause that begins here; None when none does."""
    word = tokens[index].word
    after = tokens[index + 1].word if index + 1 < len(tokens) else ""
    if word == "for" and after in _STRENGTHS:
        return _until(tokens, index + 1)
    if (word, after) == ("skip", "locked"):
        return index + 2
    if (word == "order" and after == "by") or word == "limit":
        return _until(tokens, index + 1)
    return None


def _until(tokens: Sequence[Token], index: int) -> int:
    depth = 0
    while index < len(tokens):
        word = tokens[index].word
        if depth == 0 and (word in _NEXT or word in CLOSING):
            break
        depth += (word in OPENING) - (word in CLOSING)
        index += 1
    return index


def _count(sql: str) -> tuple[int, int, int, int] | None:
    """How many locks, waits that are skipped, sort clauses and limits a statement has; None when it is none."""
    try:
        statements = parse_raw(sql)
    except ParseError:
        return None
    if len(statements) != 1:
        return None
    nodes = list(walk(statements[0].node))
    locks = [node for node in nodes if node.DESCRIPTOR.name == "LockingClause"]
    selects = [node for node in nodes if node.DESCRIPTOR.name == "SelectStmt"]
    skips = sum(_policy(node) == "LockWaitSkip" for node in locks)
    sorts = sum(bool(node.sort_clause) for node in selects) + sum(bool(_aggregate_order(node)) for node in nodes)
    return len(locks), skips, sorts, sum(node.HasField("limit_count") for node in selects)


def _policy(node: Any) -> str:
    return str(node.DESCRIPTOR.fields_by_name["wait_policy"].enum_type.values_by_number[node.wait_policy].name)


def _aggregate_order(node: Any) -> Any:
    return node.agg_order if node.DESCRIPTOR.name == "FuncCall" else ()
