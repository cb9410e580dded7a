"""Many scenes at once: each ends as a record or as a failure with a name, whatever the engine does."""

import asyncio
import dataclasses
import pickle

import pytest

from graph.batch import run_batch
from graph.plan import Job
from graph.play import play
from graph.player import Player, ReplayInterruptedError
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.errors import (
    EngineError,
    EngineGoneError,
    ExportError,
    InputError,
    PromptTooLongError,
    ReplyError,
    TooManyFailuresError,
)
from scene.export import Failure
from scene.record import SceneRecord
from scene.settings import MAX_QUESTION_CHARS, SceneSettings
from scene.tables.questions import Question
from tests.exported import record
from tests.graph.test_replay import FINAL, cautious
from tests.scripted_scene import player as engine_playing
from tests.scripted_scene import prompt_of, scene_script, user_text

SMALL = SceneSettings(roles=1, steps=2, max_interactions=1, seed=5)


def job(number: int, **changes) -> Job:
    question = Question(id=f"q{number}", text=f"Question {number}?", kind="helpful")
    return Job(id=f"{number:016x}", question=question, settings=SMALL, **changes)


class Watching:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.running = self.most = self.calls = 0
        self.ended_ids: list[str | None] = []

    def began(self, job) -> None:
        self.running += 1
        self.most = max(self.most, self.running)

    def spent(self, job, cost) -> None:
        self.calls += 1

    def ended(self, job, outcome) -> None:
        self.running -= 1
        self.ended_ids.append(outcome and outcome.id)


class Acting(ScriptedEngine):
    """Plays the script, but for requests about which `act` has something else to say."""

    def __init__(self, act, script=scene_script) -> None:
        super().__init__(script)
        self._act = act

    async def generate(self, request: GenerationRequest) -> Completion:
        await self._act(request, "".join(message.content for message in request.messages))
        return await super().generate(request)


async def outcomes(engine, jobs, *, concurrency=4, max_failures=None, watching=None, **options):
    kept = {}

    async def keep(outcome) -> None:
        await asyncio.sleep(0)
        assert outcome.id not in kept
        kept[outcome.id] = outcome

    watching = watching or Watching()
    try:
        await run_batch(
            jobs,
            Player(engine, **options),
            keep,
            watching,
            concurrency=concurrency,
            max_failures=max_failures,
        )
    finally:
        outcomes.kept = kept
    return kept


async def test_every_scene_is_played_once_and_as_it_is_alone():
    watching, engine = Watching(), engine_playing()
    kept = await outcomes(engine, map(job, range(9)), watching=watching)
    assert sorted(kept) == [job(number).id for number in range(9)]
    assert (watching.running, watching.most) == (0, 4)
    assert sorted(watching.ended_ids) == sorted(kept)
    assert watching.calls == sum(len(record.calls) for record in kept.values())

    from graph import build_graph
    from inference.chat_model import EngineChatModel

    graph = build_graph(EngineChatModel(engine=engine_playing()))
    alone = await play(graph, "Question 3?", model=engine.identity, settings=SMALL)
    together = kept[job(3).id]
    own = {"id", "question_id", "kind", "seconds", "cost", "calls"}
    assert together.model_dump(exclude=own) == alone.model_dump(exclude=own)
    assert (together.question_id, together.kind) == ("q3", "helpful")
    assert [call.completion for call in together.calls] == [call.completion for call in alone.calls]


@pytest.mark.parametrize("concurrency", [1, 3, 50])
async def test_concurrency_changes_nothing(concurrency):
    kept = await outcomes(engine_playing(), map(job, range(6)), concurrency=concurrency, keep_calls=False)
    assert all(record.calls is None for record in kept.values())
    assert [kept[job(n).id].answer for n in range(6)] == [
        record.answer for _, record in sorted((await outcomes(engine_playing(), map(job, range(6)))).items())
    ]


async def test_failed_replies_are_named():
    kept = await outcomes(engine_playing(plan="no plan"), [job(1)])
    (failure,) = kept.values()
    assert isinstance(failure, Failure)
    assert (failure.error, failure.node, failure.role, failure.turn) == (
        "ReplyError",
        "role_init",
        "r0",
        None,
    )
    assert failure.reason.startswith("plan: ")
    assert (failure.retries, failure.attempt, failure.seed) == (SMALL.retries, 0, 5)
    assert (failure.question_id, failure.question, failure.kind) == ("q1", "Question 1?", "helpful")


async def test_a_retry_plays_with_another_seed():
    kept = await outcomes(engine_playing(), [job(1, attempt=2)])
    assert kept[job(1).id].seed == 7


async def test_a_question_that_is_too_long_fails_alone():
    long = dataclasses.replace(job(1), question=Question(id="long", text="x" * (MAX_QUESTION_CHARS + 1)))
    kept = await outcomes(engine_playing(), [long, job(2)])
    assert (kept[job(1).id].error, type(kept[job(2).id])) == ("InputError", SceneRecord)


