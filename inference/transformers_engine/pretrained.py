"""Load a Hugging Face folder, and an adapter on top of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from inference.heap import return_large_blocks
from inference.models.adapter import chat_template, for_another_model
from inference.models.weights import ADAPTER, LOAD_ERRORS, check_adapter, check_weights, tensor_shapes
from inference.quiet import quiet_peft, quiet_transformers
from inference.transformers_engine.placement import attend_without_plans, pick_device, pick_dtype
from scene.errors import ModelLoadError, reason

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "spiece.model",
)
_SCALE = re.compile(r"weight_\w*scale\w*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A loaded model, and itself with an adapter's layers around."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    adapted: PeftModel | None = None


def load_pretrained(
    folder: Path, *, name: str, adapter: Path | None = None, dtype: str = "auto", device: str = "auto"
) -> Pretrained:
    """Load a model from disk. Never runs code from the folder and never touches the network.

    The tokenizer comes from the adapter's folder where that has one, since training may have set its chat
    template.

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
    adapted = None
    with quiet_transformers(), explained(name):
        tokenizer = load_tokenizer(folder, adapter)
        if not tokenizer.chat_template:
            raise ModelLoadError(
                f"{name} has no chat template; choose an instruction-tuned model, "
                "or add a chat_template.jinja to its folder."
            )
        model = load_model(folder, name, number_format, place)
        if adapter is not None:
            adapted = put_on_adapter(model, adapter, name)
            model = cast("PreTrainedModel", adapted.get_base_model())
            check_vocabulary(model, tokenizer, folder, name)
        return Pretrained(model=model, tokenizer=tokenizer, adapted=adapted)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Say in one sentence why a model can't be loaded.

    Raises:
        ModelLoadError: It can't.
    """
    try:
        yield
    except (MemoryError, *LOAD_ERRORS) as error:
        if is_out_of_memory(error):
            raise no_memory(name) from error
        raise ModelLoadError(f"{name} can't be loaded ({reason(error)}).") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's or the machine's memory ran out; PyTorch has no type of its own for the latter."""
    said = str(error)
    return isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said


def no_memory(name: str) -> ModelLoadError:
    """The error for a model that is too large."""
    return ModelLoadError(f"{name} does not fit into memory; choose a smaller model or another device.")


def load_tokenizer(folder: Path, adapter: Path | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, or the one that an adapter brings, with the adapter's chat template."""
    from transformers import AutoTokenizer

    has_own = adapter is not None and (
        (adapter / "tokenizer_config.json").is_file()
        and any((adapter / name).is_file() for name in _VOCABULARIES)
    )
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(adapter if has_own else folder),
        padding_side="left",
        local_files_only=True,
        trust_remote_code=False,
    )
    if adapter is not None and not has_own and (template := chat_template(adapter)):
        tokenizer.chat_template = template
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    folder: Path, name: str, dtype: torch.dtype, device: torch.device | None = None, **options: Any
) -> PreTrainedModel:
    """The model, straight onto its device; every weight must come from the folder.

    Raises:
        ModelLoadError: It is no causal language model, or lacks weights.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(str(folder), **local)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        raise ModelLoadError(
            f"{name} is of the kind {config.model_type}, which transformers does not load as a causal "
            "language model; choose one that reads a text and goes on with it."
        )
    on_cpu = device is None or device.type == "cpu"
    loader: Any = AutoModelForCausalLM  # its annotations don't know of output_loading_info
    model: PreTrainedModel
    with _cast_unmapped(dtype) if on_cpu else nullcontext():
        model, info = loader.from_pretrained(
            str(folder),
            config=config,
            dtype=dtype,
            device_map=None if on_cpu else {"": device},
            use_safetensors=True,
            output_loading_info=True,
            **local,
            **options,
        )
    if info["missing_keys"]:
        # transformers makes these weights up at random and only warns.
        raise ModelLoadError(
            f"{name} lacks weights that its config.json asks for, such as {min(info['missing_keys'])}; "
            "download the model again."
        )
    if not hasattr(model, "hf_quantizer") and any(_SCALE.search(key) for key in info["unexpected_keys"]):
        raise ModelLoadError(
            f"{name} holds quantized weights of a kind that transformers does not know, and reads without "
            "their scales; choose the model in bfloat16."
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


def put_on_adapter(model: PreTrainedModel, adapter: Path, name: str) -> PeftModel:
    """The same model with the adapter's layers inside, unmerged, so that numbers stay as in training.

    Raises:
        ModelLoadError: The adapter does not fit the model.
    """
    from peft import PeftModel

    _fit_embeddings(model, adapter, name)
    try:
        with quiet_peft():
            adapted: PeftModel = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
            # Loaded once more, since only this says what did not fit.
            loaded = adapted.load_adapter(str(adapter), "default", local_files_only=True)
    except KeyError as error:
        raise ModelLoadError(
            f"The adapter {name} lacks {error}, which its adapter_config.json says it holds; copy it again."
        ) from error
    except (RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        if isinstance(error, ValueError) and "arget modules" not in str(error):
            raise
        raise for_another_model(name) from error
    # Layers that were trained whole come twice where embeddings are saved too.
    strays = [key for key in loaded.unexpected_keys if ".modules_to_save." not in key]
    if loaded.missing_keys or strays:
        raise for_another_model(name)
    return adapted


def _fit_embeddings(model: PreTrainedModel, adapter: Path, name: str) -> None:
    """Give the model as many tokens as the adapter brings embeddings for: it may know some more.

    Raises:
        ModelLoadError: Its embedding and its output layer are not of one size.
    """
    shapes = tensor_shapes(adapter / ADAPTER, name)
    names = {layer: module for module, layer in model.named_modules()}
    layers: list[Any] = [
        layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer
    ]
    keys = [
        f"base_model.model.{names[layer]}{inner}.weight" for layer in layers for inner in ("", ".base_layer")
    ]
    brought = [shapes[key][0] for key in keys if key in shapes]
    if brought and set(brought) != {len(layers[0].weight)}:
        shared = all(layer.weight is layers[0].weight for layer in layers)
        if len(set(brought)) > 1 or (len(brought) < len(layers) and not shared):
            raise ModelLoadError(
                f"The adapter {name} brings an embedding of {brought[0]} tokens, and no output layer of that "
                "size beside it; save it again with save_embedding_layers=True, both adapted or neither."
            )
        model.resize_token_embeddings(brought[0], mean_resizing=False)


def check_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, name: str
) -> None:
    """See that there is an embedding for every token that an adapter's tokenizer adds.

    Raises:
        ModelLoadError: There is not.
    """
    known = len(cast("Any", model.get_input_embeddings()).weight)
    # Some models of their own have tokens without embeddings, which nobody writes.
    if len(tokenizer) > known and len(tokenizer) > len(load_tokenizer(folder)):
        raise ModelLoadError(
            f"The adapter {name} brings a tokenizer of {len(tokenizer)} tokens for a model of {known}, and "
            "no embeddings for those it adds; save it again with save_embedding_layers=True."
        )


def context_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    """Size of the context window, by the config, or by the tokenizer for models that have none built in.

    Raises:
        ModelLoadError: Neither says.
    """
    config = model.config.get_text_config()
    for value in (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length):
        if isinstance(value, int) and 0 < value < 10**9:
            return value
    raise ModelLoadError(f"{name} names no context length; set model_max_length in its tokenizer.")
