"""Runs command lines in processes of their own that may be killed, without importing everything each time.

Reads one order a line, as JSON; forks; writes the process id. An order says:

    arguments   the command line
    folder      where standard output and error go, `played`: the questions whose scenes began, `calls`: a
                line with + for every request and one with - for every reply, `processes`: those that an
                engine was loaded in, and `ended`: the exit code, once there is one
    pause       the longest time a reply takes, in seconds
    hang        a question whose replies never come
    die         a question at which the engine dies, unless the file `died` is there
    bad         questions whose scenes fail
    file_limit  the largest size a file may have, in bytes
    kill_write  kills itself in mid-write: [which write to scenes.jsonl, how many bytes of it get through]
    ray_forks   where a server listens that forks Ray's workers
"""

import asyncio
import gc
import json
import os
import random
import resource
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import inference.loading
import prompts
from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine
from tests.ray_forks import forked_workers
from tests.scripted_scene import prompt_of, scene_script


class Acting(ScriptedEngine):
    """Plays the script, late, and with the accidents that an order names."""

    def __init__(self, order: dict) -> None:
        super().__init__(scene_script)
        self._order = order
        self._folder = Path(order["folder"])
        with (self._folder / "processes").open("a") as file:
            file.write(f"{os.getpid()}\n")

    async def generate(self, request: GenerationRequest) -> Completion:
        order, said = self._order, request.messages[-1].content
        if prompt_of(request) == "respond" and not request.choices:  # a scene, and no sign of life
            with (self._folder / "played").open("a") as file:
                file.write(f"{said}\n")
            if said == order.get("die") and not (self._folder / "died").exists():
                (self._folder / "died").touch()
                self.close()
        call = f"{hash((request.seed, said)) & 0xFFFFFFFF:08x}"
        self._note_call(f"+{call}")
        await asyncio.sleep(60 if said == order.get("hang") else random.uniform(0, order.get("pause", 0)))
        completion = await super().generate(request)
        self._note_call(f"-{call}")
        self.requests.clear()
        if said in order.get("bad", ()):
            return Completion(text="", finish_reason="stop", prompt_tokens=1, completion_tokens=1)
        return completion

    def _note_call(self, line: str) -> None:
        with (self._folder / "calls").open("a") as file:
            file.write(f"{line}\n")


def kill_in_write(which: int, through: int) -> None:
    """Let so many bytes of one write through, and no more of anything."""
    real_write, count = os.write, 0

    def write(handle: int, data: memoryview) -> int:
        nonlocal count
        if not os.readlink(f"/proc/self/fd/{handle}").endswith("scenes.jsonl"):
            return real_write(handle, data)
        count += 1
        if count <= which:
            return real_write(handle, data)
        real_write(handle, data[: min(through, len(data) - 1)])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    os.write = write


def perform(order: dict) -> None:
    """Run one command line; never returns."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{order['folder']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if "file_limit" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], resource.RLIM_INFINITY))
    if "kill_write" in order:
        kill_in_write(*order["kill_write"])
    random.seed()
    cli.work.loading.load_engine = lambda *_, **__: Acting(order)
    code = 99
    forks = forked_workers(Path(order["ray_forks"])) if "ray_forks" in order else nullcontext()
    try:
        with forks:
            app(order["arguments"], prog_name="monopolylogue")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch(order: dict) -> None:
    """Fork a process that runs a command line, and note how it ends; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        perform(order)
    print(child, flush=True)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    note = Path(order["folder"], "ended.new")
    note.write_text(str(code))
    note.rename(note.with_name("ended"))
    os._exit(0)


if __name__ == "__main__":
    inference.loading.load_engine = None  # whoever loads a real model here fails

    import cli.work.exporting
    import cli.work.loading
    from cli.main import app

    for name in prompts.names():
        prompts.load(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not os.fork():
            watch(json.loads(line))
