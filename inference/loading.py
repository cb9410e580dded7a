"""From a model's name to an engine that is ready to answer."""

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from inference.engine import DEVICES, DTYPES, ENGINES, Engine
from inference.environment import BASE_URLS, PREFIX, setting
from inference.llama_engine.conversion import as_converted
from inference.llama_engine.library import is_usable
from inference.llama_engine.loader import gguf_base, is_known, load_llama
from inference.models.local import Progress, gguf_file, no_progress, revision, transformers_folder
from inference.models.sources import AdapterSource, ModelSource, resolve
from inference.openai_engine.server import served_model, server_at
from inference.transformers_engine.adopt import engine_on
from inference.transformers_engine.placement import unknown_device
from inference.transformers_engine.pretrained import explained, load_pretrained
from scene.errors import InputError

CONCURRENCY = 32
"""Requests a server gets at once: vLLM could take more, and llama-server lets most of them wait."""


def load_engine(
    model: str = "default",
    *,
    engine: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    base_url: str | None = None,
    structured: bool = True,
    threads: int | None = None,
    on_progress: Progress = no_progress,
) -> Engine:
    """Bring a model here if need be, load it and start its engine; or speak to a server that has it.

    `auto` takes `openai` where a server is named. On a CPU, where nothing asks for a number format, it takes
    llama.cpp, if installed, for a GGUF file of a kind that is known to be computed right, for what
    `monopolylogue models convert` made one of, and for a plain LoRA adapter on either. Everything else goes
    to transformers.

    Args:
        model: `default`, `tiny`, a hub id `org/name[@revision]`, a GGUF file, or the folder of a model or
            LoRA adapter. On a server, the name that the model has there; `default` is its only one.
        engine: `auto`, `transformers`, `llama` or `openai`.
        dtype: `auto`, `bfloat16`, `float16` or `float32`. llama.cpp and a server decide for themselves.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.
        base_url: Address of an OpenAI-compatible server, such as `http://127.0.0.1:8000/v1`.
        structured: Whether that server holds replies to a `response_format`.
        threads: Processor threads to compute with; as many as there are cores when None.
        on_progress: Called with the stage, what is done and what there is in all.

    Raises:
        ModelNotFoundError: Nothing is known by that name.
        ModelLoadError: The model can't be fetched, is damaged, or does not suit the engine.
        InputError: Unknown engine, dtype or device; no server at the address.
    """
    if engine not in ENGINES:
        raise InputError(f"There is no engine {engine!r}; give one of {', '.join(ENGINES)}.")
    if dtype not in DTYPES:
        raise InputError(f"There is no dtype {dtype!r}; give one of {', '.join(DTYPES)}.")
    if device.partition(":")[0] not in DEVICES:
        raise unknown_device(device)
    if base_url is not None or engine == "openai":
        return _served(model, engine, dtype, device, base_url, constrains=structured)
    if not structured:
        raise InputError("--no-structured is about a server; name one with --base-url, or leave it out.")
    source = resolve(model)
    converted = source if engine == "transformers" else as_converted(source)
    if engine == "transformers" or (engine == "auto" and not suits_llama(converted, dtype, device)):
        return _transformers(source, dtype, device, threads, on_progress)
    if device not in ("auto", "cpu") or dtype != "auto":
        raise InputError("The engine `llama` runs on the cpu and takes no dtype; use `transformers`.")
    return load_llama(converted, threads, on_progress)


def pinned(model: str) -> tuple[str, str]:
    """Id and revision of what `load_engine(model)` would load here, without loading it.

    Raises:
        ModelNotFoundError: Nothing is known by that name.
        ModelLoadError: There is something, but it is no model.
    """
    source = resolve(model)
    return source.id, revision(source)


def _served(
    model: str, engine: str, dtype: str, device: str, base_url: str | None, *, constrains: bool
) -> Engine:
    if not base_url:
        raise InputError(
            "The engine `openai` needs a server; give --base-url, such as http://127.0.0.1:8000/v1."
        )
    if engine not in ("auto", "openai"):
        raise InputError(
            f"The engine `{engine}` runs here, not on a server; leave out --engine or --base-url, "
            f"which {' or '.join(BASE_URLS)} may say."
        )
    if dtype != "auto" or device != "auto":
        raise InputError("The server decides on dtype and device; leave out --dtype and --device.")
    if importlib.util.find_spec("langchain_openai") is None:
        raise InputError(
            "The client for servers is not installed; get it with `pip install 'monopolylogue[openai]'`."
        )
    server = server_at(base_url)
    concurrency = _concurrency()
    identity = served_model(server, model)
    from inference.openai_engine.engine import OpenAIEngine

    return OpenAIEngine(server, identity, constrains=constrains, concurrency=concurrency)


def _concurrency() -> int:
    value = setting("CONCURRENCY", str(CONCURRENCY))
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise InputError(f"{PREFIX}CONCURRENCY must be a whole number from 1 on, not {value!r}.")
    return int(value)


def suits_llama(source: ModelSource, dtype: str = "auto", device: str = "auto") -> bool:
    """Whether llama.cpp runs here, is known to compute the model right, and nothing asks for more."""
    if dtype != "auto" or device not in ("auto", "cpu") or not is_known(source) or not is_usable():
        return False
    return device == "cpu" or not _sees_accelerator()


def _sees_accelerator() -> bool:
    """Whether torch has something faster than the CPU. A CPU build of torch need not be imported to tell."""
    try:
        if version("torch").endswith("+cpu"):
            return False
    except PackageNotFoundError:
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def bring(model: str, on_progress: Progress = no_progress) -> Path:
    """The file or folder that `load_engine(model)` would load, brought here; of an adapter its base model's.

    Raises:
        ModelNotFoundError: Nothing is known by that name.
        ModelLoadError: The model can't be fetched or converted.
    """
    source = resolve(model)
    if suits_llama(converted := as_converted(source)):
        return gguf_file(gguf_base(converted), on_progress)
    return transformers_folder(source, on_progress)


def _transformers(
    source: ModelSource,
    dtype: str,
    device: str,
    threads: int | None,
    report: Progress,
) -> Engine:
    folder = transformers_folder(source, report)
    report("load", 0, 1)
    adapter = source.path if isinstance(source, AdapterSource) else None
    if threads is not None:
        import torch

        torch.set_num_threads(threads)  # in all that this process does from now on
    loaded = load_pretrained(folder, name=source.id, adapter=adapter, dtype=dtype, device=device)
    with explained(source.id):
        engine = engine_on(loaded.model, loaded.tokenizer, source.id, revision(source))
    report("load", 1, 1)
    return engine
