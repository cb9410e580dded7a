"""Chat templates that know no system role: what the system says then opens the first user message."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inference.engine import ChatMessage

_PROBE = "system-role-probe"


def folds_system(
    render: Callable[[Sequence[ChatMessage]], str], refusal: type[Exception] | tuple[type[Exception], ...]
) -> bool:
    """Whether a template has no place for a system message: some raise on it, some drop it without a word."""
    probe = (ChatMessage("system", _PROBE), ChatMessage("user", "Hello."))
    try:
        return _PROBE not in render(probe)
    except refusal:
        return True


def fold_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same chat with what the system says put before what the first user message says."""
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    first = next(index for index, message in enumerate(rest) if message.role == "user")
    rest[first] = ChatMessage("user", "\n\n".join([*system, rest[first].content]))
    return rest
