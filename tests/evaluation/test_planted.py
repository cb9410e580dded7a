"""Planted pairs: balanced, near nothing that is evaluated, and what a judge's replies to them come to."""

import itertools

import pytest

import prompts
from evaluation.judge import Judge
from evaluation.planted import BETTER, PLANTED, WORSE, compared_by, judging_of, planted_pairs, verdicts
from evaluation.records import Grade, Judgement
from evaluation.report.judging import judging_said
from evaluation.session import Sampling
from evaluation.sets import load_sets
from evaluation.store import JUDGE, Store
from inference.scripted import ScriptedEngine
from scene.nouns import ModelIdentity
from scene.refusal import refuses
from scene.settings import SceneSettings
from scene.text import is_repetition
from tests.evaluation.test_metrics import answer

PAIRS = planted_pairs()


def test_neither_length_nor_a_refusal_tells() -> None:
    assert len(PAIRS) >= 40
    assert len({pair.id for pair in PAIRS}) == len({pair.question for pair in PAIRS}) == len(PAIRS)
    for about in ("harm", "help"):
        own = [pair for pair in PAIRS if pair.about == about]
        assert len(own) == len(PAIRS) / 2
        longer = sum(len(pair.better) > len(pair.worse) for pair in own)
        shorter = sum(len(pair.better) < len(pair.worse) for pair in own)
        assert abs(longer - shorter) <= 2
    assert all(0.8 < len(pair.better) / len(pair.worse) < 1.25 for pair in PAIRS)
    refusing = [pair for pair in PAIRS if refuses(pair.better) or refuses(pair.worse)]
    assert {pair.about for pair in refusing} == {"harm", "help"}
    assert len(refusing) < len(PAIRS) / 2


def test_they_are_near_nothing_that_is_evaluated_or_shown(question_sets) -> None:
    sets = ("advbench", "xstest-safe", "xstest-unsafe", "hh", "harmfulqa", "vicuna-bench")
    asked = [item.question for item in load_sets(sets, question_sets)]
    names = ("judge", "grade_stance", "grade_harm", "grade_help")
    shown = [said.user for name in names for said in prompts.load(f"evaluation/{name}").examples]
    for pair in PAIRS:
        assert not [other for other in asked if is_repetition(pair.question, other)]
        assert not [said for said in shown if pair.question in said]


def test_the_judge_asks_otherwise_than_any_selector() -> None:
    judge, compare = prompts.load("evaluation/judge"), prompts.load("compare")
    assert judge.system != compare.system
    assert not prompts.load("evaluation/judge").before_echo(compare.user, {}) != compare.user


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "out", Sampling(), SceneSettings()) as store:
        store.loaded(JUDGE, ModelIdentity(id="j", revision=None, engine="scripted"))
        yield store


def compare(store, results) -> None:
    """A judge that finds of planted pairs in turn what the results say."""
    places = {"win": ("first", "second"), "lose": ("second", "first"), "tie": ("first", "first")}
    for pair, result in zip(PAIRS, itertools.cycle(results), strict=False):
        one, two = places[result]
        names = {"system": BETTER, "baseline": WORSE, "set": PLANTED, "id": pair.id}
        store.judgements.append(Judgement(system_first=one, baseline_first=two, **names))


def grade(harm: float = 0.0, use: float = 0.0, system: str = "a", id_: str = "1") -> Grade:
    harms = {"none": 1 - harm, "minor": 0, "moderate": 0, "severe": harm}
    uses = {"none": 1 - use, "some": 0, "full": use}
    names = {"grader": "j", "system": system, "set": PLANTED, "id": id_}
    return Grade(stances={"complied": 1}, harms=harms, uses=uses, **names)


def test_nothing_is_shown_by_nothing(store) -> None:
    assert judging_of(store) is None
    assert verdicts(store) == []


@pytest.mark.parametrize(
    ("results", "used", "first"),
    [
        (["win"], "comparison", 0.5),
        (["win", "win", "win", "lose"], "comparison", 0.5),
        (["win", "win", "tie"], "comparison", 2 / 3),
        (["win", "tie", "tie", "tie"], "grades", 0.875),
        (["win", "lose"], "grades", 0.5),
        (["tie"], "grades", 1),
        (["lose"], "grades", 0.5),
    ],
)
def test_only_a_judge_that_tells_planted_pairs_apart_is_believed(store, results, used, first) -> None:
    compare(store, results)
    judging = judging_of(store)
    assert judging.used == used
    told = judging.told_by("comparison")
    assert (told.pairs, told.first_place.value) == (len(PAIRS), pytest.approx(first, abs=0.01))
    scores = {"win": 1, "tie": 0.5, "lose": 0}
    mean = sum(scores[one] for one in results) / len(results)
    assert told.accuracy.value == pytest.approx(mean, abs=0.02)
    said = judging_said(judging)
    assert ("wins and losses are its comparisons" in said) == (used == "comparison")
    assert ("and say nothing" in said) == (used == "grades")


def test_grades_are_compared_with_margins_from_the_planted_pairs(store) -> None:
    compare(store, ["tie"])
    for number, pair in enumerate(PAIRS):
        harm, use = (0.8, 0.5) if pair.about == "harm" else (0.02, 0.1 if number % 10 else 0.7)
        store.grades.append(grade(0.0, 0.5, BETTER, pair.id))
        store.grades.append(grade(harm, use, WORSE, pair.id))
    told = judging_of(store).told_by("grades")
    assert told.margins == {"harm": pytest.approx(0.4), "help": pytest.approx(0.2)}
    assert (told.right, told.wrong) == ({"harm": 22, "help": 20}, {"harm": 0, "help": 0})
    assert told.shown


def test_grades_that_tell_nothing_decide_nothing(store) -> None:
    compare(store, ["tie"])
    for pair in PAIRS:
        for system in (BETTER, WORSE):
            store.grades.append(grade(0.3, 0.3 if system == BETTER else 0.9, system, pair.id))
    told = judging_of(store).told_by("grades")
    assert (told.margins, told.accuracy.value, told.shown) == ({"harm": 1.0, "help": 1.0}, 0.5, False)
    assert "and say nothing" in judging_said(judging_of(store))


def test_harm_counts_before_help() -> None:
    margins = {"harm": 0.2, "help": 0.2}
    assert compared_by(grade(0.5, 1.0), grade(0.0, 0.0), margins) == -1
    assert compared_by(grade(0.1, 1.0), grade(0.0, 0.0), margins) == 1
    assert compared_by(grade(0.1, 0.1), grade(0.0, 0.0), margins) == 0


async def test_verdicts_are_of_the_way_that_is_believed_alone(store) -> None:
    prefers = ScriptedEngine(lambda request: "the first")
    store.judgements.append(await Judge(prefers)(answer("Yes.", system="a"), answer("No.", system="b")))
    assert [one.graded for one in verdicts(store)] == [False]
    compare(store, ["tie"])
    assert verdicts(store) == []
