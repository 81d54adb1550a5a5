"""Ledgers are append-only: no row is changed, removed or truncated away, by anybody, in any replication role."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scripts.verifiers.facts.compare import Facts
from scripts.verifiers.facts.functions import FUNCTIONS
from scripts.verifiers.facts.tables import TABLES
from scripts.verifiers.probes import victims
from scripts.verifiers.probes.playing import Control, Probe, play, play_part
from scripts.verifiers.probes.stage import ACCESS_EXCLUSIVE, Stage, told
from scripts.verifiers.probes.violations import hollowed
from scripts.verifiers.probes.wire import NotPlanted

if TYPE_CHECKING:
    from scripts.verifiers.facts.shape import Table
    from scripts.verifiers.model import Database, Findings

REFUSED = "P0001"
LEDGERS = tuple(table for table in TABLES.values() if any(t.name.endswith("_mutation") for t in table.triggers))
_GUARDS = tuple(
    sorted(
        {
            trigger.function.removeprefix("public.").removesuffix("()")
            for table in LEDGERS
            for trigger in table.triggers
            if trigger.name.startswith("trg_deny_")
        }
    )
)


def verify_all(database: Database, findings: Findings) -> None:
    """Every ledger."""
    verify_tables(database, findings, LEDGERS)


def verify_tables(database: Database, findings: Findings, tables: tuple[Table, ...]) -> None:
    """The facts of each table's guards, then the attacks on it and on a row of its own."""
    facts = Facts(database.facts, database.sources, findings)
    guards: dict[str, None] = {}
    for table in tables:
        facts.table(table)
        for trigger in table.triggers:
            if trigger.name.startswith("trg_deny_"):
                facts.trigger(table, trigger.name)
                guards[trigger.function.removeprefix("public.").removesuffix("()")] = None
        facts.only_triggers(table)
    for name in guards:
        facts.function(FUNCTIONS[name])
    play(database.conn, findings, [_attacks(tables)])


def _attacks(tables: tuple[Table, ...]) -> Probe:
    def play_all(stage: Stage) -> None:
        """Each ledger is emptied, and a row of it changed and removed, by the owner: every attempt is refused."""
        import psycopg

        # Before there is a row of ours: the lock would meet that of whoever has one, too, and asks for the same.
        # An empty ledger fires no row trigger; TRUNCATE must be refused all the same.
        for table in tables:
            _emptied(stage, table)
        stage.wire.let()
        kept = len(stage.findings.checks)
        try:
            with stage.undone():
                for table, key, value in [(table, *victims.plant(stage, table.name)) for table in tables]:
                    _changed(stage, table, key, value)
        except (psycopg.Error, NotPlanted) as exc:
            told(exc.cause if isinstance(exc, NotPlanted) else exc)  # raised again where it is no answer
            if len(stage.findings.checks) > kept:
                raise
            # One that cannot be given a row hides no other.
            for table in tables:
                play_part(stage, f"{table.name}_victim", partial(_alone, table=table))

    unguarded = Control(
        "the guards of the ledgers let everything through",
        # All of them: emptying this table empties what refers to it, whose own guard would refuse.
        hollowed(*_GUARDS),
        breaks=tuple(f"{table.name}_{attack}" for attack in ("truncate", "update", "delete") for table in tables),
    )
    return Probe("victims", play_all, (unguarded,))


def _emptied(stage: Stage, table: Table) -> None:
    from psycopg import sql

    where = f"public.{table.name}"
    empty = sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier("public", table.name))
    stage.refused(f"{table.name}_truncate", REFUSED, empty, where=where, lock=ACCESS_EXCLUSIVE)


def _alone(stage: Stage, table: Table) -> None:
    _changed(stage, table, *victims.plant(stage, table.name))


def _changed(stage: Stage, table: Table, key: str, value: Any) -> None:
    from psycopg import sql

    name, where = sql.Identifier("public", table.name), f"public.{table.name}"
    row = {"value": value}
    mine = sql.SQL("{} = %(value)s").format(sql.Identifier(key))
    column = sql.Identifier(key)
    change = sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(name, column, column, mine)
    remove = sql.SQL("DELETE FROM {} WHERE {}").format(name, mine)
    stage.refused(f"{table.name}_update", REFUSED, change, row, where=where)
    stage.refused(f"{table.name}_delete", REFUSED, remove, row, where=where)
