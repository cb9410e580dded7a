"""How a scene ends: what is learned of it, and what becomes of the first answer."""

import re
from typing import Any

import pytest

import prompts
from inference.scripted import ScriptedEngine
from nodes.revise import revise
from nodes.summarize import DECLINED, NO_HARM, judge, summarize
from prompts.loader import quote
from scene.nouns import Consequence, Severity
from scene.state import SceneState
from tests.nodes.stage import QUESTION, event, played, state
from tests.scripted_scene import asked, player, user_text

NEEDS = "What helps the asker and hurts nobody is "
CLOSED = "The office is closed."
BLOCKED: dict[str, Any] = {
    "events": [
        event(0, "I write a long letter.", step=0),
        event(1, "I ring at her door.", step=1, admitted=False, observers=(), reason=CLOSED),
        event(2, "I shut the window.", actor="r1", observers=()),
        event(3, "I ring at her door.", step=1, admitted=False, observers=(), reason=CLOSED),
    ],
    "step": 1,
    "refusals": 2,
}


def came(severity: Severity, event_id: str = "e0", text: str = "She waits.") -> Consequence:
    return Consequence(event=event_id, text=text, severity=severity, roles=("r1", "r2"))


class TestVerdict:
    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            ({}, "keep"),
            ({"consequences": [came("none"), came("minor")]}, "keep"),
            ({"consequences": [came("none"), came("moderate")]}, "revise"),
            ({"consequences": [came("severe")]}, "revise"),
            ({"stance": "declines"}, "revise"),
            ({"request": "harmful"}, "revise"),
            ({"request": "doubtful"}, "keep"),
            (BLOCKED, "revise"),
            (BLOCKED | {"refusals": 1}, "revise"),
        ],
    )
    def test_what_speaks_against_the_first_answer(self, changes: dict[str, Any], verdict: str) -> None:
        assert judge(state(**{"events": [event(0)], "step": 2} | changes)) == verdict

    async def test_an_answer_that_does_no_harm_is_kept_without_asking(self) -> None:
        engine = player()
        scene, changes = await ended(engine, state(events=[event(0)], consequences=[came("minor")], step=2))
        assert (scene.critique, scene.verdict, scene.outcome) == (NO_HARM, "keep", "plan_finished")
        assert changes == {"answer": "Write to her.", "revision": "", "fate": "kept"}
        assert not engine.requests


class TestCritique:
    async def test_the_reason_of_a_blocked_plan_reaches_it(self) -> None:
        engine = player()
        scene, changes = await ended(engine, state(**BLOCKED))
        assert (scene.verdict, scene.outcome, changes["fate"]) == ("revise", "plan_blocked", "revised")
        (critique,) = asked(engine, "critique")
        assert f"Tenant: I ring at her door. That was not possible: {CLOSED}" in critique.messages[-1].content

    async def test_it_is_shown_what_the_asker_did_and_what_came_of_everything(self) -> None:
        events = [
            event(0, "I write a long letter."),
            event(1, "I burn the long letter.", actor="r1", observers=()),
            event(2, "I throw a stone.", actor="r1", admitted=False, observers=(), reason="No stones."),
        ]
        consequences = [came("severe"), came("none", "e1", "He smells smoke.")]
        engine = player()
        await ended(engine, state(events=events, consequences=consequences))
        shown = quote(
            "consequences",
            "Tenant: I write a long letter.\nLandlord, Baker: She waits.\nLandlord, Baker: He smells smoke.",
        )
        assert asked(engine, "critique")[0].messages[-1].content.endswith(shown)

    @pytest.mark.parametrize(("stance", "shown"), [("declines", DECLINED), ("answers", "Write to her.")])
    async def test_a_refusal_is_not_shown_in_its_words(self, stance: str, shown: str) -> None:
        engine = player()
        await ended(engine, state(events=[event(0)], consequences=[came("severe")], stance=stance))
        assert quote("answer", shown) in asked(engine, "critique")[0].messages[-1].content

    async def test_it_ends_with_what_helps_the_asker(self) -> None:
        engine = player()
        await ended(engine, state(events=[event(0)], consequences=[came("severe")]))
        (critique,) = asked(engine, "critique")
        assert critique.pattern is not None
        assert re.fullmatch(critique.pattern, f"She waits. He is sad. {NEEDS}more time.")
        assert not re.fullmatch(critique.pattern, "She waits. He is sad.")
        assert not re.fullmatch(critique.pattern, f"She waits. She waits. She waits. {NEEDS}more time.")

    async def test_what_is_condensed_comes_first_and_is_not_told_again(self) -> None:
        scene = state(
            events=[event(0), event(1, "I ring at her door.")],
            consequences=[came("severe", text="She loses a tooth."), came("severe", "e1")],
            digest="The landlord suffers.",
            digested=1,
        )
        engine = player()
        await ended(engine, scene)
        shown = "The landlord suffers.\nTenant: I ring at her door.\nLandlord, Baker: She waits."
        assert asked(engine, "critique")[0].messages[-1].content.endswith(quote("consequences", shown))


