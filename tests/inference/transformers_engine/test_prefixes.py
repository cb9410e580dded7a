"""Prompts that begin the same way are computed once, and found again."""

import asyncio
import math

import pytest

from inference.batching.blocks import PAGE
from inference.transformers_engine.limits import Limits
from tests.inference.tiny_llama import ask, engine, llama
from tests.inference.transformers_engine.driving import (
    LONG,
    Forwards,
    Hold,
    ask_together,
    check_alone,
    crowd,
    gather,
    until,
)


def test_a_crowds_prefix_is_computed_once_however_it_arrives(model, words, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    completions = run(*crowd(16))
    prompt = completions[0].prompt_tokens
    assert prompt > 5 * PAGE
    assert forwards.computed < 2 * prompt + 16 * 2 * PAGE
    assert sum(completion.cached_tokens > 0 for completion in completions) >= 15
    check_alone(model, words, crowd(16), completions)


def test_choices_over_one_text_cost_little_more_than_one(run, model, monkeypatch):
    """However differently the replies are constrained: what is asked about the text comes after it."""
    forwards = Forwards(model, monkeypatch)
    asked = {
        "Does Al see it?": {"choices": ("yes", "no")},
        "Does Bob see it?": {"choices": ("yes", "no", "maybe")},
        "Keep it?": {"choices": ("keep", "revise", "drop")},
        "Who is it?": {"schema": {"enum": ["Al", "Alice", "Bob"]}},
        "How many?": {"pattern": "[0-9]{2}"},
        "Who else?": {"pattern": "[A-C][a-c]{2}"},
    }
    completions = run(*(ask(LONG * 3 + question, 20, **shape) for question, shape in asked.items()))
    prompt = max(completion.prompt_tokens for completion in completions)
    assert prompt > 12 * PAGE
    rest = 3 * PAGE
    assert all(completion.cached_tokens > prompt - rest for completion in completions[1:])
    assert forwards.computed < 2 * prompt + len(asked) * rest
    assert completions[0].text in ("yes", "no")
    assert completions[2].text in ("keep", "revise", "drop")


def test_a_crowd_that_waits_has_its_prefix_computed_alone_in_pieces(model, made, monkeypatch):
    hold = Hold()
    forwards = Forwards(model, monkeypatch, hold)

    async def scene():
        return await asyncio.gather(*await ask_together(made, hold, crowd(6)))

    completions = asyncio.run(scene())
    prompt = completions[0].prompt_tokens
    pieces = forwards.shapes[1 : 1 + math.ceil((prompt - PAGE) / 32)]
    assert all(rows == 1 and 1 < width <= 32 for rows, width in pieces)
    assert all(completion.cached_tokens > prompt - 2 * PAGE for completion in completions)
    own = [shape for shape in forwards.shapes[1 + len(pieces) :] if shape[1] > 1]
    assert sum(rows for rows, _ in own) == 6
    assert all(rows * width <= 32 or rows == 1 for rows, width in own)


def test_running_rows_go_on_while_a_crowds_prefix_is_computed(model, made, monkeypatch):
    hold = Hold(lambda rows, width: width == 1)
    forwards = Forwards(model, monkeypatch, hold)

    async def scene():
        running = asyncio.create_task(made.generate(ask("a", 40)))
        await until(hold.reached.is_set)
        tasks = [asyncio.create_task(made.generate(request)) for request in crowd(5)]
        await until(lambda: made._arrivals.qsize() == len(tasks))
        hold.released.set()
        await asyncio.gather(running, *tasks)

    asyncio.run(scene())
    lone = [index for index, (rows, width) in enumerate(forwards.shapes) if rows == 1 and width > 1][1:]
    assert len(lone) >= 2
    between = forwards.shapes[lone[0] + 1 : lone[1]]
    assert between == [(1, 1)]


def test_later_calls_find_what_earlier_ones_computed(model, words, made, monkeypatch):
    (first,) = asyncio.run(gather(made, crowd(1)))
    assert first.cached_tokens == 0
    forwards = Forwards(model, monkeypatch)
    again, longer = asyncio.run(gather(made, [crowd(1)[0], ask(LONG + "No. 0, and then he goes home.", 6)]))
    assert again.text == first.text
    assert again.prompt_tokens - again.cached_tokens <= 2 * PAGE
    assert longer.cached_tokens > again.prompt_tokens - 2 * PAGE
    assert forwards.computed <= 4 * PAGE
    check_alone(model, words, crowd(1), [again])


def test_a_prompt_of_whole_blocks_computes_its_last_token_for_the_reply(model, words, made):
    (probe,) = asyncio.run(gather(made, [ask("a" + LONG, 1)]))
    whole = ask("a" + LONG + "Z" * (-probe.prompt_tokens % PAGE), 4)
    first, again = (asyncio.run(gather(made, [whole]))[0] for _ in range(2))
    assert first.prompt_tokens % PAGE == 0
    assert again.cached_tokens == first.prompt_tokens - 1
    check_alone(model, words, [whole] * 2, [first, again])


def test_nothing_is_kept_where_the_limit_is_zero(run, model, monkeypatch):
    limits = Limits(rows=8, prefill_tokens=512, cached_tokens=10_000, prefix_bytes=0)
    forwards = Forwards(model, monkeypatch)
    completions = run(*crowd(8), limits=limits)
    assert {completion.cached_tokens for completion in completions} == {0}
    assert forwards.computed >= sum(completion.prompt_tokens for completion in completions)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
        {
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 4,
            "long_factor": [4.0] * 4,
            "original_max_position_embeddings": 90,
            "factor": 4.0,
        },
    ],
    ids=["dynamic", "longrope"],
)
def test_keys_that_depend_on_a_prompts_length_are_not_reused(words, run, rope):
    stretching = llama(len(words), rope_parameters=rope)
    same = [ask(LONG + "Tell me.", 4), ask(LONG + "Tell me. " * 8, 4)]
    for request in same:
        completions = run(request, on=stretching)
        check_alone(stretching, words, [request], completions)
    made = engine(stretching, words)
    try:
        completions = [asyncio.run(gather(made, [request]))[0] for request in same]
    finally:
        made.close()
    assert [completion.cached_tokens for completion in completions] == [0, 0]
    check_alone(stretching, words, same, completions)
