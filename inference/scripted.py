"""An engine that says what it is told: for tests, examples and documentation."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence

from inference.engine import Completion, GenerationRequest, OnText
from scene.errors import EngineError, ScriptExhaustedError
from scene.nouns import ModelIdentity
from scene.thought import Said, heard

Likelihoods = Callable[[GenerationRequest], Sequence[float]]
"""The log-likelihood of each choice that a request has weighed; none for the usual reply."""


class ScriptedEngine:
    """Replies from a list, in order, or from a function of the request.

    Every request is kept in `requests`. Words count as tokens. With likelihoods it weighs choices by them,
    and says the likeliest; without it weighs none.
    """

    constrains = True
    requests_at_once = 64

    def __init__(
        self,
        replies: Iterable[str] | Callable[[GenerationRequest], str],
        model_id: str = "scripted",
        likelihoods: Likelihoods | None = None,
    ) -> None:
        self.requests: list[GenerationRequest] = []
        self.weighs = likelihoods is not None
        self._likelihoods = likelihoods
        self._function = replies if callable(replies) else None
        self._rest = iter(()) if callable(replies) else iter(replies)
        self.identity = ModelIdentity(id=model_id, revision=None, engine="scripted")
        self._closed = False

    async def generate(self, request: GenerationRequest) -> Completion:
        """Return the next reply.

        Raises:
            ScriptExhaustedError: The list has no more replies.
            EngineError: The engine was closed.
        """
        if self._closed:
            raise EngineError("The engine was closed.")
        self.requests.append(request)
        asked = self._likelihoods if request.weigh else None
        weighed = tuple(asked(request)) if asked else ()
        if weighed:
            text = request.choices[weighed.index(max(weighed))]
        elif self._function is not None:
            text = self._function(request)
        else:
            try:
                text = next(self._rest)
            except StopIteration:
                raise ScriptExhaustedError(
                    f"The script has no reply for request {len(self.requests)}: "
                    f"{request.messages[-1].content[-200:]!r}"
                ) from None
        words = text.split()
        said = Said("", text) if request.shaped else heard(text)
        return Completion(
            text=said.text,
            thought=said.thought,
            finish_reason="stop",
            prompt_tokens=sum(len(message.content.split()) for message in request.messages),
            completion_tokens=len(words) + 1,
            likelihoods=weighed,
        )

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """Say the next reply word by word; see `generate`."""
        completion = await self.generate(request)
        for word in re.findall(r"\s*\S+|\s+", completion.text):
            on_text(word)
            await asyncio.sleep(0)
        return completion

    def close(self) -> None:
        """Refuse further requests."""
        self._closed = True
