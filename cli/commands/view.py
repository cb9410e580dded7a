"""`monopolylogue view`: a scene, all scenes of an export, rows to review or answers to rate, as one page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from cli.complaint import interruptible
from cli.output import check_writable, save
from cli.views.console import plain_console
from cli.views.progress import Working
from scene.errors import InputError, RecordError
from scene.export import Export
from scene.record import SceneRecord

EPILOG = """\
[bold]Examples[/]

  monopolylogue run --out scene.json "Can I read my daughter's diary?"
  monopolylogue view scene.json --out scene.html
  monopolylogue view exports/monday --out monday.html

Rows to keep, drop or edit; the file that the page gives is for `dataset --reviews`:
  monopolylogue view data/monday --review --out review.html

Answers to rate without knowing whose they are; the files that people send are for `ratings`:
  monopolylogue view base.jsonl tuned.jsonl --rate --out rate.html"""


def view(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORD|DIR",
            help="A scene's record, or a folder that `export` wrote; for --review also one of `dataset`, for "
            "--rate one of `evaluate` or two files with questions and answers.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="PAGE", help="The HTML file to write.")],
    review: Annotated[
        bool, typer.Option("--review", help="A page to keep, drop or edit rows, each beside its scene.")
    ] = False,
    rate: Annotated[
        bool, typer.Option("--rate", help="A page to say which of two answers is better, without names.")
    ] = False,
    pair: Annotated[
        str | None, typer.Option(metavar="A=B", help="Rate A against B, two systems of an evaluation.")
    ] = None,
    differ: Annotated[
        str | None,
        typer.Option(metavar="FIGURE", help="Rate only the pairs that differ in it, such as refusal."),
    ] = None,
) -> None:
    """Write a page that shows what happened in a scene, or in every scene of an export.

    It is one file that a browser opens by itself: it loads nothing and sends
    nothing. What is decided on it is a file that the browser saves.
    """
    if review and rate:
        raise InputError("A page is for --review or for --rate; leave one of them out.")
    for option, given in (("--pair", pair), ("--differ", differ)):
        if given is not None and not rate:
            raise InputError(f"{option} is for --rate; leave it out.")
    if len(sources) > 1 and not rate:
        raise InputError("A page shows one record or folder; give one, or --rate for two files with answers.")
    check_writable(out, sources=sources)
    source = sources[0]
    from viewer.page import export_page, scene_page

    equal = 0
    with interruptible("Nothing was written."):
        if rate:
            page, equal = _rating_page(sources, pair, differ)
        elif review:
            page = _review_page(source)
        elif source.is_dir():
            with Working(plain_console(stderr=True)) as working:
                export = Export(source)
                many = len(export.contents.done)
                page = export_page(export, lambda done: working.say(f"scene {done:,} of {many:,}"))
        else:
            page = scene_page(read_record(source))
    save(out, page)
    if equal:
        same = "answers are the same" if differ is None else f"answers are the same in {differ}"
        plain_console().print(f"left out: {equal:,} pairs whose {same}")
    plain_console().print(f"Written to {out} ({decimal(len(page.encode()))}).")


def _review_page(folder: Path) -> str:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; --review takes one that `dataset` or `export` wrote.")
    from cli.work.reviewing import page_to_review

    with Working(plain_console(stderr=True)) as working:
        return page_to_review(folder, lambda done: working.say(f"scene {done:,}"))


def _rating_page(sources: list[Path], pair: str | None, differ: str | None) -> tuple[str, int]:
    """The page, and how many pairs are not on it since their answers are the same, or a figure of them."""
    from evaluation.pairs import pairs_of
    from viewer.decks import rating_page

    ours, _, theirs = (pair or "").partition("=")
    pairs, equal = pairs_of(sources, None if pair is None else (ours, theirs), differ)
    return rating_page(f"{len(pairs):,} pairs of answers", pairs), equal


def read_record(path: Path) -> SceneRecord:
    """The scene record of a file.

    Raises:
        InputError: It can't be read, or holds anything else.
    """
    try:
        return SceneRecord.from_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"There is no file or folder {path}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no scene record: it is not UTF-8 text.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from error
    except RecordError as error:
        raise InputError(
            f"{path} is no scene record ({error}); give a file that `run --out` wrote, or a folder that "
            "`export` wrote."
        ) from error
