"""A data set on disk: rows by split, what was left out, a manifest, and a card that says what it is."""

import errno
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.data.card import dataset_card
from finetune.data.dataset import Dataset
from finetune.data.filters import REASONS, Rejected
from finetune.data.formats import formatted
from finetune.data.other_trainers import AXOLOTL, LLAMA_FACTORY, axolotl, is_read_elsewhere, llama_factory
from scene.errors import InputError
from scene.files import put_in_place
from scene.network import check_hub

MANIFEST, CARD, REJECTED, ROWS = "manifest.json", "README.md", "rejected.jsonl", "data"
MADE_BY = "monopolylogue dataset"
OURS = {MANIFEST, CARD, REJECTED, ROWS, LLAMA_FACTORY, AXOLOTL}
"""All that is in a data set's folder."""


def check_target(folder: Path) -> None:
    """Find out now whether a data set may be written there.

    Raises:
        InputError: Something else is there, or the folder can't be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give --out the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not is_dataset(folder):
        raise InputError(f"{folder} holds something else than a data set of ours; give --out another folder.")
    if strange := sorted({one.name for one in folder.glob("*")} - OURS):
        raise InputError(f"{folder} is replaced whole, and {strange[0]} in it is not ours; move that away.")
    parent = folder.resolve().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise InputError(f"{parent} can't be written; give --out a folder elsewhere.")


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write everything beside `folder`, then put it in its place; a data set that was there is replaced.

    Raises:
        InputError: The folder can't be written or the disk is full. What was there before is still there.
    """
    check_target(folder)
    target = folder.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".monopolylogue-") as scratch:
            fresh = Path(scratch) / "fresh"
            _write(dataset, fresh)
            if target.exists():
                put_in_place(target, Path(scratch) / "old")
            put_in_place(fresh, target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space" if full else "give --out a folder that can"
        raise InputError(f"{folder} can't be written ({error.strerror or error}); {advice}.") from error


def _write(dataset: Dataset, folder: Path) -> None:
    (folder / ROWS).mkdir(parents=True)
    ending = "parquet" if dataset.settings.parquet else "jsonl"
    name, files = dataset.settings.format, {split: f"{ROWS}/{split}.{ending}" for split in dataset.splits}
    for split, rows in dataset.splits.items():
        values = [formatted(row, name) for row in rows]
        if dataset.settings.parquet:
            _write_parquet(folder / files[split], values)
        else:
            _write_lines(folder / files[split], values)
    if is_read_elsewhere(name):
        info = json.dumps(llama_factory(name, files), indent=2)
        (folder / LLAMA_FACTORY).write_text(info + "\n", encoding="utf-8")
        (folder / AXOLOTL).write_text(axolotl(name, files), encoding="utf-8")
    _write_lines(folder / REJECTED, [_rejected(one) for one in dataset.rejected])
    (folder / CARD).write_text(dataset_card(dataset, ending), encoding="utf-8")
    manifest = json.dumps(manifest_of(dataset), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")


def manifest_of(dataset: Dataset) -> dict[str, Any]:
    """All that was decided and counted; `scenes` ties the `scene` of each row to a file and line."""
    return {
        "made_by": MADE_BY,
        "schema_version": 1,
        "settings": asdict(dataset.settings),
        "rows": dataset.counts,
        "filtered": {
            name: {"because": REASONS[name], "rows": parts} for name, parts in dataset.filtered.items()
        },
        "surplus": dict(dataset.surplus),
        "shortfalls": {
            part: {"wanted": wanted, "there": there} for part, (wanted, there) in dataset.shortfalls.items()
        },
        "twins": dataset.twins,
        "reviewed": {**dataset.reviewed, "unmatched": dataset.unmatched},
        "repeated_scenes": dataset.repeated,
        "provenance": dataset.provenance,
        "scenes": dataset.scenes,
    }


def push(folder: Path, repository: str) -> str:
    """Upload a written data set to the Hugging Face hub, into a private repository unless it exists.

    Returns:
        Its address.

    Raises:
        InputError: The hub can't be reached or refuses.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    check_hub()
    try:
        address = HfApi().create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        HfApi().upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, httpx.HTTPError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"The data set is in {folder}, but the hub did not take it as {repository} ({reason}); "
            "check the name, and log in with `hf auth login`."
        ) from error
    return str(address)


def _rejected(one: Rejected) -> dict[str, Any]:
    row = one.row
    texts = {"prompt": [m.model_dump() for m in row.prompt], "completion": row.completion}
    origin = {"part": row.part, "scene": row.scene, "call": row.call}
    return {"reason": one.reason, "because": REASONS[one.reason], **origin, **texts}


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(list(rows))
    call = table.schema.get_field_index("call")
    parquet.write_table(table.set_column(call, "call", table["call"].cast(pyarrow.int64())), path)


def is_dataset(folder: Path) -> bool:
    """Whether a data set of ours is there."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
