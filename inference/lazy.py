"""An engine that loads its model when the first request comes, away from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from inference.engine import Completion, Engine, GenerationRequest
from scene.errors import EngineError
from scene.nouns import ModelIdentity


class LazyEngine:
    """Stands in for an engine that takes a while to load, in servers that must start at once.

    Args:
        name: Name of the model, for the identity before it is loaded.
        load: Makes the engine; runs in a thread of its own, once unless it fails.
        constrains: Whether that engine will see to it that replies have the shape asked for.
    """

    def __init__(self, name: str, load: Callable[[], Engine], *, constrains: bool = True) -> None:
        """Keep the loader; load nothing yet."""
        self._name = name
        self._load = load
        self._constrains = constrains
        self._engine: Engine | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def constrains(self) -> bool:
        """Whether replies have the shape asked for; known before the first one, for which it is loaded."""
        return self._constrains if self._engine is None else self._engine.constrains

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is; no revision before it is loaded."""
        if self._engine is None:
            return ModelIdentity(id=self._name, revision=None, engine="not loaded")
        return self._engine.identity

    @property
    def requests_at_once(self) -> int:
        """As its engine says; 1 before that is loaded."""
        return 1 if self._engine is None else self._engine.requests_at_once

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request, loading the model first if need be; see `Engine.generate`."""
        engine = self._engine
        if engine is None:
            engine = await asyncio.to_thread(self._loaded)
        return await engine.generate(request)

    def close(self) -> None:
        """Close the engine, if there is one."""
        with self._lock:
            self._closed = True
            if self._engine is not None:
                self._engine.close()

    def _loaded(self) -> Engine:
        with self._lock:
            if self._closed:
                raise EngineError("The engine was closed.")
            if self._engine is None:
                self._engine = self._load()
            return self._engine
