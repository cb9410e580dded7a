"""`monopolylogue view`: a scene, or all scenes of an export, as one page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from cli.complaint import interrupted
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
  monopolylogue view exports/monday --out monday.html"""


def view(
    source: Annotated[
        Path, typer.Argument(metavar="RECORD|DIR", help="A scene's record, or a folder that `export` wrote.")
    ],
    out: Annotated[Path, typer.Option(metavar="PAGE", help="The HTML file to write.")],
) -> None:
    """Write a page that shows what happened in a scene, or in every scene of an export.

    It is one file that a browser opens by itself: it loads nothing and sends nothing.
    """
    check_writable(out)
    # Here, since the templates' library takes a while to import: --help comes without it.
    from viewer.page import export_page, scene_page

    try:
        if source.is_dir():
            with Working(plain_console(stderr=True)) as working:
                export = Export(source)
                many = len(export.contents.done)
                page = export_page(export, lambda done: working.say(f"scene {done:,} of {many:,}"))
        else:
            page = scene_page(read_record(source))
    except KeyboardInterrupt:
        raise interrupted("Nothing was written.") from None
    save(out, page)
    plain_console().print(f"Written to {out} ({decimal(len(page.encode()))}).", soft_wrap=True)


def read_record(path: Path) -> SceneRecord:
    """The scene record of a file.

    Raises:
        InputError: It can't be read, or holds anything else.
    """
    try:
        return SceneRecord.from_json(path.read_text(encoding="utf-8"))
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
