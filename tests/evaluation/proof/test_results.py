"""What a proof publishes, and that the results which are shipped were published so."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from evaluation.proof.page import results_page, with_sentences
from evaluation.proof.results import portable, results_from
from scene.errors import InputError
from tests.paths import ROOT

DOCS = ROOT / "docs"


@pytest.fixture
def shipped() -> dict:
    return json.loads((DOCS / "results.json").read_text(encoding="utf-8"))


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for one in value.values() for text in texts(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in texts(one))


def test_the_shipped_page_is_what_its_data_says(shipped) -> None:
    names = [one["name"] for one in shipped["students"]]
    pictures = {
        name: [path.relative_to(DOCS).as_posix() for path in sorted((DOCS / "results" / name).glob("*.png"))]
        for name in names
    }
    assert results_page(shipped, pictures, "make proof") == (DOCS / "results.md").read_text(encoding="utf-8")
    assert all(pictures.values())


def test_the_readme_says_what_the_shipped_results_say(shipped) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_sentences(text, shipped["students"]) == text
    assert "Significantly worse than `base` is `matrix-tuned` in attack success by AdvBench's list" in text
    assert "Without any training `context-prompt` does better" in text
    with pytest.raises(InputError, match="no <!-- results -->"):
        with_sentences("Nothing.", shipped["students"])


def test_adapters_are_named_as_they_were_given(shipped) -> None:
    assert not [text for text in texts(shipped) if text.startswith("/")]
    results = results_from(shipped["students"][0]["results"], "docs/results.json")
    elsewhere = [
        one | {"identity": one["identity"] | {"id": f"/home/somebody/{one['model']}"}}
        for one in results.systems
        if one["identity"]["id"] != "tiny"
    ]
    assert elsewhere
    named = [one["identity"]["id"] for one in portable(replace(results, systems=elsewhere)).systems]
    assert named == [one["model"] for one in elsewhere]
    assert portable(results) == results
