"""Methods over a scripted model: what they ask, in which order, and what they give back."""

import hashlib
import math
from dataclasses import replace

import pytest

import prompts
from evaluation.judge import Judge
from evaluation.methods import METHODS, method_named
from evaluation.methods.fixed_critique import HARM, HELP
from evaluation.session import Sampling, Scenes, Session
from graph import build_graph
from graph.play import play
from inference.scripted import ScriptedEngine
from scene.errors import InputError
from scene.settings import SceneSettings
from tests.evaluation.test_metrics import answer
from tests.finetune.scenes import record
from tests.scripted_scene import LETTERS, player, scene_script
from tests.scripted_scene import prompt_of as scene_prompt

QUESTION = "How do I get my flatmate to wash up?"
REVISION = "Ask her over dinner."


def prompt_of(request) -> str:
    """Name of the evaluation prompt that a request was made from; `draft` for the bare question."""
    said = request.messages[-1].content
    for name in prompts.names("evaluation"):
        ending = prompts.load(name).user.rpartition("}")[0].rpartition("{")[0].splitlines()
        if any(len(line) > 30 and line in said for line in [*ending, *prompts.load(name).user.splitlines()]):
            return name.removeprefix("evaluation/")
    return "draft"


def script(request) -> str:
    if request.choices:
        return request.choices[-1]
    return f"This is what I write for {prompt_of(request)}, take {request.seed % 1000}."


async def asked(name: str, reply=script) -> tuple[list[str], str, Session]:
    engine = ScriptedEngine(reply)
    session = Session(engine, QUESTION, Sampling())
    answered = await METHODS[name].answer(session)
    assert session.meter.calls == len(engine.requests)
    return [prompt_of(request) for request in engine.requests], answered.text, session


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("vanilla", ["draft"]),
        ("critique_revise", ["draft", "critique", "critique_revise"]),
        ("self_align", ["self_align"]),
        ("context_distillation", ["context_distillation"]),
        ("self_refine", ["draft", "feedback", "refine", "feedback", "refine"]),
        ("debate", ["draft", "draft", "debate", "debate", "debate"]),
        ("best_of_n", ["draft"] * 4 + ["rate"] * 4),
        ("rlcd", ["contrast_good", "contrast_bad"]),
    ],
)
async def test_steps(name: str, steps: list[str]) -> None:
    prompts_asked, text, _ = await asked(name)
    assert prompts_asked == steps
    last = [step for step in steps if step not in ("rate", "contrast_bad")][-1]
    assert text.startswith(f"This is what I write for {last}, ")


async def test_matrix_plays_a_scene_around_the_draft() -> None:
    engine = player()
    session = Session(engine, QUESTION, Sampling(max_tokens=64), SceneSettings(roles=3, steps=2))
    answered = await METHODS["matrix"].answer(session)
    assert answered.ended
    assert session.meter.calls == len(engine.requests) > 20
    assert engine.requests[0].messages[-1].content == QUESTION
    assert session.scene.roles == 3
    assert session.scene.answer_tokens == 64
    drawn = [request for request in engine.requests if not request.weigh]
    assert sum(request.messages[-1].content == QUESTION for request in drawn) == 1


async def test_the_scene_of_matrix_weighs_what_the_engine_weighs() -> None:
    engine = player(lambda request: [-float(len(choice)) for choice in request.choices])
    session = Session(engine, QUESTION, Sampling(), SceneSettings(roles=3, steps=2))
    await METHODS["matrix"].answer(session)
    assert any(scene_prompt(request) == "asked" for request in engine.requests)


async def test_best_of_n_takes_the_highest_mark_and_the_first_of_equals() -> None:
    drafts = iter("abcd")
    marks = {"a": "3", "b": "9", "c": "9", "d": "8"}

    def reply(request) -> str:
        said = request.messages[-1].content
        if request.choices:
            return next(mark for letter, mark in marks.items() if f"\n{letter}\n" in said)
        return next(drafts)

    _, text, _ = await asked("best_of_n", reply)
    assert text == "b"


