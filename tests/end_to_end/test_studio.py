"""The real `make studio` server with a scripted model, used through LangGraph's own SDK as Studio does."""

import ast
import asyncio
import inspect
import io
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from textwrap import dedent
from types import FunctionType
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import BadRequestError

from graph.recorder import NODES
from nodes.role_init import PLANS
from tests.end_to_end.dev_server import PATIENCE, DevServer
from tests.paths import ROOT

pytestmark = pytest.mark.timeout(900)

HERE = Path(__file__).parent
QUESTION = {"question": "How can I pay my rent later?"}
ANOTHER = {"question": "May I read my son's diary?"}
TOGETHER = {"question": "How can all four of us pay our rent later?"}
SMALL = {"roles": 2, "steps": 2}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    folder = tmp_path_factory.mktemp("studio")
    graphs = {"scene": f"{HERE / 'scripted_studio.py'}:scene"}
    studio = DevServer(folder, graphs, STUDIO_NOTES=str(folder))
    studio.start()
    yield studio
    studio.stop()
    assert studio.complaints() == [], "something blocked the loop during the tests above"


@pytest.fixture
async def client(studio: DevServer) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=studio.url, timeout=PATIENCE) as client:
        yield client


def asked(studio: DevServer, *threads: str) -> list[dict]:
    """What the model was asked for some threads, oldest first."""
    notes = (studio.folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [note for note in map(json.loads, notes) if note["thread"] in threads]


def texts(notes: list[dict]) -> str:
    return "\n".join(note["text"] for note in notes)


async def on(client: LangGraphClient, thread: str, start: Any = None, **options: Any) -> dict:
    """Run to the next breakpoint; the state there."""
    options = {"interrupt_before": "*", "context": SMALL} | options
    await client.runs.wait(thread, "scene", input=start, **options)
    return await client.threads.get_state(thread)


async def stopped_before(client: LangGraphClient, node: str) -> tuple[str, dict]:
    """A scene that stands before a node for the first time, and its state."""
    thread = (await client.threads.create())["thread_id"]
    return thread, await on(client, thread, QUESTION, interrupt_before=[node])


async def to_the_end(client: LangGraphClient, thread: str, **options: Any) -> dict:
    return (await on(client, thread, interrupt_before=[], **options))["values"]


async def test_draws_the_graph(client: LangGraphClient) -> None:
    (assistant,) = await client.assistants.search()
    graph = await client.assistants.get_graph(assistant["assistant_id"])
    assert {node["id"] for node in graph["nodes"]} == {"__start__", *NODES, "__end__"}
    edges = {(edge["source"], edge["target"], edge.get("conditional", False)) for edge in graph["edges"]}
    assert edges == {
        ("__start__", "respond", False),
        ("respond", "role_init", False),
        ("role_init", "role_action", True),
        ("role_init", "summarize", True),
        ("role_action", "modulator_routing", False),
        ("modulator_routing", "modulator_update", False),
        ("modulator_update", "role_action", True),
        ("modulator_update", "summarize", True),
        ("summarize", "revise", False),
        ("revise", "__end__", False),
    }
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    inputs = {"question", "first_answer", "messages", "history", "system", "situation", "cast"}
    assert set(schemas["input_schema"]["properties"]) == inputs
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


async def test_a_second_question_on_a_thread_is_a_new_scene(client: LangGraphClient) -> None:
    """As in Studio's first minute: ask, read, ask something else; settings stay with the scene they began."""
    thread = (await client.threads.create())["thread_id"]
    await on(client, thread, QUESTION | {"first_answer": "Just don't pay."}, interrupt_before=[])
    state = await on(client, thread, ANOTHER, interrupt_before=["role_action"])
    assert state["values"]["first_answer"].startswith("Talk to your landlord")
    assert (state["values"]["turn"], state["values"]["events"]) == (1, [])
    end = await to_the_end(client, thread, context=None)
    assert end["settings"]["roles"] == SMALL["roles"]
    plain = (await client.threads.create())["thread_id"]
    assert (await on(client, plain, ANOTHER, interrupt_before=[]))["values"]["answer"] == end["answer"]


async def test_renamed_role_is_called_so_from_there_on(studio: DevServer, client: LangGraphClient) -> None:
    thread, state = await stopped_before(client, "modulator_update")
    before = asked(studio, thread)
    cast = state["values"]["cast"]
    assert cast[1]["name"] == "Retired landlord"
    cast[1]["name"] = "Grumpy landlady"
    await client.threads.update_state(thread, {"cast": cast}, as_node="modulator_routing")
    assert (await client.threads.get_state(thread))["next"] == ["modulator_update"]
    end = await to_the_end(client, thread)
    assert [role["name"] for role in end["cast"]][1] == "Grumpy landlady"
    later = asked(studio, thread)[len(before) :]
    assert {note["prompt"] for note in later} >= {"role_action", "routing", "consequence", "critique"}
    assert "etired landlord" in texts(before)
    assert "etired landlord" not in texts(later)
    acts = [note["text"] for note in later if note["prompt"] == "role_action"]
    assert all("You are the Grumpy landlady." in act for act in acts), "nobody else notices anything"


async def test_dropped_event_is_heard_of_no_more(studio: DevServer, client: LangGraphClient) -> None:
    usual = (await client.threads.create())["thread_id"]
    await on(client, usual, QUESTION, interrupt_before=[])
    thread, _ = await stopped_before(client, "modulator_update")
    values = (await on(client, thread))["values"]
    (event,), (consequence,) = values["events"], values["consequences"]
    assert values["inbox"] == {"r0": [], "r1": ["e0"], "r2": []}
    edit = {"events": [], "consequences": [], "inbox": {"r0": [], "r1": [], "r2": []}}
    await client.threads.update_state(thread, edit, as_node="modulator_update")
    assert (await client.threads.get_state(thread))["next"] == ["role_action"], (
        "nobody else has anything to do"
    )
    before = asked(studio, thread)
    end = await to_the_end(client, thread)
    later = asked(studio, thread)[len(before) :]
    told = texts(asked(studio, usual)[len(before) :])
    for text in (event["text"], consequence["text"]):
        assert text in told, "it is told of where it stays"
        assert text not in texts(later)
    ids = [event["id"] for event in end["events"]]
    assert len(set(ids)) == len(ids)
    assert end["outcome"] == "plan_finished"


async def test_replaced_first_answer_is_rehearsed(studio: DevServer, client: LangGraphClient) -> None:
    thread, state = await stopped_before(client, "role_init")
    before = asked(studio, thread)
    own = state["values"]["first_answer"]
    await client.threads.update_state(thread, {"first_answer": "Just wait."}, as_node="respond")
    assert (await to_the_end(client, thread))["first_answer"] == "Just wait."
    later = asked(studio, thread)[len(before) :]
    told = [note["prompt"] for note in later if "Just wait." in note["text"]]
    assert sorted(told) == [*["plan"] * PLANS, "stance"]
    assert "revise" in {note["prompt"] for note in later}
    assert own not in texts(later)


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
    assert [past for past in again if past["checkpoint"] in [one["checkpoint"] for one in history]] == history
    (old_end,) = (past for past in history if past["values"] == usual)
    reread = await client.threads.get_state(thread, checkpoint=old_end["checkpoint"])
    assert (reread["values"], reread["next"]) == (usual, [])


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


async def test_four_scenes_at_once(studio: DevServer, client: LangGraphClient) -> None:
    threads = [(await client.threads.create())["thread_id"] for _ in range(4)]

    async def scene(thread: str) -> dict:
        return (await on(client, thread, TOGETHER, interrupt_before=[]))["values"]

    first, *others = await asyncio.gather(*map(scene, threads))
    assert first["answer"]
    assert others == [first] * 3
    assert max(note["under_way"] for note in asked(studio, *threads)) == 4


def test_only_studio_and_this_machine_may_ask_from_a_browser(studio: DevServer) -> None:
    def allowed(origin: str) -> str | None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{studio.url}/threads", headers=asked)
        return answer.headers.get("access-control-allow-origin")

    for origin in ("https://smith.langchain.com", "http://localhost:3000", studio.url):
        assert allowed(origin) == origin
    for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
        assert allowed(origin) is None


async def test_threads_are_found_again_after_a_restart(studio: DevServer, client: LangGraphClient) -> None:
    thread, before = await stopped_before(client, "modulator_update")
    studio.stop()
    studio.start()
    async with get_client(url=studio.url, timeout=PATIENCE) as later:
        after = await later.threads.get_state(thread)
        assert (after["next"], after["values"]) == (before["next"], before["values"])
        assert (await to_the_end(later, thread))["outcome"] == "plan_finished"


async def test_model_is_loaded_once_a_start(studio: DevServer, client: LangGraphClient) -> None:
    for _ in range(2):
        await stopped_before(client, "role_init")
    assert (studio.folder / "loaded").read_text() == "loaded\n" * studio.starts


def test_sessions_in_the_document_are_what_a_server_says(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    sessions = re.findall(r"^ *```pycon\n(.*?)^ *```", document, re.DOTALL | re.MULTILINE)
    server = DevServer(tmp_path, {"scene": f"{HERE / 'recorded_studio.py'}:scene"})
    server.start()
    try:
        said = asyncio.run(repeated(server.url, list(map(dedent, sessions))))
    finally:
        server.stop()
    assert said == list(map(dedent, sessions))


async def repeated(url: str, sessions: list[str]) -> list[str]:
    """The statements of some sessions, really run one after the other, with what a console shows of them."""
    shown: list[str] = []
    async with get_client(url=url) as client:
        names: dict[str, Any] = {"client": client}
        for session in sessions:
            shown.append("")
            for statement in re.findall(r"^>>> .*\n(?:\.\.\. .*\n)*", session, re.MULTILINE):
                source = re.sub(r"^(>>>|\.\.\.) ", "", statement, flags=re.MULTILINE)
                code = compile(source, "<session>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                with redirect_stdout(io.StringIO()) as said:
                    result = FunctionType(code, names)()
                    if inspect.iscoroutine(result):
                        await result
                shown[-1] += statement + said.getvalue()
    return shown


@pytest.mark.model
async def test_tiny_model_is_loaded_once_and_blocks_nothing(tmp_path: Path) -> None:
    """Two scenes at once, as far as the cast: the tiny model may fail to name one."""
    studio = DevServer(
        tmp_path,
        {"scene": f"{HERE / 'counted_studio.py'}:scene"},
        STUDIO_NOTES=str(tmp_path),
        MONOPOLYLOGUE_MODEL="tiny",
        **{key: value for key, value in os.environ.items() if key == "MONOPOLYLOGUE_CACHE"},
    )
    studio.start()
    try:
        async with get_client(url=studio.url, timeout=PATIENCE) as client:
            threads = [(await client.threads.create())["thread_id"] for _ in range(2)]
            context = SMALL | {"answer_tokens": 32, "text_tokens": 16, "retries": 0}
            options = {"context": context, "interrupt_before": ["role_action"], "raise_error": False}
            run = client.runs.wait
            ended = await asyncio.gather(
                *(run(thread, "scene", input=QUESTION, **options) for thread in threads)
            )
            states = [await client.threads.get_state(thread) for thread in threads]
    finally:
        studio.stop()
    assert all(state["values"]["first_answer"] for state in states)
    for values in ended:
        assert values.get("__error__", {}).get("error") in (None, "ReplyError")
    assert (tmp_path / "loaded").read_text() == "tiny\n"
    assert studio.complaints() == []
