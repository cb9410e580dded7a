"""Models that think: what they say aloud, what they keep to themselves, and for how long."""

import asyncio

import pytest

from inference.engine import CLOSING_TOKENS
from scene.errors import PromptTooLongError
from tests.inference.tiny_llama import CHATML, CONTEXT, ask, tokenizer

THOUGHT = "<think>\nWhy yes? No: maybe.\n</think>\n\n"
OPENS = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


async def streamed(made, request):
    pieces = []
    completion = await made.stream(request, pieces.append)
    assert "".join(pieces) == completion.text
    return completion


@pytest.mark.parametrize(
    "call", [lambda made, request: made.generate(request), streamed], ids=["whole", "aloud"]
)
@pytest.mark.parametrize(
    "settings", [{}, {"think_tokens": 64}, {"stop": ("maybe",)}], ids=["", "think", "stop"]
)
def test_a_thought_is_kept_apart(spelling, call, settings):
    if "stop" in settings:
        settings = {**settings, "think_tokens": 64}
    completion = asyncio.run(call(spelling(f"{THOUGHT}The farmer."), ask("Who?", 100, **settings)))
    assert (completion.text, completion.thought) == ("The farmer.", "Why yes? No: maybe.")
    assert completion.finish_reason == "stop"


def test_marks_that_are_special_tokens_are_not_lost(spelling):
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    made = spelling("[THINK]Why?[/THINK]The farmer.", words)
    completion = asyncio.run(streamed(made, ask("Who?", 100)))
    assert (completion.text, completion.thought) == ("The farmer.", "Why?")


def test_a_thought_that_the_cap_cut_off_is_an_empty_answer(spelling):
    completion = asyncio.run(streamed(spelling(f"{THOUGHT}The farmer."), ask("Who?", 16)))
    assert (completion.text, completion.finish_reason) == ("", "length")
    assert completion.thought


def test_a_thought_has_a_cap_of_its_own(spelling):
    made = spelling("<think>" + "maybe " * 30 + "The farmer sells apples, and the neighbour watches.")
    completion = asyncio.run(streamed(made, ask("Who?", 12, think_tokens=24)))
    assert completion.thought.split() == ["maybe"] * len(completion.thought.split())
    assert completion.text.strip()
    assert completion.finish_reason == "length"
    assert 24 + 12 <= completion.completion_tokens <= 24 + CLOSING_TOKENS + 12


def test_an_answer_has_all_of_its_cap_after_a_thought(spelling):
    made = spelling(f"{THOUGHT}" + "yes " * 40)
    completion = asyncio.run(streamed(made, ask("Who?", 8, think_tokens=64)))
    assert len(completion.text.split()) >= 4
    assert completion.finish_reason == "length"


def test_a_thought_that_the_template_opens(spelling):
    words = tokenizer(OPENS)
    made = spelling("Why yes?</think>The farmer.", words)
    completion = asyncio.run(streamed(made, ask("Who?", 100, think_tokens=64)))
    assert (completion.text, completion.thought) == ("The farmer.", "Why yes?")
    plain = asyncio.run(streamed(spelling("The farmer.", words), ask("Who?", 100)))
    assert (plain.text, plain.thought) == ("The farmer.", "")
    assert asyncio.run(made.generate(ask("Yes?", choices=("yes", "no")))).text in ("yes", "no")


def test_thought_and_answer_must_fit_the_context(run):
    (error,) = run(ask("a", 16, think_tokens=CONTEXT))
    assert isinstance(error, PromptTooLongError)
    assert error.max_tokens == 16 + CONTEXT + CLOSING_TOKENS
