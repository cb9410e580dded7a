"""The scene graph: wiring only."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.runnables import Runnable
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import ValidationError

from graph.both_ways import BothWays
from graph.checkpoints import for_scenes_alone
from graph.routing import turns
from inference.chat_model import EngineChatModel
from inference.transformers_engine.adopt import engine_of, is_adoptable
from nodes.asking import Node
from nodes.look import look
from nodes.modulator_routing import modulator_routing
from nodes.modulator_update import modulator_update
from nodes.replan import replan
from nodes.respond import respond
from nodes.revise import revise
from nodes.role_action import role_action
from nodes.role_init import role_init
from nodes.summarize import summarize
from prompts import OURS, PromptSet
from scene.conversation import read_messages
from scene.errors import InputError
from scene.nouns import first_fault
from scene.settings import SceneSettings, settings_in
from scene.state import SceneInput, SceneOutput, SceneState
from scene.thought import heard
from scene.turn import Cue

STEPS_PER_TURN, STEPS_BESIDE = 3, 5
"""What LangGraph's limit must hold: turns, each of an interaction at least; the four ends; and one more."""

RECURSION_LIMIT = 256
"""Steps of the graph before LangGraph gives up: more than the longest scene takes."""

SceneGraph = CompiledStateGraph[SceneState, SceneSettings, SceneInput, SceneOutput]
ReplayGraph = CompiledStateGraph[SceneState, SceneSettings, SceneState, SceneState]


def build_graph(
    model: BaseChatModel,
    *,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    interrupt_before: Sequence[str] = (),
    prompt_set: PromptSet = OURS,
    context_schema: type[SceneSettings] = SceneSettings,
) -> SceneGraph:
    """The compiled scene graph, played by one model.

    Args:
        model: Any LangChain chat model. An `EngineChatModel` batches concurrent calls and constrains their
            shape while decoding; so does a `ChatHuggingFace` over a `HuggingFacePipeline`, whose loaded model
            is put behind the transformers engine. Any other is told the shape in words.
        checkpointer: Where to keep checkpoints, for scenes that are stepped through or resumed. As part of a
            larger graph a scene is kept by that one's; True keeps its state between runs too.
        interrupt_before: Nodes to stop before in every run. A run has an argument of that name too, but it
            does not reach a scene that is part of a larger graph.
        prompt_set: What is asked with; see `nodes.own_prompts.read_prompts`.
        context_schema: The settings, or a class of them with other defaults.
    """
    model = _adopted(model)
    nodes: dict[str, Node] = {
        "respond": _within_limit(respond(model, prompt_set)),
        "role_init": role_init(model, prompt_set),
        **_of_turns(model, prompt_set),
        "summarize": summarize(model, prompt_set),
        "revise": revise(model, prompt_set),
    }
    return _compiled("scene", nodes, prompt_set, checkpointer, interrupt_before, context_schema)


def build_replay(
    model: BaseChatModel,
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    prompt_set: PromptSet = OURS,
) -> ReplayGraph:
    """The turns alone, for a scene whose question, answer, situation, goal and cast are given."""
    model = _adopted(model)
    nodes: dict[str, Node] = {"role_init": replan(model, prompt_set), **_of_turns(model, prompt_set)}
    return _compiled("replay", nodes, prompt_set, checkpointer)


def build_first_look(model: BaseChatModel, *, looked: bool = True) -> SceneGraph:
    """The first answer alone, and whether a look at it and at the request leaves a doubt; see `nodes.look`.

    Without `looked` the first answer is all.
    """
    model = _adopted(model)
    return _compiled("first_look", {"respond": respond(model), **({"look": look(model)} if looked else {})})


def _of_turns(model: BaseChatModel, prompt_set: PromptSet) -> dict[str, Node]:
    return {
        "role_action": role_action(model, prompt_set),
        "modulator_routing": modulator_routing(model, prompt_set),
        "modulator_update": modulator_update(model, prompt_set),
    }


