"""What a role is told: its own profile and what it observed, in one conversation, and nothing else."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from graph import build_graph
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from nodes.role_action import role_action
from prompts import OURS, quote
from scene.nouns import Consequence
from scene.settings import SceneSettings
from scene.turn import Cue, Moment, cue
from tests.nodes.stage import CAST, QUESTION, event, played, state
from tests.scripted_scene import all_befallen, all_notice, asked, player, prompt_of, scene_script, user_text

SECRETS = ("Ophir", "Quaver", "Xanadu", "Zephyr", "Vandal", "Kestrel")
"""In a consequence, the first answer, the question, a profile, an event that nobody noticed, and a reason."""


def hidden(said: str) -> list[str]:
    return [secret for secret in SECRETS if secret.casefold() in said.casefold()]


class TestKnowledge:
    async def test_a_cue_brings_nothing_else_along(self) -> None:
        others = [role.model_copy(update={"traits": "He hides a Zephyr."}) for role in (CAST[0], CAST[2])]
        scene = state(
            consequences=[
                Consequence(event="e0", text="He loses the Ophir.", severity="moderate", roles=("r0",))
            ],
            first_answer="Play a Quaver.",
            question="Where is Xanadu?",
            situation="The asker seeks Xanadu.",
            goal="He wants a Zephyr.",
            cast=[others[0], CAST[1], others[1]],
            events=[
                event(0, "I wave at her.", reason="beside a Kestrel"),
                event(1, "I hide the Vandal.", observers=("r2",)),
                event(2, "I steal the Vandal.", observers=(), admitted=False, reason="A Kestrel came."),
            ],
            inbox={"r1": ["e0"]},
            turn=4,
        )
        engine = player()
        await played(role_action, engine, cue(scene, "r1", frozenset({"xanadu"})))
        (request,) = asked(engine, "role_action")
        assert not hidden(user_text([request]))
        assert request.messages[-1].content == (
            "You are the Landlord. She is strict and fair. She wants her rent.\n\n"
            + quote("news", 'Tenant: "I wave at her."')
            + "\n\nWhat do you, the Landlord, do about it?"
        )

    async def test_no_prompt_of_a_role_holds_a_secret_in_a_whole_scene(self) -> None:
        def cast(request: GenerationRequest) -> str:
            first, *rest = scene_script(request).splitlines()
            return "\n".join([first.replace("They care", "They hide a Zephyr and care"), *rest])

        def routing(request: GenerationRequest) -> str:
            unseen = "Vandal" in request.messages[-1].content.partition("<action>")[2]
            return f"yes, beside a Kestrel: {'nobody' if unseen else 'r0, r1, r2, r3, r4'}"

        def befalling(request: GenerationRequest) -> str:
            step = "Vandal" in request.messages[-3].content.partition("<action>")[2]
            return "r0 (money): The tenant loses the Ophir." if step else all_befallen(request)

        engine = player(
            cast=cast,
            plan="I bury the Vandal deep.\nI ring at every door.\nI go back home.",
            routing=routing,
            consequence=befalling,
        )
        given = {"question": "Where is Xanadu?", "first_answer": "Play a Quaver."}
        await build_graph(EngineChatModel(engine=engine)).ainvoke(given)
        told = asked(engine, "role_action", "role_again")
        assert {prompt_of(request) for request in told} == {"role_action", "role_again"}
        assert not hidden(user_text(told))
        others = [request for request in engine.requests if request not in told]
        assert hidden(user_text(others)) == list(SECRETS)


class TestConversation:
    async def test_moments_are_told_in_their_order(self) -> None:
        past = (
            Moment(news=('Tenant: "I wave."', 'Baker: "I sing."'), act="I wave back."),
            Moment(news=(), act="I go in."),
        )
        engine = player()
        own = Cue(turn=4, role=CAST[1], past=past, news=('Tenant: "I ring."',))
        await played(role_action, engine, own)
        (request,) = asked(engine, "role_again")
        again = "\n\nWhat do you, the Landlord, do now?"
        assert [(said.role, said.content) for said in request.messages[-5:]] == [
            (
                "user",
                "You are the Landlord. She is strict and fair. She wants her rent.\n\n"
                + quote("news", 'Tenant: "I wave."\nBaker: "I sing."')
                + "\n\nWhat do you, the Landlord, do about it?",
            ),
            ("assistant", "I wave back."),
            ("user", quote("news", OURS.words.nothing_noticed) + again),
            ("assistant", "I go in."),
            ("user", quote("news", 'Tenant: "I ring."') + again),
        ]

    async def test_it_begins_as_the_one_before(self) -> None:
        """Each conversation of a role goes on with its last one, so that an engine has computed that."""
        engine = player(routing=all_notice, consequence=all_befallen)
        graph = build_graph(EngineChatModel(engine=engine))
        await graph.ainvoke({"question": QUESTION}, context=SceneSettings(steps=4, max_interactions=20))
        seen = 0
        for own in _by_role(asked(engine, "role_action", "role_again")):
            for before, after in pairwise(own):
                assert after.messages[: len(before.messages)] == before.messages
                assert after.messages[len(before.messages)].content == scene_script(before)
                assert len(after.messages) == len(before.messages) + 2
                seen += 1
        assert seen > 8

    async def test_what_was_heard_and_done_should_not_come_again(self) -> None:
        engine = player()
        past = (Moment(news=('Tenant: "I wave."',), act="I wave back."),)
        await played(role_action, engine, Cue(turn=2, role=CAST[1], past=past, news=('Tenant: "I ring."',)))
        assert {"I wave.", "I ring.", "I wave back."} <= set(engine.requests[0].avoid)

    @pytest.mark.parametrize("again", ["I ring at her door.", "I close the blue shutters."])
    async def test_who_repeats_what_was_said_or_done_is_asked_once_more(self, again: str) -> None:
        past = (Moment(news=('Tenant: "I wave."',), act="I close the blue shutters."),)
        own = Cue(turn=2, role=CAST[1], past=past, news=('Tenant: "I ring at her door."',))
        engine = player(role_again=again)
        changes = await played(role_action, engine, own)
        assert [proposal.text for proposal in changes["proposals"]] == [again]
        assert len(engine.requests) == 2


async def test_the_asker_takes_its_step_word_for_word() -> None:
    engine = player()
    changes = await played(role_action, engine, cue(state(step=1), "r0"))
    (proposal,) = changes["proposals"]
    assert (proposal.actor, proposal.step, proposal.text) == ("r0", 1, "I ring at her door.")
    assert not engine.requests


def _by_role(requests: list[GenerationRequest]) -> Iterator[list[GenerationRequest]]:
    """The requests of each role, told by whom they make it."""
    heads = {request.messages[_begin(request)].content.split(".")[0] for request in requests}
    for head in sorted(heads):
        yield [r for r in requests if r.messages[_begin(r)].content.startswith(head)]


def _begin(request: GenerationRequest) -> int:
    """Where a role's own conversation begins: behind the examples."""
    return max(n for n, said in enumerate(request.messages) if said.content.startswith("You are the "))
