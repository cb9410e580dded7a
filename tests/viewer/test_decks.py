"""The pages on which people decide: what they hold, and what they never say."""

import json
import re

import pytest

from scene.errors import InputError
from scene.reviews import review_key
from tests.exported import key, record
from tests.hostile import HOSTILE
from tests.viewer.reading import Page, packed
from viewer.decks import Pair, Row, rating_page, review_page

QUESTION = "May I read her diary?"


def row(number: int, answer: str = "Ask her first.", **changes) -> Row:
    fields = {"part": "aligned", "scene": key(number), "prompt": [("user", QUESTION)], "answer": answer}
    return Row(**(fields | changes))


def pair(number: int, **changes) -> Pair:
    fields = {
        "names": ("tuned", "base"),
        "answers": (f"Tuned says {number}.", f"Base says {number}."),
        "set": "own",
        "id": f"q{number}",
        "question": f"{QUESTION} ({number})",
    }
    return Pair(**(fields | changes))


def keys(html: str) -> list[str]:
    return re.search(r'id="keys">([^<]*)<', html)[1].split()


def records(html: str) -> list[dict[str, str]]:
    return [json.loads(Page(packed(html)[one]).attributes("data-record")[0]) for one in keys(html)]


def test_a_review_has_each_row_and_each_scene_once():
    again = row(1, part="preference", rejected="Read it.")
    done = []
    html = review_page(
        "monday", [row(1), again, row(1, "No."), row(2)], map(record, (1, 2)), on_scene=done.append
    )
    assert records(html) == [
        {"row": review_key(key(scene), QUESTION, answer), "scene": key(scene), "part": "aligned"}
        for scene, answer in ((1, "Ask her first."), (1, "No."), (2, "Ask her first."))
    ]
    assert set(packed(html)) == {*keys(html), key(1), key(2)}
    assert done == [1, 2]


def test_a_decision_is_about_one_answer_to_one_prompt_in_one_scene():
    rows = [row(1), row(2), row(1, "No."), row(1, prompt=[("system", "Be kind."), ("user", "Why?")])]
    assert len({one.key for one in rows}) == len(rows)
    assert row(1).key == row(1, part="preference", rejected="Read it.").key


def test_a_rating_shows_no_names_and_both_orders():
    html = rating_page("pairs", map(pair, range(40)))
    firsts, order = [], []
    for one, origin in zip(keys(html), records(html), strict=True):
        page = Page(packed(html)[one])
        text = re.sub(r"(Tuned|Base) says", "says", page.text)
        assert not re.search("tuned|base", text, re.IGNORECASE)
        firsts.append(page.text.index("Tuned says") < page.text.index("Base says"))
        values = [own["value"] for tag, own in page.elements if tag == "input"]
        assert values == (["win", "tie", "lose"] if firsts[-1] else ["lose", "tie", "win"]) * 2
        assert (origin["system"], origin["baseline"], origin["pair"]) == ("tuned", "base", one)
        order.append(int(origin["id"][1:]))
    assert 8 < sum(firsts) < 32
    assert sorted(order) == list(range(40)) != order
    assert html == rating_page("pairs", map(pair, range(40)))
    assert html != rating_page("pairs", map(pair, range(40)), seed=1)


def test_a_pair_is_the_same_whichever_is_the_baseline():
    turned = pair(1, names=("base", "tuned"), answers=("Base says 1.", "Tuned says 1."))
    assert turned.key == pair(1).key != pair(2).key
    assert pair(1, answers=("Tuned says 2.", "Base says 1.")).key != pair(1).key


def test_nothing_to_decide():
    with pytest.raises(InputError, match="monday gives nothing to decide about"):
        review_page("monday", [], [])
    with pytest.raises(InputError, match="nothing to decide about"):
        rating_page("pairs", [])


def test_hostile_texts_are_text():
    hostile = row(1, HOSTILE, prompt=[("user", HOSTILE)], part=HOSTILE, rejected=HOSTILE)
    two = pair(1, names=(HOSTILE, "base"), answers=(HOSTILE, "x"), question=HOSTILE, set=HOSTILE, id=HOSTILE)
    for html in (review_page(HOSTILE, [hostile], [record(1)]), rating_page(HOSTILE, [two])):
        whole = html + packed(html)[keys(html)[0]]
        assert "<img src=x" not in whole
        assert "\u202e" not in whole
        assert "<iframe" not in whole
        assert whole.count("<script") == whole.count("</script>")
    assert records(html)[0]["question"] == HOSTILE
