"""Keep transformers from writing to the terminal while it loads: warnings and progress bars."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence what is no error, and put everything back as it was."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


_PEFTS = (
    "is_gradient_checkpointing",  # an attribute that transformers is about to rename
    "fan_in_fan_out",  # what it sets by itself for the layers of GPT-2
    "_pattern keys",  # and for experts
    "tie_word_embeddings|no longer tied",  # shared weights, which are parted before anything is merged
    "missing adapter keys|won't be possible",  # which are refused
    "produce the same output as the base model",  # biases stay where layers are off
)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence PEFT's notes about what is seen to here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f"(?s).*({'|'.join(_PEFTS)})")
        yield


@contextmanager
def quiet_gguf_loader() -> Iterator[None]:
    """Silence the progress bar that transformers' GGUF loader takes from tqdm without asking its settings."""
    from transformers import modeling_gguf_pytorch_utils

    loader: Any = modeling_gguf_pytorch_utils
    bar = loader.tqdm
    loader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        loader.tqdm = bar
