"""The scene as a part of something larger: a graph around it, a script, a notebook."""

import asyncio
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import nbformat
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from nbclient import NotebookClient

from graph import build_graph
from graph.build import STEPS_BESIDE, STEPS_PER_TURN
from graph.checkpoints import open_to_scenes
from inference.chat_model import EngineChatModel
from scene.errors import EngineError, InputError
from scene.settings import SceneSettings
from tests.paths import ROOT
from tests.scripted_scene import FailsOnce, asked, model, player

QUESTION = {"question": "How can I pay my rent later?"}
ON: RunnableConfig = {"configurable": {"thread_id": "1"}}
SMALL = SceneSettings(roles=2, steps=2)


class Talk(TypedDict, total=False):
    question: str
    answer: str
    verdict: str


@dataclass
class Theirs:
    """A context of somebody else's."""

    user: str
    steps: int = 2


def around(scene: Any, checkpointer: Any = None, context_schema: Any = None) -> CompiledStateGraph:
    """A graph with a scene in the middle."""
    graph = StateGraph(Talk, context_schema=context_schema)
    graph.add_node("scene", scene)
    graph.add_node("done", lambda state: {"answer": state["answer"].upper()})
    graph.add_edge(START, "scene")
    graph.add_edge("scene", "done")
    graph.add_edge("done", END)
    return graph.compile(checkpointer=checkpointer)


@pytest.mark.parametrize(
    ("schema", "context", "steps"),
    [
        (Theirs, Theirs("x"), 2),
        (None, {"user": "x"}, 3),
        (dict, {"user": "x", "steps": 4}, 4),
        (None, None, 3),
    ],
)
async def test_a_larger_graph_has_a_context_of_its_own(schema: Any, context: Any, steps: int) -> None:
    engine = player()
    graph = around(build_graph(EngineChatModel(engine=engine)), context_schema=schema)
    told = await graph.ainvoke(QUESTION, context=context)
    alone = await build_graph(model()).ainvoke(QUESTION, context=SceneSettings(steps=steps))
    assert told["answer"] == alone["answer"].upper()


