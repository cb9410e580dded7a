"""Scenes under way outlive the process, call by call, and cost no row where they can't."""

import asyncio
import sqlite3
from contextlib import suppress

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from graph.plan import Job
from graph.player import Player
from graph.under_way import CHECKPOINTS, UnderWay, names_of
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.graph.test_batch import SMALL, job
from tests.graph.test_replay import cautious
from tests.scripted_scene import scene_script

WIDE = SceneSettings(roles=3, steps=2, max_interactions=4, seed=5)


class Mortal(ScriptedEngine):
    """Answers so many requests, and no more; says when everything waits for it."""

    def __init__(self, answers: int | None = None, script=scene_script) -> None:
        super().__init__(script, likelihoods=lambda request: [-1.0 for _ in request.choices])
        self.answered = 0
        self.silent = asyncio.Event()
        self._answers = answers

    async def generate(self, request: GenerationRequest) -> Completion:
        await asyncio.sleep(0)
        if self._answers is not None and self.answered >= self._answers:
            self.silent.set()
            await asyncio.Event().wait()
        self.answered += 1
        return await super().generate(request)


async def played(folder, engine, one: Job, *, verify=False, said=None) -> SceneRecord | None:
    """Play a scene, or go on with it, until it ends or the engine no longer answers."""
    player = Player(engine, verify=verify)
    said = [] if said is None else said
    async with UnderWay.opened(folder, names_of(one.id, one.attempt), said.append) as player.under_way:
        playing = asyncio.create_task(player.play(one))
        silent = asyncio.create_task(engine.silent.wait())
        await asyncio.wait([playing, silent], return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            for _ in range(20):  # until what was answered is on the disk
                await player.under_way.thread("another")
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
            return None
        silent.cancel()
        record = await playing
        await player.under_way.forget(one.id)
    return record


def whole(record: SceneRecord) -> dict:
    """All of a record but how long things took."""
    fields = record.model_dump(exclude={"seconds", "cost"})
    replay = fields["replay"] or {}
    calls = [*fields.pop("calls"), *(replay.pop("calls", None) or ())]
    replay.pop("seconds", None)
    replay.pop("cost", None)
    counts = {node: cost.calls for node, cost in record.cost.items()}
    return fields | {"told": [call | {"seconds": 0} for call in calls], "counts": counts}


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("settings", "verify", "script"),
    [(SMALL, False, scene_script), (WIDE, False, scene_script), (SMALL, True, cautious()._function)],
    ids=["small", "wide", "verify"],
)
async def test_a_scene_that_is_cut_off_after_any_call_asks_nothing_twice(
    tmp_path, settings, verify, script, every
):
    one = Job(id=job(1).id, question=job(1).question, settings=settings)
    engine = Mortal(script=script)
    straight = await played(tmp_path, engine, one, verify=verify)
    assert not (tmp_path / CHECKPOINTS).exists()
    for answers in range(0, engine.answered, every):
        first, second = Mortal(answers, script), Mortal(script=script)
        assert await played(tmp_path, first, one, verify=verify) is None
        record = await played(tmp_path, second, one, verify=verify)
        assert first.answered + second.answered == engine.answered
        assert whole(record) == whole(straight)
        assert list(tmp_path.iterdir()) == []


async def test_a_scene_that_is_cut_off_again_and_again(tmp_path):
    one = job(1)
    straight = await played(tmp_path, Mortal(), one)
    record, calls = None, 0
    while record is None:
        engine = Mortal(3)
        record = await played(tmp_path, engine, one)
        calls += engine.answered
    assert whole(record) == whole(straight)
    assert calls == len(straight.calls)
    assert record.seconds >= 0.9 * sum(cost.seconds for cost in record.cost.values())


