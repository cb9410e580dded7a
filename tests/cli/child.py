"""The command in a process of its own, with an engine as the first argument says.

Run from the root as `python -m tests.cli.child slow run "Why?"`, or by the fixture `commands`.
"""

import asyncio
import ctypes
import os
import sys
import threading
import time

import cli.work.loading
from cli.main import app
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.errors import EngineError
from tests.scripted_scene import prompt_of, scene_script


class Slow(ScriptedEngine):
    """Answers the first question at once and nothing after that."""

    async def generate(self, request: GenerationRequest) -> Completion:
        if prompt_of(request) != "respond":
            sys.stderr.write("asleep\n")
            await asyncio.sleep(60)
        return await super().generate(request)


class Stuck(Slow):
    """Its thread is inside a step that takes long, and closing waits for it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        super().close()
        self._thread.join()


class Gated(ScriptedEngine):
    """Answers the first question at once and the others once there is a file that GATE names."""

    async def generate(self, request: GenerationRequest) -> Completion:
        gate = os.environ["GATE"]
        shut = prompt_of(request) != "respond"
        while shut and not os.path.exists(gate):  # noqa: ASYNC110, ASYNC240  # another process makes the file
            await asyncio.sleep(0.01)
        return await super().generate(request)


class Noisy(ScriptedEngine):
    """Prints on standard output like a library that does not know better."""

    async def generate(self, request: GenerationRequest) -> Completion:
        sys.stdout.write("noise from Python\n")
        os.write(1, b"noise from a system call\n")
        ctypes.CDLL(None).puts(b"noise that C buffers")
        return await super().generate(request)


class Dead(ScriptedEngine):
    """Answers nothing any more."""

    async def generate(self, request: GenerationRequest) -> Completion:
        raise EngineError("gone")


class Other(ScriptedEngine):
    """Another model than that of all the others."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args, model_id="other")


KINDS = {
    "slow": Slow,
    "stuck": Stuck,
    "noisy": Noisy,
    "gated": Gated,
    "plain": ScriptedEngine,
    "dead": Dead,
    "other": Other,
}


def load(*args: object, **options: object) -> ScriptedEngine:
    if kind == "loading":
        sys.stderr.write("asleep\n")
        time.sleep(60)
    return KINDS[kind](scene_script)


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    cli.work.loading.load_engine = load
    app(prog_name="monopolylogue")
