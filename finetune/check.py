"""The last step of a training: the adapter is loaded from disk, and has to answer and to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from inference.engine import ChatMessage, Engine, GenerationRequest
from inference.loading import load_engine
from scene.errors import UnusableAdapterError
from scene.text import shortened

QUESTIONS = (
    "What is the capital of France?",
    "How do I boil an egg?",
    "How do I tell my neighbour that his music is too loud?",
)

MAX_TOKENS = 512
"""Room for an answer. One that has not ended by then is taken for one that never does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a question, and whether it came to an end."""

    question: str
    text: str
    ends: bool


def check_answers(folder: Path) -> list[Answer]:
    """Load a model or adapter from disk and ask it three questions.

    Raises:
        UnusableAdapterError: An answer is empty, or has no end.
        ModelLoadError: It can't be loaded.
    """
    engine = load_engine(str(folder), engine="transformers")
    try:
        answers = asyncio.run(ask(engine, QUESTIONS))
    finally:
        engine.close()
    for answer in answers:
        if not answer.text.strip() or not answer.ends:
            fault = "does not end" if answer.text.strip() else "is empty"
            raise UnusableAdapterError(
                f"{folder} is saved, but is not fit for use: its answer to {answer.question!r} {fault} "
                f"({shortened(answer.text, 80)!r}); train longer, or with another learning rate."
            )
    return answers


async def ask(engine: Engine, questions: tuple[str, ...], max_tokens: int = MAX_TOKENS) -> list[Answer]:
    """What a model answers to questions, greedily and all at once."""
    requests = [
        GenerationRequest(messages=(ChatMessage("user", question),), max_tokens=max_tokens)
        for question in questions
    ]
    completions = await asyncio.gather(*map(engine.generate, requests))
    return [
        Answer(question, completion.text, completion.finish_reason == "stop")
        for question, completion in zip(questions, completions, strict=True)
    ]
