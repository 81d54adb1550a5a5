"""What a stored expression could come to, whatever stands in the row: an error, somebody's code, a long value.

Owns: which parts of an expression cannot fail, and how long what they come to may be.
Promises: a part is safe when its tree proves it: the server's own functions that never raise, and others with constants
under which they do not. What is not known here is told.
Never: works anything out, or knows which table or index it is for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from scripts.verifiers.facts.moments import TYPES, Given, moment
from scripts.verifiers.facts.operators import MEMBERS, ORDERED, never_fails
from scripts.verifiers.facts.trees import number_of, parse_tree, text_of, whole_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.verifiers.facts.trees import Node

# Columns of text that hold more than a name: what failed, in whatever words; a signature of whatever algorithm.
WORDS = frozenset({"error_message", "signature"})
NAMES = frozenset({"text", "character varying", "character", "name"})
# Parts that say yes or no, compare by an operator, or only hold values; those that choose one are asked by themselves.
_ASKS = frozenset({"BOOLEXPR", "NULLTEST", "BOOLEANTEST"})
_COMPARES = frozenset({"DISTINCTEXPR", "NULLIFEXPR", "SCALARARRAYOPEXPR"})
_HOLDS = frozenset({"ARRAYEXPR", "CASETESTEXPR"})
_GONE = "what is gone"
# The only value without brackets that may be NULL, by its number in SQLValueFunctionOp: no schema need be looked into.
_CURRENT_SCHEMA = "14"
# How a call is written that is a cast, by its number in CoercionForm: by hand, or by the server itself.
_CASTS = frozenset({"1", "2"})
# None of these raises, whatever it is given.
_FUNCTIONS = frozenset(
    {
        "lower(text)", "upper(text)", "btrim(text)", "length(text)", "octet_length(text)", "octet_length(bytea)",
        "substr(text,integer)", "jsonb_typeof(jsonb)", "gen_random_uuid()", "uuidv4()", "uuidv7()", "random()",
        "pg_backend_pid()", "text(boolean)", "text(name)", "int8(integer)", '"numeric"(integer)', '"numeric"(bigint)',
        "md5(text)", "md5(bytea)", "int4(smallint)", "int8(smallint)", '"numeric"(smallint)', "int4(boolean)",
        "float4(smallint)", "float4(integer)", "float4(bigint)", "float8(smallint)", "float8(integer)",
        "float8(bigint)", "float8(real)", "char_length(text)", "character_length(text)", "length(character)",
        "char_length(character)", "character_length(character)", "reverse(text)", "initcap(text)", "sha256(bytea)",
        "sha224(bytea)", "sha384(bytea)", "sha512(bytea)", "txid_current()", "pg_current_xact_id()",
        "inet_client_addr()", "inet_client_port()", "jsonb_build_object()", "jsonb_build_array()",
        '"time"(time with time zone)', '"time"(time without time zone,integer)',
    }
)  # fmt: skip
_RANGED = (("tstz", "timestamp with time zone"), ("ts", "timestamp without time zone"))
# What is taken out of a time, and how far from nought it is at most when that is within ten thousand years from now.
_TAKEN = frozenset(f'"extract"(text,{one})' for one in TYPES)
_PARTS = {"year": 20_000, "month": 12, "day": 31, "hour": 23, "quarter": 4, "week": 53, "doy": 366, "epoch": 10**12}
_HOLDS_NUMBERS = {"int2(numeric)": 2**15, "int4(numeric)": 2**31, "int8(numeric)": 2**63, "float8(numeric)": 2**63}
# Not NULL even where what they are given is.
_NEVER_NULL = frozenset(f"{kind}range({time},{time})" for kind, time in _RANGED)
# Of a limited size, whatever they are given.
_SHORT = frozenset(
    {"jsonb_typeof(jsonb)", "text(boolean)", "text(name)", "md5(text)", "md5(bytea)", '"numeric"(integer)',
     '"numeric"(bigint)', "sha224(bytea)", "sha256(bytea)", "sha384(bytea)", "sha512(bytea)", "jsonb_build_object()",
     "jsonb_build_array()"}
)  # fmt: skip
# Types that write any value of theirs as text; the others of them write it in no more than 64 bytes.
_WRITTEN = frozenset(
    {"uuid", "boolean", "smallint", "integer", "bigint", "date", "timestamp with time zone",
     "timestamp without time zone", "real", "double precision", "oid", "xid8", "inet", "numeric", "jsonb",
     "text", "character varying"}
)  # fmt: skip
_WRITTEN_LONG = frozenset({"numeric", "jsonb"})
_SMALL = 64
_MONEY = 900_000_000
# The same number in more bytes: a machine word holds either.
_WIDER = frozenset({"int4(smallint)", "int8(smallint)", "int8(integer)"})
# The server's own have lower numbers; the words of a text may fill a megabyte.
_OURS, _WORDY = 16_384, 100_000
_WHOLE = ("smallint", "integer", "bigint")
# A letter takes so many bytes at most, and becomes so many letters when it is made small or great.
_LETTER, _LETTERS = 4, 3
_TYPES = ("vartype", "consttype", "funcresulttype", "opresulttype", "resulttype", "type", "coalescetype", "casetype",
          "array_typeid", "minmaxtype")  # fmt: skip


class Type(NamedTuple):
    """A type: its name, pg_type.typtype and typlen; whether it is a domain with a rule."""

    name: str
    kind: str
    length: int
    ruled: bool


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers in an expression mean; of the functions, which are IMMUTABLE and the server's: `settled`.

    `zones`: the time zones that the server knows, in small letters, where the expression shows a time in one.
    """

    functions: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Worth:
    """What a part comes to.

    `size`: how many bytes it may have; 0 for a name, or what has a fixed size, inf for what may have any. `constant`: a
    constant's bytes. `years`: how far from now, of a time that does not come from a row. `null`: it may be NULL;
    `full`: an array of which no member is. `settled`: the same for everybody, a constant or a cast of one.
    `most`: of a number out of a time, how far it is from nought.
    """

    type: str = ""
    size: float = 0
    constant: bytes | None = None
    years: float | None = None
    null: bool = True
    full: bool = False
    settled: bool = False
    most: float | None = None


