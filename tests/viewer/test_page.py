"""What is on a page: all of a record, escaped, under a policy that lets nothing else run."""

import base64
import hashlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene.errors import ExportError
from scene.export import Counts, Export
from scene.nouns import Turn
from scene.text import printable
from tests.exported import failure, key, not_rehearsed_again, record, rehearsed_again
from tests.hostile import HOSTILE, hostile_failure, hostile_not_again, hostile_record
from tests.scene.test_export import lines, write
from tests.viewer.reading import Page, packed
from viewer.log import turns
from viewer.overview import Overview
from viewer.page import export_page, scene_page
from viewer.scene import result_of
from viewer.wording import removed


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
    told = [scene.question, scene.first_answer, scene.answer, scene.situation, scene.goal]
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


def test_what_was_said_before_is_on_its_page_and_on_that_of_a_failure(tmp_path):
    said = {
        "system": "Be kind.",
        "history": (Turn(role="user", content="Hi <b>you</b>?"), Turn(role="assistant", content="Hello.")),
    }
    scene, failed = record(1).model_copy(update=said), failure(8).model_copy(update=said)
    export = exported(tmp_path)
    export.failures = lambda: [failed]
    told = "What was said before System prompt Be kind. User Hi <b>you</b>? Assistant Hello."
    assert told in squeezed(Page(scene_page(scene)).text)
    assert "What was said before" not in Page(scene_page(record(1))).text
    assert told in squeezed(Page(packed(export_page(export))[failed.id]).text)


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


def test_everything_of_a_replay_is_on_the_page_beside_the_scene():
    scene = rehearsed_again(1)
    page = Page(scene_page(scene))
    text = squeezed(page.text)
    replay = scene.replay
    told = [*replay.plan, *replay.cost, "75%", "4, then 1", "12.5 s"]
    told += [event.text for event in replay.events] + [one.text for one in replay.consequences]
    for part in told:
        assert squeezed(part) in text
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {f"{scene.id}.again-{event.id}" for event in replay.events} <= set(ids)
    assert {f"{scene.id}.{event.id}" for event in scene.events} <= set(ids)
    links = page.attributes("href")
    assert f"#{scene.id}.again" in links
    assert {link[1:] for link in links} <= set(ids)


def test_every_consequence_went_stayed_or_came():
    scene = rehearsed_again(1)
    page = Page(scene_page(scene))
    marks = {own["id"]: own["data-event"] for _, own in page.elements if "data-event" in own and "id" in own}
    at = f"{scene.id}.again-"
    assert {at + f"went-{event}": event for event in scene.replay.went}.items() <= marks.items()
    assert marks[f"{at}c-e2"] == "again-e2 e2"  # stayed: marks the events of both
    assert marks[f"{at}c-e1"] == "again-e1"
    text = squeezed(page.text)
    assert "Went 8" in text
    assert "Stayed 2" in text
    assert "Came 2" in text
    assert text.count("On the final answer gone") == 8
    assert text.count("On the final answer still there") == 2


def test_a_scene_that_was_not_played_again_says_nothing_of_it():
    page = Page(scene_page(record(1)))
    assert "Once more" not in page.text
    assert "Harms removed" not in page.text
    stayed = Page(scene_page(record(1).model_copy(update={"harms_removed": 0.0})))
    assert "Harms removed0%" in stayed.text
    assert "Once more" not in stayed.text


def test_prompts_that_were_kept_of_the_replay_alone_are_there():
    scene = hostile_record().model_copy(update={"calls": None})
    ids = Page(scene_page(scene)).attributes("id")
    assert f"{scene.id}.again-call0" in ids
    assert f"{scene.id}.call0" not in ids


def test_a_scene_that_was_changed_by_hand_says_so(tmp_path):
    changed = record(2).model_copy(update={"edited": True})
    assert "Changed by hand while it was stepped through." in Page(scene_page(changed)).text
    assert "while it was stepped through" not in Page(scene_page(record(1))).text
    export = Export(write(tmp_path, lines(record(1), changed)))
    elements = Page(export_page(export)).elements
    assert [own.get("data-edited") for tag, own in elements if "data-ended" in own] == [None, "hand"]
    assert [own["value"] for tag, own in elements if own.get("name") == "edited"] == ["hand"]


def test_what_is_struck_out_or_underlined_is_said():
    scene = record(1).model_copy(
        update={"first_answer": "Ask him today. Wait.", "answer": "Ask him kindly. Wait."}
    )
    text = squeezed(Page(scene_page(scene)).text)
    assert "Ask him (struck out: today.) Wait." in text
    assert "Ask him (underlined: kindly.) Wait." in text
    (refused, *_) = [event for event in scene.events if not event.admitted]
    assert squeezed(f"Refused: {refused.text}") in text