@pytest.mark.parametrize(
    ("context", "limit", "sentence"),
    [
        (
            {"steps": 8, "max_interactions": 32},
            25,
            "recursion_limit is 25, and a scene with max_interactions=32 may need 101;",
        ),
        (None, 28, "recursion_limit is 28, and a scene with max_interactions=8 may need 29;"),
        ({"roles": "3"}, 99, "roles must be a whole number, not '3'."),
        ({"role": 3}, 99, "'role' is no setting; there are roles, "),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
async def test_what_cannot_be_played_is_said_before_anything_is(
    context: Any, limit: int, sentence: str, inside: bool
) -> None:
    engine = player()
    graph: Any = build_graph(EngineChatModel(engine=engine))
    graph = around(graph, context_schema=SceneSettings) if inside else graph
    with pytest.raises(InputError, match=re.escape(sentence)):
        await graph.ainvoke(QUESTION, {"recursion_limit": limit}, context=context)
    with pytest.raises(InputError, match=re.escape(sentence)):
        graph.invoke(QUESTION, {"recursion_limit": limit}, context=context)
    assert not engine.requests


async def test_the_limit_that_is_asked_for_is_enough() -> None:
    """Where each interaction takes a turn of its own, no scene takes more."""
    one_each = {"max_interactions": 5, "steps": 8}
    graph = build_graph(model(routing=lambda request: "yes, at home: nobody"))
    limit = STEPS_PER_TURN * 5 + STEPS_BESIDE
    steps = [step async for step in graph.astream(QUESTION, {"recursion_limit": limit}, context=one_each)]
    assert len(steps) == limit - 1


@pytest.mark.parametrize("opened", [True, False])
async def test_a_failure_in_a_part_is_resumed_from_a_file(tmp_path: Path, opened: bool, caplog: Any) -> None:
    """Also where the larger graph's checkpointer was not told of our types, and reads them as plain data."""
    engine = player(role_action=FailsOnce())
    scene = build_graph(EngineChatModel(engine=engine))
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints")) as saver:
        saver = open_to_scenes(saver) if opened else saver
        with pytest.raises(EngineError):
            await around(scene, saver).ainvoke(QUESTION, ON)
        told = await around(scene, saver).ainvoke(None, ON)
    assert told["answer"] == (await build_graph(model()).ainvoke(QUESTION))["answer"].upper()
    warned = [record for record in caplog.records if "deserialization" in record.message.lower()]
    assert not (opened and warned)


def test_a_script_invokes_it_without_a_loop(tmp_path: Path) -> None:
    whole = asyncio.run(build_graph(model()).ainvoke(QUESTION, context=SMALL))
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints")) as saver:
        graph = build_graph(model(), checkpointer=saver)
        assert graph.invoke(QUESTION, ON, context=SMALL) == whole
        assert graph.get_state(ON).values["outcome"] == whole["outcome"]
        *_, last = graph.stream(QUESTION, ON, context=SMALL, stream_mode="values")
        assert last["answer"] == whole["answer"]
    assert around(build_graph(model())).invoke(QUESTION)["answer"]


CELLS = (
    """
from graph import build_graph
from graph.build import STEPS_BESIDE, STEPS_PER_TURN
from scene.settings import SceneSettings
from tests.scripted_scene import model

scene = build_graph(model())
small = SceneSettings(roles=2, steps=2)
question = {"question": "How can I pay my rent later?"}
""",
    "told = scene.invoke(question, context=small)",
    "steps = [*scene.stream(question, context=small, stream_mode='updates')]",
    "awaited = await scene.ainvoke(question, context=small)",
    "print(told == awaited, next(iter(steps[-1])), told['outcome'])",
)


def test_a_notebook_invokes_it_in_its_cells() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert notebook.cells[-1].outputs[0].text == "True revise plan_finished\n"


def test_a_forked_process_invokes_it_too() -> None:
    graph, start = build_graph(model()), {"question": "Why?", "first_answer": "So."}
    graph.invoke(start, context=SceneSettings(roles=2, max_interactions=2))
    if (child := os.fork()) == 0:
        signal.alarm(20)
        graph.invoke(start, context=SceneSettings(roles=2, max_interactions=2))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_no_model_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="'gpt-4' is no chat model"):
        build_graph("gpt-4")  # type: ignore[arg-type]


def test_a_failure_in_a_synchronous_run_is_the_failure_itself() -> None:
    with pytest.raises(EngineError, match="gone"):
        build_graph(model(role_action=FailsOnce())).invoke(QUESTION)


async def test_when_one_call_of_a_node_fails_its_siblings_end() -> None:
    """The scene is over: nothing more is asked, and what was being answered is withdrawn."""
    engine = player(safe=FailsOnce())
    with pytest.raises(EngineError):
        await build_graph(EngineChatModel(engine=engine)).ainvoke(QUESTION)
    known = len(engine.requests)
    await asyncio.sleep(0.1)
    assert len(engine.requests) == known
    assert not asked(engine, "cast")


async def test_it_has_a_name_and_says_how_far_it_is() -> None:
    graph = build_graph(model())
    assert graph.name == "scene"
    told = [event async for event in graph.astream(QUESTION, context=SMALL, stream_mode="custom")]
    progress = [event["progress"] for event in told if "progress" in event]
    assert progress[0] == "the first answer"
    assert "turn 1, the Worried tenant acts" in progress
    assert {
        "node": "role_action",
        "role": "r0",
        "turn": 1,
        "progress": "turn 1, the Worried tenant acts",
    } in told


async def test_the_answers_are_streamed_word_by_word() -> None:
    streamed: dict[str, list[str]] = {"respond": [], "revise": []}
    places = set()
    graph = build_graph(model(), checkpointer=InMemorySaver())
    async for message, about in graph.astream(QUESTION, ON, context=SMALL, stream_mode="messages"):
        places.add((about["langgraph_node"], about["scene_node"], about["scene_role"]))
        if about["scene_prompt"] in streamed and message.text:
            streamed[about["scene_prompt"]].append(message.text)
    state = (await graph.aget_state(ON)).values
    assert {prompt: "".join(pieces) for prompt, pieces in streamed.items()} == {
        "respond": state["first_answer"],
        "revise": state["revision"],
    }
    assert min(map(len, streamed.values())) > 3
    assert ("role_action", "role_action", "r1") in places
