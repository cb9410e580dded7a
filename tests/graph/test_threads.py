"""A thread holds one scene at a time, whichever way it is gone on with."""

from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from graph import build_graph
from graph.build import build_replay
from graph.play import play
from inference.chat_model import EngineChatModel
from scene.errors import InputError
from scene.nouns import PROTAGONIST, ModelIdentity
from scene.settings import SceneSettings, settings_in
from scene.state import SceneInput, SceneState
from tests.scripted_scene import all_notice, asked, model, player

FIRST, SECOND = {"question": "How can I pay my rent later?"}, {"question": "May I read my son's diary?"}
IDENTITY = ModelIdentity(id="scripted", revision=None, engine="scripted")


def on(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def state(graph: Any, thread: str) -> SceneState:
    return SceneState.model_validate((await graph.aget_state(on(thread))).values)


@pytest.mark.parametrize("given", [{}, {"first_answer": "Just don't pay."}])
async def test_a_second_question_is_a_new_scene(given: dict[str, str]) -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver())
    await graph.ainvoke(FIRST | given, on("both"))
    await graph.ainvoke(SECOND, on("both"))
    await graph.ainvoke(SECOND, on("alone"))
    assert await state(graph, "both") == await state(graph, "alone")


async def test_a_second_question_may_be_played_with_other_settings() -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver())
    for roles in (3, 2):
        await graph.ainvoke({"question": "Why?"}, on("t"), context=SceneSettings(roles=roles))
        assert (await state(graph, "t")).settings == SceneSettings(roles=roles)


@pytest.mark.parametrize("given", [{}, {"question": None}, {"first_answer": "No."}, "Why?"])
async def test_a_run_without_a_question_does_not_ask_the_last_one_again(given: dict[str, Any]) -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver())
    await graph.ainvoke(FIRST, on("1"))
    with pytest.raises(InputError, match="no question"):
        await graph.ainvoke(given, on("1"))


async def test_a_scene_may_be_given_as_what_it_is_described_by() -> None:
    graph = build_graph(model())
    assert await graph.ainvoke(SceneInput(**FIRST)) == await graph.ainvoke(FIRST | {"first_answer": None})


async def test_an_answer_that_is_given_twice_is_rehearsed_twice() -> None:
    engine = player()
    graph = build_graph(EngineChatModel(engine=engine), checkpointer=InMemorySaver())
    for question in (FIRST, SECOND):
        await graph.ainvoke(question | {"first_answer": "No."}, on("1"))
        assert (await state(graph, "1")).first_answer == "No."
    assert not asked(engine, "respond")


async def test_a_scene_that_broke_off_leaves_nothing_to_the_next() -> None:
    broken = True

    def routing(request: Any) -> str | None:
        if broken:
            raise ValueError("gone")
        return None

    graph = build_graph(model(routing=routing), checkpointer=InMemorySaver())
    with pytest.raises(ValueError, match="gone"):
        await graph.ainvoke(FIRST | {"first_answer": "Just don't pay."}, on("1"))
    broken = False
    await graph.ainvoke(SECOND, on("1"))
    assert await graph.ainvoke(SECOND, on("1")) == await graph.ainvoke(SECOND, on("2"))


class Talk(TypedDict, total=False):
    question: str
    first_answer: str
    answer: str
    answers: list[str]


@pytest.mark.parametrize("checkpointer", [None, True, False])
async def test_a_larger_graph_may_call_it_twice(checkpointer: bool | None) -> None:
    """Also where LangGraph keeps the state of a part from one call to the next, which True asks for."""
    scene = build_graph(model(), checkpointer=checkpointer)

    def keep(state: Talk) -> Talk:
        return {"answers": [*state.get("answers", []), state["answer"]], **SECOND}

    graph = StateGraph(Talk)
    for name in ("one", "two"):
        graph.add_node(name, scene)
        graph.add_node(f"after_{name}", keep)
        graph.add_edge(name, f"after_{name}")
    graph.add_edge(START, "one")
    graph.add_edge("after_one", "two")
    graph.add_edge("after_two", END)
    whole = graph.compile(checkpointer=InMemorySaver())
    alone = [(await build_graph(model()).ainvoke(question))["answer"] for question in (FIRST, SECOND)]
    for _ in range(2):
        told = await whole.ainvoke(FIRST | {"answers": []}, on("1"))
        assert told["answers"] == alone


