"""Collects every model call of a scene through LangChain's callbacks, whatever the model."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from graph.thread import KeptCall, Thread
from inference.chat_model import chat_role
from nodes.replies import said_in
from scene.nouns import role_number
from scene.record import Message, ModelCall, NodeCost, costs
from scene.thought import Said

NODES = (
    "respond", "role_init", "role_action", "modulator_routing", "modulator_update", "summarize", "revise",
)  # fmt: skip
"""Node ids in the order in which a scene runs through them."""


@dataclass(slots=True)
class _Open:
    label: dict[str, Any]
    messages: list[BaseMessage]
    seed: int
    started: float


class Recorder(AsyncCallbackHandler):
    """Hand it to a run as a callback; read `calls` and `spans` when the scene is over.

    Attributes:
        began: When the scene began, on the clock of `time.perf_counter`, as if no time had passed between
            the processes that played it.
        spans: When each node's calls began and ended, on the same clock.
    """

    def __init__(
        self, on_call: Callable[[ModelCall], None] | None = None, thread: Thread | None = None
    ) -> None:
        self._on_call = on_call
        self._thread = thread
        self._open: dict[UUID, _Open] = {}
        self._calls: list[ModelCall] = []
        self.spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.began = time.perf_counter()
        if thread is not None:
            self.began -= thread.seconds
            for kept in thread.calls:
                self._calls.append(kept.call)
                self.spans[kept.call.node].append((self.began + kept.began, self.began + kept.ended))

    @property
    def calls(self) -> list[ModelCall]:
        """Finished calls in a fixed order: turn, node, call, role, attempt; never the order they ended in."""
        return sorted(self._calls, key=position)

    @property
    def ended(self) -> list[ModelCall]:
        """The same in the order in which they ended."""
        return self._calls.copy()

    def costs(self) -> dict[str, NodeCost]:
        """What each node cost, in the order of `NODES`."""
        return costs(self.calls, {node: self.spans[node] for node in NODES if node in self.spans})

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note what is asked."""
        if metadata and "scene_node" in metadata:
            seed = kwargs.get("invocation_params", {}).get("seed", 0)
            self._open[run_id] = _Open(metadata, messages[0], seed, time.perf_counter())

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the reply."""
        opened = self._open.pop(run_id, None)
        if opened is None:
            return
        if self._thread is not None and self._thread.was_kept(opened.seed, (m.text for m in opened.messages)):
            return
        ended = time.perf_counter()
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        said = said_in(message) if isinstance(message, AIMessage) else Said("", message.text)
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        details = usage.get("input_token_details", {}) if usage else {}
        call = ModelCall(
            node=opened.label["scene_node"],
            role=opened.label["scene_role"],
            turn=opened.label["scene_turn"],
            call=opened.label["scene_prompt"],
            attempt=opened.label["scene_attempt"],
            prompt=tuple(Message(role=chat_role(m), content=m.text) for m in opened.messages),
            completion=said.text,
            thought=said.thought,
            prompt_tokens=usage["input_tokens"] if usage else 0,
            completion_tokens=usage["output_tokens"] if usage else 0,
            cached_tokens=details.get("cache_read", 0),
            seconds=round(ended - opened.started, 3),
            likelihoods=message.response_metadata.get("likelihoods", ()),
        )
        if self._thread is not None:
            finish = message.response_metadata.get("finish_reason", "stop")
            began, until = opened.started - self.began, ended - self.began
            await self._thread.keep(KeptCall(call, opened.seed, finish, began, until))
        self._calls.append(call)
        self.spans[call.node].append((opened.started, ended))
        if self._on_call is not None:
            self._on_call(call)

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget a call that failed; the error goes its own way."""
        self._open.pop(run_id, None)


def position(call: ModelCall) -> tuple[int, int, int, str, int, int, list[str]]:
    """Sorts the calls of a scene: turn, node, call, role, attempt, and what was said, from its end."""
    opening = call.turn is None and call.node in NODES[:2]
    part = 0 if opening else 1 if call.turn is not None else 2
    role = -1 if call.role is None else role_number(call.role)
    return (
        part,
        call.turn or 0,
        NODES.index(call.node),
        call.call,
        role,
        call.attempt,
        [message.content for message in reversed(call.prompt)],
    )
