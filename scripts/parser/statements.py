"""The parser's public names: statements of a file, their trees, their bodies, and what they ask of a transaction."""

from __future__ import annotations

from scripts.parser.bodies import BodyStatement, body_language, body_statements, body_text
from scripts.parser.classify import (
    copies_client_stream,
    is_plain,
    is_transaction_control,
    may_need_no_transaction,
    needs_no_transaction,
    option_flag,
    option_text,
    transaction_word,
)
from scripts.parser.digests import file_digest, statement_digest, statement_digests
from scripts.parser.native import ParseError, RawStatement, Token, deparse, parse_raw, scan_tokens
from scripts.parser.parse import Excerpt, Statement, cut_statements, parse_statements, walk
from scripts.parser.positions import Positions

__all__ = [
    "BodyStatement",
    "Excerpt",
    "ParseError",
    "Positions",
    "RawStatement",
    "Statement",
    "Token",
    "body_language",
    "body_statements",
    "body_text",
    "copies_client_stream",
    "cut_statements",
    "deparse",
    "file_digest",
    "is_plain",
    "is_transaction_control",
    "may_need_no_transaction",
    "needs_no_transaction",
    "option_flag",
    "option_text",
    "parse_raw",
    "parse_statements",
    "scan_tokens",
    "statement_digest",
    "statement_digests",
    "transaction_word",
    "walk",
]
