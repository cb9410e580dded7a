"""What `langgraph dev` serves in tests: the project's own entry, with a scripted model where it loads one.

It leaves notes in the folder STUDIO_NOTES: `loaded`, with a line for every time it was loaded, and
`prompts.jsonl`, with every prompt, the thread it came from, and how many scenes were under way.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from langgraph.config import get_config

import inference.loading
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from tests.scripted_scene import prompt_of, scene_script

NOTES = Path(os.environ["STUDIO_NOTES"])
TOGETHER = "all four of us"
"""Scenes with these words in their question wait in their first call until four are there."""

PATIENCE = 120
"""Seconds after which nobody waits any more."""


class Noting(ScriptedEngine):
    """Takes a moment for every reply, as a model does, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(scene_script)
        self._threads: list[str] = []
        self._four = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> Completion:
        thread = get_config()["configurable"]["thread_id"]
        self._threads.append(thread)
        try:
            await asyncio.to_thread(self._note, request, thread)
            await self._wait(request)
            return await super().generate(request)
        finally:
            self._threads.remove(thread)
            self.requests.clear()

    async def _wait(self, request: GenerationRequest) -> None:
        await asyncio.sleep(0.01)
        if prompt_of(request) == "respond" and TOGETHER in request.messages[-1].content:
            if len(set(self._threads)) == 4:
                self._four.set()
            try:
                await asyncio.wait_for(self._four.wait(), PATIENCE)
            except TimeoutError:
                self._four.set()

    def _note(self, request: GenerationRequest, thread: str) -> None:
        note = {
            "thread": thread,
            "prompt": prompt_of(request),
            "text": "\n".join(message.content for message in request.messages),
            "under_way": len(set(self._threads)),
        }
        with (NOTES / "prompts.jsonl").open("a", encoding="utf-8") as prompts:
            prompts.write(json.dumps(note) + "\n")


def load(*_: object, **__: object) -> ScriptedEngine:
    """Take a second on the disk."""
    with (NOTES / "loaded").open("a", encoding="utf-8") as mark:
        mark.write("loaded\n")
    time.sleep(1)
    return Noting()


inference.loading.load_engine = load

from graph.studio import scene  # noqa: E402, F401
