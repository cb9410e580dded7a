"""The README of a data set: what is in it, what was left out and why, and where it comes from."""

import hashlib
import json
from collections.abc import Iterable

import yaml

from finetune.data.dataset import Dataset
from finetune.data.filters import REASONS
from finetune.data.formats import FORMATS, formatted
from scene.markdown import markdown_table

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The hub's names for sizes, each with the number of rows it ends below."""

SAMPLE_CHARS = 600

ABOUT = {
    "aligned": "a question, and the answer the model gave after it had rehearsed what follows from its first",
    "helpful": "a benign question, and the first answer, which the scene kept",
    "simulation": "a call of the model inside a scene: playing a role, judging an action, summing up",
    "preference": "a question, the answer after the scene (chosen) and the one before (rejected)",
}


def dataset_card(dataset: Dataset, ending: str) -> str:
    """The card in Markdown. Its header tells `datasets` which file is which split, and the columns' types."""
    header = yaml.safe_dump(_header(dataset, ending), sort_keys=False, allow_unicode=True)
    sections = [
        f"---\n{header}---\n\n# Social scenes as training rows",
        "Made by Monopolylogue, after [MATRIX](https://arxiv.org/abs/2402.05699), of the scenes that "
        f"one model played around questions. {_reviewed(dataset)}",
        "## Rows",
        markdown_table(("split", "part", "rows", "what it is"), _row_counts(dataset)),
        _mix(dataset),
        _twins(dataset),
        "`scene` and `call` say where a row comes from: the scene's id (`manifest.json` has its file and "
        "line), and the number of the model call in that scene's record.",
        _examples(dataset),
        "## Left out",
        markdown_table(("filter", "rows", "because"), _filters(dataset)) if dataset.filtered else "Nothing.",
        "`rejected.jsonl` keeps every one of these rows with its reason.",
        "## Provenance",
        f"{len(dataset.scenes):,} scenes. Licence of the rows: {dataset.settings.license}.",
        markdown_table(("model", "revision", "engine", "prompts"), _provenance(dataset)),
        "## Samples",
        *_samples(dataset),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _header(dataset: Dataset, ending: str) -> dict[str, object]:
    rows = sum(map(len, dataset.splits.values()))
    size = next((name for limit, name in SIZES if rows < limit), "n>1M")
    files = [{"split": split, "path": f"data/{split}.{ending}"} for split in dataset.splits]
    name = _config_name(dataset)
    return {
        "license": dataset.settings.license,
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": ["monopolylogue", "alignment", "synthetic"],
        "configs": [{"config_name": name, "data_files": files}],
        "dataset_info": {"config_name": name, "features": _features(dataset.settings.format)},
    }


def _config_name(dataset: Dataset) -> str:
    """Another one for other rows.

    `datasets` keeps what it has loaded under the folder's last name and this one: with the same name
    everywhere it would hand out the rows that the folder, or another of its name, had before.
    """
    rows = {
        split: [formatted(row, dataset.settings.format) for row in own]
        for split, own in dataset.splits.items()
    }
    content = json.dumps([rows, dataset.settings.parquet], sort_keys=True)
    return f"rows-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _features(name: str) -> list[dict[str, object]]:
    """Types of the columns: left to themselves, readers of JSON Lines take them from the first rows."""
    keys = ("from", "value") if name.startswith("sharegpt") else ("role", "content")
    single = ("chosen", "rejected") if name == "sharegpt-preference" else ()
    chats: list[dict[str, object]] = [
        {
            "name": column,
            "struct" if column in single else "list": [{"name": key, "dtype": "string"} for key in keys],
        }
        for column in FORMATS[name]
    ]
    origin: list[dict[str, object]] = [
        {"name": "part", "dtype": "string"},
        {"name": "scene", "dtype": "string"},
        {"name": "call", "dtype": "int64"},
    ]
    return chats + origin


def _reviewed(dataset: Dataset) -> str:
    """Who has looked at the rows."""
    keep, edit, drop = dataset.reviewed.values()
    if not keep + edit + drop:
        return "Texts are that model's own; nobody has checked them one by one."
    rest = sum(map(len, dataset.splits.values())) - keep - edit
    return (
        f"Reviewed by a person: {keep + edit + drop:,} rows, of which {keep:,} kept as they are, "
        f"{edit:,} with an answer that the person edited, {drop:,} dropped. The other texts are that "
        f"model's own, and nobody has checked the other {rest:,} rows."
    )


def _row_counts(dataset: Dataset) -> Iterable[tuple[str, ...]]:
    for split, parts in dataset.counts.items():
        for part, count in sorted(parts.items()):
            yield split, part, f"{count:,}", ABOUT[part]


def _examples(dataset: Dataset) -> str:
    """What became of the example turns, where there are rows that had any."""
    if not any("simulation" in parts for parts in dataset.counts.values()):
        return ""
    if dataset.settings.examples:
        return "The prompts of simulation rows are the whole prompts of their calls, example turns included."
    return (
        "The prompts of simulation rows are those of their calls; the example turns at their beginning are "
        "left out, and stand in the scene's record."
    )


def _mix(dataset: Dataset) -> str:
    said = [
        f"Wanted {wanted:,} {part} rows; there were {there:,}."
        for part, (wanted, there) in dataset.shortfalls.items()
    ]
    said += [f"{count:,} more good {part} rows were not needed." for part, count in dataset.surplus.items()]
    return " ".join(said)


def _twins(dataset: Dataset) -> str:
    """How the pairs came out, where they were looked at."""
    if not dataset.twins:
        return ""
    pairs, opposite, granted, declined, alone, taken = dataset.twins.values()
    return (
        f"Of {pairs:,} pairs of a question and its twin, in nearly the same words with the opposite harm, "
        f"{opposite:,} came out opposite, {granted:,} were both answered and {declined:,} both turned away; "
        f"{alone:,} questions were without the scene of their twin. {taken:,} pairs are here, each with both "
        "rows in one split."
    )


def _filters(dataset: Dataset) -> Iterable[tuple[str, ...]]:
    for name, parts in dataset.filtered.items():
        yield name, f"{sum(parts.values()):,}", REASONS[name]


def _provenance(dataset: Dataset) -> Iterable[tuple[str, ...]]:
    for facts in dataset.provenance:
        yield facts["model"], facts["revision"][:12], facts["engine"], facts["prompts"][:12]


def _samples(dataset: Dataset) -> Iterable[str]:
    """The first row of each part, its texts shortened, as JSON in a fence that they can't close."""
    seen: set[str] = set()
    for row in dataset.splits.get("train", ()):
        if row.part not in seen:
            seen.add(row.part)
            values = json.dumps(
                _shortened(formatted(row, dataset.settings.format)), indent=2, ensure_ascii=False
            )
            yield f"{row.part}:\n\n`````json\n{values.replace('`````', '````')}\n`````"


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= SAMPLE_CHARS else f"{value[:SAMPLE_CHARS]} [...]"
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return value
