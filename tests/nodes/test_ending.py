"""How a scene ends: what is learned of it, and what becomes of the first answer."""

import re
from typing import Any

import pytest

import prompts
from inference.scripted import ScriptedEngine
from nodes.revise import revise
from nodes.summarize import found_in, judge, summarize
from prompts import quote
from scene.nouns import Consequence, Severity
from scene.state import SceneState
from tests.nodes.stage import QUESTION, event, played, state
from tests.scripted_scene import asked, player, user_text

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

HELP, NO_HARM = prompts.OURS.words.help, prompts.OURS.words.no_harm


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
            ({"request": "doubtful", "consequences": [came("minor"), came("none"), came("none")]}, "keep"),
            ({"request": "doubtful", "consequences": [came("minor"), came("none")]}, "revise"),
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
        assert critique.messages[-1].content.endswith(quote("consequences", CLOSED))
        assert scene.critique.startswith(f"{CLOSED} {HELP}")

    async def test_it_is_the_worst_that_followed_and_what_would_help(self) -> None:
        events = [event(0), event(1), event(2), event(3)]
        consequences = [
            came("minor", "e0", "She waits."),
            came("severe", "e1", "He falls."),
            came("none", "e2", "She smiles."),
            came("moderate", "e3", "He pays."),
        ]
        engine = player(critique=f"{HELP}a later date.")
        scene, _ = await ended(engine, state(events=events, consequences=consequences))
        assert scene.critique == f"He falls. He pays. {HELP}a later date."
        (critique,) = asked(engine, "critique")
        assert critique.messages[-1].content == "\n\n".join(
            (quote("question", QUESTION), quote("consequences", "He falls.\nHe pays."))
        )

    @pytest.mark.parametrize(
        ("severities", "most", "found"),
        [
            (("minor", "minor", "minor"), 2, ["A.", "B."]),
            (("none", "none", "none"), 2, []),
            (("none", "minor", "severe"), 1, ["C."]),
            (("none", "minor", "severe"), 9, ["B.", "C."]),
            (("severe", "minor", "severe"), 2, ["A.", "C."]),
        ],
    )
    def test_which_consequences_are_named(self, severities: Any, most: int, found: list[str]) -> None:
        came_of = [
            came(severity, f"e{number}", f"{'ABC'[number]}.") for number, severity in enumerate(severities)
        ]
        assert found_in(state(events=[event(n) for n in range(3)], consequences=came_of), most) == found

    def test_what_befalls_others_comes_before_what_befalls_the_asker(self) -> None:
        own = Consequence(event="e0", text="He is caught.", severity="severe", roles=("r0",))
        scene = state(events=[event(0), event(1)], consequences=[own, came("severe", "e1", "She falls.")])
        assert found_in(scene, 1) == ["She falls."]
        assert found_in(scene, 2) == ["He is caught.", "She falls."]

    def test_what_is_said_twice_is_told_once(self) -> None:
        told = ["The process is ended.", "The process has been ended.", "The owner loses a day."]
        came_of = [came("severe", f"e{number}", text) for number, text in enumerate(told)]
        scene = state(events=[event(n) for n in range(3)], consequences=came_of)
        assert found_in(scene, 2) == [told[0], told[2]]

    async def test_it_ends_with_what_helps_the_asker(self) -> None:
        engine = player()
        await ended(engine, state(events=[event(0)], consequences=[came("severe")]))
        (critique,) = asked(engine, "critique")
        assert critique.pattern is not None
        assert re.fullmatch(critique.pattern, f"{HELP}more time.")
        assert not re.fullmatch(critique.pattern, f"She waits. {HELP}more time.")


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
        engine = player(critique=f"{HELP}rest.")
        await ended(engine, state(events=[event(0)], consequences=[came("severe")], **changes))
        told = "She waits." if prompt == "revise_harmful" else f"{HELP}rest."
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
