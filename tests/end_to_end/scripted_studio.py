"""What `langgraph dev` serves in tests: the project's own entry, with a scripted model where it loads one."""

import asyncio
import os
import time

import inference.loading
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from tests.scripted_scene import scene_script


class Slow(ScriptedEngine):
    """Takes a moment for every reply, as a model does."""

    async def generate(self, request: GenerationRequest) -> Completion:
        await asyncio.sleep(0.01)
        completion = await super().generate(request)
        self.requests.clear()
        return completion


def load(*_: object, **__: object) -> ScriptedEngine:
    """Take a second on the disk, and leave a mark for every time."""
    with open(os.environ["LOADED_MARK"], "a", encoding="utf-8") as mark:
        mark.write("loaded\n")
    time.sleep(1)
    return Slow(scene_script)


inference.loading.load_engine = load

from graph.studio import scene  # noqa: E402, F401