def workings(tree: str, names: Names, *, tried: bool = False) -> tuple[tuple[Worth, ...], tuple[str, ...]]:
    """What each expression of a stored list comes to, and what in it could fail or is nobody's: in order, each once.

    Args:
        tree: as the server keeps it; empty for none.
        names: of what is in it.
        tried: something else works it out; a constant that cannot be cast fails there, whichever branch it stands in:
            the server casts it before it looks at a row.
    """
    asked = _Asked(names, tried)
    try:
        worths = tuple(asked.worth(node) for node in parse_tree(tree))
    except ValueError:
        return (), ("what cannot be read",)
    return worths, tuple(sorted(asked.strange))


@dataclass(slots=True)
class _Asked:
    names: Names
    tried: bool
    strange: set[str] = field(default_factory=set)

    def worth(self, node: Node) -> Worth:
        """What the node comes to; what is strange about it is kept."""
        found = next((self.names.types.get(node.word(one)) for one in _TYPES if node.word(one)), None)
        type_ = found or Type("", "", -1, ruled=False)
        fixed = type_.length > 0 or type_.kind == "e"
        if node.kind == "VAR":
            name = self.names.columns.get(node.word("varattno"), "")
            text = type_.name in NAMES or (type_.kind == "b" and type_.name.endswith(".citext"))
            short = fixed or (text and bool(name) and name not in WORDS)
            return Worth(type_.name, 0 if short else inf)
        if node.kind == "CONST":
            value = node.constant()
            full = value is not None and whole_array(value)
            return Worth(
                type_.name, 0 if fixed else len(value or b""), value, null=value is None, full=full, settled=True
            )
        if node.kind == "SQLVALUEFUNCTION":
            null = node.word("op") == _CURRENT_SCHEMA
            return Worth(type_.name, 0, None, 0 if type_.name in TYPES else None, null)
        args = [self.worth(child) for child in node.children()]
        if node.word("inputcollid") == "0" and any(one.type.removesuffix("[]") in NAMES for one in args):
            self.strange.add("texts of several collations")
        settled = all(one.settled for one in args) and (
            node.kind == "RELABELTYPE"
            or (node.word("funcformat") in _CASTS and node.word("funcid") in self.names.settled)
        )
        if settled and self.tried:
            worth = Worth(size=inf)
        elif node.kind == "FUNCEXPR":
            worth = self._called(self.names.functions.get(node.word("funcid"), _GONE), args)
        elif node.kind == "OPEXPR":
            worth = self._called(self.names.operators.get(node.word("opno"), _GONE), args)
        else:
            worth = self._joined(node, type_, args)
        null = self._null(node, args)
        full = node.kind == "ARRAYEXPR" and all(one.full if "[]" in one.type else not one.null for one in args)
        full = full or (node.kind == "RELABELTYPE" and args[0].full)
        return Worth(
            type_.name, 0 if fixed else worth.size, worth.constant, worth.years, null, full, settled, worth.most
        )

    def _null(self, node: Node, args: list[Worth]) -> bool:
        """Whether it may be NULL: a call is where an argument is, or where a document has no such member."""
        if node.kind in ("NULLTEST", "BOOLEANTEST", "DISTINCTEXPR", "ARRAYEXPR"):
            return False
        if node.kind in ("COALESCEEXPR", "MINMAXEXPR"):
            return all(one.null for one in args)
        if node.kind in ("CASEEXPR", "CASEWHEN"):
            may = args[len(node.under("arg")) :] if node.kind == "CASEEXPR" else args[-1:]
            return any(one.null for one in may)
        if node.kind == "SCALARARRAYOPEXPR":
            # Where a member is NULL, so is the answer when none of the others decides.
            return args[0].null or args[1].null or not args[1].full
        if self.names.functions.get(node.word("funcid"), "") in _NEVER_NULL:
            return False
        member = self.names.operators.get(node.word("opno"), "").partition("(")[0] in MEMBERS
        client = self.names.functions.get(node.word("funcid"), "").startswith("inet_client_")
        return node.kind == "NULLIFEXPR" or member or client or any(one.null for one in args)

    def _joined(self, node: Node, type_: Type, args: list[Worth]) -> Worth:
        """Whatever is neither called nor a value."""
        first = args[0] if args else Worth(size=inf)
        if node.kind in _COMPARES:
            self._called(self.names.operators.get(node.word("opno"), _GONE), args)
            return Worth(size=first.size if node.kind == "NULLIFEXPR" else 0)
        if node.kind == "COERCEVIAIO":
            return self._written(first, type_)
        # The server's names of nodes: a cast that changes no byte; one to a domain, which fails by its rules alone.
        if node.kind == "RELABELTYPE" or (node.kind == "COERCETODOMAIN" and type_.name and not type_.ruled):
            return first
        if node.kind == "CASEWHEN":
            return args[-1]
        if node.kind == "MINMAXEXPR" and first.type not in ORDERED:
            self.strange.add(node.kind)
        if node.kind in ("CASEEXPR", "COALESCEEXPR", "MINMAXEXPR"):
            # What a CASE compares is none of what it may come to.
            may = args[len(node.under("arg")) :]
            years = [one.years for one in may if one.years is not None]
            size = max((one.size for one in may), default=inf)
            return Worth(size=size, years=max(years) if len(years) == len(may) > 0 else None)
        if node.kind not in _ASKS | _HOLDS or not _even(node):
            self.strange.add(node.kind)
        return Worth(size=0 if node.kind in _ASKS else inf)

    def _written(self, source: Worth, type_: Type) -> Worth:
        """A cast by way of the text that its type writes."""
        enum = any(one.name == source.type and one.kind == "e" for one in self.names.types.values())
        if type_.name not in ("text", "character varying") or not (enum or source.type in _WRITTEN):
            self.strange.add(f"{source.type or 'something'} AS {type_.name or 'something'}")
        return Worth(size=inf if source.type in _WRITTEN_LONG else max(source.size, _SMALL))

    def _called(self, name: str, args: list[Worth]) -> Worth:
        """A function, or an operator, by its name and the types that it takes."""
        most = _most(name, args)
        if most is not None:
            return Worth(size=_SMALL, most=most)
        time = moment(name, [Given(one.years, one.constant) for one in args], self.names.zones)
        rule = _UNDER_CONSTANTS.get(name)
        size = rule(args) if rule else None if time else _size(name, args)
        if time.strange if time else size is None:
            self.strange.add(name)
        constant = args[0].constant if name in _WIDER else None
        return Worth(size=inf if size is None else size, constant=constant, years=time.years if time else None)


