"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama-server, `transformers serve`.

The server batches; here requests are only kept to a number it can be trusted with. One thread runs an event
loop of its own with the connections, so that requests may come from any loop, also from one that is gone
before the engine is closed.
"""

import asyncio
import logging
import math
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx2
import openai
from langchain_core.messages import AIMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration
from pydantic import SecretStr

from inference.control_tokens import parted
from inference.engine import Completion, FinishReason, GenerationRequest, OnText
from inference.openai_engine.chat import REASONING, ThinkingChat, whole_characters
from inference.openai_engine.client import BROKEN_OFF, CUT_OFF, WITHHELD, Client
from inference.openai_engine.response_format import response_format, unwrapped, wrapper_tokens
from inference.openai_engine.server import Server
from inference.openai_engine.server_errors import broken_off, refusal
from inference.pieces import Pieces, before_stop
from scene.errors import EngineError, InputError, MonopolylogueError
from scene.nouns import ModelIdentity
from scene.thought import Said, heard, lacks_start

_LOG = logging.getLogger(__name__)

PATIENCE = 60
"""About how many seconds a server may be gone or busy."""

RETRIES = 11
"""Tries again after a lost connection, a 429 or a 5xx. The client waits 0.5, 1, 2, 4 and then 8 s, each up to
a quarter less: about `PATIENCE` in all. Where Retry-After says at most two minutes it waits as long;
where it says more it does not try again."""

RETRY_SAID = 2
"""The retry at which the user is told: what is over in a second and a half is no news."""

CONNECT_SECONDS = 5
"""How long a connection may take before it counts as lost."""

REPLY_SECONDS = 600
"""How long one request may take in all. Servers say nothing while they generate or let requests wait."""

_NO_COMPLETION = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What langchain_openai raises on a body that is no chat completion."""


