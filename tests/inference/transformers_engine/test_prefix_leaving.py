"""Requests that leave, and passes that fail, while a shared beginning is computed or kept."""

import asyncio

import torch

from scene.errors import EngineError
from tests.inference.tiny_llama import ask
from tests.inference.transformers_engine.driving import (
    Forwards,
    Hold,
    ask_together,
    check_alone,
    crowd,
    gather,
    until,
)


def test_a_crowd_that_leaves_takes_its_prefix_computation_along(model, words, made, monkeypatch):
    hold, piece = Hold(), Hold()

    def spoil(counted):
        hold(counted)
        if len(counted.shapes) == 2:
            piece(counted)

    forwards = Forwards(model, monkeypatch, spoil)

    async def leaving():
        tasks = await ask_together(made, hold, crowd(6))
        await until(piece.reached.is_set)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        piece.released.set()
        await until(lambda: not made._batch.busy)

    asyncio.run(leaving())
    assert forwards.shapes[1:] == [(1, 32)]
    assert not made._flights
    (later,) = asyncio.run(gather(made, crowd(1)))
    check_alone(model, words, crowd(1), [later])


def test_a_crowd_whose_first_leaves_goes_on(model, words, made, monkeypatch):
    hold, piece = Hold(), Hold()

    def spoil(counted):
        hold(counted)
        if len(counted.shapes) == 2:
            piece(counted)

    Forwards(model, monkeypatch, spoil)

    async def leaving():
        first, *others = await ask_together(made, hold, crowd(6))
        await until(piece.reached.is_set)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        piece.released.set()
        return await asyncio.gather(*others)

    completions = asyncio.run(leaving())
    check_alone(model, words, crowd(6)[1:], completions)
    assert min(completion.cached_tokens for completion in completions) > 0


def test_a_prefix_that_cant_be_computed_fails_its_crowd_and_nobody_else(model, words, made, monkeypatch):
    hold = Hold()

    def spoil(counted):
        hold(counted)
        if len(counted.shapes) == 2:
            raise RuntimeError("the matrix is upset")

    Forwards(model, monkeypatch, spoil)
    other = ask("Who?", 4)

    async def scene():
        tasks = await ask_together(made, hold, [*crowd(4), other])
        return await asyncio.gather(*tasks, return_exceptions=True)

    *failed, fine = asyncio.run(scene())
    assert all(isinstance(outcome, EngineError) for outcome in failed)
    check_alone(model, words, [other], [fine])
    assert not made._flights


def test_out_of_memory_drops_what_was_kept_and_loses_no_request(model, words, made, monkeypatch):
    asyncio.run(gather(made, crowd(2)))
    kept = made._batch.prefixes
    before = kept.limit
    assert kept._kept
    seen = []

    def spoil(counted):
        if len(counted.shapes) == 1:
            seen.append(len(kept._kept))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        if len(counted.shapes) == 2:
            seen.append(len(kept._kept))

    Forwards(model, monkeypatch, spoil)
    (completion,) = asyncio.run(gather(made, crowd(1)))
    check_alone(model, words, crowd(1), [completion])
    assert seen[0] > seen[1] == 0
    assert completion.cached_tokens == 0
    assert kept.limit == before // 2


def test_out_of_memory_again_and_again_ends(model, made, monkeypatch):
    hold = Hold()

    def spoil(counted):
        hold(counted)
        if len(counted.shapes) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    Forwards(model, monkeypatch, spoil)

    async def scene():
        tasks = await ask_together(made, hold, crowd(8))
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(outcome, EngineError) for outcome in asyncio.run(scene()))
    assert not made._batch.busy