@pytest.mark.parametrize("puts", range(0, 9, 4))
async def test_a_scene_that_is_cut_off_between_a_node_and_its_checkpoint(tmp_path, monkeypatch, puts):
    straight = await played(tmp_path, Mortal(), job(1))
    first, put = Mortal(), AsyncSqliteSaver.aput
    done = 0

    async def late(self, *arguments) -> RunnableConfig:
        nonlocal done
        done += 1
        if done <= puts:
            return await put(self, *arguments)
        first.silent.set()
        return {}

    monkeypatch.setattr(AsyncSqliteSaver, "aput", late)
    assert await played(tmp_path, first, job(1)) is None
    monkeypatch.undo()
    second = Mortal()
    assert whole(await played(tmp_path, second, job(1))) == whole(straight)
    assert second.answered + first.answered == len(straight.calls)


async def test_a_retry_of_a_scene_begins_anew(tmp_path):
    assert await played(tmp_path, Mortal(9), job(1)) is None
    engine = Mortal()
    record = await played(tmp_path, engine, job(1, attempt=1))
    assert engine.answered == len(record.calls)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all, but some text" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(3 * 4096) + path.read_bytes()[16384:]),
        lambda path: path.write_bytes(path.read_bytes()[:-5000]),
    ],
    ids=["text", "beginning", "hole", "cut off"],
)
async def test_a_damaged_file_is_dropped_with_one_line(tmp_path, damage):
    straight = await played(tmp_path, Mortal(), job(1))
    await played(tmp_path, Mortal(15), job(1))
    damage(tmp_path / CHECKPOINTS)
    engine, said = Mortal(), []
    record = await played(tmp_path, engine, job(1), said=said)
    (line,) = said
    assert line.startswith(f"{tmp_path / CHECKPOINTS} is damaged (")
    assert line.endswith(" and is dropped; its scenes are played from the beginning.")
    assert whole(record) == whole(straight)
    assert engine.answered == len(straight.calls)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checkpoints SET checkpoint = x'c1c1'",
        "UPDATE checkpoints SET checkpoint = x'90'",
        "UPDATE checkpoints SET metadata = 'x'",
        "UPDATE calls SET call = '{}'",
        "UPDATE calls SET call = '{'",
    ],
)
async def test_a_scene_that_can_not_be_read_is_dropped_alone(tmp_path, change):
    straight = await played(tmp_path, Mortal(), job(1))
    await played(tmp_path, Mortal(15), job(1))
    connection = sqlite3.connect(tmp_path / CHECKPOINTS)
    connection.execute(change)
    connection.commit()
    connection.close()
    engine, said = Mortal(), []
    record = await played(tmp_path, engine, job(1), said=said)
    (line,) = said
    assert f"holds of scene {job(1).id}.0 can't be read (" in line
    assert whole(record) == whole(straight)
    assert engine.answered == len(straight.calls)


async def test_a_full_disk_takes_no_scene_and_leaves_room(tmp_path, small_disk):
    disk = tmp_path / "disk"
    small_disk(disk, "120k")
    engine, said = Mortal(), []
    record = await played(disk, engine, job(1), said=said)
    (line,) = said
    assert line.startswith(f"{disk / CHECKPOINTS} can't be written (")
    assert len(record.calls) == engine.answered
    assert list(disk.iterdir()) == []


async def test_a_folder_that_can_not_be_written(tmp_path):
    said: list[str] = []
    engine = Mortal()
    record = await played(tmp_path / "absent", engine, job(1), said=said)
    assert len(record.calls) == engine.answered
    assert said[-1].endswith("; a kill would now cost the scenes under way.")


async def test_the_file_is_as_large_as_what_is_under_way(tmp_path):
    sizes = []
    jobs = [job(number) for number in range(5)]
    names = [name for one in jobs for name in names_of(one.id, 0)]
    player = Player(ScriptedEngine(scene_script))
    async with UnderWay.opened(tmp_path, names, print) as player.under_way:
        for one in jobs:
            record = await player.play(one)
            await player.under_way.forget(record.id)
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert max(sizes) < 2 * 2**20
