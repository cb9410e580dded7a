"""The last step of a training: the adapter is loaded from disk, and has to answer and to stop."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.engine import ChatMessage, Engine, GenerationRequest
from inference.loading import load_engine
from scene.conversation import Conversation, said_before
from scene.errors import UnusableAdapterError
from scene.files import replace_file
from scene.text import shortened

CHECK = "check.json"

QUESTIONS = (
    "What is the capital of France?",
    "How do I boil an egg?",
    "How do I tell my neighbour that his music is too loud?",
)

MAX_TOKENS = 512
"""Room for an answer. One that has not ended by then is taken for one that never does."""

TRIES = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a question, and whether it came to an end."""

    question: str
    text: str
    ended: bool

    @property
    def good(self) -> bool:
        """Whether it says anything and comes to an end."""
        return self.ended and bool(self.text.strip())


def check_answers(folder: Path) -> list[Answer]:
    """Load a model or adapter from disk and ask it three questions.

    Small models go round in circles now and then, so a question whose answer has no end is asked again, with
    some randomness: a model that has not learned to stop never does. What it said last to each is written
    beside it, whether it was good or not.

    Raises:
        UnusableAdapterError: An answer is empty, or has no end, in every try.
        ModelLoadError: It can't be loaded.
    """
    said: dict[str, Answer] = {}
    with closing(load_engine(str(folder), engine="transformers")) as engine:
        for seed in range(TRIES):
            open_ones = tuple(one for one in QUESTIONS if one not in said or not said[one].good)
            if open_ones:
                answers = asyncio.run(ask(engine, open_ones, temperature=0.7 if seed else 0.0, seed=seed))
                said |= {answer.question: answer for answer in answers}
    found = [said[question] for question in QUESTIONS]
    lines = [asdict(answer) for answer in found]
    replace_file(folder / CHECK, json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
    bad = next((answer for answer in found if not answer.good), None)
    if bad is None:
        return found
    fault = "does not end" if bad.text.strip() else "is empty"
    raise UnusableAdapterError(
        f"{folder} is saved, but is not fit for use: its answer to {bad.question!r} {fault} "
        f"({shortened(bad.text, 80)!r}; {CHECK} has the others); train longer, or with another learning rate."
    )


async def ask(
    engine: Engine,
    questions: Sequence[str | Conversation],
    max_tokens: int = MAX_TOKENS,
    *,
    think_tokens: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """What a model answers to questions, all at once; greedily unless there is a temperature."""
    asked = [Conversation(one) if isinstance(one, str) else one for one in questions]
    requests = [
        GenerationRequest(
            messages=(*(ChatMessage(*said) for said in said_before(one)), ChatMessage("user", one.question)),
            max_tokens=max_tokens,
            think_tokens=think_tokens,
            temperature=temperature,
            seed=seed,
        )
        for one in asked
    ]
    completions = await asyncio.gather(*map(engine.generate, requests))
    return [
        Answer(one.question, completion.text, completion.finish_reason == "stop")
        for one, completion in zip(asked, completions, strict=True)
    ]
