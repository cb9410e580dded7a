"""What the tests of the openai engine share: a request, and the one sentence that it fails with."""

from collections.abc import Callable
from typing import Any

import pytest

from inference.engine import ChatMessage, Engine, GenerationRequest
from scene.errors import MonopolylogueError

Connect = Callable[..., Engine]


def ask(text: str = "How are you?", **settings: Any) -> GenerationRequest:
    return GenerationRequest(messages=(ChatMessage("user", text),), **{"max_tokens": 16, **settings})


async def failure(engine: Engine, request: GenerationRequest) -> MonopolylogueError:
    """The error of one sentence that a request ends in."""
    with pytest.raises(MonopolylogueError) as caught:
        await engine.generate(request)
    assert "\n" not in str(caught.value)
    return caught.value
