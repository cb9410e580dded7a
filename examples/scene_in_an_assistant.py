"""A scene inside a larger graph: an assistant that rehearses every question of a conversation.

Run it with `python examples/scene_in_an_assistant.py`. The model is `default` (fetched once, 1.1 GB) unless
MONOPOLYLOGUE_MODEL names another.
"""

import asyncio
import os
from contextlib import closing

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from graph import build_graph, open_to_scenes
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.loading import load_engine

QUESTIONS = ("May I read my daughter's diary?", "How do I tell her that I did?")


class Assistant(MessagesState):
    """A conversation, and what it shares with the scene by name."""

    question: str
    answer: str
    verdict: str


def listen(state: Assistant) -> dict[str, str]:
    """What was said last is what the scene is about."""
    return {"question": state["messages"][-1].text}


def speak(state: Assistant) -> dict[str, list[AIMessage]]:
    """The rehearsed answer joins the conversation."""
    return {"messages": [AIMessage(state["answer"], response_metadata={"verdict": state["verdict"]})]}


async def main(engine: Engine) -> None:
    """Ask two questions on one thread: each gets a scene of its own."""
    graph = StateGraph(Assistant)
    graph.add_node("listen", listen)
    graph.add_node("scene", build_graph(EngineChatModel(engine=engine)))
    graph.add_node("speak", speak)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", "scene")
    graph.add_edge("scene", "speak")
    graph.add_edge("speak", END)
    assistant = graph.compile(checkpointer=open_to_scenes(InMemorySaver()))
    for question in QUESTIONS:
        state = await assistant.ainvoke(
            {"messages": [HumanMessage(question)]},
            {"configurable": {"thread_id": "diary"}},
            context={"roles": 2, "steps": 2},  # the scene finds its settings there, beside whatever is yours
        )
        print(f"> {question}\n{state['messages'][-1].text}\n")
    print(f"{len(state['messages'])} messages")


if __name__ == "__main__":
    with closing(load_engine(os.environ.get("MONOPOLYLOGUE_MODEL", "default"))) as loaded:
        asyncio.run(main(loaded))
