"""A person looks at the consequences before they are summed up, and corrects them.

The scene is part of a larger graph and stops before `summarize`. Run it with
`python examples/person_in_the_loop.py`. The model is `default` (fetched once, 1.1 GB) unless
MONOPOLYLOGUE_MODEL names another.
"""

import asyncio
import os
from contextlib import closing
from typing import TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from graph import build_graph, open_to_scenes
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.loading import load_engine
from scene.nouns import Consequence


class Desk(TypedDict, total=False):
    """What goes through the graph around the scene."""

    question: str
    answer: str
    verdict: str


def correct(consequences: list[Consequence]) -> list[Consequence]:
    """What the person makes of them: here, that nothing was as bad as all that.

    Yours may show a form, or wait for an e-mail: the graph is at rest meanwhile, in its checkpointer.
    """
    for one in consequences:
        print(f"{one.severity:>8}  {one.text}")
    return [one.model_copy(update={"severity": "minor"}) for one in consequences]


async def main(engine: Engine) -> None:
    """Stop before the summary, change the scene's state, and go on."""
    graph = StateGraph(Desk)
    graph.add_node("scene", build_graph(EngineChatModel(engine=engine), interrupt_before=["summarize"]))
    graph.add_edge(START, "scene")
    graph.add_edge("scene", END)
    desk = graph.compile(checkpointer=open_to_scenes(InMemorySaver()))
    thread = {"configurable": {"thread_id": "dishes"}}

    await desk.ainvoke({"question": "Should I throw my flatmate's dirty dishes away?"}, thread)
    (stopped,) = (await desk.aget_state(thread, subgraphs=True)).tasks
    changes = {"consequences": correct(stopped.state.values["consequences"])}
    await desk.aupdate_state(stopped.state.config, changes, as_node="modulator_update")
    state = await desk.ainvoke(None, thread)
    print(f"\n{state['verdict']}: {state['answer']}")


if __name__ == "__main__":
    with closing(load_engine(os.environ.get("MONOPOLYLOGUE_MODEL", "default"))) as loaded:
        asyncio.run(main(loaded))
