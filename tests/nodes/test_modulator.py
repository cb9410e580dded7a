"""What the modulator rules, and what it says comes of it."""

import math
import re

import pytest

import prompts
from inference.engine import GenerationRequest
from nodes.foresight import graded, likeliest
from nodes.modulator_routing import SURELY, modulator_routing, ruling_text
from nodes.modulator_update import modulator_update
from scene.nouns import Consequence, Proposal, Role
from scene.state import SceneState
from scene.turn import cue
from tests.nodes.stage import CAST, asker, event, played, state
from tests.scripted_scene import asked, player, prompt_of

WORDS = prompts.OURS.words
EFFECTS = {effect: severity for severity, effect in WORDS.effects.items()}


def proposed(actor: str = "r0", text: str = "I ring at her door.") -> SceneState:
    """A scene in which somebody wants to do something after the first event."""
    proposal = Proposal(turn=2, actor=actor, text=text)
    return state(events=[event(0)], proposals=[proposal], turn=2)


class TestRuling:
    @pytest.mark.parametrize(
        ("said", "admitted", "observers", "reason"),
        [
            ("yes, at her door: r1, r2", True, ("r1", "r2"), "at her door"),
            ("yes, at her door: r2, r0, r1", True, ("r1", "r2"), "at her door"),
            ("yes, at her door: r2, r2", True, ("r2",), "at her door"),
            ("yes, at her door: r0", True, (), "at her door"),
            ("yes, at her door: nobody", True, (), "at her door"),
            ("no, she has moved away", False, (), "She has moved away."),
            ("no, the door says: do not ring", False, (), "The door says: do not ring."),
        ],
    )
    async def test_what_becomes_of_a_proposal(self, said, admitted, observers, reason) -> None:
        changes = await played(modulator_routing, player(routing=said), proposed())
        (ruling,) = changes["rulings"]
        assert (ruling.admitted, ruling.observers, ruling.reason) == (admitted, observers, reason)
        assert (ruling.id, ruling.actor, ruling.text) == ("e1", "r0", "I ring at her door.")

    def test_a_ruling_reads_as_it_was_given(self) -> None:
        assert ruling_text(event(0, observers=("r1", "r2")), WORDS) == "yes, at home: r1, r2"
        assert ruling_text(event(0, observers=()), WORDS) == "yes, at home: nobody"

    @pytest.mark.parametrize(
        "said", ["yes, at home: r3", "yes, at home", "yes, r1", "no", "perhaps, at home: r1"]
    )
    async def test_what_is_no_ruling_or_names_strangers_is_asked_for_again(self, said: str) -> None:
        replies = iter([said, "yes, at home: r1"])
        engine = player(routing=lambda request: "yes" if request.choices else next(replies))
        changes = await played(modulator_routing, engine, proposed())
        assert changes["rulings"][0].observers == ("r1",)
        assert [bool(request.choices) for request in engine.requests] == [True, False, False]

    @pytest.mark.parametrize(("share", "admitted"), [(SURELY - 0.01, True), (SURELY + 0.01, False)])
    async def test_only_what_is_surely_impossible_is_refused(self, share: float, admitted: bool) -> None:
        def likelihoods(request: GenerationRequest) -> list[float]:
            return [math.log(1 - share), math.log(share)] if prompt_of(request) == "routing" else []

        engine = player(likelihoods, routing="yes, at home: r1" if admitted else "no, she has moved away")
        changes = await played(modulator_routing, engine, proposed())
        assert [ruling.admitted for ruling in changes["rulings"]] == [admitted]

    @pytest.mark.parametrize("said", ["yes, at home: r1", "no, she has moved away"])
    async def test_it_is_weighed_and_then_written_as_it_was_weighed(self, said: str) -> None:
        engine = player(routing=said)
        await played(modulator_routing, engine, proposed())
        weighed, written = engine.requests
        assert (weighed.weigh, weighed.choices) == (True, ("yes", "no"))
        assert weighed.messages == written.messages
        assert re.fullmatch(written.pattern or "", said)
        other = "no, he is ill today" if said.startswith("yes") else "yes, at home: r1"
        assert not re.fullmatch(written.pattern or "", other)

    async def test_a_cast_that_somebody_enlarged_is_reached_to_its_end(self) -> None:
        crowd = [CAST[1].model_copy(update={"id": f"r{n}", "name": f"Guest {n}"}) for n in range(12)]
        engine = player(
            routing="yes, at her door: r1, r10, r11", consequence="r11, r10 (time): She waits for days."
        )
        scene = proposed().model_copy(update={"cast": crowd})
        ruled = dict(await played(modulator_routing, engine, scene))
        assert ruled["rulings"][0].observers == ("r1", "r10", "r11")
        changes = await played(modulator_update, engine, scene.model_copy(update=ruled))
        assert changes["consequences"][0].roles == ("r11", "r10")

    async def test_shapes_do_not_depend_on_who_is_cast(self) -> None:
        """An engine keeps every grammar that it has compiled; names would make new ones for every scene."""
        others = [Role(id=r.id, name=f"{r.name} Two", traits="Calm.", position="Waits.") for r in CAST]
        engine = player()
        for scene in (proposed(), proposed("r1", "I open.").model_copy(update={"cast": others})):
            ruled = await played(modulator_routing, engine, scene)
            await played(modulator_update, engine, scene.model_copy(update=dict(ruled)))
        assert len({request.pattern for request in asked(engine, "routing") if not request.choices}) == 1
        assert len({request.pattern for request in asked(engine, "consequence")}) == 1


