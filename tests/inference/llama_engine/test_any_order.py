"""Sequences that grow, share, leave and are moved in any order are computed as if each were alone."""

import random
from itertools import count

import numpy as np
import pytest
import torch

from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.limits import STEP_TOKENS
from inference.llama_engine.model import LlamaModel
from inference.llama_engine.states import join, split

SEQUENCES = 8


class Life:
    """Random moves, and the tokens that each sequence should have after them."""

    def __init__(self, context, layers, vocabulary, seed):
        self.context = context
        self.layers = layers
        self.vocabulary = vocabulary
        self.random = random.Random(seed)
        self.tokens = {}

    def step(self):
        """Compute something; for each sequence that was asked about its tokens and the last one's logits."""
        pieces, room = [], STEP_TOKENS
        for sequence in self.tokens:
            size = min(room, 1 if self.random.random() < 0.8 else self.random.randint(1, STEP_TOKENS))
            if size:
                pieces.append(Piece(sequence, self.draw(size), self.random.randint(0, 1)))
                room -= size
        if room and len(self.tokens) < SEQUENCES and (not self.tokens or self.random.random() < 0.5):
            sequence = self.begin()
            pieces.append(Piece(sequence, self.draw(self.random.randint(1, room)), 1))
        logits = iter(self.context.compute(pieces).copy())
        for piece in pieces:
            self.tokens[piece.sequence] += piece.tokens
        asked = [(list(self.tokens[each.sequence]), next(logits)) for each in pieces if each.wanted]
        for sequence in list(self.tokens):
            if len(self.tokens[sequence]) > 150 or self.random.random() < 0.05:
                self.context.cut(sequence, 0)
                del self.tokens[sequence]
        return asked

    def begin(self):
        """A new sequence, which may begin with some of another's tokens, shared or saved and loaded."""
        sequence = next(each for each in count() if each not in self.tokens)
        others = [each for each in self.tokens if len(self.tokens[each]) >= 16]
        self.tokens[sequence] = []
        if others and self.random.random() < 0.7:
            other = self.random.choice(others)
            pages = split(self.context.save(other), self.layers, 16)
            first = self.random.randint(0, len(pages))
            if pages[first:] and self.random.random() < 0.5:
                self.context.load(sequence, join(pages[first:], 16 * first), 16 * len(pages))
                size = 16 * len(pages)
            else:
                size = 16 * first
            self.context.share(other, sequence, 16 * first)
            self.tokens[sequence] = self.tokens[other][:size]
        return sequence

    def draw(self, size):
        return [self.random.randrange(3, self.vocabulary) for _ in range(size)]


@pytest.mark.parametrize("seed", range(4))
def test_float32(model, torch_model, seed):
    context = LlamaContext(model, cells=1024, sequences=SEQUENCES, batch_tokens=STEP_TOKENS, threads=1)
    life = Life(context, model.layers, model.vocabulary, seed)
    for _ in range(120):
        for tokens, logits in life.step():
            with torch.inference_mode():
                right = torch_model(torch.tensor([tokens])).logits[0, -1].numpy()
            assert np.corrcoef(logits, right)[0, 1] > 0.999
    context.close()


@pytest.mark.slow
def test_four_bits(tiny_gguf):
    """Slow: it takes most of a minute.

    Where what is rounded differs in the last place, four bits make it a little more, but never wrong.
    """
    model = LlamaModel(tiny_gguf, "tiny")
    context = LlamaContext(model, cells=1024, sequences=SEQUENCES, batch_tokens=STEP_TOKENS, threads=1)
    alone = LlamaContext(model, cells=256, sequences=1, batch_tokens=STEP_TOKENS, threads=1)
    life = Life(context, model.layers, 5_000, 0)
    for _ in range(60):
        for tokens, logits in life.step():
            alone.clear()
            for at in range(0, len(tokens), STEP_TOKENS):
                right = alone.compute([Piece(0, tokens[at : at + STEP_TOKENS], 1)])[0]
            assert np.corrcoef(logits, right)[0, 1] > 0.99
    alone.close()
    context.close()
    model.close()
