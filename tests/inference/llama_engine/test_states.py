"""Pages of a saved sequence, put together in any way that makes sense, are a sequence again."""

import numpy as np
import pytest

from inference.llama_engine.context import Piece
from inference.llama_engine.states import Page, PrefixStore, join, split

TOKENS = [5 + 7 * at % 380 for at in range(70)]


def computed(context, tokens, sequence=0):
    for at in range(0, len(tokens), 31):
        logits = context.compute([Piece(sequence, tokens[at : at + 31], 1)])
    return logits[0].copy()


def test_bytes_are_the_same_again(context, model):
    computed(context, TOKENS[:64])
    saved = context.save(0)
    assert (join(split(saved, model.layers, 16), 0) == saved).all()


def test_what_is_left_over_is_dropped(context, model):
    computed(context, TOKENS)
    pages = split(context.save(0), model.layers, 16)
    assert len(pages) == 4
    assert all(page.keys.shape[1] == page.values.shape[2] == 16 for page in pages)


def test_loaded_behind_a_shared_beginning(context, model):
    right = computed(context, TOKENS)
    context.cut(0, 64)
    pages = split(context.save(0), model.layers, 16)
    context.load(1, join(pages[2:], 32), 64)
    context.share(0, 1, 32)
    context.cut(0, 0)
    assert context.used == 64
    logits = context.compute([Piece(1, TOKENS[64:], 1)])[0]
    assert np.abs(logits - right).max() < 1e-3


def test_unknown_layouts_are_refused(context, model):
    computed(context, TOKENS)
    saved = context.save(0)
    for at, value in ((4 + 8 * 70, 0), (8 + 8 * 70, 9), (12 + 8 * 70, 8), (len(saved) - 1, 1)):
        spoiled = saved.copy()
        spoiled[at] = value
        with pytest.raises(RuntimeError, match="unknown way"):
            split(spoiled, model.layers, 16)


def test_the_store_forgets_what_was_used_longest_ago():
    page = Page(np.zeros((1, 16, 2), np.uint16), np.zeros((1, 2, 16), np.uint16))
    store = PrefixStore(4 * page.nbytes)
    store.keep([b"a", b"ab", b"abc"], [page] * 3)
    store.keep([b"x"], [page])
    assert (store.known([b"a", b"ab", b"abc"]), store.known([b"x"])) == (3, 1)
    store.pages([b"a", b"ab"], 1)
    store.keep([b"x", b"xy"], [page])
    assert (store.known([b"a", b"ab", b"abc"]), store.known([b"x", b"xy"])) == (2, 2)
    assert store.clear()
    assert not store.clear()
