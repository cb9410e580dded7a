"""What the openai engine makes of each kind of answer."""

import json
from typing import Any

import pytest

from inference.engine import Completion, Engine, StreamingEngine
from scene.errors import EngineError, InputError
from tests.inference.openai_engine.driving import ask, failure
from tests.loopback import Loopback, chunk, says, streams


async def test_text_reason_and_tokens(server: Loopback, engine: Engine) -> None:
    details = {"cached_tokens": 7}
    usage = {
        "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": details,
    }  # fmt: skip
    server.act = says(" Not bad", "length", usage)
    assert await engine.generate(ask()) == Completion(
        text=" Not bad", finish_reason="length", prompt_tokens=9, completion_tokens=4, cached_tokens=7
    )


@pytest.mark.parametrize(
    "usage",
    [
        {},
        [],
        {"prompt_tokens": None, "completion_tokens": "three", "total_tokens": -1},
        {"prompt_tokens": -5, "completion_tokens": [2], "total_tokens": 0, "prompt_tokens_details": None},
        {"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": "x"}},
    ],
)
async def test_tokens_that_make_no_sense_count_as_unsaid(
    server: Loopback, engine: Engine, usage: object
) -> None:
    server.act = says("Well.", usage=usage)
    done = await engine.generate(ask())
    assert (done.text, done.finish_reason) == ("Well.", "stop")
    assert (done.prompt_tokens, done.completion_tokens, done.cached_tokens) == (0, 0, 0)


async def test_no_text_is_empty_text(server: Loopback, engine: Engine) -> None:
    """As from a model that thought until the cap."""
    server.act = says(None, "length", reasoning_content="Hmm.")
    done = await engine.generate(ask())
    assert (done.text, done.finish_reason) == ("", "length")


async def test_a_stop_string_that_the_server_leaves_in(server: Loopback, engine: Engine) -> None:
    server.act = says("one two three")
    assert (await engine.generate(ask(stop=("two", "e t")))).text == "on"


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ('{"reply": "I am \\u00fcber', "I am über"),
        ('{"reply": "I am \\u00f', "I am "),
        ('{"reply": "I am \\', "I am "),
        ('{"reply": "', ""),
        ('{"rep', ""),
        ("{\n\n\n", ""),
        ("", ""),
    ],
)
async def test_a_wrapped_reply_that_was_cut_off(
    server: Loopback, engine: Engine, text: str, begun: str
) -> None:
    server.act = says(text, "length")
    done = await engine.generate(ask(pattern="I .*"))
    assert (done.text, done.finish_reason) == (begun, "length")


@pytest.mark.parametrize("rest", ["}", "", "\n\n\n\n", " \n}"])
async def test_a_wrapped_reply_that_was_cut_off_after_its_end(
    server: Loopback, engine: Engine, rest: str
) -> None:
    server.act = says('{\n "reply" :\n\t"I am \\"\\\\\ta"' + rest, "length")
    done = await engine.generate(ask(pattern="I .*"))
    assert (done.text, done.finish_reason) == ('I am "\\\ta', "stop")


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ('{"line1": "I am", "line2": "You', "I am\nYou"),
        ('{"line1": "I am", "line2', "I am"),
        ('{"line1": "I am"}', "I am"),
        ('{"line1": "I a', "I a"),
        ("{", ""),
    ],
)
async def test_lines_that_were_cut_off(server: Loopback, engine: Engine, text: str, begun: str) -> None:
    server.act = says(text, "length")
    done = await engine.generate(ask(pattern="I .*\nYou .*"))
    assert (done.text, done.finish_reason) == (begun, "length")


async def test_a_cut_off_object_comes_as_it_is(server: Loopback, engine: Engine) -> None:
    server.act = says('{"mood": "gl', "length")
    assert (await engine.generate(ask(schema={"type": "object"}))).text == '{"mood": "gl'


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ({"choices": ("yes", "no")}, "yes"),
        ({"choices": ("yes", "no")}, '{"reply": "maybe"}'),
        ({"choices": ("yes", "no")}, '["yes"]'),
        ({"pattern": "I .*"}, "I am."),
        ({"pattern": "I .*"}, '{"reply": "You are."}'),
        ({"pattern": "I .*"}, '{"reply": "I am.'),
        ({"pattern": "I .*"}, '{"answer": "I am."}'),
        ({"pattern": "I .*\nYou .*"}, '{"line1": "I am.", "line2": "We are."}'),
        ({"pattern": "I .*\nYou .*"}, '{"line1": "I am."}'),
        ({"pattern": "I .*\nYou .*"}, '{"line2": "You are.", "line1": "I am."}'),
        ({"schema": {"type": "object"}}, "Sure! Here you are: {}"),
    ],
)
async def test_a_server_that_overlooks_the_shape(
    server: Loopback, engine: Engine, shape: dict[str, Any], text: str
) -> None:
    server.act = says(text)
    error = await failure(engine, ask(**shape))
    assert isinstance(error, InputError)
    assert str(error) == (
        f"The server at {server.url} overlooks response_format: its reply has not the shape asked for; "
        "start it with structured output, or give --no-structured."
    )
    assert len(server.posts) == 2


