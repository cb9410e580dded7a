"""The server as its clients see it: OpenAI's, LangChain's and curl, on scripted scenes."""

import asyncio
import json

import openai
import pytest
from langchain_openai import ChatOpenAI

from cli.serving import app
from graph.build import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from scene.errors import EngineError
from scene.export import Failure
from scene.record import total_cost
from tests.cli.serving.conftest import MODEL, QUESTION, SMALL, Waits, serving
from tests.scripted_scene import FailsOnce, asked, player, scene_script

ASKED = {"model": MODEL, "messages": QUESTION}
RECORD = "x-monopolylogue-record"


async def scene_of(engine=None):
    """The scene that `run` plays of the question."""
    engine = engine or player()
    graph = build_graph(EngineChatModel(engine=engine))
    return await play(graph, QUESTION[0]["content"], model=engine.identity, settings=SMALL)


def events(text):
    """The events of a stream; one without data is a comment."""
    return [part.removeprefix("data: ") for part in text.split("\n\n") if part]


class Kept(list):
    async def __call__(self, outcome):
        self.append(outcome)


# --- answers -------------------------------------------------------------------------------------------


async def test_a_scene_is_played_before_the_answer():
    kept, expected = Kept(), await scene_of()
    async with serving(player(), keep=kept) as server:
        raw = await server.client().chat.completions.with_raw_response.create(**ASKED)
    answer, (record,) = raw.parse(), kept
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        expected.answer,
        "stop",
    )
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    assert raw.headers[RECORD] == record.id
    assert (record.question_id, record.events) == (answer.id, expected.events)
    cost = total_cost(record.cost, 0)
    assert answer.usage.prompt_tokens == cost.prompt_tokens > 1000
    assert answer.usage.completion_tokens == cost.completion_tokens
    assert answer.usage.total_tokens == cost.prompt_tokens + cost.completion_tokens
    assert not hasattr(choice.message, "reasoning_content")


@pytest.mark.parametrize("rehearse", ["always", "doubtful"])
async def test_a_conversation_is_rehearsed(rehearse):
    engine, kept = player(safe="no"), Kept()
    before = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."}]
    said = [*before, {"role": "assistant", "content": "Hi!"}, *QUESTION]
    async with serving(engine, rehearse=rehearse, keep=kept) as server:
        answer = await server.client().chat.completions.create(model=MODEL, messages=said)
    (record,), (respond,) = kept, asked(engine, "respond")
    assert [(m.role, m.content) for m in respond.messages] == [(m["role"], m["content"]) for m in said]
    assert (record.system, [turn.content for turn in record.history]) == ("Be kind.", ["Hello.", "Hi!"])
    assert answer.choices[0].message.content == record.answer


async def test_a_stream_is_as_the_protocol_has_it():
    expected = await scene_of()
    async with serving(player()) as server:
        whole = await server.post({**ASKED, "stream": True, "stream_options": {"include_usage": True}})
        plain = await server.post({**ASKED, "stream": True})
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert len(whole.headers[RECORD]) == 16
    *chunks, done = events(whole.text)
    assert done == "[DONE]"
    first, content, last, usage = map(json.loads, chunks)
    assert {one["object"] for one in (first, content, last, usage)} == {"chat.completion.chunk"}
    assert len({one["id"] for one in (first, content, last, usage)}) == 1
    deltas = [one["choices"][0]["delta"] for one in (first, content, last)]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": expected.answer}, {}]
    assert [one["choices"][0]["finish_reason"] for one in (first, content, last)] == [None, None, "stop"]
    assert [one["usage"] for one in (first, content, last)] == [None] * 3
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > usage["usage"]["completion_tokens"] > 0
    assert [one["usage"] for one in map(json.loads, events(plain.text)[:-1]) if "usage" in one] == []


@pytest.mark.parametrize("stream", [True, False])
async def test_the_scene_is_told_where_that_is_asked_for(stream):
    extra = {"include_reasoning": True}
    async with serving(player()) as server:
        answer = await server.client().chat.completions.create(**ASKED, stream=stream, extra_body=extra)
        if stream:
            deltas = [chunk.choices[0].delta async for chunk in answer]
            pieces = [piece for delta in deltas if (piece := getattr(delta, "reasoning_content", None))]
            assert len(pieces) > 3
            told, text = "".join(pieces), "".join(delta.content or "" for delta in deltas)
        else:
            message = answer.choices[0].message
            told, text = message.reasoning_content, message.content
    expected = await scene_of()
    assert text == expected.answer
    for part in ("First answer", "Situation", "Cast", "Turn 1", "Verdict", expected.critique):
        assert part in told


