"""A batch computes what each sequence would alone, and torch the same; what is wrong never goes down."""

import threading
import time

import numpy as np
import pytest
import torch

from inference.llama_engine.context import AbortedError, LlamaContext, NoRoomError, Piece

TEXTS = [
    "The farmer sells apples at the market, and the neighbour watches.",
    "Who would be harmed, and who would be helped, if this were done?",
    "keep revise drop yes no maybe Alice Al Bob role answer reason keep it",
    '{"text": "value", "number": 12, "list": [1, 2, 3], "ok": true}',
]
CLOSE = 0.05
"""Logits are a few apart; keys and values are kept in float16."""


@pytest.fixture(scope="module")
def prompts(words):
    return [(words(text * 4)["input_ids"] + list(range(3, 90)))[:80] for text in TEXTS]


@pytest.fixture(scope="module")
def right(torch_model, prompts):
    """Torch's logits, (prompts, tokens, vocabulary)."""
    with torch.inference_mode():
        return torch_model(torch.tensor(prompts)).logits.numpy()


def feed(context, sequence, tokens, chunk=31):
    """Logits of the tokens, computed in pieces."""
    pieces = [tokens[at : at + chunk] for at in range(0, len(tokens), chunk)]
    return np.concatenate([context.compute([Piece(sequence, each, len(each))]).copy() for each in pieces])


@pytest.mark.parametrize("chunk", [1, 7, 31])
def test_alone_is_as_torch_says(context, prompts, right, chunk):
    for prompt, logits in zip(prompts, right, strict=True):
        assert np.abs(feed(context, 0, prompt, chunk) - logits).max() < CLOSE
        context.cut(0, 0)


def test_together_is_as_torch_says(context, prompts, right):
    for start in range(0, 80, 5):
        pieces = [Piece(at, prompt[start : start + 5], 2) for at, prompt in enumerate(prompts)]
        logits = context.compute(pieces).reshape(len(prompts), 2, -1)
        assert np.abs(logits - right[:, start + 3 : start + 5]).max() < CLOSE
    assert [context.length(at) for at in range(4)] == [80] * 4
    assert context.used == 320


def test_only_what_is_wanted_comes_back(context, prompts, right):
    pieces = [Piece(0, prompts[0][:9]), Piece(1, prompts[1][:9], 3), Piece(2, prompts[2][:9], 1)]
    logits = context.compute(pieces)
    assert logits.shape == (4, right.shape[2])
    assert np.abs(logits[:3] - right[1, 6:9]).max() < CLOSE
    assert np.abs(logits[3] - right[2, 8]).max() < CLOSE
    assert context.compute([Piece(0, prompts[0][9:20])]).shape == (0, right.shape[2])


def test_shared_beginning(context, prompts, right):
    feed(context, 0, prompts[0])
    context.share(0, 1, 50)
    context.share(0, 2, 50)
    assert context.used == 80
    context.cut(0, 0)
    assert np.abs(feed(context, 1, prompts[0][50:]) - right[0, 50:]).max() < CLOSE
    assert np.abs(feed(context, 2, prompts[0][50:], 4) - right[0, 50:]).max() < CLOSE


def test_saved_and_loaded(context, prompts, right):
    feed(context, 0, prompts[0][:60])
    saved = context.save(0)
    context.clear()
    feed(context, 3, prompts[1])
    context.load(0, saved, 60)
    assert np.abs(feed(context, 0, prompts[0][60:]) - right[0, 60:]).max() < CLOSE


def test_cut_and_continued(context, prompts, right):
    feed(context, 0, prompts[0])
    context.cut(0, 33)
    assert np.abs(feed(context, 0, prompts[0][33:]) - right[0, 33:]).max() < CLOSE


def test_free_cells_in_many_places_are_used(context, prompts, right):
    for at in range(8):
        feed(context, at, prompts[at % 4][:30])
    for at in range(0, 8, 2):
        context.cut(at, 0)
    saved = context.save(1)
    feed(context, 0, prompts[2][:31])
    feed(context, 2, prompts[0])
    assert np.abs(feed(context, 3, prompts[3][30:35]) - right[3, 30:35]).max() < CLOSE
    context.cut(2, 0)
    context.cut(5, 0)
    context.load(5, saved, 30)
    assert np.abs(feed(context, 5, prompts[1][30:40]) - right[1, 30:40]).max() < CLOSE


def test_full(context, prompts, right):
    for at in range(3):
        feed(context, at, prompts[at])
    saved = context.save(0)
    feed(context, 4, prompts[3][:60])
    with pytest.raises(NoRoomError):
        context.compute([Piece(3, prompts[3][:31], 1)])
    with pytest.raises(NoRoomError):
        context.load(3, saved, 80)
    assert (context.used, context.length(3)) == (300, 0)
    context.cut(2, 40)
    assert np.abs(feed(context, 2, prompts[2][40:]) - right[2, 40:]).max() < CLOSE


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [Piece(0, [])],
        [Piece(0, [-1])],
        [Piece(0, [10_000])],
        [Piece(-1, [1])],
        [Piece(8, [1])],
        [Piece(0, [1], 2)],
        [Piece(0, [1]), Piece(0, [2])],
        [Piece(0, [1] * 32)],
        [Piece(0, [1] * 16), Piece(1, [1] * 16)],
    ],
)
def test_wrong_batches_are_refused(context, pieces):
    with pytest.raises(ValueError, match=r"batch|token|sequence|logits"):
        context.compute(pieces)
    assert context.used == 0


def test_wrong_moves_are_refused(context, prompts):
    feed(context, 0, prompts[0])
    saved = context.save(0)
    for move in (
        lambda: context.share(0, 0, 10),
        lambda: context.share(0, 1, 81),
        lambda: context.share(0, 9, 10),
        lambda: context.cut(0, 81),
        lambda: context.cut(0, -1),
        lambda: context.load(0, saved, 80),
        lambda: context.save(-1),
    ):
        with pytest.raises(ValueError, match="sequence"):
            move()
    assert context.used == 80


def test_damaged_state_is_refused(context, prompts):
    feed(context, 0, prompts[0])
    saved = context.save(0)
    context.clear()
    for damaged in (saved[:-100], saved[: len(saved) // 2]):
        with pytest.raises(RuntimeError):
            context.load(0, damaged, 80)
        assert (context.used, context.length(0)) == (0, 0)


def test_aborted(model):
    context = LlamaContext(model, cells=4096, sequences=1, batch_tokens=4096, threads=1)
    threading.Timer(0.05, context.abort).start()
    began = time.monotonic()

    def compute_on():
        while True:
            context.compute([Piece(0, [5] * 2048)])
            context.cut(0, 0)

    with pytest.raises(AbortedError):
        compute_on()
    assert time.monotonic() - began < 5
    assert context.length(0) == 0
    with pytest.raises(AbortedError):
        context.compute([Piece(0, [5])])
    context.close()
