"""What checkpointers of all sorts make of a scene: its types, and its way through a file or a server."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from graph import build_graph
from graph.checkpoints import STATE_TYPES
from inference.chat_model import EngineChatModel
from scene.errors import EngineError
from scene.nouns import Role
from scene.settings import SceneSettings
from tests.paths import ROOT
from tests.scripted_scene import FailsOnce, asked, model, player

QUESTION = {"question": "How can I pay my rent later?"}
ON: RunnableConfig = {"configurable": {"thread_id": "1"}}
SMALL = SceneSettings(roles=2, steps=2)


@pytest.mark.parametrize(
    "serde",
    [
        None,
        JsonPlusSerializer(allowed_msgpack_modules=None),
        JsonPlusSerializer(allowed_msgpack_modules=True),
        JsonPlusSerializer(allowed_msgpack_modules=[("elsewhere", "Thing")]),
    ],
)
async def test_the_graph_tells_its_checkpointer_of_its_types(serde: Any, caplog: Any) -> None:
    graph = build_graph(model(), checkpointer=InMemorySaver(serde=serde))
    await graph.ainvoke(QUESTION, ON, interrupt_before=["role_action"])
    assert isinstance((await graph.aget_state(ON)).values["cast"][0], Role)
    assert (await graph.ainvoke(None, ON))["answer"]
    assert not [record for record in caplog.records if "deserializ" in record.message.lower()]


def test_also_where_langgraph_was_imported_before(tmp_path: Path) -> None:
    program = """
import asyncio, logging, sys
import langgraph.graph
from langgraph.checkpoint.sqlite import SqliteSaver
logging.basicConfig(stream=sys.stdout)
from graph import build_graph
from tests.scripted_scene import model
on = {"configurable": {"thread_id": "1"}}
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    graph = build_graph(model(), checkpointer=saver)
    graph.invoke({"question": "Why?"}, on, interrupt_before=["role_action"])
    print(type(graph.get_state(on).values["cast"][0]).__name__, graph.invoke(None, on)["outcome"])
"""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("Role plan_finished\n", 0), done.stderr


def test_every_type_of_the_state_is_named() -> None:
    """LangGraph collects them by itself in its strict mode, and has to find no more than these."""
    serde = build_graph(model(), checkpointer=InMemorySaver()).checkpointer.serde  # type: ignore[union-attr]
    found = {name for module, name in serde._allowed_msgpack_modules if module.startswith("scene.")}
    assert found == {one.__name__ for one in STATE_TYPES} | {"SceneState", "SceneInput", "SceneOutput"}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server of this module's own listens, that only its socket's folder leads to."""
    installed = sorted(glob("/usr/lib/postgresql/*/bin"))
    found = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *installed]))
    if found is None:
        pytest.skip("there is no PostgreSQL on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path has to be short
    user = "postgres" if os.geteuid() == 0 else None  # it won't run as root
    if user is not None:
        shutil.chown(folder, user)
    binaries = Path(os.path.realpath(found)).parent
    made = [str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "tests"]
    subprocess.run(made, user=user, check=True, capture_output=True, cwd=folder)
    options = ["-D", str(folder / "data"), "-k", str(folder), "-c", "listen_addresses=", "-F"]
    server = subprocess.Popen(
        [str(binaries / "postgres"), *options], user=user, cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        address = f"host={folder} user=tests dbname=postgres"
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(address).close()
                break
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def test_checkpoints_in_postgres(postgres: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = player(role_action=FailsOnce())
    with PostgresSaver.from_conn_string(postgres) as saver:
        saver.setup()
        graph = build_graph(EngineChatModel(engine=engine), checkpointer=saver)
        with pytest.raises(EngineError):
            graph.invoke(QUESTION, ON, context=SMALL)
        assert isinstance(graph.get_state(ON).values["cast"][0], Role)
        assert graph.invoke(None, ON) == build_graph(model()).invoke(QUESTION, context=SMALL)
    assert not [record for record in caplog.records if "deserializ" in record.message.lower()]


KILLED = """
import asyncio, os, signal, sys
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from graph import build_graph
from tests.scripted_scene import model

def die(request):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncSqliteSaver.from_conn_string(sys.argv[1]) as saver:
        scene = build_graph(model(role_action=die), checkpointer=saver)
        on = {"configurable": {"thread_id": "1"}}
        question = {"question": "How can I pay my rent later?"}
        await scene.ainvoke(question, on, durability="sync")  # written before the next step begins

asyncio.run(main())
"""


def test_a_scene_whose_process_was_killed_goes_on_from_its_file(tmp_path: Path) -> None:
    file, engine = str(tmp_path / "checkpoints"), player()
    done = subprocess.run([sys.executable, "-c", KILLED, file], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr

    async def go_on() -> dict[str, Any]:
        async with AsyncSqliteSaver.from_conn_string(file) as saver:
            return await build_graph(EngineChatModel(engine=engine), checkpointer=saver).ainvoke(None, ON)

    assert asyncio.run(go_on()) == build_graph(model()).invoke(QUESTION)
    assert not asked(engine, "respond", "situation", "plan"), "what was finished is not asked again"
