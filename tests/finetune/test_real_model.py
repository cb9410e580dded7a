"""The tiny model itself: it is tuned, asked, merged and asked again."""

import json

import pytest

from finetune.check import QUESTIONS, check_answers
from finetune.merge import merge
from finetune.train import train
from finetune.training import load_settings


@pytest.mark.model
def test_tune_merge_and_ask(tmp_path, data) -> None:
    out = tmp_path / "adapter"
    settings = load_settings("cpu-small", {"max_steps": 2, "accumulation": 4})
    trained = train(str(data()), "tiny", out, settings)  # loads the adapter and asks it, too
    assert trained.metrics["steps"] == 2
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert merge(str(out), tmp_path / "model").divergence < 0.02
    answers = check_answers(tmp_path / "model")
    assert [answer.question for answer in answers] == list(QUESTIONS)
