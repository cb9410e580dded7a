"""Ways to put requests to an engine, and to watch and spoil its forward passes."""

import asyncio
import time

from inference.decoding import Limits

TIGHT = Limits(rows=3, prefill_tokens=48, cached_tokens=700)
"""So small that rows wait, prompts come in pieces and the cache's bound is felt."""


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
