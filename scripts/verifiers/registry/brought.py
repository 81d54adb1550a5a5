"""Which migrations each invariant's promise needs: at each of these, and at no other, some check of it comes to hold.

Owns: the table. A test migrates file by file, verifies after each, and compares what it saw with it.
"""

from __future__ import annotations

BROUGHT_BY: dict[str, tuple[int, ...]] = {
    "migration-history": tuple(range(1, 28)),
    "no-tx-migrations": (7, 13, 18, 21, 27),
    "role-login-posture": (3, 25),
    "boz-observability-role": (1, 5, 11, 12, 14, 15, 16, 23, 25),
    "table-privileges": (1, 3, 4, 5, 11, 12, 14, 19, 20, 23, 25),
    "function-privileges": (1, 3, 4, 25),
    "definer-search-path": (1, 2, 4, 5, 11, 12, 16, 19, 20, 26),
    "table-definitions": (1, 5, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27),
    "table-conventions": (1, 11, 12, 17, 20, 24),
    "outbox-pending-indexes": (7,),
    "outbox-mvcc-posture": (1, 9),
    "ci-invariant-gate": (1, 4, 5, 25),
    "append-only-ledgers": (1, 2, 11, 12, 20, 23),
    "ingress-attestation": (11, 20),
    "ingress-hotpath-indexes": (11, 17, 21),
    "revocation-tables": (12,),
    "tenant-member-hooks": (1, 11, 14, 15, 16, 17, 19),
    "tenant-integrity": (16, 19, 20),
    "idempotency-zombie": (1, 2, 4, 17, 20),
    "outbox-claim-semantics": (1, 2, 4, 20),
    "outbox-lease-fencing": (2, 4, 20),
    "outbox-retry-ceiling": (2, 4, 6, 20),
    "outbox-terminal-uniqueness": (1, 4, 8),
    "outbox-notify": (2, 4, 10, 20),
    "business-foundation-hooks": (20, 21, 22, 23, 24, 26, 27),
    "payer-attribution": (20, 26),
    "correlation-join": (20, 26),
    "usage-billing": (20, 24),
    "legacy-rows": (20, 26),
    "n-minus-one": (4, 5, 12, 20, 25, 26),
}
