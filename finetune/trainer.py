"""TRL's trainers over rows that are encoded already. Heavy: torch, TRL and PEFT come with it."""

import importlib.util
import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import datasets
import torch
from peft import LoraConfig
from transformers import (
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
)
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.encoding import IGNORED, EncodedSplit
from finetune.order import EpochOrder
from finetune.reporting import Clock, LastStep, NoStepLeftError
from finetune.training import TrainingSettings
from inference.models.local import transformers_folder
from inference.models.sources import HubSource, ModelSource
from inference.models.weights import check_weights
from inference.quiet import quiet_peft, quiet_transformers
from inference.transformers_engine.placement import attend_without_plans, pick_device, pick_dtype
from inference.transformers_engine.pretrained import explained, load_model, load_tokenizer
from scene.errors import InputError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' bars and their notes about their own code off the terminal."""
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    with quiet_transformers(), quiet_peft():
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
    check_weights(folder, source.id)
    with explained(source.id):
        words = load_tokenizer(folder)
        network = load_model(folder, source.id, options.pop("dtype"), **options)
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

    Routers between experts stay as they are: some are linear layers that give more than a product.
    """
    validation = splits["validation"].rows if "validation" in splits else []
    options = arguments(model, settings, checkpoints, validates=bool(validation))
    lora = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        exclude_modules=[
            name
            for name, part in model.named_modules()
            if isinstance(part, torch.nn.Linear) and "Router" in type(part).__name__
        ],
        task_type="CAUSAL_LM",
    )
    made: dict[str, Any] = {
        "model": model,
        "train_dataset": datasets.Dataset.from_list(splits["train"].rows),
        "eval_dataset": datasets.Dataset.from_list(validation) if validation else None,
        "processing_class": words,
        "peft_config": lora,
    }
    trainer: OwnOrder
    if settings.method == "dpo":
        # Rows are cut already.
        config = DPOConfig(beta=settings.beta, max_length=None, **options)
        trainer = EncodedDPOTrainer(args=config, **made)
    elif settings.method == "kto":
        judging = KTOConfig(
            beta=settings.beta,
            desirable_weight=settings.desirable_weight,
            undesirable_weight=settings.undesirable_weight,
            max_length=None,
            **options,
        )
        trainer = EncodedKTOTrainer(args=judging, **made)
    else:
        length = settings.max_length if settings.packing else None
        projects_few = options["use_cpu"] and "logits_to_keep" in inspect.signature(model.forward).parameters
        kind = CpuSFTTrainer if projects_few else EncodedSFTTrainer
        trainer = kind(args=SFTConfig(packing=settings.packing, max_length=length, **options), **made)
    trainer.order = EpochOrder(
        [row_length(row) for row in cast("datasets.Dataset", trainer.train_dataset)],
        settings.batch_size,
        group=settings.group_by_length,
        seed=settings.seed,
    )
    trainer.add_callback(trainer.order)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    trainer.add_callback(LastStep())
    return trainer


def run(trainer: Trainer, checkpoint: Path | None) -> None:
    """Take all steps, or those that are left after a checkpoint; there may be none.

    The first validation comes before the first step. The last one comes after the last checkpoint, so
    whoever goes on from there validates again.
    """
    trainer.args.eval_on_start = trainer.eval_dataset is not None and checkpoint is None
    with suppress(NoStepLeftError):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    state = trainer.state
    validated = any(
        "eval_loss" in entry and entry["step"] == state.global_step for entry in state.log_history
    )
    if trainer.eval_dataset is not None and not validated:
        trainer.evaluate()


class OwnOrder(Trainer):
    """Takes rows in an order that is not the trainer's."""

    order: EpochOrder

    def _get_train_sampler(self, train_dataset: object = None) -> EpochOrder:
        return self.order


class EncodedSFTTrainer(OwnOrder, SFTTrainer):
    """Validates by the loss that it trains by: the mean over all counted tokens, not over batches."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Go through all rows."""
        self._validated = torch.zeros(2, device=self.accelerator.device)
        output: EvalLoopOutput = super().evaluation_loop(*args, **kwargs)
        lost, counted = self.accelerator.reduce(self._validated).tolist()
        return output._replace(metrics={**(output.metrics or {}), "eval_loss": lost / counted})

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Add up what a batch lost."""
        counted = (inputs["labels"][:, 1:] != IGNORED).sum().to(self._validated.device)
        step: Any = super().prediction_step(model, inputs, *args, **kwargs)
        self._validated += torch.stack([step[0] * counted, counted])
        return cast("tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]", step)


class CpuSFTTrainer(EncodedSFTTrainer):
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


class TakesEncoded(OwnOrder):
    """Takes rows that are encoded already, as `SFTTrainer` does by itself."""

    def _prepare_dataset(self, dataset: datasets.Dataset, *args: object) -> datasets.Dataset:
        return dataset


class EncodedDPOTrainer(TakesEncoded, DPOTrainer):
    """Learns to prefer one answer to another."""


class EncodedKTOTrainer(TakesEncoded, KTOTrainer):
    """Learns single answers and unlearns others."""


def arguments(
    model: PreTrainedModel, settings: TrainingSettings, checkpoints: Path, *, validates: bool
) -> dict[str, Any]:
    """Settings under the names that all of TRL's configurations know."""
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
        # The loss is that of the answers alone, and a model with experts answers as it is loaded.
        "router_aux_loss_coef": 0.0,
        "seed": settings.seed,
    }


def row_length(row: Mapping[str, Any]) -> int:
    """Tokens of a row; where it has several answers, those of the prompt with the longest."""
    if "input_ids" in row:
        return len(row["input_ids"])
    prompt = len(row["prompt_ids"])
    return prompt + max(len(ids) for name, ids in row.items() if name not in ("prompt_ids", "label"))


def save(trainer: Trainer, out: Path, source: ModelSource) -> None:
    """Write adapter and tokenizer, from all processes together; nothing of it is pickled.

    The base is named as the user does, so that the adapter is found its model on another machine too; a hub
    model with the commit that was trained, where PEFT looks for it.
    """
    trainer.save_model(str(out))
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)
        path = out / "adapter_config.json"
        name, commit = (source.repo, source.commit) if isinstance(source, HubSource) else (source.id, None)
        base = {"base_model_name_or_path": name, "revision": commit}
        config = json.loads(path.read_text(encoding="utf-8")) | base
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def metrics(trainer: Trainer) -> dict[str, float]:
    """Steps, trained tokens (padding not counted), seconds of all runs together, and the last losses."""
    log = trainer.state.log_history
    found: dict[str, float] = {
        "steps": trainer.state.global_step,
        "tokens": trainer.state.num_input_tokens_seen,
        "seconds": sum(one.seconds for one in trainer.callback_handler.callbacks if isinstance(one, Clock)),
    }
    for name, key, place in (
        ("loss", "loss", -1),
        ("validation_loss", "eval_loss", -1),
        ("validation_loss_before", "eval_loss", 0),
    ):
        values = [entry[key] for entry in log if key in entry]
        if values:
            found[name] = values[place]
    return found
