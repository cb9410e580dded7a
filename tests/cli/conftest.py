"""The command, run in this process with a scripted model where the real one would be loaded."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli.work.loading
from cli.main import app
from cli.proof.main import app as proof
from evaluation.report import plots
from inference.scripted import ScriptedEngine
from tests.cli.proof.sets import write_sets
from tests.environment import is_ours
from tests.scripted_scene import player

Monopolylogue = Callable[..., Result]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if is_ours(name) or name.startswith("PROOF_") or name in ("FORCE_COLOR", "COLUMNS", "NO_COLOR"):
            monkeypatch.delenv(name)


@pytest.fixture
def monopolylogue() -> Monopolylogue:
    """`monopolylogue("run", "Why?", input=b"")`: what the command does, its exceptions let through."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, arguments, catch_exceptions=False, **options)

    return invoke


class Loader:
    """Stands in for `load_engine` and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.engine = player()

    def __call__(self, model: str, **options: Any) -> ScriptedEngine:
        self.asked.append({"model": model, **options})
        options["on_progress"]("load", 0, 1)
        options["on_progress"]("load", 1, 1)
        return self.engine


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    loader = Loader()
    monkeypatch.setattr(cli.work.loading, "load_engine", loader)
    return loader


class Pictures:
    """Whether pictures are drawn, which takes longer than all else that a scripted evaluation does."""

    drawn = False


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Pictures:
    """Pictures of results are files with a word in them until a test sets `pictures.drawn`."""
    pictures = Pictures()

    def instead(name: str, stand_in: Callable[..., Any]) -> None:
        drawing = getattr(plots, name)
        monkeypatch.setattr(
            plots, name, lambda *arguments: (drawing if pictures.drawn else stand_in)(*arguments)
        )

    def save(figure: None, path: Path) -> Path:
        path.write_text("undrawn")
        return path

    instead("_figures", lambda results: None)
    instead("_judged", lambda judged: None)
    instead("_save", save)
    return pictures


@pytest.fixture
def stage() -> Callable[..., Result]:
    """`stage("rows", folder)`: what a part of `make proof` does."""
    return lambda *arguments: CliRunner().invoke(proof, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the question sets of a proof."""
    write_sets(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` converts out of the user's cache."""
    import datasets

    folder = tmp_path_factory.getbasetemp() / "datasets"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder))
