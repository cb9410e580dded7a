"""The openai engine against a server on loopback: what it sends, what it makes of each kind of answer."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, Completion, Engine, GenerationRequest
from inference.loading import load_engine
from inference.openai_engine import RETRIES, OpenAIEngine
from inference.server import server_at
from nodes.asking import Asker
from scene.errors import EngineError, InputError, ModelNotFoundError, MonopolylogueError, PromptTooLongError
from scene.nouns import ModelIdentity
from scene.settings import SceneSettings
from tests.loopback import Exchange, Loopback, completion, hangs_up, loopback, refuses, says

Connect = Callable[..., Engine]


def ask(text: str = "How are you?", **settings: Any) -> GenerationRequest:
    return GenerationRequest(messages=(ChatMessage("user", text),), **{"max_tokens": 16, **settings})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MONOPOLYLOGUE_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback(says("Well.")) as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(server, **options)`: an engine, closed in the end."""
    engines: list[Engine] = []

    def connect(server: Loopback, **options: Any) -> Engine:
        engines.append(load_engine(base_url=server.url, **options))
        return engines[-1]

    yield connect
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(server: Loopback, connect: Connect) -> Engine:
    return connect(server)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own waits between its tries, a hundredth as long."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.005)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.08)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited between its tries, in seconds, one after another."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("openai._base_client.anyio.sleep", sleep)
    return seconds


@pytest.fixture
def warned() -> Iterator[threading.Event]:
    """Set once the engine has warned."""
    event = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: event.set()
    logger = logging.getLogger("inference.openai_engine")
    logger.addHandler(handler)
    yield event
    logger.removeHandler(handler)


async def failure(engine: Engine, request: GenerationRequest) -> MonopolylogueError:
    """The error of one sentence that a request ends in."""
    with pytest.raises(MonopolylogueError) as caught:
        await engine.generate(request)
    assert "\n" not in str(caught.value)
    return caught.value


