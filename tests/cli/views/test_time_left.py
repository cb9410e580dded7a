"""The time left of an export: a range until it is known, and no shorter than what was seen."""

import pytest

from cli.views.time_left import TimeLeft


def running(left: TimeLeft, scenes: range, calls: int, since: float, until: float) -> None:
    """Let so many calls of each scene end, evenly."""
    for number in range(calls):
        for scene in scenes:
            left.spent(str(scene), 1, since + (until - since) * (number + 1) / calls)


def begun(scenes: int, at_once: int, expected: float = 50, known: int = 0) -> TimeLeft:
    left = TimeLeft(scenes, expected, known, {}, 0)
    for scene in range(at_once):
        left.began(str(scene), 0)
    return left


def test_nothing_is_said_before_a_few_calls():
    left = begun(16, 16)
    assert left.said(100) == ""


def test_a_range_before_a_scene_has_ended():
    left = begun(20, 4)
    running(left, range(4), 5, 0, 100)  # a fifth of a call a second, a thousand of them expected
    least, most = left.range(100)
    assert least < (1000 - 20) * 5 < most
    assert left.said(100) == "0:40:00 to 2:45:00 left"


def test_one_figure_once_it_is_known():
    left = begun(40, 10)
    running(left, range(10), 50, 0, 500)
    for scene in range(10):
        left.ended(str(scene), put_off=False)
        left.began(str(scene + 10), 500)
    assert " to " not in left.said(500)
    least, most = left.range(500)
    assert least <= 1500 <= most
    assert most <= 1.3 * least


def test_scenes_that_take_more_than_was_expected():
    """Two minutes were left for more than an hour, once."""
    left = begun(16, 16)
    running(left, range(16), 60, 0, 3600)
    before = left.range(3600)
    running(left, range(16), 60, 3600, 7200)
    least, most = left.range(7200)
    assert least >= 0.25 * 7200
    assert least > before[0]
    assert most >= least


def test_the_first_scenes_to_end_are_the_short_ones():
    left = begun(16, 16)
    running(left, range(16), 40, 0, 1600)
    left.ended("0", put_off=False)
    running(left, range(1, 16), 40, 1600, 3200)
    assert left.calls_of_a_scene == pytest.approx((40 + 15 * 80) / 16)


def test_the_last_scene_at_its_own_pace():
    left = begun(16, 16, known=100)
    running(left, range(16), 25, 0, 2500)
    for scene in range(15):
        left.ended(str(scene), put_off=False)
    least, _ = left.range(2500)
    assert least >= 0.9 * (left.calls_of_a_scene - 25) * 100


def test_a_machine_that_gets_slower_is_believed():
    left = begun(100, 10, known=100)
    running(left, range(10), 40, 0, 400)
    quick = left.range(400)
    running(left, range(10), 20, 400, 2400)
    _, most = left.range(2400)
    assert most > 5 * quick[1]


def test_time_without_a_call_makes_it_longer():
    left = begun(100, 10, known=100)
    running(left, range(10), 40, 0, 400)
    assert left.range(2000)[1] > 2 * left.range(400)[1]


def test_calls_of_an_earlier_process_count_as_made_but_not_as_pace():
    fresh, resumed = (TimeLeft(10, 50, 50, before, 0) for before in ({}, {"0": 40, "1": 40, "9": 40}))
    for left in (fresh, resumed):
        left.began("0", 0)
        left.began("1", 0)
        running(left, range(2), 5, 0, 10)
    shorter = fresh.range(10)[1] - resumed.range(10)[1]
    assert shorter == pytest.approx(120, abs=25)


def test_a_scene_that_was_put_off_is_still_to_be_played():
    left = begun(2, 2)
    running(left, range(2), 10, 0, 20)
    left.ended("0", put_off=True)
    before = left.range(20)
    left.began("0", 20)
    assert left.range(20)[0] == pytest.approx(before[0], rel=0.2)
