"""Replies that the server streams: what is sent, what is told, and how a stream can end."""

import asyncio
import threading
from typing import Any

import pytest

from inference.engine import Completion, Engine, StreamingEngine
from scene.errors import EngineError, InputError, MonopolylogueError, PromptTooLongError
from tests.inference.openai_engine.driving import Connect, ask
from tests.loopback import Act, Exchange, Loopback, chunk, hangs_up, refuses, says, streams


async def streamed(engine: Engine, **settings: Any) -> tuple[Completion, list[str]]:
    """A completion and the pieces that it came in."""
    assert isinstance(engine, StreamingEngine)
    pieces: list[str] = []
    completion = await engine.stream(ask(**settings), pieces.append)
    return completion, pieces


async def failure(engine: Engine) -> tuple[MonopolylogueError, list[str]]:
    """The error of one sentence that a stream ends in, and the pieces before it."""
    assert isinstance(engine, StreamingEngine)
    pieces: list[str] = []
    with pytest.raises(MonopolylogueError) as caught:
        await engine.stream(ask(), pieces.append)
    assert "\n" not in str(caught.value)
    return caught.value, pieces


async def test_the_pieces_are_what_the_server_would_say_at_once(server: Loopback, engine: Engine) -> None:
    usage = {
        "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 7},
    }  # fmt: skip
    server.acts = [
        streams("Grüße", ", ", "😀", "!", finish_reason="length", usage=usage),
        says("Grüße, 😀!", "length", usage),
    ]
    completion, pieces = await streamed(engine)
    assert pieces == ["Grüße", ", ", "😀", "!"]
    assert completion == await engine.generate(ask())
    assert (completion.finish_reason, completion.prompt_tokens, completion.cached_tokens) == ("length", 9, 7)


async def test_only_the_streaming_is_asked_for_differently(server: Loopback, engine: Engine) -> None:
    server.acts = [streams("Well."), says("Well.")]
    await streamed(engine, temperature=0.5, seed=3, stop=("END",))
    await engine.generate(ask(temperature=0.5, seed=3, stop=("END",)))
    aloud, plain = (dict(post.body) for post in server.posts)
    assert (aloud.pop("stream"), aloud.pop("stream_options")) == (True, {"include_usage": True})
    assert not plain.pop("stream", False)
    assert aloud == plain


async def test_a_stop_string_that_the_server_leaves_in(server: Loopback, engine: Engine) -> None:
    server.act = streams("one ", "t", "w", "o three")
    completion, pieces = await streamed(engine, stop=("two", "twist"))
    assert pieces == ["one "]
    assert completion.text == "one "


async def test_usage_with_the_last_piece_or_none(server: Loopback, engine: Engine) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    server.acts = [
        streams("Well.", {**chunk("", "stop"), "usage": usage}, "[DONE]", finish_reason=None),
        streams("Well.", {**chunk("", "stop"), "usage": None}, finish_reason=None),
    ]
    assert (await streamed(engine))[0].prompt_tokens == 5
    assert (await streamed(engine))[0].prompt_tokens == 0


async def test_no_text_is_empty_text(server: Loopback, engine: Engine) -> None:
    server.act = streams(finish_reason="length")
    completion, pieces = await streamed(engine)
    assert (completion.text, completion.finish_reason, pieces) == ("", "length", [])


async def test_several_at_once_keep_apart(server: Loopback, engine: Engine) -> None:
    def echo(exchange: Exchange) -> None:
        streams(*exchange.body["messages"][0]["content"])(exchange)

    server.act = echo
    texts = [f"word {number}" for number in range(8)]
    done = await asyncio.gather(*(streamed(engine, text=text) for text in texts))
    assert ["".join(pieces) for _, pieces in done] == texts == [completion.text for completion, _ in done]


@pytest.mark.usefixtures("soon")
async def test_a_server_that_is_busy_before_it_streams(server: Loopback, engine: Engine) -> None:
    server.act = streams("Well.")
    server.acts = [refuses(503), hangs_up]
    assert (await streamed(engine))[0].text == "Well."


