"""TRL's own command line takes our data sets as they are."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "name"),
    [("sft", "prompt-completion"), ("sft", "messages"), ("sft", "sharegpt"), ("dpo", "preference")],
)
def test_trl_trains_on_it(tmp_path, tiny_random, data, command, name) -> None:
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
    done = subprocess.run(
        [sys.executable, "-m", "trl.cli.main", command, *flags],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (out / "model.safetensors").is_file()


def _environment(tmp_path):
    threads = {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path)}
    return {**os.environ, **threads}
