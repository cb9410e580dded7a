"""Load a Hugging Face folder, and an adapter on top of it, as a HuggingFacePipeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError

from inference.heap import return_large_blocks
from inference.models.weights import ADAPTER, check_adapter, check_weights, tensor_names
from inference.quiet import quiet_transformers
from inference.transformers_engine.placement import attend_without_plans, pick_device, pick_dtype
from scene.errors import ModelLoadError

if TYPE_CHECKING:
    import torch
    from langchain_huggingface import HuggingFacePipeline
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Everything transformers and PEFT raise about a folder that can't be loaded.
_LOAD_ERRORS = (ImportError, LookupError, OSError, RuntimeError, SafetensorError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A loaded model and what is to know about it.

    Attributes:
        pipeline: Model and tokenizer.
        context_tokens: Size of the context window in tokens.
        dtype: Number format of the weights, such as `bfloat16`.
        device: Where the weights are, such as `cuda:0`.
    """

    pipeline: HuggingFacePipeline
    context_tokens: int
    dtype: str
    device: str


def load_pretrained(
    folder: Path, *, name: str, adapter: Path | None = None, dtype: str = "auto", device: str = "auto"
) -> Pretrained:
    """Load a model from disk. Never runs code from the folder and never touches the network.

    The tokenizer comes from the adapter's folder where that has one, since training may have set its chat
    template.

    Args:
        folder: Config, safetensors and tokenizer.
        name: What the user called the model, for messages.
        adapter: Folder of a LoRA adapter.
        dtype: Number format, or `auto`.
        device: Device, or `auto`.

    Raises:
        ModelLoadError: Files are missing or damaged, there is no chat template, or no room in memory.
        InputError: `dtype` or `device` names nothing that is there.
    """
    # Before anything that imports torch.
    check_weights(folder, name)
    if adapter is not None:
        check_adapter(adapter, name)
    place = pick_device(device)
    number_format = pick_dtype(dtype, place)
    attend_without_plans(place)
    if place.type == "cpu":
        return_large_blocks()
    with quiet_transformers():
        try:
            tokenizer = _load_tokenizer(folder, adapter)
            if not tokenizer.chat_template:
                raise ModelLoadError(
                    f"{name} has no chat template; choose an instruction-tuned model, "
                    "or add a chat_template.jinja to its folder."
                )
            model = _load_model(folder, name, number_format, place)
            if adapter is not None:
                model = _put_on_adapter(model, adapter, name)
        except MemoryError as error:
            raise _no_memory(name) from error
        except _LOAD_ERRORS as error:
            if "out of memory" in str(error) or "can't allocate memory" in str(error):
                raise _no_memory(name) from error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
            raise ModelLoadError(f"{name} can't be loaded ({reason}).") from error
        return Pretrained(
            pipeline=_as_pipeline(model, tokenizer, name, place),
            context_tokens=_context_tokens(model, tokenizer, name),
            dtype=str(number_format).removeprefix("torch."),
            device=str(model.device),
        )


def _no_memory(name: str) -> ModelLoadError:
    return ModelLoadError(f"{name} does not fit into memory; choose a smaller model or another device.")


def _load_tokenizer(folder: Path, adapter: Path | None) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    has_own = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(adapter if has_own else folder),
        padding_side="left",
        local_files_only=True,
        trust_remote_code=False,
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _load_model(folder: Path, name: str, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """The model, straight onto its device; every weight must come from the folder."""
    from transformers import AutoModelForCausalLM

    loader: Any = AutoModelForCausalLM  # its annotations don't know of output_loading_info
    model: PreTrainedModel
    with _cast_unmapped(dtype) if device.type == "cpu" else nullcontext():
        model, info = loader.from_pretrained(
            str(folder),
            dtype=dtype,
            device_map=None if device.type == "cpu" else {"": device},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if info["missing_keys"]:
        # transformers makes these weights up at random and only warns.
        raise ModelLoadError(
            f"{name} lacks weights that its config.json asks for, such as {min(info['missing_keys'])}; "
            "download the model again."
        )
    model.eval()
    return model


@contextmanager
def _cast_unmapped(dtype: torch.dtype) -> Iterator[None]:
    """Have transformers read tensors that it casts one by one; it maps all files until the last is cast.

    What it need not cast stays mapped: then the file is the weights, for all processes that have it open.
    """
    from transformers import modeling_utils

    loader: Any = modeling_utils
    mapped = loader.safe_open

    def opened(file: str, **options: Any) -> object:
        whole = mapped(file, **options)
        if all(whole.get_tensor(key).dtype == dtype for key in whole.keys()):
            return whole
        return mapped(file, **options | {"backend": "pread"})

    loader.safe_open = opened
    try:
        yield
    finally:
        loader.safe_open = mapped


def _put_on_adapter(model: PreTrainedModel, adapter: Path, name: str) -> PreTrainedModel:
    """The same model with the adapter's layers inside, unmerged, so that numbers stay as in training."""
    from peft import PeftModel, get_peft_model_state_dict

    mismatch = f"The adapter {name} was trained for a different model than its adapter_config.json names"
    try:
        with warnings.catch_warnings():
            # PEFT reads an attribute that transformers is about to rename.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            # We look for those below, and refuse instead of warning.
            warnings.filterwarnings("ignore", message="Found missing adapter keys", category=UserWarning)
            adapted = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        if isinstance(error, ValueError) and "arget modules" not in str(error):
            raise
        raise ModelLoadError(f"{mismatch}; correct base_model_name_or_path in it.") from error
    if adapted.active_peft_config.is_prompt_learning:
        raise ModelLoadError(f"{name} is no LoRA adapter; prompt and prefix tuning are not supported.")
    # PEFT only warns when layers of model and adapter don't meet.
    expected = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    found = tensor_names(adapter / ADAPTER, name)
    if {key for key in expected ^ found if "lora_" in key}:
        raise ModelLoadError(f"{mismatch}; correct base_model_name_or_path in it.")
    return cast("PreTrainedModel", adapted.get_base_model())


def _as_pipeline(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, device: torch.device
) -> HuggingFacePipeline:
    from langchain_huggingface import HuggingFacePipeline
    from transformers import pipeline

    placed = None if getattr(model, "hf_device_map", None) else device
    build: Any = pipeline  # its overloads know only two of the tokenizer classes
    loaded = build("text-generation", model=model, tokenizer=tokenizer, device=placed)
    return HuggingFacePipeline(pipeline=loaded, model_id=name)


def _context_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    """Size of the context window, by the config, or by the tokenizer for models that have none built in."""
    config = model.config.get_text_config()
    for value in (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length):
        if isinstance(value, int) and 0 < value < 10**9:
            return value
    raise ModelLoadError(f"{name} names no context length; set model_max_length in its tokenizer.")
