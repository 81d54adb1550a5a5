"""Invariants that are settled one by one, in order, and asked before their turn while another thread is waited for.

Promises: each is asked once, in the order given, by the thread that settles them; whatever asking one raises is raised
when its turn comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.run import Verification

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.result import Result
    from scripts.verifiers.model import Database, Invariant


class Turns:
    """The invariants of one database, with their controls."""

    def __init__(self, database: Database, coming: Iterable[Invariant]) -> None:
        """Ask nothing yet.

        Args:
            database: where.
            coming: those that will be settled, in order.
        """
        self._database = database
        self._coming = [*coming]
        self._begun: dict[str, Verification | BaseException] = {}
        self._stopped = False

    def settle(self, invariant: Invariant) -> Result:
        """Its result; meanwhile those behind it are asked.

        Raises:
            psycopg.Error: the machine has no room left.
        """
        self._begin(invariant)
        begun = self._begun.pop(invariant.id)
        if isinstance(begun, BaseException):
            raise begun
        while self._coming and begun.waits and not self._stopped:
            self._begin(self._coming[0])
        return begun.result()

    def _begin(self, invariant: Invariant) -> None:
        if invariant.id in self._begun:
            return
        if invariant in self._coming:
            self._coming.remove(invariant)
        try:
            self._begun[invariant.id] = Verification(invariant, self._database, controls=True)
        except Exception as exc:  # noqa: BLE001 - raised in `settle`; what stops the run lets nothing more be asked
            self._stopped = True
            self._begun[invariant.id] = exc