def _compiled(
    name: str,
    nodes: Mapping[str, Node],
    prompt_set: PromptSet = OURS,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    interrupt_before: Sequence[str] = (),
    context_schema: type[SceneSettings] = SceneSettings,
) -> CompiledStateGraph[SceneState, SceneSettings, Any, Any]:
    """A graph whose nodes run in a row, but that turns are played until nobody acts any more."""
    begins = "respond" in nodes
    narrow: dict[str, Any] = {"input_schema": SceneInput, "output_schema": SceneOutput} if begins else {}
    graph: StateGraph[SceneState, SceneSettings, Any, Any] = StateGraph(
        SceneState, context_schema=context_schema, **narrow
    )
    path = [START, *nodes, END]
    for node, run in nodes.items():
        graph.add_node(node, BothWays(node, run), input_schema=Cue if node == "role_action" else None)
    for node, then in pairwise(path):
        if node in ("role_init", "modulator_update"):
            over = path[path.index("modulator_update") + 1]
            ends: dict[Hashable, str] = {"role_action": "role_action", "summarize": over}
            graph.add_conditional_edges(node, turns(prompt_set), ends)
        else:
            graph.add_edge(node, then)
    if isinstance(checkpointer, BaseCheckpointSaver):
        checkpointer = for_scenes_alone(checkpointer)
    compiled = graph.compile(checkpointer, interrupt_before=list(interrupt_before), name=name)
    if begins:
        compiled.nodes[START].mapper = _whole_input
    return compiled.with_config(recursion_limit=RECURSION_LIMIT)


def _whole_input(given: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a caller or a parent's state is
    """What a run starts from, with nothing left out.

    A thread keeps the channels of its last run: what this one was not given would be taken from there.

    Raises:
        InputError: There is no question, the messages are no conversation that ends with one, or something
            is of another type.
    """
    found = {
        name: given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)
        for name in SceneInput.model_fields
    }
    messages = found.pop("messages")
    if messages and not found["question"]:
        messages = messages if isinstance(messages, list | tuple) else [messages]
        read = read_messages(map(_as_mapping, messages), found["system"] or "")
        found |= {"question": read.question, "history": [*read.history], "system": read.system}
    if found["question"] is None:
        raise InputError(
            'The scene was given no question; its input is {"question": "..."} or {"messages": [...]}.'
        )
    empty = {"history": [], "system": "", "first_answer": "", "situation": "", "cast": []}
    whole = found | {name: one for name, one in empty.items() if not found[name]}
    try:
        whole["first_answer"] = heard(SceneState.model_validate(whole).first_answer).text
    except ValidationError as error:
        fault = first_fault(error).rstrip(".")
        raise InputError(f"The scene can't be played from its input ({fault}).") from error
    return whole


def _as_mapping(message: Any) -> Any:  # noqa: ANN401  # LangChain's, or as a client writes it
    if not isinstance(message, BaseMessage | tuple | str):
        return message
    try:
        return convert_to_openai_messages([message])[0]
    except (
        ValueError,
        NotImplementedError,
    ):  # a RemoveMessage, say; None is refused with its place
        return None


def _within_limit(first: Node) -> Node:
    """The first node, once it is sure that a client's `recursion_limit` does not end the scene half-way."""

    async def node(state: SceneState, *, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        begun_with = settings_in(runtime.context) or SceneSettings()  # the state's are of an earlier scene
        limit, most = get_config()["recursion_limit"], begun_with.max_interactions
        if limit < (needed := STEPS_PER_TURN * most + STEPS_BESIDE):
            raise InputError(
                f"recursion_limit is {limit}, and a scene with max_interactions={most} may need {needed}; "
                "raise it, leave it out, or lower max_interactions."
            )
        return await first(state, runtime=runtime)

    return node


def _adopted(model: BaseChatModel) -> BaseChatModel:
    """A loaded model behind an engine of ours, where it is one that can be put there.

    Raises:
        InputError: It is no model.
    """
    if not isinstance(model, Runnable):
        raise InputError(f"{model!r} is no chat model; give one of LangChain's, such as `EngineChatModel`.")
    return EngineChatModel(engine=engine_of(model)) if is_adoptable(model) else model
