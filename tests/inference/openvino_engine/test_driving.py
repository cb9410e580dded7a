"""How the OpenVINO engine drives its pipeline: who waits, who fails, who starts again. No model."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from inference.engine import ChatMessage, Completion, GenerationRequest
from inference.openvino_engine import engine as openvino_engine
from inference.openvino_engine.engine import OpenVINOEngine
from scene.errors import EngineError, InputError
from scene.nouns import ModelIdentity
from tests.inference.openvino_engine.fake_openvino import BLOCK, FakePipeline

SHARED = "s" * 5 * BLOCK


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    pipeline = FakePipeline()
    monkeypatch.setattr(openvino_engine, "OpenVINOPipeline", lambda *arguments: pipeline)
    return pipeline


@pytest.fixture
def engine(pipeline: FakePipeline) -> Iterator[OpenVINOEngine]:
    identity = ModelIdentity(id="fake", revision=None, engine="openvino")
    engine = OpenVINOEngine(Path(), identity, context_tokens=10_000)
    yield engine
    engine.close()


def ask(text: str, **settings: object) -> GenerationRequest:
    return GenerationRequest(messages=(ChatMessage("user", text),), **{"max_tokens": 4, **settings})


async def outcomes(engine: OpenVINOEngine, *requests: GenerationRequest) -> list[Completion | BaseException]:
    return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)


class Hold:
    """Holds a pipeline's step up, counted from one."""

    def __init__(self, pipeline: FakePipeline, at: int) -> None:
        self._reached, self._released = threading.Event(), threading.Event()
        step = pipeline.step

        def held() -> None:
            if pipeline.steps + 1 == at:
                self._reached.set()
                assert self._released.wait(20)
            step()

        pipeline.step = held  # type: ignore[method-assign]

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 20)

    def release(self) -> None:
        self._released.set()


# --- warming ---


async def test_a_crowd_computes_what_it_shares_once(engine: OpenVINOEngine, pipeline: FakePipeline) -> None:
    crowd = [ask(SHARED + letter * BLOCK) for letter in "abcdefgh"]
    done = await outcomes(engine, *crowd)
    assert all(isinstance(each, Completion) for each in done)
    times = Counter(pipeline.computed)
    assert len(times) == 5 + len(crowd)
    assert set(times.values()) == {1}


async def test_choices_over_one_text_compute_it_once(engine: OpenVINOEngine, pipeline: FakePipeline) -> None:
    shapes = [{"choices": ("yes", "no")}, {"choices": ("xx", "xy")}, {"pattern": "[a-z]+"}]
    asked = [ask(SHARED + letter * BLOCK, **shape) for letter, shape in zip("abc", shapes, strict=True)]
    done = await outcomes(engine, *asked)
    assert [each.cached_tokens for each in done] == [0, 5 * BLOCK, 5 * BLOCK]
    assert len(pipeline.computed) == len(set(pipeline.computed)) == 5 + len(asked)


async def test_what_was_cached_is_said(engine: OpenVINOEngine) -> None:
    first, second = await outcomes(engine, ask(SHARED + "a"), ask(SHARED + "b"))
    assert (first.cached_tokens, second.cached_tokens) == (0, 5 * BLOCK)
    (again,) = await outcomes(engine, ask(SHARED))
    assert again.cached_tokens == 5 * BLOCK - 1, "the last token of a prompt is always computed"


async def test_a_choice_is_over_once_only_one_is_left(engine: OpenVINOEngine) -> None:
    """The pipeline says "x" again and again."""
    (choice,) = await outcomes(engine, ask("?", choices=("xxyes", "xxxno"), max_tokens=9))
    assert (choice.text, choice.completion_tokens, choice.finish_reason) == ("xxxno", 3, "stop")


