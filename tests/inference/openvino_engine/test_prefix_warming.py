"""Who waits for whom. Blocks of 4 tokens; waiting is worth it from 8."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.openvino_engine.prefix_warming import Beginnings, PrefixWarming


@pytest.fixture
def warming() -> PrefixWarming:
    return PrefixWarming(block=4, worth=8, kept=100)


def prompt(warming: PrefixWarming, text: str) -> Beginnings:
    return warming.beginnings([ord(letter) for letter in text])


def test_only_whole_blocks_count(warming: PrefixWarming) -> None:
    assert prompt(warming, "abc") == ()
    assert len(prompt(warming, "abcdefgh")) == 2
    assert prompt(warming, "abcdefghi") == prompt(warming, "abcdefgh")


def test_a_block_is_told_by_all_that_comes_before_it(warming: PrefixWarming) -> None:
    one, other = prompt(warming, "aaaabbbb"), prompt(warming, "ccccbbbb")
    assert not set(one) & set(other)
    assert prompt(warming, "aaaaxxxx")[0] == one[0]


def test_the_crowd_waits_until_the_first_is_through(warming: PrefixWarming) -> None:
    first, second, third = (prompt(warming, "aaaabbbbcccc" + tail) for tail in ("1", "2222", "3333333"))
    assert warming.admit(first) == 0
    assert warming.admit(second) is None
    assert warming.admit(third) is None
    warming.computed(first)
    assert warming.admit(second) == 12
    assert warming.admit(third) == 12


def test_a_short_shared_beginning_is_not_waited_for(warming: PrefixWarming) -> None:
    assert warming.admit(prompt(warming, "aaaabbbb")) == 0
    assert warming.admit(prompt(warming, "aaaacccc")) == 0
    assert warming.admit(prompt(warming, "bbbbcccc")) == 0


def test_what_is_computed_already_is_not_waited_for(warming: PrefixWarming) -> None:
    shared = prompt(warming, "aaaabbbbcccc")
    warming.admit(shared)
    warming.computed(shared)
    assert warming.admit(prompt(warming, "aaaabbbbccccdddd")) == 12
    assert warming.admit(prompt(warming, "aaaabbbbccccddddeeee")) == 12, "4 tokens are not worth it"
    assert warming.admit(prompt(warming, "aaaabbbbccccddddeeeeffff")) is None


def test_a_first_that_leaves_makes_room_for_another(warming: PrefixWarming) -> None:
    first, second, third = (prompt(warming, "aaaabbbb" + tail) for tail in ("1111", "2222", "3333"))
    warming.admit(first)
    assert warming.admit(second) is None
    warming.withdrawn(first)
    assert warming.admit(second) == 0
    assert warming.admit(third) is None
    warming.computed(second)
    assert warming.admit(third) == 8


def test_two_on_the_same_way_are_counted_apart(warming: PrefixWarming) -> None:
    one, two, three = (prompt(warming, "aaaa" + tail) for tail in ("bbbb", "cccc", "bbbbdddd"))
    warming.admit(one)
    warming.admit(two)
    warming.withdrawn(two)
    assert warming.admit(three) is None, "`one` is still at it"


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    warming = PrefixWarming(block=4, worth=8, kept=4)
    one, two, three = (prompt(warming, letter * 8) for letter in "abc")
    for each in (one, two):
        warming.admit(each)
        warming.computed(each)
    assert warming.admit(one) == 8
    warming.computed(one)
    warming.admit(three)
    warming.computed(three)
    assert warming.admit(two) == 0, "used longest ago"
    assert warming.admit(one) == 8


def test_of_a_long_prompt_the_front_is_kept() -> None:
    warming = PrefixWarming(block=4, worth=8, kept=2)
    long = prompt(warming, "aaaabbbbccccdddd")
    warming.admit(long)
    warming.computed(long)
    assert warming.admit(prompt(warming, "aaaabbbbxxxx")) == 8


prompts = st.lists(st.text("ab", max_size=6).map(lambda text: text * 4), min_size=1, max_size=12)


@given(prompts, st.data())
def test_everybody_gets_through_and_long_beginnings_are_computed_once(
    texts: list[str], data: st.DataObject
) -> None:
    """Whatever order prefills end in, nobody is forgotten and no block that is worth it is computed twice."""
    warming = PrefixWarming(block=4, worth=4, kept=1000)
    waiting = [prompt(warming, text) for text in texts]
    running: list[Beginnings] = []
    work: Counter[int] = Counter()
    while waiting or running:
        held = []
        for each in waiting:
            cached = warming.admit(each)
            if cached is None:
                held.append(each)
            else:
                work.update(each[cached // 4 :])
                running.append(each)
        waiting = held
        assert running, "who waits, waits for somebody"
        warming.computed(running.pop(data.draw(st.integers(0, len(running) - 1))))
    assert set(work) == {block for text in texts for block in prompt(warming, text)}
    assert max(work.values(), default=1) == 1
