"""The list of pg_catalog's names is the server's: a bare name is passed only when the server would find it there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LIST = Path(__file__).resolve().parents[3] / "scripts" / "lint" / "pg_catalog_18.txt"
QUESTION = """
SELECT 'function ' || p.proname FROM pg_catalog.pg_proc AS p
 WHERE p.pronamespace = 'pg_catalog'::regnamespace
UNION
SELECT 'type ' || t.typname FROM pg_catalog.pg_type AS t
 WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname NOT LIKE '\\_%' AND t.typrelid = 0
"""


def test_list_is_the_servers(empty_database: Any) -> None:
    """Every function and type of the list exists, and none is missing."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    with empty_database.connect() as conn:
        actual = {row[0] for row in conn.execute(QUESTION).fetchall()}

    assert listed == sorted(listed)
    assert set(listed) == actual
