"""The endpoints: what comes over the wire, what goes back, and who is let in."""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from cli.serving.desk import RECORD, Desk
from cli.serving.protocol import (
    DONE,
    KEEP_ALIVE,
    MAX_BODY_BYTES,
    Answer,
    Asked,
    RefusalError,
    chunk,
    completion,
    event,
    usage_chunk,
)

KEEP_ALIVE_SECONDS = 15.0
"""How long a stream may be silent."""

GONE = 499
"""Stands for the answer to a client that went away; nobody reads it."""


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def build_app(desk: Desk, model: str, *, key: str = "", loopback: bool = True) -> ASGIApp:
    """The server as an ASGI application; it lets in who shows the key, where there is one."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    facts = {"id": model, "object": "model", "created": int(time.time()), "owned_by": "monopolylogue"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [facts]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        if name != model:
            raise RefusalError(
                404, f"There is no model {name!r} here.", param="model", code="model_not_found"
            )
        return facts

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await _answered(desk, Asked.read(await _body(request), model, desk.settings), request)

    @app.exception_handler(RefusalError)
    async def refused(request: Request, refusal: RefusalError) -> Response:
        return _refused(refusal)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        there = "there are /v1/chat/completions and /v1/models"
        what = f"{request.method} {request.url.path} is not served here; {there}."
        return _refused(RefusalError(error.status_code, what, headers=error.headers))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return _refused(RefusalError(500, f"The server made a mistake: {type(error).__name__}."))

    return _Door(app, key, loopback=loopback)


class _Door:
    """Lets in who shows the key; on loopback, only who means loopback.

    A page in a browser may have the name of its own site lead to 127.0.0.1, and is then of the same origin as
    what answers there. The name is in `Host` all the same.
    """

    def __init__(self, app: ASGIApp, key: str, *, loopback: bool) -> None:
        self._app = app
        self._key = key.encode()
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(Headers(scope=scope))
        except RefusalError as refusal:
            await _refused(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        if self._loopback and not _all_loopback(headers.getlist("host")):
            raise RefusalError(403, "Address this server as 127.0.0.1 or localhost.", code="invalid_host")
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if self._key and not (
            scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode("latin-1"), self._key)
        ):
            raise RefusalError(
                401,
                "The API key is missing or is not the one that this server was started with.",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _all_loopback(hosts: Iterable[str]) -> bool:
    try:
        names = [urlsplit(f"//{host}").hostname or "" for host in hosts]
    except ValueError:
        return False
    return bool(names) and all(map(is_loopback, names))


async def _body(request: Request) -> bytes:
    """The body of a request, if it is JSON and not too long.

    A browser sends JSON to another site only after it has asked there, which is refused.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusalError(415, "Send JSON, with the header Content-Type: application/json.")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise RefusalError(
                    413,
                    f"The request is larger than {MAX_BODY_BYTES:,} bytes.",
                    code="request_too_large",
                    headers={"connection": "close"},
                )
    except ClientDisconnect:
        raise RefusalError(GONE, "The client went away.") from None
    return bytes(body)


async def _answered(desk: Desk, asked: Asked, request: Request) -> Response:
    """Answer a request, or begin to stream it once it is sure that a scene is played."""
    told: asyncio.Queue[str | None] = asyncio.Queue()
    begun = asyncio.Event()
    answering = desk.take(asked, begin=begun.set, tell=told.put_nowait)
    answering.add_done_callback(lambda _: told.put_nowait(None))
    beside: list[asyncio.Task[Any]] = [asyncio.create_task(_gone(request))]
    if asked.stream:
        beside.append(asyncio.create_task(begun.wait()))
    streaming = False
    try:
        await asyncio.wait([answering, *beside], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and beside[0].done():
            return Response(status_code=GONE)
        streaming = asked.stream and (not answering.done() or not _failed(answering))
        if streaming:
            headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
            if begun.is_set():
                headers[RECORD] = desk.record_id(asked)
            return _Stream(answering, _events(asked, answering, told), headers)
        answer = _result(answering)
        return JSONResponse(
            completion(asked, answer), headers={RECORD: answer.record_id} if answer.record_id else None
        )
    finally:
        for task in beside if streaming else [*beside, answering]:
            task.cancel()


class _Stream(StreamingResponse):
    """A stream of events, whose answer is withdrawn when it ends early.

    Starlette does not close what is streamed when the client goes away while a piece is sent.
    """

    def __init__(
        self, answering: asyncio.Task[Answer], events: AsyncIterator[str], headers: dict[str, str]
    ) -> None:
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answering.cancel()


async def _events(
    asked: Asked, answering: asyncio.Task[Answer], told: asyncio.Queue[str | None]
) -> AsyncIterator[str]:
    """The events of a stream: who speaks, the scene where it is told, the answer, and why it ended."""
    yield chunk(asked, {"role": "assistant", "content": ""})
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                piece = await told.get()
        except TimeoutError:
            yield KEEP_ALIVE
            continue
        if piece is None:
            break
        yield chunk(asked, {"reasoning_content": piece})
    try:
        answer = _result(answering)
    except RefusalError as refusal:
        yield event(refusal.body)
    else:
        yield chunk(asked, {"content": answer.text})
        yield chunk(asked, {}, answer.finish_reason)
        if asked.told_usage:
            yield usage_chunk(asked, answer)
    yield DONE


def _result(answering: asyncio.Task[Answer]) -> Answer:
    """What was answered.

    Raises:
        RefusalError: Nothing was.
    """
    if answering.cancelled():
        raise RefusalError(503, "The server is stopping.")
    return answering.result()


def _failed(answering: asyncio.Task[Answer]) -> bool:
    return answering.cancelled() or answering.exception() is not None


async def _gone(request: Request) -> None:
    """Return once the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refused(refusal: RefusalError) -> Response:
    return JSONResponse(refusal.body, refusal.status, headers=refusal.headers)
