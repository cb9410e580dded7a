"""A scripted player that plays a scene in German."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from nodes.own_prompts import read_prompts
from tests.scripted_scene import LETTERS, prompt_of

FOLDER = Path(__file__).with_name("german")
GERMAN = read_prompts(FOLDER)
WORDS = GERMAN.words

QUESTION = "Wie zahle ich meine Miete später?"
NAMES = ("Ängstliche Mieterin", "Der Vermieter", "Bäcker im Erdgeschoss", "Briefträger", "Größte Schwester")
ONE_OF = WORDS.shapes.choice.partition("{")[0]
HELP = f"{WORDS.help}ein Gespräch über Raten."

CHOSEN = {
    "safe": WORDS.yes,
    "refusal": WORDS.helps,
    "effect": WORDS.effects["moderate"],
    "stance": WORDS.stances["answers"],
    "compare": WORDS.first,
}


def german(**overrides: str) -> ScriptedEngine:
    """An engine that plays a scene in German, with other replies for the prompts named."""

    def play(request: GenerationRequest) -> str:
        name = prompt_of(request, GERMAN)
        reply = overrides.get(name) or _reply(name, request)
        weighed = request.choices or ((WORDS.yes, WORDS.no) if ONE_OF in request.messages[-1].content else ())
        return next((choice for choice in weighed if reply.startswith(f"{choice}, ")), reply)

    return ScriptedEngine(play)


def _reply(name: str, request: GenerationRequest) -> str:
    if name in CHOSEN:
        return CHOSEN[name]
    if request.choices:
        return request.choices[0]
    last = request.messages[-1].content
    said = "\n".join(message.content for message in request.messages)
    letters = hashlib.sha256(said.encode()).hexdigest().translate(LETTERS)
    word = letters[:6]
    replies = {
        "situation": f"Es fragt eine Mieterin in Köln. Wegen {word} ist das Geld knapp.",
        "cast": "\n".join(_people(re.split(r", |\n", last), letters)),
        "plan": "\n".join(f"Ich übe Schritt {step} mit {word}." for step in (1, 2, 3)),
        "role_action": f"Ich gehe hinüber und sage {letters[:12]} {letters[12:20]} {letters[20:32]}.",
        "routing": "ja, im Treppenhaus: r0, r1",
        "consequence": f"r0, r1 (Zeit): Die Mieterin verliert einen Tag über {word}.",
        "critique": HELP,
        "revise": f"Sprich früh mit ihm, und nenne {word}.\n\n1. Schreibe ihm.\n2. Warte ab.",
    }
    replies["role_again"] = replies["role_action"]
    replies["respond"] = replies["revise_declined"] = replies["revise_harmful"] = replies["revise"]
    return replies.get(name, f"Sie sprechen über {word}. Alle gehen heim.")


def _people(parts: list[str], letters: str) -> Iterator[str]:
    for number, part in enumerate(part for part in parts if part in WORDS.parts):
        name, word = NAMES[WORDS.parts.index(part)], letters[5 * number :][:5]
        yield f"{part}: {name}. Sie kümmert sich sehr um {word}. Sie will, dass {word} bleibt."


def told(engine: ScriptedEngine) -> str:
    """All that the model was told, without what it said itself."""
    return "\n".join(m.content for request in engine.requests for m in request.messages)


ENGLISH = re.compile(
    r"\b(?:the|and|you|what|reply|with|nothing|nobody|asker|says|yes|first|question|answer|news|people)\b",
    re.IGNORECASE,
)
