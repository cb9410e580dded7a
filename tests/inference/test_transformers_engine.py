"""The transformers engine on random two-layer models, and once on the real tiny one."""

import asyncio
import json
import logging
import random
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
from peft import LoraConfig, get_peft_model
from tokenizers.processors import TemplateProcessing
from transformers import (
    FalconH1Config,
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    TextGenerationPipeline,
)
from transformers.cache_utils import DynamicCache

from inference.adopt import engine_of, is_adoptable
from inference.decoding import Limits
from inference.engine import ChatMessage, GenerationRequest
from inference.forward import ForwardPass
from inference.loading import load_engine
from scene.errors import EngineError, InputError, ModelLoadError, PromptTooLongError
from tests.inference.tiny_llama import CHATML, alone, ask, engine, llama, text_of, tokenizer

TIGHT = Limits(rows=3, prefill_tokens=48, cached_tokens=700)
"""So small that rows wait, prompts come in pieces and the cache's bound is felt."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny matrices are only slowed down by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.fixture(scope="module")
def model(words):
    return llama(len(words))


@pytest.fixture
def run(model, words):
    """`run(*requests, model=, words=, **engine settings)`: the completions or errors, from a fresh engine."""

    def answer(*requests, on=model, spoken=words, **settings):
        made = engine(on, spoken, **settings)
        try:
            return asyncio.run(gather(made, requests))
        finally:
            made.close()

    return answer


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


# --- greedy equals generating alone --------------------------------------------------------------------

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
        tokens = alone(model, words, request)
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


def sliding_mistral(vocabulary):
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=12,
        initializer_range=0.4,
        eos_token_id=2,
        pad_token_id=0,
    )
    return MistralForCausalLM(config)


def alternating_gemma(vocabulary):
    config = Gemma2Config(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=12,
        initializer_range=0.4,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Gemma2ForCausalLM(config)


def biased_qwen(vocabulary):
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        initializer_range=0.4,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config)


def adapted_llama(vocabulary):
    adapted = get_peft_model(
        llama(vocabulary), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    assert not torch.equal(adapted(torch.tensor([[5]])).logits, llama(vocabulary)(torch.tensor([[5]])).logits)
    return adapted


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


# --- rows share forward passes -------------------------------------------------------------------------


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
        widths.append((len(batch._rows), batch._mask.shape[1], batch._cache.length))

    batch._decode = decode
    try:
        asyncio.run(gather(made, [ask("The farmer sells apples. " * 10, 3), ask("a", 8)]))
    finally:
        made.close()
    both = [width for rows, width, _ in widths if rows == 2]
    lone = [width for rows, width, _ in widths if rows == 1]
    assert min(both) > 60
    assert max(lone) < 40
    assert all(width == length for _, width, length in widths)


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


# --- settings of each row ------------------------------------------------------------------------------


def test_a_seed_gives_the_same_text_in_any_company(run):
    request = ask("Tell me a story.", 24, temperature=1.0, top_p=0.9, seed=7)
    company = [ask(f"Other {i}", 30, temperature=1.3, seed=i) for i in range(5)]
    (lone,) = run(request)
    among = run(*company, request)[-1]
    assert among == lone
    (other_seed,) = run(ask("Tell me a story.", 24, temperature=1.0, top_p=0.9, seed=8))
    assert other_seed.text != lone.text


def test_each_row_keeps_its_own_settings(model, words, run):
    greedy, hot, chosen, shaped, capped = run(
        ask("Same", 20),
        ask("Same", 20, temperature=2.0, seed=1),
        ask("Same", 20, choices=("keep", "revise")),
        ask("Same", 20, pattern="[a-c]{5}"),
        ask("Same", 3),
    )
    expected = alone(model, words, ask("Same", 20))
    assert greedy.text == text_of(words, expected)
    assert hot.text != greedy.text
    assert chosen.text in ("keep", "revise")
    assert re.fullmatch("[a-c]{5}", shaped.text)
    assert capped.completion_tokens == 3
    assert capped.text == text_of(words, expected[:3])


def test_any_end_token_ends_a_reply_and_is_counted_but_not_shown(words):
    tokens = alone(llama(len(words)), words, ask("Tell me all.", 30))
    early = tokens[4]
    position = tokens.index(early)
    for configured in (early, [early, 2]):
        ending = llama(len(words))
        ending.generation_config.eos_token_id = configured
        made = engine(ending, words)
        try:
            (completion,) = asyncio.run(gather(made, [ask("Tell me all.", 30)]))
        finally:
            made.close()
        assert completion.finish_reason == "stop"
        assert completion.completion_tokens == position + 1
        assert completion.text == text_of(words, tokens[:position])


def test_the_tokenizers_end_token_counts_even_if_the_model_does_not_name_it(words):
    silent = llama(len(words))
    silent.generation_config.eos_token_id = None
    made = engine(silent, words)
    try:
        assert made._end_ids == {words.eos_token_id}
    finally:
        made.close()


def test_a_stop_string_ends_the_text_before_itself(model, words, run):
    (whole,) = run(ask("Tell me all.", 40))
    plain = [i for i in range(5, len(whole.text) - 4) if whole.text[i : i + 4].isascii()]
    start = plain[0]
    stop = whole.text[start : start + 4]
    cut, free = run(ask("Tell me all.", 40, stop=("never seen", stop)), ask("Tell me all.", 40))
    assert cut.text == whole.text[: whole.text.find(stop)]
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens
    assert free == whole


def test_special_tokens_are_not_shown(words, run):
    speaking = llama(len(words))
    start = words.convert_tokens_to_ids("<|im_start|>")
    original = speaking.forward

    def forward(*args, **kwargs):
        output = original(*args, **kwargs)
        output.logits[..., start] += 1e4 * (kwargs["position_ids"][:, -1:] % 2)
        return output

    speaking.forward = forward
    (completion,) = run(ask("Tell me all.", 10), on=speaking)
    assert completion.completion_tokens == 10
    assert "<|" not in completion.text
    assert completion.text


# --- constraints in the batch --------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["Al", "Alice"]}, "number": {"type": "integer", "maximum": 99}},
    "required": ["name", "number"],
    "additionalProperties": False,
}


def test_constrained_rows_keep_their_shape_among_free_ones(run):
    requests = []
    for i in range(4):
        requests += [
            ask(f"{i}", 60, schema=SCHEMA, temperature=1.5, seed=i),
            ask(f"{i}", 60, choices=("Al", "Alice", "Bob ☃"), temperature=1.5, seed=i),
            ask(f"{i}", 60, pattern=r"\d{3}-\d{2}", temperature=1.5, seed=i),
            ask(f"{i}", 20),
        ]
    completions = run(*requests)
    for request, completion in zip(requests, completions, strict=True):
        if request.schema is not None:
            value = json.loads(completion.text)
            assert set(value) == {"name", "number"}
            assert value["name"] in ("Al", "Alice")
            assert value["number"] <= 99
        elif request.choices:
            assert completion.text in request.choices
        elif request.pattern:
            assert re.fullmatch(request.pattern, completion.text)
        if request.schema is not None or request.choices or request.pattern:
            assert completion.finish_reason == "stop"


def test_nothing_is_computed_for_what_is_no_longer_in_doubt(model, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    (only,) = run(ask("Which?", choices=("the only one there is",)))
    assert only.text == "the only one there is"
    assert forwards.rows == []
    (chosen,) = run(ask("Which?", 40, choices=("keep it as it is", "revise it thoroughly")))
    assert chosen.text in ("keep it as it is", "revise it thoroughly")
    assert len(forwards.rows) == 1
    forwards.rows.clear()
    (shaped,) = run(ask("Which?", 40, pattern="[a-c]{6}"))
    assert shaped.finish_reason == "stop"
    assert len(forwards.rows) == shaped.completion_tokens


def test_the_cap_cuts_a_constrained_reply_off(run):
    (completion,) = run(ask("Which?", 2, pattern="[0-9]{40}"))
    assert completion.finish_reason == "length"
    assert re.fullmatch("[0-9]+", completion.text)


def test_a_refused_constraint_fails_its_own_request_only(run):
    broken, schema, fine = run(
        ask("a", pattern="(unclosed"), ask("a", schema={"type": "nonsense"}), ask("a", 4)
    )
    for error in (broken, schema):
        assert isinstance(error, InputError)
        assert "\n" not in str(error)
        assert "cpp" not in str(error)
    assert fine.completion_tokens <= 4


# --- prompts -------------------------------------------------------------------------------------------

BOS_TEMPLATE = "{{ bos_token }}" + CHATML
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
DROPS_SYSTEM = CHATML.replace("messages %}", "messages if m.role != 'system' %}")


def seen_prompts(monkeypatch, model):
    prompts = []
    original = model.forward

    def forward(*args, **kwargs):
        if kwargs["input_ids"].shape[1] > 1:
            prompts.append(kwargs["input_ids"][0].tolist())
        return original(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    return prompts


def test_the_begin_token_comes_once(model, run, monkeypatch):
    twice = tokenizer(BOS_TEMPLATE)
    twice.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert twice("x")["input_ids"][0] == 0
    prompts = seen_prompts(monkeypatch, model)
    (completion,) = run(ask("Hello", 1), spoken=twice)
    assert prompts[0].count(0) == 1
    assert completion.prompt_tokens == len(prompts[0])


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM], ids=["raises", "drops"])
def test_a_system_message_reaches_a_template_without_system_role(model, words, run, monkeypatch, template):
    prompts = seen_prompts(monkeypatch, model)
    messages = (
        ChatMessage("system", "Be the farmer."),
        ChatMessage("user", "Hello"),
        ChatMessage("assistant", "Yes?"),
        ChatMessage("user", "Speak"),
    )
    (completion,) = run(GenerationRequest(messages=messages, max_tokens=1), spoken=tokenizer(template))
    assert completion.completion_tokens == 1
    text = words.decode(prompts[0])
    assert "user\nBe the farmer.\n\nHello<|im_end|>" in text
    assert text.count("Be the farmer.") == 1
    assert text.endswith("user\nSpeak<|im_end|>\n<|im_start|>assistant\n")


def test_a_system_message_stays_one_where_the_template_knows_the_role(model, words, run, monkeypatch):
    prompts = seen_prompts(monkeypatch, model)
    messages = (ChatMessage("system", "Be the farmer."), ChatMessage("user", "Hello"))
    run(GenerationRequest(messages=messages, max_tokens=1))
    assert "system\nBe the farmer.<|im_end|>\n<|im_start|>user\nHello<|im_end|>" in words.decode(prompts[0])


def test_a_model_without_chat_template_is_refused_in_one_sentence(model):
    with pytest.raises(ModelLoadError, match=r"tiny-random has no chat template; choose .+\.$"):
        engine(model, tokenizer(None))


def test_messages_that_the_template_refuses_fail_their_own_request_only(run):
    strict = "{% if messages|length > 2 %}{{ raise_exception('too many') }}{% endif %}" + CHATML
    many = GenerationRequest(messages=(ChatMessage("user", "a"),) * 3, max_tokens=2)
    refused, fine = run(many, ask("a", 2), spoken=tokenizer(strict))
    assert isinstance(refused, InputError)
    assert "too many" in str(refused)
    assert fine.completion_tokens <= 2


def test_a_prompt_that_leaves_no_room_is_refused_before_any_work(model, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    (error,) = run(ask("a", 512))
    assert isinstance(error, PromptTooLongError)
    assert error.max_tokens == 512
    assert error.context_tokens == 512
    assert error.prompt_tokens > 0
    assert forwards.rows == []


def test_a_model_with_recurrent_layers_is_refused(words):
    hybrid = llama(len(words))
    hybrid.config = FalconH1Config(vocab_size=len(words), num_hidden_layers=2)
    assert len(DynamicCache(config=hybrid.config).layers) == 2
    with pytest.raises(ModelLoadError, match="can't be batched"):
        ForwardPass(hybrid, "hybrid")


# --- going away ----------------------------------------------------------------------------------------


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
    said = [record for record in caplog.records if "Memory ran out" in record.getMessage()]
    assert len(said) == 1


def test_out_of_memory_with_a_single_row_fails_that_row(model, run, monkeypatch):
    def spoil(forwards):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    Forwards(model, monkeypatch, spoil)
    (outcome,) = run(ask("a"))
    assert isinstance(outcome, EngineError)
    assert isinstance(outcome.__cause__, torch.OutOfMemoryError)


# --- adopting ------------------------------------------------------------------------------------------


def test_a_chat_hugging_face_model_is_adopted_with_its_own_weights(model, words):
    pipeline = TextGenerationPipeline(model=model, tokenizer=words)
    llm = HuggingFacePipeline(pipeline=pipeline, model_id="org/tiny")
    chat = ChatHuggingFace(llm=llm, tokenizer=words)
    assert is_adoptable(chat)
    adopted = engine_of(chat)
    try:
        assert adopted.identity.id == "org/tiny"
        assert adopted.identity.engine == "transformers"
        assert adopted.identity.details["dtype"] == "float32"
        (completion, too_long) = asyncio.run(gather(adopted, [ask("Hello", 20), ask("Hello", 512)]))
    finally:
        adopted.close()
    assert completion.text == text_of(words, alone(model, words, ask("Hello", 20)))
    assert isinstance(too_long, PromptTooLongError)


def test_other_chat_models_are_not_adopted():
    from langchain_core.language_models import FakeListChatModel

    other = FakeListChatModel(responses=["a"])
    assert not is_adoptable(other)
    with pytest.raises(ModelLoadError, match="FakeListChatModel"):
        engine_of(other)


def test_asking_whether_to_adopt_imports_nothing_heavy():
    program = (
        "import sys\nfrom langchain_core.language_models import FakeListChatModel\n"
        "from inference.adopt import is_adoptable\n"
        "print(is_adoptable(FakeListChatModel(responses=['a'])), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# --- the real tiny model -------------------------------------------------------------------------------


@pytest.mark.model
def test_the_tiny_model_answers_a_batch_as_it_answers_alone():
    torch.set_num_threads(2)
    made = load_engine("tiny", engine="transformers", dtype="float32")
    requests = [
        ask("What is the capital of France?", 12),
        ask("Write one sentence about a farmer who sells apples at the market to a neighbour.", 24),
        ask("Count to five.", 16),
        ask("Yes or no: is water wet?", 8),
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
