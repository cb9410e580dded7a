"""Recorded scenes, so that every way of playing them makes exactly the same calls.

A scene takes its course from what the model says, and the tiny model loses the thread. So each call is really
generated, under its own constraint and at most as long as the recorded reply, and the scene goes on with the
recorded reply.
"""

import asyncio
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel, Stops
from inference.engine import Engine, GenerationRequest
from scene.record import ModelCall, SceneRecord
from scene.settings import SceneSettings

SCENES = Path(__file__).with_name("scenes.jsonl")

Label = tuple[str, str | None, int | None, str, int, int]
"""Node, role, turn, prompt, attempt and number of messages: they tell the calls of a scene apart, nearly."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A recorded reply.

    `asked` stands for the last message, which tells calls of the same label apart as long as prompts are
    worded as they were; the tokens include the end token.
    """

    label: Label
    text: str
    tokens: int
    likelihoods: tuple[float, ...] = ()
    asked: str = ""

    @property
    def prompt(self) -> str:
        """Name of the prompt file."""
        return self.label[3]


@dataclass(frozen=True, slots=True)
class RecordedScene:
    """A question and every reply of its scene."""

    question: str
    replies: tuple[Reply, ...]


class ReplayError(Exception):
    """The graph asks for a call that the recorded scene does not have."""


class ReplayModel(EngineChatModel):
    """Generates every call with its engine and returns the recorded reply; `answered` has both in order."""

    scene: RecordedScene
    _replies: dict[Label, list[Reply]] = PrivateAttr(default_factory=dict)
    _answered: list[tuple[GenerationRequest, Reply]] = PrivateAttr(default_factory=list)

    def model_post_init(self, context: object) -> None:
        """Index the replies."""
        super().model_post_init(context)
        for reply in self.scene.replies:
            self._replies.setdefault(reply.label, []).append(reply)

    @property
    def weighs(self) -> bool:
        """Whether the recorded model told how likely choices are: other calls are made of one that does."""
        return any(reply.likelihoods for reply in self.scene.replies)

    @property
    def answered(self) -> list[tuple[GenerationRequest, Reply]]:
        """What was asked, in the order in which it came, with its recorded replies."""
        return self._answered

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Stops = None, run_manager: object = None, **kwargs: Any
    ) -> ChatResult:
        assert isinstance(run_manager, AsyncCallbackManagerForLLMRun)
        replies = self._replies.get(label_of(run_manager.metadata, len(messages)))
        if not replies:
            raise ReplayError(
                "The recorded scenes are older than the graph; record them anew with "
                "`python -m benchmarks record`."
            )
        asked = _digest(messages[-1].text)
        reply = next((one for one in replies if one.asked == asked), replies[0])
        replies.remove(reply)
        request = self._request(messages, stop, kwargs)
        self._answered.append((request, reply))
        completion = await self.engine.generate(replace(request, max_tokens=reply.tokens))
        cut_off = reply.tokens >= request.max_tokens
        recorded = replace(
            completion,
            text=reply.text,
            finish_reason="length" if cut_off else "stop",
            likelihoods=reply.likelihoods,
        )
        return self._result(recorded)


async def rehearse(engine: Engine, scenes: Sequence[RecordedScene], side_by_side: int) -> list[SceneRecord]:
    """Play recorded scenes, so many at a time."""
    some = asyncio.Semaphore(side_by_side)

    async def one(scene: RecordedScene) -> SceneRecord:
        async with some:
            graph = build_graph(ReplayModel(engine=engine, scene=scene))
            return await play(graph, scene.question, model=engine.identity, settings=SceneSettings())

    return list(await asyncio.gather(*map(one, scenes)))


def record(scene: SceneRecord) -> RecordedScene:
    """The replies of a scene that was played with the default settings and kept its calls.

    A record has the looks at some drafts in the order of their texts; here they come in that of the drafts,
    in which they are asked for.
    """
    calls = scene.calls or ()
    drafts = [call.completion for call in calls if call.call in ("situation", "plan")]

    def draft(look: ModelCall) -> int:
        told = look.prompt[-1].content.partition("\n")[2].rpartition("\n")[0]
        return next((number for number, text in enumerate(drafts) if text.startswith(told)), len(drafts))

    looks = iter(sorted((call for call in calls if call.call == "asked"), key=draft))
    ordered = (next(looks) if call.call == "asked" else call for call in calls)
    return RecordedScene(scene.question, tuple(map(_reply, ordered)))


def load(path: Path = SCENES) -> list[RecordedScene]:
    """Recorded scenes, one a line."""
    scenes = []
    for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        data = json.loads(line)
        replies = (
            Reply(**reply | {"label": (*reply["label"],), "likelihoods": (*reply.get("likelihoods", ()),)})
            for reply in data["replies"]
        )
        scenes.append(RecordedScene(data["question"], tuple(replies)))
    return scenes


def save(scenes: Sequence[RecordedScene], path: Path = SCENES) -> None:
    """Write recorded scenes, one a line."""
    lines = [json.dumps(asdict(scene, dict_factory=_fields), ensure_ascii=False) for scene in scenes]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def label_of(metadata: dict[str, Any], messages: int) -> Label:
    """Label of a call, by what LangChain is told about it."""
    names = ("node", "role", "turn", "prompt", "attempt")
    node, role, turn, prompt, attempt = (metadata[f"scene_{name}"] for name in names)
    return node, role, turn, prompt, attempt, messages


def _reply(call: ModelCall) -> Reply:
    label = (call.node, call.role, call.turn, call.call, call.attempt, len(call.prompt))
    tokens = max(1, call.completion_tokens)
    return Reply(label, call.completion, tokens, call.likelihoods, _digest(call.prompt[-1].content))


def _digest(text: str) -> str:
    """Eight digits that stand for a text."""
    return f"{zlib.crc32(text.encode()):08x}"


def _fields(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields of an object as they are saved: likelihoods only where there are any."""
    return {key: value for key, value in items if key != "likelihoods" or value}
