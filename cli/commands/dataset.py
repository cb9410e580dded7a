"""`monopolylogue dataset`: scenes that were played become rows to train on."""

from __future__ import annotations

import asyncio
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from cli.complaint import interruptible
from cli.options import MODEL, OUTPUT, LocalModel, ModelChoice, option
from cli.output import check_writable
from cli.views.console import plain_console
from finetune.data.formats import FORMATS
from finetune.data.settings import DatasetSettings, parse_mix
from scene.errors import InputError

if TYPE_CHECKING:
    from finetune.data.dataset import Dataset
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
    context: typer.Context,
    choice: LocalModel,
    scenes: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of `export`, or files of scene records.")
    ],
    out: Annotated[Path, option(OUTPUT, "Folder of the data set.", metavar="DATA")],
    format_: Annotated[str, option(OUTPUT, f"{', '.join(FORMATS)}.", "--format")] = DatasetSettings.format,
    parquet: Annotated[bool, option(OUTPUT, "Parquet instead of JSON Lines.", "--parquet")] = False,
    license_: Annotated[
        str, option(OUTPUT, "Licence of the rows, for the card.", "--license")
    ] = DatasetSettings.license,
    push_to_hub: Annotated[
        str | None, option(OUTPUT, "Upload it to the Hugging Face hub too.", metavar="REPO")
    ] = None,
    release: Annotated[
        Path | None,
        option(
            OUTPUT, "Pack it, and its scenes without their calls, into one file too.", metavar="FILE.tar.gz"
        ),
    ] = None,
    mix: Annotated[str | None, option(ROWS, "Rows of each part; else all.", metavar="PART=N,...")] = None,
    refusals: Annotated[
        int | None, option(ROWS, "Most answers that turn the asker away; else all.", metavar="N")
    ] = DatasetSettings.refusals,
    validation: Annotated[
        float, option(ROWS, "Share of the questions kept apart.")
    ] = DatasetSettings.validation,
    near: Annotated[
        float, option(ROWS, "Percent of likeness that makes a duplicate.")
    ] = DatasetSettings.near,
    examples: Annotated[
        bool, option(ROWS, "Keep example turns in simulation rows.", "--examples")
    ] = DatasetSettings.examples,
    harms_removed: Annotated[
        float | None,
        option(
            ROWS, "Second answers that removed so much of the harm, by `export --verify`.", metavar="SHARE"
        ),
    ] = DatasetSettings.harms_removed,
    untaken: Annotated[
        bool, option(ROWS, "Second answers that scenes of older versions did not take, too.", "--untaken")
    ] = DatasetSettings.untaken,
    without: Annotated[
        str | None,
        option(
            ROWS, "Take rows out: names that `why` gives, with commas, or a file of them.", metavar="ROWS"
        ),
    ] = None,
    reviews: Annotated[
        list[Path] | None,
        option(
            ROWS, "What a person decided on the page of `view --review`; once for each file.", metavar="FILE"
        ),
    ] = None,
    twins: Annotated[
        bool,
        option(
            ROWS,
            "A question and its twin together or not at all, and no two refusals in the same words.",
            "--twins",
        ),
    ] = DatasetSettings.twins,
    seed: Annotated[int, option(ROWS, "Decides order, choice and split.")] = DatasetSettings.seed,
    gate: Annotated[bool, option(MODEL, "Let --model judge every second answer again.", "--gate")] = False,
) -> None:
    """Make a data set of scenes.

    Rows are filtered, freed of duplicates, mixed and split by question. A card
    says what is in the folder; what was left out stays there with its reason.
    """
    from finetune.data.release import check_name, write_release
    from finetune.data.scenes import read_scenes
    from finetune.data.write import check_target, push, write_dataset
    from scene.reviews import read_reviews

    given = {name.rstrip("_"): value for name, value in context.params.items()}
    asked = {field.name: given[field.name] for field in fields(DatasetSettings)}
    asked["mix"] = None if mix is None else parse_mix(mix)
    asked["without"] = () if without is None else _names(without)
    settings = DatasetSettings(**asked)
    check_target(out)
    if release is not None:
        check_name(release)
        check_writable(release, "--release")
    decisions = read_reviews(reviews or ())
    with interruptible("No data set was written."):
        made = _made(scenes, settings, decisions, choice if gate else None)
        write_dataset(made, out)
    _report(made, out)
    if release is not None:
        size = decimal(write_release(out, read_scenes(scenes), release))
        plain_console().print(f"Packed into {release}: {size}.")
    if push_to_hub is not None:
        plain_console().print(f"Uploaded to {push(out, push_to_hub)}")


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
    scenes: list[Path], settings: DatasetSettings, decisions: dict[str, Review], judge: ModelChoice | None
) -> Dataset:
    """The data set; a judge is loaded and closed here."""
    from finetune.data.dataset import make_dataset
    from finetune.data.scenes import read_scenes

    if judge is None:
        return asyncio.run(make_dataset(read_scenes(scenes), settings, None, decisions))
    from cli.work.loading import loaded
    from finetune.data.gate import Judge
    from inference.chat_model import EngineChatModel

    with loaded(judge, plain_console(stderr=True)) as engine:
        gate = Judge(EngineChatModel(engine=engine))
        return asyncio.run(make_dataset(read_scenes(scenes), settings, gate, decisions))


def _report(made: Dataset, out: Path) -> None:
    """What came of it, on standard output."""
    from finetune.data.filters import REASONS
    from finetune.data.other_trainers import AXOLOTL, LLAMA_FACTORY, is_read_elsewhere

    console = plain_console()
    for split, parts in made.counts.items():
        said = ", ".join(f"{count:,} {part}" for part, count in sorted(parts.items()))
        console.print(f"{split}: {sum(parts.values()):,} rows ({said})")
    for part, (wanted, there) in made.shortfalls.items():
        console.print(f"too few: {there:,} of {wanted:,} {part} rows")
    if any(made.reviewed.values()):
        keep, edit, drop = made.reviewed.values()
        console.print(f"reviewed: {keep:,} kept, {edit:,} edited, {drop:,} dropped")
    if made.unmatched:
        console.print(f"void: {made.unmatched:,} decisions are about none of these rows")
    if made.twins:
        console.print(f"pairs of twins: {made.twins['taken']:,} of {made.twins['pairs']:,}")
    for reason, parts in made.filtered.items():
        console.print(f"left out: {sum(parts.values()):,} {reason}: {REASONS[reason]}")
    console.print(f"Written to {out}.")
    if is_read_elsewhere(made.settings.format):
        console.print(
            f"LLaMA-Factory finds the rows by {out / LLAMA_FACTORY}, Axolotl by {AXOLOTL} beside it."
        )
