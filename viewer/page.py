"""One HTML file that needs nothing else: no network, and no code or style but its own.

Everything in a record is text that a person or a model wrote. The templates escape every string that they put
out, `_printable` takes out what could hide or reorder text, and should markup get through all the same, the
content security policy lets nothing run whose hash it does not name.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scene.conversation import said_before
from scene.errors import ExportError
from scene.export import Export
from scene.record import SceneRecord
from scene.text import printable, shortened
from scene.wording import CHANGED_BY_HAND, FATES, OUTCOMES, VERDICTS, not_played_again, request_text
from viewer.overview import Overview, export_context
from viewer.scene import scene_context
from viewer.wording import TITLES, duration, label, removed

FILES = Path(__file__).parent / "page"

TITLE_CHARS = 140
"""Length from which on a question is shortened where it stands as a heading."""


def scene_page(record: SceneRecord) -> str:
    """The page of one scene."""
    body = scene_body(record)
    return whole_page(title=record.question, body=Markup(body), scripts=("scene.js",), data={})


def export_page(export: Export, on_scene: Callable[[int], object] = lambda done: None) -> str:
    """The page of an export: an index, and every scene compressed until somebody opens it.

    Args:
        export: The export.
        on_scene: Called with the number of scenes that are done, after each.

    Raises:
        ExportError: There is no scene and no failure in it yet, or a record is damaged.
    """
    overview = Overview()
    data: dict[str, str] = {}
    for number, record in enumerate(export.scenes(), start=1):
        overview.add(record)
        data[record.id] = packed(scene_body(record))
        on_scene(number)
    for failure in export.failures():
        overview.fail(failure)
        data[failure.id] = packed(environment().get_template("failure.html").render(failure=failure))
    if not data:
        raise ExportError(f"{export.folder} holds no scene yet; let `export` play some first.")
    context = export_context(export.manifest, export.contents, overview)
    index = environment().get_template("index.html").render(export=context)
    return whole_page(
        title=context.name,
        body=Markup(index),
        scripts=("scene.js", "unpack.js", "index.js"),
        data=data,
    )


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """A content security policy that allows these texts of scripts and styles, and nothing else at all."""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(["script-src", *map(_source, scripts)]),
            " ".join(["style-src", *map(_source, styles)]),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def whole_page(*, title: str, body: Markup, scripts: Iterable[str], data: dict[str, str]) -> str:
    """A page of its parts.

    Args:
        title: Its title.
        body: What is on it, as a template made it.
        scripts: Files of the code that it needs.
        data: Packed fragments by id, which that code shows.
    """
    script = "\n".join((FILES / name).read_text(encoding="utf-8") for name in scripts)
    style = (FILES / "page.css").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            policy=policy([script], [style]),
            script=Markup(script),
            style=Markup(style),
            body=body,
            data=data,
        )
    )


def scene_body(record: SceneRecord) -> str:
    """All that there is to say of a scene, as a part of a page."""
    return environment().get_template("scene.html").render(scene=scene_context(record))


def packed(html: str) -> str:
    """Text as base64 of gzip, the same for the same text."""
    return base64.b64encode(gzip.compress(html.encode(), mtime=0)).decode()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _printable(value: object) -> object:
    """Every value that a template puts out, but for markup that a template made."""
    return value if isinstance(value, Markup) else printable(str(value))


@cache
def environment() -> Environment:
    """The templates, which escape whatever they put out."""
    environment = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.globals |= {
        "label": label,
        "titles": TITLES,
        "outcomes": OUTCOMES,
        "verdicts": VERDICTS,
        "fates": FATES,
        "request_text": request_text,
        "changed_by_hand": CHANGED_BY_HAND,
        "not_played_again": not_played_again,
        "heading": lambda text: shortened(" ".join(text.split()), TITLE_CHARS),
    }
    environment.filters |= {
        "duration": duration,
        "number": lambda value: f"{value:,}",
        "removed": removed,
        "said_before": said_before,
    }
    return environment
