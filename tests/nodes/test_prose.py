"""Shapes of short texts: what they let through, and what is kept of a text that nobody held to them."""

import re

import pytest

import prompts
from graph import build_graph
from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, GenerationRequest
from nodes.prose import Lines, Prose, Shape, sentence
from tests.nodes.stage import QUESTION
from tests.scripted_scene import player, prompt_of


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("I shout. I run. I hide.", "I shout. I run."),
        ("Sure! I shout.", "I shout."),
        ("I shout. I ru", "I shout."),
        ("Sure! They shout.", ""),
        ("", ""),
    ],
)
def test_what_is_kept_of_a_text_that_nobody_held_to_its_shape(said: str, held: str) -> None:
    assert Prose(2, "I ").read(said, cut_off=False) == held


STEPS = Lines((sentence("I [a-z]"), sentence("I [a-z]")))


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("I write to her.\nI wait for her.", "I write to her.\nI wait for her."),
        (
            "Sure!\n\n I write to her. \n\nI wait for her.\nI go home again.",
            "I write to her.\nI wait for her.",
        ),
        ("I write to her.\nThey wait for her.", ""),
        ("I write to her. I wait for her.", ""),
        ("I write to her.\nI wait fo", ""),
        ("", ""),
    ],
)
def test_all_lines_are_needed_and_what_is_between_them_is_left_out(said: str, held: str) -> None:
    assert STEPS.read(said, cut_off=False) == held
    assert bool(held) == bool(re.fullmatch(STEPS.pattern, held))


def test_lines_have_their_forms_in_order() -> None:
    named = Lines(("a: [a-z]+", "b: [a-z]+"))
    assert named.read("b: x\na: y\nb: z", cut_off=False) == "a: y\nb: z"
    assert named.read("b: x\na: y", cut_off=False) == ""


@pytest.mark.parametrize(
    ("shape", "text", "own"),
    [
        (Prose(2), "They talk. He goes.", ["They talk. He goes."]),
        (Prose(2, "I "), "I shout. I run.", ["shout. I run."]),
        (Prose(2, end="They need "), "He waits. They need rest.", ["He waits. ", "rest."]),
        (STEPS, "I write to her.\nI wait for her.", ["I write to her.", "I wait for her."]),
        (Lines(("asker: [a-z]+", "r0: [a-z: ]+")), "asker: x\nr0: y: z", ["x", "y: z"]),
    ],
)
def test_what_a_shape_gives_is_nobody_s_own_words(shape: Shape, text: str, own: list[str]) -> None:
    assert shape.own(text) == own


async def test_every_example_has_the_shape_that_its_reply_must_have() -> None:
    """A model that is held to another shape than it was shown would stumble at every turn."""

    def routing(request: GenerationRequest) -> str | None:
        return "no, the door is locked" if "I walk over" in request.messages[-1].content else None

    engine = player(routing=routing)
    await build_graph(EngineChatModel(engine=engine)).ainvoke({"question": QUESTION})
    shapes: dict[str, list[GenerationRequest]] = {}
    for request in engine.requests:
        shapes.setdefault(prompt_of(request), []).append(request)
    seen = set()
    for prompt in map(prompts.load, prompts.names()):
        for example in prompt.examples:
            said = ChatMessage("system", prompt.system), ChatMessage("user", example.user)
            turn = prompt_of(GenerationRequest(messages=said, max_tokens=1))
            if turn in shapes:
                assert any(_fits(shape, example.reply) for shape in shapes[turn]), f"{turn}: {example.reply}"
                seen.add(turn)
    assert seen >= {
        "situation",
        "cast",
        "plan",
        "stance",
        "routing",
        "consequence",
        "effect",
        "role_action",
        "critique",
    }


def _fits(request: GenerationRequest, reply: str) -> bool:
    if request.choices:
        return reply in request.choices
    return request.pattern is None or bool(re.fullmatch(request.pattern, reply))


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("彼は待つ。彼女は笑う。彼は帰る。", "彼は待つ。 彼女は笑う。"),
        ("She waits, e.g. at home. He goes. They eat.", "She waits, e.g. at home. He goes."),
        ("She waits! He goes? Then", "She waits! He goes?"),
    ],
)
def test_sentences_are_counted_in_any_script(said: str, read: str) -> None:
    assert Prose(2).read(said, cut_off=False) == read
