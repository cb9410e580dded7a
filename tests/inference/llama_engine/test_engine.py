"""The engine on a random model in float32: what it says is what torch finds likeliest, in any company."""

import asyncio
import json
import threading

import pytest
import torch

from inference.batching.blocks import PAGE
from inference.batching.row import Row
from inference.llama_engine.context import AbortedError, LlamaContext
from inference.llama_engine.engine import LlamaEngine
from inference.llama_engine.limits import Limits
from inference.llama_engine.model import LlamaModel
from scene.errors import EngineError, InputError, PromptTooLongError
from scene.nouns import ModelIdentity
from tests.inference.tiny_llama import CONTEXT, ask
from tests.inference.transformers_engine.driving import LONG, crowd, gather, until

TIGHT = Limits(rows=3, cells=640, crowded=300, prefix_bytes=2**20, step_tokens=16)
"""So small that rows wait, and prompts come in pieces."""


@pytest.fixture
def engine(gguf_path, words):
    """`engine(**limits)`: a fresh engine, closed in the end."""
    made = []

    def make(limits=TIGHT):
        identity = ModelIdentity(id="random", revision=None, engine="llama")
        model = LlamaModel(gguf_path, "random")
        made.append(LlamaEngine(model, words, identity, CONTEXT, threads=1, limits=limits))
        return made[-1]

    yield make
    for each in made:
        each.close()


ROUNDING = 0.1
"""Logits are a few apart; keys and values are kept in float16, so two that are nearer than that may change
places."""


@pytest.fixture
def check(torch_model, monkeypatch):
    """`check(requests, completions)`: each reply is a greedy one, of its own length and by torch's logits."""
    rows = {}
    original = Row.completion

    def completion(row):
        rows[row.request] = row
        return original(row)

    monkeypatch.setattr(Row, "completion", completion)

    def look(requests, completions):
        for request, answer in zip(requests, completions, strict=True):
            row = rows[request]
            ids = torch.tensor([row.prompt + row.generated])
            with torch.inference_mode():
                logits = torch_model(ids).logits[0, len(row.prompt) - 1 : -1]
            chosen = logits.gather(1, ids[0, len(row.prompt) :, None])[:, 0]
            assert (logits.max(dim=1).values - chosen).max() < ROUNDING
            assert answer.completion_tokens == len(row.generated)
            ended = row.generated[-1] in (0, 2)
            assert ended or len(row.generated) == request.max_tokens

    return look


@pytest.fixture
def passes(monkeypatch):
    """Every batch that goes down: how many tokens of which sequence."""
    seen = []
    original = LlamaContext.compute

    def compute(self, pieces):
        seen.append([(piece.sequence, len(piece.tokens)) for piece in pieces])
        return original(self, pieces)

    monkeypatch.setattr(LlamaContext, "compute", compute)
    return seen


MIXED = [
    ask("Who would be harmed?", 20),
    ask("x", 3),
    ask(LONG * 2, 30),
    ask("The farmer sells apples at the market.", 40),
    ask(LONG + "Alice", 9),
    ask(LONG + "Bob and Al", 9),
    ask("keep revise drop", 1),
]


@pytest.mark.parametrize("limits", [TIGHT, Limits(), Limits(rows=1, prefix_bytes=0)])
def test_everybody_gets_what_they_would_alone(engine, check, limits):
    completions = asyncio.run(gather(engine(limits), MIXED))
    check(MIXED, completions)


def test_what_waits_in_memory_gives_the_same(engine, check):
    made = engine()
    for _ in range(3):
        completions = asyncio.run(gather(made, MIXED))
        check(MIXED, completions)
    for request, completion in zip(MIXED, completions, strict=True):
        whole = completion.prompt_tokens // PAGE * PAGE
        assert completion.cached_tokens == min(whole, completion.prompt_tokens - 1), request


def test_a_shared_beginning_is_computed_once(engine, check, passes):
    requests = crowd(6)
    completions = asyncio.run(gather(engine(Limits(prefix_bytes=0)), requests))
    check(requests, completions)
    prompts = [completion.prompt_tokens for completion in completions]
    computed = sum(prompts) - sum(completion.cached_tokens for completion in completions)
    assert computed <= prompts[0] + 5 * 2 * PAGE
    assert max(sum(tokens for _, tokens in each) for each in passes) <= Limits().step_tokens


