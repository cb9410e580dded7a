"""Thoughts that servers hand over: beside the answer, in front of it, or in its place."""

import pytest

from inference.chat_model import EngineChatModel
from inference.engine import CLOSING_TOKENS, Engine
from nodes.replies import said_in
from scene.thought import Said
from tests.inference.openai_engine.driving import ask, failure
from tests.inference.openai_engine.test_streamed import streamed
from tests.loopback import Act, Loopback, chunk, says, streams

ANSWER = ("Well.", "Hm.")
SHAPED = '{"reply": "yes"}'


def thinks(thought: str, field: str = "reasoning_content") -> dict[str, object]:
    """One event of a stream that has a piece of a thought."""
    event = chunk("")
    event["choices"][0]["delta"] = {"role": "assistant", field: thought}
    return event


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (says("Well.", reasoning_content="Hm."), ANSWER),
        (says("Well.", reasoning="Hm."), ANSWER),
        (says("Well.", reasoning="Hm.", reasoning_content="Hm."), ANSWER),
        (says("Well.", reasoning_content=None, reasoning={"effort": 1}), ("Well.", "")),
        (says("<think>\nHm.\n</think>\n\nWell."), ANSWER),
        (says("Hm.</think>Well."), ANSWER),
        (says("<think>Hm", "length"), ("", "Hm")),
        (says(None, "length", reasoning_content="Hm"), ("", "Hm")),
        (
            says(
                "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Well."
            ),
            ANSWER,
        ),
    ],
)
async def test_a_thought_is_kept_apart(
    server: Loopback, engine: Engine, act: Act, said: tuple[str, str]
) -> None:
    server.act = act
    done = await engine.generate(ask())
    assert (done.text, done.thought) == said


@pytest.mark.parametrize(
    ("act", "pieces"),
    [
        (streams(thinks("H"), thinks("m."), "We", "ll."), ["We", "ll."]),
        (streams(thinks("H", "reasoning"), thinks("m.", "reasoning"), "We", "ll."), ["We", "ll."]),
        (streams("<thi", "nk>Hm.</th", "ink>\n\n", "We", "ll."), ["We", "ll."]),
        (streams("<think>Hm", finish_reason="length"), []),
        (streams(thinks("Hm"), finish_reason="length"), []),
    ],
)
async def test_no_thought_is_told(server: Loopback, engine: Engine, act: Act, pieces: list[str]) -> None:
    server.act = act
    done, told = await streamed(engine)
    assert (told, done.text) == (pieces, "".join(pieces))
    assert done.thought.rstrip(".") == "Hm"


async def test_a_server_that_marks_the_end_alone_is_known_by_its_first_reply(
    server: Loopback, engine: Engine
) -> None:
    server.act = streams("Hm", ".</think>", "Well.", " Yes.")
    first, told = await streamed(engine)
    assert (first.text, first.thought, told) == ("Well. Yes.", "Hm.", ["Hm", "\n</think>\n\nWell. Yes."])
    second, told = await streamed(engine)
    assert (second.text, second.thought, told) == ("Well. Yes.", "Hm.", ["Well.", " Yes."])


async def test_such_a_first_reply_can_still_be_parted(server: Loopback, engine: Engine) -> None:
    server.act = streams("Hm", ".</think>", "Well.", " Yes.")
    for _ in range(2):
        message = await EngineChatModel(engine=engine).ainvoke("Hello?", stream=True)
        assert said_in(message) == Said("Hm.", "Well. Yes.")


@pytest.mark.parametrize("reason", ["stop", "length"])
async def test_a_thought_in_place_of_a_shape_is_an_empty_reply(
    server: Loopback, engine: Engine, reason: str
) -> None:
    for act in (says(None, reason, reasoning_content="Hm"), says("<think>Hm", reason)):
        server.act = act
        done = await engine.generate(ask(choices=("yes", "no")))
        assert (done.text, done.thought, done.finish_reason) == ("", "Hm", reason)


async def test_a_shape_behind_a_thought(server: Loopback, engine: Engine) -> None:
    for act in (says(SHAPED, reasoning_content="Hm."), says(f"<think>Hm.</think>\n{SHAPED}")):
        server.act = act
        done = await engine.generate(ask(choices=("yes", "no")))
        assert (done.text, done.thought) == ("yes", "Hm.")
    server.act = says("<think>Hm.</think>yes")
    assert "overlooks response_format" in str(await failure(engine, ask(choices=("yes", "no"))))


async def test_a_wanted_thought_has_room_of_its_own(server: Loopback, engine: Engine) -> None:
    await engine.generate(ask(think_tokens=100))
    assert server.posts[0].body["max_tokens"] == 16 + 100 + CLOSING_TOKENS
