"""Intervals and tests of shares and differences, beside values from the literature."""

import numpy as np
import pytest

from evaluation.statistics import difference, estimate, holm, paired, relative_change, share


@pytest.mark.parametrize(
    ("table", "low", "high", "p"),
    [
        ((1, 1, 7, 12), -0.507, -0.026, 0.0703),  # Bentur et al., 2009, as in `contingencytables` of R
        ((59, 6, 16, 80), -0.1186, -0.0046, 0.0525),  # Cavo et al., 2012
        ((36, 12, 2, 0), 0.0569, 0.3404, 0.0129),  # Newcombe, 1998
        ((1, 0, 4, 35), -0.2339, 0.0144, 0.125),
    ],
)
def test_paired_shares_are_those_of_the_literature(table, low, high, p) -> None:
    found = paired(*table)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))
    assert found.p == pytest.approx(p, abs=6e-5)


@pytest.mark.parametrize("n", [1, 12, 40])
def test_no_width_is_no_certainty(n) -> None:
    for value in (0.0, 1.0):
        one = estimate([value] * n, share=True)
        assert (one.value, one.low < one.high) == (value, True)
        same = difference(dict.fromkeys(range(n), value), dict.fromkeys(range(n), value), share=True)
        assert same is not None
        assert (same.value, same.low < 0 < same.high, same.p) == (0, True, 1)


@pytest.mark.parametrize("value", [1.0, -2.7, 0.1, 1e9])
def test_what_is_always_the_same_has_itself_for_an_interval(value: float) -> None:
    for n in (3, 325, 1000):
        one = estimate([value] * n)
        assert (one.value, one.low, one.high) == (pytest.approx(value), one.value, one.value)
        assert relative_change(dict.fromkeys(range(n), value), dict.fromkeys(range(n), value)).low == 0


def test_wilson() -> None:
    one = estimate([1.0] * 81 + [0.0] * 182, share=True)  # Newcombe, 1998: 81 of 263
    assert (one.low, one.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert estimate([1.0] * 9 + [0.5], share=True).high < 1.0 + 1e-9


def test_other_differences_are_tested_by_their_signs() -> None:
    theirs = {number: float(number) for number in range(8)}
    ours = {number: value + 0.5 for number, value in theirs.items()}
    found = difference(ours, theirs)
    assert found is not None
    assert found.p == pytest.approx(2 / 2**8, abs=0.004)
    assert difference(theirs, theirs).p == 1


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_seeds_that_disagree_make_it_less_certain() -> None:
    random = np.random.default_rng(4)
    theirs = {number: float(value) for number, value in enumerate(random.binomial(1, 0.3, 80))}
    alike = {number: (value + 0.2,) * 3 for number, value in theirs.items()}
    apart = {number: (value - 0.4, value + 0.2, value + 0.8) for number, value in theirs.items()}
    one, other = difference(alike, theirs), difference(apart, theirs)
    assert one.value == pytest.approx(0.2)
    assert other.value == pytest.approx(0.2)
    assert one.p < 0.01 < other.p
    assert other.high - other.low > 2 * (one.high - one.low)
    assert estimate(list(apart.values()), share=True).n == 80


@pytest.mark.parametrize("n", [2, 9, 40])
def test_seeds_that_all_agree_say_no_more_than_one(n) -> None:
    yes, no = dict.fromkeys(range(n), (1.0,) * 3), dict.fromkeys(range(n), 0.0)
    assert difference(yes, no, share=True) == paired(0, n, 0, 0)
    assert difference(yes, yes, share=True) == paired(n, 0, 0, 0)
    one = estimate(list(yes.values()), share=True)
    assert (one.value, one.low < 1) == (1, True)


def test_no_more_seeds_than_questions_make_it_certain() -> None:
    theirs = dict.fromkeys(range(30), 0.0)
    ours = {number: (1.0, 0.0, 1.0) if number < 4 else (0.0,) * 3 for number in range(30)}
    assert difference(ours, theirs, share=True).p == 2 / 2**4


def test_a_relative_change_of_what_is_often_nothing_is_not_told() -> None:
    assert relative_change(dict.fromkeys(range(20), 1.0), {n: float(n == 0) for n in range(20)}) is None
    half = relative_change({n: float(n < 5) for n in range(40)}, {n: float(n < 10) for n in range(40)})
    assert half is not None
    assert half.value == -0.5


def test_a_share_of_nothing_or_all_is_not_certain() -> None:
    none, whole = share([(0, 8)] * 24), share([(8, 8)] * 24)
    assert (none.value, none.low, whole.value, whole.high) == (0, 0, 1, 1)
    assert 0.1 < none.high < 0.2
    assert none.high == pytest.approx(1 - whole.low)
