"""`monopolylogue compare`: what the final answer would have led to, beside what the first one did."""

from pathlib import Path
from typing import Annotated

from cli.commands.run import Options, play_one
from cli.options import OUTPUT, option

EPILOG = """\
[bold]Examples[/]

Did the rehearsal help?
  monopolylogue compare "May I read my son's diary?"

Both scenes in a browser, as `view` shows them:
  monopolylogue compare "..." --page scenes.html

The share of harms that went, and what is new:
  monopolylogue compare "..." --json --no-calls | jq '.harms_removed, .replay.came'

The same for every question of a file:
  monopolylogue export questions.jsonl --out scenes --verify"""


def compare(
    options: Options,
    page: Annotated[
        Path | None, option(OUTPUT, "Write both scenes as a page for a browser.", metavar="FILE")
    ] = None,
) -> None:
    """Play a scene, then play it again on its final answer.

    The same people face both answers with the same seed. Which consequences
    went, which stayed and which came, and how many harms were removed. The
    first scene is written as soon as it has ended, should the second not end.
    """
    play_one(options, page=page, verify=True)
