"""`monopolylogue dataset`: scenes that were played become rows to train on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from cli.complaint import interrupted
from cli.options import MODEL, OUTPUT, Device, Dtype, EngineName, Model, ModelChoice
from cli.output import check_writable
from cli.views.console import plain_console
from finetune.data.formats import FORMATS
from finetune.data.settings import DatasetSettings, parse_mix
from scene.errors import InputError

if TYPE_CHECKING:
    from finetune.data.dataset import Dataset, Gate
    from scene.reviews import Review

ROWS = "The rows"

EPILOG = """\
[bold]Examples[/]

Everything that a folder of scenes gives, as prompt and completion:
  monopolylogue dataset exports/monday --out data/monday

The paper's mix, of two exports, as Parquet:
  monopolylogue dataset exports/a exports/b --mix aligned=6000,helpful=6000,simulation=6000 \
--parquet --out data/paper

Rows for LLaMA-Factory and Axolotl, with what these need to find them:
  monopolylogue dataset exports/a --format sharegpt --out data/rows

Without the rows that a person dropped, and with those answers that they edited:
  monopolylogue view data/monday --review --out review.html
  monopolylogue dataset exports/monday --reviews reviews.jsonl --out data/reviewed

Questions and their twins (see `monopolylogue twins`), and all that others need in one file:
  monopolylogue dataset exports/pairs --twins --release pairs.tar.gz --out data/pairs

Preferences for DPO or KTO, each judged once more by a larger model:
  monopolylogue dataset exports/a --format preference --gate --model Qwen/Qwen2.5-7B-Instruct \
--out data/preferences"""


def dataset(
    scenes: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of `export`, or files of scene records."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DATA", help="Folder of the data set.", rich_help_panel=OUTPUT)
    ],
    format_: Annotated[
        str, typer.Option("--format", help=f"{', '.join(FORMATS)}.", rich_help_panel=OUTPUT)
    ] = DatasetSettings.format,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Parquet instead of JSON Lines.", rich_help_panel=OUTPUT)
    ] = False,
    license_: Annotated[
        str,
        typer.Option("--license", help="Licence of the rows, for the card.", rich_help_panel=OUTPUT),
    ] = DatasetSettings.license,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="REPO", help="Upload it to the Hugging Face hub too.", rich_help_panel=OUTPUT),
    ] = None,
    release: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tar.gz",
            help="Pack it, and its scenes without their calls, into one file too.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(metavar="PART=N,...", help="Rows of each part; else all.", rich_help_panel=ROWS),
    ] = None,
    refusals: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Most answers that turn the asker away; else all.", rich_help_panel=ROWS
        ),
    ] = DatasetSettings.refusals,
    validation: Annotated[
        float, typer.Option(help="Share of the questions kept apart.", rich_help_panel=ROWS)
    ] = DatasetSettings.validation,
    near: Annotated[
        float, typer.Option(help="Percent of likeness that makes a duplicate.", rich_help_panel=ROWS)
    ] = DatasetSettings.near,
    examples: Annotated[
        bool,
        typer.Option("--examples", help="Keep example turns in simulation rows.", rich_help_panel=ROWS),
    ] = DatasetSettings.examples,
    harms_removed: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Second answers that removed so much of the harm, by `export --verify`.",
            rich_help_panel=ROWS,
        ),
    ] = DatasetSettings.harms_removed,
    untaken: Annotated[
        bool,
        typer.Option(
            "--untaken",
            help="Second answers that scenes of older versions did not take, too.",
            rich_help_panel=ROWS,
        ),
    ] = DatasetSettings.untaken,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS",
            help="Take rows out: names that `why` gives, with commas, or a file of them.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    reviews: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What a person decided on the page of `view --review`; once for each file.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    twins: Annotated[
        bool,
        typer.Option(
            "--twins",
            help="A question and its twin together or not at all, and no two refusals in the same words.",
            rich_help_panel=ROWS,
        ),
    ] = DatasetSettings.twins,
    seed: Annotated[
        int, typer.Option(help="Decides order, choice and split.", rich_help_panel=ROWS)
    ] = DatasetSettings.seed,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Let --model judge every second answer again.", rich_help_panel=MODEL),
    ] = False,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Make a data set of scenes.

    Rows are filtered, freed of duplicates, mixed and split by question. A card
    says what is in the folder; what was left out stays there with its reason.
    """
    # Here, since it takes half a second to import: --help and a mistyped option come without it.
    from finetune.data.release import check_name, write_release
    from finetune.data.scenes import read_scenes
    from finetune.data.write import check_target, push, write_dataset
    from scene.reviews import read_reviews

    settings = DatasetSettings(
        format=format_,
        mix=None if mix is None else parse_mix(mix),
        refusals=refusals,
        validation=validation,
        examples=examples,
        harms_removed=harms_removed,
        twins=twins,
        untaken=untaken,
        without=() if without is None else _names(without),
        near=near,
        seed=seed,
        parquet=parquet,
        license=license_,
    )
    check_target(out)
    if release is not None:
        check_name(release)
        check_writable(release, "--release")
    decisions = read_reviews(reviews or ())
    try:
        if gate:
            choice = ModelChoice(
                model=model, engine=engine, dtype=dtype, device=device, base_url=None, structured=True
            )
            made = _gated(scenes, settings, decisions, choice)
        else:
            made = _made(scenes, settings, decisions, None)
        write_dataset(made, out)
    except KeyboardInterrupt:
        raise interrupted("No data set was written.") from None
    _report(made, out)
    if release is not None:
        size = decimal(write_release(out, read_scenes(scenes), release))
        plain_console().print(f"Packed into {release}: {size}.", soft_wrap=True)
    if push_to_hub is not None:
        plain_console().print(f"Uploaded to {push(out, push_to_hub)}", soft_wrap=True)


