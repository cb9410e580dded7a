"""The text of a reply in pieces, told while it grows, and where a stop string ends it."""

import asyncio
import logging
from dataclasses import dataclass, replace

from inference.engine import Completion, OnText
from scene.thought import certain

_LOG = logging.getLogger(__name__)

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer shows of a character whose other tokens have not come yet."""


@dataclass(slots=True)
class Pieces:
    """Tells whoever asked what is certain of a reply. From any thread.

    Half a character waits for its other half, and what may be the beginning of a stop string or of a thought
    for what comes after it, so that nothing told is ever taken back. Thoughts are not told.
    """

    _on_text: OnText
    _loop: asyncio.AbstractEventLoop
    _stop: tuple[str, ...]
    _told: str = ""

    def grow(self, text: str) -> None:
        """Tell what is new and certain of the text so far. A reply that begins again says the same again."""
        text = certain(text)
        if not text.startswith(self._told):
            return
        new = text[len(self._told) :].partition(_HALF)[0]
        self._tell(new[: _stop_begins(new, self._stop)])

    def finish(self, completion: Completion) -> Completion:
        """Tell the rest; the completion, with what was told as its text.

        Where that turned out to be a thought, by a mark at its end alone, mark and text are told after it:
        whoever has all pieces can still part them.
        """
        if completion.thought and not completion.text.startswith(self._told):
            self._tell(f"\n</think>\n\n{completion.text}")
            return completion
        self._tell(completion.text[len(self._told) :])
        return replace(completion, text=self._told)

    def _tell(self, piece: str) -> None:
        if not piece:
            return
        self._told += piece
        try:
            self._loop.call_soon_threadsafe(self._on_text, piece)
        except RuntimeError:
            _LOG.debug("The event loop that asked was closed before its answer came.")


def first_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the first stop string begins in a text; None if there is none."""
    return min((index for stop in stops if stop and (index := text.find(stop)) >= 0), default=None)


def before_stop(text: str, stops: tuple[str, ...]) -> str:
    """Text up to the first stop string."""
    return text[: first_stop(text, stops)]


def _stop_begins(text: str, stops: tuple[str, ...]) -> int:
    """Where the first stop string begins in the text, or may do so at its end; its length if none does."""
    for start in range(len(text)):
        if any(text.startswith(stop, start) or stop.startswith(text[start:]) for stop in stops):
            return start
    return len(text)
