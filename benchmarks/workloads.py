"""What is generated: requests of known shape, the same for every way of answering them."""

from __future__ import annotations

from inference.engine import ChatMessage, GenerationRequest

SHORT_TOKENS = 64
SHARED_TOKENS = 32

_THINGS = (
    "a bridge", "a lantern", "rye bread", "a chess clock", "low tide", "a bicycle bell", "wool",
    "a night train", "copper", "a garden wall", "the moon", "a ferry", "honey", "a letterbox", "snow",
    "a violin",
)  # fmt: skip
_ASKS = (
    "Describe", "Praise", "Explain", "Tell a story about", "Sell me", "Warn me of", "Compare the sea with",
    "Dream of",
)  # fmt: skip

_RULES = "\n".join(
    f"Rule {number}: whoever comes by on the day of {thing} brings {other} along, tells the others in plain "
    "words what it is good for, and leaves before the lamps are lit."
    for number, (thing, other) in enumerate(zip(_THINGS[:12], _THINGS[4:], strict=True), start=1)
)
"""With the chat template about 465 tokens for the tiny model; the table says how many it really were."""


def short(count: int) -> list[GenerationRequest]:
    """Requests with short prompts that share next to nothing, at most `SHORT_TOKENS` new tokens each."""
    return [_request(f"{ask} in a few sentences.", SHORT_TOKENS) for ask in _asks(count)]


def shared_prefix(count: int) -> list[GenerationRequest]:
    """Requests that share a long beginning, at most `SHARED_TOKENS` new tokens each."""
    return [_request(f"{_RULES}\n\nAs for today: {ask}.", SHARED_TOKENS) for ask in _asks(count)]


def _asks(count: int) -> list[str]:
    most = len(_ASKS) * len(_THINGS)
    if count > most:
        raise ValueError(f"there are {most} different requests, not {count}")
    return [f"{ask} {thing}" for thing in _THINGS for ask in _ASKS][:count]


def _request(text: str, max_tokens: int) -> GenerationRequest:
    return GenerationRequest(messages=(ChatMessage("user", text),), max_tokens=max_tokens)
