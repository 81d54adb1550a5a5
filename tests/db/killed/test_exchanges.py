"""Killed before, in and after every exchange with the server.

Each BEGIN, file, ledger write, journal write, statement and COMMIT is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from db.killed.bench import Bench

SHARES = 8
OLDER = 6


def every_point(unsent: Collection[int], *, up_to: int) -> list[tuple[int, str]]:
    """Before and after every exchange, and in the midst where "before" does not mean that: once all is sent.

    The engine sends most of its messages first and then asks for the answer; "before" is after the sending there, and
    before the sending is after the answer to the last message.
    """
    return [
        (at, when)
        for at in range(1, up_to + 1)
        for when in ("before", "sent", "after")
        if when != "sent" or at in unsent
    ]


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_every_exchange(bench: Bench, tally: Callable[[str, int], None], share: int) -> None:
    """Wherever the engine dies, the next run ends as an undisturbed one does."""
    exchanges = bench.undisturbed("every kind").exchanges
    assert exchanges > 2 * len(bench.files["every kind"]), "an exchange of the engine went past the harness"
    points = every_point(bench.undisturbed("every kind").unsent, up_to=exchanges)[share::SHARES]
    for at, when in points:
        with bench.database("every kind") as database:
            killed = bench.zygote.run("every kind", bench.cluster.dsn(database), kill={"at": at, "when": when})
            what = f"exchange {at} of {exchanges}, {when}"
            assert killed.killed, f"{what}: the run was not killed:\n{killed.story}"
            bench.require_recovery("every kind", database, what, killed)
    tally("points", len(points))


def test_killed_at_every_exchange_without_trace(bench: Bench, tally: Callable[[str, int], None]) -> None:
    """A file, its record and COMMIT are one message then: the server has carried it out, or nothing of it."""
    untraced = {"migrate_trace": False}
    with bench.database("every kind") as database:
        done = bench.zygote.run("every kind", bench.cluster.dsn(database), settings=untraced).first("done")
    assert done is not None
    assert done["exchanges"] < bench.undisturbed("every kind").exchanges
    points = every_point(done["unsent"], up_to=done["exchanges"])
    for at, when in points:
        with bench.database("every kind") as database:
            dsn = bench.cluster.dsn(database)
            killed = bench.zygote.run("every kind", dsn, kill={"at": at, "when": when}, settings=untraced)
            what = f"untraced exchange {at} of {done['exchanges']}, {when}"
            assert killed.killed, f"{what}: the run was not killed:\n{killed.story}"
            bench.require_recovery("every kind", database, what, killed)
    tally("points", len(points))


def test_killed_at_every_exchange_of_adoption(bench: Bench, tally: Callable[[str, int], None]) -> None:
    """An older ledger gets its history at once or not at all, and the files after it run as ever."""
    template = bench.older_ledger(f"every kind to {OLDER}")
    bench.prepare("older ledger", template=template, before=OLDER)
    # By then the adoption is over.
    undisturbed = bench.undisturbed("older ledger")
    points = every_point(undisturbed.unsent, up_to=undisturbed.first_applied)
    for at, when in points:
        with bench.database("older ledger", template=template) as database:
            killed = bench.zygote.run("older ledger", bench.cluster.dsn(database), kill={"at": at, "when": when})
            what = f"exchange {at} of an adoption, {when}"
            assert killed.killed, f"{what}: the run was not killed:\n{killed.story}"
            bench.require_recovery("older ledger", database, what, killed)
    tally("points", len(points))
