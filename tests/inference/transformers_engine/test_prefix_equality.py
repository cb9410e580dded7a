"""No reply tells what was computed for it and what was found."""

import asyncio
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.batching.blocks import PAGE
from inference.transformers_engine.limits import Limits
from tests.inference.tiny_llama import ask, engine
from tests.inference.transformers_engine.architectures import (
    adapted_llama,
    alternating_gemma,
    biased_qwen,
    sliding_mistral,
)
from tests.inference.transformers_engine.driving import (
    LONG,
    TIGHT,
    check_alone,
    crowd,
    gather,
    remembered,
)

PAGE_BYTES = 2 * 2 * PAGE * 2 * 8 * 4
"""Keys and values of a page in the random llama: two layers with two heads of eight float32 numbers."""

BEGINNINGS = [LONG, LONG[:60] + "And then? " * 6, "☃é" * 30, ""]
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(BEGINNINGS),
        st.text(st.sampled_from("abc ☃é\nThe market?"), min_size=1, max_size=40),
        st.integers(1, 12),
        st.floats(0, 0.02),
        st.sampled_from([None, None, None, 0.0, 0.004, 0.015]),
    ),
    min_size=1,
    max_size=9,
)
EVERY_LIMIT = {
    "roomy": Limits(rows=64, prefill_tokens=512, cached_tokens=65_536),
    "tight": replace(TIGHT, prefix_bytes=9 * PAGE_BYTES, pass_tokens=20),
    "hardly": replace(TIGHT, prefix_bytes=3 * PAGE_BYTES, pass_tokens=0),
    "without": replace(TIGHT, prefix_bytes=0),
}


def check_whatever_happens(model, words, limits, examples):
    """Replies are those of transformers' own loop, whoever else asks, leaves, or has asked before."""
    made = engine(model, words, limits=limits)
    reused = 0

    async def one(request, delay, patience):
        await asyncio.sleep(delay)
        return await asyncio.wait_for(made.generate(request), patience)

    async def all_of(wanted):
        return await asyncio.gather(*(one(*each) for each in wanted), return_exceptions=True)

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(REQUESTS)
    def holds(drawn):
        nonlocal reused
        wanted = [(ask(start + rest, cap), delay, patience) for start, rest, cap, delay, patience in drawn]
        for (request, _, patience), outcome in zip(wanted, asyncio.run(all_of(wanted)), strict=True):
            if patience is not None and isinstance(outcome, TimeoutError):
                continue
            check_alone(model, words, [request], [outcome], alone=remembered)
            assert 0 <= outcome.cached_tokens < outcome.prompt_tokens
            reused += outcome.cached_tokens

    try:
        holds()
        assert (reused > 0) == (limits.prefix_bytes > 0)
        if 0 < limits.prefix_bytes <= 9 * PAGE_BYTES:
            kept = made._batch.prefixes
            assert len(kept._kept) == kept.most_blocks
    finally:
        made.close()


@pytest.mark.parametrize("limits", EVERY_LIMIT.values(), ids=EVERY_LIMIT)
def test_greedy_equals_generating_alone_whatever_was_computed_before(model, words, limits):
    check_whatever_happens(model, words, limits, 60)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks
@pytest.mark.parametrize("build", [sliding_mistral, alternating_gemma, biased_qwen, adapted_llama])
def test_other_architectures_reuse_prompts_too(words, build):
    torch.manual_seed(1)
    check_whatever_happens(build(len(words)).eval(), words, EVERY_LIMIT["tight"], 15)


def test_a_seed_gives_the_same_text_whatever_was_computed_before(run, made):
    requests = crowd(6, 16, temperature=1.0, top_p=0.9, seed=7)
    never = run(*requests, limits=EVERY_LIMIT["without"])
    cold = run(*requests)
    asyncio.run(gather(made, requests))
    warm = asyncio.run(gather(made, requests))
    assert [c.text for c in cold] == [c.text for c in warm] == [c.text for c in never]
    assert min(completion.cached_tokens for completion in warm) > 0
