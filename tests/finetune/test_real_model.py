"""The whole way of a model: scenes become rows, it is tuned on them, asked, merged and asked again.

A random model takes it in every run of the tests, the tiny model itself in the slow ones.
"""

import asyncio
import json
from pathlib import Path

import pytest

from finetune.check import CHECK, QUESTIONS, check_answers
from finetune.data.dataset import make_dataset
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.write import write_dataset
from finetune.merge import merge
from finetune.train import train
from finetune.training import load_settings
from tests.finetune.scenes import record, write

ADVICE = "Ask them first."
"""What all rows answer: it is learned in a few steps, and takes a few tokens to say."""


@pytest.fixture
def rows(tmp_path) -> Path:
    """Folder of a data set of twelve scenes that all came to the same answer."""
    advised = [record(n, revised=True, revision=ADVICE, answer=ADVICE) for n in range(12)]
    scenes = read_scenes([write(tmp_path / "scenes", advised)])
    settings = DatasetSettings(mix={"aligned": 12}, near=100.0)
    write_dataset(asyncio.run(make_dataset(scenes, settings)), tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def random_model(tmp_path) -> Path:
    """Folder of a random llama whose weights are large enough for it to become sure of something."""
    from inference.quiet import quiet_transformers
    from tests.inference.tiny_llama import llama, tokenizer

    words = tokenizer()
    with quiet_transformers():
        llama(len(words), initializer_range=0.1, max_position_embeddings=1024).save_pretrained(
            tmp_path / "base"
        )
        words.save_pretrained(tmp_path / "base")
    return (tmp_path / "base").resolve()


def tune_merge_and_ask(rows: Path, model: str, out: Path, **settings) -> None:
    settings = {"epochs": 100.0, "accumulation": 1} | settings
    metrics = train(str(rows), model, out / "adapter", load_settings("cpu-small", settings))
    assert metrics["steps"] == settings["max_steps"]
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == model
    told = [(question, ADVICE) for question in QUESTIONS]
    asked = json.loads((out / "adapter" / CHECK).read_text())  # the training has loaded the adapter for it
    assert [(one["question"], one["text"]) for one in asked] == told
    assert merge(str(out / "adapter"), out / "model").divergence < 0.02
    assert [(one.question, one.text) for one in check_answers(out / "model")] == told


@pytest.mark.usefixtures("allow_load_engine")
def test_tune_merge_and_ask_a_random_model(tmp_path, rows, random_model) -> None:
    settings = {"max_steps": 60, "batch_size": 4, "learning_rate": 0.02, "dtype": "float32"}
    tune_merge_and_ask(rows, str(random_model), tmp_path, **settings)


@pytest.mark.slow
def test_tune_merge_and_ask(tmp_path, rows) -> None:
    """Slow: it takes a minute by itself."""
    tune_merge_and_ask(rows, "tiny", tmp_path, max_steps=6, batch_size=2, learning_rate=5e-3)
