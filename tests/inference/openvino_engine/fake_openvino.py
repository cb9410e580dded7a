"""A pipeline that computes nothing: one block of prompt or one token of reply a step, for each request.

It fails as OpenVINO does: with what C++ exceptions become in Python, and a step that meets a pattern it can't
compile fails, again and again, until every request is cancelled.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy

from inference.engine import ChatMessage, GenerationRequest

BLOCK = 32


@dataclass
class Tensor:
    data: numpy.ndarray


@dataclass(eq=False)
class Handle:
    prompt: tuple[int, ...]
    cap: int
    pattern: str | None
    left: int
    made: int = 0
    looked_at: int = 0
    cancelled: bool = False

    def can_read(self) -> bool:
        return self.made > self.looked_at

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(eq=False)
class FakePipeline:
    """Stands in for `OpenVINOPipeline`. A pattern with "bad" in it does not compile."""

    path: Path = Path()
    adapter: object = None
    blocks: int = 1000
    computed: list[tuple[int, ...]] = field(default_factory=list)
    """Every block that was computed, with all before it, in order."""
    probed: list[str] = field(default_factory=list)
    steps: int = 0
    running: list[Handle] = field(default_factory=list)
    joined: list[Handle] = field(default_factory=list)
    """All that ever ran."""
    fault: Exception | None = None
    """Raised by every step that is for somebody."""
    refusing: Exception | None = None
    """Raised where a request would join."""

    def token_ids(self, messages: tuple[ChatMessage, ...]) -> Tensor:
        return Tensor(numpy.array([[ord(letter) for letter in messages[-1].content]]))

    def add(self, input_ids: Tensor, request: GenerationRequest, pattern: str | None) -> Handle:
        if self.refusing is not None:
            raise self.refusing
        prompt = tuple(input_ids.data[0].tolist())
        left = len(prompt)
        while left >= BLOCK and prompt[: len(prompt) - left + BLOCK] in self.computed:
            left -= BLOCK
        handle = Handle(prompt, request.max_tokens, pattern, left)
        self.running.append(handle)
        self.joined.append(handle)
        return handle

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def step(self) -> None:
        self.steps += 1
        self.running = [handle for handle in self.running if not handle.cancelled]
        if self.running and self.fault is not None:
            raise self.fault
        for handle in self.running:
            if handle.left > 0:
                done = len(handle.prompt) - handle.left + BLOCK
                handle.left -= BLOCK
                if done <= len(handle.prompt):
                    self.computed.append(handle.prompt[:done])
            if handle.left <= 0:
                if handle.made == 0 and handle.pattern is not None and "bad" in handle.pattern:
                    raise RuntimeError("[17:40:27] /build/regex_converter.cc:75: Bad is not supported yet.\n")
                handle.made += 1
        self.running = [handle for handle in self.running if handle.made < handle.cap]

    def flush(self) -> None:
        if self.busy:
            self.step()

    def refusal(self, pattern: str) -> str | None:
        assert not self.busy
        self.probed.append(pattern)
        return (
            "[17:40:27] /build/regex_converter.cc:75: Bad is not supported yet.\n"
            if "bad" in pattern
            else None
        )

    def state(self, handle: Handle) -> str:
        if handle.cancelled:
            return "CANCEL"
        return "FINISHED" if handle.made >= handle.cap else "RUNNING"

    def read(self, handle: Handle) -> list[int]:
        new = [ord("x")] * (handle.made - handle.looked_at)
        handle.looked_at = handle.made
        return new

    def text(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def reply(self, handle: Handle, stop: tuple[str, ...], before: list[int]) -> tuple[str, str, int]:
        ids = [*before, *self.read(handle)]
        return self.text(ids), "length", len(ids)