def _names(rows: str) -> tuple[str, ...]:
    """Names of rows, each once: one a line where they are in a file.

    Raises:
        InputError: There are none, or the file can't be read.
    """
    try:
        text = Path(rows).read_text("utf-8-sig") if os.path.isfile(rows) else rows.replace(",", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{rows} can't be read; give --without names of rows, or a file of them.") from error
    found = tuple(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
    if not found:
        raise InputError("--without names no rows; leave it out, or name some.")
    return found


def _made(
    scenes: list[Path], settings: DatasetSettings, decisions: dict[str, Review], gate: Gate | None
) -> Dataset:
    from finetune.data.dataset import make_dataset
    from finetune.data.scenes import read_scenes

    return asyncio.run(make_dataset(read_scenes(scenes), settings, gate, decisions))


def _gated(
    scenes: list[Path], settings: DatasetSettings, decisions: dict[str, Review], choice: ModelChoice
) -> Dataset:
    """The same with a judge, which is loaded and closed here."""
    from cli.work.loading import loaded
    from finetune.data.gate import Judge
    from inference.chat_model import EngineChatModel

    with loaded(choice, plain_console(stderr=True)) as judge:
        return _made(scenes, settings, decisions, Judge(EngineChatModel(engine=judge)))


def _report(made: Dataset, out: Path) -> None:
    """What came of it, on standard output."""
    from finetune.data.filters import REASONS
    from finetune.data.other_trainers import AXOLOTL, LLAMA_FACTORY, is_read_elsewhere

    console = plain_console()
    for split, parts in made.counts.items():
        said = ", ".join(f"{count:,} {part}" for part, count in sorted(parts.items()))
        console.print(f"{split}: {sum(parts.values()):,} rows ({said})", soft_wrap=True)
    for part, (wanted, there) in made.shortfalls.items():
        console.print(f"too few: {there:,} of {wanted:,} {part} rows", soft_wrap=True)
    if any(made.reviewed.values()):
        keep, edit, drop = made.reviewed.values()
        console.print(f"reviewed: {keep:,} kept, {edit:,} edited, {drop:,} dropped", soft_wrap=True)
    if made.unmatched:
        console.print(f"void: {made.unmatched:,} decisions are about none of these rows", soft_wrap=True)
    if made.twins:
        console.print(f"pairs of twins: {made.twins['taken']:,} of {made.twins['pairs']:,}", soft_wrap=True)
    for reason, parts in made.filtered.items():
        console.print(f"left out: {sum(parts.values()):,} {reason}: {REASONS[reason]}", soft_wrap=True)
    console.print(f"Written to {out}.", soft_wrap=True)
    if is_read_elsewhere(made.settings.format):
        console.print(
            f"LLaMA-Factory finds the rows by {out / LLAMA_FACTORY}, Axolotl by {AXOLOTL} beside it.",
            soft_wrap=True,
        )
