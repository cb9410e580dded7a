"""A GGUF file in memory, and the adapters on it."""

import os
from pathlib import Path

from inference.llama_engine.library import load_library
from inference.models.adapter import for_another_model
from scene.errors import ModelLoadError


class LlamaModel:
    """The weights of a model, repacked for this machine's processor.

    Raises:
        ModelLoadError: The file is damaged, or of an architecture that the library does not know or that
            keeps more of a text than its keys and values.
        InputError: The library is not there.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._library = load_library()
        self.name = name
        params = self._library.llama_model_default_params()
        # Repacking wants the weights in memory of their own.
        params.use_mmap = False
        params.repack_tensors = True
        params.flash_attn = False
        self.pointer: int | None = self._library.llama_model_load_from_file(os.fsencode(path), params)
        if not self.pointer:
            raise ModelLoadError(
                f"{name} can't be loaded by llama.cpp: the file is cut off, or of an unknown architecture; "
                "fetch it again, or use the engine `transformers`."
            )
        if self._library.llama_model_has_encoder(self.pointer) or self._library.llama_model_has_recurrent(
            self.pointer
        ):
            self.close()
            raise ModelLoadError(
                f"{name} keeps a state besides keys and values, which the engine `llama` can't share between "
                "requests; choose a model with attention only."
            )
        self.vocabulary = int(self._library.llama_n_vocab(self.pointer))
        self.layers = int(self._library.llama_n_layer(self.pointer))

    def adapter(self, path: Path, name: str) -> int:
        """Load a LoRA adapter in GGUF, of a rank that it can compute; the model keeps it as long as it lives.

        Raises:
            ModelLoadError: It is damaged, or does not fit the model.
        """
        pointer: int | None = self._library.llama_lora_adapter_init(self.pointer, os.fsencode(path))
        if not pointer:
            raise for_another_model(name)
        return pointer

    def close(self) -> None:
        """Free the weights; whatever computes with them must be closed before."""
        if self.pointer:
            self._library.llama_free_model(self.pointer)
            self.pointer = None
