"""The kinds of mutants, told from the mutants themselves: what is broken, and how, without the names of this schema.

Owns: how a mutant's name becomes a kind, and the table of them in docs/mutants.md.
Promises: every derived mutant is of a kind that the table names, and the table names no other.
Never: derives a mutant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.verifiers.mutants.model import Mutant

BEGIN = "<!-- kinds: made from the mutants themselves -->"
END = "<!-- end of kinds -->"
# The first word of an object → how people call its like; in the table's order. Any other word stands for itself.
_OBJECTS = {
    "table": "tables",
    "column": "columns",
    "constraint": "constraints",
    "index": "indexes",
    "trigger": "triggers",
    "function": "functions",
    "body": "bodies of functions",
    "type": "types",
    "schema": "the schema",
    "privileges": "privileges",
    "default": "default privileges",
    "role": "roles",
    "a": "logins of a role",
    "every": "every role",
    "the": "the database",
    "PUBLIC": "PUBLIC",
    "ledger": "the ledger",
    "around": "ways around a table",
    "comparisons": "comparisons",
    "instead": "what is found before ours",
}
_NAME = r"[a-z_][a-z0-9_.]*"
# Of each pair the first that fits the whole change gives the kind.
_CHANGES = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (r"((?:WHEN |predicate: )?)(\S+(?: (?:NOT|NULL|DISTINCT|IN))*) is (.+?) in .*", r"\1`\2` is `\3`"),
        (r"without the value of .*", "without a variable's value"),
        (r"(with|without) (?:the|a) value.*", r"\1 a value of a list"),
        (r"without all of .*", "without a whole block"),
        (r"without ((?:FOR|SKIP|LIMIT|ORDER BY)(?: [A-Z]+)*)(?: .*?)? in .*", r"without `\1`"),
        (r"without its predicate", "without its predicate"),
        (rf"(of|with|without|including) {_NAME}", r"\1 a column"),
        (r"WHEN without .*", "WHEN without a conjunct"),
        (r"without .*", "without a statement, clause or conjunct"),
        (r"not (on [A-Z]+)", r"not \1"),
        (r"not (unique|valid|ready)", r"not \1"),
        (r"not .*", "a condition turned round"),
        (rf"on UPDATE OF {_NAME}", "on UPDATE OF a column"),
        (
            rf"([A-Z]+(?: on [a-z ]+)?) (to|from) (?:PUBLIC|a role nobody knows|{_NAME})( to hand on)?",
            r"\1 \2 PUBLIC or a role\3",
        ),
        (r"type (?:[a-z0-9() ]+)(, in its place)?", r"another type\1"),
        (r"label \w+ renamed", "a label renamed"),
        (rf"member of {_NAME}", "member of a role"),
        (rf"owned by {_NAME}", "another owner"),
        (rf"(a view|a SECURITY DEFINER function elsewhere) for (?:PUBLIC|{_NAME})(.*)", r"\1 for PUBLIC or a role\2"),
        (rf"(a .+) in schema {_NAME}(.*)", r"\1 in an earlier schema\2"),
        (r"an equality with .*", "an equality with another type"),
        (rf"{_NAME} too", "member of a role too"),
        (rf"{_NAME} set( in the database)?", r"a setting stored\1"),
        (rf"(SET|ALTER SYSTEM) on {_NAME}", r"\1 on a parameter"),
    )
)


def kind_of(mutant: Mutant) -> tuple[str, str]:
    """What is broken, and how."""
    first = mutant.object.partition(" ")[0]
    # An edit of a body begins with its place.
    change = re.sub(r"^\d+:\d+ ", "", mutant.change)
    for pattern, kind in _CHANGES:
        found = pattern.fullmatch(change)
        if found:
            change = found.expand(kind)
            break
    return _OBJECTS.get(first, first), change


def render_kinds(mutants: Iterable[Mutant]) -> str:
    """The table, between its marks."""
    kinds: dict[str, set[str]] = {}
    for mutant in mutants:
        what, how = kind_of(mutant)
        kinds.setdefault(what, set()).add(how)
    order = [*_OBJECTS.values()]
    rows = [
        f"| {what} | {'; '.join(sorted(kinds[what], key=str.lower)).replace('|', chr(92) + '|')} |"
        for what in sorted(kinds, key=lambda what: (order.index(what) if what in order else len(order), what))
    ]
    return "\n".join((BEGIN, "", "| broken | how |", "|---|---|", *rows, "", END))
