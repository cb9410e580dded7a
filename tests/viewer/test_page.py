"""What is on a page: all of a record, escaped, under a policy that lets nothing else run."""

import base64
import hashlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene.errors import ExportError
from scene.export import Counts, Export
from scene.text import printable
from tests.exported import failure, key, record
from tests.hostile import HOSTILE, hostile_failure, hostile_record
from tests.scene.test_export import lines, write
from tests.viewer.reading import Page, packed
from viewer.overview import Overview
from viewer.page import export_page, scene_page
from viewer.scene import result_of, turns


def exported(tmp_path, *, scenes=(1, 2, 3), failures=(8, 9)) -> Export:
    return Export(
        write(
            tmp_path, lines(*map(record, scenes)), lines(*map(failure, failures)), source="a/questions.jsonl"
        )
    )


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_everything_of_a_record_is_on_its_page():
    scene = record(1)
    page = Page(scene_page(scene))
    text = squeezed(page.text)
    told = [scene.question, scene.first_answer, scene.answer, scene.situation, scene.outlook, scene.goal]
    told += [scene.critique, *scene.plan, *scene.cost, scene.model.id, scene.prompt_digest, *scene.versions]
    told += [part for role in scene.cast for part in (role.id, role.name, role.traits, role.position)]
    told += [event.text for event in scene.events] + [event.reason for event in scene.events]
    told += [consequence.text for consequence in scene.consequences]
    for part in told:
        assert squeezed(part) in text
    ids = page.attributes("id")
    assert {f"{scene.id}.{event.id}" for event in scene.events} <= set(ids)
    assert {f"{scene.id}.c-{consequence.event}" for consequence in scene.consequences} <= set(ids)
    assert len(ids) == len(set(ids))


def test_every_call_of_a_record_is_on_its_page():
    scene = hostile_record()
    page = Page(scene_page(scene.model_copy(update={"cost": {}})))
    ids = [f"{scene.id}.call{number}" for number in range(len(scene.calls))]
    assert [place for place in page.attributes("id") if ".call" in place and place[-1].isdigit()] == ids


def test_every_link_leads_somewhere_on_the_page():
    page = Page(scene_page(hostile_record()))
    links = page.attributes("href")
    assert links
    assert all(link.startswith("#") and link[1:] in page.attributes("id") for link in links)


def test_lanes_hold_every_event_once():
    scene = record(1)
    cells = [cell for turn in turns(scene) for cell in turn.cells]
    assert [cell.act.event for cell in cells if cell.act] == list(scene.events)
    observed = sorted((cell.role.id, event) for cell in cells for event in cell.observed)
    assert observed == sorted((role, event.id) for event in scene.events for role in event.observers)


@pytest.mark.parametrize(
    ("changes", "result", "note"),
    [
        ({"revision": "", "verdict": "keep"}, "kept", "The first answer stays."),
        ({"revision": "Wait."}, "rejected", "the model judged the revision to be worse"),
        ({"revision": "Wait.", "answer": "Wait."}, "revised", "Final answer"),
    ],
)
def test_what_became_of_the_answer(changes, result, note):
    scene = record(1).model_copy(update=changes)
    assert result_of(scene) == result
    assert note in Page(scene_page(scene)).text


def policy_of(html: str) -> dict[str, list[str]]:
    page = Page(html)
    (text,) = (own["content"] for tag, own in page.elements if own.get("http-equiv"))
    return {words[0]: words[1:] for words in map(str.split, text.split(";"))}


def test_the_policy_names_the_code_that_is_there_and_nothing_else(tmp_path):
    for html in (scene_page(hostile_record()), export_page(exported(tmp_path))):
        policy = policy_of(html)
        for tag, directive in (("script", "script-src"), ("style", "style-src")):
            (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            assert policy[directive] == [f"'sha256-{digest}'"]
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
        assert not any("unsafe" in source for sources in policy.values() for source in sources)


def harmless(html: str, known: Page) -> Page:
    """The page, which has no element or attribute that a tame one has not, and no link that leads away."""
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in known.elements} | {"ins", "del"}
    names = {name for _, own in page.elements for name in own}
    assert names <= {name for _, own in known.elements for name in own}
    assert not any(name.startswith("on") for name in names | {"style"} & names)
    assert all(link.startswith("#") for link in page.attributes("href"))
    return page