def test_cells_are_free_again(engine):
    made = engine()
    asyncio.run(gather(made, MIXED))
    assert made._computing._context.used == 0
    assert sorted(made._computing._free) == [0, 1, 2]


def test_little_room_in_memory(engine, check):
    page = 2 * 2 * 32 * PAGE * 2
    made = engine(Limits(rows=2, prefix_bytes=5 * page))
    for _ in range(2):
        check(MIXED, asyncio.run(gather(made, MIXED)))
    assert 0 < made._computing._prefixes._bytes <= 5 * page


def test_longer_than_all_cells(engine, check):
    made = engine(Limits(rows=2, cells=128, crowded=100))
    requests = [ask(LONG * 4, 20), ask("x", 3)]
    check(requests, asyncio.run(gather(made, requests)))


def test_too_long(engine):
    (error,) = asyncio.run(gather(engine(), [ask(LONG * 9)]))
    assert isinstance(error, PromptTooLongError)


def test_shapes_hold(engine):
    schema = {"type": "object", "properties": {"n": {"enum": [1, 22]}}, "required": ["n"]}
    requests = [
        ask("a", choices=("keep", "drop")),
        ask("b", 60, schema=schema),
        ask("c", pattern="[a-c]{3}"),
        ask("d", 8, stop=("e",)),
    ]
    choice, shaped, pattern, stopped = asyncio.run(gather(engine(), requests * 3))[:4]
    assert choice.text in ("keep", "drop")
    assert json.loads(shaped.text)["n"] in (1, 22)
    assert len(pattern.text) == 3
    assert set(pattern.text) <= set("abc")
    assert "e" not in stopped.text


def test_bad_grammar_is_refused_and_others_go_on(engine):
    bad, good = asyncio.run(gather(engine(), [ask("a", pattern="("), ask("b", 2)]))
    assert isinstance(bad, InputError)
    assert good.completion_tokens == 2


def test_a_seed_gives_the_same_text_in_any_company(engine):
    request = ask("Tell me more", 20, temperature=1.0, top_p=0.9, seed=7)
    made = engine()
    (alone,) = asyncio.run(gather(made, [request]))
    together = asyncio.run(gather(made, [ask("x", 9), request, ask("y", 30, temperature=0.7)]))
    assert together[1].text == alone.text


def test_cancelled_rows_leave(engine, passes):
    made = engine()

    async def cancel():
        tasks = [asyncio.create_task(made.generate(ask(LONG, 200))) for _ in range(5)]
        await until(lambda: len(passes) > 12)
        for task in tasks[:4]:
            task.cancel()
        return await tasks[4]

    assert asyncio.run(cancel()).completion_tokens > 0
    assert made._computing._context.used == 0


def test_a_failed_pass_fails_its_rows_only(engine, check, monkeypatch):
    made = engine()
    original = LlamaContext.compute
    calls = iter(range(1000))

    def compute(self, pieces):
        if next(calls) == 8:
            raise RuntimeError("llama.cpp failed with code -3")
        return original(self, pieces)

    monkeypatch.setattr(LlamaContext, "compute", compute)
    outcomes = asyncio.run(gather(made, MIXED))
    failed = [outcome for outcome in outcomes if isinstance(outcome, EngineError)]
    assert failed
    assert str(failed[0]) == "The model failed: llama.cpp failed with code -3."
    check(MIXED[:3], asyncio.run(gather(made, MIXED[:3])))


def test_closing_cuts_a_computation_short(engine, monkeypatch):
    made = engine(Limits(step_tokens=400))
    began, aborted = threading.Event(), threading.Event()
    cut_short = []
    original, abort = LlamaContext.compute, LlamaContext.abort

    def compute(self, pieces):
        began.set()
        assert aborted.wait(60)
        try:
            return original(self, pieces)
        except AbortedError as error:
            cut_short.append(error)
            raise

    def set_off(self):
        abort(self)
        aborted.set()

    monkeypatch.setattr(LlamaContext, "compute", compute)
    monkeypatch.setattr(LlamaContext, "abort", set_off)

    async def close():
        task = asyncio.create_task(made.generate(ask(LONG * 4, 30)))
        await until(began.is_set)
        await asyncio.to_thread(made.close)
        assert len(cut_short) == 1
        with pytest.raises(EngineError, match="closed"):
            await task
        with pytest.raises(EngineError, match="closed"):
            await made.generate(ask("x"))

    asyncio.run(close())