def _even(node: Node) -> bool:
    """Whether it is no list of lists, or one of lists that are written out and equally long; others may not be."""
    within = node.under("elements") if node.word("multidims") == "true" else ()
    flat = all(one.kind == "ARRAYEXPR" and one.word("multidims") == "false" for one in within)
    return flat and len({len(one.under("elements")) for one in within}) <= 1


def _size(name: str, args: list[Worth]) -> float | None:
    """How long a value is of a function or operator that raises nothing; None where it may."""
    operator = name.partition("(")[0]
    if name not in _FUNCTIONS and not never_fails(name, [one.type for one in args]):
        return None
    if operator == "||":
        if any("." in one.type for one in args):
            # Written out by the cast that somebody may have made for a type of his own.
            return None
        # What has a fixed size is written out.
        return sum(one.size or (0 if one.type in NAMES else _SMALL) for one in args)
    if name in _SHORT:
        return _SMALL
    grown = _LETTERS if name in ("lower(text)", "upper(text)", "initcap(text)") else 1
    return inf if operator in MEMBERS else grown * sum(one.size for one in args)


def _most(name: str, args: list[Worth]) -> float | None:
    """A number out of a time that is reckoned from now, or of another type, where it is small enough for that."""
    if name in _TAKEN and args[1].years is not None and args[0].constant:
        return _PARTS.get(text_of(args[0].constant) or "")
    most = args[0].most if name in _HOLDS_NUMBERS else None
    return most if most is not None and most < _HOLDS_NUMBERS[name] else None