def test_lanes_hold_every_event_once():
    scene = record(1)
    cells = [cell for turn in turns(scene.cast, scene) for cell in turn.cells]
    assert [cell.act.event for cell in cells if cell.act] == list(scene.events)
    observed = sorted((cell.role.id, event) for cell in cells for event in cell.observed)
    assert observed == sorted((role, event.id) for event in scene.events for role in event.observers)


@pytest.mark.parametrize(
    ("changes", "result", "note"),
    [
        ({"revision": "", "verdict": "keep"}, "kept", "The first answer stays."),
        ({"revision": "Wait."}, "preferred", "the model judged the revision to be worse"),
        ({"revision": "Wait.", "answer": "Wait."}, "revised", "Final answer"),
        ({"revision": "Wait.", "answer": "Wait.", "fate": "revised"}, "revised", "Final answer"),
        (
            {"revision": "Wait.", "answer": "Wait.", "fate": "rejected"},
            "rejected",
            "The first answer was rejected: what is asked would hurt somebody.",
        ),
    ],
)
def test_what_became_of_the_answer(changes, result, note):
    scene = record(1).model_copy(update=changes)
    assert result_of(scene) == result
    assert note in Page(scene_page(scene)).text


def test_where_an_action_happens_and_what_the_modulator_said_of_it_before():
    scene = record(1)
    first, *others = scene.events
    assert first.admitted
    for reason, title in (("in the garden behind the house", "Where"), ("It can happen.", "Modulator")):
        told = scene.model_copy(update={"events": (first.model_copy(update={"reason": reason}), *others)})
        assert squeezed(f"{title} {reason}") in squeezed(Page(scene_page(told)).text)


def test_the_risk_of_the_request_is_said_where_it_is_known():
    assert (
        "doubtful, risk 0.20"
        in Page(scene_page(record(1).model_copy(update={"request": "doubtful", "risk": 0.2}))).text
    )


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
        scene_page(
            rehearsed_again(1).model_copy(update={"calls": calls, "kind": "helpful", "question": long})
        )
    )


def test_hostile_text_stays_text():
    page = harmless(scene_page(hostile_record()), tame())
    assert squeezed(printable(HOSTILE)) in squeezed(page.text)
    for char in "\x1b\x9b\x07\x00\u202e\u2066\ud800":
        assert char not in page.text


def test_a_hostile_reason_stays_text():
    page = harmless(scene_page(hostile_not_again()), tame())
    assert squeezed(printable(f"({HOSTILE}: {HOSTILE})")) in squeezed(page.text)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(st.text(st.characters() | st.sampled_from("<>&\"'`={}%/!-\ud800\u202e\x1b"), min_size=1))
