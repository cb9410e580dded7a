"""One forward pass of any causal language model of transformers over a padded batch with a cache."""

import inspect
import threading

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer

from inference.transformers_engine.kv_cache import RowCache
from scene.errors import ModelLoadError

_BATCHABLE = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)


class ForwardPass:
    """Calls a model for logits.

    Attributes:
        interrupted: Once set, no pass gets further than its next layer; see `RowCache`.

    Raises:
        ModelLoadError: The model keeps a state besides keys and values, which can't be padded.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, name: str) -> None:
        if any(type(layer) not in _BATCHABLE for layer in DynamicCache(config=model.config).layers):
            raise ModelLoadError(
                f"{name} has layers with a recurrent state, which can't be batched; choose a model with "
                "attention only."
            )
        self.interrupted = threading.Event()
        self._model = model
        self._model.eval()
        self.exact_prefixes = not _rotates_by_length(model)
        self.device = torch.device(model.device)
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        inner = model.get_base_model() if isinstance(model, PeftModel) else model
        accepted = inspect.signature(inner.forward).parameters
        # Logits of every prompt token would need gigabytes with a large vocabulary. An index copies the last
        # states where a number would take a view of them, and torch multiplies a view row by row where the
        # weights need no gradient: under an adapter, that took eight times as long as all the rest.
        last = torch.tensor([-1], device=self.device)
        self._options = {"logits_to_keep": last} if "logits_to_keep" in accepted else {}

    def __call__(self, tokens: Tensor, mask: Tensor, cache: RowCache, *, every: bool = False) -> Tensor:
        """Run the model, growing the cache.

        Args:
            tokens: int64, (rows, new tokens).
            mask: bool, (rows, cached tokens + new tokens); False where there is padding.
            cache: Keys and values of the cached tokens.
            every: Whether logits of all new tokens are wanted, (rows, new tokens, vocabulary).

        Returns:
            Logits of each row's last token, float32, (rows, vocabulary).
        """
        cache.interrupted = self.interrupted
        positions = (mask.long().cumsum(dim=-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        output = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **({} if every else self._options),
        )
        logits: Tensor = output.logits if every else output.logits[:, -1]
        # A copy, so that masking logits can't touch anything of the model's.
        return logits.to(torch.float32, copy=True)


def _rotates_by_length(model: PreTrainedModel | PeftModel) -> bool:
    """Whether the keys of a prompt's beginning depend on how long the rest is."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope.get("rope_type"), *(of.get("rope_type") for of in rope.values() if isinstance(of, dict))]
    return any(kind is not None and ("dynamic" in kind or kind == "longrope") for kind in kinds)
