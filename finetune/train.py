"""The training recipe, from a data set to an adapter that was seen to answer. Read it from top to bottom."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from finetune.check import check_answers
from finetune.checkpoints import FOLDER, last_checkpoint, step_of
from finetune.encoding import Encoder, Lengths, encode_splits
from finetune.examples import digest, read_examples
from finetune.model_card import model_card, write_curve
from finetune.training import Step, TrainingSettings, settings_from
from inference.models.cache import is_full
from inference.models.sources import AdapterSource, resolve
from scene.errors import InputError, UnusableAdapterError
from scene.files import replace_file

SETTINGS, CARD = "training.yaml", "README.md"

METRICS = "metrics.json"
"""Written last, once the adapter was seen to answer: where it is missing, the training is not done."""


def train(
    data: str,
    model: str,
    out: Path,
    settings: TrainingSettings,
    *,
    subset: str | None = None,
    resume: bool = False,
    on_rows: Callable[[dict[str, Lengths]], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
    check: bool = True,
) -> dict[str, float]:
    """Train an adapter and save it; what was measured, as `finetune.trainer.metrics` has it.

    Whatever ends the training early, the last whole checkpoint stays, and `resume` goes on from it: the same
    losses come of it as of an unbroken training.

    Args:
        data: A data set; see `finetune.examples.read_examples`.
        model: What to train, as `--model` of the other commands takes it.
        out: Folder of the adapter.
        settings: How.
        subset: Configuration of the data set, where there are several.
        resume: Go on with what is in `out`; begin anew if nothing is.
        on_rows: Called with what became of the rows, before the first step.
        on_step: Called after every step.
        check: Whether the adapter has to answer once it is saved.

    Raises:
        InputError: Data, model or settings don't fit, the folder is taken, or the disk is full.
        UnusableAdapterError: What was trained gives empty answers, or answers that don't end.
    """
    # 1. What to train, and where to.
    source = resolve(model)
    if isinstance(source, AdapterSource):
        raise InputError(f"{model} is an adapter; `merge` it into its base and train the merged model.")
    examples = read_examples(data, settings.method, subset)
    data = f"{data}, subset {subset}" if subset else data
    if os.environ.get("RANK", "0") == "0":  # the first of the processes that `accelerate launch` starts
        run = {"model": source.id, "data": data, "rows": digest(examples)}
        claim(out, {**run, **asdict(settings)}, settings, resume=resume)

    # 2. Rows to tokens, the answers marked.
    from finetune import trainer as trainers  # torch and TRL come with it
    from finetune import trials
    from finetune.reporting import Reporting
    from inference.transformers_engine.forward import ForwardPass

    with trainers.quiet():
        words, network = trainers.load(source, settings)
        encoder = Encoder(words, network, model)
        splits = encode_splits(encoder, examples, settings.max_length, apart=settings.method == "kto")
        lengths = {name: split.lengths for name, split in splits.items()}
        if not splits["train"].rows:
            raise InputError(f"No row of {data} fits {settings.max_length} tokens; raise --max-length.")
        if on_rows is not None:
            on_rows(lengths)

        # 3. Train, once it was seen that the model can be trained and would answer.
        with trials.named(model, network):
            ForwardPass(network, model)  # refuses layers that the engine does not know
            trainer = trainers.make(network, words, splits, settings, out / FOLDER)
            trials.try_out(trainer, words, model)
        if on_step is not None:
            trainer.add_callback(Reporting(on_step))
        trainer.accelerator.wait_for_everyone()
        first = trainer.is_world_process_zero()
        with saving_to(out):
            if first:
                (out / METRICS).unlink(missing_ok=True)
            trainers.run(trainer, last_checkpoint(out))

            # 4. Save: the adapter in safetensors, its tokenizer, curve and card.
            trainers.save(trainer, out, source)
            metrics = trainers.metrics(trainer)
            card = partial(model_card, source.id, data, settings, metrics, lengths)
            if first:
                write_curve(trainer.state.log_history, out, f"{source.id}, {settings.method}")
                replace_file(out / CARD, card())

    # 5. Load it as anybody would, and let it answer. If it does, the training is done.
    del trainer, network
    if first:
        with saving_to(out):
            if check:
                demand_answers(out, card)
            replace_file(out / METRICS, json.dumps(metrics, indent=2) + "\n")
    return metrics


def demand_answers(out: Path, card: Callable[..., str]) -> None:
    """Let a saved adapter answer. What does not is kept, and its card says why it is not fit for use.

    Raises:
        UnusableAdapterError: Answers are empty or don't end.
    """
    try:
        check_answers(out)
    except UnusableAdapterError as error:
        replace_file(out / CARD, card(fault=str(error)))
        raise


def claim(out: Path, run: dict[str, Any], settings: TrainingSettings, *, resume: bool) -> None:
    """Take a folder for a training, or make sure that this training goes on with the one in it.

    Raises:
        InputError: Something else is there, or a training that this one does not continue.
    """
    note = out / SETTINGS
    if not note.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds something else than a training of ours; give --out another folder.")
    if last_checkpoint(out) is None and not (out / "adapter_config.json").exists():  # nothing can be lost
        with saving_to(out):
            out.mkdir(parents=True, exist_ok=True)
            replace_file(note, yaml.safe_dump(run, sort_keys=False, allow_unicode=True))
        return
    if not resume:
        raise InputError(f"{out} holds a training; go on with it by --resume, or give --out another folder.")
    before, kept = read_settings(note)
    changes = [
        f"{name} was {before.get(name)} and is now {run[name]}"
        for name in ("model", "rows")
        if before.get(name) != run[name]
    ]
    changes += kept.changes(settings)
    if changes:
        raise InputError(
            f"{out} can't be gone on with, since {', and '.join(changes)}; "
            "put that back, or give another --out."
        )


def read_settings(note: Path) -> tuple[dict[str, str], TrainingSettings]:
    """What a training's note says: model, data and digest of its rows, and the settings.

    Raises:
        InputError: It is not as it was written.
    """
    try:
        values = yaml.safe_load(note.read_text(encoding="utf-8"))
        run = {name: values.pop(name) for name in ("model", "data", "rows")}
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{note} is not as `train` wrote it; train again, to another folder.") from error
    return run, settings_from(values, str(note))


@contextmanager
def saving_to(out: Path) -> Iterator[None]:
    """Say in one sentence that a disk is full, and what is left to go on from.

    Raises:
        InputError: Something could not be written.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if not is_full(error):
            raise
        checkpoint = last_checkpoint(out)
        left = "nothing was kept" if checkpoint is None else f"step {step_of(checkpoint)} is kept"
        raise InputError(
            f"The disk that holds {out} is full; {left}: free some space and run the command again "
            "with --resume."
        ) from error
