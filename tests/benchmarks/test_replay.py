"""Recorded scenes played again: the same scene, whatever the model generates."""

from pathlib import Path

import pytest

from benchmarks import replay
from benchmarks.measure import Metered
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.scripted import ScriptedEngine
from scene.record import SceneRecord
from tests.scripted_scene import player

QUESTION = "May I cut my neighbour's tree?"


@pytest.fixture
async def played() -> SceneRecord:
    engine = player()
    return await play(build_graph(EngineChatModel(engine=engine)), QUESTION, model=engine.identity)


async def test_replay_plays_the_recorded_scene(played: SceneRecord, tmp_path: Path) -> None:
    replay.save([replay.record(played)] * 2, tmp_path / "scenes.jsonl")
    scenes = replay.load(tmp_path / "scenes.jsonl")
    engine = Metered(ScriptedEngine(lambda request: "noise"))
    again = await replay.rehearse(engine, scenes, side_by_side=2)
    assert [record.events for record in again] == [played.events] * 2
    assert {record.answer for record in again} == {played.answer}
    assert played.calls
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
