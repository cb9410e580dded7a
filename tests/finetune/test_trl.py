"""TRL's own command line takes our data sets as they are."""

import pytest

pytestmark = pytest.mark.xdist_group("training")


@pytest.mark.parametrize(
    ("command", "name"),
    [("sft", "prompt-completion"), ("sft", "messages"), ("sft", "sharegpt"), ("dpo", "preference")],
)
def test_trl_trains_on_it(tmp_path, tiny_random, data, trainings, command, name) -> None:
    out = tmp_path / "out"
    options = {
        "model_name_or_path": tiny_random,
        "dataset_name": data(name),
        "dataset_test_split": "validation",
        "eval_strategy": "steps",
        "output_dir": out,
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with trainings.process("tests.finetune.trl_command", command, *flags) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err[-2000:]
    assert (out / "model.safetensors").is_file()
