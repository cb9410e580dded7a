"""Tokens drawn row by row: the right distribution, the right nucleus, and nobody's neighbour matters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.sampling import AVOID_RUN, HEADS, Runs, Sampler, pick_tokens


def draws(logits, count, temperature=1.0, top_p=1.0):
    """Counts of each token over many seeds."""
    rows = logits.expand(count, -1).contiguous()
    tokens = pick_tokens(rows, [Sampler(temperature, top_p, seed) for seed in range(count)])
    return torch.bincount(torch.tensor(tokens), minlength=logits.shape[-1]) / count


def test_greedy_takes_the_best():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    assert pick_tokens(logits, [Sampler(0, 1, 1), Sampler(0, 0.1, 2)]) == [1, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5])
    expected = (logits / temperature).softmax(-1)
    assert torch.allclose(draws(logits, 20_000, temperature), expected, atol=0.015)


def test_the_nucleus_keeps_the_fewest_tokens_that_reach_top_p():
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3])
    seen = draws(probabilities.log(), 20_000, top_p=0.7)
    assert seen[0] == 0
    assert seen[2] == 0
    assert torch.allclose(seen[[1, 3]], torch.tensor([0.625, 0.375]), atol=0.015)
    assert draws(probabilities.log(), 2_000, top_p=0.5)[1] == 1
    assert (draws(probabilities.log(), 5_000, top_p=0.96) > 0).all()


def test_equally_likely_tokens_are_drawn_equally_often_all_over_a_large_vocabulary():
    vocabulary = 4 * HEADS[-1] + 100
    seen = draws(torch.zeros(vocabulary), 6_000)
    tenths = torch.stack([part.sum() for part in seen.tensor_split(10)])
    assert torch.allclose(tenths, torch.full((10,), 0.1), atol=0.02)
    assert len(seen.nonzero()) > 3_000


@pytest.mark.parametrize("size", [30, 500, 3000])
def test_a_nucleus_of_any_size_is_found(size):
    falling = torch.linspace(1.5, 0.5, size)
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(1))
    likely = torch.full((5000,), 1e-9)
    likely[order[:size]] = falling / falling.sum()
    edge = int((likely[order[:size]].cumsum(0) < 0.8).sum())
    seen = draws(likely.log(), 6_000, top_p=0.8)[order]
    assert seen[edge + 1 :].sum() == 0
    assert seen[edge // 2 : edge + 1].sum() > 0.3


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.05, 1), st.integers(-5, 2**70)), min_size=1, max_size=6),
    st.integers(0, 1000),
)
def test_neighbours_do_not_matter(rows, salt):
    torch.manual_seed(salt)
    logits = torch.randn(len(rows), 3000) * 3
    together = pick_tokens(logits.clone(), [Sampler(*row) for row in rows])
    alone = [pick_tokens(logits[i : i + 1].clone(), [Sampler(*row)])[0] for i, row in enumerate(rows)]
    assert together == alone


@settings(deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([0.3, 0.9, 0.999, 1.0]), st.sampled_from([0.7, 1.0, 1e-30, 50.0])
)
def test_a_masked_token_is_never_drawn(seed, top_p, temperature):
    logits = torch.full((1, 2500), float("-inf"))
    possible = [seed % 2500, (seed * 7 + 1) % 2500]
    logits[0, possible] = torch.tensor([0.3, 0.1])
    sampler = Sampler(temperature, top_p, seed)
    assert all(pick_tokens(logits.clone(), [sampler])[0] in possible for _ in range(5))


def test_the_last_sliver_of_probability_stays_possible_but_nothing_beyond():
    class Edge(Sampler):
        def draw(self):
            return 1 - 2**-53

    for seed in range(30):
        logits = torch.full((1, 3000), float("-inf"))
        logits[0, :1500] = torch.randn(1500, generator=torch.Generator().manual_seed(seed))
        assert pick_tokens(logits.clone(), [Edge(1.0, 1.0, 0)])[0] < 1500
        assert pick_tokens(logits.clone(), [Edge(1.0, 0.9999999, 0)])[0] < 1500


def test_a_seed_repeats_and_a_restart_begins_again():
    logits = torch.zeros(1, 50)
    sampler = Sampler(1.0, 1.0, 3)
    first = [pick_tokens(logits, [sampler])[0] for _ in range(8)]
    sampler.restart()
    assert [pick_tokens(logits, [sampler])[0] for _ in range(8)] == first
    assert len(set(first)) > 3
    assert [pick_tokens(logits, [Sampler(1.0, 1.0, 4)])[0] for _ in range(1)] != first


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    pick_tokens(torch.zeros(1, 9), [Sampler(1.0, 1.0, 1)])
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error(value):
    logits = torch.zeros(2, 5)
    logits[1, 2] = value
    with pytest.raises(ArithmeticError, match="not a number"):
        pick_tokens(logits, [Sampler(1.0, 1.0, 1)] * 2)


def test_a_run_of_a_given_text_ends_nowhere_in_the_reply():
    told = list(range(10, 20))
    runs = Runs([told, [1, 2, 3]])
    assert AVOID_RUN == 5
    assert runs.ends([7, 8, *told[2:6]]) == [16]
    assert runs.ends(told[2:5]) == []
    assert runs.ends([*told[2:5], 9]) == []
    assert runs.ends(told[6:]) == []
    assert runs.ends([]) == runs.ends([1, 2]) == []
    assert Runs([told, [*told[:4], 99]]).ends(told[:4]) == [14, 99]


def test_a_run_of_the_reply_does_not_come_twice():
    runs = Runs([])
    once = [4, 5, 6, 7, 8, 9]
    assert runs.ends(once) == []
    assert runs.ends([*once, 1, *once[:4]]) == [8]
    assert runs.ends([*once, 1, *once[1:4]]) == []
    assert runs.ends([3] * 5) == [3]


def test_no_run_ends_inside_a_word():
    told = list(range(10, 20))
    runs = Runs([told], inside={14, 15}.__contains__)
    assert runs.ends(told[:4]) == runs.ends(told[:5]) == []
    assert runs.ends(told[:6]) == [16]
    assert runs.ends([*told[:6], 1, *told[1:5]]) == []
