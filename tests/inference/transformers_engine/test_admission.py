"""Which waiting rows are computed next, and what is computed once for many of them."""

from collections import deque
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.blocks import PAGE, block_names, common_blocks, tokens_left
from inference.transformers_engine.admission import Intake, choose
from inference.transformers_engine.limits import Limits


class Row:
    """What admission looks at of a row: its prompt, made of blocks of one number each, and its room."""

    def __init__(self, *blocks, rest=1, cap=8):
        self.prompt = [token for block in blocks for token in [block] * PAGE] + [0] * rest
        self.blocks = block_names(self.prompt)
        self.room = len(self.prompt) + cap


class Known:
    """A prefix cache that only remembers names."""

    def __init__(self, most_blocks=1000):
        self.most_blocks = most_blocks
        self.names = set()

    def known(self, blocks):
        return next((at for at, name in enumerate(blocks) if name not in self.names), len(blocks))

    def learn(self, intake):
        for row in intake.rows[:1] if intake.ahead else intake.rows:
            chain = row.blocks[: intake.ahead or None]
            self.names |= set(chain[: self.most_blocks])


LIMITS = Limits(rows=8, prefill_tokens=20 * PAGE, cached_tokens=10_000, pass_tokens=2 * PAGE)


def intake(waiting, prefixes=None, running=(), limits=LIMITS):
    return choose(deque(waiting), list(running), limits.rows, limits, prefixes or Known())


def test_nobody_is_chosen_without_room():
    row = Row(1)
    assert intake([]) is None
    assert intake([row], running=[Row(2)] * 8) is None
    tight = Limits(rows=8, prefill_tokens=512, cached_tokens=2 * row.room - 1)
    assert intake([row], running=[Row(2)], limits=tight) is None
    assert intake([row], limits=tight) == Intake([row])
    assert intake([row, Row(2)], limits=tight) == Intake([row])


def test_what_a_crowd_shares_is_computed_ahead_once():
    prefixes = Known()
    crowd = [Row(1, 2, 3, own, rest=4) for own in range(10, 15)]
    lone = Row(7, 7, 7)
    waiting = [crowd[0], lone, *crowd[1:]]
    ahead = intake(waiting, prefixes)
    assert ahead == Intake(crowd, ahead=3)
    prefixes.learn(ahead)
    assert intake(waiting, prefixes) == Intake(crowd)


def test_a_crowd_waits_for_its_turn_rather_than_be_computed_row_by_row():
    crowd = [Row(1, 2, 3, 4, own) for own in range(10, 14)]
    first, like_it = Row(5, 5, 5, 5, 5), Row(6, 6, 6, 6, 6)
    assert intake([first, *crowd, like_it]) == Intake([first, like_it])


def test_sharing_less_than_a_pass_is_worth_waits_for_nothing():
    limits = Limits(rows=8, prefill_tokens=512, cached_tokens=10_000, pass_tokens=3 * PAGE)
    pair = [Row(1, 2, 3, own) for own in (10, 11)]
    assert intake(pair, limits=limits) == Intake(pair)
    more = [*pair, Row(1, 2, 3, 12)]
    assert intake(more, limits=limits) == Intake(more, ahead=3)


def test_the_depth_that_spares_most_is_computed_ahead():
    few = [Row(1, 2, 3, 4, 5, 6, own) for own in (10, 11)]
    many = [Row(1, 2, own) for own in range(20, 26)]
    assert intake([*few, *many]) == Intake([*few, *many], ahead=2)
    many = many[:1]
    assert intake([*few, *many]) == Intake(few, ahead=6)


@pytest.mark.parametrize("most", [0, 2])
def test_no_more_is_computed_ahead_than_can_be_kept(most):
    prefixes = Known(most)
    crowd = [Row(1, 2, 3, own) for own in range(10, 15)]
    chosen = intake(crowd, prefixes)
    assert chosen.ahead == most
    prefixes.learn(chosen)
    assert intake(crowd, prefixes).ahead == 0


def test_rows_that_have_as_much_to_compute_go_together():
    prefixes = Known()
    shared = Row(1, 2, 3, 4)
    prefixes.learn(Intake([shared]))
    leader = Row(1, 2, 3, 4, rest=5)
    near = Row(1, 2, 3, 4, rest=9)
    same_length_but_new = Row(5, 6, 7, 8, rest=5)
    assert intake([leader, same_length_but_new, near], prefixes) == Intake([leader, near])


def test_rows_with_the_leaders_beginning_come_first_where_not_all_fit():
    prefixes = Known()
    one, other = Row(1, 2), Row(3, 4)
    prefixes.learn(Intake([one, other]))
    waiting = [
        Row(1, 2, rest=5),
        *(Row(3, 4, rest=5) for _ in range(6)),
        *(Row(1, 2, rest=7) for _ in range(6)),
    ]
    chosen = intake(waiting, prefixes)
    assert [row.prompt[0] for row in chosen.rows] == [1] * 7 + [3]


ROWS = st.lists(
    st.builds(
        lambda blocks, rest, cap: Row(*blocks, rest=rest, cap=cap),
        st.lists(st.integers(1, 2), max_size=6),
        st.integers(1, PAGE),
        st.integers(1, 60),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ROWS, st.integers(1, 8), st.integers(0, 4 * PAGE), st.sampled_from([0, 1, 3, 1000]), st.randoms())
def test_everybody_is_served_and_the_limits_hold(rows, at_once, pass_tokens, most_blocks, random):
    limits = Limits(rows=at_once, prefill_tokens=100, cached_tokens=400, pass_tokens=pass_tokens)
    prefixes = Known(most_blocks)
    waiting, running = deque(rows), []
    for step in count():
        assert step < 5 * len(rows) + 10
        chosen = intake(waiting, prefixes, running, limits)
        if chosen is None:
            if not waiting:
                break
            running.remove(random.choice(running))
            continue
        assert chosen.rows[0] is waiting[0]
        assert len(set(chosen.rows)) == len(chosen.rows) <= at_once
        if chosen.ahead:
            assert 0 < chosen.ahead <= most_blocks
            assert prefixes.known(chosen.rows[0].blocks) < chosen.ahead
            assert len(chosen.rows) == 1 or all(
                common_blocks(chosen.rows[0].blocks, row.blocks) >= chosen.ahead for row in chosen.rows
            )
        else:
            left = [tokens_left(len(row.prompt), prefixes.known(row.blocks)) for row in chosen.rows]
            padded = len(left) * max(left)
            assert len(left) == 1 or padded <= 100
            assert len(left) == 1 or padded - sum(left) <= pass_tokens
            running += chosen.rows
            assert len(running) <= at_once
            assert len(running) == 1 or len(running) * max(row.room for row in running) <= 400
            waiting = deque(row for row in waiting if row not in chosen.rows)
        prefixes.learn(chosen)