async def test_a_refusal(server: Loopback, engine: Engine) -> None:
    server.act = refuses(400, "Bad manners")
    error, pieces = await failure(engine)
    assert isinstance(error, InputError)
    assert str(error) == f"The server at {server.url} refuses a request (400): Bad manners."
    assert pieces == []


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (streams("Well, ", finish_reason=None), "No end came."),
        (streams("Well, ", {"error": {"message": "out of memory", "code": 500}}), "out of memory."),
        (streams("Well, ", {"error": "out of memory"}), "out of memory."),
    ],
)
async def test_a_reply_that_breaks_off(server: Loopback, engine: Engine, act: Act, said: str) -> None:
    server.act = act
    error, pieces = await failure(engine)
    assert isinstance(error, EngineError)
    assert str(error) == f"The server at {server.url} broke a reply off: {said}"
    assert pieces == ["Well, "]
    assert len(server.posts) == 1


async def test_a_connection_that_breaks_off(server: Loopback, engine: Engine) -> None:
    def act(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Type", "text/event-stream")
        exchange.send_header("Content-Length", "100000")
        exchange.end_headers()
        exchange.send_event(chunk("Well, "))
        exchange.close_connection = True

    server.act = act
    error, pieces = await failure(engine)
    assert str(error) == f"The server at {server.url} broke a reply off: Connection error."
    assert pieces == ["Well, "]


async def test_too_long_a_prompt_said_in_the_stream(server: Loopback, engine: Engine) -> None:
    """As SGLang does."""
    message = "The input is longer than the model's context length."
    server.act = streams({"error": {"message": message, "code": 400}})
    assert isinstance((await failure(engine))[0], PromptTooLongError)


@pytest.mark.parametrize(
    "act",
    [
        says("Well."),
        streams(finish_reason=None),
        streams("<html>", finish_reason=None),
        lambda exchange: exchange.send("<html>Welcome</html>", Content_Type="text/html"),
        lambda exchange: exchange.send("data: <html>\n\n", Content_Type="text/event-stream"),
    ],
)
async def test_what_is_no_stream(server: Loopback, engine: Engine, act: Act) -> None:
    server.act = act
    error, _ = await failure(engine)
    assert isinstance(error, EngineError)
    assert str(error).startswith(f"What the server at {server.url} sent is no chat completion.") or (
        "broke a reply off" in str(error)
    )


async def test_a_stream_that_is_cancelled_is_hung_up(server: Loopback, engine: Engine) -> None:
    assert isinstance(engine, StreamingEngine)
    withdrawn = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.send_event(chunk("Well, "))
        if exchange.wait_for_disconnect():
            withdrawn.set()

    server.acts = [endless]
    server.act = says("Well.")
    said = asyncio.Event()
    task = asyncio.create_task(engine.stream(ask(), lambda piece: said.set()))
    await asyncio.wait_for(said.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(withdrawn.wait, 10)
    assert (await engine.generate(ask())).text == "Well."


async def test_closing_fails_a_stream(server: Loopback, engine: Engine) -> None:
    assert isinstance(engine, StreamingEngine)

    def endless(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.send_event(chunk("Well, "))
        exchange.wait_for_disconnect()

    server.act = endless
    said = asyncio.Event()
    task = asyncio.create_task(engine.stream(ask(), lambda piece: said.set()))
    await asyncio.wait_for(said.wait(), 10)
    await asyncio.to_thread(engine.close)
    with pytest.raises(EngineError, match="closed"):
        await task


async def test_a_request_that_is_cancelled_before_its_turn_is_never_sent(
    server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONOPOLYLOGUE_CONCURRENCY", "1")
    arrived, may = threading.Event(), threading.Event()

    def wait(exchange: Exchange) -> None:
        arrived.set()
        assert may.wait(20)
        says("Well.")(exchange)

    server.acts = [wait]
    engine = connect(server)
    first = asyncio.create_task(engine.generate(ask("first")))
    assert await asyncio.to_thread(arrived.wait, 10)
    queued = [asyncio.create_task(engine.generate(ask("queued"))) for _ in range(3)]
    await asyncio.sleep(0.05)
    for task in queued:
        task.cancel()
    await asyncio.wait(queued)
    may.set()
    assert (await first).text == "Well."
    assert (await engine.generate(ask("last"))).text == "Well."
    assert [post.body["messages"][0]["content"] for post in server.posts] == ["first", "last"]


async def test_a_request_that_is_cancelled_between_two_tries_is_not_tried_again(
    server: Loopback, engine: Engine
) -> None:
    refused = threading.Event()

    def refuse(exchange: Exchange) -> None:
        refuses(503, Retry_After="0.6")(exchange)
        refused.set()

    server.acts = [refuse]
    task = asyncio.create_task(engine.generate(ask()))
    assert await asyncio.to_thread(refused.wait, 10)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.8)
    assert len(server.posts) == 1
