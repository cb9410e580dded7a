"""`ChatOpenAI`, to which a message is a text and a thought, in whatever parts a server sends them."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import openai
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

REASONING = "reasoning_content"
"""Where LangChain keeps a thought among a message's `additional_kwargs`."""

_FIELDS = (REASONING, "reasoning", "thinking", "reasoning_details", "thinking_blocks")
"""What servers call it: vLLM and SGLang, llama-server, DeepSeek the first; newer vLLM, Ollama the second;
gateways the others.
"""

_SAID = ("text", "refusal", "thinking", "summary", "content")
"""Where the parts of a message hold what they say."""

# For messages in parts, which the openai package has no types for.
warnings.filterwarnings("ignore", "Pydantic serializer warnings", module="pydantic")


class ThinkingChat(ChatOpenAI):
    """Puts the thought of a reply, or of a piece of it, where LangChain keeps thoughts."""

    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        said = response if isinstance(response, dict) else response.model_dump(warnings=False)
        thoughts = []
        for choice in said["choices"]:
            choice["message"], thought = _parted(choice["message"])
            choice["message"]["content"] = whole_characters(choice["message"]["content"])
            thoughts.append(thought)
        result = super()._create_chat_result(said, generation_info)
        for generation, thought in zip(result.generations, thoughts, strict=True):
            generation.message.additional_kwargs[REASONING] = thought
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        thought = ""
        for choice in chunk.get("choices") or ():
            choice["delta"], thought = _parted(choice.get("delta") or {})
            break
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if made is not None and thought:
            made.message.additional_kwargs[REASONING] = thought
        return made


def whole_characters(text: str) -> str:
    """Text in which the halves of a character are joined, and one without the other is marked."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _parted(message: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """A message, or a piece of one, with nothing but its text, and its thought."""
    text, thought = _said(message.get("content"))
    text = text or _said(message.get("refusal"))[0]
    thought = next(filter(None, ("".join(_said(message.get(name))) for name in _FIELDS)), thought)
    return {"role": "assistant", "content": text}, thought


def _said(content: object) -> tuple[str, str]:
    """The text and the thought of a content: text, parts, or nothing."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if isinstance(content, list):
        texts, thoughts = zip(("", ""), *map(_said, content), strict=True)
        return "".join(texts), "".join(thoughts)
    if not isinstance(content, Mapping):
        raise TypeError("no content")
    said = "".join(_said(next((content[name] for name in _SAID if content.get(name)), None)))
    return ("", said) if re.search("think|reason", str(content.get("type"))) else (said, "")
