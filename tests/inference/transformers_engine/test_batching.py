"""Rows share forward passes, within limits, and don't hold each other up."""

import asyncio
import threading
import time
from itertools import pairwise

import pytest
import torch

from inference.transformers_engine.limits import Limits
from tests.inference.tiny_llama import DEVICE, alone, ask, engine, text_of
from tests.inference.transformers_engine.architectures import adapted_llama
from tests.inference.transformers_engine.driving import Forwards, gather, until


def test_requests_share_forward_passes(model, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    completions = run(*(ask(f"Number {i}", 32) for i in range(16)))
    generated = sum(completion.completion_tokens for completion in completions)
    assert generated > 200
    assert len(forwards.rows) < generated / 4
    assert max(forwards.rows) == 16


def test_the_batch_stays_within_its_limits(model, words, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    run(
        *(ask(f"Number {i}", 8) for i in range(10)),
        limits=Limits(rows=4, prefill_tokens=10_000, cached_tokens=10_000),
    )
    assert max(forwards.rows) == 4
    forwards.rows.clear()
    prompt = len(
        words.apply_chat_template([{"role": "user", "content": "Number 1"}], add_generation_prompt=True)[
            "input_ids"
        ]
    )
    cached = 2 * (prompt + 8)
    run(
        *(ask(f"Number {i}", 8) for i in range(10)),
        limits=Limits(rows=99, prefill_tokens=10_000, cached_tokens=cached),
    )
    assert max(forwards.rows) == 2


def test_newcomers_share_a_pass_only_up_to_the_limit(model, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    limits = Limits(rows=64, prefill_tokens=100, cached_tokens=10_000)
    run(*(ask("Number" + " 1" * (i % 5), 4) for i in range(20)), limits=limits)
    prefills = [rows * width for rows, width in forwards.shapes if width > 1]
    assert max(prefills) <= 100
    assert len(prefills) < 20


def test_a_long_prompt_comes_in_pieces_between_which_others_go_on(model, words, monkeypatch):
    widths = []
    original = model.forward

    def forward(*args, **kwargs):
        widths.append(kwargs["input_ids"].shape[1])
        return original(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    made = engine(model, words, limits=Limits(rows=8, prefill_tokens=32, cached_tokens=10_000))

    async def scene():
        short = asyncio.create_task(made.generate(ask("a", 60)))
        await until(lambda: widths)
        return await asyncio.gather(short, made.generate(ask("The farmer sells apples. " * 12, 2)))

    try:
        asyncio.run(scene())
    finally:
        made.close()
    assert max(widths) <= 32
    pieces = [index for index, width in enumerate(widths) if width > 1]
    assert len(pieces) >= 3
    assert any(later - earlier > 1 for earlier, later in pairwise(pieces[1:]))


def test_a_short_request_does_not_wait_for_a_long_one(model, words):
    made = engine(model, words)
    order = []

    async def note(name, request):
        await made.generate(request)
        order.append(name)

    async def scene():
        await asyncio.gather(note("long", ask("Tell me all.", 200)), note("short", ask("Yes?", 1)))

    try:
        asyncio.run(scene())
    finally:
        made.close()
    assert order == ["short", "long"]


def test_padding_goes_when_the_row_that_needed_it_leaves(model, words):
    made = engine(model, words)
    batch = made._batch
    widths = []
    original = batch._decode

    def decode():
        original()
        widths.append((len(batch._rows), batch._cache.length))

    batch._decode = decode
    try:
        asyncio.run(gather(made, [ask("The farmer sells apples. " * 10, 3), ask("a", 8)]))
    finally:
        made.close()
    shared = [rows for rows, _ in widths]
    last = len(shared) - shared[::-1].index(2)
    assert min(width for rows, width in widths if rows == 2) > 60
    assert max(width for _, width in widths[last:]) < 40


def test_waiting_for_work_costs_no_time(model, words):
    made = engine(model, words)
    try:
        asyncio.run(gather(made, [ask("a", 2)]))
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1
    finally:
        made.close()


def test_two_event_loops_share_an_engine(model, words):
    made = engine(model, words)
    answers = {}

    def loop(name):
        answers[name] = asyncio.run(gather(made, [ask(f"{name} {i}", 12) for i in range(5)]))

    threads = [threading.Thread(target=loop, args=(name,)) for name in ("one", "two")]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        made.close()
    for name, completions in answers.items():
        for i, completion in enumerate(completions):
            assert completion.text == text_of(words, alone(model, words, ask(f"{name} {i}", 12)))


@pytest.mark.skipif(DEVICE != "cpu", reason="a GPU groups them itself")
def test_on_a_cpu_grouped_keys_are_read_once_for_a_group(run, monkeypatch):
    calls = []
    original = torch.nn.functional.scaled_dot_product_attention

    def attention(query, key, value, **options):
        calls.append((query.shape[1], key.shape[1], options.get("enable_gqa", False)))
        return original(query, key, value, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    (completion,) = run(ask("Nothing is padded here.", 6))
    layers, of_the_prompt = 2, 1
    assert completion.completion_tokens == 6
    assert calls[layers * of_the_prompt :] == [(2, 2, False)] * layers * (6 - of_the_prompt)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks
def test_under_an_adapter_the_vocabulary_is_not_multiplied_row_by_row(words, run):
    adapted = adapted_llama(len(words)).eval()
    assert not adapted.get_base_model().lm_head.weight.requires_grad
    seen = []
    adapted.get_base_model().lm_head.register_forward_pre_hook(lambda layer, states: seen.append(states[0]))
    run(*(ask(f"{i} is a number", 3) for i in range(4)), on=adapted.get_base_model(), spoken=words)
    assert any(len(states) > 1 for states in seen)
    assert all(states.is_contiguous() for states in seen)
