"""The graph that `langgraph dev` serves."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pkgutil import resolve_name

import graph.studio
from graph.build import build_graph
from graph.studio_checkpoints import FILE, checkpoints
from inference.chat_model import EngineChatModel
from scene.nouns import Noun, Role
from scene.settings import SceneSettings
from tests.end_to_end.dev_server import studio_command
from tests.paths import ROOT
from tests.prompts.german_scene import FOLDER, GERMAN, QUESTION, german
from tests.scripted_scene import all_befallen, all_notice, model


def test_loads_nothing_before_the_first_scene() -> None:
    program = (
        "import sys, graph.studio;"
        "print(sorted({'torch', 'ik_llama_cpp'} & set(sys.modules)));"
        "print(graph.studio.scene.checkpointer)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\nNone\n", "")


def test_langgraph_json_names_it() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert resolve_name(config["graphs"]["scene"]) is graph.studio.scene
    assert resolve_name(config["checkpointer"]["path"]) is checkpoints


def test_browsers_elsewhere_and_analytics_are_kept_out() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert config["http"]["cors"]["allow_origins"] == ["https://smith.langchain.com"]
    assert config["env"]["LANGSMITH_TRACING"] == "false"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "export LANGGRAPH_CLI_NO_ANALYTICS := 1" in makefile
    assert "langgraph dev --host 127.0.0.1" in makefile


def test_scenes_are_played_side_by_side() -> None:
    """The server's own default is one at a time."""
    arguments = studio_command(2024)
    assert int(arguments[arguments.index("--n-jobs-per-worker") + 1]) >= 4


async def test_it_asks_with_the_prompts_that_the_environment_names(monkeypatch) -> None:
    monkeypatch.setenv("MONOPOLYLOGUE_PROMPTS", str(FOLDER))
    found = graph.studio._prompts()
    cook = {"id": "r1", "name": "Köchin", "traits": "Sie ist laut.", "position": "Sie will ihr Geld."}
    scenes = graph.studio.served(EngineChatModel(engine=german()), found)
    values = await scenes.ainvoke({"question": QUESTION, "cast": [cook]})
    assert (values["prompts"], values["cast"][1].name) == (GERMAN.digest(), "Köchin")


async def test_checkpointer_knows_every_type_of_the_state(tmp_path, monkeypatch, caplog) -> None:
    """It is the server's, so it gets no list of types from the graph."""
    monkeypatch.chdir(tmp_path)
    config = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    async with checkpoints() as saver:
        scenes = build_graph(model(), checkpointer=saver)
        await scenes.ainvoke({"question": "Why?"}, config, interrupt_before="*")
        while (await scenes.aget_state(config)).next:
            await scenes.ainvoke(None, config, interrupt_before="*")
    async with checkpoints() as saver:
        kept = [kept async for kept in saver.alist(config)]
    assert {type(role) for role in kept[0].checkpoint["channel_values"]["cast"]} == {Role}
    assert not [record for record in caplog.records if "deserialization" in record.message]


async def test_checkpoints_of_a_full_scene_stay_small(tmp_path, monkeypatch) -> None:
    """Twelve interactions of five people, of whom everybody notices everything.

    Whole lists are kept each time, so sizes grow with the log: 18 checkpoints of 98 kB, pending writes of
    22 kB, updates of 16 kB. One prompt in the state would be 2 kB more in every checkpoint after it.
    """
    monkeypatch.chdir(tmp_path)
    config = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    settings = SceneSettings(roles=4, steps=3, max_interactions=12)
    updates = 0
    async with checkpoints() as saver:
        scenes = build_graph(model(routing=all_notice, consequence=all_befallen), checkpointer=saver)
        scene = scenes.astream({"question": "Why?"}, config, context=settings, stream_mode="updates")
        async for update in scene:
            updates += len(json.dumps(update, default=plain))
        state = (await scenes.aget_state(config)).values
    assert len(state["events"]) == 12
    assert all(event.admitted for event in state["events"])
    with closing(sqlite3.connect(FILE)) as file:
        sizes = [size for (size,) in file.execute("SELECT length(checkpoint) FROM checkpoints")]
        (writes,) = file.execute("SELECT sum(length(value)) FROM writes").fetchone()
    assert max(sizes) < 12_000
    assert sum(sizes) + writes < 140_000
    assert updates < 20_000


def plain(value: object) -> object:
    return asdict(value) if isinstance(value, SceneSettings) else Noun.model_dump(value)
