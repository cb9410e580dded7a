"""The scene graph: wiring only."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.routing import first_turn, next_turn
from inference.chat_model import EngineChatModel
from inference.transformers_engine.adopt import engine_of, is_adoptable
from nodes.modulator_routing import modulator_routing
from nodes.modulator_update import modulator_update
from nodes.replan import replan
from nodes.respond import respond
from nodes.revise import revise
from nodes.role_action import role_action
from nodes.role_init import role_init
from nodes.summarize import summarize
from scene.settings import SceneSettings
from scene.state import SceneInput, SceneOutput, SceneState
from scene.turn import Cue

RECURSION_LIMIT = 256
"""Steps of the graph before LangGraph gives up: three a turn, at most 64 turns, and the ends."""

SceneGraph = CompiledStateGraph[SceneState, SceneSettings, SceneInput, SceneOutput]
ReplayGraph = CompiledStateGraph[SceneState, SceneSettings, SceneState, SceneState]


def build_graph(model: BaseChatModel, *, checkpointer: BaseCheckpointSaver[Any] | None = None) -> SceneGraph:
    """The compiled scene graph, played by one model.

    Args:
        model: Any LangChain chat model. An `EngineChatModel` batches concurrent calls and constrains their
            shape while decoding; so does a `ChatHuggingFace` over a `HuggingFacePipeline`, whose loaded model
            is put behind the transformers engine. Any other is told the shape in words.
        checkpointer: Where to keep checkpoints, for scenes that are stepped through or resumed.
    """
    model = _adopted(model)
    graph = StateGraph(
        SceneState, context_schema=SceneSettings, input_schema=SceneInput, output_schema=SceneOutput
    )
    graph.add_node("respond", respond(model))
    graph.add_node("role_init", role_init(model))
    graph.add_node("role_action", role_action(model), input_schema=Cue)
    graph.add_node("modulator_routing", modulator_routing(model))
    graph.add_node("modulator_update", modulator_update(model))
    graph.add_node("summarize", summarize(model))
    graph.add_node("revise", revise(model))
    graph.add_edge(START, "respond")
    graph.add_edge("respond", "role_init")
    graph.add_conditional_edges("role_init", first_turn, ["role_action"])
    graph.add_edge("role_action", "modulator_routing")
    graph.add_edge("modulator_routing", "modulator_update")
    graph.add_conditional_edges("modulator_update", next_turn, ["role_action", "summarize"])
    graph.add_edge("summarize", "revise")
    graph.add_edge("revise", END)
    return graph.compile(checkpointer=checkpointer).with_config(recursion_limit=RECURSION_LIMIT)


def build_replay(model: BaseChatModel) -> ReplayGraph:
    """The turns alone, for a scene whose question, answer, situation, goal and cast are given.

    Args:
        model: As for `build_graph`.
    """
    model = _adopted(model)
    graph = StateGraph(SceneState, context_schema=SceneSettings)
    graph.add_node("role_init", replan(model))
    graph.add_node("role_action", role_action(model), input_schema=Cue)
    graph.add_node("modulator_routing", modulator_routing(model))
    graph.add_node("modulator_update", modulator_update(model))
    graph.add_edge(START, "role_init")
    graph.add_conditional_edges("role_init", first_turn, ["role_action"])
    graph.add_edge("role_action", "modulator_routing")
    graph.add_edge("modulator_routing", "modulator_update")
    graph.add_conditional_edges(
        "modulator_update", next_turn, {"role_action": "role_action", "summarize": END}
    )
    return graph.compile().with_config(recursion_limit=RECURSION_LIMIT)


def _adopted(model: BaseChatModel) -> BaseChatModel:
    """A loaded model behind an engine of ours, where it is one that can be put there."""
    return EngineChatModel(engine=engine_of(model)) if is_adoptable(model) else model
