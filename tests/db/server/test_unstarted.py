"""A container that was created and never started is removed when its run is provably dead, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.server import owner
from scripts.server.containers.engine import find_engine
from scripts.server.containers.image import TAG, build_offline_image
from scripts.server.containers.unstarted import sweep
from scripts.server.owner import BEGAN, LABEL, PID, PLACE, owner_is_gone, owner_labels

if TYPE_CHECKING:
    from scripts.server.containers.engine import Engine

DEAD = {BEGAN: "1"}  # nothing of ours began in the first tick of the boot


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({}, False),
        (DEAD, True),
        ({PID: "4194304"}, True),
        (DEAD | {PLACE: "another boot/1"}, False),
        (DEAD | {PLACE: ""}, False),
        ({BEGAN: ""}, False),
        (DEAD | {PID: "x"}, False),
    ],
)
def test_only_a_dead_owner_of_this_place_is_gone(change: dict[str, str], gone: bool) -> None:  # noqa: FBT001
    """A number that another process has now is not the owner; another machine's owner cannot be judged."""
    assert owner_is_gone(owner_labels() | change) is gone


def test_an_owner_that_is_hidden_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc may show a user nothing of another one's processes."""
    labels = owner_labels()
    monkeypatch.setattr(owner, "_began", lambda _pid: "")
    assert not owner_is_gone(labels)


def _create(engine: Engine, labels: dict[str, str]) -> str:
    return str(engine.client.api.create_container(TAG, command=["sleep", "60"], labels=labels, stdin_open=True)["Id"])


@pytest.mark.docker
def test_the_sweep_takes_what_is_dead_and_ours_alone() -> None:
    """Not a living run's, not another place's, not a running one, not a stranger's."""
    with find_engine() as engine:
        build_offline_image(engine)
        api = engine.client.api
        ours = {LABEL: "1"} | owner_labels()
        dead = _create(engine, ours | DEAD)
        attached = _create(engine, ours | DEAD)
        stream = api.attach_socket(attached, params={"stdin": 1, "stream": 1})
        for layer in (stream._response, stream, stream._sock):
            layer.close()
        stay = [
            _create(engine, ours),
            _create(engine, ours | DEAD | {PLACE: "elsewhere"}),
            _create(engine, ours | DEAD),
            _create(engine, owner_labels() | DEAD),
        ]
        try:
            api.start(stay[2])
            sweep(engine)
            there = {found["Id"] for found in api.containers(all=True)}
            assert not {dead, attached} & there
            assert set(stay) <= there
        finally:
            for name in stay:
                api.remove_container(name, force=True, v=True)
