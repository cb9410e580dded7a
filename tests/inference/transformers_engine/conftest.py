"""A random llama, its tokenizer, and engines that run it."""

import asyncio

import pytest
import torch

from tests.inference.tiny_llama import engine, llama, tokenizer
from tests.inference.transformers_engine.driving import PIECES, gather


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny matrices are only slowed down by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.fixture(scope="module")
def model(words):
    return llama(len(words))


@pytest.fixture
def run(model, words):
    """`run(*requests, model=, words=, **engine settings)`: the completions or errors, from a fresh engine."""

    def answer(*requests, on=model, spoken=words, **settings):
        made = engine(on, spoken, **settings)
        try:
            return asyncio.run(gather(made, requests))
        finally:
            made.close()

    return answer


@pytest.fixture
def made(model, words):
    """An engine that computes in small pieces."""
    made = engine(model, words, limits=PIECES)
    yield made
    made.close()


@pytest.fixture
def spelling(words):
    """A model that writes a text whatever it is asked, and the engine on it."""
    engines = []

    def make(text, spoken=words, **settings):
        speaking = llama(len(spoken))
        tokens = [*spoken(text, add_special_tokens=False)["input_ids"], spoken.eos_token_id]
        starts = {}
        original = speaking.forward

        def forward(*args, **kwargs):
            output = original(*args, **kwargs)
            for row, positions in enumerate(kwargs["position_ids"]):
                last = int(positions[-1])
                if kwargs["input_ids"].shape[1] > 1:
                    starts[row] = last
                output.logits[row, -1] = -1e4
                output.logits[row, -1, tokens[min(last - starts[row], len(tokens) - 1)]] = 1e4
            return output

        speaking.forward = forward
        engines.append(engine(speaking, spoken, **settings))
        return engines[-1]

    yield make
    for made in engines:
        made.close()
