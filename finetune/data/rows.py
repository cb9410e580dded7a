"""What a scene gives to learn from: rows for four parts of a mix, each with its scene and its call."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from finetune.data.scenes import Scene
from prompts import OURS, PromptSet
from prompts.check import read_folder
from scene.conversation import said_before
from scene.errors import InputError
from scene.harm import is_harmful
from scene.nouns import Turn
from scene.record import Message, ModelCall, SceneRecord
from scene.refusal import opens_with_refusal
from scene.reviews import Decision
from scene.text import one_line

Part = Literal["aligned", "helpful", "simulation", "preference"]
PARTS: tuple[Part, ...] = get_args(Part)

SIMULATION_NODES = ("role_init", "role_action", "modulator_routing", "modulator_update", "summarize")
"""Nodes whose calls are simulation. `respond` and `revise` give answers, which rows of their own judge."""

DRAFTED = ("situation", "plan")
"""Names of the prompts that are asked for several drafts, of which the scene keeps one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Something to learn.

    Attributes:
        part: Part of the mix. `aligned`: a question and its consequence-aware answer. `helpful`: a benign
            question and the answer that was kept. `simulation`: a model call of the scene. `preference`: both
            answers.
        call: Number of the call in the scene's record whose reply this is, from 0; None without one.
        name: Name of that call's prompt, or empty.
        history: What was said before the question.
        system: The system prompt that it came with.
        completion: The answer to learn.
        rejected: The answer to avoid, for preferences.
        fault: Name of the filter that the scene itself decides, or empty.
        harms_removed: Share of the scene's harms that a second answer removed, where there were any.
        unverified: Whether the scene could not be played again on the second answer.
        review: What a person decided about it, or empty.
    """

    part: Part
    scene: str
    call: int | None
    name: str = ""
    question: str
    history: tuple[Turn, ...] = ()
    system: str = ""
    prompt: tuple[Message, ...]
    completion: str
    rejected: str = ""
    fault: str = ""
    harms_removed: float | None = None
    unverified: bool = False
    review: Decision | Literal[""] = ""

    @property
    def asked(self) -> str:
        """All that was said up to the answer, without the system prompt, which many questions may share."""
        return "\n\n".join((*(turn.content for turn in self.history), self.question))

    @property
    def id(self) -> str:
        """Tells the row from every other one of all scenes."""
        return f"{self.part}-{self.scene}" + ("" if self.call is None else f"-{self.call}")


def rows_of(
    scene: Scene, parts: Sequence[Part], *, examples: bool = False, taken: bool = True
) -> Iterator[Row]:
    """The rows of a scene for some parts of the mix, in their order.

    Simulation rows may keep the example turns of their prompts. Where only what was `taken` counts, a second
    answer does if the scene took it, as all do that are played now.
    """
    for part in parts:
        if part == "simulation":
            yield from _simulation(scene, examples)
        elif part == "helpful":
            yield from _helpful(scene)
        else:
            yield from _revised(scene, part, taken=taken)


def _asked(record: SceneRecord) -> dict[str, Any]:
    """What a row has of a question: its text, and the chat that it ends as the prompt."""
    said = (*said_before(record), ("user", record.question))
    return {**_question(record), "prompt": tuple(Message(role=role, content=text) for role, text in said)}


def _question(record: SceneRecord) -> dict[str, Any]:
    return {"question": record.question, "history": record.history, "system": record.system}


def _revised(scene: Scene, part: Literal["aligned", "preference"], *, taken: bool) -> Iterator[Row]:
    record = scene.record
    if record.verdict != "revise":
        return
    yield Row(
        part=part,
        scene=record.id,
        call=_last_call(record.calls, "revise", record.revision),
        name="revise",
        **_asked(record),
        completion=record.revision,
        rejected=record.first_answer if part == "preference" else "",
        fault=_fault(scene, taken=taken),
        harms_removed=record.harms_removed,
        unverified=record.replay_failure is not None,
    )


def _fault(scene: Scene, *, taken: bool) -> str:
    """What a scene says against its second answer; empty when nothing.

    One that was not taken, as in scenes of older versions, where that counts. One that is the first again:
    where the question is benign that is a helpful row, and as an aligned one too it would be learned twice.
    One that does not fit the question: see `misfit`.
    """
    record = scene.record
    if taken and record.answer != record.revision:
        return "worse"
    if record.revision.strip() == record.first_answer.strip():
        return "unchanged"
    return misfit(scene, record.revision)


def misfit(scene: Scene, answer: str) -> str:
    """What the question of a scene says against an answer to it, whoever gave it; empty when nothing.

    One that turns a benign question away: whoever learns needless refusals gives them to questions that need
    none. One that yields: whoever learns to yield does what was rightly declined; where the set says that the
    question is harmful, the set is believed.
    """
    record = scene.record
    declines = opens_with_refusal(answer)
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
        **_asked(record),
        completion=record.answer,
        fault="refusal" if record.stance == "declines" else "",
    )


def _simulation(scene: Scene, examples: bool) -> Iterator[Row]:
    """A row for every call that the model could have replied to otherwise: not where it read one text.

    Nor where it weighed a ruling that it then wrote: one prompt would have two replies.
    """
    calls, prompt_set = scene.record.calls or (), _prompts_of(scene.record)
    yes_or_no = prompt_set.words.yes, prompt_set.words.no
    for number, call in enumerate(calls):
        weighed = len(call.likelihoods) == 1 or (call.call == "routing" and call.completion in yes_or_no)
        if call.node in SIMULATION_NODES and not weighed:
            yield Row(
                part="simulation",
                scene=scene.record.id,
                call=number,
                name=call.call,
                **_question(scene.record),
                prompt=call.prompt if examples else _instruction(call, prompt_set),
                completion=call.completion,
                fault=_fault_of(call, calls[number + 1 :], scene.record),
            )


def _prompts_of(record: SceneRecord) -> PromptSet:
    """The prompts of a scene where they are still what they were, or else ours."""
    if record.prompt_folder is not None and (found := _read(record.prompt_folder)) is not None:
        return found if found.digest() == record.prompt_digest else OURS
    return OURS


@cache
def _read(folder: str) -> PromptSet | None:
    try:
        prompt_set, faults = read_folder(Path(folder))
    except InputError:
        return None
    return None if faults else prompt_set


def _instruction(call: ModelCall, prompt_set: PromptSet) -> tuple[Message, ...]:
    """A prompt without its example turns: system message, what was said before, and what was asked last.

    The examples show the shape of a reply, and are the same ones in every prompt of a name. A model that
    learns the replies has that shape in its weights, and the rows are much shorter. Other examples than the
    prompt file has now can't be told from what was said before, and stay.
    """
    if call.call not in prompt_set.names():
        return call.prompt
    examples = prompt_set.load(call.call).examples
    shown = [text for example in examples for text in (example.user, example.reply)]
    first = sum(message.role == "system" for message in call.prompt)
    past = first + len(shown)
    if [message.content for message in call.prompt[first:past]] != shown:
        return call.prompt
    return (*call.prompt[:first], *call.prompt[past:])


def _fault_of(call: ModelCall, later: Sequence[ModelCall], record: SceneRecord) -> str:
    """What a scene says against the reply of a call; empty when nothing."""
    if call.call in DRAFTED:
        kept = record.situation, " ".join(record.plan)
        return "" if one_line(call.completion) in kept else "draft"
    return "retried" if _asked_again(call, later) else ""


def _asked_again(call: ModelCall, later: Sequence[ModelCall]) -> bool:
    """Whether the same was asked once more, mostly because this reply could not be used."""
    where = (call.node, call.role, call.turn, call.call)
    same = [other for other in later if (other.node, other.role, other.turn, other.call) == where]
    # The last messages are compared alone: the examples before them may be gone.
    return any(other.attempt > call.attempt and other.prompt[-1] == call.prompt[-1] for other in same)


def _last_call(calls: Sequence[ModelCall] | None, node: str, reply: str) -> int | None:
    """Number of the call that gave the answer: the last of its node that begins as the answer does."""
    start = reply.strip()[:40]
    found = [n for n, call in enumerate(calls or ()) if call.node == node and start in call.completion]
    return found[-1] if found else None