async def test_nobody_waits_for_a_request_that_was_cancelled(engine: OpenVINOEngine) -> None:
    first = asyncio.create_task(engine.generate(ask(SHARED + "a", max_tokens=9_000)))
    second = asyncio.create_task(engine.generate(ask(SHARED + "b")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).completion_tokens == 4
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_fails_those_who_wait(engine: OpenVINOEngine, pipeline: FakePipeline) -> None:
    long = ask("s" * 200 * BLOCK)
    tasks = [asyncio.create_task(engine.generate(long)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.to_thread(engine.close)
    for task in tasks:
        with pytest.raises(EngineError, match="closed"):
            await task


# --- patterns that do not compile ---


async def test_a_bad_pattern_fails_the_request_that_brought_it(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    free, bad, good, worse = await outcomes(
        engine,
        ask("free", max_tokens=50),
        ask("bad", pattern="bad"),
        ask("good", pattern="good"),
        ask("worse", pattern="even bad"),
    )
    assert free.completion_tokens == 50
    assert good.completion_tokens == 4
    for error in (bad, worse):
        assert isinstance(error, InputError)
        assert str(error) == "The reply's shape can't be enforced: Bad is not supported yet."


async def test_a_pattern_is_refused_once_and_remembered(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    for _ in range(3):
        (error,) = await outcomes(engine, ask("bad", pattern="bad"))
        assert isinstance(error, InputError)
    assert pipeline.probed == ["bad"]


async def test_what_is_remembered_is_bounded(
    engine: OpenVINOEngine, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "REFUSED_KEPT", 2)
    for name in ("bad 1", "bad 2", "bad 3", "bad 1"):
        await outcomes(engine, ask("x", pattern=name))
    assert pipeline.probed == ["bad 1", "bad 2", "bad 3", "bad 1"]


async def test_those_who_waited_behind_a_bad_pattern_get_through(engine: OpenVINOEngine) -> None:
    first, second, third = await outcomes(
        engine, ask(SHARED + "a", pattern="bad"), ask(SHARED + "b"), ask(SHARED + "c")
    )
    assert isinstance(first, InputError)
    assert second.completion_tokens == third.completion_tokens == 4


async def test_a_choice_that_starts_again_starts_from_nothing(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    choices = ("x" * 9 + "yes", "x" * 9 + "no")
    choice, bad = await outcomes(
        engine, ask("choice", choices=choices, max_tokens=6), ask("b" * 4 * BLOCK, pattern="bad")
    )
    assert isinstance(bad, InputError)
    assert pipeline.steps > 6, "the choice was begun when the pattern failed"
    assert (choice.text, choice.completion_tokens) == ("x" * 6, 6)


async def test_a_schema_that_no_pattern_can_follow(engine: OpenVINOEngine) -> None:
    for schema in ({"type": "nosuch"}, {"$ref": "#/nowhere"}, {"not": {}}, {"enum": [object()]}):
        wrong, right = await outcomes(engine, ask("x", schema=schema), ask("y", schema={"enum": ["y"]}))
        assert isinstance(wrong, InputError)
        assert "\n" not in str(wrong)
        assert right.completion_tokens == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RuntimeError("the processor is tired\nat line 7"), "the processor is tired"),
        (MemoryError("std::bad_alloc"), "std::bad_alloc"),
        (MemoryError(), "MemoryError"),
        (ValueError("no such shape"), "no such shape"),
        (IndexError("vector::_M_range_check"), "vector::_M_range_check"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "'utf-8' codec can't decode"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_any_other_failure_fails_who_was_in_the_step(
    engine: OpenVINOEngine, pipeline: FakePipeline, fault: Exception, said: str
) -> None:
    pipeline.fault = fault
    failed = await outcomes(engine, ask("one"), ask("two", pattern="good"))
    assert [type(error) for error in failed] == [EngineError] * 2
    assert all(str(error).startswith(f"OpenVINO failed: {said}") for error in failed)
    pipeline.fault = None
    (after,) = await outcomes(engine, ask("three"))
    assert after.completion_tokens == 4


async def test_who_can_not_join_is_the_only_one_to_fail(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    pipeline.refusing = MemoryError("std::bad_alloc")
    (refused,) = await outcomes(engine, ask("one"))
    assert str(refused) == "OpenVINO refused a request: std::bad_alloc"
    pipeline.refusing = None
    (after,) = await outcomes(engine, ask("two"))
    assert after.completion_tokens == 4


class UnheardOfError(Exception):
    """What nobody expects a library to raise."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_thread_that_ended(engine: OpenVINOEngine, pipeline: FakePipeline) -> None:
    pipeline.fault = UnheardOfError()
    for error in await outcomes(engine, ask("one"), ask("two")):
        assert isinstance(error, EngineError)
    (late,) = await outcomes(engine, ask("three"))
    assert isinstance(late, EngineError)


# --- streaming ---


async def test_the_text_is_told_while_it_grows(engine: OpenVINOEngine) -> None:
    pieces: list[str] = []
    completion = await engine.stream(ask("a", max_tokens=6), pieces.append)
    assert "".join(pieces) == completion.text == "x" * 6
    assert len(pieces) > 1
    assert completion == (await outcomes(engine, ask("a", max_tokens=6)))[0]


async def test_what_may_become_a_stop_string_is_not_told(engine: OpenVINOEngine) -> None:
    pieces: list[str] = []
    completion = await engine.stream(ask("a", max_tokens=6, stop=("xxxy",)), pieces.append)
    assert "".join(pieces) == completion.text == "x" * 6
    assert pieces[-1] == "xxxx", "three held back, and the last one"


async def test_nothing_is_read_where_nobody_listens(
    engine: OpenVINOEngine, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Mock(side_effect=pipeline.read)
    monkeypatch.setattr(pipeline, "read", read)
    await outcomes(engine, ask("a", max_tokens=50))
    assert read.call_count == 1, "in the end"


async def test_a_stream_that_starts_again_is_told_once(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    pieces: list[str] = []
    completion, bad = await asyncio.gather(
        engine.stream(ask("free", max_tokens=9), pieces.append),
        engine.generate(ask("b" * 4 * BLOCK, pattern="bad")),
        return_exceptions=True,
    )
    assert isinstance(bad, InputError)
    assert isinstance(completion, Completion)
    assert pipeline.steps > 9, "the stream was begun when the pattern failed"
    assert "".join(pieces) == completion.text == "x" * 9


async def test_a_failure_in_the_middle_comes_after_what_was_told(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    pieces: list[str] = []
    hold = Hold(pipeline, at=3)
    task = asyncio.create_task(engine.stream(ask("a"), pieces.append))
    await hold.reached()
    pipeline.fault = RuntimeError("the processor is tired")
    hold.release()
    with pytest.raises(EngineError, match="the processor is tired"):
        await task
    assert "".join(pieces) == "xx"
    pipeline.fault = None


# --- requests that leave ---


async def test_a_cancelled_stream_takes_its_handle_along(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    hold = Hold(pipeline, at=3)
    task = asyncio.create_task(engine.stream(ask("a", max_tokens=9), print))
    await hold.reached()
    task.cancel()
    await asyncio.wait([task])
    hold.release()
    await outcomes(engine, ask("b"))
    handle, _ = pipeline.joined
    assert handle.cancelled
    assert handle.made == 3


async def test_a_request_that_is_cancelled_before_it_joins_never_does(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    hold = Hold(pipeline, at=1)
    first = asyncio.create_task(engine.generate(ask(SHARED + "a")))
    await hold.reached()
    tasks = [asyncio.create_task(engine.generate(ask(text))) for text in ("other", SHARED + "b")]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    hold.release()
    await first
    await outcomes(engine, ask("last"))
    assert ["".join(map(chr, handle.prompt)) for handle in pipeline.joined] == [SHARED + "a", "last"]


async def test_a_request_that_is_cancelled_during_its_prefill_is_not_computed_on(
    engine: OpenVINOEngine, pipeline: FakePipeline
) -> None:
    hold = Hold(pipeline, at=3)
    task = asyncio.create_task(engine.generate(ask("s" * 9 * BLOCK)))
    await hold.reached()
    task.cancel()
    await asyncio.wait([task])
    hold.release()
    (again,) = await outcomes(engine, ask("s" * 9 * BLOCK))
    assert pipeline.joined[0].cancelled
    assert pipeline.joined[0].made == 0
    assert len(pipeline.computed) == 3 + 6, "the second one goes on where the first one left"
    assert (again.completion_tokens, again.cached_tokens) == (4, 0)
