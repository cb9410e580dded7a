"""Drive the compiled graph as LangGraph users do: stream its steps, stop before a node, change the state.

No model is needed: a script plays every part. Run it with `python examples/watch_the_graph.py`.
"""

import asyncio
import os
import re

# Read by LangGraph when it is imported: checkpoints may hold no types but those of the graph's state.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from langgraph.checkpoint.memory import InMemorySaver

from graph import build_graph
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.settings import SceneSettings

SAID = (
    "asker: Student. She cooks every evening. She wants a clean kitchen.\n"
    "target: Flatmate. She works late and forgets her dishes. She wants to rest at home.",
    "I put the dishes outside her door.\nI write her a note.\nI make tea for both of us.",
    "yes, in the kitchen: nobody",
    "r0 (home): The kitchen stays clean until the evening.",
    "The asker is a student. They share a kitchen.",
    "What helps the asker and hurts nobody is a talk.",
)
"""A reply of every shape that a scene asks for."""


def script(request: GenerationRequest) -> str:
    """Say something of the right shape to every request."""
    if request.choices:
        return "yes" if "yes" in request.choices else request.choices[-1]
    return next(text for text in SAID if re.fullmatch(request.pattern or ".+", text))


async def main() -> None:
    """Stop before the first action, rewrite the plan, and play on."""
    graph = build_graph(EngineChatModel(engine=ScriptedEngine(script)), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "kitchen"}}
    settings = SceneSettings(roles=1, steps=3)
    question = {"question": "Should I throw my flatmate's dirty dishes away?"}

    await graph.ainvoke(question, thread, context=settings, interrupt_after=["role_init"])
    print("stopped before:", (await graph.aget_state(thread)).next)
    await graph.aupdate_state(
        thread, {"plan": ["I wash the dishes.", "I ask her to talk."]}, as_node="role_init"
    )

    async for step in graph.astream(None, thread, context=settings, stream_mode="updates"):
        print(*step)
    print("ended with:", (await graph.aget_state(thread)).values["outcome"])


if __name__ == "__main__":
    asyncio.run(main())
