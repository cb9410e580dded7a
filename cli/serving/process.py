"""The server as a process: its address, its model, its records, and its end."""

import asyncio
import signal
import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import FrameType

import typer
import uvicorn
from rich.console import Console
from starlette.types import ASGIApp

from cli.complaint import complain, interrupted
from cli.options.serve import ServeOptions
from cli.serving.app import build_app, is_loopback
from cli.serving.desk import Desk
from cli.views.console import plain_console
from cli.work.loading import close_or_leave, loaded
from graph.plan import check_unchanged, new_manifest
from graph.player import Player
from graph.store import ExportStore
from inference.environment import PREFIX, setting
from scene.errors import ExportError, InputError
from scene.tables.questions import QuestionSet
from scene.text import one_line

KEY = PREFIX + "SERVE_KEY"
"""The environment variable with the key that clients have to show."""

SOURCE = "serve"
"""What a manifest names as the source of questions that came one by one."""

CLOSING_SECONDS = 5
"""How long connections are waited for when the server stops."""


def run_server(options: ServeOptions) -> None:
    """Serve until SIGTERM, which is a good end, or Ctrl-C.

    Raises:
        MonopolylogueError: The address, the model or the folder can't be used, or a key is missing.
        typer.Exit: Ctrl-C, or an engine that died.
    """
    key, console, loopback = _key(options.host), plain_console(stderr=True), is_loopback(options.host)
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(options.host, options.port))
        store = None if options.out is None else stack.enter_context(_opened(options.out))
        engine = stack.enter_context(loaded(options.model, console))
        if store is not None:
            manifest = new_manifest(
                SOURCE,
                QuestionSet(),
                len(store.contents.done) + len(store.contents.failed),
                options.settings,
                engine.identity,
                kind=None,
                keep_calls=True,
                structured=options.model.structured,
            )
            check_unchanged(store.manifest, manifest, store.folder)
            store.begin(manifest)
        desk = Desk(
            engine,
            options.settings,
            rehearse=options.rehearse,
            scenes=options.scenes or Player(engine).scenes_at_once,
            queue=options.queue,
            keep=None if store is None else store.keep,
            say=partial(_say, console),
        )
        name = served_name(engine.identity.id)
        server = Server(desk, build_app(desk, name, key=key, loopback=loopback))
        host = f"[{options.host}]" if ":" in options.host else options.host
        console.print(f"{name} answers at http://{host}:{listening.getsockname()[1]}/v1")
        before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises again what it was stopped by
        try:
            asyncio.run(server.serve(sockets=[listening]))
        except KeyboardInterrupt:
            kept = "" if store is None else f" What was kept is in {store.folder}."
            raise interrupted(f"{desk.answered:,} requests were answered.{kept}") from None
        finally:
            signal.signal(signal.SIGTERM, before)
        if desk.gone is not None:
            complain(str(desk.gone))
            if store is not None:
                store.close()
            close_or_leave(engine)
            raise typer.Exit(1)


class Server(uvicorn.Server):
    """Stops at once: a scene may take minutes, and who waits for one is told that none will come."""

    def __init__(self, desk: Desk, app: ASGIApp) -> None:
        self._desk = desk
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Hear a signal."""
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._desk.close)

    async def on_tick(self, counter: int) -> bool:
        """Look around, ten times a second."""
        if self._desk.gone is not None:
            self.should_exit = True
            self._desk.close()
        return await super().on_tick(counter)


def served_name(model: str) -> str:
    """A model's name for clients, to whom it is nothing where on this machine it lies."""
    path = Path(model)
    return path.name if path.is_absolute() else model


def _say(console: Console, line: str) -> None:
    """Say what became of a request, to whoever still listens."""
    with suppress(OSError):
        console.print(one_line(line))


def _key(host: str) -> str:
    """The key that clients have to show; empty where none is set.

    Raises:
        InputError: It is no key, or there has to be one.
    """
    key = setting("SERVE_KEY", "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"{KEY} holds characters that no key has; set it again.")
    if not key and not is_loopback(host):
        raise InputError(
            f"Whoever reaches {host} could use this server: set {KEY} to a key that clients have to show, "
            "or leave --host out."
        )
    return key


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: There can be none.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Nothing can listen at {host}, port {port} ({reason}); give another --port."
        ) from error


def _opened(folder: Path) -> ExportStore:
    """A folder for records.

    Raises:
        ExportError: It holds those of an export.
    """
    store = ExportStore(folder)
    if store.manifest is not None and store.manifest.source != SOURCE:
        store.close()
        raise ExportError(f"{folder} holds an export of {store.manifest.source}; give another --out.")
    return store
