"""How many scenes run at once: as many as the engine gains from, whatever it is like."""

import pytest

from graph.width import REMEMBERED, Width
from scene.record import NodeCost
from tests.graph.test_batch import Acting, job, outcomes

SCENE = NodeCost(calls=50, prompt_tokens=30_000, completion_tokens=1_000, cached_tokens=28_000, seconds=60)


class Machine:
    """Scenes on an engine that computes so many tokens a second at each width."""

    def __init__(self, most: int, speed) -> None:
        self.now = 0.0
        self.speed = speed
        self.width = Width(most, clock=lambda: self.now)
        self.tried: list[int] = []

    def play(self, rounds: int) -> int:
        """Play as many scenes as run at once, again and again; the width most used at last."""
        for _ in range(rounds):
            running = self.width.now
            self.tried.append(running)
            self.now += running * 3_000 / self.speed(running)
            for _ in range(running):
                self.width.spent(SCENE)
            for _ in range(running):
                self.width.ended(running)
        late = self.tried[-REMEMBERED:]
        return max(sorted(set(late)), key=late.count)


@pytest.mark.parametrize(
    ("most", "speed", "best"),
    [
        (16, lambda width: 40, 1),  # a slow machine: everything is shared out
        (16, lambda width: 40 * min(width, 4), 4),
        (16, lambda width: 40 * width, 16),
        (24, lambda width: 40 * width**0.8, 24),
        (256, lambda width: 40 * min(width, 64), 64),
        (16, lambda width: 40 / width, 1),  # a machine that swaps
        (1, lambda width: 40, 1),
        (3, lambda width: 40 * width, 3),
    ],
)
def test_the_narrowest_width_that_no_wider_one_beats(most, speed, best):
    machine = Machine(most, speed)
    assert machine.play(12) == best
    assert max(machine.tried) <= most
    assert machine.tried[0] == min(most, max(2, most // 8))


def test_a_gpu_begins_with_many_and_can_do_with_fewer():
    assert Width(32, wide=True).now == 32
    machine = Machine(32, lambda width: 40 * min(width, 16))
    machine.width = Width(32, wide=True, clock=lambda: machine.now)
    assert machine.play(12) == 16


def test_a_slow_machine_never_plays_many():
    machine = Machine(16, lambda width: 40)
    machine.play(40)
    assert max(machine.tried) <= 4


def test_a_machine_that_gets_other_work_and_is_rid_of_it():
    machine = Machine(16, lambda width: 40 * width)
    assert machine.play(20) == 16
    machine.speed = lambda width: 40
    assert machine.play(60) <= 2
    machine.speed = lambda width: 40 * width
    assert machine.play(60) == 16


def test_scenes_that_end_while_too_many_run_are_not_measured():
    machine = Machine(16, lambda width: 40)
    machine.play(2)
    before = machine.width.now
    for running in range(12, before, -1):
        machine.now += 0.001
        machine.width.spent(SCENE)
        machine.width.ended(running)
    assert machine.width.now == before


async def nothing(request, text) -> None:
    """Whatever is asked is answered at once."""


async def test_a_batch_keeps_to_the_width(monkeypatch):
    widths = iter([3, 3, 1, 1, 1, 5, 5, 5, 5, 5, 5, 5])

    class Told(Width):
        def ended(self, running: int) -> None:
            self.now = next(widths, self.now)
            seen.append(running)

    seen: list[int] = []
    monkeypatch.setattr("graph.batch.Width", Told)
    kept = await outcomes(Acting(nothing), map(job, range(14)), concurrency=2)
    assert len(kept) == 14
    assert seen[:2] == [2, 3]
    assert max(seen) <= 5
