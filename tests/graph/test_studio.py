"""The graph that `langgraph dev` serves."""

import json
import subprocess
import sys
from pathlib import Path

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
