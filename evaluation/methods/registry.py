"""The methods by name."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from evaluation.methods.best_of_n import best_of_n
from evaluation.methods.context_distillation import context_distillation
from evaluation.methods.critique_revise import critique_revise
from evaluation.methods.debate import debate
from evaluation.methods.fixed_critique import fixed_critique
from evaluation.methods.matrix import matrix
from evaluation.methods.mistake_analysis import mistake_analysis
from evaluation.methods.other_scene import other_scene
from evaluation.methods.rlaif import rlaif
from evaluation.methods.rlcd import rlcd
from evaluation.methods.self_align import self_align
from evaluation.methods.self_refine import self_refine
from evaluation.methods.vanilla import vanilla
from evaluation.session import Reply, Session
from inference.engine import ChatMessage, ChatRole
from prompts import OURS, PromptSet
from scene.errors import InputError

_ROLES: dict[str, ChatRole] = {"system": "system", "human": "user", "ai": "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to answer.

    Attributes:
        at_once: Requests that one question has under way at its busiest.
        prompt: The messages that the answer replies to, where they follow from the question alone: then the
            likelihood of a text as its answer is that of a reply to these.
        writes: Name of the prompt that an answer is written by, where it is not the bare question.
        pairs: Whether it gives an answer and a worse one, to be tuned on by DPO.
        scenes: Whether it needs scenes that were played around the questions.
    """

    answer: Callable[[Session], Awaitable[Reply]]
    title: str
    at_once: int = 1
    prompt: Callable[[str, PromptSet], tuple[ChatMessage, ...]] | None = None
    writes: str = ""
    pairs: bool = False
    scenes: bool = False

    @property
    def examples(self) -> int:
        """Finished answers that are shown to the model before it writes its own."""
        return len(OURS.load(self.writes).examples) if self.writes else 0


def method_named(name: str) -> Method:
    """The method of a name.

    Raises:
        InputError: There is none.
    """
    try:
        return METHODS[name]
    except KeyError as error:
        raise InputError(f"There is no method {name!r}; give one of {', '.join(METHODS)}.") from error


def _bare(question: str, prompt_set: PromptSet) -> tuple[ChatMessage, ...]:
    return (ChatMessage("user", question),)


def _self_align(question: str, prompt_set: PromptSet) -> tuple[ChatMessage, ...]:
    return _rendered(prompt_set, "self_align", question=question, principles=prompt_set.principles)


def _context_distillation(question: str, prompt_set: PromptSet) -> tuple[ChatMessage, ...]:
    return _rendered(prompt_set, "context_distillation", question=question)


def _rendered(prompt_set: PromptSet, name: str, **values: str) -> tuple[ChatMessage, ...]:
    messages = prompt_set.load(f"evaluation/{name}").render(values)
    return tuple(ChatMessage(_ROLES[message.type], message.text) for message in messages)


METHODS: dict[str, Method] = {
    "vanilla": Method(answer=vanilla, title="the model alone", prompt=_bare),
    "matrix": Method(answer=matrix, title="MATRIX at inference", at_once=4, writes="revise"),
    "fixed_critique": Method(
        answer=fixed_critique, title="MATRIX with one fixed critique", at_once=2, writes="revise"
    ),
    "other_scene": Method(
        answer=other_scene, title="MATRIX with another scene", at_once=2, writes="revise", scenes=True
    ),
    "critique_revise": Method(
        answer=critique_revise, title="critique and revise", writes="evaluation/critique_revise"
    ),
    "self_align": Method(
        answer=self_align,
        title="principles in the prompt",
        prompt=_self_align,
        writes="evaluation/self_align",
    ),
    "context_distillation": Method(
        answer=context_distillation,
        title="context distillation's prompt",
        prompt=_context_distillation,
        writes="evaluation/context_distillation",
    ),
    "self_refine": Method(answer=self_refine, title="self-refine", writes="evaluation/refine"),
    "debate": Method(answer=debate, title="debate of two copies", at_once=2, writes="evaluation/debate"),
    "best_of_n": Method(answer=best_of_n, title="best of N", at_once=4),
    "mistake_analysis": Method(
        answer=mistake_analysis, title="mistake analysis", writes="evaluation/contrast_good"
    ),
    "rlcd": Method(
        answer=rlcd, title="RLCD's pairs", at_once=2, writes="evaluation/contrast_good", pairs=True
    ),
    "rlaif": Method(answer=rlaif, title="RLAIF's pairs", at_once=2, pairs=True),
}
