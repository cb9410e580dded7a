"""The methods by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from evaluation.methods.best_of_n import best_of_n
from evaluation.methods.context_distillation import context_distillation
from evaluation.methods.critique_revise import critique_revise
from evaluation.methods.debate import debate
from evaluation.methods.matrix import matrix
from evaluation.methods.self_align import self_align
from evaluation.methods.self_refine import self_refine
from evaluation.methods.vanilla import vanilla
from evaluation.session import Reply, Session
from inference.engine import ChatMessage
from prompts import PromptSet
from scene.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to answer.

    Attributes:
        answer: Answers one question.
        title: What the report calls it.
        at_once: Requests that one question has under way at its busiest.
        prompt: The one message that the answer replies to, where there is one: then the likelihood of a text
            as its answer is that of a reply to this message.
    """

    answer: Callable[[Session], Awaitable[Reply]]
    title: str
    at_once: int = 1
    prompt: Callable[[str, PromptSet], tuple[ChatMessage, ...]] | None = None


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
    values = {"question": question, "principles": prompt_set.principles}
    (message,) = prompt_set.load("evaluation/self_align").render(values)
    return (ChatMessage("user", message.text),)


def _context_distillation(question: str, prompt_set: PromptSet) -> tuple[ChatMessage, ...]:
    (message,) = prompt_set.load("evaluation/context_distillation").render({"question": question})
    return (ChatMessage("user", message.text),)


METHODS: dict[str, Method] = {
    "vanilla": Method(answer=vanilla, title="the model alone", prompt=_bare),
    "matrix": Method(answer=matrix, title="MATRIX at inference", at_once=4),
    "critique_revise": Method(answer=critique_revise, title="critique and revise"),
    "self_align": Method(answer=self_align, title="principles in the prompt", prompt=_self_align),
    "context_distillation": Method(
        answer=context_distillation, title="context distillation's prompt", prompt=_context_distillation
    ),
    "self_refine": Method(answer=self_refine, title="self-refine"),
    "debate": Method(answer=debate, title="debate of two copies", at_once=2),
    "best_of_n": Method(answer=best_of_n, title="best of four", at_once=4),
}
