"""Batching and constrained decoding for a model that somebody has loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from inference.engine import Engine
from scene.nouns import ModelIdentity

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def engine_on(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, revision: str | None = None
) -> Engine:
    """An engine on a model that is in memory; its weights must stay while the engine is open.

    Without a revision it is the hub's commit, where the model says that it has one.

    Raises:
        ModelLoadError: The engine can't run it.
    """
    from inference.transformers_engine.engine import TransformersEngine
    from inference.transformers_engine.pretrained import context_tokens

    identity = ModelIdentity(
        id=name,
        revision=revision or getattr(model.config, "_commit_hash", None),
        engine="transformers",
        details={"dtype": str(model.dtype).removeprefix("torch."), "device": str(model.device)},
    )
    return TransformersEngine(model, tokenizer, identity, context_tokens(model, tokenizer, name))


def is_adoptable(model: BaseChatModel) -> bool:
    """Whether a chat model is a `ChatHuggingFace` around a model that this process has loaded.

    A `ChatHuggingFace` around an endpoint is not: its model runs elsewhere.
    """
    if "langchain_huggingface" not in sys.modules:
        return False  # Whoever made such a model has imported it; importing it for any other model is slow.
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

    return isinstance(model, ChatHuggingFace) and isinstance(model.llm, HuggingFacePipeline)


def engine_of(model: Any) -> Engine:  # noqa: ANN401  # one that is adoptable
    """An engine on an adoptable model. Its pipeline's settings play no part, since requests have their own.

    Raises:
        ModelLoadError: The engine can't run it.
    """
    pipeline = model.llm.pipeline
    return engine_on(pipeline.model, pipeline.tokenizer, str(model.llm.model_id))