@pytest.mark.parametrize("text", ["yes", '{"reply": "maybe"}', '{"reply": "ye'])
async def test_a_shape_that_is_missed_once_is_asked_for_again(
    server: Loopback, engine: Engine, text: str
) -> None:
    """As by Ollama, which overlooks patterns that replies mostly keep to."""
    server.acts = [says(text)]
    server.act = says('{"reply": "no"}')
    done = await engine.generate(ask(choices=("yes", "no"), seed=7))
    assert (done.text, done.prompt_tokens, done.completion_tokens) == ("no", 22, 6)
    assert [post.body["seed"] for post in server.posts] == [7, 8]


@pytest.mark.parametrize("shape", [{"choices": ("yes", "no")}, {"schema": {"properties": {"a": {}}}}])
async def test_one_that_overlooks_it_at_length(
    server: Loopback, engine: Engine, shape: dict[str, Any]
) -> None:
    server.act = says("Sure! Here you", "length")
    assert "overlooks response_format" in str(await failure(engine, ask(**shape)))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>Welcome</html>", "text/html"),
        ("<html>Welcome</html>", "application/json"),
        ("", "application/json"),
        ("null", "application/json"),
        ("[" * 100_000, "application/json"),
        (f"data: {json.dumps(chunk('Well.', 'stop'))}\n\n", "text/event-stream"),
        ("[]", "application/json"),
        ('{"choices": []}', "application/json"),
        ('{"choices": null}', "application/json"),
        ('{"choices": [{}]}', "application/json"),
        ('{"choices": [{"message": null}]}', "application/json"),
        ('{"choices": [{"message": "Hello"}]}', "application/json"),
        ('{"choices": "Hello"}', "application/json"),
        (
            '{"choices": [{"message": {"role": "assistant", "content": "x"}}], "usage": "x"}',
            "application/json",
        ),
        ('{"choices": [{"message": {"role": "assistant", "content": 5}}]}', "application/json"),
    ],
)
async def test_what_is_no_chat_completion(server: Loopback, engine: Engine, body: str, kind: str) -> None:
    server.act = lambda exchange: exchange.send(body, Content_Type=kind)
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert str(error) == f"What the server at {server.url} sent is no chat completion."


def text(said: object) -> list[dict[str, object]]:
    return [{"type": "text", "text": said}]


@pytest.mark.parametrize(
    ("message", "said", "thought"),
    [
        ({"content": text("Well.")}, "Well.", ""),
        ({"content": [{"type": "output_text", "text": "Well."}, "."]}, "Well..", ""),
        ({"content": [{"type": "thinking", "thinking": text("Hm.")}, *text("Well.")]}, "Well.", "Hm."),
        ({"content": None, "refusal": "I won't."}, "I won't.", ""),
        ({"content": [{"type": "refusal", "refusal": "I won't."}]}, "I won't.", ""),
        ({"content": "Well.", "reasoning": None, "reasoning_details": text("Hm.")}, "Well.", "Hm."),
        ({"content": "Well.", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}, "Well.", "Hm."),
        ({"content": "Well.", "reasoning": {"content": "Hm."}, "role": None}, "Well.", "Hm."),
        ({"content": "Well.", "tool_calls": [{"function": None}]}, "Well.", ""),
        ({"content": "Well \ud83d\ude00"}, "Well \U0001f600", ""),
        ({"content": "Well \ud83d."}, "Well \ufffd.", ""),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # pytest puts its own filters in the place of ours
async def test_a_message_in_whatever_parts(
    server: Loopback, engine: Engine, message: dict[str, Any], said: str, thought: str
) -> None:
    assert isinstance(engine, StreamingEngine)
    piece = {**chunk(""), "choices": [{"index": 0, "delta": message, "finish_reason": None}]}
    end = {**chunk(""), "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}
    server.acts = [says(None, **message), streams(piece, end, finish_reason=None)]
    for done in (await engine.generate(ask()), await engine.stream(ask(), lambda piece: None)):
        assert (done.text, done.thought, done.finish_reason) == (said, thought, "stop")


async def test_halves_of_a_character_come_apart(server: Loopback, engine: Engine) -> None:
    assert isinstance(engine, StreamingEngine)
    server.act = streams("Well \ud83d", "\ude00", ".")
    pieces: list[str] = []
    assert (await engine.stream(ask(), pieces.append)).text == "".join(pieces) == "Well \U0001f600."


@pytest.mark.parametrize("end", ["max_tokens", "MAX_TOKENS", "model_length"])
async def test_a_cap_by_another_name(server: Loopback, engine: Engine, end: str) -> None:
    server.act = says("We", end)
    assert (await engine.generate(ask())).finish_reason == "length"


async def test_what_a_filter_kept_back(server: Loopback, engine: Engine) -> None:
    server.act = says("We", "content_filter")
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert "kept a reply or the rest of it back (content_filter)" in str(error)
