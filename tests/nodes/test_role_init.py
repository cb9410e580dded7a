"""How a scene is set up: the risk of the request, and which situation and plan are taken, made of what."""

import math
from collections.abc import Callable
from itertools import count

import pytest

import prompts
from inference.engine import GenerationRequest
from nodes.foresight import risk_of
from nodes.replan import replan
from nodes.role_init import DRAFTS, FITTED_CHARS, PLANS, role_init, stance_of
from scene.state import SceneState
from tests.nodes.stage import QUESTION, asker, played, state
from tests.scripted_scene import asked, player, prompt_of, scene_script, user_text

REFUSED = "I'm sorry, but I can't help with that XYZZY."

DECLINES, HELPS, GRANTED = prompts.OURS.words.declines, prompts.OURS.words.helps, prompts.OURS.words.granted


def numbered(reply: str) -> Callable[[GenerationRequest], str]:
    """A reply with a letter that tells the requests for it apart."""
    numbers = count()
    return lambda request: reply.format("ABCDEFGH"[next(numbers)])


class TestRisk:
    @pytest.mark.parametrize(
        ("unsafe", "refused", "risk"),
        [(0.5, 0.5, 0.119), (0.9, 0.5, 0.418), (0.9, 0.99, 0.744), (0.1, 0.99, 0.093), (0.1, 0.01, 0.006)],
    )
    async def test_it_follows_from_two_looks(self, unsafe: float, refused: float, risk: float) -> None:
        def likelihoods(request: GenerationRequest) -> list[float]:
            no = refused if request.choices == (HELPS, DECLINES) else unsafe
            return [math.log(1 - no), math.log(no)]

        engine = player(likelihoods)
        assert await risk_of(asker(engine), QUESTION, "Write to her.") == risk
        safe, begun = engine.requests
        assert safe.messages[-1].content.startswith(prompts.quote("question", QUESTION))
        assert [message.content for message in begun.messages] == [QUESTION]

    @pytest.mark.parametrize(
        ("said", "answer", "judged"),
        [("no", DECLINES, "harmful"), ("no", HELPS, "harmful"), ("yes", DECLINES, "harmless")],
    )
    async def test_where_no_likelihoods_are_given_what_is_said_and_answered_is_certain(
        self, said: str, answer: str, judged: str
    ) -> None:
        engine = player(safe=said)
        changes = await played(role_init, engine, SceneState(question=QUESTION, first_answer=answer))
        assert changes["request"] == judged
        assert not asked(engine, "refusal")


SITUATIONS = "The asker is a tenant of house {}. They are late."


class TestSituation:
    async def test_the_draft_that_makes_the_question_likeliest_is_taken(self) -> None:
        def likelihoods(request: GenerationRequest) -> list[float]:
            fits = prompt_of(request) == "asked" and "house C" in request.messages[-1].content
            return [-float(place) if fits else -9.0 - place for place, _ in enumerate(request.choices)]

        engine = player(likelihoods, situation=numbered(SITUATIONS))
        changes = await played(role_init, engine, SceneState(question=QUESTION))
        assert changes["situation"] == SITUATIONS.format("C")
        assert "house C" in user_text(asked(engine, "cast"))
        weighed = [request for request in asked(engine, "asked") if "house" in user_text([request])]
        assert len(weighed) == DRAFTS
        assert all(request.weigh and request.choices == (QUESTION,) for request in weighed)

    async def test_of_a_long_question_the_beginning_is_weighed(self) -> None:
        engine = player(lambda request: [0.0] * len(request.choices))
        await played(role_init, engine, SceneState(question="Why? " * FITTED_CHARS))
        assert {len(request.choices[0]) for request in asked(engine, "asked")} == {FITTED_CHARS}

    async def test_the_first_draft_is_taken_where_no_likelihoods_are_given(self) -> None:
        engine = player(situation=numbered(SITUATIONS))
        changes = await played(role_init, engine, SceneState(question=QUESTION))
        assert changes["situation"] == SITUATIONS.format("A")
        assert not asked(engine, "asked")

    async def test_drafts_are_no_one_draw(self) -> None:
        engine = player()
        await played(role_init, engine, SceneState(question=QUESTION))
        assert len({request.seed for request in asked(engine, "situation")}) == DRAFTS


