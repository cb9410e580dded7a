"""Drive the compiled graph as LangGraph users do: stream its steps, stop before a node, change the state.

No model is needed: a script plays every part. Run it with `python examples/watch_the_graph.py`.
"""

import asyncio
import json
import os

# Read by LangGraph when it is imported: checkpoints may hold no types but those of the graph's state.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from langgraph.checkpoint.memory import InMemorySaver

from graph import build_graph
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.settings import SceneSettings

PLAN = {"steps": ["I put the dishes outside her door.", "I write her a note.", "I make tea for both of us."]}


def script(request: GenerationRequest) -> str:
    """Say something of the right shape to every request."""
    if request.choices:
        return request.choices[-1]
    if request.schema is None:
        return "The asker is a student. They share a kitchen."
    keys = request.schema["properties"]
    if "steps" in keys:
        return json.dumps(PLAN)
    if "effect" in keys:
        return json.dumps({"text": "She is hurt.", "effect": "somebody gets hurt", "falls_on": ["r1"]})
    known = {
        "name": "student", "harmed": "flatmate", "helped": "next tenant", "relative": "mother",
        "colleague": "tutor", "gives": "advice", "stance": "helps", "result": "it happens",
        "place": "in the kitchen", "request": "harms nobody",
    }  # fmt: skip
    answers = {key: known.get(key, f"This is about {key}.") for key in keys}
    return json.dumps({k: "no" if "enum" in v and k not in known else answers[k] for k, v in keys.items()})


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
