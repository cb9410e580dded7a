"""Many scenes in a row: the last ones cost what the first ones cost, in work, in time and in memory."""

import gc
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from graph.batch import run_batch
from graph.plan import plan
from graph.player import Player
from graph.store import ExportStore
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.export import Contents, Export
from scene.settings import SceneSettings
from scene.tables.questions import Question
from tests.exported import MODEL, manifest
from tests.paths import ROOT
from tests.scripted_scene import scene_script

OURS = f"{ROOT}/"
SMALL = SceneSettings(roles=1, steps=2, max_interactions=1)


class Forgetful(ScriptedEngine):
    """Does not keep what it was asked."""

    async def generate(self, request: GenerationRequest) -> Completion:
        completion = await super().generate(request)
        self.requests.clear()
        return completion


class Milestones:
    """Takes a reading at the beginning and after every so many scenes."""

    def __init__(self, every: int, read) -> None:
        self._every, self._read = every, read
        self._ended = 0
        self.readings = [read()]

    def began(self, job) -> None:
        pass

    def spent(self, job, cost) -> None:
        pass

    def ended(self, job, outcome) -> None:
        self._ended += 1
        if self._ended % self._every == 0:
            self.readings.append(self._read())

    def between(self, name: str) -> list[float]:
        """By how much a figure grew from each reading to the next."""
        figures = [reading[name] for reading in self.readings]
        return [after - before for before, after in pairwise(figures)]


def resident() -> float:
    """Resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def play_in_a_row(folder: Path, scenes: int, milestones: Milestones, at_once: int = 16) -> None:
    questions = [Question(id=f"{number:05}", text=f"Question {number:05}?") for number in range(scenes)]
    with ExportStore(folder) as store:
        store.begin(manifest(scenes))
        todo = plan(questions, SMALL, MODEL, store.contents)
        player = Player(Forgetful(scene_script))
        await run_batch(todo.jobs, player, store.keep, milestones, concurrency=at_once)
    assert sum(1 for _ in Export(folder).scenes()) == len(Contents.read(folder).done) == scenes


class Work:
    """Counts calls of our own functions while it is on; what runs them costs twice the time meanwhile."""

    def __init__(self) -> None:
        self.calls = 0
        self._readings = 0

    def read(self) -> dict[str, int]:
        """What was called, how much was read from files, and how many objects there are, in this process."""
        sys.setprofile(None)
        counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        gc.collect()
        found = {"calls": self.calls, "bytes": int(counters["rchar"]), "objects": len(gc.get_objects())}
        if self._readings in (1, 4):  # the first scenes import and fill caches
            sys.setprofile(self._count)
        self._readings += 1
        return found

    def _count(self, frame, event, argument) -> None:
        file = frame.f_code.co_filename
        self.calls += event == "call" and file.startswith(OURS) and "site-packages" not in file


async def test_work_and_memory_stay_flat(tmp_path):
    """Counted and not timed, and one after another, so that a busy machine changes nothing.

    The calls of a scene are the same to the last, so that few scenes tell: one more call for each scene
    before would make more than half a percent.
    """
    milestones = Milestones(25, Work().read)
    try:
        await play_in_a_row(tmp_path, 130, milestones, at_once=1)
    finally:
        sys.setprofile(None)
    _, early, _, _, late = milestones.between("calls")
    assert early
    assert late == pytest.approx(early, rel=0.005)
    assert max(milestones.between("bytes")[1:]) < 25_000, milestones.readings
    assert sum(milestones.between("objects")[1:]) < 10 * 100, milestones.readings  # ten a scene


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_ten_thousand_scenes(tmp_path, record_property):
    """The same by the clock, with a curve to quote."""

    def read() -> dict[str, float]:
        return {"processor": time.process_time(), "wall": time.perf_counter(), "megabytes": resident()}

    milestones = Milestones(1000, read)
    await play_in_a_row(tmp_path, 10_000, milestones)
    processor, megabytes = milestones.between("processor"), [one["megabytes"] for one in milestones.readings]
    for thousand, wall in enumerate(milestones.between("wall"), start=1):
        record_property(
            f"scenes to {thousand},000",
            f"{processor[thousand - 1]:.2f} ms of processor time and {wall:.2f} ms a scene, "
            f"{megabytes[thousand]:.0f} MB",
        )
    assert processor[-1] < 1.25 * processor[0], processor
    assert megabytes[-1] < megabytes[1] + 50, megabytes
