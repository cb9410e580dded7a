"""What a model must do to be worth training, tried in seconds: go on with a text, answer, learn.

A training takes hours, and what comes of it is loaded by an engine that runs not every kind of model. Heavy:
torch, transformers and PEFT come with it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from finetune.check import QUESTIONS, ask
from finetune.trainer import row_length
from inference.transformers_engine.adopt import engine_on
from inference.transformers_engine.pretrained import is_out_of_memory, no_memory
from scene.errors import InputError, reason

AHEAD = 0.1
"""How much of its size a logit may change, at most, by what comes after it: rounding in bfloat16 alone."""


@contextmanager
def named(name: str, network: PreTrainedModel) -> Iterator[None]:
    """Say of which kind a model is with which a library can't do what is tried.

    Raises:
        InputError: Something failed.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever a model's own code may raise
        if is_out_of_memory(error):
            raise no_memory(name) from error
        raise InputError(
            f"{name} can't be trained here: a first try with a model of the kind {network.config.model_type} "
            f"ended in an error ({reason(error)}); choose another model."
        ) from error


def try_out(trainer: Trainer, words: PreTrainedTokenizerBase, name: str) -> None:
    """Let a model answer as it will when it is trained, and take the gradient of a row, without a step.

    Several processes each hold a part of a model, or none of it yet; they go without.

    Raises:
        InputError: It can't be trained, or the engine could not run what came of it.
    """
    if trainer.accelerator.num_processes > 1:
        return
    adapted: Any = trainer.model
    with torch.random.fork_rng(), closing(engine_on(adapted.get_base_model(), words, name)) as engine:
        asyncio.run(ask(engine, QUESTIONS, max_tokens=2))
        _try_learning(trainer, name)


def _try_learning(trainer: Trainer, name: str) -> None:
    """The loss of the shortest row, what its end changes before it, and its gradient."""
    rows: Any = trainer.train_dataset
    sizes = list(map(row_length, rows))
    batch = trainer._prepare_inputs(trainer.data_collator([rows[sizes.index(min(sizes))]]))
    model: Any = trainer.model
    ids = batch["input_ids"][:1]
    half = ids.shape[1] // 2
    model.eval()
    with torch.no_grad():
        whole, begun = (model(input_ids=part).logits[:, :half].float() for part in (ids, ids[:, :half]))
    if (whole - begun).norm() > AHEAD * begun.norm():
        raise InputError(f"{name} reads ahead in a text, as no model does that writes one; choose another.")
    model.train()
    with trainer.compute_loss_context_manager():
        loss: Any = trainer.compute_loss(model, batch)
    loss.backward()
    slopes = [weight.grad for weight in model.parameters() if weight.grad is not None]
    if not loss.isfinite() or not any(slope.any() for slope in slopes):
        raise InputError(f"{name} can't be trained here: the loss of a row gives its adapter no gradient.")
    model.zero_grad()
    records: Any = trainer
    records._metrics["train"].clear()
    records._total_train_tokens = 0
