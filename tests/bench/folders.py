"""Folders of made-up migrations, as many as wanted, each like those of a schema that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Every tenth file makes a table; the nine after it change that table.
FILES_A_TABLE = 10


def write_folder(folder: Path, count: int) -> Path:
    """Fill a new folder with migrations 1 … count.

    Args:
        folder: is made; its parent is there.
        count: of files.
    """
    folder.mkdir()
    for number in range(1, count + 1):
        (folder / f"{number:04d}_step.sql").write_text(_text(number), encoding="utf-8")
    return folder


def _text(number: int) -> str:
    table, step = divmod(number - 1, FILES_A_TABLE)
    name = f"public.table_{table:05d}"
    if step == 0:
        return (
            f"-- {number}: a table\n"
            f"CREATE TABLE {name} (\n    id bigint NOT NULL,\n    name text NOT NULL,\n"
            f"    CONSTRAINT table_{table:05d}_pkey PRIMARY KEY (id)\n);\n"
            f"COMMENT ON TABLE {name} IS 'One of many.';\n"
        )
    return (
        f"-- {number}: a column\nSET LOCAL lock_timeout = '2s';\n"
        f"ALTER TABLE {name} ADD COLUMN value_{step} integer;\n"
        f"COMMENT ON COLUMN {name}.value_{step} IS 'The value of step {step}.';\n"
    )
