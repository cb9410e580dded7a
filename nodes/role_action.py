"""One role acts: the protagonist takes its next step, anybody else reacts to what it noticed."""

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from nodes.asking import Asker, Exchange, Node, Values, asker_of
from prompts import OURS, PromptSet
from scene.nouns import Proposal
from scene.settings import SceneSettings
from scene.text import is_repetition
from scene.turn import Cue


def role_action(model: BaseChatModel, prompt_set: PromptSet = OURS) -> Node:
    """The node that speaks for one role. It gets a cue, not the state: it can't know more than the role."""

    async def run(state: Cue, runtime: Runtime[SceneSettings]) -> dict[str, Any]:
        cue = Cue.model_validate(state)  # a checkpoint that does not know our types gives it as plain data
        asker = asker_of(model, cue, runtime, "role_action", cue.turn, prompt_set=prompt_set)
        asker = asker.about(cue.role.id)
        asker.tell(f"turn {cue.turn}, the {cue.role.name} acts")
        text = cue.step_text or await _react(asker, cue)
        proposal = Proposal(turn=cue.turn, actor=cue.role.id, text=text, step=cue.step)
        return {"proposals": [proposal]}

    return run


async def _react(asker: Asker, cue: Cue) -> str:
    """What the role does about its news, in one conversation from its first act to its last."""
    news = (*(moment.news for moment in cue.past), cue.news)
    heard = [line.partition(": ")[2].strip('"') for lines in news for line in lines]
    done = [moment.act for moment in cue.past]

    def check(text: str) -> str | None:
        said_again = any(is_repetition(text, line) for line in (*heard, *done))
        return "repeats what happened" if said_again else None

    asks = list(_asks(cue, news, asker.words.nothing_noticed))
    said = [asker.prompts.load(name).filled(values) for name, values in asks]
    history: list[Exchange] = list(zip(said, done, strict=False))
    name, values = asks[-1]
    shape = asker.shapes.reaction
    return await asker.text(name, values, shape, history=history, avoid=(*heard, *done), prefer=check)


def _asks(cue: Cue, news: tuple[tuple[str, ...], ...], nothing: str) -> Iterator[tuple[str, Values]]:
    """Which prompt tells the role of each of its news, and with what."""
    for number, lines in enumerate(news):
        told = {"name": cue.role.name, "news": "\n".join(lines) or nothing}
        if number:
            yield "role_again", told
        else:
            yield "role_action", told | {"traits": cue.role.traits, "position": cue.role.position}
