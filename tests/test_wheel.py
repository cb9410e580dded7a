"""The project as somebody has it who installed its wheel: in another folder, without a checkout."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.paths import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS = sorted(
    path.name
    for path in ROOT.iterdir()
    if (path / "__init__.py").exists()
    and any(fnmatch(path.name, pattern) for pattern in SETTINGS["packages"]["find"]["include"])
)

PLAY = """
import asyncio, importlib.util, json, pkgutil, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("scripted_scene", sys.argv[1])
scripted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scripted)

import cli.work.loading
from cli.main import app
from graph import build_graph

config = json.loads(Path(sys.prefix, "share", "monopolylogue", "langgraph.json").read_text())
named = [config["graphs"]["scene"], config["checkpointer"]["path"]]
output = asyncio.run(build_graph(scripted.model()).ainvoke({"question": "May I?"}))
cli.work.loading.load_engine = lambda *args, **options: scripted.player()
for command in json.loads(sys.argv[2]):
    app(command, standalone_mode=False)
print(json.dumps({
    "outcome": output["outcome"],
    "named": [type(pkgutil.resolve_name(name)).__name__ for name in named],
    "graph": importlib.util.find_spec("graph").origin,
}))
"""


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment, `env`, that has the wheel and what it needs, and not the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("elsewhere")
    for name in ("pyproject.toml", "README.md", "LICENSE", "langgraph.json"):
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source, cwd=out)
    venv.create(out / "env", with_pip=False, symlinks=True)
    python = out / "env" / "bin" / "python"
    (wheel,) = out.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=out)
    # Its path is appended and what it adds to the path by itself, such as our checkout, is not.
    site = sysconfig.get_path("purelib", vars={"base": str(out / "env")})
    Path(site, "needed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return out


def test_everything_is_played_and_made_from_the_wheel(elsewhere: Path) -> None:
    """A scene, an export, its rows and its page, and the graph that `langgraph.json` names."""
    (elsewhere / "questions.jsonl").write_text(
        '{"question": "May I keep the rent back?"}\n{"question": "Why?"}\n'
    )
    commands = [
        ["export", "questions.jsonl", "--out", "scenes"],
        ["dataset", "scenes", "--out", "rows", "--validation", "0"],
        ["view", "scenes", "--out", "scenes.html"],
    ]
    python, script = elsewhere / "env" / "bin" / "python", ROOT / "tests" / "scripted_scene.py"
    said = run(python, "-c", PLAY, script, json.dumps(commands), cwd=elsewhere)
    told = json.loads(said.splitlines()[-1])
    assert told["outcome"] == "plan_finished"
    assert told["named"] == ["CompiledStateGraph", "function"]
    assert Path(told["graph"]).is_relative_to(elsewhere / "env"), "the checkout was played, not the wheel"
    assert len((elsewhere / "scenes" / "scenes.jsonl").read_text().splitlines()) == 2
    assert list((elsewhere / "rows").rglob("train.jsonl"))
    assert "May I keep the rent back?" in (elsewhere / "scenes.html").read_text()


def test_every_file_beside_the_code_is_in_the_wheel(elsewhere: Path) -> None:
    site = Path(sysconfig.get_path("purelib", vars={"base": str(elsewhere / "env")}))
    kept = subprocess.run(["git", "ls-files", "--", *FOLDERS], cwd=ROOT, capture_output=True, text=True)
    ours = kept.stdout.splitlines()
    if kept.returncode or not ours:
        pytest.skip("this is no checkout of git, so nobody knows which files belong to it")
    lacking = [name for name in ours if not (site / name).is_file()]
    assert lacking == []
    assert all((site / name).read_bytes() == (ROOT / name).read_bytes() for name in ours)
