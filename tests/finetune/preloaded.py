"""What trainings import, by our command and by TRL's; see tests/fork_server.py."""

# ruff: noqa: F401

import trl.scripts.dpo
import trl.scripts.sft
from trl import DatasetMixtureConfig, DPOTrainer, ModelConfig, ScriptArguments, SFTTrainer, TrlParser

import cli.main
import cli.views.training_view
import finetune.train
import finetune.trainer
import tests.finetune.trl_command
