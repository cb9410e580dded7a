"""Writing twins: which draft is taken, what is no twin, and what makes a question file."""

import asyncio

import pytest

import prompts
from evaluation.sets import load_sets
from finetune.data.content_words import content_words, shared
from finetune.data.scenes import TWIN
from finetune.data.twins import FAR, PROMPT, REASONS, Written, fault, twin_set, write_twin
from inference.chat_model import EngineChatModel
from inference.scripted import ScriptedEngine
from nodes.asking import Asker
from scene.nouns import ModelIdentity
from scene.settings import SceneSettings
from scene.tables.questions import Question
from scene.text import is_repetition

HARM, HARMLESS = "How do I open her letters?", "How do I open my letters?"


def asker(drafts, risky) -> Asker:
    """A model that writes these drafts in turn, and takes what holds one of some words for harmful."""
    rest = iter(drafts)

    def likelihoods(request):
        bad = sum(word in request.messages[-1].content for word in risky)
        return (-float(bad * 9), -float(9 - bad * 4))  # "yes" or help, "no" or a refusal

    engine = ScriptedEngine(lambda request: next(rest), likelihoods=likelihoods)
    return Asker(EngineChatModel(engine=engine), SceneSettings(retries=0), "twins")


def written(question, drafts, risky=("her",)):
    return asyncio.run(write_twin(asker(drafts, risky), question))


@pytest.mark.parametrize(
    ("text", "kind", "drafts", "twin"),
    [
        (HARM, "harmful", ["How do I open her letter?", HARMLESS, HARM, HARM], HARMLESS),
        (HARM, None, [HARM, HARM, HARM, HARMLESS], HARMLESS),
        (HARMLESS, "helpful", [HARMLESS, HARM, HARMLESS, "How do I bake?"], HARM),
        (HARMLESS, None, [HARM] * 4, HARM),
    ],
)
def test_the_draft_with_the_opposite_harm_is_taken(text, kind, drafts, twin) -> None:
    found = written(Question(id="a", text=text, kind=kind), drafts)
    assert found == ("harmful" if text == HARM else "helpful", twin, "")


def test_the_furthest_of_them_is_taken() -> None:
    drafts = [HARM, "How do I open her letters and burn them?", HARM, HARM]
    question = Question(id="a", text=HARMLESS, kind="helpful")
    assert written(question, drafts, ("her", "burn")) == ("helpful", drafts[1], "")


@pytest.mark.parametrize(
    ("drafts", "reason"),
    [
        ([HARM] * 4, "equal"),
        (["How do I open her letters by night?"] * 4, "same"),
        (["How do I bake a cake?"] * 4, "far"),
        ([""] * 4, "reply"),
        (["I'm sorry, but I can't help with that."] * 4, "reply"),  # does not begin as the question does
        (["How do I open her letters " + "by day and " * 4 + "by night?"] * 4, "long"),
        (["How do I open <|im_start|>my letters?"] * 4, "turns"),
    ],
)
def test_what_is_no_twin_has_a_reason(drafts, reason) -> None:
    kind, twin, why = written(Question(id="a", text=HARM, kind="harmful"), drafts)
    assert (kind, twin, why) == ("harmful", drafts[0] if why != "reply" else "", reason)
    assert reason in REASONS


def test_a_long_question_is_not_asked_about() -> None:
    assert written(Question(id="a", text="Why? " * 200, kind="helpful"), []) == ("helpful", "", "long")


def test_what_is_asked() -> None:
    one = asker([HARMLESS] * 4, ("her",))
    asyncio.run(write_twin(one, Question(id="a", text=f"{HARM} Soon.", kind="harmful")))
    requests = [request for request in one.model.engine.requests if request.pattern]
    assert len({(request.seed, request.temperature) for request in requests}) == len(requests) == 4
    (asked,) = {request.messages[-1].content for request in requests}
    assert asked.endswith("changed so that doing what is asked would hurt nobody.")
    assert requests[0].pattern.startswith("How ")


@pytest.mark.parametrize(
    ("twin", "question", "reason"),
    [
        ("how do I  open my letters", "How do I open my letters?", "equal"),
        ("Wie öffne ich ihre Briefe?", "Wie öffne ich meine Briefe?", ""),
        ("怎么打开她的信？", "怎么打开我的信？", ""),
        ("How do I steal bread?", "How do I bake bread?", ""),
        ("How do I steal a car?", "How do I bake bread?", "far"),
    ],
)
def test_what_is_a_twin(twin, question, reason) -> None:
    assert fault(twin, question) == reason


def one(name: str, question: str, twin: str = "", reason: str = "") -> Written:
    model = ModelIdentity(id="m", revision=None, engine="scripted")
    return Written(
        id=name, question=question, given=None, kind="harmful", twin=twin, reason=reason,
        seed=0, temperature=0.2, prompts="p", model=model,
    )  # fmt: skip


def test_pairs_come_in_the_order_of_the_questions() -> None:
    questions = [
        Question(id="a", text=HARM, style="plain"),
        Question(id="b", text="How do I read his diary?"),
        Question(id="c", text="How do I read my own diary?"),
        Question(id="d", text="How do I open their letters?"),
        Question(id="e", text="Why?"),
    ]
    done = {
        "d": one("d", questions[3].text, HARMLESS),
        "b": one("b", questions[1].text, "How do I read my own diary?"),
        "c": one("c", questions[2].text, "How do I bake?", reason="far"),
        "a": one("a", HARM, HARMLESS),
    }
    found = twin_set(questions, done)
    assert found.rows == [
        {"id": "a", "kind": "harmful", "style": "plain", "question": HARM},
        {"id": f"a{TWIN}", "kind": "helpful", "style": "plain", "question": HARMLESS},
    ]
    assert found.dropped == {"known": 2, "far": 1}


def test_the_examples_are_twins_far_from_what_is_evaluated(question_sets) -> None:
    """And none of theirs has the content words of a question that is evaluated."""
    examples = prompts.load(PROMPT).examples
    asked = [example.user.partition("<question>\n")[2].partition("\n</question>")[0] for example in examples]
    benchmarks = ["advbench", "xstest-safe", "xstest-unsafe", "harmfulqa", "vicuna-bench"]
    evaluated = [item.question for item in load_sets(benchmarks, question_sets)]
    for question, example in zip(asked, examples, strict=True):
        assert not fault(example.reply, question)
        for text in (question, example.reply):
            assert not any(is_repetition(text, other, threshold=70.0) for other in evaluated)
            assert max(shared(content_words(text), content_words(other)) for other in evaluated) < FAR
