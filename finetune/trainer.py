"""TRL's trainers over rows that are encoded already. Heavy: torch, TRL and PEFT come with it."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import datasets
import torch
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.encoding import IGNORED, EncodedSplit
from finetune.reporting import Clock, LastStep, NoStepLeftError
from finetune.training import TrainingSettings
from inference.models.local import transformers_folder
from inference.models.sources import ModelSource
from inference.quiet import quiet_transformers
from inference.transformers_engine.placement import attend_without_plans, pick_device, pick_dtype
from scene.errors import InputError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' bars and their notes about their own code off the terminal."""
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    with quiet_transformers(), warnings.catch_warnings():
        # PEFT reads an attribute that transformers is about to rename.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        try:
            yield
        finally:
            if not bars:
                datasets.enable_progress_bars()


def load(source: ModelSource, settings: TrainingSettings) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and model, the weights straight in the number format they are trained in.

    Raises:
        ModelLoadError: The model can't be fetched or loaded.
        InputError: The settings ask for what this machine does not have.
    """
    if settings.report_to != "none" and importlib.util.find_spec(settings.report_to) is None:
        raise InputError(f"{settings.report_to} is not installed; `pip install {settings.report_to}`.")
    device = pick_device("auto")
    folder = transformers_folder(source)
    options: dict[str, Any] = {"dtype": pick_dtype(settings.dtype, device)}
    attend_without_plans(device)
    if settings.quantize:
        options["quantization_config"] = _four_bits(device, options["dtype"])
    if settings.packing:
        if device.type != "cuda" or importlib.util.find_spec("flash_attn") is None:
            raise InputError(
                "Packing needs a CUDA device and FlashAttention, or rows would see each other; "
                "leave --packing out."
            )
        options["attn_implementation"] = "flash_attention_2"
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    words: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder), **local)
    if words.pad_token_id is None:
        words.pad_token = words.eos_token
    network: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        str(folder), use_safetensors=True, **local, **options
    )
    return words, network


def _four_bits(device: torch.device, dtype: torch.dtype) -> BitsAndBytesConfig:
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "Loading in 4 bits needs a CUDA device and `pip install bitsandbytes`; add --no-quantize, "
            "or take the preset cpu-small."
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def make(
    model: PreTrainedModel,
    words: PreTrainedTokenizerBase,
    splits: Mapping[str, EncodedSplit],
    settings: TrainingSettings,
    checkpoints: Path,
) -> Trainer:
    """The trainer. It gets LoRA layers into every linear layer of the model but the last.

    Args:
        model: The base.
        words: Its tokenizer.
        splits: `train`, and `validation` if there is one.
        settings: How.
        checkpoints: Folder for checkpoints.
    """
    options = arguments(model, settings, checkpoints, validates=bool(_rows(splits, "validation")))
    lora = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    made: dict[str, Any] = {
        "model": model,
        "train_dataset": _dataset(splits, "train"),
        "eval_dataset": _dataset(splits, "validation") if _rows(splits, "validation") else None,
        "processing_class": words,
        "peft_config": lora,
    }
    trainer: Trainer
    if settings.method == "dpo":
        trainer = EncodedDPOTrainer(args=DPOConfig(beta=settings.beta, **options), **made)
    else:
        length = settings.max_length if settings.packing else None
        kind = CpuSFTTrainer if options["use_cpu"] else SFTTrainer
        trainer = kind(args=SFTConfig(packing=settings.packing, max_length=length, **options), **made)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    trainer.add_callback(LastStep())
    return trainer


def run(trainer: Trainer, checkpoint: Path | None) -> None:
    """Take all steps, or those that are left after a checkpoint; there may be none.

    The last validation comes after the last checkpoint, so whoever goes on from there validates again.
    """
    with suppress(NoStepLeftError):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    state = trainer.state
    validated = any(
        "eval_loss" in entry and entry["step"] == state.global_step for entry in state.log_history
    )
    if trainer.eval_dataset is not None and not validated:
        trainer.evaluate()


class CpuSFTTrainer(SFTTrainer):
    """Scores only the tokens that the loss counts.

    TRL does so on GPUs alone; on a processor it projects prompts and padding onto the vocabulary too, which
    takes most of the time of a small model. The loss is the same.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401  # as the trainer's
        """Sum of the counted tokens' losses over their number in the whole step."""
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        next_tokens = inputs["labels"][:, 1:]
        counted = (next_tokens != IGNORED).any(dim=0).nonzero()[:, 0]
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=counted,
            use_cache=False,
        ).logits
        targets = next_tokens[:, counted]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        if num_items_in_batch is None:
            return loss / (targets != IGNORED).sum()
        return loss / num_items_in_batch * self.accelerator.num_processes


class EncodedDPOTrainer(DPOTrainer):
    """Takes rows that are encoded already, as `SFTTrainer` does by itself, and keeps their length."""

    def _prepare_dataset(self, dataset: datasets.Dataset, *args: object) -> datasets.Dataset:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        columns: Any = self
        fresh = columns._signature_columns is None
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call]
        if fresh:
            columns._signature_columns.append("length")


def arguments(
    model: PreTrainedModel, settings: TrainingSettings, checkpoints: Path, *, validates: bool
) -> dict[str, Any]:
    """Settings under the names that both of TRL's configurations know."""
    device = pick_device("auto")
    return {
        "output_dir": str(checkpoints),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "train_sampling_strategy": "group_by_length" if settings.group_by_length else "random",
        "activation_checkpointing": settings.gradient_checkpointing,
        "bf16": model.dtype == torch.bfloat16,
        "fp16": model.dtype == torch.float16,
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type == "cuda",
        "eval_strategy": "epoch" if validates else "no",
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": settings.keep,
        "logging_steps": settings.logging_steps,
        "include_num_input_tokens_seen": "non_padding",
        "disable_tqdm": True,
        "report_to": settings.report_to,
        "seed": settings.seed,
    }


def _rows(splits: Mapping[str, EncodedSplit], name: str) -> list[dict[str, list[int]]]:
    return splits[name].rows if name in splits else []


def _dataset(splits: Mapping[str, EncodedSplit], name: str) -> datasets.Dataset:
    """Rows with their length in tokens, by which they are grouped."""
    rows = _rows(splits, name)
    return datasets.Dataset.from_list([{**row, "length": row_length(row)} for row in rows])


def row_length(row: Mapping[str, list[int]]) -> int:
    """Tokens of a row; of a preference, those of the prompt with the longer answer."""
    if "input_ids" in row:
        return len(row["input_ids"])
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def save(trainer: Trainer, out: Path, *, base: str) -> None:
    """Write adapter and tokenizer, from all processes together; nothing of it is pickled.

    Args:
        trainer: After training.
        out: Where to.
        base: The base as the user names it, so that the adapter is found its model on another machine too.
    """
    trainer.save_model(str(out))
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)
        path = out / "adapter_config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": base}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def metrics(trainer: Trainer) -> dict[str, float]:
    """Steps, trained tokens (padding not counted), seconds of all runs together, and the last losses."""
    log = trainer.state.log_history
    found: dict[str, float] = {
        "steps": trainer.state.global_step,
        "tokens": trainer.state.num_input_tokens_seen,
        "seconds": sum(one.seconds for one in trainer.callback_handler.callbacks if isinstance(one, Clock)),
    }
    for name, key in (("loss", "loss"), ("validation_loss", "eval_loss")):
        values = [entry[key] for entry in log if key in entry]
        if values:
            found[name] = values[-1]
    return found