async def test_a_prompt_that_does_not_fit_names_the_call_and_the_lengths():
    def refuse(request: GenerationRequest) -> str:
        raise PromptTooLongError(900, 16, 512)

    kept = await outcomes(engine_playing(routing=refuse), [job(1)])
    (failure,) = kept.values()
    assert isinstance(failure, Failure)
    assert (failure.error, failure.node, failure.role, failure.turn, failure.retries) == (
        "PromptTooLongError",
        "modulator_routing",
        "r0",
        1,
        0,
    )
    assert failure.reason == (
        "A prompt of 900 tokens and a reply of up to 16 tokens do not fit the model's "
        "512-token context window; shorten the question or choose another model."
    )


async def test_a_server_that_refuses_everybody_ends_the_batch():
    async def act(request, text):
        raise InputError("The server wants another key.")

    with pytest.raises(InputError, match="wants another key"):
        await outcomes(Acting(act), map(job, range(4)))
    assert outcomes.kept == {}


async def test_a_mistake_of_ours_fails_one_scene_and_says_where():
    async def act(request, text):
        if "Question 1?" in text:
            raise KeyError("surprise")

    kept = await outcomes(Acting(act), [job(1), job(2)])
    assert kept[job(1).id].error == "KeyError"
    assert kept[job(1).id].reason.startswith("'surprise' (test_batch.py:")
    assert isinstance(kept[job(2).id], SceneRecord)


@pytest.mark.parametrize("error", [TimeoutError("no answer"), OSError(24, "Too many open files")])
async def test_an_error_of_the_system_fails_one_scene_while_the_engine_lives(error):
    async def act(request, text):
        if "Question 1?" in text:
            raise error

    kept = await outcomes(Acting(act), [job(1), job(2)])
    assert kept[job(1).id].error == type(error).__name__
    assert kept[job(1).id].reason.startswith(f"{error} (test_batch.py:")
    assert isinstance(kept[job(2).id], SceneRecord)


async def test_an_error_of_the_system_that_meets_everything_blames_no_scene():
    async def act(request, text):
        raise OSError(24, "Too many open files")

    with pytest.raises(EngineGoneError, match="no longer answers"):
        await outcomes(Acting(act), map(job, range(4)))
    assert outcomes.kept == {}


async def test_the_watchdog_gives_up_a_scene_that_never_ends():
    withdrawn = []

    async def act(request, text):
        if "Question 1?" in text:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                withdrawn.append(prompt_of(request))
                raise

    kept = await outcomes(Acting(act), map(job, range(4)), scene_seconds=1)
    assert kept[job(1).id].error == "TimeoutError"
    assert kept[job(1).id].reason == "the scene was given up after 1 seconds"
    assert withdrawn == ["respond"]
    assert sum(isinstance(outcome, SceneRecord) for outcome in kept.values()) == 3


async def test_an_engine_that_is_slower_than_a_scene_may_be_is_not_dead():
    async def act(request, text):
        await asyncio.sleep(0.2)

    kept = await outcomes(Acting(act), map(job, range(4)), scene_seconds=0.1)
    assert [failure.error for failure in kept.values()] == ["TimeoutError"] * 4


async def test_an_engine_that_hangs_ends_the_batch_without_blaming_scenes(monkeypatch):
    monkeypatch.setattr("graph.player.SIGN_OF_LIFE_SECONDS", 0.1)

    async def act(request, text):
        await asyncio.sleep(60)

    with pytest.raises(EngineGoneError, match="no longer answers"):
        await outcomes(Acting(act), map(job, range(4)), scene_seconds=0.1)
    assert outcomes.kept == {}


async def test_an_engine_that_dies_ends_the_batch_and_keeps_what_is_finished():
    async def act(request, text):
        if "Question 3?" in text:
            engine.close()
            raise EngineError("The worker was killed.")

    engine = Acting(act)
    with pytest.raises(
        EngineGoneError, match=r"^The engine died\. The (worker was killed|engine was closed)"
    ):
        await outcomes(engine, map(job, range(9)), concurrency=1)
    assert sorted(outcomes.kept) == [job(number).id for number in range(3)]
    assert all(isinstance(outcome, SceneRecord) for outcome in outcomes.kept.values())


def one_step_for_all():
    """One bad request fails everybody who shares the batch."""
    under_way: dict[asyncio.Future, bool] = {}

    async def act(request, text):
        bad = "Question 1?" in text
        failed = asyncio.get_running_loop().create_future()
        under_way[failed] = bad
        await asyncio.sleep(0)
        if bad:
            for other in under_way:
                if not other.done():
                    other.set_exception(EngineError("The step failed."))
        await asyncio.sleep(0)
        del under_way[failed]
        if failed.done():
            failed.result()

    return act


