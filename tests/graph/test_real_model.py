"""The graph on the real tiny model. It can't play a scene well; the mechanics must hold all the same."""

import asyncio
from collections.abc import Callable

import pytest

from graph import build_graph
from graph.play import play
from graph.recorder import NODES
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.models.local import transformers_folder
from inference.models.sources import resolve
from scene.errors import ReplyError
from scene.record import SceneRecord
from scene.settings import SceneSettings

pytestmark = pytest.mark.model

SMALL = {"roles": 2, "steps": 2, "max_interactions": 4, "answer_tokens": 64, "text_tokens": 64, "retries": 1}
SHORT = SMALL | {"answer_tokens": 32, "text_tokens": 16, "retries": 0}


@pytest.fixture(params=["llama", "transformers"])
def engine(request: pytest.FixtureRequest, tiny_engine: Callable[[str], Engine]) -> Engine:
    return tiny_engine(request.param)


@pytest.mark.parametrize("size", [SHORT, pytest.param(SMALL, marks=pytest.mark.slow)], ids=["short", "small"])
async def test_scenes_side_by_side(engine: Engine, size: dict[str, int]) -> None:
    """Each ends with a record that holds together, or fails by name, as it may on so small a model.

    Short ones fail as soon as a reply is cut off: a matter of seconds, where small ones take half a minute.
    """
    graph = build_graph(EngineChatModel(engine=engine))
    questions = ["Can I feed bread to ducks?", "How do I leave a party early?"]
    scenes = await asyncio.gather(
        *(
            play(graph, question, model=engine.identity, settings=SceneSettings(seed=seed, **size))
            for seed, question in enumerate(questions)
        ),
        return_exceptions=True,
    )
    failed = [scene for scene in scenes if isinstance(scene, BaseException)]
    assert all(isinstance(failure, ReplyError) for failure in failed), failed
    assert {failure.node for failure in failed if isinstance(failure, ReplyError)} <= set(NODES)
    for scene in scenes:
        if isinstance(scene, SceneRecord):
            assert SceneRecord.from_json(scene.to_json()) == scene
            assert len(scene.cast) == 3
            assert len(scene.plan) == 2
            assert all(event.text.startswith("I ") for event in scene.events)
            assert sum(cost.completion_tokens for cost in scene.cost.values()) > 100


async def test_the_first_answer_streams(engine: Engine) -> None:
    """Token by token, what a scene that nobody watches has."""
    graph = build_graph(EngineChatModel(engine=engine))
    asked = {"input": {"question": "Can I feed bread to ducks?"}, "interrupt_after": ["respond"]}
    pieces, state = [], {}
    async for mode, part in graph.astream(
        **asked, context=SceneSettings(**SMALL), stream_mode=["messages", "values"]
    ):
        if mode == "messages":
            pieces.append(part)
        else:
            state = part
    assert {metadata["langgraph_node"] for _, metadata in pieces} == {"respond"}
    assert len(pieces) > 10
    said = "".join(chunk.text for chunk, _ in pieces)
    assert said.startswith(state["first_answer"].split(".")[0])
    last, _ = pieces[-1]
    assert last.usage_metadata["output_tokens"] > 10
    assert last.response_metadata["finish_reason"] in ("stop", "length")


async def test_chat_hugging_face_is_put_behind_the_engine() -> None:
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

    pipeline = HuggingFacePipeline.from_model_id(
        str(transformers_folder(resolve("tiny"))), "text-generation", model_kwargs={"dtype": "float32"}
    )
    graph = build_graph(ChatHuggingFace(llm=pipeline))
    state = await graph.ainvoke(
        {"question": "Can I feed bread to ducks?"},
        context=SceneSettings(**SMALL),
        interrupt_after=["respond"],
        output_keys=["first_answer"],
    )
    assert len(state["first_answer"].split()) > 5
