"""Whether a model's or adapter's weights are all there, found out from file headers in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from scene.errors import ModelLoadError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER = "adapter_model.safetensors"


def check_weights(folder: Path, name: str) -> None:
    """Find missing and cut-off files of a model's folder before anything is loaded.

    Args:
        folder: With one safetensors file, or several and the index that lists them.
        name: What the user called the model, for messages.

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
        tensor_names(folder / file, name)


def tensor_names(path: Path, name: str) -> frozenset[str]:
    """Names of the tensors in a file whose header fits its length."""
    try:
        with safe_open(path, framework="np") as file:
            return frozenset(file.keys())
    except SafetensorError as error:
        raise ModelLoadError(f"{name} has a damaged {path.name}; download the model again.") from error
    except OSError as error:
        raise ModelLoadError(f"{name} has a {path.name} that can't be read ({error.strerror}).") from error


def check_adapter(adapter: Path, name: str) -> None:
    """The same for the folder of a LoRA adapter, which holds one file of weights."""
    if not (adapter / ADAPTER).is_file():
        raise ModelLoadError(f"The adapter {name} holds no weights ({ADAPTER} is missing); copy it again.")
    tensor_names(adapter / ADAPTER, name)
