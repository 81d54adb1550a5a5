"""The marker `-- symphony:no_tx`: a comment on a line of its own before the first statement.

Owns: how it is recognised. A string, a block comment, or a sentence that mentions it is not the marker.
"""

from __future__ import annotations

from scripts.parser.statements import scan_tokens

MARKER = "symphony:no_tx"


def has_marker(text: str, first_statement: int) -> bool:
    """Whether the marker stands before the first statement.

    Args:
        text: the whole file, which parses.
        first_statement: character offset of its first statement.
    """
    head = text[:first_statement]
    if MARKER not in head:
        return False
    for token in scan_tokens(head):
        if token.kind == "SQL_COMMENT" and token.text[2:].strip() == MARKER:
            line_start = head.rfind("\n", 0, token.start) + 1
            if not head[line_start : token.start].strip():
                return True
    return False