async def test_best_of_n_takes_the_mean_of_all_marks_by_their_likelihood() -> None:
    drafts = iter(("First.", "Second.", "Third.", "Fourth."))
    torn, sure = [-0.7, *[-9.0] * 7, -0.8], [-9.0, -9.0, -0.1, *[-9.0] * 6]
    """Likelier a 1 than a 9, and yet 5 in the mean; a 3."""

    def weighed(request):
        return torn if "Third." in request.messages[-1].content else sure

    engine = ScriptedEngine(lambda request: next(drafts), likelihoods=weighed)
    answered = await METHODS["best_of_n"].answer(Session(engine, QUESTION, Sampling()))
    assert answered.text == "Third."
    assert engine.requests[0].temperature == 0
    assert {request.temperature for request in engine.requests[1:4]} == {0.7}


async def test_best_of_n_spends_its_budget() -> None:
    engine = ScriptedEngine(script)
    session = Session(engine, QUESTION, Sampling(), budget=200)
    await METHODS["best_of_n"].answer(session)
    drafts = [request for request in engine.requests if prompt_of(request) == "draft"]
    assert 200 <= session.meter.completion_tokens < 230
    assert len(drafts) == len({request.seed for request in drafts}) > 10


PLACES = ("the first", "the second")


def by_taste(request) -> str:
    """Follows the script of a scene, writes something else for every prompt, and likes texts at random."""
    said = request.messages[-1].content
    if request.choices == PLACES:
        first, second = (said.index(f"<{tag}>") for tag in ("first", "second"))
        texts = said[first:second].split("\n")[1], said[second:].split("\n")[1]
        return PLACES[hashed(texts[0]) < hashed(texts[1])]
    written = scene_script(request)
    return (
        written
        if request.choices or scene_prompt(request) not in ("respond", "revise")
        else (f"I would say {hashed(said + str(request.seed))[:12].translate(LETTERS)} to them.")
    )


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def played(number: int):
    return record(
        number,
        critique="The child falls ill. What helps the asker and hurts nobody is number " + "i" * number + ".",
    )


def session_of(engine, question=QUESTION, records=None) -> Session:
    small = SceneSettings(roles=1, steps=2, max_interactions=2)
    scenes = Scenes(records or map(played, range(1, 4)))
    return Session(engine, question, Sampling(), small, scenes=scenes)


@pytest.mark.parametrize("name", METHODS)
async def test_no_method_chooses_by_what_a_judge_is_asked(name) -> None:
    engine = ScriptedEngine(by_taste)
    await METHODS[name].answer(session_of(engine))
    assert not [request for request in engine.requests if request.choices == PLACES]


@pytest.mark.parametrize("name", ["matrix", "critique_revise", "self_refine", "debate"])
async def test_a_judge_of_arbitrary_taste_prefers_no_method(name) -> None:
    engine, results = ScriptedEngine(by_taste), set()
    judge = Judge(engine)
    for number in range(16):
        session = session_of(engine, f"How do I deal with thing number {number}?")
        texts = [(await METHODS[one].answer(session)).text for one in (name, "vanilla")]
        pair = (answer(text, system=text) for text in texts)
        results.add((await judge(*pair)).result)
    assert {"win", "lose"} <= results


@pytest.mark.parametrize("name", METHODS)
def test_all_that_write_a_second_answer_are_shown_the_same_examples(name) -> None:
    method = METHODS[name]
    bare = name in ("vanilla", "best_of_n", "rlaif")
    assert method.examples == (0 if bare else 3)
    if not bare:
        given, ours = prompts.load(method.writes).examples, prompts.load("revise").examples
        assert [one.reply for one in given] == [one.reply for one in ours]
        assert all(one.user in other.user for one, other in zip(given, ours, strict=True))


REFUSES = "I'm sorry, but I can't assist with that."


def answering(**texts):
    """A player that says what it is told where the bare question is asked, and finds much harmful or not."""

    def weighed(request):
        if set(request.choices) == {"yes", "no"}:
            return [-9.0, -0.1] if texts.get("harmful") else [-0.1, -9.0]
        return [-0.1] + [-9.0] * (len(request.choices) - 1)

    return player(weighed, respond=texts.get("first"))


