"""Methods over a scripted model: what they ask, in which order, and what they give back."""

from dataclasses import replace

import pytest

import prompts
from evaluation.judge import Judge
from evaluation.methods import METHODS, method_named
from evaluation.session import Sampling, Session
from inference.scripted import ScriptedEngine
from scene.errors import InputError
from scene.settings import SceneSettings
from tests.evaluation.test_metrics import answer
from tests.scripted_scene import player
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
        ("debate", ["draft", "draft", "debate", "debate", "judge", "judge"]),
        ("best_of_n", ["draft"] * 4 + ["rate"] * 4),
    ],
)
async def test_steps(name: str, steps: list[str]) -> None:
    prompts_asked, text, _ = await asked(name)
    assert prompts_asked == steps
    last = [step for step in steps if step not in ("judge", "rate")][-1]
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
    marks = {"a": "3", "b": "10", "c": "10", "d": "9"}

    def reply(request) -> str:
        said = request.messages[-1].content
        if request.choices:
            return next(mark for letter, mark in marks.items() if f"\n{letter}\n" in said)
        return next(drafts)

    _, text, _ = await asked("best_of_n", reply)
    assert text == "b"


@pytest.mark.parametrize(
    ("prefers", "taken"), [("the first shown", 1), ("the second shown", 1), ("take 1", 1), ("take 2", 2)]
)
async def test_debate_takes_the_second_answer_only_where_both_orders_prefer_it(prefers, taken) -> None:
    written: list[str] = []

    def reply(request) -> str:
        if not request.choices:
            written.append(f"Answer {len(written)}.")
            return written[-1]
        if prefers.endswith("shown"):
            return prefers.removesuffix(" shown")
        said = request.messages[-1].content
        wanted = written[2 if prefers == "take 1" else 3]
        return "the first" if said.index(wanted) < said.index("<second>") else "the second"

    _, text, _ = await asked("debate", reply)
    assert text == written[1 + taken]


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