class TestWhatIsSent:
    async def test_every_decoding_setting(self, server: Loopback, engine: Engine) -> None:
        messages = tuple(ChatMessage(role, role) for role in ("system", "user", "assistant", "user"))
        await engine.generate(
            GenerationRequest(
                messages=messages,
                max_tokens=9,
                temperature=0.5,
                top_p=0.9,
                seed=2**32 - 1,
                stop=("\n", "END"),
            )
        )
        (post,) = server.posts
        assert post.path == "/v1/chat/completions"
        body = post.body
        assert body["messages"] == [{"role": m.role, "content": m.content} for m in messages]
        assert (body["model"], body["max_tokens"], body["stop"]) == ("parrot", 9, ["\n", "END"])
        assert (body["temperature"], body["top_p"], body["seed"]) == (0.5, 0.9, 2**31 - 1)
        assert not {"response_format", "max_completion_tokens"} & set(body)

    async def test_the_defaults_are_said_too(self, server: Loopback, engine: Engine) -> None:
        """A server would put its own in their place, such as vLLM those of the model's generation config."""
        await engine.generate(ask())
        body = server.posts[0].body
        assert (body["temperature"], body["top_p"], body["seed"]) == (0, 1, 0)
        assert "stop" not in body

    async def test_a_schema_goes_as_it_is_but_closed(self, server: Loopback, engine: Engine) -> None:
        class Mood(BaseModel):
            mood: str
            why: str = ""

        server.act = says('{"mood": "glad", "why": ""}')
        assert (
            await engine.generate(ask(schema=Mood.model_json_schema()))
        ).text == '{"mood": "glad", "why": ""}'
        sent = server.posts[0].body
        assert sent["max_tokens"] == 16
        form = sent["response_format"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
        schema = form["json_schema"]["schema"]
        assert list(schema["properties"]) == ["mood", "why"]
        assert (schema["required"], schema["additionalProperties"]) == (["mood", "why"], False)

    async def test_choices_go_as_an_object_of_one_field(self, server: Loopback, engine: Engine) -> None:
        server.act = says('{\n "reply": "no"\n}')
        assert (await engine.generate(ask(choices=("yes", "no", "yes")))).text == "no"
        sent = server.posts[0].body
        assert sent["max_tokens"] > 16
        schema = sent["response_format"]["json_schema"]["schema"]
        assert schema == {
            "type": "object",
            "properties": {"reply": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["reply"],
            "additionalProperties": False,
        }

    @pytest.mark.parametrize("pattern", ["I [a-z]+|You", "^I [a-z]+|You$"])
    async def test_a_pattern_goes_as_a_string_s(self, server: Loopback, engine: Engine, pattern: str) -> None:
        server.act = says('{"reply": "I am"}')
        assert (await engine.generate(ask(pattern=pattern))).text == "I am"
        schema = server.posts[0].body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["reply"] == {"type": "string", "pattern": "^(?:I [a-z]+|You)$"}

    @pytest.mark.parametrize(("key", "sent"), [(None, "Bearer none"), ("sk-secret", "Bearer sk-secret")])
    async def test_the_key_comes_from_the_environment(
        self, server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch, key: str | None, sent: str
    ) -> None:
        if key:
            monkeypatch.setenv("OPENAI_API_KEY", key)
        engine = connect(server)
        await engine.generate(ask())
        assert server.posts[0].headers["Authorization"] == server.gets[0]["Authorization"] == sent
        assert "sk-secret" not in f"{engine.identity!r} {engine!r} {server_at(server.url)!r}"

    async def test_no_proxy_leads_to_loopback(
        self, server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OPENAI_PROXY"):
            monkeypatch.setenv(name, "http://192.0.2.1:9")
        assert (await connect(server).generate(ask())).text == "Well."


class TestWhatComesBack:
    async def test_text_reason_and_tokens(self, server: Loopback, engine: Engine) -> None:
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
        self, server: Loopback, engine: Engine, usage: object
    ) -> None:
        server.act = says("Well.", usage=usage)
        done = await engine.generate(ask())
        assert (done.text, done.finish_reason) == ("Well.", "stop")
        assert (done.prompt_tokens, done.completion_tokens, done.cached_tokens) == (0, 0, 0)

    async def test_no_text_is_empty_text(self, server: Loopback, engine: Engine) -> None:
        """As from a model that thought until the cap."""
        server.act = says(None, "length", reasoning_content="Hmm.")
        done = await engine.generate(ask())
        assert (done.text, done.finish_reason) == ("", "length")

    async def test_a_stop_string_that_the_server_leaves_in(self, server: Loopback, engine: Engine) -> None:
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
        self, server: Loopback, engine: Engine, text: str, begun: str
    ) -> None:
        server.act = says(text, "length")
        done = await engine.generate(ask(pattern="I .*"))
        assert (done.text, done.finish_reason) == (begun, "length")

    @pytest.mark.parametrize("rest", ["}", "", "\n\n\n\n", " \n}"])
    async def test_a_wrapped_reply_that_was_cut_off_after_its_end(
        self, server: Loopback, engine: Engine, rest: str
    ) -> None:
        server.act = says('{\n "reply" :\n\t"I am \\"\\\\\ta"' + rest, "length")
        done = await engine.generate(ask(pattern="I .*"))
        assert (done.text, done.finish_reason) == ('I am "\\\ta', "stop")

    async def test_a_cut_off_object_comes_as_it_is(self, server: Loopback, engine: Engine) -> None:
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
            ({"schema": {"type": "object"}}, "Sure! Here you are: {}"),
        ],
    )
    async def test_a_server_that_overlooks_the_shape(
        self, server: Loopback, engine: Engine, shape: dict[str, Any], text: str
    ) -> None:
        server.act = says(text)
        error = await failure(engine, ask(**shape))
        assert isinstance(error, InputError)
        assert str(error) == (
            f"The server at {server.url} overlooks response_format: its reply has not the shape asked for; "
            "start it with structured output, or give --no-structured."
        )

    @pytest.mark.parametrize("shape", [{"choices": ("yes", "no")}, {"schema": {"properties": {"a": {}}}}])
    async def test_one_that_overlooks_it_at_length(
        self, server: Loopback, engine: Engine, shape: dict[str, Any]
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
            ('{"error": {"message": "odd"}}', "application/json"),
            ('{"choices": [{"message": {"role": "assistant", "content": 5}}]}', "application/json"),
        ],
    )
    async def test_what_is_no_chat_completion(
        self, server: Loopback, engine: Engine, body: str, kind: str
    ) -> None:
        server.act = lambda exchange: exchange.send(body, Content_Type=kind)
        error = await failure(engine, ask())
        assert isinstance(error, EngineError)
        assert str(error) == f"What the server at {server.url} sent is no chat completion."


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
            (
                400,
                "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
            ),
            (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
            (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
            (400, "context_length_exceeded"),
            (500, "the request exceeds the available context size"),
        ],
    )
    @pytest.mark.usefixtures("soon")
    async def test_too_long_a_prompt(self, server: Loopback, engine: Engine, status: int, words: str) -> None:
        server.act = refuses(status, words)
        error = await failure(engine, ask(choices=("yes", "no")))
        assert isinstance(error, PromptTooLongError)
        assert str(error) == (
            "A prompt and a reply of up to 16 tokens do not fit the model's context window; "
            "shorten the question or choose another model."
        )

    @pytest.mark.parametrize("body", ['{"detail": "No grammar."}', '{"error": "No grammar."}', "No grammar."])
    async def test_a_shape(self, server: Loopback, engine: Engine, body: str) -> None:
        server.act = lambda exchange: exchange.send(body, 422)
        error = await failure(engine, ask(choices=("yes", "no")))
        assert isinstance(error, InputError)
        assert str(error) == (
            f"The server at {server.url} refuses response_format (422): No grammar. "
            "If it can't hold replies to a shape, give --no-structured."
        )

    async def test_anything_else(self, server: Loopback, engine: Engine) -> None:
        server.act = refuses(400, "System role not supported\nTraceback: \x1b[31m" + "x" * 1000)
        error = await failure(engine, ask())
        assert isinstance(error, InputError)
        assert str(error).startswith(
            f"The server at {server.url} refuses a request (400): System role not supported Traceback: [31mxx"
        )
        assert len(str(error)) < 400

    async def test_the_model(self, server: Loopback, engine: Engine) -> None:
        server.act = refuses(404, "The model `parrot` does not exist.")
        error = await failure(engine, ask())
        assert isinstance(error, ModelNotFoundError)
        assert "The model `parrot` does not exist." in str(error)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_the_key_which_is_not_repeated(
        self, server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        engine = connect(server)
        server.act = refuses(status, "Incorrect API key provided: sk-secret.")
        error = await failure(engine, ask())
        assert isinstance(error, InputError)
        assert str(error) == (
            f"The server at {server.url} refuses the API key; set OPENAI_API_KEY to one that it accepts."
        )
        server.act = refuses(400, "What is sk-secret?")
        assert "What is …?" in str(await failure(engine, ask()))

    @pytest.mark.parametrize("status", [400, 401, 404, 422])
    async def test_none_of_them_is_tried_again(self, server: Loopback, engine: Engine, status: int) -> None:
        server.act = refuses(status)
        await failure(engine, ask())
        assert len(server.posts) == 1


class TestPatience:
    @pytest.mark.parametrize(("header", "least"), [("1", 1.0), ("0.6", 0.6)])
    async def test_retry_after_is_honoured(
        self, server: Loopback, engine: Engine, slept: list[float], header: str, least: float
    ) -> None:
        server.acts = [refuses(429, Retry_After=header), refuses(503, Retry_After=header)]
        await engine.generate(ask())
        assert slept == [least, least]

    async def test_it_backs_off_for_about_a_minute_and_then_says_so(
        self, server: Loopback, engine: Engine, slept: list[float]
    ) -> None:
        server.act = refuses(503, "Loading model")
        error = await failure(engine, ask())
        assert isinstance(error, EngineError)
        assert str(error) == f"The server at {server.url} goes on failing (503): Loading model."
        assert len(server.posts) == RETRIES + 1
        assert 45 <= sum(slept) <= 65
        assert all(later >= 0.7 * earlier for earlier, later in itertools.pairwise(slept))

    @pytest.mark.parametrize("act", [refuses(500), refuses(503), refuses(429), hangs_up])
    @pytest.mark.usefixtures("soon")
    async def test_a_server_that_recovers(
        self, server: Loopback, engine: Engine, caplog: pytest.LogCaptureFixture, act: Any
    ) -> None:
        server.acts = [act] * 7
        done = await asyncio.gather(*(engine.generate(ask()) for _ in range(3)))
        assert [one.text for one in done] == ["Well."] * 3
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert warning == f"The server at {server.url} is gone or busy; trying again for about a minute."

    @pytest.mark.usefixtures("soon")
    async def test_a_server_that_goes_away_and_comes_back(
        self,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
        warned: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 2)
        with loopback(says("Before.")) as server:
            port = server.server_port
            engine = connect(server)
            assert (await engine.generate(ask())).text == "Before."
        waiting = [asyncio.create_task(engine.generate(ask())) for _ in range(5)]
        assert await asyncio.to_thread(warned.wait, 10)
        with loopback(says("After."), port):
            assert [done.text for done in await asyncio.gather(*waiting)] == ["After."] * 5
        (warning,) = caplog.records
        assert warning.getMessage() == (
            f"The server at {server.url} is gone or busy; trying again for about a minute."
        )

    @pytest.mark.usefixtures("soon")
    async def test_a_server_that_stays_away(self, connect: Connect) -> None:
        with loopback(says("Before.")) as server:
            engine = connect(server)
        error = await failure(engine, ask())
        assert isinstance(error, EngineError)
        assert str(error) == (
            f"The server at {server.url} is gone and did not come back in time; "
            "see that it runs, then run the command again."
        )

    async def test_a_server_that_never_answers(self, server: Loopback) -> None:
        hung_up = threading.Event()

        def silence(exchange: Exchange) -> None:
            if exchange.wait_for_disconnect():
                hung_up.set()

        server.act = silence
        identity = ModelIdentity(id="parrot", revision=None, engine="openai")
        engine = OpenAIEngine(server_at(server.url), identity, concurrency=1, reply_seconds=0.2)
        try:
            error = await failure(engine, ask())
            assert isinstance(error, EngineError)
            assert "did not answer in 0 seconds" in str(error)
            assert await asyncio.to_thread(hung_up.wait, 10)
            server.act = says("Well.")
            assert (await engine.generate(ask())).text == "Well."
        finally:
            engine.close()


class TestManyAtOnce:
    async def test_no_more_than_so_many_are_under_way(
        self, server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MONOPOLYLOGUE_CONCURRENCY", "3")
        full = threading.Barrier(3)

        def together(exchange: Exchange) -> None:
            full.wait(10)  # three arrive side by side, or this breaks
            exchange.send(completion(exchange.body["messages"][0]["content"], "stop", {}))

        server.act = together
        engine = connect(server)
        done = await asyncio.gather(*(engine.generate(ask(str(number))) for number in range(12)))
        assert [one.text for one in done] == [str(number) for number in range(12)]
        assert server.most_under_way == 3

    async def test_a_cancelled_request_is_withdrawn(self, server: Loopback, engine: Engine) -> None:
        arrived, withdrawn = threading.Event(), threading.Event()

        def wait(exchange: Exchange) -> None:
            arrived.set()
            if exchange.wait_for_disconnect():
                withdrawn.set()

        server.acts = [wait]
        task = asyncio.create_task(engine.generate(ask()))
        assert await asyncio.to_thread(arrived.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(withdrawn.wait, 10)
        assert (await engine.generate(ask())).text == "Well."

    async def test_closing_fails_what_is_under_way_and_what_comes_after(
        self, server: Loopback, engine: Engine
    ) -> None:
        arrived, withdrawn = threading.Event(), threading.Event()

        def wait(exchange: Exchange) -> None:
            arrived.set()
            if exchange.wait_for_disconnect():
                withdrawn.set()

        server.act = wait
        task = asyncio.create_task(engine.generate(ask()))
        assert await asyncio.to_thread(arrived.wait, 10)
        await asyncio.to_thread(engine.close)
        with pytest.raises(EngineError, match="closed"):
            await task
        assert await asyncio.to_thread(withdrawn.wait, 10)
        with pytest.raises(EngineError, match="closed"):
            await engine.generate(ask())
        engine.close()

    def test_one_engine_serves_many_event_loops(self, engine: Engine) -> None:
        """As synchronous LangChain calls and `asyncio.run` one after another do."""
        for _ in range(3):
            assert asyncio.run(engine.generate(ask())).text == "Well."
        assert EngineChatModel(engine=engine).batch(["a", "b"])[1].text == "Well."


class TestWithoutStructuredOutput:
    async def test_the_shape_is_said_in_words_and_the_settings_are_sent(
        self, server: Loopback, connect: Connect
    ) -> None:
        engine = connect(server, structured=False)
        server.act = says(" Yes.")
        asker = Asker(EngineChatModel(engine=engine), SceneSettings(temperature=0.5), "revise")
        values = {"question": "Why?", "first": "So.", "second": "Thus."}
        assert await asker.choice("compare", values, ("yes", "no")) == "yes"
        body = server.posts[0].body
        assert "response_format" not in body
        assert body["messages"][-1]["content"].endswith(
            "Reply with exactly one of these, and nothing else: yes, no."
        )
        assert (body["temperature"], body["max_tokens"]) == (0.5, 16)

    async def test_a_server_with_it_is_told_no_words(self, server: Loopback, engine: Engine) -> None:
        server.act = says('{"reply": "yes"}')
        asker = Asker(EngineChatModel(engine=engine), SceneSettings(), "revise")
        values = {"question": "Why?", "first": "So.", "second": "Thus."}
        assert await asker.choice("compare", values, ("yes", "no")) == "yes"
        body = server.posts[0].body
        assert "response_format" in body
        assert "nothing else" not in body["messages"][-1]["content"]