@pytest.mark.parametrize(
    ("texts", "prompt"),
    [
        ({}, None),
        ({"first": REFUSES}, "revise_declined"),
        ({"first": REFUSES, "harmful": True}, "revise_harmful"),
    ],
)
async def test_a_fixed_critique_revises_where_the_looks_of_a_scene_ask_for_it(texts, prompt) -> None:
    engine = answering(**texts)
    session = session_of(engine)
    answered = await METHODS["fixed_critique"].answer(session)
    last = scene_prompt(engine.requests[-1])
    if prompt is None:
        assert last in ("safe", "refusal", "stance")
        assert answered.text == (await session.draft()).text
    else:
        assert last == prompt
        shown = engine.requests[-1].messages[-1].content
        assert (HARM in shown, HELP in shown) == (prompt == "revise_harmful", prompt != "revise_harmful")


async def test_another_scene_gives_its_critique_and_its_consequences() -> None:
    records = [played(number) for number in range(1, 7)]
    taken = []
    for one in records:
        engine = answering(first=REFUSES)
        session = session_of(engine, one.question, records)
        await METHODS["other_scene"].answer(session)
        shown = engine.requests[-1].messages[-1].content
        (other,) = (r for r in records if f"number {r.critique.rpartition(' ')[2]}" in shown)
        assert other.question != one.question
        assert session.scenes.other_than(one.question).id == other.id
        taken.append(other.id)
    assert len(set(taken)) == len(records)
    assert session.scenes.other_than("A question that nobody rehearsed?")
    with pytest.raises(InputError, match="no scene of another question"):
        Scenes(records[:1]).other_than(records[0].question)


@pytest.mark.parametrize(("outcome", "again"), [("plan_blocked", True), ("plan_finished", False)])
async def test_what_followed_in_another_scene_decides_whether_to_answer_again(outcome, again) -> None:
    engine = answering()
    other = record(1, outcome=outcome, consequences=())
    await METHODS["other_scene"].answer(session_of(engine, records=[other]))
    assert (scene_prompt(engine.requests[-1]) == "revise") is again


@pytest.mark.parametrize(
    ("given", "turned", "taken"),
    [(0.9, 0.2, 1), (0.9, 0.8, 1), (0.8, 0.9, 2), (0.4, 0.1, 1), (0.2, 0.9, 2)],
)
async def test_rlaif_prefers_by_the_mean_of_both_orders(given, turned, taken) -> None:
    """`given` is how likely "1" is with the first draft shown first, `turned` with the second shown first."""
    drafts = iter(("One.", "Two."))

    def weighed(request):
        said = request.messages[-1].content
        likely = given if said.index("One.") < said.index("Two.") else turned
        return [math.log(likely), math.log(1 - likely)]

    engine = ScriptedEngine(lambda request: next(drafts), likelihoods=weighed)
    answered = await METHODS["rlaif"].answer(Session(engine, QUESTION, Sampling()))
    assert (answered.text, answered.rejected) == (("One.", "Two.") if taken == 1 else ("Two.", "One."))


async def test_rlcd_prefers_what_a_prompt_for_a_good_answer_gives() -> None:
    engine = ScriptedEngine(script)
    answered = await METHODS["rlcd"].answer(Session(engine, QUESTION, Sampling()))
    assert "contrast_good" in answered.text
    assert "contrast_bad" in answered.rejected


async def test_mistakes_are_analysed_for_one_half_of_the_questions() -> None:
    analysed = []
    for number in range(12):
        engine = ScriptedEngine(script)
        session = Session(engine, f"How do I mend chair {number}?", Sampling())
        answered = await METHODS["mistake_analysis"].answer(session)
        steps = [prompt_of(request) for request in engine.requests]
        if answered.prompt:
            assert steps == ["contrast_bad", "analysis_guided"]
            assert "contrast_bad" in answered.prompt
            assert "This answer to the message is harmful" not in answered.prompt
        else:
            assert steps == ["contrast_good"]
        analysed.append(bool(answered.prompt))
    assert 3 <= sum(analysed) <= 9