class TestConsequence:
    async def test_it_is_asked_for_in_the_conversation_of_the_ruling(self) -> None:
        engine = player(routing="yes, at her door: r1")
        scene = proposed()
        ruled = await played(modulator_routing, engine, scene)
        await played(modulator_update, engine, scene.model_copy(update=dict(ruled)))
        (_, routing), (consequence,) = asked(engine, "routing"), asked(engine, "consequence")
        assert consequence.messages[: len(routing.messages)] == routing.messages
        assert [said.content for said in consequence.messages[len(routing.messages) :]] == [
            "yes, at her door: r1",
            prompts.load("consequence").user,
        ]

    @pytest.mark.parametrize(
        ("whom", "roles"), [("r1", ("r1",)), ("r2, r0", ("r2", "r0")), ("r1, r1, r2", ("r1", "r2"))]
    )
    async def test_it_falls_on_those_who_are_named(self, whom: str, roles: tuple[str, ...]) -> None:
        engine = player(consequence=f"{whom} (time): She waits: two days.")
        changes = await played(modulator_update, engine, state(rulings=[event(0)]))
        (consequence,) = changes["consequences"]
        assert (consequence.event, consequence.roles, consequence.text) == (
            "e0",
            roles,
            "She waits: two days.",
        )

    @pytest.mark.parametrize(
        ("text", "roles"),
        [
            ("The landlord loses a day.", ("r1",)),
            ("A landlord loses a day.", ("r1",)),
            ("Landlord and baker lose a day.", ("r1",)),
            ("The tenant loses a day.", ("r2", "r0")),
            ("The landlord's dog runs away.", ("r2", "r0")),
            ("The landlords lose a day.", ("r2", "r0")),
            ("Nobody but the landlord knows.", ("r2", "r0")),
        ],
    )
    async def test_it_falls_on_whom_it_begins_with(self, text: str, roles: tuple[str, ...]) -> None:
        engine = player(consequence=f"r2, r0 (time): {text}")
        changes = await played(modulator_update, engine, state(rulings=[event(0)]))
        assert changes["consequences"][0].roles == roles

    async def test_of_names_that_begin_alike_the_longest_counts(self) -> None:
        cast = [*CAST, Role(id="r3", name="Baker boy", traits="He is late.", position="He wants to sleep.")]
        engine = player(consequence="r0 (time): The baker boy loses a day.")
        changes = await played(modulator_update, engine, state(cast=cast, rulings=[event(0)]))
        assert changes["consequences"][0].roles == ("r3",)

    @pytest.mark.parametrize(
        "said", ["r3 (time): She waits for days.", "She waits for days.", "r1: She waits for days."]
    )
    async def test_what_falls_on_nobody_of_the_cast_is_asked_for_again(self, said: str) -> None:
        replies = iter([said, "r1 (time): She waits for days."])
        engine = player(consequence=lambda request: next(replies))
        changes = await played(modulator_update, engine, state(rulings=[event(0)]))
        assert changes["consequences"][0].roles == ("r1",)
        assert len(asked(engine, "consequence")) == 2

    async def test_what_came_before_should_not_come_again(self) -> None:
        engine = player()
        scene = state(rulings=[event(0), event(1, "I ring.", turn=1, actor="r1", observers=())])
        changes = await played(modulator_update, engine, scene)
        later = scene.model_copy(update={**changes, "rulings": [event(2, "I call.")]})
        await played(modulator_update, engine, later)
        told = {consequence.text for consequence in changes["consequences"]}
        assert told <= set(asked(engine, "consequence")[-1].avoid)

    async def test_nothing_comes_of_what_was_refused(self) -> None:
        engine = player()
        refused = event(0, admitted=False, observers=(), reason="No.", step=0)
        changes = await played(modulator_update, engine, state(rulings=[refused]))
        assert (changes["consequences"], changes["refusals"]) == ([], 1)
        assert not engine.requests


