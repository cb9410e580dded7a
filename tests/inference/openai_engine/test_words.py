"""Shapes said in words to a server without structured output."""

from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.asking import Asker
from scene.settings import SceneSettings
from tests.inference.openai_engine.driving import Connect
from tests.loopback import Loopback, says


async def test_the_shape_is_said_in_words_and_the_settings_are_sent(
    server: Loopback, connect: Connect
) -> None:
    engine = connect(server, structured=False)
    server.act = says(" Yes.")
    asker = Asker(EngineChatModel(engine=engine), SceneSettings(temperature=0.5), "revise")
    values = {"question": "Why?", "first": "So.", "second": "Thus."}
    assert await asker.choice("compare", values, ("yes", "no")) == "yes"
    body = server.posts[0].body
    assert "response_format" not in body
    assert body["messages"][-1]["content"].endswith(
        "Reply with exactly one of these, and nothing else: yes, no."
    )
    assert (body["temperature"], body["max_tokens"]) == (0.5, 16)


async def test_a_server_with_it_is_told_no_words(server: Loopback, engine: Engine) -> None:
    server.act = says('{"reply": "yes"}')
    asker = Asker(EngineChatModel(engine=engine), SceneSettings(), "revise")
    values = {"question": "Why?", "first": "So.", "second": "Thus."}
    assert await asker.choice("compare", values, ("yes", "no")) == "yes"
    body = server.posts[0].body
    assert "response_format" in body
    assert "nothing else" not in body["messages"][-1]["content"]
