"""Batching and constrained decoding for a model that somebody has loaded with langchain_huggingface."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scene.nouns import ModelIdentity

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from inference.transformers_engine.engine import TransformersEngine


def is_adoptable(model: BaseChatModel) -> bool:
    """Whether a chat model is a `ChatHuggingFace` around a model that this process has loaded.

    A `ChatHuggingFace` around an endpoint is not: its model runs elsewhere.
    """
    if "langchain_huggingface" not in sys.modules:
        return False  # Whoever made such a model has imported it; importing it for any other model is slow.
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

    return isinstance(model, ChatHuggingFace) and isinstance(model.llm, HuggingFacePipeline)


def engine_of(model: BaseChatModel) -> TransformersEngine:
    """An engine over the weights and tokenizer of a model that is adoptable.

    The pipeline's generation settings play no part, since each request carries its own.

    Raises:
        ModelLoadError: It is one that the engine can't run.
    """
    from langchain_huggingface import ChatHuggingFace

    from inference.transformers_engine.engine import TransformersEngine

    assert isinstance(model, ChatHuggingFace)
    pipeline = model.llm.pipeline
    loaded = pipeline.model
    config = loaded.config.get_text_config()
    identity = ModelIdentity(
        id=str(model.llm.model_id),
        revision=getattr(loaded.config, "_commit_hash", None),
        engine="transformers",
        details={"dtype": str(loaded.dtype).removeprefix("torch."), "device": str(loaded.device)},
    )
    return TransformersEngine(loaded, pipeline.tokenizer, identity, int(config.max_position_embeddings))