async def test_a_silent_stream_says_that_it_lives(monkeypatch):
    monkeypatch.setattr(app, "KEEP_ALIVE_SECONDS", 0.01)
    engine = Waits(scene_script)
    async with serving(engine) as server:
        async with server.client().chat.completions.with_streaming_response.create(
            **ASKED, stream=True
        ) as raw:
            text = ""
            async for line in raw.iter_lines():
                text += f"{line}\n"
                if line == ": keep-alive":
                    engine.let.set()
    assert text.index(": keep-alive\n\n") > text.index('"role": "assistant"')
    assert events(text)[-1].strip() == "[DONE]"


@pytest.mark.parametrize("stream", [True, False])
async def test_langchain(stream):
    expected = await scene_of()
    async with serving(player()) as server:
        chat = ChatOpenAI(
            model=MODEL, base_url=server.url, api_key="any", streaming=stream, stream_usage=True
        )
        said = await chat.ainvoke([("user", QUESTION[0]["content"])])
        await chat.root_async_client.close()
    assert said.text == expected.answer
    assert said.usage_metadata["total_tokens"] > 1000
    assert said.response_metadata["finish_reason"] == "stop"


async def test_curl():
    async with serving(player()) as server:
        program = ["curl", "-sSN", "--noproxy", "*", f"{server.url}/chat/completions"]
        sent = ["-H", "Content-Type: application/json", "-d", json.dumps({**ASKED, "stream": True})]
        curl = await asyncio.create_subprocess_exec(*program, *sent, stdout=asyncio.subprocess.PIPE)
        out, _ = await curl.communicate()
    assert curl.returncode == 0
    assert out.decode().startswith('data: {"id": "chatcmpl-')
    assert out.endswith(b"data: [DONE]\n\n")


async def test_models():
    async with serving(player()) as server:
        client = server.client()
        (model,) = (await client.models.list()).data
        assert (model.id, (await client.models.retrieve(MODEL)).id) == (MODEL, MODEL)
        with pytest.raises(openai.NotFoundError, match="no model 'org/other'"):
            await client.models.retrieve("org/other")


# --- when a scene is played ----------------------------------------------------------------------------