PLAN = "I write a letter {0}.\nI ring at door {0}.\nI go home by way {0}."


class TestPlan:
    async def test_it_goes_on_with_the_situation_and_the_cast(self) -> None:
        engine = player()
        changes = await played(role_init, engine, SceneState(question=QUESTION, first_answer="Write to her."))
        (cast,), (plan, *_) = asked(engine, "cast"), asked(engine, "plan")
        assert plan.messages[: len(cast.messages)] == cast.messages
        assert prompts.quote("question", QUESTION) in cast.messages[-1].content
        assert changes["situation"] in cast.messages[-1].content
        assert plan.messages[len(cast.messages)].content == scene_script(cast)
        assert prompts.quote("answer", "Write to her.") in plan.messages[-1].content

    async def test_of_some_plans_the_one_that_makes_the_question_likeliest_is_taken(self) -> None:
        def likelihoods(request: GenerationRequest) -> list[float]:
            fits = prompt_of(request) == "asked" and "letter C" in request.messages[-1].content
            return [-float(place) if fits else -9.0 - place for place, _ in enumerate(request.choices)]

        engine = player(likelihoods, plan=numbered(PLAN))
        changes = await played(role_init, engine, SceneState(question=QUESTION))
        assert changes["plan"] == PLAN.format("C").splitlines()
        weighed = [request for request in asked(engine, "asked") if "letter" in user_text([request])]
        assert len(weighed) == PLANS
        assert all(request.weigh and request.choices == (QUESTION,) for request in weighed)
        plans = asked(engine, "plan")
        assert len({request.messages for request in plans}) == 1
        assert len({request.seed for request in plans}) == len(plans) == PLANS

    async def test_the_first_plan_is_taken_where_no_likelihoods_are_given(self) -> None:
        engine = player(plan=numbered(PLAN))
        changes = await played(role_init, engine, SceneState(question=QUESTION))
        assert changes["plan"] == PLAN.format("A").splitlines()

    async def test_what_was_declined_is_planned_as_granted(self) -> None:
        engine = player()
        changes = await played(role_init, engine, SceneState(question=QUESTION, first_answer=REFUSED))
        assert changes["stance"] == "declines"
        for plan in asked(engine, "plan"):
            assert prompts.quote("answer", GRANTED) in plan.messages[-1].content
        assert "XYZZY" not in user_text(asked(engine, "plan"))

    @pytest.mark.parametrize("stance", ["answers", "declines"])
    async def test_an_answer_that_takes_the_place_of_another_is_acted_on_as_it_is(self, stance: str) -> None:
        engine = player()
        changes = await played(replan, engine, state(first_answer=REFUSED, stance=stance))
        assert changes["stance"] == "declines"
        assert "XYZZY" in asked(engine, "plan")[0].messages[-1].content

    async def test_the_first_answer_sets_no_scene(self) -> None:
        """The situation, the people and the risk are those of the question, whatever the answer is."""
        engine = player()
        await played(role_init, engine, SceneState(question=QUESTION, first_answer="Write XYZZY to her."))
        told = [prompt_of(r) for r in engine.requests if "XYZZY" in user_text([r])]
        assert sorted(told) == ["plan"] * PLANS + ["stance"]


@pytest.mark.parametrize(
    ("likelihoods", "stance"),
    [([-1.0, -2.0], "answers"), ([-2.0, -1.0], "answers"), ([-4.0, -1.0], "declines"), ([], "answers")],
)
async def test_what_surely_turns_the_asker_away_declines(likelihoods: list[float], stance: str) -> None:
    engine = player(lambda request: likelihoods)
    assert await stance_of(asker(engine), "Talk to her, or do not.") == stance
