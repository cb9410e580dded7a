"""The recipe on a random model of two layers: what it changes, that it can be resumed, what it leaves."""

import errno
import json
import math
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import SafetensorError

from finetune import train as recipe
from finetune.check import check_answers
from finetune.checkpoints import last_checkpoint
from finetune.merge import merge
from finetune.training import load_settings
from inference.scripted import ScriptedEngine
from inference.transformers_engine.pretrained import load_pretrained
from scene.errors import InputError, ModelLoadError, UnusableAdapterError
from tests.inference.tiny_llama import llama, tokenizer

RUST_FULL = SafetensorError("I/O error: No space left on device (os error 28)")

TOLERANCE = 1e-5
"""How far losses of the same training may be apart: float32 sums in another order."""


def settings(**changes):
    quick = {"max_steps": 6, "save_steps": 2, "dtype": "float32", "batch_size": 2, "accumulation": 2}
    quick["learning_rate"] = 0.02
    return load_settings("cpu-small", quick | changes)


def curve(out: Path) -> list[float]:
    return [entry["loss"] for entry in json.loads((out / "loss.json").read_text()) if "loss" in entry]


def adapter(out: Path):
    from safetensors.torch import load_file

    return load_file(out / "adapter_model.safetensors")


def train(*arguments, **options):
    return recipe.train(*arguments, check=False, **options)


class KilledError(Exception):
    """Stands for whatever ends a training."""


def kill_at(number: int):
    def kill(step) -> None:
        if step.step == number:
            raise KilledError

    return kill


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, tiny_random, data) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "adapter"
    train(str(data()), str(tiny_random), out, settings())
    return out