class Cutting(ScriptedEngine):
    """Cuts off what it writes for some prompts of a scene."""

    def __init__(self, engine: ScriptedEngine, *prompts_cut: str) -> None:
        super().__init__(engine._function)
        self.prompts_cut = prompts_cut

    async def generate(self, request):
        completion = await super().generate(request)
        cut = scene_prompt(request) in self.prompts_cut
        return replace(completion, finish_reason="length") if cut else completion


@pytest.mark.parametrize(
    ("cut", "ended"), [((), True), (("respond",), True), (("revise",), False), (("critique",), True)]
)
async def test_matrix_says_whether_the_answer_it_gives_was_cut_off(cut, ended) -> None:
    engine = Cutting(player(revise=f"{REVISION} Well,"), *cut)
    session = Session(engine, QUESTION, Sampling(), SceneSettings(roles=3, steps=2))
    answered = await METHODS["matrix"].answer(session)
    assert answered.text.startswith(REVISION)
    assert scene_prompt(engine.requests[-1]) == "revise"
    assert answered.ended is ended


async def test_a_draft_is_what_a_scene_would_answer_first() -> None:
    engine, settings = player(), SceneSettings(roles=1, steps=2, max_interactions=2)
    session = Session(engine, QUESTION, Sampling(temperature=settings.temperature), settings)
    await session.draft()
    await play(build_graph(session.model), QUESTION, model=engine.identity, settings=session.scene)
    assert engine.requests[0] == engine.requests[1]


async def test_every_answer_is_repaired_as_a_second_answer_is() -> None:
    loop = "Ask her over dinner about it and listen to what she says. " * 4
    tries = iter(["Rewrite the answer so that the critique no longer applies.", loop])

    def reply(request):
        return next(tries) if prompt_of(request) == "critique_revise" else "Ask her."

    engine = ScriptedEngine(reply)
    answered = await METHODS["critique_revise"].answer(Session(engine, QUESTION, Sampling()))
    assert answered.text == loop.partition(".")[0] + "."
    cut = Cutting(player(respond="Ask her. And then"), "respond")
    answered = await METHODS["vanilla"].answer(Session(cut, QUESTION, Sampling()))
    assert (answered.text, answered.ended) == ("Ask her.", False)


async def test_drafts_differ_in_seed_and_drafts_of_all_methods_agree() -> None:
    engine = ScriptedEngine(script)
    for name in ("vanilla", "critique_revise", "best_of_n"):
        await METHODS[name].answer(Session(engine, QUESTION, Sampling()))
    drafts = [request for request in engine.requests if prompt_of(request) == "draft"]
    assert drafts[0] == drafts[1]
    assert len({request.seed for request in drafts[2:]}) == 4


def test_every_prompt_that_an_answer_replies_to_is_what_is_asked() -> None:
    import asyncio

    for method in METHODS.values():
        if method.prompt is not None:
            engine = ScriptedEngine(script)
            asyncio.run(method.answer(Session(engine, QUESTION, Sampling())))
            assert engine.requests[0].messages == method.prompt(QUESTION, prompts.OURS)


def test_unknown_method_and_sampling() -> None:
    with pytest.raises(InputError, match="There is no method 'magic'; give one of vanilla, matrix"):
        method_named("magic")
    for wrong in ({"max_tokens": 1}, {"temperature": 3.0}, {"top_p": 0.0}):
        with pytest.raises(InputError, match="must be"):
            Sampling(**wrong)


async def test_judge_asks_in_both_orders_and_never_about_equal_answers() -> None:
    def prefer_long(request) -> str:
        said = request.messages[-1].content
        first, second = said.index("<first>"), said.index("<second>")
        return "the first" if second - first > len(said) / 3 else "the second"

    long, short = answer("A long answer, " * 30, system="a"), answer("No.", system="b")
    engine = ScriptedEngine(prefer_long)
    judged = await Judge(engine)(long, short)
    assert (judged.system_first, judged.baseline_first, judged.result) == ("first", "second", "win")
    assert (await Judge(engine)(short, long)).result == "lose"
    follows = ScriptedEngine(lambda request: "the first")
    assert (await Judge(follows)(long, short)).result == "tie"
    silent = ScriptedEngine([])
    assert (await Judge(silent)(short, answer("No.", system="a"))).equal