async def test_a_question_that_brings_the_engine_down_takes_no_others_with_it():
    watching = Watching()
    kept = await outcomes(Acting(one_step_for_all()), map(job, range(6)), watching=watching)
    assert watching.ended_ids.count(None) >= 2
    assert kept[job(1).id].error == "EngineError"
    assert [type(kept[job(number).id]) for number in (0, 2, 3, 4, 5)] == [SceneRecord] * 5


def replaying(text: str) -> bool:
    """Whether a request is about the final answer as the one to act on."""
    return f"<answer>\n{FINAL}" in text


def replays(act) -> Acting:
    """Plays scenes whose answers are all revised; `act` sees every request of a replay."""

    async def see(request, text):
        if replaying(text):
            await act(request, text)

    return Acting(see, cautious()._function)


@pytest.mark.parametrize(
    ("error", "named", "reason"),
    [
        (
            ReplyError("role_init", "r0", None, "plan: no plan"),
            ("ReplyError", "role_init", "r0"),
            "plan: no plan",
        ),
        (KeyError("surprise"), ("KeyError", None, None), "'surprise' (test_batch.py:"),
        (
            PromptTooLongError(9, 1, 8),
            ("PromptTooLongError", "role_init", "r0"),
            "A prompt of 9 tokens and a",
        ),
        (
            OSError(24, "Too many open files"),
            ("OSError", None, None),
            "[Errno 24] Too many open files (test_",
        ),
    ],
)
async def test_a_replay_that_fails_leaves_its_scene(error, named, reason):
    async def act(request, text):
        if "Question 1?" in text and prompt_of(request) == "plan":
            raise error

    kept = await outcomes(replays(act), [job(1), job(2)], verify=True)
    whole = await outcomes(replays(nothing), [job(1), job(2)], verify=True)
    broken, other = kept[job(1).id], kept[job(2).id]
    failed = broken.replay_failure
    assert (failed.error, failed.node, failed.role) == named
    assert failed.reason.startswith(reason)
    assert (broken.replay, broken.harms_removed) == (None, None)
    alike = {"replay", "replay_failure", "harms_removed", "seconds", "cost", "calls"}
    assert broken.model_dump(exclude=alike) == whole[job(1).id].model_dump(exclude=alike)
    assert SceneRecord.from_json(broken.to_json()) == broken
    assert (other.replay_failure, other.harms_removed) == (None, 1.0)


async def nothing(request, text) -> None:
    """Let it be played."""


async def test_a_replay_that_never_ends_is_given_up_and_its_scene_kept():
    async def act(request, text):
        await asyncio.sleep(60)

    kept = await outcomes(replays(act), [job(1)], verify=True, scene_seconds=1)
    assert kept[job(1).id].replay_failure.reason == (
        "the scene was given up after 1 seconds, its replay included"
    )


async def test_a_replay_that_brings_the_engine_down_is_put_off_without_its_scene():
    """Others in the batch suffer once and end whole; nobody's scene is played twice."""
    watching, engine = Watching(), replays(one_step_for_all())
    kept = await outcomes(engine, map(job, range(6)), watching=watching, verify=True)
    assert watching.ended_ids.count(None) >= 2
    failed = kept[job(1).id].replay_failure
    assert (failed.error, failed.reason) == ("EngineError", "The step failed.")
    assert [kept[job(number).id].harms_removed for number in (0, 2, 3, 4, 5)] == [1.0] * 5
    first = [one for one in engine.requests if one.messages[-1].content.startswith("Question")]
    assert len(first) == 6


async def test_an_engine_that_dies_in_a_replay_blames_no_scene():
    async def act(request, text):
        engine.close()
        raise EngineError("The worker was killed.")

    engine = replays(act)
    with pytest.raises(EngineGoneError, match="The worker was killed"):
        await outcomes(engine, [job(1)], verify=True)
    assert outcomes.kept == {}


def test_an_interrupted_replay_comes_out_of_another_process_with_its_scene():
    error = pickle.loads(pickle.dumps(ReplayInterruptedError("The step failed.", record(1))))
    assert (str(error), error.record) == ("The step failed.", record(1))


async def test_max_failures():
    def refuse(request):
        return None if "Question 0?" in user_text([request]) else "no plan"

    with pytest.raises(TooManyFailuresError, match="2 scenes failed"):
        await outcomes(engine_playing(plan=refuse), map(job, range(9)), concurrency=1, max_failures=2)
    assert len(outcomes.kept) <= 3


async def test_an_outcome_that_can_not_be_kept_ends_the_batch():
    async def keep(outcome):
        raise ExportError("The disk is full.")

    with pytest.raises(ExportError, match="disk is full"):
        await run_batch(map(job, range(9)), Player(engine_playing()), keep, Watching(), concurrency=3)