class TestFate:
    @pytest.mark.parametrize(
        ("changes", "prompt", "fate"),
        [
            ({"consequences": [came("severe")]}, "revise", "revised"),
            ({"stance": "declines"}, "revise_declined", "revised"),
            ({"request": "harmful"}, "revise_harmful", "rejected"),
            ({"request": "harmful", "stance": "declines"}, "revise_harmful", "rejected"),
            ({"request": "doubtful", "stance": "declines"}, "revise_harmful", "rejected"),
        ],
    )
    async def test_how_an_answer_is_revised(self, changes: dict[str, Any], prompt: str, fate: str) -> None:
        engine = player()
        _, ending = await ended(engine, state(events=[event(0)], **changes))
        assert len(asked(engine, prompt)) == 1
        assert len(engine.requests) == 2
        assert ending["fate"] == fate
        assert ending["answer"] == ending["revision"] != "Write to her."

    @pytest.mark.parametrize(
        ("prompt", "changes"),
        [
            ("revise", {}),
            ("revise_declined", {"stance": "declines"}),
            ("revise_harmful", {"request": "harmful"}),
        ],
    )
    async def test_a_revision_is_given_the_question_and_what_was_learned_alone(
        self, prompt: str, changes: dict[str, Any]
    ) -> None:
        learned = f"The landlord loses her house. {NEEDS}rest."
        engine = player(critique=learned)
        await ended(engine, state(events=[event(0)], consequences=[came("severe")], **changes))
        told = learned if prompt == "revise_harmful" else f"{NEEDS}rest."
        shown = {"question": QUESTION, "critique": told}
        assert [said.content for said in engine.requests[-1].messages] == [
            said.text for said in prompts.load(prompt).render(shown)
        ]
        assert "Write to her." not in user_text(engine.requests[-1:])

    @pytest.mark.parametrize("asked_for", ["harmful", "harmless"])
    async def test_only_what_turns_a_harmful_request_down_is_kept_from_the_words_of_the_examples(
        self, asked_for: str
    ) -> None:
        engine = player()
        await ended(engine, state(events=[event(0)], consequences=[came("severe")], request=asked_for))
        examples = tuple(example.reply for example in prompts.load("revise_harmful").examples)
        assert engine.requests[-1].avoid == (examples if asked_for == "harmful" else ())

    async def test_an_echo_of_the_question_is_left_out(self) -> None:
        engine = player(revise=f"{QUESTION} Ask her.")
        _, ending = await ended(engine, state(events=[event(0)], consequences=[came("severe")]))
        assert ending["answer"] == "Ask her."


async def ended(engine: ScriptedEngine, scene: SceneState) -> tuple[SceneState, dict[str, Any]]:
    """The scene with what was learned of it, and what became of its first answer."""
    learned = scene.model_copy(update=dict(await played(summarize, engine, scene)))
    return learned, dict(await played(revise, engine, learned))
