"""Ways to put requests to an engine, and to watch and spoil its forward passes."""

import asyncio
import functools
import threading
import time

from inference.transformers_engine.limits import Limits
from tests.inference.tiny_llama import alone, ask, text_of

TIGHT = Limits(rows=3, prefill_tokens=48, cached_tokens=700)
"""So small that rows wait, prompts come in pieces and the cache's bound is felt."""

PIECES = Limits(rows=8, prefill_tokens=32, cached_tokens=10_000)
"""A prompt of any length comes in pieces."""

LONG = "THE BAKER WRITES A LETTER TO HIS TEACHER. THE TEACHER READS IT AND SMILES. "
"""About a token a letter, as the tokenizer has seen no capitals."""


def crowd(size, max_tokens=6, **settings):
    """Requests with a long beginning in common."""
    return [ask(LONG + f"No. {i}", max_tokens, **settings) for i in range(size)]


remembered = functools.cache(alone)
"""The same for examples: they come back where only the limits of an engine differ."""


def check_alone(model, words, requests, completions, alone=alone):
    """The replies are those of transformers' own loop."""
    for request, completion in zip(requests, completions, strict=True):
        tokens = alone(model, words, request)
        assert completion.text == text_of(words, tokens)
        assert completion.completion_tokens == len(tokens)


async def gather(made, requests):
    return await asyncio.gather(*(made.generate(request) for request in requests), return_exceptions=True)


async def until(condition):
    """Wait, without holding up the event loop, for what the engine's thread does."""

    def wait():
        while not condition():
            time.sleep(0.001)

    await asyncio.to_thread(wait)


class Forwards:
    """Counts a model's forward passes, and may spoil some of them."""

    def __init__(self, model, monkeypatch, spoil=None):
        self.rows = []
        self.shapes = []
        original = model.forward

        def forward(*args, **kwargs):
            self.rows.append(len(kwargs["input_ids"]))
            self.shapes.append(tuple(kwargs["input_ids"].shape))
            if spoil is not None:
                spoil(self)
            return original(*args, **kwargs)

        monkeypatch.setattr(model, "forward", forward)

    @property
    def computed(self):
        """Prompt tokens that were computed, padding included."""
        return sum(rows * width for rows, width in self.shapes if width > 1)


class Hold:
    """A spoiler that holds one forward pass up: the first for which `at(rows, width)` is true."""

    def __init__(self, at=lambda rows, width: True):
        self.at = at
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, forwards):
        if not self.reached.is_set() and self.at(*forwards.shapes[-1]):
            self.reached.set()
            assert self.released.wait(20)


async def ask_together(made, hold, requests):
    """Tasks for requests that have all arrived, behind another one, before the engine looks at them."""
    first = asyncio.create_task(made.generate(ask("x", 1)))
    await until(hold.reached.is_set)
    tasks = [asyncio.create_task(made.generate(request)) for request in requests]
    await until(lambda: made._arrivals.qsize() == len(tasks))
    hold.released.set()
    await first
    return tasks
