"""What is kept of prompts, found again, and dropped."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.blocks import PAGE, block_names, common_blocks, tokens_left
from inference.transformers_engine import pages
from inference.transformers_engine.kv_cache import RowCache
from inference.transformers_engine.prefix_cache import PrefixCache

LAYERS = ((2, 3, 5), (1, 4, 4))
"""Heads, size of a key and size of a value in each layer."""
PAGE_BYTES = sum(PAGE * heads * (key + value) * 4 for heads, key, value in LAYERS)


@pytest.fixture(scope="module", autouse=True)
def small_beginnings():
    """The store grows within a few pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "FEWEST", 2)
        yield


def prompt(*blocks, rest=0):
    """Tokens of whole blocks, each made of one number, and a few more."""
    return [token for block in blocks for token in [block] * PAGE] + [9] * rest


def states(tokens):
    """For each layer keys and values, (heads, tokens, size), that tell apart every beginning of a prompt."""
    seeds = []
    seed = 0
    for token in tokens:
        seed = (seed * 31 + token + 1) % 1_000_003
        seeds.append(seed)
    numbers = torch.tensor(seeds, dtype=torch.float32)[None, :, None]
    for index, (heads, *sizes) in enumerate(LAYERS):
        head = torch.arange(heads)[:, None, None]
        yield tuple(
            numbers + index / 2 + head * 10 + torch.arange(size) * 100 + side * 1000
            for side, size in enumerate(sizes)
        )


def computed(prompts):
    """The cache of a batch, aligned at the last token; what is padding is not-a-number."""
    cache = RowCache()
    length = max(map(len, prompts))
    for index, rows in enumerate(zip(*(states(tokens) for tokens in prompts), strict=True)):
        keys, values = (
            torch.stack(
                [
                    torch.nn.functional.pad(
                        row[side], (0, 0, length - row[side].shape[1], 0), value=torch.nan
                    )
                    for row in rows
                ]
            )
            for side in (0, 1)
        )
        cache.update(keys, values, index)
    return cache


def keep(prefixes, *prompts):
    length = max(map(len, prompts))
    prefixes.keep([(block_names(tokens), length - len(tokens)) for tokens in prompts], computed(prompts))


def check_restored(prefixes, wanted):
    """The tokens asked for come back as they were, behind zeros."""
    cache = prefixes.restore([(block_names(tokens), length) for tokens, length in wanted])
    longest = max(length for _, length in wanted)
    assert cache.length == longest
    for index, layer in cache.filled.items():
        for row, (tokens, length) in enumerate(wanted):
            expected = list(states(tokens))[index]
            for side, found in enumerate((layer.keys, layer.values)):
                assert torch.equal(found[row, :, longest - length :], expected[side][:, :length])
                assert not found[row, :, : longest - length].any()


def test_a_blocks_name_stands_for_everything_up_to_its_end():
    names = block_names(prompt(1, 2, 3, rest=PAGE - 1))
    assert len(names) == len(set(names)) == 3
    assert block_names(prompt(1, 2, 4))[:2] == names[:2]
    assert not set(block_names(prompt(2, 2, 3))) & set(names)
    assert block_names(prompt(rest=PAGE - 1)) == []
    assert common_blocks(names, block_names(prompt(1, 2, 4, 3))) == 2
    assert common_blocks(names, []) == 0


def test_the_last_token_of_a_known_prompt_is_computed_all_the_same():
    assert tokens_left(2 * PAGE, 2) == 1
    assert tokens_left(2 * PAGE + 5, 2) == 5
    assert tokens_left(2 * PAGE + 5, 0) == 2 * PAGE + 5


def test_beginnings_come_back_as_they_were_whatever_their_length():
    prefixes = PrefixCache(100 * PAGE_BYTES)
    long, short, other = prompt(1, 2, 3, rest=5), prompt(1, rest=2), prompt(4, 5)
    keep(prefixes, long, short, other)
    assert [prefixes.known(block_names(tokens)) for tokens in (long, short, other)] == [3, 1, 2]
    check_restored(prefixes, [(long, 3 * PAGE), (short, PAGE - 3), (other, PAGE + 1)])
    check_restored(prefixes, [(other, 1)])
    check_restored(prefixes, [(prompt(1, 2, 7), 2 * PAGE), (prompt(8), 0)])
    assert prefixes.restore([(block_names(long), 0)]).length == 0


def test_a_restored_batch_goes_on_like_a_computed_one():
    prefixes = PrefixCache(100 * PAGE_BYTES)
    whole = prompt(1, 2, rest=6)
    keep(prefixes, whole)
    cache = prefixes.restore([(block_names(whole), 2 * PAGE)])
    for index, (keys, values) in enumerate(states(whole)):
        for at in range(2 * PAGE, len(whole)):
            cache.update(keys[None, :, at : at + 1], values[None, :, at : at + 1], index)
        assert torch.equal(cache.filled[index].keys[0], keys)
        assert torch.equal(cache.filled[index].values[0], values)


def test_the_least_recently_used_goes_first_and_the_end_of_a_prompt_before_its_beginning():
    prefixes = PrefixCache((1 + 4) * PAGE_BYTES)
    first, second = prompt(1, 2), prompt(3, 4)
    keep(prefixes, first)
    keep(prefixes, second)
    check_restored(prefixes, [(first, PAGE)])
    keep(prefixes, prompt(5))
    assert prefixes.known(block_names(first)) == 1
    assert prefixes.known(block_names(second)) == 2
    keep(prefixes, prompt(6))
    assert prefixes.known(block_names(second)) == 1
    assert prefixes.known(block_names(first)) == 1


def test_nothing_is_kept_without_room_for_a_page():
    for limit in (0, 2 * PAGE_BYTES - 1):
        prefixes = PrefixCache(limit)
        keep(prefixes, prompt(1, 2))
        assert prefixes.known(block_names(prompt(1))) == 0
        assert prefixes.most_blocks == 0


def test_clearing_says_whether_there_was_anything():
    prefixes = PrefixCache(100 * PAGE_BYTES)
    assert not prefixes.clear()
    keep(prefixes, prompt(1, 2))
    assert prefixes.clear()
    assert prefixes.known(block_names(prompt(1))) == 0
    keep(prefixes, prompt(1, 2))
    check_restored(prefixes, [(prompt(1, 2), 2 * PAGE)])


PROMPTS = st.builds(
    lambda blocks, rest: prompt(*blocks, rest=rest),
    st.lists(st.integers(1, 3), max_size=5),
    st.integers(1, PAGE),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.lists(st.lists(PROMPTS, min_size=1, max_size=4), min_size=1, max_size=8))
def test_whatever_is_known_is_right_and_fits(room, batches):
    prefixes = PrefixCache((1 + room) * PAGE_BYTES)
    seen = []
    for batch in batches:
        keep(prefixes, *batch)
        seen += batch
        assert prefixes.known(block_names(batch[-1])) == min(room, len(batch[-1]) // PAGE)
        held = {
            name for tokens in seen for name in block_names(tokens)[: prefixes.known(block_names(tokens))]
        }
        assert len(held) <= room
        stored = prefixes._pages._layers.values()
        assert sum(keys.nbytes + values.nbytes for keys, values in stored) <= prefixes.limit
        check_restored(prefixes, [(tokens, prefixes.known(block_names(tokens)) * PAGE) for tokens in seen])
