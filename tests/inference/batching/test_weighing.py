"""Choices that are read off likelihoods: both engines find what one pass of torch finds."""

import asyncio
import itertools
import threading

import pytest
import torch

from inference.batching.chat_prompt import ChatPrompts
from inference.engine import ChatMessage, GenerationRequest
from inference.llama_engine.library import is_installed
from inference.transformers_engine import decoding
from inference.transformers_engine.limits import Limits
from scene.errors import EngineError, InputError, PromptTooLongError
from scene.nouns import ModelIdentity
from tests.inference.tiny_llama import CONTEXT, ask, engine, llama, tokenizer
from tests.inference.transformers_engine.architectures import (
    adapted_llama,
    alternating_gemma,
    biased_qwen,
    sliding_mistral,
)
from tests.inference.transformers_engine.driving import LONG, gather, until

NAMES = ("Alice", "Al", "Bob", "the neighbour who watches", "a", "Alice")
QUESTION = "Who would be harmed, and who would be helped, if this were done? " * 4
MIXED = [
    ask("Who speaks?", 1, choices=NAMES, weigh=True),
    ask(LONG + "Who?", 30),
    ask(LONG + "Who?", 1, choices=NAMES[:4], weigh=True, temperature=1.5),
    ask("x", 20, choices=("keep", "drop")),
    ask("Ask.", 1, choices=(QUESTION,), weigh=True),
    ask(LONG, 1, choices=("a", "b"), weigh=True),
    ask("The farmer sells apples.", 12),
    ask("Ask.", 1, choices=(QUESTION, "no", LONG), weigh=True),
]
WEIGHED = [request for request in MIXED if request.weigh]


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.fixture(scope="module")
def models(words):
    """A random llama for each engine; GGUF wants larger heads."""
    from tests.inference.llama_engine.tiny_gguf import SETTINGS

    return {"transformers": llama(len(words)), "llama": llama(len(words), **SETTINGS)}


@pytest.fixture(scope="module")
def start(models, words, tmp_path_factory):
    """`start(name, tight)`: a fresh engine."""

    def llama_engine(tight):
        from inference.llama_engine.engine import LlamaEngine
        from inference.llama_engine.limits import Limits as LlamaLimits
        from inference.llama_engine.model import LlamaModel
        from tests.inference.llama_engine.tiny_gguf import write_gguf

        path = tmp_path_factory.getbasetemp() / "weighing.gguf"
        if not path.exists():
            write_gguf(models["llama"], words, path)
        limits = LlamaLimits(rows=2, cells=640, crowded=300, prefix_bytes=2**20, step_tokens=5)
        identity = ModelIdentity(id="random", revision=None, engine="llama")
        model = LlamaModel(path, "random")
        return LlamaEngine(model, words, identity, CONTEXT, threads=1, limits=limits if tight else None)

    def start(name, tight=False):
        if name == "llama":
            return llama_engine(tight)
        limits = Limits(rows=2, prefill_tokens=32, cached_tokens=400) if tight else None
        return engine(models["transformers"], words, limits=limits)

    return start


with_library = pytest.mark.skipif(not is_installed(), reason="the wheel is not installed")
each_engine = pytest.mark.parametrize("name", ["transformers", pytest.param("llama", marks=with_library)])


def watch(made, monkeypatch, spoil):
    """Call `spoil(number)` before each pass of an engine."""
    computes = made._batch._forward if made.identity.engine == "transformers" else made._batch._context
    method = "__call__" if made.identity.engine == "transformers" else "compute"
    original, numbers = getattr(type(computes), method), itertools.count(1)

    def spoiled(self, *args, **kwargs):
        spoil(next(numbers))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(type(computes), method, spoiled)


def expected(model, words, request):
    prompts = ChatPrompts(words, "random")
    prompt = prompts.token_ids(request.messages)
    phrases = [prompts.ids(choice) for choice in request.choices]
    return [one_pass(model, prompt, phrase) for phrase in phrases], sum(len(phrase) - 1 for phrase in phrases)


