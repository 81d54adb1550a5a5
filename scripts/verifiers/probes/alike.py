"""Two names for one rule: an index or a constraint that says what a reviewed one says may be the one that refuses.

Which of two equal unique indexes, or of two equal checks, is named in an error is for the server to choose: by OID, by
name. Both refuse the same rows with the same SQLSTATE, so that either name is the answer.

Owns: what counts as equal: the same table, and the same definition in the catalog but for the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage
    from scripts.verifiers.probes.world import Hand
    from scripts.verifiers.twin.pair import Race

_ALIKE: LiteralString = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS a JOIN pg_catalog.pg_index AS b ON b.indrelid = a.indrelid
          JOIN pg_catalog.pg_class AS x ON x.oid = a.indexrelid JOIN pg_catalog.pg_class AS y ON y.oid = b.indexrelid
         WHERE x.relnamespace = 'public'::pg_catalog.regnamespace AND x.relname = %(one)s AND y.relname = %(other)s
           AND a.indisunique AND b.indisunique AND a.indimmediate AND b.indimmediate AND x.relam = y.relam
           AND a.indisvalid AND b.indisvalid AND a.indnkeyatts = b.indnkeyatts
           AND (a.indkey::pg_catalog.int2[])[0:a.indnkeyatts - 1] = (b.indkey::pg_catalog.int2[])[0:b.indnkeyatts - 1]
           AND a.indclass = b.indclass AND a.indcollation = b.indcollation
           AND a.indnullsnotdistinct = b.indnullsnotdistinct
           AND a.indexprs::pg_catalog.text IS NOT DISTINCT FROM b.indexprs::pg_catalog.text
           AND a.indpred::pg_catalog.text IS NOT DISTINCT FROM b.indpred::pg_catalog.text)
        OR EXISTS (
        SELECT FROM pg_catalog.pg_constraint AS a JOIN pg_catalog.pg_constraint AS b
               ON (b.conrelid, b.contype) = (a.conrelid, a.contype)
         WHERE a.connamespace = 'public'::pg_catalog.regnamespace AND a.conname = %(one)s AND b.conname = %(other)s
           AND a.contype IN ('c', 'f') AND a.conenforced AND b.conenforced
           AND a.condeferrable = b.condeferrable AND a.condeferred = b.condeferred
           AND a.conbin::pg_catalog.text IS NOT DISTINCT FROM b.conbin::pg_catalog.text
           AND (a.contype = 'c' OR (a.conkey, a.confrelid, a.confkey, a.confupdtype, a.confdeltype, a.confmatchtype)
                                 = (b.conkey, b.confrelid, b.confkey, b.confupdtype, b.confdeltype, b.confmatchtype)))
"""
_SAME_CHECKS: LiteralString = """
    SELECT k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
      FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_constraint AS r ON r.conrelid = k.conrelid AND r.conname = %s
     WHERE n.nspname = 'public' AND c.relname = %s AND k.contype = 'c'
       AND k.conbin::pg_catalog.text = r.conbin::pg_catalog.text ORDER BY k.conname
"""


def same_checks(hand: Hand, table: str, rule: str) -> dict[str, str]:
    """The CHECK of that name and whatever else says the same of the table: name → definition; empty without it."""
    return dict(hand.rows(_SAME_CHECKS, [rule, table]))


def alike(stage: Stage, expected: str, observed: str) -> str:
    """What was expected, where what was observed is the same refusal under another name; else what was observed.

    Args:
        stage: is asked only where the names differ and the codes do not.
        expected: SQLSTATE and the name of an index or constraint.
        observed: the same.
    """
    (code, _, one), (told, _, other) = expected.partition(" "), observed.partition(" ")
    if code != told or not one or not other or one == other:
        return observed
    with stage.undone():
        return expected if stage.value(_ALIKE, {"one": one, "other": other}) else observed


def one_of_two(stage: Stage, id: str, refusal: str, race: Race, *, where: str) -> None:  # noqa: A002 - the check's id
    """Check that the second of two sessions waited for the first, and was refused in this way.

    Args:
        stage: keeps the check.
        id: the check's id.
        refusal: SQLSTATE and the name of the index.
        race: what became of them.
        where: the table.
    """
    waited, told = race.end
    observed = [waited, alike(stage, refusal, str(told))]
    stage.findings.check(id, expected=[True, refusal], observed=observed, where=where)
