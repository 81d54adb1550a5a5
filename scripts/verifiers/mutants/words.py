"""Names and definitions as SQL text, from the shapes in which the catalog was read.

Owns: how a constraint, an index or a trigger is written down again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.parser.quoting import quoted

if TYPE_CHECKING:
    from scripts.verifiers.facts.shape import Constraint, Index, Trigger

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
TWIN = "public.mutant_twin"
HIDDEN = "a member of an extension"
BOUND = "goes with an extension"


def in_public(name: str) -> str:
    """A name in schema public."""
    return f"public.{quoted(name)}"


def listed(names: tuple[str, ...]) -> str:
    """Names with commas between."""
    return ", ".join(map(quoted, names))


def literal(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"


def in_this_database(statement: str) -> str:
    """A statement in which %I stands for the database that it is run in: each lane breaks one of its own.

    Args:
        statement: without any other percent sign.
    """
    return f"DO $do$ BEGIN EXECUTE pg_catalog.format({literal(statement)}, pg_catalog.current_database()); END $do$"


def hide(what: str) -> str:
    """The object is said to be part of an extension that came with the server; only a superuser may say so."""
    return f"ALTER EXTENSION plpgsql ADD {what}"


def bind(what: str) -> str:
    """The object goes as soon as somebody drops the extension, and is no member of it."""
    return f"ALTER {what} DEPENDS ON EXTENSION plpgsql"


def constraint_text(constraint: Constraint) -> str:
    """What follows ADD CONSTRAINT name; the server's own states included."""
    columns = listed(constraint.columns)
    nulls = " NULLS NOT DISTINCT" if constraint.nulls_not_distinct else ""
    if constraint.kind == "p":
        text = f"PRIMARY KEY ({columns})"
    elif constraint.kind == "u":
        text = f"UNIQUE{nulls} ({columns})"
    elif constraint.kind == "f":
        text = (
            f"FOREIGN KEY ({columns}) REFERENCES {constraint.references} ({listed(constraint.referenced)}) "
            f"ON UPDATE {_ACTIONS[constraint.on_update]} ON DELETE {_ACTIONS[constraint.on_delete]}"
        )
    else:
        text = f"CHECK ({constraint.expression})"
    text += " DEFERRABLE" if constraint.deferrable else ""
    if not constraint.enforced:
        return text + " NOT ENFORCED"
    return text + ("" if constraint.valid else " NOT VALID")


def index_text(index: Index, table: str) -> str:
    """CREATE INDEX of an index on a table."""
    kind = "UNIQUE INDEX" if index.unique else "INDEX"
    include = f" INCLUDE ({', '.join(index.include)})" if index.include else ""
    nulls = " NULLS NOT DISTINCT" if index.nulls_not_distinct else ""
    where = f" WHERE {index.predicate}" if index.predicate is not None else ""
    head = f"CREATE {kind} {quoted(index.name)} ON {table} USING {index.method}"
    return f"{head} ({', '.join(index.keys)}){include}{nulls}{where}"


def trigger_text(trigger: Trigger, table: str) -> tuple[str, ...]:
    """CREATE TRIGGER of a trigger on a table, and its enabled state."""
    narrowed = f" OF {listed(trigger.columns)}" if trigger.columns else ""
    events = " OR ".join(event + (narrowed if event == "UPDATE" else "") for event in trigger.events)
    when = f"WHEN ({trigger.when}) " if trigger.when is not None else ""
    make = (
        f"CREATE TRIGGER {quoted(trigger.name)} {trigger.timing} {events} ON {table} FOR EACH {trigger.level} {when}"
        f"EXECUTE FUNCTION {trigger.function}"
    )
    return make, f"ALTER TABLE {table} {STATES[trigger.enabled]} TRIGGER {quoted(trigger.name)}"


STATES = {
    "ALWAYS": "ENABLE ALWAYS",
    "ORIGIN ONLY": "ENABLE",
    "REPLICA ONLY": "ENABLE REPLICA",
    "DISABLED": "DISABLE",
}
