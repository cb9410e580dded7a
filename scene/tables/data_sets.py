"""Folders and hub ids by `datasets`: which subsets and splits there are, and their files or rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scene.errors import InputError, reason
from scene.network import check_hub

Split = list[Path] | Iterable[Mapping[str, Any]]
"""Files to read, or rows as `datasets` reads them."""

TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}
"""What can hardly be in a folder for another purpose than to be read."""


def splits_of(
    source: str, subset: str | None, data_dir: str | None, *, readable: Callable[[Path], bool]
) -> dict[str | None, Split]:
    """What a data set holds, by split; one without splits has it under None.

    The source is a folder, a hub id, or a file that is JSON of some kind, which is a train split. What the
    caller would rather read itself is `readable`.

    Raises:
        InputError: There is no such data set, or it can't be read.
    """
    try:
        return _splits_of(source, subset, data_dir, readable)
    except InputError as error:
        subsets = [] if isinstance(error.__cause__, OSError) else _subsets(source)
        if len(subsets) < 2 or subset in subsets:
            raise
        raise InputError(
            f"{source} has the subsets {', '.join(subsets)}; choose one with --subset."
        ) from error


def _splits_of(
    source: str, subset: str | None, data_dir: str | None, readable: Callable[[Path], bool]
) -> dict[str | None, Split]:
    import datasets

    path, where = Path(source), source
    if path.exists():
        where = str(path.resolve())  # `datasets` finds no name in "."
    with saying_why(source):
        if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            loaded = datasets.load_from_disk(where)
        elif not path.exists():
            check_hub()
            loaded = datasets.load_dataset(source, subset, data_dir=data_dir)
        else:
            file = {"path": "json", "data_files": {"train": where}} if path.is_file() else {"path": where}
            # What `datasets` keeps of a folder goes by its name: it takes one for another of the same name.
            with TemporaryDirectory(prefix="monopolylogue-") as scratch:
                builder = datasets.load_dataset_builder(
                    **file, name=subset, data_dir=data_dir, cache_dir=scratch
                )
                named = builder.config.data_files or {}
                files: dict[str | None, list[Path]] = {
                    str(k): list(map(Path, own)) for k, own in named.items()
                }
                if not subset and not data_dir:
                    _refuse_leaving_out(path, files)
                if files and all(one.is_file() and readable(one) for own in files.values() for one in own):
                    return {**files}
                loaded = builder.as_streaming_dataset()
                # Of a JSON list it knows no columns, and would hand out the mixed ones as JSON text.
                if any(split.features is None for split in loaded.values()):
                    builder.download_and_prepare()
                    loaded = builder.as_dataset(in_memory=True)
    return {None: loaded} if isinstance(loaded, datasets.Dataset) else {**loaded}


def _refuse_leaving_out(folder: Path, files: Mapping[str | None, list[Path]]) -> None:
    """Refuse a folder of which `datasets` would leave out tables.

    It reads files of one kind alone, and of these those alone that are named like splits, where some are. Its
    card may say which files are meant.
    """
    taken = {file for own in files.values() for file in own}
    card = folder / "README.md"
    if not taken or (card.is_file() and b"data_files" in card.read_bytes()):
        return
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        if file.suffix.lower() in TABLES and file.resolve() not in taken and not hidden:
            raise InputError(
                f"Of {folder} `datasets` would leave out {file.name}; give a single file, or a folder "
                "whose files are of one kind and either all splits or none."
            )


@contextmanager
def saying_why(source: str) -> Iterator[None]:
    """Say in one sentence, and in none of its own, why `datasets` can't read something.

    Raises:
        InputError: It can't.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError
    from huggingface_hub.utils import logging as hub

    bars, level, hub_level = (
        datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity(), hub.get_verbosity()
    )  # fmt: skip
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    hub.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged folders end in whatever their first missing part raises
        cause = error.__cause__ or error if isinstance(error, DatasetGenerationError) else error
        raise InputError(
            f"{source} can't be read: `datasets` can't load it as a data set ({reason(cause)})."
        ) from error
    finally:
        datasets.logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if not bars:
            datasets.enable_progress_bars()


def _subsets(source: str) -> list[str]:
    import datasets

    try:
        return list(datasets.get_dataset_config_names(source))
    except Exception:  # noqa: BLE001  # the error at hand says more
        return []