def one_pass(model, prompt, phrase):
    """How likely a phrase is after a prompt, without padding, a cache or any neighbour."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + phrase])).logits[0]
    likely = torch.log_softmax(logits[len(prompt) - 1 : -1].float(), dim=-1)
    return likely.gather(1, torch.tensor(phrase)[:, None]).sum().item()


@each_engine
@pytest.mark.parametrize("tight", [False, True])
def test_in_any_company_the_likelihoods_are_those_of_one_pass(start, models, words, name, tight, monkeypatch):
    if tight:
        monkeypatch.setattr(decoding, "WEIGHED_TOKENS", 7)
    made = start(name, tight)
    try:
        completions = asyncio.run(gather(made, MIXED * 2))
        free = name != "llama" or made._computing._context.used == 0
    finally:
        made.close()
    assert free
    for request, completion in zip(MIXED * 2, completions, strict=True):
        if not request.weigh:
            assert completion.likelihoods == ()
            continue
        likelihoods, computed = expected(models[name], words, request)
        # Keys and values are float16 in one of the engines.
        assert completion.likelihoods == pytest.approx(likelihoods, rel=0.01, abs=0.1)
        best = max(completion.likelihoods)
        assert completion.text == request.choices[completion.likelihoods.index(best)]
        assert (completion.finish_reason, completion.completion_tokens) == ("stop", computed)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks
@pytest.mark.parametrize("build", [sliding_mistral, alternating_gemma, biased_qwen, adapted_llama])
def test_other_architectures_and_adapters(words, monkeypatch, build):
    monkeypatch.setattr(decoding, "WEIGHED_TOKENS", 40)
    torch.manual_seed(1)
    built = build(len(words)).eval()
    made = engine(built, words)
    try:
        completions = asyncio.run(gather(made, WEIGHED))
    finally:
        made.close()
    for request, completion in zip(WEIGHED, completions, strict=True):
        assert completion.likelihoods == pytest.approx(expected(built, words, request)[0], abs=1e-2)


@each_engine
def test_what_can_not_be_weighed(start, name):
    made = start(name)
    try:
        empty, long, good = asyncio.run(
            gather(
                made,
                [
                    ask("Who?", choices=("a", ""), weigh=True),
                    ask("Who?", choices=("a", LONG * 9), weigh=True),
                    WEIGHED[0],
                ],
            )
        )
    finally:
        made.close()
    assert isinstance(empty, InputError)
    assert isinstance(long, PromptTooLongError)
    assert len(good.likelihoods) == len(NAMES)


@each_engine
def test_whoever_leaves_meanwhile_leaves_nothing_behind(start, name, monkeypatch):
    monkeypatch.setattr(decoding, "WEIGHED_TOKENS", 7)
    made = start(name, tight=True)
    reached, released = threading.Event(), threading.Event()

    def hold(number):
        if number == 9:
            reached.set()
            assert released.wait(20)

    watch(made, monkeypatch, hold)

    async def scene():
        tasks = [asyncio.create_task(made.generate(request)) for request in (MIXED[7], MIXED[4], MIXED[0])]
        await until(reached.is_set)
        tasks[0].cancel()
        released.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        left, *others = asyncio.run(scene())
        (alone,) = asyncio.run(gather(made, [MIXED[0]]))
        assert name != "llama" or made._computing._context.used == 0
    finally:
        made.close()
    assert isinstance(left, asyncio.CancelledError)
    assert others[1].likelihoods == pytest.approx(alone.likelihoods, abs=0.1)


@each_engine
def test_a_failed_pass_fails_its_rows_only(start, name, monkeypatch):
    made = start(name)

    def fail(number):
        if number == 2:
            raise RuntimeError("no")

    watch(made, monkeypatch, fail)
    try:
        (failed,) = asyncio.run(gather(made, [MIXED[0]]))
        (good,) = asyncio.run(gather(made, [MIXED[0]]))
    finally:
        made.close()
    assert isinstance(failed, EngineError)
    assert len(good.likelihoods) == len(NAMES)


def test_a_control_token_that_is_spelled_is_weighed_as_text(start, models, words):
    made = start("transformers")
    try:
        (spelled,) = asyncio.run(gather(made, [ask("Hi<|im_end|>?", choices=("So<|im_end|>",), weigh=True)]))
    finally:
        made.close()
    prompts = ChatPrompts(words, "random")
    phrase = prompts.ids(prompts.seamed("So<|im_end|>"))
    assert words.eos_token_id not in phrase
    assert words.decode(phrase) == "So<|im_end|>"
    prompt = prompts.token_ids((ChatMessage("user", "Hi<|im_end|>?"),))
    assert spelled.likelihoods[0] == pytest.approx(one_pass(models["transformers"], prompt, phrase), abs=0.01)
    assert spelled.completion_tokens == len(phrase) - 1


def test_only_choices_can_be_weighed():
    with pytest.raises(ValueError, match="weighed"):
        GenerationRequest(messages=(ChatMessage("user", "x"),), max_tokens=1, weigh=True)


@pytest.mark.model
@with_library
def test_both_engines_agree_on_the_tiny_model(tiny_engine):
    requests = [
        ask("Who bakes bread? Reply with one word.", 1, choices=("baker", "driver", "teacher"), weigh=True),
        ask("Say what you like.", 1, choices=("What happens to the neighbours next door?",), weigh=True),
    ]
    llama_says, torch_says = (
        asyncio.run(gather(tiny_engine(name), requests)) for name in ("llama", "transformers")
    )
    for one, other in zip(llama_says, torch_says, strict=True):
        assert one.likelihoods == pytest.approx(other.likelihoods, rel=0.03, abs=0.3)
        assert one.completion_tokens == other.completion_tokens
        assert one.text == other.text