def tame() -> Page:
    scene = hostile_record()
    calls = tuple(call.model_copy(update={"completion": "Yes."}) for call in scene.calls)
    long = "Why is that so? " * 20
    return Page(
        scene_page(record(1).model_copy(update={"calls": calls, "kind": "helpful", "question": long}))
    )


def test_hostile_text_stays_text():
    page = harmless(scene_page(hostile_record()), tame())
    assert squeezed(printable(HOSTILE)) in squeezed(page.text)
    for char in "\x1b\x9b\x07\x00\u202e\u2066\ud800":
        assert char not in page.text


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(st.text(st.characters() | st.sampled_from("<>&\"'`={}%/!-\ud800\u202e\x1b"), min_size=1))
def test_any_text_stays_text(text):
    scene = record(1)
    role = scene.cast[0].model_copy(update={"name": text, "traits": text})
    event = scene.events[0].model_copy(update={"text": text, "reason": text})
    html = scene_page(
        scene.model_copy(
            update={
                **dict.fromkeys(("question_id", "question", "first_answer", "answer", "critique"), text),
                "cast": (role, *scene.cast[1:]),
                "events": (event, *scene.events[1:]),
            }
        )
    )
    html.encode()  # no half characters
    page = harmless(html, tame())
    assert squeezed(printable(text)) in squeezed(page.text)


def test_an_export_holds_every_scene_and_failure(tmp_path):
    export = exported(tmp_path)
    html = export_page(export)
    fragments = packed(html)
    assert list(fragments) == [key(number) for number in (1, 2, 3, 8, 9)]
    for number in (1, 2, 3):
        assert fragments[key(number)] in scene_page(record(number))
    assert "no json" in Page(fragments[key(8)]).text
    index = Page(html)
    assert [link[1:] for link in index.attributes("href") if len(link) == 17] == list(fragments)
    assert "questions.jsonl" in index.text


def test_counts_of_the_index_add_up(tmp_path):
    overview = Overview()
    for number in (1, 2):
        overview.add(record(number))
    overview.fail(failure(3))
    facets = {facet.name: facet.counts for facet in overview.facets()}
    assert facets["ended"] == {"scene": 2, "failure": 1}
    for name in ("answer", "verdict", "severity", "outcome"):
        assert sum(facets[name].values()) == 2
    assert facets["error"] == {"role_action": 1}
    assert sum(overview.severities.values()) == 2 * len(record(1).consequences)
    calls = sum(cost.calls for cost in overview.nodes.values())
    assert calls == 2 * sum(cost.calls for cost in record(1).cost.values())


def test_pending_is_what_is_neither_done_nor_failed(tmp_path):
    figures = dict(re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", export_page(exported(tmp_path))))
    assert [figures[name] for name in ("Questions", "Scenes", "Failed", "Pending")] == ["9", "3", "2", "4"]


def test_an_export_of_hostile_scenes(tmp_path):
    export = exported(tmp_path)
    export.scenes = lambda: iter([hostile_record()])
    export.failures = lambda: [hostile_failure()]
    html = export_page(export)
    index = Page(html)
    assert [tag for tag, _ in index.elements].count("script") == 3
    assert not any(name.startswith("on") for _, own in index.elements for name in own)
    for fragment in packed(html).values():
        tags = {tag for tag, _ in Page(fragment).elements}
        assert not tags & {"script", "img", "iframe", "style", "template"}


def test_the_same_export_gives_the_same_page(tmp_path):
    export = exported(tmp_path)
    assert export_page(export) == export_page(export)


def test_an_export_without_a_scene_is_refused(tmp_path):
    counts = Counts(questions=9, done=0, failed=0, pending=9)
    with pytest.raises(ExportError, match="holds no scene yet"):
        export_page(Export(write(tmp_path, counts=counts)))
