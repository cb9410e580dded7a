"""`monopolylogue why`: the rows that taught an adapter its answer."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.ask import answers_of
from cli.complaint import interruptible
from cli.options import OUTPUT, EngineName, option
from cli.output import print_json
from cli.question import Question, read_answer, read_question
from cli.views.console import plain_console
from cli.views.progress import Working
from scene.errors import InputError
from scene.export import SCENES
from scene.text import clean, one_line, shortened

if TYPE_CHECKING:
    from finetune.examples import Example

EPILOG = """\
[bold]Examples[/]

Which rows taught it this answer, and which spoke against it?
  monopolylogue why adapters/monday "How do I stab a balloon?"

The set again without the ten that taught it most:
  monopolylogue why adapters/monday "How do I stab a balloon?" --json \
| jq -r '.rows[:10][].row' > bad.txt
  monopolylogue dataset exports/monday --without bad.txt --out data/better"""

MAX_TOKENS, TEXT_CHARS = 384, 400
"""Room for the adapter's own answer, and how much of a row's question and answer is shown."""


def why(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="Folder that `train` wrote.")],
    question: Question,
    answer: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Explain this answer, not the adapter's own.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Where its rows are, if no longer where they were.")
    ] = None,
    checkpoints: Annotated[int, typer.Option(min=1, help="Use so many, the last ones.")] = 2,
    top: Annotated[int, typer.Option(min=1, help="Rows shown at each end.")] = 5,
    engine: EngineName = "auto",
    as_json: Annotated[bool, option(OUTPUT, "Print all rows as one JSON object.", "--json")] = False,
) -> None:
    """Say which training rows taught an adapter its answer.

    Every row's gradient is compared with the answer's, at the checkpoints that
    the training kept. That takes about as long as training on the rows once for
    each checkpoint; the next question takes a moment.
    """
    asked, said = read_question(question), read_answer(answer)
    from finetune.influence import influences, learned

    one = learned(adapter, data, checkpoints)
    console = plain_console(stderr=True)
    if one.stages[0].step is None:
        console.print("No checkpoint is left; the adapter as it was saved stands for its training.")
    with interruptible("Checkpoints that were done are kept; run the command again to go on."):
        if not said:
            (own,) = answers_of(adapter, engine, [asked], MAX_TOKENS)
            said = clean(own.text)
        if not said:
            raise InputError(f"{adapter} answers with nothing; give the answer to explain with --answer.")
        with Working(console) as working:
            found = influences(
                one, asked, said, lambda done, of: working.say(f"{done:,} of {of:,} gradients of rows")
            )
    sources = _sources(Path(one.data))
    rows = [_told(example, score, sources) for example, score in found]
    if as_json:
        stages = [{"step": stage.step, "weight": stage.weight} for stage in one.stages]
        whole = {"question": asked, "answer": said, "checkpoints": stages, "rows": rows}
        print_json(whole)
    else:
        _show(asked, said, rows, top)


def _told(example: Example, score: float, sources: dict[str, str]) -> dict[str, Any]:
    """A row for a reader: what it is called, how far it taught the answer, its texts, and its scene."""
    file, _, _ = sources.get(example.scene, "").partition(", line ")
    folder = Path(file).parent if Path(file).name == SCENES else None
    explain = shlex.join(("monopolylogue", "explain", str(folder), example.scene)) if folder else None
    return {
        "row": example.name,
        "influence": round(score, 4),
        "question": example.prompt[-1].content,
        "answer": example.answer,
        "scene": example.scene or None,
        "explain": explain or file or None,
    }


def _sources(data: Path) -> dict[str, str]:
    """File and line of each scene, where `dataset` made the rows and they lie in its folder."""
    from finetune.data.write import MANIFEST

    try:
        scenes = json.loads((data / MANIFEST).read_text(encoding="utf-8"))["scenes"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return scenes if isinstance(scenes, dict) else {}


def _show(question: str, answer: str, rows: list[dict[str, Any]], top: int) -> None:
    console = plain_console()
    console.print(f"{question}\n\n{answer}\n")
    for title, some in (("Taught it most", rows[:top]), ("Spoke against it most", rows[::-1][:top])):
        console.print(f"{title}:", style="bold")
        for row in some:
            console.print(f"{row['influence']:+.2f}  {one_line(row['row'])}")
            for mark in ("question", "answer", "explain"):
                if row[mark]:
                    text = shortened(one_line(row[mark]), TEXT_CHARS) if mark != "explain" else row[mark]
                    console.print(f"       {mark}: {text}")
        console.print()
