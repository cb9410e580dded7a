"""Presets and settings: every field is checked, and every one of them has a flag."""

import inspect
from dataclasses import asdict, fields, replace

import pytest
import yaml

from cli.commands.train import train
from finetune.training import PRESETS, TrainingSettings, load_settings, presets
from scene.errors import InputError


def test_the_paper() -> None:
    paper = load_settings("paper")
    assert (paper.lora_r, paper.lora_alpha, paper.lora_dropout, paper.quantize) == (8, 16, 0.05, True)
    assert (paper.epochs, paper.batch_size, paper.accumulation, paper.max_length) == (3, 1, 8, 1024)
    assert (paper.learning_rate, paper.schedule, paper.warmup) == (2e-5, "cosine", 0.03)
    assert (paper.weight_decay, paper.gradient_checkpointing) == (0, True)


def test_presets_are_packaged_and_whole() -> None:
    assert presets() == ["cpu-small", "paper", "qlora-gpu"]
    for name in presets():
        said = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
        assert asdict(load_settings(name)) == asdict(TrainingSettings()) | said


def test_every_setting_has_a_flag() -> None:
    flags = inspect.signature(train).parameters
    assert {field.name for field in fields(TrainingSettings)} <= set(flags)


def test_a_flag_beats_the_preset() -> None:
    assert load_settings("paper", {"lora_r": 16, "epochs": None}) == replace(
        load_settings("paper"), lora_r=16
    )


def test_a_file_of_ones_own(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 2\nlora_r: 4\n")
    assert load_settings(str(tmp_path / "mine.yaml")) == TrainingSettings(epochs=2.0, lora_r=4)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lora_r: 4.5", "lora_r must be of type int"),
        ("quantize: 1", "quantize must be of type bool"),
        ("rank: 4", "has the setting 'rank', which there is not"),
        ("- a", "holds no settings"),
        ("a: [", "is no YAML file"),
        ("epochs: 0", "epochs must be above 0"),
        ("epochs: .nan", "epochs must be above 0"),
        ("epochs: .inf", "epochs must be above 0 and finite"),
        ("learning_rate: .inf", "learning_rate must be above 0 and finite"),
        ("seed: -1", "seed must be at least 0"),
        (f"seed: {2**32}", "seed must be below 4294967296"),
        ("warmup: 1.0", "must be below 1"),
        ("schedule: zigzag", "no schedule 'zigzag'"),
        ("method: dpo\npacking: true", "packing is for sft only"),
        ("method: kto\npacking: true", "packing is for sft only; leave it out for kto"),
        ("method: kto", "give --batch-size 2 or more"),
        ("desirable_weight: 0", "desirable_weight must be above 0"),
        ("undesirable_weight: -1.0", "undesirable_weight must be above 0"),
        ("method: ppo", "no method 'ppo'; give one of sft, dpo, kto"),
    ],
)
def test_files_that_can_not_be_used(tmp_path, text, why) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=why):
        load_settings(str(tmp_path / "mine.yaml"))


def test_unknown_preset() -> None:
    with pytest.raises(InputError, match="no preset 'huge'; give one of cpu-small, paper, qlora-gpu"):
        load_settings("huge")


def test_what_may_change_when_a_training_goes_on() -> None:
    one = TrainingSettings()
    assert one.changes(replace(one, save_steps=9, keep=5, report_to="wandb")) == []
    assert one.changes(replace(one, seed=3)) == ["seed was 0 and is now 3"]
