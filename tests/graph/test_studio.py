"""The graph that `langgraph dev` serves."""

import json
import subprocess
import sys
from pathlib import Path

from graph.build import build_graph
from graph.studio_checkpoints import checkpoints
from scene.nouns import Role
from tests.scripted_scene import model

ROOT = Path(__file__).resolve().parents[2]


def test_loads_nothing_before_the_first_scene() -> None:
    program = (
        "import sys, graph.studio;"
        "print(sorted({'torch', 'openvino_genai'} & set(sys.modules)));"
        "print(graph.studio.scene.checkpointer)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\nNone\n", "")


def test_langgraph_json_names_it() -> None:
    named = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"]["scene"]
    path, _, variable = named.partition(":")
    assert (ROOT / path).read_text(encoding="utf-8").count(f"\n{variable} = ") == 1


def test_browsers_elsewhere_and_analytics_are_kept_out() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert config["http"]["cors"]["allow_origins"] == ["https://smith.langchain.com"]
    assert config["env"]["LANGSMITH_TRACING"] == "false"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "export LANGGRAPH_CLI_NO_ANALYTICS := 1" in makefile
    assert "langgraph dev --host 127.0.0.1" in makefile


async def test_checkpointer_knows_every_type_of_the_state(tmp_path, monkeypatch, caplog) -> None:
    """It is the server's, so it gets no list of types from the graph."""
    monkeypatch.chdir(tmp_path)
    config = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    async with checkpoints() as saver:
        graph = build_graph(model(), checkpointer=saver)
        await graph.ainvoke({"question": "Why?"}, config, interrupt_before="*")
        while (await graph.aget_state(config)).next:
            await graph.ainvoke(None, config, interrupt_before="*")
    async with checkpoints() as saver:
        kept = [kept async for kept in saver.alist(config)]
    assert {type(role) for role in kept[0].checkpoint["channel_values"]["cast"]} == {Role}
    assert not [record for record in caplog.records if "deserialization" in record.message]
