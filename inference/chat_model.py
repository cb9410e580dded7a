"""An engine as a LangChain chat model: async and sync, constrained decoding, token usage."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any, TypeVar, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel, ConfigDict

from inference.engine import ChatMessage, ChatRole, Completion, Engine, GenerationRequest, stream, weighs

Reply = TypeVar("Reply", bound=BaseModel)

Stops = list[str] | None

DEFAULT_MAX_TOKENS = 512

_SETTINGS = {field.name for field in fields(GenerationRequest)} - {"messages", "stop"}


class EngineChatModel(BaseChatModel):
    """The one face of every engine.

    Decoding settings are call arguments, so that one model serves every node:
    `await model.ainvoke(messages, max_tokens=64, seed=7, choices=["yes", "no"])`. Those understood are
    `max_tokens`, `think_tokens`, `temperature`, `top_p`, `seed`, `stop`, `avoid`, `fixed`, and one of
    `schema` (JSON schema), `choices`, `pattern` (regular expression), and `weigh` beside `choices`.
    `GenerationRequest` says what each means. What was thought before a reply is in its
    `additional_kwargs["reasoning_content"]`, likelihoods of choices in `response_metadata["likelihoods"]`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: Any
    """An object that meets `inference.engine.Engine`."""

    temperature: float = 0.0
    """Used where a call does not say."""

    @property
    def constrains(self) -> bool:
        """Whether the engine holds replies to `schema`, `choices` and `pattern`."""
        return cast("Engine", self.engine).constrains

    @property
    def weighs(self) -> bool:
        """Whether the engine tells how likely choices are."""
        return weighs(self.engine)

    @property
    def _llm_type(self) -> str:
        return "monopolylogue-engine"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        identity = cast("Engine", self.engine).identity
        return {"model": identity.id, "revision": identity.revision, "engine": identity.engine}

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Stops = None, run_manager: object = None, **kwargs: Any
    ) -> ChatResult:
        completion = await cast("Engine", self.engine).generate(self._request(messages, stop, kwargs))
        return self._result(completion)

    def _generate(
        self, messages: list[BaseMessage], stop: Stops = None, run_manager: object = None, **kwargs: Any
    ) -> ChatResult:
        with ThreadPoolExecutor(1) as threads:  # a loop may already run in this thread
            return threads.submit(asyncio.run, self._agenerate(messages, stop, **kwargs)).result()

    async def _astream(
        self, messages: list[BaseMessage], stop: Stops = None, run_manager: object = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """The text in pieces, then a chunk with all that is only known in the end.

        Whoever stops listening withdraws the request.
        """
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def end(answering: asyncio.Task[Completion]) -> None:
            if not answering.cancelled():
                answering.exception()  # asyncio would print one that nobody asks for
            pieces.put_nowait(None)

        request = self._request(messages, stop, kwargs)
        answering = asyncio.create_task(stream(self.engine, request, pieces.put_nowait))
        answering.add_done_callback(end)
        try:
            while (piece := await pieces.get()) is not None:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            facts = self._facts(answering.result())
            yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last", **facts))
        finally:
            answering.cancel()

    def _stream(
        self, messages: list[BaseMessage], stop: Stops = None, run_manager: object = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._astream(messages, stop, **kwargs)

        async def following() -> ChatGenerationChunk | None:
            return await anext(chunks, None)

        with ThreadPoolExecutor(1) as threads:  # a loop may already run in this thread
            runner = asyncio.Runner()
            try:
                while (chunk := threads.submit(runner.run, following()).result()) is not None:
                    yield chunk
            finally:
                threads.submit(runner.close).result()

    def with_structured_output(  # type: ignore[override]  # narrower: Pydantic classes only
        self, schema: type[Reply], *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Reply | dict[str, Any]]:
        """A runnable that returns an instance of a Pydantic class, by constrained decoding.

        With `include_raw` that is `{"raw": AIMessage, "parsed": instance}`. Other arguments are decoding
        settings of every call.

        Raises:
            pydantic.ValidationError: On call, when the cap cut the reply off or a validator refuses it.
        """

        def parse(message: AIMessage) -> Reply | dict[str, Any]:
            parsed = schema.model_validate_json(message.text)
            return {"raw": message, "parsed": parsed} if include_raw else parsed

        bound = self.bind(schema=schema.model_json_schema(), **kwargs)
        return bound | RunnableLambda(parse)

    def _request(
        self, messages: Sequence[BaseMessage], stop: Stops, kwargs: dict[str, Any]
    ) -> GenerationRequest:
        said: dict[str, Any] = {"max_tokens": DEFAULT_MAX_TOKENS, "temperature": self.temperature}
        said |= {name: kwargs[name] for name in _SETTINGS & kwargs.keys()}
        said |= {name: tuple(said.get(name) or ()) for name in ("choices", "avoid")}
        chat = tuple(ChatMessage(chat_role(message), message.text) for message in messages)
        return GenerationRequest(messages=chat, stop=tuple(stop or ()), **said)

    def _result(self, completion: Completion) -> ChatResult:
        message = AIMessage(content=completion.text, **self._facts(completion))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _facts(self, completion: Completion) -> dict[str, Any]:
        """What a message says of a completion beside its text."""
        weighed = {"likelihoods": list(completion.likelihoods)} if completion.likelihoods else {}
        return {
            "additional_kwargs": {"reasoning_content": completion.thought} if completion.thought else {},
            "response_metadata": {
                "finish_reason": completion.finish_reason,
                "model_name": cast("Engine", self.engine).identity.id,
                **weighed,
            },
            "usage_metadata": UsageMetadata(
                input_tokens=completion.prompt_tokens,
                output_tokens=completion.completion_tokens,
                total_tokens=completion.prompt_tokens + completion.completion_tokens,
                input_token_details=InputTokenDetails(cache_read=completion.cached_tokens),
            ),
        }


def chat_role(message: BaseMessage) -> ChatRole:
    """Chat-template role of a LangChain message."""
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    raise ValueError(f"a {message.type} message can't be sent to a local model")