@pytest.mark.parametrize(
    ("edit", "outcome"), [({"plan": []}, "plan_finished"), ({"budget": 0}, "interaction_limit")]
)
async def test_where_nobody_can_act_the_scene_is_summed_up(edit: dict[str, Any], outcome: str) -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver())
    await graph.ainvoke(FIRST, on("1"), interrupt_after=["role_init"])
    await graph.aupdate_state(on("1"), edit, as_node="role_init")
    output = await graph.ainvoke(None, on("1"))
    assert (output["outcome"], output["verdict"]) == (outcome, "keep")
    assert output["answer"]


def test_a_replay_in_which_nobody_can_act_ends_too() -> None:
    edges = {(edge.source, edge.target) for edge in build_replay(model()).get_graph().edges}
    assert ("role_init", "__end__") in edges


def all_but_the_second_step(request: Any) -> str:
    action = request.messages[-1].content.partition("<action>")[2]
    return "no, there is no landlord" if "I take step 2" in action else all_notice(request)


async def test_a_plan_that_is_paused_for_good_ends_the_scene() -> None:
    settings = SceneSettings(max_interactions=24)
    record = await play(
        build_graph(model(routing=all_but_the_second_step)),
        FIRST["question"],
        model=IDENTITY,
        settings=settings,
    )
    assert record.outcome == "plan_blocked"
    tries = [event for event in record.events if event.step == 1]
    assert [event.admitted for event in tries] == [False, False]
    assert max(event.turn for event in record.events) == tries[-1].turn


async def test_interactions_are_kept_free_for_every_step_of_the_plan() -> None:
    settings = SceneSettings(roles=4, steps=5)
    record = await play(
        build_graph(model(routing=all_notice)), FIRST["question"], model=IDENTITY, settings=settings
    )
    assert [event.step for event in record.events if event.actor == PROTAGONIST] == [0, 1, 2, 3, 4]
    assert len(record.events) == settings.max_interactions
    assert record.outcome == "interaction_limit"  # somebody did not come to answer the last step


SEVEN = SceneSettings(roles=2, steps=2, seed=7)


@pytest.mark.parametrize("stop", ["role_init", "role_action", "modulator_update", "revise"])
async def test_a_scene_goes_on_with_the_settings_it_was_begun_with(stop: str) -> None:
    whole, parts = player(), player()
    await build_graph(EngineChatModel(engine=whole)).ainvoke(FIRST, context=SEVEN)
    graph = build_graph(EngineChatModel(engine=parts), checkpointer=InMemorySaver())
    await graph.ainvoke(FIRST, on("1"), context=SEVEN, interrupt_before=[stop])
    while (await graph.aget_state(on("1"))).next:
        await graph.ainvoke(None, on("1"))
    assert sorted(map(repr, parts.requests)) == sorted(map(repr, whole.requests))


async def test_other_settings_on_the_way_are_refused() -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver())
    await graph.ainvoke(FIRST, on("1"), context=SEVEN, interrupt_before=["role_action"])
    with pytest.raises(InputError, match=r"begun with roles=2 and can't go on with roles=3; leave"):
        await graph.ainvoke(None, on("1"), context=SceneSettings(roles=3, steps=2, seed=7))


@pytest.mark.parametrize(
    ("context", "complaint"),
    [
        ({"roles": 2.5}, "roles must be a whole number, not 2.5"),
        ({"memory_limit": 4.5}, "memory_limit must be a whole number, not 4.5"),
        ({"steps": "3"}, "steps must be a whole number, not '3'"),
        ({"retries": True}, "retries must be a whole number, not True"),
        ({"seed": None}, "seed must be a whole number, not None"),
        ({"temperature": "warm"}, "temperature must be a number, not 'warm'"),
        ({"temperature": float("nan")}, "temperature must be between 0 and 2, not nan"),
        ({"top_p": float("nan")}, "top_p must be above 0 and at most 1, not nan"),
    ],
)
async def test_settings_of_another_type_are_refused_before_anything_is_asked(context, complaint) -> None:
    engine = player()
    with pytest.raises(InputError, match=complaint):
        await build_graph(EngineChatModel(engine=engine)).ainvoke(FIRST, context=context)
    assert not engine.requests


def test_of_a_foreign_context_what_is_named_as_a_setting_is_taken() -> None:
    class Theirs:
        user, seed = "x", 3

    assert settings_in(None) is settings_in({"user": "x"}) is None
    assert settings_in({"user": "x", "roles": 2}) == SceneSettings(roles=2)
    assert settings_in(Theirs()) == SceneSettings(seed=3)
    assert settings_in(SEVEN) == SEVEN
    with pytest.raises(InputError, match="roles must be a whole number"):
        settings_in({"roles": "many"})