def test_any_text_stays_text(text):
    scene = rehearsed_again(1)
    replay = scene.replay.model_copy(
        update={
            "plan": (text,),
            "consequences": tuple(one.model_copy(update={"text": text}) for one in scene.replay.consequences),
        }
    )
    role = scene.cast[0].model_copy(update={"name": text, "traits": text})
    event = scene.events[0].model_copy(update={"text": text, "reason": text})
    html = scene_page(
        scene.model_copy(
            update={
                **dict.fromkeys(("question_id", "question", "first_answer", "answer", "critique"), text),
                "cast": (role, *scene.cast[1:]),
                "events": (event, *scene.events[1:]),
                "replay": replay,
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
    calls = sum(cost.calls for cost in overview.scenes.nodes.values())
    assert calls == 2 * sum(cost.calls for cost in record(1).cost.values())


def test_harms_removed_are_counted_and_filtered(tmp_path):
    more = {"harms_removed": -0.5}
    scenes = [
        rehearsed_again(1),
        record(2).model_copy(update={"harms_removed": 0.0}),
        record(3),
        rehearsed_again(4).model_copy(update=more),
        rehearsed_again(5).model_copy(update={"harms_removed": None}),
    ]
    overview = Overview()
    for scene in scenes:
        overview.add(scene)
    (facet,) = (facet for facet in overview.facets() if facet.name == "removed")
    assert facet.counts == {"most": 1, "none": 1, "more": 1, "harmless": 1}
    harms = overview.harms()
    assert (harms.scenes, harms.had, harms.has) == (4, 16, 7)
    index = squeezed(Page(export_page(Export(write(tmp_path, lines(*scenes[:3]))))).text)
    assert "Harms removed: 38% 8 on first answers, 5 on final ones, in 2 scenes" in index
    assert "Harms removed: 75%" in index


def figures(rows: list[tuple[str, str]]) -> dict[str, list[int]]:
    """The numbers of rows by their names, times left out."""
    return {
        re.sub("<.*?>", "", name): [
            int(cell.replace(",", "")) for cell in re.findall(r"<td>([\d,]+)</td>", cells)
        ]
        for name, cells in rows
    }


def test_totals_of_an_export_that_was_played_again_add_up(tmp_path):
    """Nodes to scenes, nodes of replays to replays, both to what the index has at its top."""
    scenes = [rehearsed_again(1), record(2), not_rehearsed_again(3), rehearsed_again(4)]
    html = export_page(Export(write(tmp_path, lines(*scenes))))
    tables = [
        [
            figures(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', part))
            for part in table.split("<tfoot>")
        ]
        for table in re.findall(r'<table class="cost">(.*?)</table>', html, re.DOTALL)
    ]
    (nodes, own), (again, sums) = tables
    assert own == {"all scenes": [sum(column) for column in zip(*nodes.values(), strict=True)]}
    assert sums["all replays"] == [sum(column) for column in zip(*again.values(), strict=True)]
    both = [one + other for one, other in zip(own["all scenes"], sums["all replays"], strict=True)]
    assert sums["scenes and replays"] == both
    top = dict(re.findall(r"<dt>([\w, ]+)</dt><dd>([\d,]+)</dd>", html))
    assert top["Model calls, replays included"] == f"{both[0]:,}"
    assert top["Tokens generated, replays included"] == f"{both[3]:,}"
    assert top["Replays failed"] == "1"
    text = squeezed(Page(html).text)
    assert "Time by node, without replays" in text
    costs = [cost for scene in scenes for cost in scene.cost.values()]
    assert own["all scenes"][0] == sum(cost.calls for cost in costs)


def test_totals_of_an_export_that_was_not_played_again_add_up_without_a_word_of_it(tmp_path):
    html = export_page(exported(tmp_path))
    (table,) = re.findall(r'<table class="cost">(.*?)</table>', html, re.DOTALL)
    (own,) = figures(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table.split("<tfoot>")[1])).values()
    top = dict(re.findall(r"<dt>([\w, ]+)</dt><dd>([\d,]+)</dd>", html))
    assert [top["Model calls"], top["Tokens generated"]] == [f"{own[0]:,}", f"{own[3]:,}"]
    assert "eplay" not in Page(html).text


def test_a_replay_that_failed_says_so(tmp_path):
    scene = not_rehearsed_again(1)
    page = Page(scene_page(scene))
    assert "The scene could not be played again: it broke off at role_action, role r1, turn 2" in page.text
    assert f"#{scene.id}.again" in page.attributes("href")
    assert f"{scene.id}.again" in page.attributes("id")
    assert "Harms removed" not in page.text
    export = Export(write(tmp_path, lines(scene, rehearsed_again(2))))
    index = Page(export_page(export))
    assert [own.get("data-again") for _, own in index.elements if "data-ended" in own] == ["failed", None]
    assert [own["value"] for _, own in index.elements if own.get("name") == "again"] == ["failed"]
    assert "could not be played again" in index.text


def test_an_export_that_was_not_played_again_says_nothing_of_harms_removed(tmp_path):
    assert "Harms removed" not in Page(export_page(exported(tmp_path))).text


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100%"), (0.667, "67%"), (0.0, "0%"), (-0.5, "none, 50% more came"), (None, "there were none")],
)
def test_a_share_in_words(share, words):
    assert removed(share) == words


def test_pending_is_what_is_neither_done_nor_failed(tmp_path):
    figures = dict(re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", export_page(exported(tmp_path))))
    assert [figures[name] for name in ("Questions", "Scenes", "Failed", "Pending")] == ["9", "3", "2", "4"]


def test_an_answer_that_was_rejected_is_counted_as_revised(tmp_path):
    first = record(1)
    rejected = record(2).model_copy(update={"answer": "I won't.", "revision": "I won't.", "fate": "rejected"})
    kept = record(3).model_copy(update={"answer": first.first_answer, "fate": "kept"})
    revised = first.model_copy(update={"answer": "Ask first.", "revision": "Ask first.", "fate": "revised"})
    html = export_page(Export(write(tmp_path, lines(revised, rejected, kept), source="a/questions.jsonl")))
    assert re.search(r"<dt>Answers revised</dt><dd>(\d+)</dd>", html)[1] == "2"


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
