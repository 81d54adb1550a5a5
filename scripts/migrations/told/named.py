"""Which words of the server's message name objects of the catalog: such a word shows nothing of a row.

Owns: the question, asked once for all messages of a failure or of a file, with the words as its parameter.
Promises: only whole words are asked about, those that would be withheld else; a failure of the question leaves them so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.migrations.told.shown import unknown_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from scripts.migrations.told.shown import Author

_WORDS_MAX = 100
# Roles as anybody may see them; what stands in this database, and the shared catalogs, which are relations of it.
_ASK = b"""SELECT w.word FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS w(word) WHERE w.word IN (
  SELECT relname::pg_catalog.text FROM pg_catalog.pg_class
  UNION ALL SELECT typname::pg_catalog.text FROM pg_catalog.pg_type
  UNION ALL SELECT attname::pg_catalog.text FROM pg_catalog.pg_attribute WHERE NOT attisdropped
  UNION ALL SELECT conname::pg_catalog.text FROM pg_catalog.pg_constraint
  UNION ALL SELECT proname::pg_catalog.text FROM pg_catalog.pg_proc
  UNION ALL SELECT nspname::pg_catalog.text FROM pg_catalog.pg_namespace
  UNION ALL SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles)"""


def catalog_names(
    conn: psycopg.Connection[Any] | None, messages: Iterable[str | None], wrote: Author, names: Iterable[str] = ()
) -> frozenset[str]:
    """The words of messages that nobody is known to have written, and that name something in the catalog.

    Args:
        conn: outside a transaction; nothing is asked without one.
        messages: of the server, that no program made up.
        wrote: the author's words.
        names: that the server gave apart from its messages.
    """
    import psycopg
    from psycopg.rows import tuple_row

    known = frozenset(names)
    words = sorted({word for message in messages if message for word in unknown_words(message, wrote, known)})
    if conn is None or conn.closed or not words:
        return frozenset()
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            return frozenset(str(row[0]) for row in cursor.execute(_ASK, (words[:_WORDS_MAX],), prepare=False))
    except psycopg.Error:
        # It only makes the message richer; the failure itself is what has to be told.
        return frozenset()
