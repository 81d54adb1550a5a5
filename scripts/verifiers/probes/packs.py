"""INV-093, INV-103, D-35: a pack holds each artefact once, and is signed and anchored in rows that come after it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import all_of, altered, unruled

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

_PACKS, _ITEMS, _SIGNATURES = (f"public.evidence_pack{what}" for what in ("s", "_items", "_signatures"))
_PACK: LiteralString = "INSERT INTO public.evidence_packs (pack_type) VALUES (%(kind)s) RETURNING pack_id"
# Everything that is known when the pack is made can be given with it: its row never changes.
_SIGNED_PACK: LiteralString = (
    "INSERT INTO public.evidence_packs (pack_type, correlation_id, root_hash, signer_participant_id, signature_alg, "
    "signature, signed_at, anchor_type, anchor_ref, anchored_at) VALUES (%(kind)s, public.uuid_v7_or_random(), 'root', "
    "'probe', 'alg', 'signature', pg_catalog.now(), 'ledger', 'ref', pg_catalog.now())"
)
_ITEM: LiteralString = (
    "INSERT INTO public.evidence_pack_items (pack_id, artifact_path, artifact_hash) "
    "VALUES (%(pack)s, %(path)s, %(hash)s)"
)
_TWO_ITEMS: LiteralString = _ITEM + ", (%(other)s, %(path)s, %(second)s)"
_SIGNATURE: LiteralString = (
    "INSERT INTO public.evidence_pack_signatures (pack_id, root_hash, signer_participant_id, signature_alg, signature, "
    "anchor_type, anchor_ref) VALUES (%(pack)s, %(root)s, %(signer)s, 'alg', 'signature', %(anchor)s, %(ref)s)"
)
_TWO_SIGNATURES: LiteralString = _SIGNATURE + ", (%(pack)s, 'later', 'another', 'alg', 'signature', 'ledger', 'ref')"
KINDS = ("INSTRUCTION_BUNDLE", "INCIDENT_PACK", "DISPUTE_PACK")


def items(stage: Stage) -> None:
    """A pack is of a known kind; its items are told by their hash, each is in it once, and a path is not needed."""
    for kind in KINDS:
        stage.accepted(f"pack_of_kind_{kind.lower()}", _PACK, {"kind": kind}, where=_PACKS)
    stage.accepted("pack_signed_at_once", _SIGNED_PACK, {"kind": KINDS[0]}, where=_PACKS)
    stage.refused("pack_of_another_kind", "23514", _PACK, {"kind": "BUNDLE"}, where=_PACKS)
    stage.refused("pack_of_no_kind", "23502", _PACK, {"kind": None}, where=_PACKS)
    pack, other = (stage.value(_PACK, {"kind": kind}) for kind in KINDS[:2])
    row: dict[str, Any] = {"pack": pack, "path": "probe", "hash": world.name("hash")}
    two = row | {"other": pack, "second": world.name("hash")}
    stage.accepted("pack_of_two_items", _TWO_ITEMS, two, where=_ITEMS)
    stage.accepted("pack_item_without_path", _ITEM, row | {"path": None}, where=_ITEMS)
    stage.accepted("pack_item_in_two_packs", _TWO_ITEMS, row | {"other": other, "second": row["hash"]}, where=_ITEMS)
    twice = "23505 ux_evidence_pack_items_pack_hash"
    stage.refused("pack_item_twice", twice, _TWO_ITEMS, row | {"other": pack, "second": row["hash"]}, where=_ITEMS)
    blank = "23514 evidence_pack_items_path_or_hash_chk"
    for label, code, wrong in (
        ("of_no_pack", "23503", {"pack": uuid.uuid4()}),
        ("without_hash", "23502", {"hash": None}),
        ("of_empty_hash", blank, {"hash": ""}),
        ("of_empty_path", blank, {"path": ""}),
    ):
        stage.refused(f"pack_item_{label}", code, _ITEM, row | wrong, where=_ITEMS)


def signatures(stage: Stage) -> None:
    """A pack that has its items is signed by several, each over a root, and anchored whole or not at all (D-35)."""
    pack = stage.value(_PACK, {"kind": KINDS[0]})
    stage.run(_ITEM, {"pack": pack, "path": None, "hash": world.name("hash")})
    row: dict[str, Any] = {"pack": pack, "root": "root", "signer": "probe", "anchor": None, "ref": None}
    stage.accepted("pack_signed_later_by_two", _TWO_SIGNATURES, row, where=_SIGNATURES)
    for label, code, wrong in (
        ("of_no_pack", "23503", {"pack": uuid.uuid4()}),
        ("over_no_root", "23502", {"root": None}),
        ("over_empty_root", "23514", {"root": ""}),
        ("by_nobody", "23502", {"signer": None}),
        ("anchored_nowhere", "23514", {"anchor": "ledger"}),
        ("anchored_by_nothing", "23514", {"ref": "ref"}),
    ):
        stage.refused(f"signature_{label}", code, _SIGNATURE, row | wrong, where=_SIGNATURES)


_NOTHING: LiteralString = "ALTER TABLE public.{table} ADD CONSTRAINT planted CHECK (false) NOT VALID"
PACK_PROBES = (
    Probe(
        "pack_items_setup",
        items,
        (
            Control(
                "a pack is of any kind, and of whatever items, as often as they are told",
                all_of(
                    altered("evidence_packs", "ALTER TABLE public.evidence_packs ALTER COLUMN pack_type DROP NOT NULL"),
                    # It refers to nothing: its CHECKs are all that goes.
                    unruled("evidence_packs", "pack_id"),
                    altered(
                        "evidence_pack_items",
                        "ALTER TABLE public.evidence_pack_items DROP CONSTRAINT ux_evidence_pack_items_pack_hash, "
                        "ALTER COLUMN artifact_hash DROP NOT NULL",
                    ),
                    unruled("evidence_pack_items", "pack_id", "evidence_packs"),
                ),
                breaks=(
                    *("pack_of_another_kind", "pack_of_no_kind", "pack_item_twice"),
                    *(f"pack_item_{what}" for what in ("of_no_pack", "without_hash", "of_empty_hash", "of_empty_path")),
                ),
            ),
            Control(
                "no pack is made",
                altered("evidence_packs", _NOTHING.format(table="evidence_packs")),
                breaks=("pack_signed_at_once", *(f"pack_of_kind_{kind.lower()}" for kind in KINDS)),
            ),
            Control(
                "no item is taken",
                altered("evidence_pack_items", _NOTHING.format(table="evidence_pack_items")),
                breaks=("pack_of_two_items", "pack_item_without_path", "pack_item_in_two_packs"),
            ),
        ),
    ),
    Probe(
        "pack_signatures_setup",
        signatures,
        (
            Control(
                "anybody signs anything, and it is anchored nowhere",
                all_of(
                    altered(
                        "evidence_pack_signatures",
                        "ALTER TABLE public.evidence_pack_signatures ALTER COLUMN root_hash DROP NOT NULL, "
                        "ALTER COLUMN signer_participant_id DROP NOT NULL",
                    ),
                    unruled("evidence_pack_signatures", "pack_id", "evidence_packs"),
                ),
                breaks=tuple(
                    f"signature_{what}"
                    for what in (
                        *("of_no_pack", "over_no_root", "over_empty_root", "by_nobody"),
                        *("anchored_nowhere", "anchored_by_nothing"),
                    )
                ),
            ),
            Control(
                "nothing is signed later",
                altered("evidence_pack_signatures", _NOTHING.format(table="evidence_pack_signatures")),
                breaks=("pack_signed_later_by_two",),
            ),
        ),
    ),
)
