"""Recorded scenes played again: the same scene, whatever the model generates."""

import zlib
from pathlib import Path

import pytest

import prompts
from benchmarks import replay
from benchmarks.measure import Metered
from benchmarks.tokens import Pieces, by_call, costs_of
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from nodes.role_init import DRAFTS, PLANS
from scene.record import Message, ModelCall, SceneRecord
from tests.scripted_scene import player

Facts = tuple[str, tuple[Message, ...], str, tuple[float, ...]]

WEIGHED = {"asked", "safe", "refusal", "stance", "effect"}

QUESTION = "May I cut my neighbour's tree?"


def likelihoods(request: GenerationRequest) -> list[float]:
    """Others in every prompt, so that an exchange is seen; none so sure that it refuses an act."""
    asked = request.messages[-1].content
    return [-(zlib.crc32(f"{asked}{choice}".encode()) % 997) / 1000 for choice in request.choices]


@pytest.fixture(params=[None, likelihoods], ids=["chosen", "weighed"])
async def played(request: pytest.FixtureRequest) -> SceneRecord:
    engine = player(request.param, situation=lambda asked: f"The asker is a tenant, {asked.seed} days late.")
    return await play(build_graph(EngineChatModel(engine=engine)), QUESTION, model=engine.identity)


def facts(call: ModelCall) -> Facts:
    return call.call, call.prompt, call.completion, call.likelihoods


async def test_replay_plays_the_recorded_scene(played: SceneRecord, tmp_path: Path) -> None:
    replay.save([replay.record(played)] * 2, tmp_path / "scenes.jsonl")
    scenes = replay.load(tmp_path / "scenes.jsonl")
    engine = Metered(ScriptedEngine(lambda request: "noise"))
    again = await replay.rehearse(engine, scenes, side_by_side=2)
    assert [record.events for record in again] == [played.events] * 2
    assert {record.answer for record in again} == {played.answer}
    assert played.calls
    for record in again:
        assert record.calls
        assert [facts(call) for call in record.calls] == [facts(call) for call in played.calls]
    assert engine.total.completion_tokens == 2 * 2 * len(played.calls)  # "noise" and an end, for both scenes
    assert 0 < engine.total.asked_seconds


async def test_replay_says_when_the_graph_has_changed(played: SceneRecord) -> None:
    scene = replay.record(played)
    short = replay.RecordedScene(scene.question, scene.replies[:-1])
    with pytest.raises(replay.ReplayError, match="record them anew"):
        await replay.rehearse(ScriptedEngine(lambda request: "noise"), [short], side_by_side=1)


async def test_generated_at_most_as_long_as_recorded(played: SceneRecord) -> None:
    scene = replay.record(played)
    engine = ScriptedEngine(lambda request: "noise")
    await replay.rehearse(engine, [scene], side_by_side=1)
    assert sorted(request.max_tokens for request in engine.requests) == sorted(
        reply.tokens for reply in scene.replies
    )


@pytest.mark.parametrize("played", [likelihoods], indirect=True)
def test_what_is_weighed_is_not_generated(played: SceneRecord) -> None:
    calls = by_call(costs_of([replay.record(played)], Pieces()))
    assert {name for name, cost in calls.items() if not cost["generated"]} == WEIGHED
    assert calls["asked"]["calls"] == DRAFTS + PLANS
    beginning = sum(
        len(Pieces().ids(said.content)) for said in prompts.load("asked").render({"situation": ""})
    )
    assert calls["asked"]["first"] - calls["asked"]["later"] > beginning


@pytest.mark.parametrize("played", [None], indirect=True)
def test_likelihoods_are_kept_where_choices_were_weighed(played: SceneRecord, tmp_path: Path) -> None:
    assert played.calls
    calls = (played.calls[0].model_copy(update={"likelihoods": (0.75, 0.25)}), *played.calls[1:])
    record = played.model_copy(update={"calls": calls})
    assert record.to_json().count("likelihoods") == 1
    assert SceneRecord.from_json(record.to_json()) == record
    replay.save([replay.record(record)], path := tmp_path / "scenes.jsonl")
    assert path.read_text().count("likelihoods") == 1
    (scene,) = replay.load(path)
    assert scene == replay.record(record)
    assert [reply.likelihoods for reply in scene.replies[:2]] == [(0.75, 0.25), ()]
