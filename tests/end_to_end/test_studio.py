"""The real `langgraph dev` with a scripted model, used through LangGraph's own SDK as Studio does.

Minutes of work for a small machine, so `pytest -m slow` runs it.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import BadRequestError

from graph.recorder import NODES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
QUESTION = {"question": "How can I pay my rent later?"}
SMALL = {"roles": 2, "steps": 2}


class Studio:
    """`langgraph dev` in a folder of its own, with the project's langgraph.json but for the model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
        served = ROOT / "tests" / "end_to_end" / "scripted_studio.py"
        checkpoints = {"path": str(ROOT / config["checkpointer"]["path"])}
        config |= {
            "checkpointer": checkpoints,
            "dependencies": [str(ROOT)],
            "graphs": {"scene": f"{served}:scene"},
        }
        (folder / "langgraph.json").write_text(json.dumps(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LOADED_MARK": str(self.folder / "loaded"),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        }
        program = [sys.executable, "-m", "langgraph_cli", "dev", "--host", "127.0.0.1", "--no-browser"]
        self._log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [*program, "--no-reload", "--port", str(self.port), "--n-jobs-per-worker", "4"],
            cwd=self.folder,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.said()
            try:
                if httpx.get(f"{self.url}/ok").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError(self.said())

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def said(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    studio.start()
    yield studio
    studio.stop()


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=studio.url) as client:
        yield client


async def on(client: LangGraphClient, thread: str, start: Any = None, **options: Any) -> dict:
    """Run to the next breakpoint; the state there."""
    options = {"interrupt_before": "*", "context": SMALL} | options
    await client.runs.wait(thread, "scene", input=start, **options)
    return await client.threads.get_state(thread)


async def stopped_before(client: LangGraphClient, node: str) -> tuple[str, dict]:
    """A scene that stands before a node, and its state."""
    thread = (await client.threads.create())["thread_id"]
    state = await on(client, thread, QUESTION)
    while state["next"] and state["next"][0] != node:
        state = await on(client, thread)
    return thread, state


async def to_the_end(client: LangGraphClient, thread: str, **options: Any) -> dict:
    return (await on(client, thread, interrupt_before=[], **options))["values"]


async def test_draws_the_graph(client: LangGraphClient) -> None:
    (assistant,) = await client.assistants.search()
    graph = await client.assistants.get_graph(assistant["assistant_id"])
    assert {node["id"] for node in graph["nodes"]} == {"__start__", *NODES, "__end__"}
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert set(schemas["input_schema"]["properties"]) == {"question", "first_answer"}
    assert "roles" in schemas["context_schema"]["properties"]


async def test_breakpoint_before_every_node(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    state = await on(client, thread, QUESTION)
    stops = []
    while state["next"]:
        stops.append(state["next"][0])
        assert len(json.dumps(state["values"])) < 20_000
        state = await on(client, thread)
    turn = ["role_action", "modulator_routing", "modulator_update"]
    assert stops == ["respond", "role_init", *turn * 3, "summarize", "revise"]
    assert state["values"]["answer"].startswith("Talk to your landlord")
    plain = (await client.threads.create())["thread_id"]
    assert (await on(client, plain, QUESTION, interrupt_before=[]))["values"] == state["values"]


async def test_renamed_role_is_called_so_from_there_on(client: LangGraphClient) -> None:
    thread, state = await stopped_before(client, "role_action")
    cast = state["values"]["cast"]
    cast[1]["name"] = "Grumpy landlady"
    await client.threads.update_state(thread, {"cast": cast}, as_node="role_init")
    assert (await client.threads.get_state(thread))["next"] == ["role_action"]
    end = await to_the_end(client, thread)
    assert [role["name"] for role in end["cast"]][1] == "Grumpy landlady"


async def test_dropped_event_is_not_there_and_no_id_comes_twice(client: LangGraphClient) -> None:
    thread, state = await stopped_before(client, "modulator_update")
    state = await on(client, thread)
    assert [event["id"] for event in state["values"]["events"]] == ["e0"]
    await client.threads.update_state(thread, {"events": [], "consequences": []}, as_node="modulator_update")
    end = await to_the_end(client, thread)
    ids = [event["id"] for event in end["events"]]
    assert len(set(ids)) == len(ids)
    assert end["outcome"] == "plan_finished"


async def test_replaced_first_answer_is_rehearsed(client: LangGraphClient) -> None:
    thread, _ = await stopped_before(client, "role_init")
    await client.threads.update_state(thread, {"first_answer": "Just wait."}, as_node="respond")
    assert (await to_the_end(client, thread))["first_answer"] == "Just wait."


async def test_wrong_edit_is_refused_and_mended_from_before(client: LangGraphClient) -> None:
    thread, before = await stopped_before(client, "modulator_routing")
    with pytest.raises(BadRequestError, match="Input should be a valid integer"):
        await client.threads.update_state(thread, {"turn": "soon"}, as_node="role_action")
    there = before["checkpoint"]
    await client.threads.update_state(thread, {"turn": 1}, as_node="role_action", checkpoint=there)
    assert (await to_the_end(client, thread))["outcome"] == "plan_finished"


async def test_back_in_the_history_and_fork(client: LangGraphClient) -> None:
    thread, _ = await stopped_before(client, "revise")
    usual = await to_the_end(client, thread)
    history = await client.threads.get_history(thread, limit=100)
    before = next(past for past in history if past["next"] == ["summarize"])
    forked = await client.threads.update_state(
        thread,
        {"question": "How can I pay my rent at all?"},
        checkpoint=before["checkpoint"],
        as_node="modulator_update",
    )
    end = await to_the_end(client, thread, checkpoint=forked["checkpoint"])
    assert end["question"] == "How can I pay my rent at all?"
    assert end["events"] == usual["events"]
    assert end["critique"] != usual["critique"]
    again = await client.threads.get_history(thread, limit=100)
    assert len(again) > len(history)


async def test_streams_updates_and_custom_events(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    updates: dict[str, set[str]] = {}
    replies: list[dict] = []
    modes = ["updates", "custom"]
    async for part in client.runs.stream(thread, "scene", input=QUESTION, context=SMALL, stream_mode=modes):
        assert part.event != "error", part.data
        if part.event == "updates":
            updates |= {node: set(changes) for node, changes in part.data.items()}
        elif part.event == "custom":
            replies.append(part.data)
    assert set(updates) == set(NODES)
    assert {"cast", "plan"} < updates["role_init"]
    assert {"events", "consequences", "inbox"} < updates["modulator_update"]
    assert {reply["node"] for reply in replies} == set(NODES)
    assert {"node": "respond", "role": None, "turn": None, "prompt": "respond", "attempt": 0} in replies


async def test_four_scenes_at_once(client: LangGraphClient) -> None:

    async def scene() -> dict:
        thread = (await client.threads.create())["thread_id"]
        return (await on(client, thread, QUESTION, interrupt_before=[]))["values"]

    first, *others = await asyncio.gather(*(scene() for _ in range(4)))
    assert first["answer"]
    assert others == [first] * 3


def test_only_studio_and_this_machine_may_ask_from_a_browser(studio: Studio) -> None:
    def allowed(origin: str) -> str | None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{studio.url}/threads", headers=asked)
        return answer.headers.get("access-control-allow-origin")

    for origin in ("https://smith.langchain.com", "http://localhost:3000", f"http://127.0.0.1:{studio.port}"):
        assert allowed(origin) == origin
    for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
        assert allowed(origin) is None


async def test_threads_are_found_again_after_a_restart(studio: Studio, client: LangGraphClient) -> None:
    thread, before = await stopped_before(client, "modulator_update")
    studio.stop()
    studio.start()
    async with get_client(url=studio.url) as later:
        after = await later.threads.get_state(thread)
        assert (after["next"], after["values"]) == (before["next"], before["values"])
        assert (await to_the_end(later, thread))["outcome"] == "plan_finished"


def test_nothing_blocked_the_loop_and_the_model_was_loaded_once_a_start(studio: Studio) -> None:
    """Comes last: it looks at what the server said during all of the above."""
    said = studio.said()
    for fault in ("BlockingError", "Blocking call", "Blocked deserialization", "unregistered type"):
        assert fault not in said
    assert (studio.folder / "loaded").read_text().count("loaded") == said.count("Application started up")
