"""`ChatOpenAI`, with the thoughts that servers hand over beside the answer, which it drops."""

from collections.abc import Mapping
from typing import Any

import openai
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

REASONING = "reasoning_content"
"""Where LangChain keeps a thought among a message's `additional_kwargs`."""

_FIELDS = (REASONING, "reasoning")
"""What servers call it: vLLM and SGLang, llama-server, DeepSeek the one; newer vLLM, Ollama the other."""


class ThinkingChat(ChatOpenAI):
    """Puts the thought of a reply, or of a piece of it, where LangChain keeps thoughts."""

    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        said = response if isinstance(response, dict) else response.model_dump(warnings=False)
        for generation, choice in zip(result.generations, said["choices"], strict=True):
            _keep(generation.message, choice["message"])
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if made is not None and (choices := chunk.get("choices")):
            _keep(made.message, choices[0].get("delta"))
        return made


def _keep(message: BaseMessage, said: object) -> None:
    given = [said.get(name) for name in _FIELDS] if isinstance(said, Mapping) else []
    if thought := next((one for one in given if isinstance(one, str) and one), ""):
        message.additional_kwargs[REASONING] = thought
