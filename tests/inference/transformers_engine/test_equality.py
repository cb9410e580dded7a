"""Greedy replies equal those of transformers' own loop, whatever shares the batch."""

import asyncio
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.loading import load_engine
from tests.inference.tiny_llama import alone, ask, engine, text_of
from tests.inference.transformers_engine.architectures import (
    adapted_llama,
    alternating_gemma,
    biased_qwen,
    sliding_mistral,
)
from tests.inference.transformers_engine.driving import TIGHT, gather, remembered

PROMPTS = st.text(st.sampled_from("abc ☃é\nThe market?"), min_size=1, max_size=90)
REQUESTS = st.lists(st.tuples(PROMPTS, st.integers(1, 24), st.floats(0, 0.02)), min_size=1, max_size=7)


def check_equals_alone(model, words, made, wanted):
    """Answers to requests that arrive at different times are those of transformers' own loop."""

    async def ask_later(request, delay):
        await asyncio.sleep(delay)
        return await made.generate(request)

    async def all_of_them():
        return await asyncio.gather(*(ask_later(request, delay) for request, delay in wanted))

    for (request, _), completion in zip(wanted, asyncio.run(all_of_them()), strict=True):
        tokens = remembered(model, words, request)
        assert completion.text == text_of(words, tokens)
        assert completion.completion_tokens == len(tokens)
        ends = (words.eos_token_id,)
        assert completion.finish_reason == ("stop" if tokens[-1] in ends else "length")


@pytest.mark.parametrize("limits", [None, TIGHT], ids=["roomy", "tight"])
def test_greedy_equals_generating_alone_whatever_shares_the_batch(model, words, limits):
    made = engine(model, words, limits=limits)

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(REQUESTS)
    def holds(drawn):
        check_equals_alone(model, words, made, [(ask(text, cap), delay) for text, cap, delay in drawn])

    try:
        holds()
    finally:
        made.close()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks
@pytest.mark.parametrize("build", [sliding_mistral, alternating_gemma, biased_qwen, adapted_llama])
def test_other_architectures_and_adapters_equal_generating_alone(words, build):
    torch.manual_seed(1)
    built = build(len(words)).eval()
    rng = random.Random(2)
    wanted = [
        (ask("The farmer " * rng.randrange(1, 8), rng.randrange(1, 30)), rng.random() / 50) for _ in range(9)
    ]
    made = engine(built, words, limits=TIGHT)
    try:
        check_equals_alone(built, words, made, wanted)
    finally:
        made.close()


@pytest.mark.model
def test_the_tiny_model_answers_a_batch_as_it_answers_alone():
    made = load_engine("tiny", engine="transformers", dtype="float32")
    requests = [
        ask("What is the capital of France?", 10),
        ask("Write one sentence about a farmer who sells apples at the market to a neighbour.", 12),
        ask("Count to five.", 8),
        ask("Yes or no: is water wet?", 6),
    ]
    chosen = ask("Is it wise to lie to a friend?", 8, choices=("yes", "no", "it depends"))
    try:
        forward = made._batch._forward
        completions = asyncio.run(gather(made, [*requests, chosen]))
        expected = [alone(forward._model, made._tokenizer, request) for request in requests]
        texts = [text_of(made._tokenizer, tokens) for tokens in expected]
    finally:
        made.close()
    assert [completion.text for completion in completions[:-1]] == texts
    assert completions[-1].text in chosen.choices