def _number(arg: Worth) -> int | None:
    return number_of(arg.constant) if arg.constant else None


def _price(args: list[Worth]) -> float | None:
    """So much money: with ten places behind the point, the most that there are, a thousand million is too much."""
    number = _number(args[0])
    return None if number is None or abs(number) > _MONEY else _SMALL


def _like(args: list[Worth]) -> float | None:
    """A pattern is an error that ends where the letter that is meant should follow."""
    pattern = text_of(args[1].constant) if args[1].constant else None
    return None if pattern is None or pattern.endswith("\\") else _SMALL


def _field(args: list[Worth]) -> float | None:
    """The so-manieth part of a text: there is none before the first."""
    return args[0].size if _number(args[2]) else None


def _divided(args: list[Worth]) -> float | None:
    """By nought is an error, and by -1 the lowest number has none."""
    return None if _number(args[1]) in (None, 0, -1) else _SMALL


def _once(args: list[Worth]) -> float | None:
    return _SMALL if 1 in (_number(args[0]), _number(args[1])) else None


def _encoded(args: list[Worth]) -> float | None:
    """In one of the ways that each server knows; the longest writes an octet as four."""
    way = text_of(args[1].constant) if args[1].constant else None
    return args[0].size * _LETTER if way in ("hex", "base64", "escape") else None


def _open(args: list[Worth]) -> float | None:
    """A range that is open at one end: no end of it comes before its beginning."""
    return _SMALL if any(one.settled and one.null for one in args) else None


def _words(args: list[Worth]) -> float | None:
    """The words of a text that is not long, by the rules of one of the server's own languages."""
    rules = _number(args[0])
    return None if rules is None or not 0 < rules < _OURS or args[1].size > _WORDY else inf


def _cut(args: list[Worth]) -> float:
    """So many letters of a text, from either side: with a number below nought all but so many."""
    number = _number(args[1])
    return args[0].size if number is None or number < 0 else min(args[0].size, number * _LETTER)


def _part(args: list[Worth]) -> float | None:
    """So many letters from a place on: a number below nought is an error."""
    number = _number(args[2])
    return None if number is None or number < 0 else min(args[0].size, number * _LETTER)


def _replaced(args: list[Worth]) -> float | None:
    """One text in the place of another that is no shorter; nothing is put in the place of an empty one."""
    old, new = (text_of(one.constant) if one.constant else None for one in args[1:])
    if old is None or new is None or (old and len(new.encode()) > len(old.encode())):
        return None
    return args[0].size


# Functions that raise nothing, or make nothing long, under certain constants: how long what they come to may be.
_UNDER_CONSTANTS: Mapping[str, Callable[[list[Worth]], float | None]] = {
    "money(integer)": _price,
    "split_part(text,text,integer)": _field,
    "encode(bytea,text)": _encoded,
    "to_tsvector(regconfig,text)": _words,
    **{f"{kind}range({time},{time})": _open for kind, time in _RANGED},
    **{f"{operator}({kind},text)": _like for operator in ("~~", "!~~") for kind in ("text", "name", "character")},
    **{f"{operator}({a},{b})": _divided for operator in "/%" for a in _WHOLE for b in _WHOLE},
    **{f"*({a},{b})": _once for a in _WHOLE for b in _WHOLE},
    '"left"(text,integer)': _cut,
    '"right"(text,integer)': _cut,
    "substr(text,integer,integer)": _part,
    '"substring"(text,integer,integer)': _part,
    "replace(text,text,text)": _replaced,
}
