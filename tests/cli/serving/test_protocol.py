"""What is heard of a request, and what is refused by name."""

import json

import pytest

from cli.serving.protocol import MAX_BODY_BYTES, Asked, RefusalError, ended_at
from tests.cli.serving.conftest import MODEL, QUESTION, SMALL, serving
from tests.scripted_scene import player

ASKED = {"model": MODEL, "messages": QUESTION}


def read(**fields):
    body = {name: value for name, value in {**ASKED, **fields}.items() if value is not ...}
    return Asked.read(json.dumps(body).encode(), MODEL, SMALL)


def user(content, **more):
    return {"messages": [{"role": "user", "content": content, **more}]}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ...}, "model"),
        ({"model": "gpt-4o"}, "model"),
        ({"model": None}, "model"),
        ({"messages": ...}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Why?"}, "messages"),
        ({"messages": ["Why?"]}, "messages[0]"),
        ({"messages": [{"content": "Why?"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Why?"}]}, "messages[0].role"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": "No."}]}, "messages[1].role"),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, "messages[0].role"),
        (user(""), "messages[0].content"),
        (user(" \u200b"), "messages[0].content"),
        (user(None), "messages[0].content"),
        (user([]), "messages[0].content"),
        (user({"text": "Why?"}), "messages[0].content"),
        (user("x" * 16_001), "messages[0].content"),
        (user([{"type": "text", "text": "What is it?"}, IMAGE]), "messages[0].content[1].type"),
        (user([{"type": "input_audio", "input_audio": {}}]), "messages[0].content[0].type"),
        (user([{"type": "file", "file": {}}]), "messages[0].content[0].type"),
        (user([{"type": "thinking", "thinking": "Hm."}]), "messages[0].content[0].type"),
        (user([{"type": "text", "text": 4}]), "messages[0].content[0].text"),
        (user(["Why?"]), "messages[0].content[0].type"),
        (user("Why?", images=["AA=="]), "messages[0].images"),
        (user("Why?", reasoning_content="Hm."), "messages[0].reasoning_content"),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": CALL}]},
            "messages[0].tool_calls",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "1"}}]}, "messages[0].audio"),
        ({"messages": [*QUESTION, {"role": "system", "content": "Be kind."}, *QUESTION]}, "messages"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": ""}, *QUESTION]}, "messages"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"max_completion_tokens": 3, "max_tokens": 30}, "max_completion_tokens"),
        ({"max_tokens": "30"}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"seed": 0.5}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"include_reasoning": "yes"}, "include_reasoning"),
    ],
)
def test_refused_by_name(fields, param):
    with pytest.raises(RefusalError) as refused:
        read(**fields)
    assert refused.value.status == (404 if fields.get("model") == "gpt-4o" else 400)
    error = refused.value.body["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "tools": [], "tool_choice": "auto", "functions": None, "logprobs": False, "logit_bias": {}},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "top_k": -1, "repetition_penalty": 1.0},
        {"response_format": {"type": "text"}, "modalities": ["text"], "stop": None, "top_logprobs": None},
        {
            "user": "u",
            "metadata": {"a": "b"},
            "store": True,
            "service_tier": "auto",
            "reasoning_effort": "low",
        },
        {"parallel_tool_calls": False, "prompt_cache_key": "k", "safety_identifier": "s", "keep_alive": "5m"},
        {"temperature": None, "seed": None, "max_tokens": None, "stream": None, "stream_options": None},
        user("May I read my son's diary?", name="me", tool_calls=None, audio=None, refusal=None),
        user([{"type": "text", "text": "May I read my son's diary?"}]),
    ],
)
def test_what_changes_nothing_is_passed_over(fields):
    plain, asked = read(), read(**fields)
    assert (asked.conversation, asked.settings, asked.stop) == (plain.conversation, plain.settings, ())


def test_a_conversation_is_heard():
    said = read(
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hi!", "reasoning_content": "Who is it?", "tool_calls": []},
            {"role": "user", "content": [{"type": "text", "text": "It's me."}]},
            {"role": "assistant", "content": None, "refusal": "I can't."},
            *QUESTION,
        ]
    ).conversation
    assert (said.system, said.question) == ("Be kind.\n\nBe brief.", QUESTION[0]["content"])
    assert [turn.content for turn in said.history] == ["Hello.", "Hi!", "It's me.", "I can't."]


def test_settings_are_heard():
    asked = read(temperature=1, top_p=0.5, seed=-7, max_tokens=100, max_completion_tokens=90, stop="\n\n")
    assert (asked.settings.temperature, asked.settings.top_p, asked.settings.seed) == (1, 0.5, -7)
    assert (asked.settings.answer_tokens, asked.settings.roles, asked.stop) == (90, SMALL.roles, ("\n\n",))
    assert read(max_tokens=128_000).settings.answer_tokens == 8192


@pytest.mark.parametrize(
    ("text", "stop", "left"),
    [("a b c", (), "a b c"), ("a b c", ("c", "b"), "a "), ("a", ("a",), ""), ("a", ("b",), "a")],
)
def test_an_answer_ends_where_it_is_to(text, stop, left):
    assert ended_at(text, stop) == left


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"Why?"',
        b"\xff\xfe",
        b'{"model": "scripted", "messages": ["\\ud800"]}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_request(body):
    async with serving(player()) as server:
        answer = await server.post(body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_body_that_is_too_long():
    async with serving(player()) as server:
        answer = await server.post(b" " * (MAX_BODY_BYTES + 1))
        unknown = await server.post(ASKED, params={"a": "b"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert unknown.status_code == 200


@pytest.mark.parametrize(("cap", "reason"), [(64, "stop"), (16, "length")])
async def test_an_answer_that_reached_its_cap_says_so(cap, reason):
    class Capped(type(player())):
        async def generate(self, request):
            from dataclasses import replace

            done = await super().generate(request)
            return (
                replace(done, finish_reason="length")
                if request.max_tokens <= 16 and not request.shaped
                else done
            )

    engine = Capped(player()._function)
    async with serving(engine, rehearse="never") as server:
        answer = await server.post({**ASKED, "max_tokens": cap})
        stopped = await server.post({**ASKED, "max_tokens": cap, "stop": ["early"]})
    assert answer.json()["choices"][0]["finish_reason"] == reason
    assert stopped.json()["choices"][0] | {"logprobs": None} == {
        "index": 0,
        "message": {"role": "assistant", "content": "Talk to your landlord ", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
