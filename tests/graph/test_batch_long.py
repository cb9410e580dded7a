"""Ten thousand scenes in a row: the last thousand cost what the first cost, in time and in memory."""

import time
from pathlib import Path

import pytest

from graph.batch import run_batch
from graph.plan import plan
from graph.player import Player
from graph.store import ExportStore
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.export import Contents, Export
from scene.questions import Question
from scene.settings import SceneSettings
from tests.exported import MODEL, manifest
from tests.scripted_scene import scene_script

SMALL = SceneSettings(roles=1, steps=2, max_interactions=1)


class Forgetful(ScriptedEngine):
    """Does not keep what it was asked."""

    async def generate(self, request: GenerationRequest) -> Completion:
        completion = await super().generate(request)
        self.requests.clear()
        return completion


class Milestones:
    """Notes memory and the processor's time after every so many scenes."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._ended = 0
        self.seconds = [time.process_time()]
        self.megabytes: list[float] = []

    def began(self, job) -> None:
        pass

    def spent(self, cost) -> None:
        pass

    def ended(self, job, outcome) -> None:
        self._ended += 1
        if self._ended % self._every == 0:
            self.seconds.append(time.process_time())
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.megabytes.append(pages * 4096 / 1e6)

    @property
    def paces(self) -> list[float]:
        """Seconds of processor time for each so many scenes."""
        return [after - before for before, after in zip(self.seconds, self.seconds[1:], strict=False)]


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_cost_and_memory_stay_flat(tmp_path):
    questions = [Question(id=str(number), text=f"Question {number}?") for number in range(10_000)]
    milestones = Milestones(every=1000)
    with ExportStore(tmp_path) as store:
        store.begin(manifest(len(questions)))
        todo = plan(questions, SMALL, MODEL, store.contents)
        engine = Forgetful(scene_script)
        await run_batch(todo.jobs, Player(engine), store.keep, milestones, concurrency=16)
    assert milestones.paces[-1] < 1.25 * milestones.paces[0], milestones.paces
    assert milestones.megabytes[-1] < milestones.megabytes[0] + 50, milestones.megabytes
    assert sum(1 for _ in Export(tmp_path).scenes()) == len(Contents.read(tmp_path).done) == 10_000
