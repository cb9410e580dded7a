"""The files for several GPUs: accelerate reads them, and would start our command with them."""

import os

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from tests.paths import ROOT

FILES = ROOT / "finetune" / "accelerate"


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch):
    """`launch(name)`: what `accelerate launch` with a file hands to its launcher, two GPUs pretended."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    handed = []
    for launcher in ("deepspeed_launcher", "multi_gpu_launcher", "simple_launcher"):
        monkeypatch.setattr(f"accelerate.commands.launch.{launcher}", handed.append)

    def arguments(name: str):
        path = str(FILES / name)
        assert load_config_from_file(path).num_processes == 2
        line = ["--config_file", path, "-m", "cli.main", "train", "data", "--out", "adapter"]
        launch_command(launch_command_parser().parse_args(line))
        (args,) = handed
        assert args.training_script == "cli.main"
        assert args.training_script_args == ["train", "data", "--out", "adapter"]
        return args

    return arguments


def test_fsdp(launch, monkeypatch) -> None:
    args = launch("fsdp.yaml")
    assert args.use_fsdp
    environment = prepare_multi_gpu_env(args)
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    for name, value in environment.items():
        if name.startswith(("FSDP_", "ACCELERATE_")) and os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True


def test_deepspeed(launch) -> None:
    args = launch("deepspeed.yaml")
    assert args.use_deepspeed
    command, environment = prepare_deepspeed_cmd_env(args)
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == "2"
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert command is None or "deepspeed" not in command


def test_they_are_packaged() -> None:
    assert sorted(path.name for path in FILES.glob("*")) == ["deepspeed.yaml", "fsdp.yaml"]
