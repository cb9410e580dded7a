"""The pages in a real browser: by keyboard, at any width, and with scenes that try to break out."""

from itertools import pairwise

import pytest

from scene.export import Export
from scene.record import ModelCall
from tests.exported import failure, key, record, rehearsed_again
from tests.hostile import hostile_failure, hostile_record
from tests.scene.test_export import lines, write
from viewer.page import export_page, scene_page

pytestmark = pytest.mark.browser

OWNED = "window.owned === undefined"


def scene_with_calls(scene):
    event = scene.events[2]
    call = ModelCall(
        node="role_action",
        role=event.actor,
        turn=event.turn,
        call="role_action",
        attempt=0,
        prompt=({"role": "user", "content": "What do you do?"},),
        completion=event.text,
        prompt_tokens=7,
        completion_tokens=5,
        cached_tokens=0,
        seconds=1.0,
    )
    return scene.model_copy(update={"calls": (call,)})


@pytest.fixture
def scene_file(tmp_path):
    file = tmp_path / "scene.html"
    file.write_text(scene_page(scene_with_calls(record(1))), encoding="utf-8")
    return file


@pytest.fixture
def both_file(tmp_path):
    """A scene that was played again on its final answer."""
    file = tmp_path / "both.html"
    file.write_text(scene_page(scene_with_calls(rehearsed_again(1))), encoding="utf-8")
    return file


