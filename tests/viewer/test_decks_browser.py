"""Deciding in a real browser: by keyboard, by touch, and over texts that try to break out."""

import json

import pytest

from scene.reviews import read_reviews
from tests.exported import key, record
from tests.hostile import HOSTILE, hostile_record
from tests.viewer.test_decks import pair, row
from viewer.decks import rating_page, review_page

pytestmark = pytest.mark.browser


@pytest.fixture
def review_file(tmp_path):
    rows = [row(1), row(2), row(2, "No."), row(3, rejected="Read it.")]
    file = tmp_path / "review.html"
    file.write_text(review_page("monday", rows, map(record, (1, 2, 3))), encoding="utf-8")
    return file


@pytest.fixture
def rating_file(tmp_path):
    file = tmp_path / "rate.html"
    file.write_text(rating_page("3 pairs", map(pair, range(3))), encoding="utf-8")
    return file


def at(page, number, many):
    page.wait_for_selector(f"#number:text-is('{number} of {many}')")


def downloaded(page, folder):
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download").click()
    file = folder / begun.value.suggested_filename
    begun.value.save_as(file)
    return file


def test_a_review_by_keyboard(visit, review_file, tmp_path):
    page = visit.open(review_file).page
    at(page, 1, 4)
    page.wait_for_selector(f"#scene [id='{key(1)}']")
    assert page.get_by_role("button", name="Download").is_disabled()
    visit.press("k")
    at(page, 2, 4)
    page.wait_for_selector(f"#scene [id='{key(2)}']")
    visit.press("d")
    at(page, 3, 4)
    visit.press("e")
    page.keyboard.type(" Or: ")
    visit.press("n", "k", "Control+Enter")  # letters, as long as somebody writes
    assert page.inner_text("#answer") == "No. Or: nk"
    assert page.inner_text("#decision") == "edited"
    visit.press("ArrowLeft")
    at(page, 2, 4)
    assert page.inner_text("#decision") == "dropped"
    visit.press("u", "n")
    at(page, 4, 4)
    assert page.inner_text("#status") == "4 of 4, 2 decided"
    file = downloaded(page, tmp_path)
    assert file.name == "reviews.jsonl"
    kept, edited = read_reviews([file]).values()
    assert (kept.row, kept.decision, kept.scene) == (row(1).key, "keep", key(1))
    assert (edited.row, edited.decision, edited.text) == (row(2, "No.").key, "edit", "No. Or: nk")


def test_what_is_no_edit(visit, review_file):
    page = visit.open(review_file).page
    at(page, 1, 4)
    visit.press("e", "x", "Escape")
    assert page.inner_text("#answer") == row(1).answer
    visit.press("e")
    page.fill("#text", "  ")
    visit.press("Control+Enter")
    assert page.is_visible("#text")
    page.fill("#text", f"{row(1).answer}\n")
    visit.press("Control+Enter")
    assert page.inner_text("#decision") == "kept"


def test_what_was_decided_is_there_on_the_next_visit(visit, review_file):
    page = visit.open(review_file).page
    at(page, 1, 4)
    visit.press("d")
    at(page, 2, 4)
    visit.asked.clear()
    page.reload()
    at(page, 2, 4)
    visit.press("ArrowLeft")
    at(page, 1, 4)
    assert page.inner_text("#decision") == "dropped"
    assert page.get_by_role("button", name="Drop").get_attribute("aria-pressed") == "true"


def test_a_browser_that_keeps_nothing_says_so(visit, review_file):
    visit.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    page = visit.open(review_file).page
    at(page, 1, 4)
    assert page.is_visible("#unkept")
    visit.press("k")
    at(page, 2, 4)


def test_a_browser_that_cannot_unpack_says_so(visit, rating_file):
    visit.page.add_init_script("delete globalThis.DecompressionStream")
    assert "can't unpack the answers" in visit.open(rating_file).page.get_by_role("alert").inner_text()


@pytest.mark.parametrize(("width", "height"), [(360, 640), (1280, 800)])
@pytest.mark.parametrize("name", ["review_file", "rating_file"])
def test_nothing_is_wider_than_the_window(visit, name, width, height, request):
    visit.page.set_viewport_size({"width": width, "height": height})
    page = visit.open(request.getfixturevalue(name)).page
    page.wait_for_selector("#card h2")
    assert visit.overflow <= 0
    bar = page.locator(".bar").bounding_box()
    assert bar["y"] + bar["height"] <= height + 1
    assert bar["height"] < height / 4


def test_the_scene_is_beside_its_row_where_there_is_room(visit, review_file):
    page = visit.open(review_file).page
    page.wait_for_selector(f"#scene [id='{key(1)}']")
    card, scene = (page.locator(place).bounding_box() for place in ("#card", "#scene"))
    assert card["x"] + card["width"] <= scene["x"]
    page.set_viewport_size({"width": 400, "height": 800})
    card, scene = (page.locator(place).bounding_box() for place in ("#card", "#scene"))
    assert card["y"] + card["height"] <= scene["y"]


def test_ratings_by_touch_and_by_keyboard(browser, rating_file, tmp_path):
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(rating_file.as_uri())
    at(page, 1, 3)
    texts = [page.locator("#card .prose").nth(place).inner_text() for place in (0, 1)]
    harm, helps = page.locator("fieldset").all()
    harm.get_by_text("Answer 1").tap()
    assert page.inner_text("#status") == "1 of 3, 0 decided"
    helps.get_by_text("Same").tap()
    assert page.inner_text("#status") == "1 of 3, 1 decided"
    page.get_by_role("button", name="Next", exact=True).tap()
    at(page, 2, 3)
    for pressed in "1361":
        page.keyboard.press(pressed)
    other = [page.locator("#card .prose").nth(place).inner_text() for place in (0, 1)]
    page.keyboard.press("n")
    at(page, 3, 3)
    page.keyboard.press("2")  # half a rating is none
    one, two = map(json.loads, downloaded(page, tmp_path).read_text().splitlines())
    assert (one["harm"], one["help"]) == ("win" if texts[0].startswith("Tuned") else "lose", "tie")
    first = other[0].startswith("Tuned")
    assert (two["harm"], two["help"]) == ("win", "lose") if first else ("lose", "win")
    assert one["rater"] == two["rater"] != ""
    assert {one["system"], one["baseline"]} == {"tuned", "base"}
    context.close()


def test_hostile_rows_and_pairs_do_nothing(visit, tmp_path):
    rows = [row(1, HOSTILE, prompt=[("user", HOSTILE)], rejected=HOSTILE), row(1)]
    two = pair(1, names=(HOSTILE, "base"), answers=(HOSTILE, "x"), question=HOSTILE, set=HOSTILE, id=HOSTILE)
    pages = (
        (review_page(HOSTILE, rows, [hostile_record(1)]), "kleft e"),
        (rating_page(HOSTILE, [two]), "15"),
    )
    for number, (html, pressed) in enumerate(pages):
        file = tmp_path / f"hostile{number}.html"
        file.write_text(html, encoding="utf-8")
        page = visit.open(file).page
        page.wait_for_selector("#card h2")
        for letter in pressed:
            page.keyboard.press(letter)
        page.wait_for_selector("#download:enabled")
        (line, *_) = downloaded(page, tmp_path).read_text().splitlines()
        assert json.loads(line)
        assert page.evaluate("window.owned === undefined")
        assert (
            page.evaluate(
                "document.images.length + document.querySelectorAll('iframe, a[href^=java]').length"
            )
            == 0
        )
