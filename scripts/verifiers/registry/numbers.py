"""The project's numbers for what it promises, INV-nnn: alias, severity, and who holds each, or that nobody does yet.

Owns: the numbers that concern the database of 0001 to 0027, and the gates beside the invariants that hold some.
Promises: a number is held by a gate, or by something beside the gates, or is not built; never two of these.
Never: reports anything; what is not built cannot pass, for there is no gate of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["P0", "P1"]


@dataclass(frozen=True, slots=True)
class Number:
    """One number.

    Args:
        id: INV-nnn.
        alias: its older name, I-AREA-nn.
        severity: P0 or P1.
        promise: one sentence.
        gates: gates that hold it beside the invariants that name it; ids as in `invoke gates`.
        beside: what holds it where that is no gate: a path of this repository, a colon, and how.
        not_built: why nothing holds it yet; empty for what is built.
    """

    id: str
    alias: str
    severity: Severity
    promise: str
    gates: tuple[str, ...] = ()
    beside: str = ""
    not_built: str = ""


NUMBERS = (
    Number("INV-001", "I-MIG-02", "P0", "what was applied never changes", ("migrate", "landed-migrations")),
    Number("INV-002", "I-MIG-03", "P0", "no file begins or ends a transaction itself", ("no-tx-marker-lint",)),
    Number("INV-003", "I-MIG-04", "P0", "history is mended forward only", ("migrate", "landed-migrations")),
    Number("INV-004", "I-MIG-05", "P1", "the reviewed catalog is what the migrations make", ("baseline-drift",)),
    Number("INV-005", "I-SEC-01", "P0", "nobody holds a privilege that was not granted to it", ("privilege-grants",)),
    Number("INV-006", "I-SEC-02", "P0", "nothing is created or altered at run time"),
    Number("INV-007", "I-SEC-03", "P0", "runtime roles cannot log in; they are used through SET ROLE"),
    Number("INV-008", "I-SEC-04", "P0", "every SECURITY DEFINER function pins its path", ("search-path-lint",)),
    Number(
        "INV-009",
        "I-SEC-05",
        "P1",
        "no SECURITY DEFINER function has dynamic SQL",
        not_built="the gate security-definer-dynamic-sql refuses dynamic SQL that cannot be read; whether there is any "
        "is not asked",
    ),
    Number("INV-010", "I-SEC-06", "P0", "runtime roles write no core table directly"),
    Number("INV-011", "I-OB-01", "P0", "a repeated request makes no second item"),
    Number("INV-012", "I-OB-02", "P0", "a claim takes what is due and free, and passes over what others hold"),
    Number("INV-013", "I-OB-03", "P0", "only the holder of a running lease completes an item"),
    Number("INV-014", "I-OB-04", "P0", "attempts are only ever added"),
    Number("INV-015", "I-OB-05", "P0", "retrying has an end"),
    Number("INV-016", "I-POL-01", "P0", "the start-up query finds the policy that was seeded"),
    Number("INV-017", "I-POL-02", "P0", "no policy version is without a checksum"),
    Number("INV-018", "I-POL-03", "P0", "no two policy versions are active"),
    Number("INV-021", "I-DB-01", "P0", "the release before still works"),
    Number("INV-022", "I-DB-LOCK-01", "P0", "no migration takes a lock that others cannot bear", ("ddl-lock-risk",)),
    Number("INV-023", "I-DB-IDEMP-01", "P0", "a request repeated after its worker died makes no second item"),
    Number(
        "INV-028",
        "I-EVID-02",
        "P0",
        "evidence has its form",
        beside="scripts/evidence/read.py: a run is read back, and every status computed again, before exit 0",
    ),
    Number(
        "INV-029",
        "I-EVID-03",
        "P0",
        "evidence says what it was made from",
        beside="scripts/evidence/statement.py: commit, dirty files, catalog, server and migrations are in every file",
    ),
    Number("INV-031", "I-OB-INDEX-01", "P0", "due items are found by their index"),
    Number("INV-032", "I-OB-TERM-01", "P0", "an item ends once"),
    Number("INV-033", "I-OB-MVCC-01", "P1", "pages of the queue keep room"),
    Number("INV-034", "I-OB-NOTIFY-01", "P1", "workers are woken"),
    Number("INV-035", "I-ING-ATT-01", "P1", "attestations are only ever added"),
    Number("INV-036", "I-REV-01", "P0", "revocations are only ever added"),
    Number(
        "INV-039",
        "I-DB-FAILCLOSED-01",
        "P1",
        "payments stop, and none is lost or doubled, when the database is exhausted",
        not_built="no gate exhausts connections, disk or memory and looks at what callers then do",
    ),
    Number(
        "INV-040",
        "I-DB-DDL-02",
        "P0",
        "hot tables are altered only with short waits",
        ("ddl-blocking-policy", "ddl-lock-risk"),
    ),
    Number("INV-041", "I-MIG-NOTX-01", "P0", "files that cannot run in a transaction run outside one"),
    Number("INV-042", "I-MIG-NOTX-02", "P0", "a concurrent build needs the marker", ("no-tx-marker-lint",)),
    Number(
        "INV-043",
        "I-MIG-NOTX-03",
        "P1",
        "how such files are written and mended is told",
        beside="docs/migrations.md: tests hold it to the verbs, settings and errors that exist",
    ),
    Number("INV-061", "I-SQLSTATE-REGISTRY-01", "P1", "every SQLSTATE raised is registered", ("sqlstate-map-drift",)),
    Number("INV-062", "I-TEN-01", "P1", "tenants, their clients and members are there"),
    Number("INV-063", "I-TEN-02", "P1", "an attestation names its tenant"),
    Number("INV-064", "I-TEN-03", "P1", "a member named belongs to the tenant"),
    Number("INV-065", "I-TEN-04", "P1", "queue and attempts can name tenant and member"),
    Number("INV-066", "I-TEN-05", "P1", "an instruction is accepted once a tenant"),
    Number(
        "INV-067",
        "I-BASELINE-GOV-01",
        "P1",
        "the reviewed catalog changes only together with a migration and a decision",
        not_built="its first half is INV-004: baseline-drift is red for a catalog that changed without a migration; "
        "that a decision stands beside each change is for its reviewer (docs/adr/0059)",
    ),
    Number(
        "INV-068", "I-DDL-ALLOWLIST-01", "P1", "an exemption is reasoned and reviewed", ("ddl-allowlist-governance",)
    ),
    Number(
        "INV-070",
        "I-BASELINE-REB-01",
        "P1",
        "a new baseline follows a written strategy",
        not_built="there is one history from 0001 on and no baseline to begin from, so no strategy to follow "
        "(docs/adr/0059)",
    ),
    Number(
        "INV-077",
        "I-EVIDENCE-SCHEMA-01",
        "P1",
        "evidence of another form is refused",
        beside="scripts/evidence/read.py: a byte that changed, a field that is missing and a status that the checks do "
        "not give are refused",
    ),
    Number(
        "INV-080",
        "I-CONTRACT-STATUS-01",
        "P1",
        "what was promised as evidence is there, and passed",
        beside="scripts/evidence/fan_in.py: the files expected are written down first, and each must have passed",
    ),
    Number(
        "INV-081",
        "I-CI-ORDER-01",
        "P1",
        "CI asks what a developer asks, in the same order",
        beside="scripts/gates.py: one list, and a workflow whose jobs are made from it",
    ),
    Number("INV-090", "I-BILL-HOOK-01", "P1", "usage is recorded, and only ever added"),
    Number("INV-091", "I-PROOF-HOOK-01", "P1", "proofs are recorded, and only ever added"),
    Number("INV-092", "I-STITCH-HOOK-01", "P1", "attestation, queue and attempts carry one correlation id"),
    Number("INV-093", "I-EVID-PACK-01", "P1", "evidence packs are recorded, and only ever added"),
    Number("INV-094", "I-TEN-BILL-01", "P1", "a tenant has its payer and its parent"),
    Number("INV-095", "I-IPDR-SIG-01", "P1", "an attestation can carry several signatures"),
    Number("INV-096", "I-BIZ-HOOKS-VERIFY-01", "P1", "the hooks are verified by machine"),
    Number(
        "INV-097",
        "I-MIG-PAC-01",
        "P0",
        "the schema is expanded first and contracted later",
        ("migration-expand-contract-policy",),
    ),
    Number("INV-098", "I-MIG-PKFK-01", "P0", "keys keep their type", ("pk-fk-type-stability",)),
    Number("INV-099", "I-TBL-CONV-01", "P1", "tables keep their conventions"),
    Number(
        "INV-100",
        "I-EVID-HARNESS-01",
        "P1",
        "what asks cannot pass by mistake",
        beside="scripts/result.py: an outcome is computed from checks and planted violations, and cannot be handed in",
    ),
    Number("INV-102", "I-PARTICIPANTS-01", "P1", "participants are registered"),
    Number("INV-103", "I-EVID-PACK-SIGN-01", "P1", "a pack can carry its signature and anchor"),
    Number("INV-104", "I-BIZ-PRIV-01", "P0", "PUBLIC holds nothing on business tables"),
    Number("INV-111", "I-BOZ-SEAT-01", "P0", "the regulator's seat exists and reads only"),
    Number(
        "INV-117",
        "I-DB-TIMEOUT-POSTURE-01",
        "P0",
        "no session waits without end",
        not_built="the settings of roles and database come with a later migration; 0001 to 0027 set none",
    ),
    Number("INV-118", "I-ING-HOTPATH-INDEX-01", "P0", "the hot paths into attestations have their indexes"),
)
# What is promised and not built: listed, never run, never counted.
ROADMAP = tuple(number for number in NUMBERS if number.not_built)
_BY_ID = {number.id: number for number in NUMBERS}


def number_of(name: str) -> Number:
    """The number of that id.

    Raises:
        LookupError: there is none; ids come from the registry, so this is our own mistake.
    """
    return _BY_ID[name]


def numbers_of_gate(gate: str) -> tuple[Number, ...]:
    """The numbers that a gate which is no invariant holds; none for a gate that stands for no number."""
    return tuple(number for number in NUMBERS if gate in number.gates)