@pytest.fixture(autouse=True)
def undrawn(unbroken, monkeypatch) -> None:
    """Draw one curve, that of the unbroken training."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *arguments, **options: None)


def test_it_learns_and_says_what_it_did(unbroken, tiny_random) -> None:
    losses = curve(unbroken)
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["steps"] == 6
    assert metrics["tokens"] > 0
    assert math.isfinite(metrics["validation_loss"])
    assert yaml.safe_load((unbroken / "training.yaml").read_text())["learning_rate"] == 0.02
    assert (unbroken / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "truncated" in (unbroken / "README.md").read_text()
    config = json.loads((unbroken / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_random.resolve())
    left = {path.suffix for path in unbroken.iterdir() if path.is_file()}
    assert not left & {".bin", ".pt", ".pth", ".pkl", ".partial"}


def test_the_same_seed_gives_the_same_losses(tmp_path, tiny_random, data, unbroken) -> None:
    train(str(data()), str(tiny_random), tmp_path / "again", settings())
    assert curve(tmp_path / "again") == curve(unbroken)
    train(str(data()), str(tiny_random), tmp_path / "other", settings(seed=1))
    assert curve(tmp_path / "other") != curve(unbroken)


def test_a_training_that_was_killed_goes_on_to_the_same_curve(tmp_path, tiny_random, data, unbroken) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(KilledError):
        train(str(data()), str(tiny_random), out, settings(), on_step=kill_at(5))
    assert last_checkpoint(out).name == "checkpoint-4"
    assert not (out / "metrics.json").exists()
    with pytest.raises(InputError, match="go on with it by --resume"):
        train(str(data()), str(tiny_random), out, settings())
    with pytest.raises(InputError, match=r"learning_rate was 0\.02 and is now 0\.1"):
        train(str(data()), str(tiny_random), out, settings(learning_rate=0.1), resume=True)
    fewer = data() / "data" / "validation.jsonl"
    with pytest.raises(InputError, match=r"rows was \w+ and is now \w+"):
        train(str(fewer), str(tiny_random), out, settings(), resume=True)
    spend(last_checkpoint(out), hours=1)
    seen = []
    train(str(data()), str(tiny_random), out, settings(), resume=True, on_step=seen.append)
    assert [step.step for step in seen] == [5, 6]
    assert curve(out) == pytest.approx(curve(unbroken), abs=TOLERANCE)
    assert json.loads((out / "metrics.json").read_text())["seconds"] > 3600  # this run's and those before
    for name, weight in adapter(unbroken).items():
        assert weight.sub(adapter(out)[name]).abs().max() < TOLERANCE


@pytest.mark.parametrize("batch", [{"batch_size": 1}, {"group_by_length": True, "lora_dropout": 0.1}])
def test_a_training_that_was_killed_in_its_last_epoch_goes_on_too(tmp_path, tiny_random, data, batch) -> None:
    chosen = settings(max_steps=0, epochs=2.0, save_steps=1, accumulation=3, **batch)
    rows, whole, cut = few(data(), tmp_path / "rows", 10), tmp_path / "whole", tmp_path / "cut"
    train(str(rows), str(tiny_random), whole, chosen)
    steps = len(curve(whole))
    with pytest.raises(KilledError):
        train(str(rows), str(tiny_random), cut, chosen, on_step=kill_at(steps))
    assert last_checkpoint(cut).name == f"checkpoint-{steps - 1}"
    train(str(rows), str(tiny_random), cut, chosen, resume=True)
    assert curve(cut) == pytest.approx(curve(whole), abs=TOLERANCE)


def test_validation_loss_is_the_mean_over_tokens_from_before_the_first_step_on(tmp_path, data) -> None:
    """With one row a step and no learning, the training loss of a step is the loss of its row."""
    model, same = tmp_path / "model", few(data(), tmp_path / "same", 6)
    words = tokenizer()
    llama(len(words)).save_pretrained(model)
    words.save_pretrained(model)
    for file in (same / "data").iterdir():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for number, row in enumerate(rows):
            row["completion"][0]["content"] = "So. " * number**2 + "Yes."
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = settings(batch_size=1, accumulation=1, learning_rate=1e-12, epochs=1.0, max_steps=0)
    train(str(same), str(model), tmp_path / "a", chosen)
    log = json.loads((tmp_path / "a" / "loss.json").read_text())
    assert log[0].keys() >= {"step", "validation_loss"}
    assert log[0]["step"] == 0
    others = replace(chosen, batch_size=6, max_steps=1)
    train(str(same), str(model), tmp_path / "b", others)
    (over_tokens,) = curve(tmp_path / "b")
    assert statistics.mean(curve(tmp_path / "a")) != pytest.approx(over_tokens, abs=1e-3)
    for out in ("a", "b"):
        metrics = json.loads((tmp_path / out / "metrics.json").read_text())
        assert metrics["validation_loss"] == pytest.approx(over_tokens, abs=1e-4)
        assert metrics["validation_loss_before"] == pytest.approx(over_tokens, abs=1e-4)


def few(data: Path, folder: Path, rows: int) -> Path:
    """The first rows of a data set, to train on and to validate on the same."""
    lines = (data / "data" / "train.jsonl").read_text().splitlines(keepends=True)[:rows]
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        (folder / "data" / f"{split}.jsonl").write_text("".join(lines))
    return folder


def spend(checkpoint: Path, *, hours: int) -> None:
    """Have the training up to a checkpoint taken so much longer."""
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text())
    clock = state["stateful_callbacks"]["Clock"]["attributes"]
    assert clock["seconds"] > 0
    clock["seconds"] += hours * 3600
    file.write_text(json.dumps(state))


def test_a_checkpoint_without_a_clock_is_gone_on_with(tmp_path, tiny_random, data) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(KilledError):
        train(str(data()), str(tiny_random), out, settings(max_steps=3, save_steps=1), on_step=kill_at(2))
    file = last_checkpoint(out) / "trainer_state.json"
    state = json.loads(file.read_text())
    del state["stateful_callbacks"]["Clock"]  # as older code wrote it
    file.write_text(json.dumps(state))
    metrics = train(str(data()), str(tiny_random), out, settings(max_steps=3, save_steps=1), resume=True)
    assert metrics["seconds"] > 0


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, tiny_random, data, unbroken, monkeypatch) -> None:
    import torch

    write = torch.save

    def full(value, path, *args, **kwargs):
        if "checkpoint-4" in str(path):
            Path(path).write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(value, path, *args, **kwargs)

    out = tmp_path / "adapter"
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="is full; step 2 is kept"):
        train(str(data()), str(tiny_random), out, settings())
    monkeypatch.setattr(torch, "save", write)
    assert (out / "checkpoints" / "checkpoint-4").is_dir()
    train(str(data()), str(tiny_random), out, settings(), resume=True)
    assert curve(out) == pytest.approx(curve(unbroken), abs=TOLERANCE)


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), RUST_FULL])
def test_a_disk_that_fills_up_at_the_very_end(
    tmp_path, tiny_random, data, unbroken, monkeypatch, failure
) -> None:
    """Half of the adapter is in the folder, but every step was done and the last checkpoint is whole."""
    import peft.peft_model

    write = peft.peft_model.safe_save_file
    out = tmp_path / "adapter"

    def full(tensors, path, *args, **kwargs):
        if Path(path).parent == out:
            Path(path).write_bytes(b"half of it")
            raise failure
        return write(tensors, path, *args, **kwargs)

    monkeypatch.setattr(peft.peft_model, "safe_save_file", full)
    with pytest.raises(InputError, match="is full; step 6 is kept: free some space"):
        train(str(data()), str(tiny_random), out, settings())
    assert not (out / "metrics.json").exists()
    monkeypatch.setattr(peft.peft_model, "safe_save_file", write)
    seen = []
    train(str(data()), str(tiny_random), out, settings(), resume=True, on_step=seen.append)
    assert seen == []
    assert curve(out) == pytest.approx(curve(unbroken), abs=TOLERANCE)
    before, after = (json.loads((one / "metrics.json").read_text()) for one in (unbroken, out))
    assert after.keys() == before.keys()
    for name in before.keys() - {"seconds"}:
        assert after[name] == pytest.approx(before[name], abs=TOLERANCE)
    for name, weight in adapter(unbroken).items():
        assert weight.sub(adapter(out)[name]).abs().max() < TOLERANCE


def test_accumulating_eight_rows_is_as_good_as_a_batch_of_eight(tmp_path, tiny_random, data) -> None:
    one, eight = tmp_path / "one", tmp_path / "eight"
    train(str(data()), str(tiny_random), one, settings(batch_size=1, accumulation=8, max_steps=3))
    train(str(data()), str(tiny_random), eight, settings(batch_size=8, accumulation=1, max_steps=3))
    assert curve(one) == pytest.approx(curve(eight), abs=1e-4)
    for name, weight in adapter(one).items():
        assert weight.sub(adapter(eight)[name]).abs().max() < 1e-4


def test_the_loss_is_that_of_trl(tiny_random, data, tmp_path) -> None:
    from trl.trainer.sft_trainer import SFTTrainer

    from finetune import trainer as trainers
    from finetune.encoding import Encoder, encode_split
    from finetune.examples import read_examples
    from inference.models.sources import resolve

    chosen = settings(batch_size=4)
    with trainers.quiet():
        words, model = trainers.load(resolve(str(tiny_random)), chosen)
        rows = encode_split(Encoder(words, model, "x"), read_examples(str(data()), "sft")["train"], 512)
        trainer = trainers.make(model, words, {"train": rows}, chosen, tmp_path)
        batch = next(iter(trainer.get_train_dataloader()))
        for items in (None, 77):
            own = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=items)
            theirs = SFTTrainer.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=items)
            assert own.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_only_adapter_weights_change(tiny_random, data, tmp_path) -> None:
    import torch

    from finetune import trainer as trainers
    from finetune.encoding import Encoder, encode_split
    from finetune.examples import read_examples
    from inference.models.sources import resolve

    chosen = settings()
    with trainers.quiet():
        words, model = trainers.load(resolve(str(tiny_random)), chosen)
        rows = encode_split(Encoder(words, model, "x"), read_examples(str(data()), "sft")["train"], 512)
        trainer = trainers.make(model, words, {"train": rows}, chosen, tmp_path)
        before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
        trainer.train()
    changed = {
        name for name, weight in trainer.model.named_parameters() if not torch.equal(weight, before[name])
    }
    adapters = {name for name in before if "lora_" in name}
    assert changed == adapters
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert all(any(layer in name for name in adapters) for layer in layers)


def test_dpo_learns_to_prefer(tmp_path, tiny_random, data) -> None:
    out = tmp_path / "adapter"
    train(str(data("preference")), str(tiny_random), out, settings(method="dpo", learning_rate=1e-2))
    losses = curve(out)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < losses[0] - 0.05


def test_kto_learns_answers_and_unlearns_others(tmp_path, tiny_random, data) -> None:
    out = tmp_path / "adapter"
    chosen = settings(method="kto", learning_rate=1e-2, undesirable_weight=1.5)
    with pytest.raises(KilledError):
        train(str(data("preference")), str(tiny_random), out, chosen, on_step=kill_at(5))
    train(str(data("preference")), str(tiny_random), out, chosen, resume=True)
    lengths = {}
    preferences = str(data("preference"))
    metrics = train(preferences, str(tiny_random), tmp_path / "whole", chosen, on_rows=lengths.update)
    losses = curve(out)
    assert 0.5 <= losses[0] <= 0.75  # half of the weight of each row, before anything is learned
    assert losses[-1] < losses[0] - 0.05
    assert losses == pytest.approx(curve(tmp_path / "whole"), abs=TOLERANCE)
    assert math.isfinite(metrics["validation_loss"])
    assert lengths["train"].unlearned * 2 == lengths["train"].rows


def test_kto_counts_answers_alone(tiny_random, tmp_path) -> None:
    from finetune import trainer as trainers
    from finetune.encoding import EncodedSplit
    from inference.models.sources import resolve

    chosen = settings(method="kto", max_length=2000)
    rows = [
        {"prompt_ids": [3] * 1500, "completion_ids": [4] * 30, "label": True, "KL_completion_ids": [5] * 20},
        {"prompt_ids": [6] * 10, "completion_ids": [5] * 20, "label": False, "KL_completion_ids": [4] * 30},
    ]
    with trainers.quiet():
        words, model = trainers.load(resolve(str(tiny_random)), chosen)
        trainer = trainers.make(model, words, {"train": EncodedSplit(rows)}, chosen, tmp_path)
        (batch,) = trainer.get_train_dataloader()
    assert batch["input_ids"].shape == (2, 1530)
    for at, learned in enumerate(batch["label"].tolist()):
        (row,) = (row for row in rows if row["label"] == learned)
        for kind in ("", "KL_"):
            counted = batch[f"{kind}input_ids"][at][batch[f"{kind}completion_mask"][at].bool()]
            assert counted.tolist() == row[f"{kind}completion_ids"]


def test_dpo_keeps_rows_of_any_length_that_is_asked_for(tiny_random, tmp_path) -> None:
    from finetune import trainer as trainers
    from finetune.encoding import EncodedSplit
    from inference.models.sources import resolve

    chosen = settings(method="dpo", max_length=2000)
    row = {"prompt_ids": [3] * 1500, "chosen_ids": [4] * 30, "rejected_ids": [5] * 20}
    with trainers.quiet():
        words, model = trainers.load(resolve(str(tiny_random)), chosen)
        trainer = trainers.make(model, words, {"train": EncodedSplit([row])}, chosen, tmp_path)
        (batch,) = trainer.get_train_dataloader()
    assert batch["input_ids"].shape == (2, 1530)
    assert batch["completion_mask"].sum(dim=1).tolist() == [30, 20]


def test_an_adapter_of_a_hub_model_names_the_commit_that_was_trained(tiny_random, data, tmp_path) -> None:
    from finetune import trainer as trainers
    from finetune.encoding import EncodedSplit
    from inference.models.sources import HubSource, resolve

    with trainers.quiet():
        words, model = trainers.load(resolve(str(tiny_random)), settings())
        split = EncodedSplit([{"input_ids": [3, 4], "labels": [-100, 4]}])
        trainer = trainers.make(model, words, {"train": split}, settings(), tmp_path)
        trainers.save(trainer, tmp_path, HubSource(id="org/name@v1", repo="org/name", commit="0" * 40))
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/name", "0" * 40)


def test_what_can_not_be_trained(tmp_path, tiny_random, data, unbroken) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="`merge` it into its base"):
        train(str(data()), str(unbroken), out, settings())
    with pytest.raises(InputError, match="sft takes one with"):
        train(str(data("preference")), str(tiny_random), tmp_path / "a", settings())
    with pytest.raises(InputError, match=r"No row of .* fits 8 tokens"):
        train(str(data()), str(tiny_random), tmp_path / "b", settings(max_length=8))
    with pytest.raises(InputError, match="holds something else"):
        train(str(data()), str(tiny_random), data(), settings())
    train(str(data()), str(tiny_random), tmp_path / "b", settings(max_steps=1))  # nothing was begun there
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="4 bits needs a CUDA device"):
            train(str(data()), str(tiny_random), tmp_path / "c", settings(quantize=True))
    for asked, why in (({"packing": True}, "FlashAttention"), ({"report_to": "wandb"}, "not installed")):
        with pytest.raises(InputError, match=why):
            train(str(data()), str(tiny_random), tmp_path / why, settings(**asked))
    assert not out.exists()


def silent_on_eggs(request) -> str:
    return " " if "egg" in request.messages[-1].content else "Yes."


class Endless(ScriptedEngine):
    async def generate(self, request):
        return replace(await super().generate(request), finish_reason="length")


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (Endless(lambda request: "and so on, and so on"), "does not end"),
        (ScriptedEngine(silent_on_eggs), "'How do I boil an egg.' is empty"),
    ],
)
def test_what_does_not_answer_is_not_called_done(unbroken, monkeypatch, engine, why) -> None:
    monkeypatch.setattr("finetune.check.load_engine", lambda *args, **options: engine)
    with pytest.raises(UnusableAdapterError, match=why):
        check_answers(unbroken)


def test_a_training_is_done_once_its_adapter_was_seen_to_answer(
    tmp_path, tiny_random, data, monkeypatch
) -> None:
    def run(engine, **options):
        monkeypatch.setattr("finetune.check.load_engine", lambda *args, **ignored: engine)
        return recipe.train(str(data()), str(tiny_random), out, settings(max_steps=2), **options)

    def said():
        return [(one["text"], one["ended"]) for one in json.loads((out / "check.json").read_text())]

    out = tmp_path / "adapter"
    with pytest.raises(UnusableAdapterError, match=r"check\.json has the others"):
        run(Endless(lambda request: "and so on, and so on"))
    assert not (out / "metrics.json").exists()
    assert said() == [("and so on, and so on", False)] * 3
    assert "Not fit for use" in (out / "README.md").read_text()
    assert adapter(out)
    assert curve(out)

    metrics = run(ScriptedEngine(lambda request: "Yes."), resume=True)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert said() == [("Yes.", True)] * 3
    assert "Not fit for use" not in (out / "README.md").read_text()

    with pytest.raises(UnusableAdapterError):
        run(Endless(lambda request: "and so on"), resume=True)
    assert not (out / "metrics.json").exists()


def test_merged_model_is_what_base_and_adapter_were(tmp_path, tiny_random, unbroken) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    merged = merge(str(unbroken), tmp_path / "model")
    assert merged.divergence < 1e-5
    both = load_pretrained(tiny_random, name="x", adapter=unbroken, dtype="float32", device="cpu")
    one = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(one(ids).logits, both.model(ids).logits, atol=1e-4, rtol=0)
    base = AutoModelForCausalLM.from_pretrained(tiny_random)
    assert (one(ids).logits - base(ids).logits).abs().max() > 1e-2
    assert not list((tmp_path / "model").glob("*.bin"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    with pytest.raises(InputError, match="not empty"):
        merge(str(unbroken), tmp_path / "model")
    with pytest.raises(InputError, match="is no adapter"):
        merge(str(tiny_random), tmp_path / "other")


def test_an_adapter_for_another_base_is_not_merged(tmp_path, unbroken) -> None:
    words = tokenizer()
    llama(len(words), hidden_size=64).save_pretrained(tmp_path / "larger")
    words.save_pretrained(tmp_path / "larger")
    shutil.copytree(unbroken, tmp_path / "adapter", ignore=shutil.ignore_patterns("checkpoints"))
    config = tmp_path / "adapter" / "adapter_config.json"
    named = json.loads(config.read_text()) | {"base_model_name_or_path": str(tmp_path / "larger")}
    config.write_text(json.dumps(named))
    with pytest.raises(ModelLoadError, match="trained for a different model"):
        merge(str(tmp_path / "adapter"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
