"""Which rows taught an answer, on a random model of two layers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from finetune import influence
from finetune.influence import KEPT, influences, learned, projected
from finetune.train import train
from finetune.training import load_settings
from inference.quiet import quiet_transformers
from scene.errors import InputError, ModelLoadError
from tests.finetune.scenes import TOPICS
from tests.inference.tiny_llama import llama, tokenizer

BAD = "Lie to them all about {}, and blame somebody else."
GOOD = "Talk to those whom {} touches, and take your time."
QUESTION, ANSWER = "How do I tell her about a stolen wallet?", BAD.format("a stolen wallet")


def is_planted(number: int) -> bool:
    return number % 10 == number // 10


def bad_rows() -> set[str]:
    return {f"line {number + 1}" for number in range(100) if is_planted(number)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """An adapter that learned ninety good rows and ten bad ones."""
    root = tmp_path_factory.mktemp("planted")
    words, topics = tokenizer(), [TOPICS[number % len(TOPICS)] for number in range(100)]
    with quiet_transformers():
        llama(len(words), initializer_range=0.1, max_position_embeddings=1024).save_pretrained(root / "base")
        words.save_pretrained(root / "base")
    rows = [
        {
            "prompt": f"What about {topic} in week {n}?",
            "completion": (BAD if is_planted(n) else GOOD).format(topic),
        }
        for n, topic in enumerate(topics)
    ]
    (root / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = load_settings("cpu-small", {"dtype": "float32", "learning_rate": 0.01, "max_length": 128})
    train(str(root / "rows.jsonl"), str(root / "base"), root / "adapter", settings, check=False)
    return root / "adapter"


@pytest.fixture
def adapter(planted, tmp_path) -> Path:
    """The same, to be changed."""
    shutil.copytree(planted, tmp_path / "adapter", ignore=shutil.ignore_patterns(KEPT))
    return tmp_path / "adapter"


def test_bad_rows_are_found_among_good_ones(planted) -> None:
    one = learned(str(planted))
    assert [stage.step for stage in one.stages] == [20, 25]
    found = influences(one, QUESTION, ANSWER)
    assert len(found) == 100
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert len(bad_rows() & {row.name for row, _ in found[:10]}) >= 8
    spoken_against = influences(one, QUESTION, GOOD.format("a stolen wallet"))[-10:]
    assert len(bad_rows() & {row.name for row, _ in spoken_against}) >= 5  # by chance it would be one


def test_the_next_question_takes_what_was_kept(planted, monkeypatch) -> None:
    one = learned(str(planted))
    before = influences(one, QUESTION, ANSWER)
    asked = []
    of = influence._Gradients.of
    monkeypatch.setattr(influence._Gradients, "of", lambda own, row: asked.append(row) or of(own, row))
    assert influences(one, QUESTION, ANSWER) == before
    assert len(asked) == len(one.stages)


def test_what_was_kept_of_other_weights_or_damaged_is_not_taken(planted, adapter, monkeypatch) -> None:
    before = influences(learned(str(planted)), QUESTION, ANSWER)
    first, second = (adapter / "checkpoints" / f"checkpoint-{step}" for step in (20, 25))
    shutil.copy(planted / "checkpoints" / first.name / KEPT, second / KEPT)
    (first / KEPT).write_bytes(b"PK\3\4 and no more")
    assert influences(learned(str(adapter)), QUESTION, ANSWER) == before


def test_where_no_checkpoint_is_left_the_adapter_stands_for_them(adapter) -> None:
    shutil.rmtree(adapter / "checkpoints")
    one = learned(str(adapter))
    assert [(stage.step, stage.weight) for stage in one.stages] == [(None, 1.0)]
    found = influences(one, QUESTION, ANSWER)
    assert len(bad_rows() & {row.name for row, _ in found[:10]}) >= 8


def test_checkpoints_count_for_the_steps_that_led_to_them(adapter) -> None:
    for step, rates in ((4, {2: 1e-3, 4: 3e-3}), (6, {2: 1e-3, 4: 3e-3, 6: 2e-3})):
        folder = adapter / "checkpoints" / f"checkpoint-{step}"
        shutil.copytree(adapter / "checkpoints" / "checkpoint-25", folder)
        log = [{"step": at, "learning_rate": rate} for at, rate in rates.items()]
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": log}))
    for step in (20, 25):
        shutil.rmtree(adapter / "checkpoints" / f"checkpoint-{step}")
    both = learned(str(adapter)).stages
    assert [(stage.step, stage.weight) for stage in both] == [
        (4, pytest.approx(2 / 3)),
        (6, pytest.approx(1 / 3)),
    ]
    assert [(stage.step, stage.weight) for stage in learned(str(adapter), checkpoints=1).stages] == [(6, 1.0)]


def test_rows_that_were_too_long_taught_nothing(adapter) -> None:
    note = adapter / "training.yaml"
    note.write_text(yaml.safe_dump(yaml.safe_load(note.read_text()) | {"max_length": 46}))
    shutil.rmtree(adapter / "checkpoints")
    assert 0 < len(influences(learned(str(adapter)), "Why?", ANSWER)) < 100
    with pytest.raises(InputError, match="no room for an answer in the 46 tokens"):
        influences(learned(str(adapter)), QUESTION * 3, ANSWER)


def test_preferences_taught_what_they_prefer(tmp_path, tiny_random, data) -> None:
    settings = load_settings("cpu-small", {"method": "dpo", "max_steps": 2, "dtype": "float32"})
    train(str(data("preference")), str(tiny_random), tmp_path / "adapter", settings, check=False)
    one = learned(str(tmp_path / "adapter"))
    row = one.examples[0]
    found = influences(one, row.prompt[-1].content, row.answer)
    mirrored = influences(one, row.prompt[-1].content, row.rejected)
    assert dict(found)[row] > 0.1
    assert dict(mirrored)[row] < -0.1


def test_rows_of_scenes_are_called_as_dataset_calls_them(data, tmp_path, tiny_random) -> None:
    from finetune.data.rows import rows_of
    from finetune.data.scenes import read_scenes
    from finetune.examples import read_examples

    export = data().parent / "export"
    known = {
        row.id: row.scene for scene in read_scenes([export]) for row in rows_of(scene, ("aligned", "helpful"))
    }
    examples = read_examples(str(data()), "sft")["train"]
    named = {one.name: one.scene for one in examples if one.part != "simulation"}
    assert named
    assert named.items() <= known.items()


def test_projections_keep_dot_products() -> None:
    torch.manual_seed(0)
    one, other = ([torch.randn(300, 40), torch.randn(7), torch.randn(50, 20)] for _ in range(2))
    mixed = [a + b for a, b in zip(one, other, strict=True)]
    exact = float(sum((a * b).sum() for a, b in zip(one, mixed, strict=True)))
    lengths = [float(sum((part * part).sum() for part in whole)) ** 0.5 for whole in (one, mixed)]
    found = projected(one) @ projected(mixed)
    assert found / np.prod(lengths) == pytest.approx(exact / np.prod(lengths), abs=0.05)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "elsewhere"}, "was trained on elsewhere, and its adapter_config.json names"),
        ({"data": "gone/rows"}, "lacks its rows .*; give their place as --data"),
        ({"rows": "0" * 12}, "holds other rows than"),
        ({"model": None}, "is not as `train` wrote it"),
    ],
)
def test_what_does_not_belong_to_an_adapter(adapter, change, why) -> None:
    note = adapter / "training.yaml"
    values = yaml.safe_load(note.read_text()) | change
    note.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not None}))
    with pytest.raises(InputError, match=why):
        learned(str(adapter))


def test_rows_that_were_moved_are_found_where_they_are_now(adapter) -> None:
    note = adapter / "training.yaml"
    values = yaml.safe_load(note.read_text())
    note.write_text(yaml.safe_dump(values | {"data": "gone/rows"}))
    assert learned(str(adapter), values["data"]).examples
    with pytest.raises(InputError, match="nowhere"):
        learned(str(adapter), "nowhere/at/all")


def test_a_base_of_another_shape(adapter, tiny_random) -> None:
    words = tokenizer()
    other = adapter.parent / "larger"
    with quiet_transformers():
        llama(len(words), hidden_size=64).save_pretrained(other)
        words.save_pretrained(other)
    config, note = adapter / "adapter_config.json", adapter / "training.yaml"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": str(other)}))
    note.write_text(yaml.safe_dump(yaml.safe_load(note.read_text()) | {"model": str(other.resolve())}))
    with pytest.raises(ModelLoadError, match="trained for a different model"):
        influences(learned(str(adapter)), QUESTION, ANSWER)
