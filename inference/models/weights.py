"""Whether a model's or adapter's weights are all there, found out from file headers in milliseconds."""

import json
import re
import struct
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from scene.errors import ModelLoadError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"

LOAD_ERRORS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
    TypeError,
    ValueError,
    re.error,
    struct.error,
)
"""Everything transformers and PEFT raise about what is damaged, of an unknown kind, or makes no sense."""

UNHEEDED = ("alora_invocation_tokens", "arrow_config")
"""Settings by which a LoRA adapter is for some tokens only, which PEFT itself decides as it generates."""


def check_weights(folder: Path, name: str) -> None:
    """Find missing and cut-off files of a model's folder before anything is loaded.

    Raises:
        ModelLoadError: A file is missing or damaged; the message names it.
    """
    if (folder / INDEX).is_file():
        try:
            files = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelLoadError(f"{name} has a damaged {INDEX}; download the model again.") from error
    elif (folder / SINGLE).is_file():
        files = {SINGLE}
    elif any(folder.glob("*.bin")):
        raise ModelLoadError(
            f"{name} has no safetensors, only pickled weights, which could run code; "
            "convert it to safetensors first."
        )
    else:
        raise ModelLoadError(f"{name} holds no weights ({SINGLE} is missing); download the model again.")
    for file in sorted(files, key=str):
        if not isinstance(file, str) or Path(file).name != file or not (folder / file).is_file():
            raise ModelLoadError(f"{name} lacks the weights {str(file)!r}; download the model again.")
        tensor_shapes(folder / file, name)


def tensor_shapes(path: Path, name: str) -> dict[str, list[int]]:
    """Shapes of the tensors, by name, in a file whose header fits its length."""
    try:
        path.open("rb").close()  # of what may not be read, safetensors says that it is not there
        with safe_open(path, framework="np") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys()}
    except SafetensorError as error:
        raise ModelLoadError(f"{name} has a damaged {path.name}; download the model again.") from error
    except OSError as error:
        raise ModelLoadError(
            f"{name} has a {path.name} that can't be read ({error.strerror or error})."
        ) from error


def check_adapter(adapter: Path, name: str) -> None:
    """The same for the folder of a LoRA adapter, which holds one file of weights.

    Raises:
        ModelLoadError: They are missing or damaged, or the adapter is of a kind that no engine here applies.
    """
    if not (adapter / ADAPTER).is_file():
        if (adapter / PICKLED).is_file():
            raise ModelLoadError(
                f"The adapter {name} has no safetensors, only pickled weights, which could run code; "
                "convert it to safetensors first."
            )
        raise ModelLoadError(f"The adapter {name} holds no weights ({ADAPTER} is missing); copy it again.")
    tensor_shapes(adapter / ADAPTER, name)
    try:
        settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        kind, unheeded = settings.get("peft_type"), [one for one in UNHEEDED if settings.get(one)]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelLoadError(
            f"The adapter {name} has no readable adapter_config.json; copy it again."
        ) from error
    if kind != "LORA" or unheeded:
        why = f"made with {unheeded[0]}" if unheeded else f"of type {kind}"
        raise ModelLoadError(
            f"The adapter {name} is {why}; the engines here apply LoRA adapters alone, to every token."
        )
