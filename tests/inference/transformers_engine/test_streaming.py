"""Replies that are told while they are generated, and requests that leave in the middle."""

import asyncio

import pytest
import torch

from inference.pieces import before_stop
from scene.errors import EngineError
from tests.inference.tiny_llama import ask, engine
from tests.inference.transformers_engine.driving import (
    PIECES,
    Forwards,
    Hold,
    ask_together,
    crowd,
    gather,
    until,
)

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


async def streamed(made, request):
    """A completion and the pieces that it came in."""
    pieces = []
    completion = await made.stream(request, pieces.append)
    return completion, pieces


async def all_streamed(made, requests):
    return await asyncio.gather(*(streamed(made, request) for request in requests))


def test_several_streams_are_what_they_would_be_unstreamed(model, words):
    requests = [ask(f"Tell {i}", 10 + i, temperature=1.0, seed=i) for i in range(6)]
    requests += [ask("Greedy", 30), ask("Long " * 40, 20)]
    made = engine(model, words)
    try:
        whole = asyncio.run(gather(made, requests))
        aloud = asyncio.run(all_streamed(made, requests))
    finally:
        made.close()
    for (completion, pieces), expected in zip(aloud, whole, strict=True):
        assert "".join(pieces) == completion.text == expected.text
        assert (completion.finish_reason, completion.prompt_tokens, completion.completion_tokens) == (
            expected.finish_reason,
            expected.prompt_tokens,
            expected.completion_tokens,
        )
        assert all(REPLACEMENT not in piece for piece in pieces[:-1])
    assert max(len(pieces) for _, pieces in aloud) > 5


@pytest.mark.parametrize(
    "text", ["Grüße an alle, 😀 und 👩‍👩‍👧!", "日本語 is Japanese", "no, yes\n\n- one\n"]
)
def test_characters_come_whole(spelling, text):
    made = spelling(text)
    ((completion, pieces),) = asyncio.run(all_streamed(made, [ask("Say it.", 100)]))
    assert "".join(pieces) == completion.text == text
    assert completion.finish_reason == "stop"
    assert not any(REPLACEMENT in piece for piece in pieces)
    assert len(pieces) > 5


@pytest.mark.parametrize("cap", range(1, 12))
def test_a_cap_in_the_middle_of_a_character(spelling, cap):
    made = spelling("ab😀é☃c")
    request = ask("Say it.", cap)
    (plain,) = asyncio.run(gather(made, [request]))
    ((completion, pieces),) = asyncio.run(all_streamed(made, [request]))
    assert "".join(pieces) == completion.text == plain.text
    assert completion.completion_tokens == cap


@pytest.mark.parametrize("stop", [("xyz", "never"), ("ab ab",), ("😀",), ("b 😀 a", "b 😀 b"), ("a",), ("",)])
def test_nothing_of_a_stop_string_is_told(spelling, stop):
    text = "xy ab a ab ab 😀 xyz"
    made = spelling(text)
    request = ask("Say it.", 100, stop=stop)
    (plain,) = asyncio.run(gather(made, [request]))
    ((completion, pieces),) = asyncio.run(all_streamed(made, [request]))
    assert "".join(pieces) == completion.text == plain.text
    if all(stop):
        assert completion.text == before_stop(text, stop)


def test_an_error_in_the_middle_comes_after_what_was_told(model, words, monkeypatch):
    def spoil(forwards):
        if len(forwards.rows) == 8:
            raise RuntimeError("the matrix is upset")

    made = engine(model, words)
    Forwards(model, monkeypatch, spoil)
    pieces = []
    try:
        with pytest.raises(EngineError, match="the matrix is upset"):
            asyncio.run(made.stream(ask("Tell", 40), pieces.append))
    finally:
        made.close()
    assert pieces


def test_what_is_generated_again_is_told_once(model, words, monkeypatch):
    requests = [ask(f"Tell {i}", 20, temperature=1.0, seed=i) for i in range(4)]

    def spoil(forwards):
        if len(forwards.rows) == 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    made = engine(model, words)
    try:
        whole = asyncio.run(gather(made, requests))
        Forwards(model, monkeypatch, spoil)
        aloud = asyncio.run(all_streamed(made, requests))
    finally:
        made.close()
    assert ["".join(pieces) for _, pieces in aloud] == [one.text for one in whole]


def test_nothing_is_decoded_where_nobody_listens(model, words, monkeypatch):
    made = engine(model, words)
    rows = []
    original = made._row
    monkeypatch.setattr(made, "_row", lambda flight: rows.append(original(flight)) or rows[-1])
    try:
        asyncio.run(gather(made, [ask("Tell", 5)]))
    finally:
        made.close()
    assert [row._stream for row in rows] == [None]


def test_a_stream_that_is_cancelled_leaves_the_batch(model, words, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    made = engine(model, words)

    async def scene():
        said = asyncio.Event()
        task = asyncio.create_task(made.stream(ask("Tell", 400), lambda piece: said.set()))
        await said.wait()
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: not made._batch.busy and not made._flights)

    try:
        asyncio.run(scene())
        assert len(forwards.rows) < 400
    finally:
        made.close()


def test_a_request_that_is_cancelled_in_the_queue_never_starts(model, words, monkeypatch):
    hold = Hold()
    forwards = Forwards(model, monkeypatch, hold)
    made = engine(model, words)
    rows = []
    original = made._row
    monkeypatch.setattr(made, "_row", lambda flight: rows.append(original(flight)) or rows[-1])

    async def scene():
        first = asyncio.create_task(made.generate(ask("x", 1)))
        await until(hold.reached.is_set)
        tasks = [asyncio.create_task(made.stream(ask("Tell", 9), print)) for _ in range(3)]
        await until(lambda: made._arrivals.qsize() == 3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        hold.released.set()
        await first
        await until(lambda: made._arrivals.empty() and not made._batch.busy)

    try:
        asyncio.run(scene())
        assert len(forwards.rows) == 1
        assert len(rows) == 1
    finally:
        made.close()


def test_a_prompt_that_is_computed_in_pieces_is_given_up_between_two(model, words, monkeypatch):
    hold = Hold(at=lambda rows, width: width == 32)
    forwards = Forwards(model, monkeypatch, hold)
    made = engine(model, words, limits=PIECES)

    async def scene():
        task = asyncio.create_task(made.stream(ask("LETTER " * 40, 9), print))
        await until(hold.reached.is_set)
        task.cancel()
        await asyncio.wait([task])
        hold.released.set()
        await until(lambda: not made._batch.busy)

    try:
        asyncio.run(scene())
        assert forwards.shapes == [(1, 32)]
        assert not made._flights
    finally:
        made.close()


def test_of_those_who_wait_for_room_only_who_still_wants_to_starts(model, words, made, monkeypatch):
    hold = Hold()
    forwards = Forwards(model, monkeypatch, hold)

    async def scene():
        tasks = await ask_together(made, hold, crowd(12, max_tokens=30))
        await until(lambda: made._batch.waiting)
        for task in tasks[1:]:
            task.cancel()
        completion = await tasks[0]
        await until(lambda: not made._batch.busy)
        return completion

    assert asyncio.run(scene()).completion_tokens > 0
    assert not made._flights
    assert max(forwards.rows) <= PIECES.rows
