"""The cache of a running batch, against one that copies everything."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.transformers_engine.kv_cache import ROOM, SLOTS, SPARE, RowCache, closed_up

LAYERS, HEADS, SIZE = 2, 2, 3


def rows_of(*lengths):
    """Random keys and values for each row, (layers, 2, heads, tokens, head size)."""
    return [torch.randn(LAYERS, 2, HEADS, length, SIZE) for length in lengths]


def padded(rows, *, value):
    """The rows of a batch, aligned at the last token."""
    longest = max(row.shape[3] for row in rows)
    return torch.stack(
        [torch.nn.functional.pad(row, (0, 0, longest - row.shape[3], 0), value=value) for row in rows]
    )


def batch(rows):
    """A cache as a prefill leaves it; what is padding is not-a-number."""
    cache = RowCache()
    for layer, (keys, values) in enumerate(padded(rows, value=torch.nan).permute(1, 2, 0, 3, 4, 5)):
        cache.begin(layer, keys, values)
    return cache


def grown(cache, rows, new):
    """One more pass over all rows: new keys and values, and the rows with them."""
    more = rows_of(*[new] * len(rows))
    for layer, (keys, values) in enumerate(padded(more, value=0).permute(1, 2, 0, 3, 4, 5)):
        cache.update(keys, values, layer)
    return [torch.cat([row, states], dim=3) for row, states in zip(rows, more, strict=True)]


def assert_holds(cache, rows):
    longest = max(row.shape[3] for row in rows)
    assert cache.length == longest
    for index, layer in cache.filled.items():
        for side, states in enumerate((layer.keys, layer.values)):
            assert states.shape == (len(rows), HEADS, longest, SIZE)
            for found, row in zip(states, rows, strict=True):
                torch.testing.assert_close(found[:, longest - row.shape[3] :], row[index, side])


def held(cache):
    """Tokens that a layer has room for, over all its slots."""
    (size,) = {layer._both()[0][:, 0, :, 0].numel() for layer in cache.filled.values()}
    return size


def most_held(rows):
    """Tokens that room may have been made for while these rows were running."""
    longest = max(row.shape[3] for row in rows)
    return SPARE * (len(rows) + SLOTS) * (longest + 2 * ROOM)


lengths = st.lists(st.integers(1, 150), min_size=1, max_size=10)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), lengths),
        st.tuples(st.just("grow"), st.integers(1, 80)),
        st.tuples(st.just("leave"), st.sets(st.integers(0, 20), max_size=8)),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(lengths, steps)
def test_rows_keep_their_states_whoever_comes_and_goes(first, steps):
    rows = rows_of(*first)
    cache = batch(rows)
    most = most_held(rows)
    for what, given_ in steps:
        if what == "join":
            newcomers = rows_of(*given_)
            cache.join(batch(newcomers))
            rows += newcomers
        elif what == "grow":
            rows = grown(cache, rows, given_)
        else:
            kept = [index for index in range(len(rows)) if index not in given_]
            if not kept:
                continue
            order = closed_up(kept)
            rows = [rows[index] for index in order]
            cache.keep(order, max(row.shape[3] for row in rows))
        assert_holds(cache, rows)
        most = max(most, most_held(rows))
        assert held(cache) <= most


LIMIT = 65_536
"""Tokens of cache, as a CPU's limit has it; who is let in stays within."""


def test_a_long_row_does_not_leave_its_length_to_those_after_it():
    cache = batch(rows_of(4_000))
    cache.join(batch(rows_of(*[600] * 15)))
    cache.keep(closed_up(range(1, 16)), 600)
    most = held(cache)
    for _ in range(6):
        cache.join(batch(rows_of(*[600] * 8)))
        most = max(most, held(cache))
    assert len(cache.layers[0].keys) == 63
    assert most <= SPARE * LIMIT


def test_many_rows_do_not_leave_their_number_to_a_long_one():
    rows = rows_of(*[600] * 64)
    cache = batch(rows)
    cache.keep([0], 600)
    rows, most = rows[:1], held(cache)
    while rows[0].shape[3] < 4_000:
        rows = grown(cache, rows, 50)
        most = max(most, held(cache))
    assert_holds(cache, rows)
    assert most <= SPARE * LIMIT


def test_padding_is_a_number():
    cache = batch(rows_of(5))
    cache.join(batch(rows_of(2)))
    cache.join(batch(rows_of(9)))
    for layer in cache.filled.values():
        assert torch.isfinite(layer.keys).all()
        assert torch.isfinite(layer.values).all()


def test_the_last_rows_take_the_places_of_those_that_leave():
    assert closed_up([0, 2, 3, 5]) == [0, 5, 2, 3]
    assert closed_up([0, 1, 2]) == [0, 1, 2]
    assert closed_up([4]) == [4]
    assert closed_up([]) == []


def test_rows_that_leave_make_room_for_others():
    cache = batch(rows_of(*[100] * 8))
    stores = [layer._both()[0].data_ptr() for layer in cache.filled.values()]
    for _ in range(5):
        cache.keep(closed_up([0, 2, 4, 6]), 100)
        cache.join(batch(rows_of(40, 50, 60, 70)))
    assert [layer._both()[0].data_ptr() for layer in cache.filled.values()] == stores
