"""libpg_query itself: the C library and the schema in postgast's wheel, without postgast's own Python.

Owns: the calls into C, their memory, and the message classes of the trees.
Why not `import postgast`: that brings visitors, formatters and typed copies of every node, and costs as much as all of
the parsing. What is used of the wheel are two files, which the hashed requirements pin.
Never: is called from two threads at once: the library turns the process's stderr aside while it works.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from contextlib import suppress
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILES = {"Darwin": "libpg_query.dylib", "Windows": "pg_query.dll"}


class LibraryError(Exception):
    """The library refuses the text; `cursor` is the 1-based character it stopped at, 0 when it does not say."""

    def __init__(self, message: str, cursor: int) -> None:
        super().__init__(message)
        self.message = message
        self.cursor = cursor


class _Error(Structure):
    _fields_ = (
        ("message", c_char_p),
        ("funcname", c_char_p),
        ("filename", c_char_p),
        ("lineno", c_int),
        ("cursorpos", c_int),
        ("context", c_char_p),
    )


class _Bytes(Structure):
    # c_void_p: the bytes hold zeros, at which c_char_p would stop.
    _fields_ = (("len", c_size_t), ("data", c_void_p))


class _Answer(Structure):
    """What parsing and scanning answer with: PgQueryProtobufParseResult and PgQueryScanResult have one layout."""

    _fields_ = (("bytes", _Bytes), ("stderr", c_char_p), ("error", POINTER(_Error)))


class _Span(Structure):
    _fields_ = (("start", c_int), ("length", c_int))


class _Split(Structure):
    _fields_ = (
        ("spans", POINTER(POINTER(_Span))),
        ("count", c_int),
        ("stderr", c_char_p),
        ("error", POINTER(_Error)),
    )


class _Deparsed(Structure):
    _fields_ = (("query", c_char_p), ("error", POINTER(_Error)))


def parse(data: bytes) -> Any:
    """The ParseResult of UTF-8 text without a NUL.

    Raises:
        LibraryError: the grammar refuses it.
        google.protobuf.message.DecodeError: the tree is too deep to be read back.
    """
    return message_class("ParseResult").FromString(_answer(_library().pg_query_parse_protobuf, data))


def split(data: bytes) -> list[int]:
    """First byte and byte behind the last of every statement, flat. The whole grammar is applied; no tree comes of it.

    Raises:
        LibraryError: the grammar refuses it.
    """
    library = _library()
    result = library.pg_query_split_with_parser(data)
    try:
        _require_no_error(result)
        found: list[int] = []
        for pointer in result.spans[: result.count]:
            span = pointer.contents
            start, length = span.start, span.length
            # A length of zero means "to the end of the text".
            found += (start, start + length if length else len(data))
        return found
    finally:
        library.pg_query_free_split_result(result)


def scan(data: bytes) -> list[int]:
    """The tokens of UTF-8 text without a NUL, flat: a field's number times 8, its value, the next one's, and so on.

    The fields are those of ScanToken: start 1, end 2, token 4, keyword_kind 5; one that is zero is left out.

    Raises:
        LibraryError: an unterminated string, comment or quoted name.
    """
    flat = _flat_scan().FromString(_answer(_library().pg_query_scan, data))
    tokens: list[int] = flat.tokens[:]
    return tokens


def deparse(tree: Any) -> str:
    """The SQL text of a ParseResult.

    Raises:
        LibraryError: the tree is none that SQL could be written of.
    """
    data = tree.SerializeToString()
    result = _library().pg_query_deparse_protobuf(_Bytes(len(data), ctypes.cast(c_char_p(data), c_void_p)))
    try:
        _require_no_error(result)
        text: bytes = result.query
        return text.decode()
    finally:
        _library().pg_query_free_deparse_result(result)


@cache
def message_class(name: str) -> Any:
    """The class of a message of the schema, such as ParseResult."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"pg_query.{name}"))


def enum_names(name: str) -> dict[int, str]:
    """The names of an enumeration's values by their numbers."""
    return {value.number: value.name for value in _pool().FindEnumTypeByName(f"pg_query.{name}").values}


def _answer(function: Any, data: bytes) -> bytes:
    result = function(data)
    try:
        _require_no_error(result)
        return ctypes.string_at(result.bytes.data, result.bytes.len)
    finally:
        (_library().pg_query_free_scan_result if function.__name__ == "pg_query_scan"
         else _library().pg_query_free_protobuf_parse_result)(result)  # fmt: skip


def _require_no_error(result: Any) -> None:
    if result.error:
        error = result.error.contents
        raise LibraryError((error.message or b"unknown error").decode(errors="replace"), error.cursorpos)


@cache
def _folder() -> Path:
    # Asks where the package lies; does not run it.
    found = importlib.util.find_spec("postgast")
    if found is None or not found.submodule_search_locations:
        msg = "postgast is not installed"
        raise ModuleNotFoundError(msg, name="postgast")
    return Path(next(iter(found.submodule_search_locations)))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_folder() / _FILES.get(platform.system(), "libpg_query.so")))
    for name, takes, gives, frees in (
        ("pg_query_parse_protobuf", c_char_p, _Answer, "pg_query_free_protobuf_parse_result"),
        ("pg_query_split_with_parser", c_char_p, _Split, "pg_query_free_split_result"),
        ("pg_query_scan", c_char_p, _Answer, "pg_query_free_scan_result"),
        ("pg_query_deparse_protobuf", _Bytes, _Deparsed, "pg_query_free_deparse_result"),
    ):
        function, free = getattr(library, name), getattr(library, frees)
        function.argtypes, function.restype = [takes], gives
        free.argtypes, free.restype = [gives], None
    return library


@cache
def _pool() -> Any:
    # The default limit of 100 levels is reached by `a || b || …` with fifty terms; the grammar itself stops thousands
    # of levels later, long before the C stack does. With another protobuf implementation the limit stays, and a text
    # that is too deep is refused, never passed.
    with suppress(ImportError):
        import_module("google._upb._message").SetAllowOversizeProtos(True)
    # A pool of our own: whoever else loads the same schema is not disturbed.
    pool: Any = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((_folder() / "pg_query.desc").read_bytes()).file:
        pool.Add(file)
    return pool


@cache
def _flat_scan() -> Any:
    """ScanResult, read as numbers.

    A ScanToken is four varints with a tag before each; on the wire it looks like a packed list of eight, and lists that
    follow each other are one. Declared so, seven thousand tokens are decoded in C, and not wrapped one by one.
    """
    file = descriptor_pb2.FileDescriptorProto(name="flat_scan.proto", package="flat", syntax="proto3")
    field = file.message_type.add(name="FlatScan").field.add(name="tokens", number=2)
    field.label, field.type = field.LABEL_REPEATED, field.TYPE_UINT32
    pool: Any = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("flat.FlatScan"))
