"""What lies in the cache: fetched files, converted models, hub snapshots."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CacheNotFound, scan_cache_dir

from inference.llama_engine import adapter as llama_adapter
from inference.llama_engine import beginnings, conversion
from inference.models import convert, fetch, gguf_tokenizer
from inference.models.cache import PARTIAL, cache_folder, locked, remove, writing
from inference.models.embedded import EMBEDDED
from inference.models.gguf_header import read_header

GGUF, HF_FOLDER, SNAPSHOT = "GGUF file", "Hugging Face folder", "hub snapshot"
TOKENIZER, ADAPTER = "tokenizer", "LoRA adapter in GGUF"
BEGINNINGS, UNFINISHED = "beginnings of prompts", "unfinished"

_EMBEDDED_NAMES = {model.sha256: model.name for model in EMBEDDED.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """One thing in the cache.

    A conversion to GGUF has the weights' format in its kind; what nothing pins has an empty revision.
    """

    name: str
    kind: str
    size: int
    revision: str
    engines: tuple[str, ...]
    path: Path


def inventory() -> list[Cached]:
    """Everything that is whole, and what was left unfinished, by name."""
    found = (_gguf_files, _conversions, _folders, _adapters, _snapshots, _unfinished)
    return sorted((each for find in found for each in find()), key=lambda each: (each.name, each.kind))


def discard(cached: Cached) -> None:
    """Remove one thing; waits for a process that is making it.

    Raises:
        ModelLoadError: The cache folder can't be written.
    """
    if cached.kind == SNAPSHOT:
        hub = scan_cache_dir()
        # Copies of a repository share its commits: keep to the one that is meant.
        meant = frozenset(repo for repo in hub.repos if repo.repo_id == cached.name)
        replace(hub, repos=meant).delete_revisions(cached.revision).execute()
        return
    path = cached.path
    whole = path.with_name(path.name.removesuffix(PARTIAL).removesuffix(fetch.PARTS))
    with writing(path.parent), locked(whole):
        remove(path)
        if cached.kind == GGUF:
            remove(fetch.note(path))


def _gguf_files() -> Iterator[Cached]:
    for model in EMBEDDED.values():
        if path := fetch.fetched(model):
            yield _cached(model.name, GGUF, path, model.sha256, "llama", "transformers")


def _conversions() -> Iterator[Cached]:
    for path in (cache_folder() / conversion.FOLDER).glob("*.gguf"):
        name = str(read_header(path).values["general.name"])
        revision, _, weights = path.stem.partition("-")
        yield _cached(name, f"{GGUF}, {weights}", path, revision, "llama", "transformers")


def _folders() -> Iterator[Cached]:
    for made, kind, engines in (
        (convert, HF_FOLDER, ("transformers",)),
        (gguf_tokenizer, TOKENIZER, ()),
        (beginnings, BEGINNINGS, ()),
    ):
        for folder in (cache_folder() / made.FOLDER).glob("*"):
            if origin := made.made_from(folder):
                name, revision = origin
                yield _cached(_EMBEDDED_NAMES.get(revision, name), kind, folder, revision, *engines)


def _adapters() -> Iterator[Cached]:
    for path in (cache_folder() / llama_adapter.FOLDER).glob("*.gguf"):
        yield _cached(str(read_header(path).values["general.name"]), ADAPTER, path)


def _snapshots() -> Iterator[Cached]:
    """Models in the hub's own cache that our engines could load; other programs may have brought them."""
    try:
        repos = scan_cache_dir().repos
    except (CacheNotFound, ValueError):  # the latter where a file is in its place
        return
    for repo in repos:
        for revision in repo.revisions if repo.repo_type == "model" else ():
            files = {file.file_name for file in revision.files}
            if "config.json" in files and any(file.endswith(".safetensors") for file in files):
                yield Cached(
                    name=repo.repo_id,
                    kind=SNAPSHOT,
                    size=revision.size_on_disk,
                    revision=revision.commit_hash,
                    engines=("transformers",),
                    path=revision.snapshot_path,
                )


def _unfinished() -> Iterator[Cached]:
    """What an interruption left, or another process is making just now."""
    names = {model.file_name: model.name for model in EMBEDDED.values()}
    for path in cache_folder().glob("*/*"):
        if path.suffix in (PARTIAL, fetch.PARTS):
            yield _cached(names.get(path.stem, path.stem), UNFINISHED, path)


def _cached(name: str, kind: str, path: Path, revision: str = "", *engines: str) -> Cached:
    return Cached(name=name, kind=kind, size=_size(path), revision=revision, engines=engines, path=path)


def _size(path: Path) -> int:
    """Bytes of a file, or of a folder's files, links not followed."""
    files = (path, *path.rglob("*"))
    return sum(file.lstat().st_size for file in files if not file.is_dir() or file.is_symlink())
