"""`monopolylogue train`: a data set and a model become an adapter."""

import os
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.options import MODEL, OUTPUT, RUNNING, Model, option
from cli.views.console import plain_console
from finetune.training import METHODS, REPORTERS, SCHEDULES, TrainingSettings, load_settings, presets
from inference.engine import DTYPES

LEARNING, ADAPTER = "Learning", "The adapter"
"""Titles in --help."""

EPILOG = """\
[bold]Examples[/]

Tune the built-in model on two processor cores, then ask it something:
  monopolylogue train data/monday --preset cpu-small --out adapters/monday
  monopolylogue run "May I read my son's diary?" --model adapters/monday

The paper's training on one GPU, with twice the rank; --resume goes on with it if it was begun:
  monopolylogue train data/paper --model Qwen/Qwen2.5-7B-Instruct --preset paper --lora-r 16 \
--out adapters/7b --resume

Preferences, or single answers with a label, two at a time:
  monopolylogue train data/preferences --method kto --batch-size 2 --out adapters/kto

Several GPUs (FSDP and DeepSpeed files are in finetune/accelerate):
  accelerate launch --config_file finetune/accelerate/fsdp.yaml -m cli.main train data/paper ..."""


_field = partial(option, show_default=False)


def train(
    context: typer.Context,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder that `dataset` wrote, file, or hub id.")
    ],
    out: Annotated[Path, option(OUTPUT, "Folder of the adapter.", metavar="ADAPTER")],
    model: Model = "default",
    subset: Annotated[str | None, typer.Option(metavar="NAME", help="Configuration of a data set.")] = None,
    preset: Annotated[str, option(LEARNING, f"{', '.join(presets())}, or a YAML file.")] = "cpu-small",
    resume: Annotated[bool, option(RUNNING, "Go on from the last checkpoint.", "--resume")] = False,
    method: Annotated[str | None, _field(LEARNING, f"{', '.join(METHODS)}.")] = None,
    epochs: Annotated[float | None, _field(LEARNING, "Passes over the rows.")] = None,
    max_steps: Annotated[int | None, _field(LEARNING, "Stop after so many steps.")] = None,
    learning_rate: Annotated[float | None, _field(LEARNING, "Peak learning rate.")] = None,
    schedule: Annotated[str | None, _field(LEARNING, f"{', '.join(SCHEDULES)}.")] = None,
    warmup: Annotated[float | None, _field(LEARNING, "Share of the steps to the peak.")] = None,
    weight_decay: Annotated[float | None, _field(LEARNING, "Weight decay.")] = None,
    batch_size: Annotated[int | None, _field(LEARNING, "Rows in a forward pass.")] = None,
    accumulation: Annotated[int | None, _field(LEARNING, "Forward passes in a step.")] = None,
    max_length: Annotated[int | None, _field(LEARNING, "Longest row, in tokens.")] = None,
    beta: Annotated[float | None, _field(LEARNING, "For dpo and kto: how close to the base to stay.")] = None,
    desirable_weight: Annotated[float | None, _field(LEARNING, "For kto: weight of what is learned.")] = None,
    undesirable_weight: Annotated[float | None, _field(LEARNING, "For kto: weight of the rest.")] = None,
    seed: Annotated[int | None, _field(LEARNING, "Seed of weights, order and dropout.")] = None,
    lora_r: Annotated[int | None, _field(ADAPTER, "Rank.")] = None,
    lora_alpha: Annotated[int | None, _field(ADAPTER, "Scale.")] = None,
    lora_dropout: Annotated[float | None, _field(ADAPTER, "Dropout.")] = None,
    quantize: Annotated[bool | None, _field(MODEL, "Load the base in 4 bits (CUDA).")] = None,
    dtype: Annotated[str | None, _field(MODEL, f"{', '.join(DTYPES)}.")] = None,
    gradient_checkpointing: Annotated[bool | None, _field(RUNNING, "Less memory, slower.")] = None,
    group_by_length: Annotated[bool | None, _field(RUNNING, "Batch rows of like length.")] = None,
    packing: Annotated[bool | None, _field(RUNNING, "Several examples a row (FlashAttention).")] = None,
    save_steps: Annotated[int | None, _field(RUNNING, "Steps between checkpoints.")] = None,
    keep: Annotated[int | None, _field(RUNNING, "Checkpoints kept.")] = None,
    logging_steps: Annotated[int | None, _field(RUNNING, "Steps between points of the curve.")] = None,
    report_to: Annotated[str | None, _field(RUNNING, f"{', '.join(REPORTERS)}.")] = None,
) -> None:
    """Train a LoRA adapter on a data set.

    What the options don't say, the preset does. The folder gets the adapter,
    its settings, a card and the loss curve; a training that was cut off goes
    on with --resume.
    """
    changes = {field.name: context.params[field.name] for field in fields(TrainingSettings)}
    settings = load_settings(preset, changes)
    from cli.views.training_view import TrainingView
    from finetune.checkpoints import last_checkpoint, step_of
    from finetune.train import train as train_adapter

    first = os.environ.get("RANK", "0") == "0"
    try:
        with TrainingView(plain_console(stderr=True), quiet=not first) as view:
            metrics = train_adapter(
                data, model, out, settings, subset=subset, resume=resume, on_rows=view.rows, on_step=view.step
            )
    except KeyboardInterrupt:
        checkpoint = last_checkpoint(out)
        kept = "Nothing was kept" if checkpoint is None else f"Step {step_of(checkpoint)} is kept"
        raise interrupted(f"{kept}; run the command again with --resume to go on.") from None
    if first:
        loss = metrics.get("loss")
        console = plain_console()
        console.print(f"Trained {metrics['steps']:,.0f} steps; last loss {loss:.3f}.")
        console.print(f"Written to {out}; it loads, answers and stops.")
