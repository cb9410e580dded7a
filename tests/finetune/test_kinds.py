"""Every kind of model is trained, loaded, merged and answers, or is refused before the first step by name."""

import asyncio
import json

import pytest

from finetune.check import ask
from finetune.merge import merge
from finetune.train import train
from finetune.training import load_settings
from inference.loading import load_engine
from scene.errors import InputError
from tests.finetune.kinds import REFUSED, TRAINABLE, build

QUESTION = "Who would be harmed?"


@pytest.fixture
def rows(tmp_path):
    chat = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "The farmer."}]
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps({"messages": chat}) + "\n") * 2)
    return str(path)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *arguments, **options: None)


def settings():
    changes = {"max_steps": 1, "learning_rate": 0.05, "dtype": "float32", "accumulation": 2}
    return load_settings("cpu-small", changes)


def answer(model):
    engine = load_engine(str(model), engine="transformers", dtype="float32", device="cpu")
    try:
        (said,) = asyncio.run(ask(engine, (QUESTION,), max_tokens=6))
    finally:
        engine.close()
    return said.text


@pytest.mark.usefixtures("allow_load_engine")
@pytest.mark.parametrize("kind", TRAINABLE)
def test_what_can_be_trained_can_be_merged_and_answers(kind, rows, tmp_path):
    train(rows, str(build(kind, tmp_path / kind)), tmp_path / "adapter", settings(), check=False)
    merge(str(tmp_path / "adapter"), tmp_path / "model")
    assert answer(tmp_path / "model") == answer(tmp_path / "adapter")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_is_refused_at_once_by_name(kind, rows, tmp_path):
    model, steps = build(kind, tmp_path / kind), []
    with pytest.raises(
        InputError, match=rf"/{kind} (has layers with|can't be trained|reads ahead|is of the kind)"
    ) as error:
        train(rows, str(model), tmp_path / "adapter", settings(), on_step=steps.append)
    assert "\n" not in str(error.value)
    assert steps == []
    assert [path.name for path in (tmp_path / "adapter").iterdir() if path.is_file()] == ["training.yaml"]