@pytest.fixture
def export_file(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    scenes = [record(1), record(2), record(3).model_copy(update={"question": "May I read her diary?"})]
    export = Export(write(folder, lines(*scenes), lines(failure(8))))
    file = tmp_path / "export.html"
    file.write_text(export_page(export), encoding="utf-8")
    return file


def shown(visit):
    return visit.page.locator("#rows > li:visible").count()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(visit, scene_file, both_file, export_file, width, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.set_viewport_size({"width": width, "height": 800})
    for file, place in ((scene_file, ""), (both_file, ""), (export_file, ""), (export_file, f"#{key(2)}")):
        visit.page.goto("about:blank")
        visit.asked.clear()
        visit.open(file, place)
        visit.page.wait_for_selector("h1:visible")
        assert visit.overflow <= 0
        dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 24)"
        assert dark == (scheme == "dark")


@pytest.mark.parametrize("name", ["scene_file", "both_file"])
def test_a_scene_has_one_title_and_headings_in_order(visit, name, request):
    levels = visit.open(request.getfixturevalue(name)).page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(heading => Number(heading.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_a_scene_by_keyboard(visit, scene_file):
    page = visit.open(scene_file).page
    visit.press("Tab")
    assert visit.focused == "Skip to the content"
    visit.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    visit.press("Tab", "Tab", "Tab")
    assert visit.focused == "Timeline"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    visit.press("Enter")
    assert page.locator("h2", has_text="Timeline").evaluate(
        "heading => heading.getBoundingClientRect().top < 200"
    )


def test_an_event_leads_to_its_prompt_and_back(visit, scene_file):
    page = visit.open(scene_file).page
    reply = page.locator("pre.reply")
    assert not reply.is_visible()
    act = page.locator(f"[id='{key(1)}.e2']")
    act.locator("summary").focus()
    visit.press("Enter", "Tab", "Enter")
    reply.wait_for(state="visible")
    assert page.evaluate("document.activeElement.closest('details').className") == "call"


def test_an_event_marks_what_belongs_to_it(visit, scene_file):
    page = visit.open(scene_file).page
    page.locator(f"[id='{key(1)}.e0'] .effect a").focus()
    related = page.evaluate(
        "[...document.querySelectorAll('.related')].map(element => element.dataset.event)"
    )
    assert len(related) > 2
    assert all("e0" in events.split() for events in related)


def test_a_replay_marks_its_own_events(visit, both_file):
    """Both logs have an e0; what stayed is marked in both."""
    page = visit.open(both_file).page

    def related(place):
        page.locator(f"[id='{key(1)}.{place}']").focus()
        return set(
            page.evaluate(
                "[...document.querySelectorAll('.related')].flatMap(one => one.dataset.event.split(' '))"
            )
        )

    assert related("again-e0") == {"again-e0"}
    assert related("e1") == {"e1"}
    assert related("again-c-e2") == {"again-e2", "e2"}


def test_links_of_a_replay_stay_in_it(visit, both_file):
    page = visit.open(both_file).page
    page.get_by_role("link", name="Once more").click()
    section = page.locator("section.again")
    assert section.evaluate("section => section.getBoundingClientRect().top < 200")
    section.locator("[id$='again-c-e1'] .what a").click()
    assert page.evaluate("location.hash") == f"#{key(1)}.again-e1"
    section.locator("[id$='again-e1'] .effect a").click()
    assert page.evaluate("location.hash") == f"#{key(1)}.again-c-e1"
    page.locator(f"[id='{key(1)}.c-e2'] a", has_text="still there").click()
    assert page.evaluate("location.hash") == f"#{key(1)}.again-c-e2"


def test_what_a_screen_reader_hears(visit, tmp_path):
    scene = rehearsed_again(1).model_copy(
        update={"first_answer": "Ask him today. Wait.", "answer": "Ask him kindly. Wait."}
    )
    file = tmp_path / "scene.html"
    file.write_text(scene_page(scene), encoding="utf-8")
    tree = visit.open(file).page.locator("main").aria_snapshot()
    for heard in (
        'deletion: "(struck out: today. )"',
        'insertion: "(underlined: kindly. )"',
        'region "Once more, on the final answer"',
        'region "Timeline on the final answer by turn, one lane for each role"',
        'article "e0*, Customer"',
        'article "e10, Store clerk, refused"',
        'paragraph: "Refused: I look at the customer',
    ):
        assert heard in tree


def test_a_browser_that_cannot_unpack_says_so(visit, export_file):
    page = visit.page
    page.add_init_script("delete globalThis.DecompressionStream")
    visit.open(export_file)
    said = page.get_by_role("alert")
    assert "can't unpack the scenes" in said.inner_text()
    page.get_by_role("link", name="May I read her diary?").click()
    page.wait_for_function("document.activeElement.id === 'old'")
    assert page.is_visible("#index")


def test_a_browser_that_can_unpack_says_nothing(visit, export_file):
    assert not visit.open(export_file).page.is_visible("#old")


def test_filters_and_search(visit, export_file):
    page = visit.open(export_file).page
    assert shown(visit) == 4
    page.get_by_label("failed").check()
    assert (shown(visit), page.inner_text("#shown")) == (1, "1 of 4 shown")
    page.get_by_label("harmful").check()
    assert shown(visit) == 1
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_function("document.querySelectorAll('#rows > li:not([hidden])').length === 4")
    page.get_by_role("searchbox").fill("diary HER")
    assert (shown(visit), page.inner_text("#shown")) == (1, "1 of 4 shown")
    page.get_by_role("searchbox").fill("nobody asked this")
    assert shown(visit) == 0
    assert page.is_visible("#none")


def test_an_export_by_keyboard(visit, export_file):
    page = visit.open(export_file).page
    page.get_by_role("searchbox").focus()
    visit.press("Tab")
    visit.press("Enter")
    page.wait_for_selector(f"[id='{key(1)}']")
    assert visit.focused == record(1).question
    assert not page.is_visible("#index")
    assert page.inner_text("#position") == "1 of 4"
    visit.press("Shift+Tab", "Enter")  # Next
    page.wait_for_selector(f"[id='{key(2)}']")
    assert page.inner_text("#position") == "2 of 4"
    page.get_by_role("link", name="All scenes").focus()
    visit.press("Enter")
    page.wait_for_selector("#index:visible")
    assert visit.focused == record(2).question


def test_back_and_forward(visit, export_file):
    page = visit.open(export_file).page
    page.get_by_role("link", name="May I read her diary?").click()
    page.wait_for_selector(f"[id='{key(3)}']")
    assert page.title() == "May I read her diary? · Monopolylogue"
    page.get_by_role("link", name="Timeline").click()
    page.go_back()
    page.go_back()
    page.wait_for_selector("#index:visible")
    page.go_forward()
    page.wait_for_selector(f"[id='{key(3)}']")


def test_an_address_opens_a_place_in_a_scene(visit, export_file):
    page = visit.open(export_file, f"#{key(2)}.e3").page
    page.wait_for_selector(f"[id='{key(2)}.e3']")
    assert page.evaluate("document.activeElement.id") == f"{key(2)}.e3"


def test_a_failure_says_why(visit, export_file):
    page = visit.open(export_file, f"#{key(8)}").page
    page.wait_for_selector("text=ReplyError: no json")


def test_a_hostile_scene_does_nothing(visit, tmp_path):
    file = tmp_path / "hostile.html"
    file.write_text(scene_page(hostile_record()), encoding="utf-8")
    page = visit.open(file).page
    assert page.evaluate(OWNED)
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    links = [*page.locator("a:visible").all()[:40], *page.locator(".again a:visible").all()[:20]]
    for link in links:
        link.focus()
        visit.press("Enter")
    assert page.evaluate(OWNED)
    assert page.locator(".again .act").count() == len(hostile_record().replay.events)
    assert page.evaluate("document.images.length + document.querySelectorAll('iframe').length") == 0


def test_a_hostile_export_does_nothing(visit, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    export = Export(write(folder, lines(record(1)), lines(failure(2))))
    export.scenes = lambda: iter([hostile_record(1)])
    export.failures = lambda: [hostile_failure(2)]
    file = tmp_path / "hostile.html"
    file.write_text(export_page(export), encoding="utf-8")
    page = visit.open(file).page
    for number in (1, 2):
        page.evaluate(f"location.hash = '{key(number)}'")
        page.wait_for_selector(f"[id='{key(number)}']")
        assert page.evaluate(OWNED)
    assert page.evaluate("document.images.length + document.querySelectorAll('#scene script').length") == 0


def test_the_policy_stops_what_the_templates_would_let_through(browser, tmp_path):
    """A second wall: markup written into the page by hand runs nothing."""
    html = scene_page(record(1))
    evil = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'><b style='color:red'>x</b>"
    file = tmp_path / "evil.html"
    file.write_text(html.replace("<main", f"{evil}<main"), encoding="utf-8")
    page = browser.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_load_state()
    assert page.evaluate(OWNED)
    assert len(refused) >= 3
    page.close()
