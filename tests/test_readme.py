"""What the README and the documents say of the code is so."""

import re
from dataclasses import fields

import pytest

import prompts
from graph import build_graph
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.paths import ROOT
from tests.scripted_scene import model

FOLDERS = "scene|prompts|inference|nodes|graph|finetune|viewer|cli|docs|tests"


def test_the_picture_is_the_graph() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", readme, re.DOTALL)
    assert drawing.strip() == build_graph(model()).get_graph().draw_mermaid().strip()


def test_the_terminal_is_what_run_shows() -> None:
    pytest.importorskip("playwright", reason="the package playwright is not installed")
    from docs.make_pictures import PICTURES, RECORD, terminal

    record = SceneRecord.from_json(RECORD.read_text(encoding="utf-8"))
    assert (PICTURES / "run.svg").read_text(encoding="utf-8") == terminal(record)


def test_paths_in_the_documents_exist() -> None:
    documents = (
        "README.md",
        "AGENTS.md",
        "docs/paper.md",
        "docs/comparing.md",
        "docs/engines.md",
        "docs/export.md",
        "docs/finetuning.md",
        "docs/models.md",
        "docs/serving.md",
        "docs/stepping.md",
        "docs/studio.md",
        "docs/viewing.md",
        "CONTRIBUTING.md",
    )
    for document in documents:
        text = (ROOT / document).read_text(encoding="utf-8")
        for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text):
            assert (ROOT / path).exists(), f"{document} names {path}"
        for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / document).parent.joinpath(path).exists(), f"{document} links to {path}"


def test_settings_named_in_the_paper_map_are_as_said() -> None:
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"(?:SceneSettings\.)?(\w+) = ([\d.]+)`", text))
    known = {field.name: field.default for field in fields(SceneSettings)}
    assert said
    assert {name: float(value) for name, value in said.items()} == {name: float(known[name]) for name in said}


def test_agents_page_is_one_page() -> None:
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 60


def test_every_prompt_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nodes").glob("*.py"))
    for name in prompts.names():
        assert f'"{name}"' in code or f'"{name.removesuffix("_declined")}{{suffix}}"' in code, name
