"""`monopolylogue export` with the real tiny model, which may fail scenes but only by name."""

import json
from functools import partial

import pytest

import cli.options
import cli.work.loading
from scene.export import FAILURES, SCENES, Export
from scene.settings import SceneSettings

SMALL = ("--model", "tiny", "--roles", "1", "--steps", "2", "--max-interactions", "2")
SHORT = {"answer_tokens": 32, "text_tokens": 16, "retries": 0}
QUESTIONS = ["Can I feed bread to ducks?", "How do I leave a party early?", "May I read my son's diary?"]


@pytest.mark.model
@pytest.mark.parametrize("replies", [SHORT, pytest.param({}, marks=pytest.mark.slow)], ids=["short", "whole"])
def test_export_on_the_tiny_model(monopolylogue, monkeypatch, tiny_engine, tmp_path, replies):
    """On the engine that all tests share: `evaluate` is tried on one of its own.

    Whole replies are slow; with short ones a scene fails as soon as one of them is cut off.
    """
    engine, asked = tiny_engine("llama"), []
    monkeypatch.setattr(engine, "close", lambda: asked.append("close"))

    def load(model, **options):
        asked.append((model, options["engine"]))
        return engine

    monkeypatch.setattr(cli.work.loading, "load_engine", load)
    monkeypatch.setattr(cli.options, "SceneSettings", partial(SceneSettings, **replies))
    (tmp_path / "questions.txt").write_text("\n".join(QUESTIONS))
    out = tmp_path / "scenes"
    command = ("export", str(tmp_path / "questions.txt"), "--out", str(out), *SMALL)
    first = monopolylogue(*command, "--limit", "1")
    assert first.exit_code in (0, 1)  # 1 where the only scene failed
    again = monopolylogue(*command)
    assert "of 3 questions; 2 to play." in again.stderr
    rows = [json.loads(line) for line in (out / SCENES).read_text().splitlines()]
    failures = [json.loads(line) for line in (out / FAILURES).read_text().splitlines()]
    assert sorted(row["question"] for row in rows + failures) == sorted(QUESTIONS)
    assert {failure["error"] for failure in failures} <= {"ReplyError"}
    manifest = Export(out).manifest
    assert (manifest.state, manifest.model.id) == ("finished", "tiny")
    assert manifest.model.revision
    assert asked == [("tiny", "auto"), "close"] * 2
