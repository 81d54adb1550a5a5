"""Every promise of the schema that a database can be asked about: gates, docs and evidence are made from this list.

Owns: names, numbers and the order of the invariants (one file an area), and of the project's numbers (numbers.py).
Promises: ids, check ids and evidence names are unique; importing it needs neither a driver nor a parser; what is not
built is in no list that is run.
Never: asks anything (guarantees/).
"""

from __future__ import annotations

from scripts.verifiers.registry.business import BUSINESS
from scripts.verifiers.registry.history import HISTORY
from scripts.verifiers.registry.ledgers import LEDGERS
from scripts.verifiers.registry.outbox import OUTBOX
from scripts.verifiers.registry.rights import RIGHTS
from scripts.verifiers.registry.shape import SHAPE
from scripts.verifiers.registry.tasks import TIGHTENING
from scripts.verifiers.registry.tenancy import TENANCY

__all__ = ["INVARIANTS", "TIGHTENING"]

INVARIANTS = (*HISTORY, *RIGHTS, *SHAPE, *LEDGERS, *TENANCY, *OUTBOX, *BUSINESS)
