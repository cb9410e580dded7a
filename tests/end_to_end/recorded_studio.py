"""What the server serves in the sessions of docs/studio.md: the scene graph, played by a recorded model.

A reply is the recorded one of this shape for the prompt, role and turn that ask, or the nearest to them,
whatever was edited: the sessions show what the graph makes of an edit, not what a model would.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

from benchmarks.replay import Label, RecordedScene, Reply, label_of, load
from graph.studio import served
from inference.chat_model import EngineChatModel
from inference.engine import Completion
from inference.scripted import ScriptedEngine

SCENE = Path(__file__).parent.parent / "samples" / "joyride.jsonl"
"""A scene that was recorded for this document, and is not recorded anew with others."""


class Recorded(EngineChatModel):
    """Replies as in a scene that was played before, as often as it is asked."""

    recorded: RecordedScene

    @property
    def weighs(self) -> bool:
        """As the recorded model did: others are asked again for what they copied of an example."""
        return True

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        assert run_manager is not None
        asked = label_of(run_manager.metadata, len(messages))
        choices, pattern = kwargs.get("choices"), kwargs.get("pattern") or "(?s:.*)"

        def suits(reply: Reply) -> tuple[bool, ...]:
            fits = reply.text in choices if choices else bool(re.fullmatch(pattern, reply.text))
            same, *more = _likeness(reply.label, asked)
            return (same, fits, *more)

        reply = max(self.recorded.replies, key=suits)
        recorded = Completion(
            text=reply.text,
            finish_reason="stop",
            prompt_tokens=0,
            completion_tokens=0,
            likelihoods=reply.likelihoods if choices else (),
        )
        return self._result(recorded)


def _likeness(label: Label, asked: Label) -> tuple[bool, ...]:
    """How well a recorded reply suits: the same prompt counts most, then the role, the turn, the attempt."""
    node, role, turn, prompt, attempt, _ = (one == other for one, other in zip(label, asked, strict=True))
    return node and prompt, role, turn, attempt


scene = served(
    Recorded(
        engine=ScriptedEngine([], "recorded"),
        recorded=load(SCENE)[0],
    )
)
"""The compiled graph."""
