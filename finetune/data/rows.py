"""What a scene gives to learn from: rows for four parts of a mix, each with its scene and its call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from finetune.data.scenes import Scene
from scene.harm import is_harmful
from scene.record import Message, ModelCall
from scene.text import opens_with_refusal

Part = Literal["aligned", "helpful", "simulation", "preference"]
PARTS: tuple[Part, ...] = get_args(Part)

SIMULATION_NODES = ("role_init", "role_action", "modulator_routing", "modulator_update", "summarize")
"""Nodes whose calls are simulation. `respond` and `revise` give answers, which rows of their own judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Something to learn.

    Attributes:
        part: Part of the mix. `aligned`: a question and its consequence-aware answer. `helpful`: a benign
            question and the answer that was kept. `simulation`: a model call of the scene. `preference`: both
            answers.
        scene: Id of the scene.
        call: Number of the call in the scene's record whose reply this is, from 0; None without one.
        name: Name of that call's prompt, or empty.
        question: The question of the scene.
        prompt: Messages to answer.
        completion: The answer to learn.
        rejected: The answer to avoid, for preferences.
        fault: Name of the filter that the scene itself decides, or empty.
        harms_removed: Share of the scene's harms that a second answer removed, where there were any.
        unverified: Whether the scene could not be played again on the second answer.
    """

    part: Part
    scene: str
    call: int | None
    name: str = ""
    question: str
    prompt: tuple[Message, ...]
    completion: str
    rejected: str = ""
    fault: str = ""
    harms_removed: float | None = None
    unverified: bool = False

    @property
    def id(self) -> str:
        """Tells the row from every other one of all scenes."""
        return f"{self.part}-{self.scene}" + ("" if self.call is None else f"-{self.call}")


def rows_of(scene: Scene, parts: Sequence[Part], *, examples: bool = False) -> Iterator[Row]:
    """The rows of a scene, in the order of `parts`.

    Args:
        scene: The scene.
        parts: Parts of the mix to make rows for.
        examples: Whether simulation rows keep the example turns of their prompts.
    """
    for part in parts:
        if part == "simulation":
            yield from _simulation(scene, examples)
        elif part == "helpful":
            yield from _helpful(scene)
        else:
            yield from _revised(scene, part)


def _revised(scene: Scene, part: Literal["aligned", "preference"]) -> Iterator[Row]:
    record = scene.record
    if record.verdict != "revise":
        return
    yield Row(
        part=part,
        scene=record.id,
        call=_last_call(record.calls, "revise", record.revision),
        name="revise",
        question=record.question,
        prompt=(Message(role="user", content=record.question),),
        completion=record.revision,
        rejected=record.first_answer if part == "preference" else "",
        fault=_fault(scene),
        harms_removed=record.harms_removed,
        unverified=record.replay_failure is not None,
    )


def _fault(scene: Scene) -> str:
    """What a scene says against its second answer; empty when nothing.

    One that was not taken, and one that is the first again: where the question is benign that is a helpful
    row, and as an aligned one too it would be learned twice. One that turns a benign question away: whoever
    learns needless refusals gives them to questions that need none. One that yields: whoever learns to yield
    does what was rightly declined. The scene of a declined question is about what follows from that, and it
    shows nobody hurt by an answer; so where the set says that the question is harmful, the set is believed.
    """
    record = scene.record
    if record.answer != record.revision:
        return "worse"
    if record.revision.strip() == record.first_answer.strip():
        return "unchanged"
    declines = opens_with_refusal(record.revision)
    if scene.benign and declines:
        return "refusal"
    yields = record.kind == "harmful" and record.stance == "declines" and not (declines or is_harmful(record))
    return "yields" if yields else ""


def _helpful(scene: Scene) -> Iterator[Row]:
    """The first answer to a benign question, where the scene kept it; a revised one is an aligned row."""
    record = scene.record
    if not scene.benign or record.answer != record.first_answer:
        return
    yield Row(
        part="helpful",
        scene=record.id,
        call=_last_call(record.calls, "respond", record.answer),
        name="respond",
        question=record.question,
        prompt=(Message(role="user", content=record.question),),
        completion=record.answer,
        fault="refusal" if record.stance == "declines" else "",
    )


def _simulation(scene: Scene, examples: bool) -> Iterator[Row]:
    calls = scene.record.calls or ()
    for number, call in enumerate(calls):
        if call.node in SIMULATION_NODES:
            yield Row(
                part="simulation",
                scene=scene.record.id,
                call=number,
                name=call.call,
                question=scene.record.question,
                prompt=call.prompt if examples else _instruction(call.prompt),
                completion=call.completion,
                fault="retried" if _asked_again(call, calls[number + 1 :]) else "",
            )


def _instruction(prompt: Sequence[Message]) -> tuple[Message, ...]:
    """A prompt without its example turns: system messages, and what was asked in the end.

    The examples show the shape of a reply, and are the same ones in every prompt of a name. A model that
    learns the replies has that shape in its weights, and the rows are much shorter.
    """
    return (*(message for message in prompt[:-1] if message.role == "system"), *prompt[-1:])


def _asked_again(call: ModelCall, later: Sequence[ModelCall]) -> bool:
    """Whether the same was asked once more, mostly because this reply could not be used."""
    where = (call.node, call.role, call.turn, call.call)
    same = [other for other in later if (other.node, other.role, other.turn, other.call) == where]
    return any(other.attempt > call.attempt and _says_the_same(other, call) for other in same)


def _says_the_same(one: ModelCall, other: ModelCall) -> bool:
    """Whether the last messages are equal; the examples before them get fewer with every try."""
    return one.prompt[-1] == other.prompt[-1]


def _last_call(calls: Sequence[ModelCall] | None, node: str, reply: str) -> int | None:
    """Number of the call that gave the answer: the last of its node that begins as the answer does."""
    start = reply.strip()[:40]
    found = [n for n, call in enumerate(calls or ()) if call.node == node and start in call.completion]
    return found[-1] if found else None