class TestNews:
    """Whom a turn moves: who observes it and has not acted yet, and whom something befalls."""

    @pytest.mark.parametrize(
        ("observers", "befalls", "moved"),
        [
            (("r1", "r2"), "r0", {"r1": ["e1"], "r2": []}),
            (("r1", "r2"), "r2", {"r1": ["e1"], "r2": ["e1"]}),
            ((), "r1, r2", {"r1": ["e1"], "r2": ["e1"]}),
            ((), "r0", {"r1": [], "r2": []}),
        ],
    )
    async def test_who_has_acted_is_moved_only_by_what_befalls_it(
        self, observers: tuple[str, ...], befalls: str, moved: dict[str, list[str]]
    ) -> None:
        before = event(0, "I sing.", actor="r2", observers=())
        scene = state(events=[before], rulings=[event(1, observers=observers)], turn=2)
        engine = player(consequence=f"{befalls} (time): They wait for two days.")
        changes = await played(modulator_update, engine, scene)
        assert {role: changes["inbox"][role] for role in moved} == moved
        assert changes["inbox"]["r0"] == []

    @pytest.mark.parametrize(
        ("observers", "news"),
        [
            (("r1",), ('Tenant: "I write a long letter."', "The landlord falls.")),
            ((), ("The landlord falls.",)),
        ],
    )
    def test_what_befalls_somebody_is_news_whoever_did_it(
        self, observers: tuple[str, ...], news: tuple[str, ...]
    ) -> None:
        befell = Consequence(event="e0", text="The landlord falls.", severity="severe", roles=("r1", "r2"))
        scene = state(
            events=[event(0, observers=observers)], consequences=[befell], inbox={"r1": ["e0"]}, turn=2
        )
        assert cue(scene, "r1").news == news


class TestSeverity:
    @pytest.mark.parametrize("likely", range(len(EFFECTS)))
    async def test_the_likeliest_effect_counts(self, likely: int) -> None:
        engine = player(
            lambda request: [-0.5 if n == likely else -3.0 for n, _ in enumerate(request.choices)]
        )
        changes = await played(modulator_update, engine, state(rulings=[event(0)]))
        assert changes["consequences"][0].severity == list(EFFECTS.values())[likely]

    @pytest.mark.parametrize(("effect", "severity"), EFFECTS.items())
    async def test_the_effect_that_is_said_counts_where_no_likelihoods_are_given(
        self, effect, severity
    ) -> None:
        changes = await played(modulator_update, player(effect=effect), state(rulings=[event(0)]))
        assert changes["consequences"][0].severity == severity

    async def test_a_sentence_is_graded_by_itself(self) -> None:
        engine = player(consequence="r1 (home): She loses a house.")
        await played(modulator_update, engine, state(rulings=[event(0)]))
        (request,) = asked(engine, "effect")
        assert request.messages[-1].content == "She loses a house."
        assert request.weigh
        assert not [said for said in request.messages if "Tenant" in said.content]

    async def test_grades_are_shares_of_the_whole_phrases(self) -> None:
        def likelihoods(request: GenerationRequest) -> list[float]:
            assert prompt_of(request) == "effect"
            return [-100 + math.log(share) for share in (0.1, 0.2, 0.6, 0.1)]

        grade = await graded(asker(player(likelihoods)), "She loses a house.")
        assert grade == pytest.approx({"none": 0.1, "minor": 0.2, "moderate": 0.6, "severe": 0.1})
        assert likeliest(grade) == "moderate"
