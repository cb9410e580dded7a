"""An engine that loads its model when the first request comes, away from the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from inference.engine import Completion, Engine, GenerationRequest, OnText, stream, weighs
from scene.errors import EngineError
from scene.nouns import ModelIdentity


class LazyEngine:
    """Stands in for an engine that takes a while to load, in servers that must start at once.

    The model is loaded in a thread of its own, once unless that fails.
    """

    def __init__(self, name: str, load: Callable[[], Engine], *, constrains: bool = True) -> None:
        self._name = name
        self._load = load
        self._constrains = constrains
        self._loading: Future[Engine] | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def constrains(self) -> bool:
        """Whether replies have the shape asked for; known before the first one, for which it is loaded."""
        return self._constrains if self._engine is None else self._engine.constrains

    @property
    def weighs(self) -> bool:
        """As its engine; before that is loaded, it weighs nothing."""
        engine = self._engine
        return engine is not None and weighs(engine)

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is; no revision before it is loaded."""
        engine = self._engine
        if engine is None:
            return ModelIdentity(id=self._name, revision=None, engine="not loaded")
        return engine.identity

    @property
    def requests_at_once(self) -> int:
        """As its engine says; 1 before that is loaded."""
        engine = self._engine
        return 1 if engine is None else engine.requests_at_once

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request, loading the model first if need be; see `Engine.generate`."""
        return await (await self._loaded()).generate(request)

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        """The same aloud; see `StreamingEngine.stream`."""
        return await stream(await self._loaded(), request, on_text)

    def close(self) -> None:
        """Close the engine, if there is one; one that is still being loaded as soon as it is there."""
        with self._lock:
            self._closed = True
            loading = self._loading
        if loading is not None:
            loading.add_done_callback(_close)

    @property
    def _engine(self) -> Engine | None:
        loading = self._loading
        return loading.result() if loading is not None and loading.done() and not _failed(loading) else None

    async def _loaded(self) -> Engine:
        """The engine, once it is loaded. Whoever stops waiting leaves the others their engine."""
        with self._lock:
            if self._closed:
                raise EngineError("The engine was closed.")
            if self._loading is None or _failed(self._loading):
                self._loading = self._begin()
            loading = self._loading
        return await asyncio.wrap_future(loading)

    def _begin(self) -> Future[Engine]:
        """Load in a thread of its own, which has begun: one who waits could still cancel it before."""
        begun = threading.Event()

        def load() -> Engine:
            begun.set()
            return self._load()

        threads = ThreadPoolExecutor(1, "lazy-engine")
        loading = threads.submit(load)
        threads.shutdown(wait=False)
        begun.wait()
        return loading


def _failed(loading: Future[Engine]) -> bool:
    return loading.done() and loading.exception() is not None


def _close(loading: Future[Engine]) -> None:
    if not _failed(loading):
        loading.result().close()