class OpenAIEngine:
    """Sends requests to a server over `ChatOpenAI`.

    A server that hands thoughts over with nothing but a mark at their end shows that with its first one. That
    one is told as it comes, since nobody can know; from then on nothing is told before the mark. More
    requests than the concurrency wait here, and one fails after so many seconds, retries included.
    """

    def __init__(
        self,
        server: Server,
        identity: ModelIdentity,
        *,
        constrains: bool = True,
        concurrency: int,
        reply_seconds: float = REPLY_SECONDS,
    ) -> None:
        self._server = server
        self.identity = identity
        self.constrains = constrains
        self.requests_at_once = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._reply_seconds = reply_seconds
        self._said = -math.inf
        self._marks_ends_alone = False
        # langchain_openai would share a client, and connections of a loop that is closed, between engines.
        self._http = Client(
            timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
            trust_env=not server.local,
            verify=httpx2.create_ssl_context(),  # by what the environment trusts, here too
            event_hooks={"request": [self._before_sending]},
        )
        self._chat = ThinkingChat(
            model=identity.id,
            base_url=server.url,
            api_key=SecretStr(server.key),
            http_async_client=self._http,
            http_client=httpx2.Client(
                trust_env=False
            ),  # never asked; it would heed a proxy that isn't for us
            http_socket_options=(),
            timeout=self._http.timeout,
            max_retries=RETRIES,
            cache=False,
            stream_chunk_timeout=None,
            openai_proxy=None,
            use_responses_api=False,  # which it would choose by a name that contains "codex"
        )
        self._closing = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="openai-engine", daemon=True)
        self._thread.start()

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`.

        Raises:
            InputError: The server refuses the request or overlooks the shape asked for.
        """
        return await self._send(request, None)

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Answer one request aloud; see `StreamingEngine.stream`.

        Raises:
            InputError: The server refuses the request.
            EngineError: Also where the reply breaks off, for what was said can't be tried again.
        """
        return await self._send(request, Pieces(on_text, asyncio.get_running_loop(), request.stop))

    async def _send(self, request: GenerationRequest, pieces: Pieces | None) -> Completion:
        with self._closing:
            if self._closed:
                raise EngineError("The engine was closed.")
            outcome = asyncio.run_coroutine_threadsafe(
                self._outcome(request, _body(request), pieces), self._loop
            )
        try:
            completion = await asyncio.wrap_future(outcome)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # it was not the caller's task that was cancelled
                raise EngineError("The engine was closed.") from None
            raise
        if isinstance(completion, MonopolylogueError):
            raise completion
        return completion

    def close(self) -> None:
        """Withdraw what is under way, drop the connections and stop the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop)
        self._thread.join()

    def _run(self) -> None:
        """Runs in the engine's own thread."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _shut_down(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._http.aclose()
        await self._loop.shutdown_default_executor()
        self._loop.stop()

    async def _outcome(
        self, request: GenerationRequest, body: dict[str, Any], pieces: Pieces | None
    ) -> Completion | MonopolylogueError:
        """What becomes of a request. An error is returned: raised, asyncio would print it if nobody waits."""
        try:
            return await self._answer(request, body, pieces)
        except MonopolylogueError as error:
            return error

    async def _answer(
        self, request: GenerationRequest, body: dict[str, Any], pieces: Pieces | None
    ) -> Completion:
        generations = [await self._reply(request, body, pieces)]
        said = _said(request, generations[0])
        read = _read(request, said, generations[0])
        if read is None and pieces is None:  # as where patterns are overlooked that replies mostly keep to
            again = replace(request, seed=request.seed + 1)
            generations.append(await self._reply(again, body, None))
            said = _said(request, generations[1])
            read = _read(request, said, generations[1])
        if read is None:
            raise InputError(
                f"The server at {self._server.shown} overlooks response_format: its reply has not the shape "
                "asked for; start it with structured output, or give --no-structured."
            )
        self._marks_ends_alone |= bool(said.thought) and lacks_start(generations[-1].text)
        usage = _usage(generations)
        completion = Completion(
            text=read[0],
            finish_reason=read[1],
            thought=said.thought,
            prompt_tokens=usage["read"],
            completion_tokens=usage["written"],
            cached_tokens=usage["cached"],
        )
        return completion if pieces is None else pieces.finish(completion)

    async def _reply(
        self, request: GenerationRequest, body: dict[str, Any], pieces: Pieces | None
    ) -> ChatGeneration:
        try:
            async with self._slots, asyncio.timeout(self._reply_seconds):
                if pieces is not None:
                    generation = await self._told(request, body, pieces)
                else:  # not by ainvoke, whose callbacks and traces would show the call a second time
                    generation = (await self._chat._agenerate(**_call(request, body))).generations[0]
        except openai.APIStatusError as error:
            raise refusal(error, request, self._server) from error
        except openai.APIConnectionError as error:
            raise EngineError(
                f"The server at {self._server.shown} is gone and did not come back in time; "
                "see that it runs, then run the command again."
            ) from error
        except TimeoutError as error:
            raise EngineError(
                f"The server at {self._server.shown} did not answer in {self._reply_seconds:.0f} seconds, "
                "tries again included; see that it is well, or send it fewer requests at once with "
                "MONOPOLYLOGUE_CONCURRENCY."
            ) from error
        except UnicodeEncodeError as error:
            raise InputError(
                "A variable of the environment that begins with OPENAI_ holds characters that no header can "
                "carry; set it again."
            ) from error
        except (openai.OpenAIError, *_NO_COMPLETION) as error:
            raise EngineError(
                f"What the server at {self._server.shown} sent is no chat completion."
            ) from error
        if (end := _end(generation)) in WITHHELD:
            raise EngineError(
                f"The server at {self._server.shown} kept a reply or the rest of it back ({end})."
            )
        return generation

    async def _told(self, request: GenerationRequest, body: dict[str, Any], pieces: Pieces) -> ChatGeneration:
        """The server's reply, told while it comes."""
        raw, text, thought, reason, usage = "", "", "", None, None
        try:
            async for chunk in self._chat._astream(**_call(request, body), stream_usage=True):
                text = whole_characters(raw := raw + chunk.text)
                thought += chunk.message.additional_kwargs.get(REASONING, "")
                if thought or not self._marks_ends_alone or heard(text).thought:
                    pieces.grow(text)
                reason = (chunk.generation_info or {}).get("finish_reason") or reason
                usage = getattr(chunk.message, "usage_metadata", None) or usage
        except openai.APIError as error:
            # Without a text an error of the connection is what it is for an unstreamed reply.
            if text or thought or type(error) is openai.APIError:
                raise broken_off(error, request, self._server) from error
            raise
        if reason is None or reason in BROKEN_OFF:
            if not (text or thought):
                raise ValueError("no stream")
            raise broken_off(None, request, self._server)
        return ChatGeneration(
            message=AIMessage(text, usage_metadata=usage, additional_kwargs={REASONING: thought}),
            generation_info={"finish_reason": reason},
        )

    async def _before_sending(self, sent: httpx2.Request) -> None:
        """Say once that the server does not answer; the client's header tells how often it has tried."""
        now = self._loop.time()
        if int(sent.headers.get("x-stainless-retry-count", 0)) >= RETRY_SAID and now > self._said + PATIENCE:
            self._said = now
            _LOG.warning(
                "The server at %s is gone or busy; trying again for about a minute, or as it asks.",
                self._server.shown,
            )


def _call(request: GenerationRequest, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "messages": convert_to_messages([(one.role, parted(one.content)) for one in request.messages]),
        "stop": list(request.stop) or None,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed % 2**31,  # llama-server takes 2**32 - 1 for "any"
        "extra_body": body,
    }


def _body(request: GenerationRequest) -> dict[str, Any]:
    """What is sent as it is.

    Given to `ChatOpenAI` by name, the cap would become `max_completion_tokens`, which not every server knows,
    and a `response_format` would have it parse the reply, which fails on one that the cap cut off.
    """
    body: dict[str, Any] = {"max_tokens": request.room + wrapper_tokens(request)}
    if request.shaped:
        body["response_format"] = response_format(request)
    return body


def _said(request: GenerationRequest, generation: ChatGeneration) -> Said:
    """What a reply says, apart from a thought in front of it or beside it."""
    as_object = request.shaped and generation.text.lstrip().startswith("{")
    said = Said("", generation.text) if as_object else heard(generation.text)
    return replace(said, thought=generation.message.additional_kwargs.get(REASONING, "") or said.thought)


def _read(
    request: GenerationRequest, said: Said, generation: ChatGeneration
) -> tuple[str, FinishReason] | None:
    """What a reply says, and whether it is whole; None when it has not the shape that was asked for."""
    reason: FinishReason = "length" if _end(generation) in CUT_OFF else "stop"
    if request.shaped and (said.text.strip() or not said.thought):
        return unwrapped(request, said.text, reason)
    return before_stop(said.text, request.stop), reason


def _end(generation: ChatGeneration) -> str:
    """What ended a reply; servers spell it in small letters or large ones."""
    return str((generation.generation_info or {}).get("finish_reason")).lower()


def _usage(generations: Sequence[ChatGeneration]) -> Counter[str]:
    """What replies cost together; 0 where the server does not say."""
    told: Counter[str] = Counter()
    for generation in generations:
        usage: Any = getattr(generation.message, "usage_metadata", None) or {}
        told["read"] += _count(usage.get("input_tokens"))
        told["written"] += _count(usage.get("output_tokens"))
        told["cached"] += _count(usage.get("input_token_details", {}).get("cache_read"))
    return told


def _count(tokens: object) -> int:
    """A number of tokens; 0 for anything that is none."""
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
