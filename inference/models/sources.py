"""What a model's name means: an embedded model, a folder, an adapter, a GGUF file, a hub repository."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from inference.models.embedded import EMBEDDED, EmbeddedModel
from inference.models.gguf_parts import parts_of
from scene.errors import ModelLoadError, ModelNotFoundError
from scene.network import check_hub

HUB_TIMEOUT_SECONDS = 5
"""How long the hub may take to say whether it has a model."""

_HUB_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ACCEPTED = (
    "give `default`, `tiny`, a hub id such as `Qwen/Qwen2.5-7B-Instruct`, a GGUF file, "
    "or the folder of a model or LoRA adapter."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSource:
    """A model that comes in wheels."""

    id: str
    model: EmbeddedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSource:
    """A GGUF file of the user's; the first one of a model in several parts."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """A Hugging Face folder: config, safetensors, tokenizer."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A hub repository at one commit."""

    id: str
    repo: str
    commit: str


BaseSource = EmbeddedSource | GgufSource | FolderSource | HubSource
"""What an adapter can sit on: whatever transformers can load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSource:
    """A LoRA adapter and the model it was trained on."""

    id: str
    path: Path
    base: BaseSource


ModelSource = BaseSource | AdapterSource


def resolve(name: str) -> ModelSource:
    """What `default`, `tiny`, a path, or a hub id `org/name`, optionally `org/name@revision`, means.

    Loads nothing; asks the hub only about hub ids, and a path that exists beats one that reads the same. The
    source's id is the name as given, for a path the absolute path, so that a record says the same from
    whichever folder it was made in.

    Raises:
        ModelNotFoundError: Nothing is known by that name, or the hub can't be asked.
        ModelLoadError: There is something, but it is no model.
    """
    if name in EMBEDDED:
        return EmbeddedSource(id=name, model=EMBEDDED[name])
    if not name.strip() or not name.isprintable() or len(name) > 4096:
        raise ModelNotFoundError(f"{name[:80]!r} is not a model's name; {_ACCEPTED}")
    try:
        path = Path(name).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # too long a name, or nobody's home
        reason = getattr(error, "strerror", None) or error
        raise ModelNotFoundError(f"There can be no model {name[:80]!r} ({reason}); {_ACCEPTED}") from error
    if is_folder:
        return _folder(name, path.resolve())
    if is_file:
        if path.suffix.lower() == ".gguf":
            first, *others = parts_of(path.absolute())
            # Parts find each other by their names, which a link's target may not have.
            path = first if others else path.resolve()
            return GgufSource(id=str(path), path=path)
        raise ModelLoadError(f"The file {name} is not a GGUF file; {_ACCEPTED}")
    hub = _HUB_NAME.fullmatch(name)
    if hub is None or path.suffix.lower() == ".gguf" or name.startswith("."):
        raise ModelNotFoundError(f"There is no model {name!r}; {_ACCEPTED}")
    return _hub(name, hub["repo"], hub["revision"])


def _folder(name: str, path: Path) -> ModelSource:
    if (path / "adapter_config.json").is_file():
        return _adapter(name, path)
    if (path / "config.json").is_file():
        return FolderSource(id=str(path), path=path)
    if ggufs := sorted(path.glob("*.gguf")):
        raise ModelNotFoundError(f"The folder {name} holds GGUF files; give one of them, such as {ggufs[0]}.")
    raise ModelNotFoundError(f"The folder {name} holds no model (it has no config.json); {_ACCEPTED}")


def _adapter(name: str, path: Path) -> AdapterSource:
    try:
        config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
        base_name, pin = config["base_model_name_or_path"], config.get("revision")
    except (OSError, ValueError, KeyError, TypeError):
        base_name, pin = None, None
    if not isinstance(base_name, str):
        raise ModelLoadError(f"{name}/adapter_config.json names no model; set base_model_name_or_path in it.")
    hub = _HUB_NAME.fullmatch(base_name)
    if isinstance(pin, str) and pin and hub and not hub["revision"] and not Path(base_name).exists():
        base_name = f"{base_name}@{pin}"
    if os.path.isfile(os.path.join(os.path.expanduser(base_name), "adapter_config.json")):
        raise ModelLoadError(f"{name} is an adapter for {base_name!r}, which takes no adapters.")
    try:
        base = resolve(base_name)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{name} is an adapter for {base_name!r}, which can't be found; "
            "correct base_model_name_or_path, or revision, in its adapter_config.json."
        ) from error
    assert not isinstance(base, AdapterSource)
    return AdapterSource(id=str(path), path=path, base=base)


def _hub(name: str, repo: str, revision: str | None) -> HubSource:
    """Pin a repository to a commit: the hub's answer, or what was downloaded before if it can't be asked."""
    try:
        config = try_to_load_from_cache(repo, "config.json", revision=revision)
    except HFValidationError as error:
        raise ModelNotFoundError(f"There is no model {name!r}; {_ACCEPTED}") from error
    downloaded = Path(config).parent.name if isinstance(config, str) else None
    if downloaded is not None and revision is not None and _COMMIT.fullmatch(revision):
        return HubSource(id=name, repo=repo, commit=downloaded)
    check_hub()
    try:
        info = HfApi().model_info(repo, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(f"The hub has {repo}, but not its revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"The hub has no model {repo!r} that you may see; check its name, or log in with `hf auth login`."
        ) from error
    except (OfflineModeIsEnabled, HfHubHTTPError, HTTPError) as error:
        if downloaded is not None:
            return HubSource(id=name, repo=repo, commit=downloaded)
        raise ModelNotFoundError(
            f"There is no folder {name!r} here and the Hugging Face hub can't be reached for it; {_ACCEPTED}"
        ) from error
    files = {file.rfilename for file in info.siblings or ()}
    if info.sha is None or "config.json" not in files:
        raise ModelLoadError(
            f"The hub's {repo} is no model with a config.json; download it and give its file or folder."
        )
    return HubSource(id=name, repo=repo, commit=info.sha)