REFUSES = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("rehearse", "overrides", "played"),
    [
        ("never", {"safe": "no"}, False),
        ("doubtful", {}, False),
        ("doubtful", {"safe": "no", "respond": REFUSES}, False),
        ("doubtful", {"safe": "no"}, True),
        ("doubtful", {"respond": REFUSES}, True),
        ("doubtful", {"stance": "says no"}, True),
        ("always", {}, True),
    ],
)
async def test_who_is_rehearsed(rehearse, overrides, played):
    engine, kept = player(**overrides), Kept()
    async with serving(engine, rehearse=rehearse, keep=kept) as server:
        whole = await server.post(ASKED)
        stream = await server.post({**ASKED, "stream": True})
    assert (RECORD in whole.headers) is (RECORD in stream.headers) is (len(kept) == 2) is played
    assert len(asked(engine, "respond", "safe", "stance")) == 2 * (1 if rehearse == "never" else 3) - sum(
        2 for _ in [0] if rehearse != "never" and overrides.get("respond")
    )
    (first, *_) = kept or [None]
    text = whole.json()["choices"][0]["message"]["content"]
    assert text == (first.answer if first else overrides.get("respond") or text)
    assert whole.json()["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("doubt", ["no", "yes"])
async def test_a_doubtful_scene_is_the_one_that_is_always_played(doubt):
    records = []
    for rehearse in ("always", "doubtful"):
        kept = Kept()
        async with serving(player(safe="no"), rehearse=rehearse, keep=kept) as server:
            await server.post(ASKED)
        records.append(kept[0].model_dump(exclude={"id", "question_id", "seconds", "cost", "calls"}))
        records[-1]["calls"] = [(c.call, c.completion, c.prompt_tokens) for c in kept[0].calls]
    assert records[0] == records[1]


# --- many at once --------------------------------------------------------------------------------------


async def test_two_hundred_at_once_and_none_is_lost():
    kept = Kept()
    async with serving(player(), queue=200, keep=kept) as server:
        client = server.client(timeout=300)
        create = client.chat.completions.create
        answers = await asyncio.gather(
            *(
                create(model=MODEL, messages=[{"role": "user", "content": f"May I do {number}?"}])
                for number in range(200)
            )
        )
    asked_of = {record.question_id: record for record in kept}
    assert len(asked_of) == len({record.id for record in kept}) == 200
    for number, answer in enumerate(answers):
        record = asked_of[answer.id]
        assert record.question == f"May I do {number}?"
        assert record.answer == answer.choices[0].message.content


async def test_scenes_take_turns_and_a_full_queue_is_said():
    engine = Waits(scene_script)
    async with serving(engine, scenes=1, queue=1) as server:
        both = [asyncio.create_task(server.post(ASKED)) for _ in range(2)]
        await engine.asked.wait()
        await server.until(under_way=2)
        refused = await server.post(ASKED)
        assert len(asked(engine, "respond")) == 1
        engine.let.set()
        assert [(await one).status_code for one in both] == [200, 200]
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "10"
    assert refused.json()["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("rehearse", ["always", "doubtful"])
async def test_a_client_that_goes_away_takes_its_scene_with_it(stream, rehearse):
    engine, kept = Waits(scene_script), Kept()
    async with serving(engine, rehearse=rehearse, keep=kept) as server:
        client = asyncio.create_task(server.post({**ASKED, "stream": stream}))
        await engine.asked.wait()
        client.cancel()
        await engine.withdrawn.wait()
        await server.until(under_way=0)
        engine.let.set()
        assert (await server.post(ASKED)).status_code == 200
    assert "the client went away" in server.said[0]
    assert len(kept) == (rehearse == "always")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_server_that_stops_says_so(stream):
    engine = Waits(scene_script)
    async with serving(engine) as server:
        client = asyncio.create_task(server.post({**ASKED, "stream": stream}))
        await engine.asked.wait()
        server.desk.close()
        answer = await client
        assert (await server.post(ASKED)).status_code == 503
    assert answer.status_code == (200 if stream else 503)
    error = json.loads(events(answer.text)[-2]) if stream else answer.json()
    assert error["error"]["message"] == "The server is stopping."


# --- what goes wrong -----------------------------------------------------------------------------------


def broken(request):
    raise EngineError("gone")


@pytest.mark.parametrize(
    ("overrides", "status", "message"),
    [
        ({"critique": ""}, 500, "The scene broke off: critique"),
        ({"critique": FailsOnce()}, 503, "gone"),
    ],
)
async def test_a_scene_that_fails(overrides, status, message):
    kept = Kept()
    async with serving(player(**overrides), keep=kept) as server:
        refused = await server.post(ASKED)
        with (
            pytest.raises(openai.APIError, match=message)
            if status == 500
            else pytest.raises(StopAsyncIteration)
        ):
            stream = aiter(await server.client().chat.completions.create(**ASKED, stream=True))
            while True:
                await anext(stream)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["param"]) == (status, "server_error", None)
    assert message in error["message"]
    assert (refused.headers.get("x-should-retry") == "false") is (status == 500)
    assert [type(outcome) for outcome in kept][:1] == ([Failure] if status == 500 else [type(kept[0])])
    if status == 500:
        assert refused.headers[RECORD] == kept[0].id


async def test_an_engine_that_died_is_said():
    async with serving(player(situation=broken, respond=broken)) as server:
        refused = await server.post(ASKED)
        assert str(server.desk.gone) == "The engine died. gone"
    assert refused.status_code == 503


# --- who is let in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8400", 200),
        ("[::1]:8400", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8400", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
    ],
)
async def test_a_name_that_only_leads_here_is_refused(host, status):
    async with serving(player()) as server:
        answer = await server.post(ASKED, headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"] == "invalid_host"


async def test_the_key():
    async with serving(player(), key="sëcret".encode().decode("latin-1"), loopback=False) as server:
        assert (await server.post(ASKED, headers={"authorization": "Bearer other"})).status_code == 401
    async with serving(player(), key="sk-1", loopback=False) as server:
        with pytest.raises(openai.AuthenticationError, match="API key is missing"):
            await server.client().models.list()
        assert (await server.post(ASKED)).json()["error"]["code"] == "invalid_api_key"
        elsewhere = {"host": "mine.example", "authorization": "bearer sk-1"}
        assert (await server.post(ASKED, headers=elsewhere)).status_code == 200
        assert await server.client(api_key="sk-1").models.list()


async def test_pages_of_other_sites_are_told_nothing():
    async with serving(player()) as server:
        origin = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        answers = [await server.post(ASKED, headers=origin)]
        for method in ("OPTIONS", "GET"):
            import httpx

            async with httpx.AsyncClient() as client:
                answers.append(await client.request(method, f"{server.url}/chat/completions", headers=origin))
        plain = await server.post(json.dumps(ASKED).encode(), headers={"content-type": "text/plain"})
    assert [answer.status_code for answer in (*answers, plain)] == [200, 405, 405, 415]
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)
    assert all(answer.json()["error"]["type"] == "invalid_request_error" for answer in (*answers[1:], plain))
