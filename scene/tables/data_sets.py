"""Loading with `datasets`, without what it remembers of other data sets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets


def load_data_set(
    source: str, subset: str | None = None, **options: Any
) -> datasets.Dataset | datasets.DatasetDict:
    """A data set of the hub, or of this disk, which is read anew each time.

    What `datasets` keeps of a folder goes by the folder's last name and its card, so that it takes one folder
    for another of the same name, and for what it held before.

    Args:
        source: Folder, hub id, or name of a format such as `json`.
        subset: Which part, where there are several.
        **options: Passed on, such as `data_files` for a format.
    """
    import datasets

    if "data_files" not in options and not Path(source).exists():
        return datasets.load_dataset(source, subset, **options)
    with TemporaryDirectory(prefix="monopolylogue-") as scratch:
        return datasets.load_dataset(source, subset, cache_dir=scratch, keep_in_memory=True, **options)
