"""Requests that are cancelled, engines that are closed, steps that fail."""

import asyncio
import logging
import threading
import time

import pytest
import torch

from inference.batching.blocks import PAGE
from inference.transformers_engine import decoding
from inference.transformers_engine.limits import Limits
from scene.errors import EngineError
from tests.inference.tiny_llama import alone, ask, engine, llama, text_of
from tests.inference.transformers_engine.driving import Forwards, Hold, ask_together, gather, until


def test_a_cancelled_request_leaves_the_batch(model, words, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    made = engine(model, words)

    async def scene():
        doomed = [asyncio.create_task(made.generate(ask(f"Tell {i}", 400))) for i in range(3)]
        kept = asyncio.create_task(made.generate(ask("Keep me", 60)))
        await until(lambda: 4 in forwards.rows)
        for task in doomed:
            task.cancel()
        return await kept

    try:
        completion = asyncio.run(scene())
        assert completion.text == text_of(words, alone(model, words, ask("Keep me", 60)))
        forwards.rows.clear()
        time.sleep(0.1)
        assert forwards.rows == []
        assert not made._batch.busy
        assert not made._flights
    finally:
        made.close()


def test_closing_fails_what_is_under_way_and_ends_the_thread(model, words, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    made = engine(model, words)

    async def scene():
        tasks = [asyncio.create_task(made.generate(ask(f"Tell {i}", 400))) for i in range(3)]
        await until(lambda: forwards.rows)
        await asyncio.to_thread(made.close)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(EngineError, match="closed"):
            await made.generate(ask("a"))
        return outcomes

    for outcome in asyncio.run(scene()):
        assert isinstance(outcome, EngineError)
        assert "closed" in str(outcome)
    assert not made._thread.is_alive()
    assert made._batch is None
    made.close()


def test_closing_cuts_a_forward_pass_short(model, words, monkeypatch):
    hold = Hold()
    Forwards(model, monkeypatch, hold)
    made = engine(model, words)
    finished = []
    hook = model.model.layers[-1].register_forward_hook(lambda *_: finished.append(True))

    async def scene():
        task = asyncio.create_task(made.generate(ask("a")))
        await until(hold.reached.is_set)
        closing = asyncio.create_task(asyncio.to_thread(made.close))
        await until(lambda: made._interrupted.is_set())
        hold.released.set()
        await closing
        with pytest.raises(EngineError, match="closed"):
            await task

    try:
        asyncio.run(scene())
    finally:
        hook.remove()
    assert not finished
    assert not made._thread.is_alive()


def test_a_failed_step_fails_its_rows_and_the_engine_lives_on(model, words, monkeypatch):
    def spoil(forwards):
        if len(forwards.rows) == 4:
            raise RuntimeError("the matrix is upset\nand says more")

    made = engine(model, words)
    Forwards(model, monkeypatch, spoil)
    try:
        outcomes = asyncio.run(gather(made, [ask(f"Tell {i}", 40) for i in range(3)]))
        for outcome in outcomes:
            assert isinstance(outcome, EngineError)
            assert str(outcome) == "The model failed: the matrix is upset."
            assert isinstance(outcome.__cause__, RuntimeError)
        (later,) = asyncio.run(gather(made, [ask("Tell 0", 20)]))
    finally:
        made.close()
    assert later.text == text_of(words, alone(model, words, ask("Tell 0", 20)))


def test_an_unforeseen_error_leaves_nobody_waiting(model, words, monkeypatch):
    class UnforeseenError(BaseException):
        pass

    def spoil(forwards):
        raise UnforeseenError

    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    made = engine(model, words)
    Forwards(model, monkeypatch, spoil)
    (outcome,) = asyncio.run(asyncio.wait_for(gather(made, [ask("a")]), 20))
    assert isinstance(outcome, EngineError)
    made.close()


def test_not_a_number_is_an_error_not_a_text(words, run):
    broken = llama(len(words))
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    (outcome,) = run(ask("a"), on=broken)
    assert isinstance(outcome, EngineError)
    assert "not a number" in str(outcome)


def test_out_of_memory_halves_the_rows_and_loses_no_request(model, words, run, monkeypatch, caplog):
    requests = [ask(f"Tell {i}", 20, temperature=1.0, seed=i) for i in range(6)]
    requests += [ask(f"Pick {i}", 40, pattern="[a-f]{20}") for i in range(2)]
    expected = run(*requests)

    def spoil(forwards):
        if forwards.rows[-1] > 2 and len(forwards.rows) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    forwards = Forwards(model, monkeypatch, spoil)
    with caplog.at_level(logging.WARNING):
        assert run(*requests) == expected
    assert max(forwards.rows) > 2
    assert [row for row in forwards.rows[len(forwards.rows) // 2 :] if row > 2] == []
    said = [record.getMessage() for record in caplog.records if "Memory ran out" in record.getMessage()]
    assert said == [
        "Memory ran out with 8 rows; going on with at most 4 and fewer prompts kept.",
        "Memory ran out with 4 rows; going on with at most 2 and fewer prompts kept.",
    ]


def test_when_memory_suffices_again_so_do_the_limits(model, words, monkeypatch):
    monkeypatch.setattr(decoding, "CLEAN_STEPS", 10)
    holds = []

    def spoil(forwards):
        if holds:
            holds[-1](forwards)
        if forwards.rows[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    Forwards(model, monkeypatch, spoil)
    limits = Limits(rows=8, prefill_tokens=512, cached_tokens=10_000, prefix_bytes=2**20)
    made = engine(model, words, limits=limits)
    batch = made._batch

    def allowed():
        return batch.row_limit, batch.prefixes.limit

    async def too_many():
        holds.append(Hold())
        await asyncio.gather(*await ask_together(made, holds[-1], [ask(f"Tell {i}", 2) for i in range(8)]))

    def steps_until_whole():
        steps = 0
        while allowed() != (8, 2**20):
            asyncio.run(gather(made, [ask("a", 1)]))
            steps += 1
        return steps

    try:
        for least, most in ((0, 10), (10, 20)):
            asyncio.run(too_many())
            assert allowed() == (4, 2**19)
            assert least < steps_until_whole() <= most
        page = 2 * 2 * PAGE * 2 * 8 * 4
        assert batch.prefixes.most_blocks == 2**20 // page - 1
    finally:
        made.close()


def test_out_of_memory_with_a_single_row_fails_that_row(model, run, monkeypatch):
    def spoil(forwards):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    Forwards(model, monkeypatch, spoil)
    (outcome,) = run(ask("a"))
    assert isinstance(outcome, EngineError)
    assert isinstance(outcome.__cause__, torch.OutOfMemoryError)
