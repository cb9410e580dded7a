"""Ray's workers as forks of one process, so that not each of them imports LangGraph and us anew.

That costs two seconds of a processor, and tests that kill actors start many. Ray is made to run this file in
place of its own `setup_worker.py`. It hands on what it was given to a server, which forks a worker, and lives
as long as that does. To Ray the worker is a process like any other, which may be killed.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from unittest.mock import patch

SERVER = "MONOPOLYLOGUE_TESTS_RAY_FORKS"
"""Variable with the socket that the server listens at."""

IMPORTED = ("graph.ray_player", "tests.graph.ray_scenes")
"""What a worker would import. Not Ray, which reads its variables when it is imported."""

FEW = {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
"""No worker is started that nobody asked for."""


@contextmanager
def server(path: Path) -> Iterator[None]:
    """Have a server listen at a path meanwhile."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ray_forks", str(listening.fileno())],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,  # when it is closed, the server ends
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    with process:
        yield


@contextmanager
def forked_workers(path: Path) -> Iterator[None]:
    """Whoever starts a cluster meanwhile gets its workers from a server, and no monitors."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    ours = {"setup_worker_path": __file__, "include_log_monitor": False, "no_monitor": True}
    environment = FEW | {SERVER: str(path)}
    os.environ.update(environment)
    try:
        with (
            patch.object(RayParams, "__init__", partialmethod(RayParams.__init__, **ours)),
            patch.object(Node, "start_api_server"),
        ):
            yield
    finally:
        for name in environment:
            del os.environ[name]


def order() -> None:
    """Have a worker forked with the arguments, variables and outputs of this process; wait for its end."""
    said = json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SERVER])
        socket.send_fds(connection, [b"\n"], [1, 2])
        connection.sendall(f"{said}\n".encode())
        connection.recv(1)


def serve(listening: socket.socket) -> None:
    """Fork a worker whenever one is ordered. It keeps the connection open for as long as it lives."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
        connection, _ = listening.accept()
        if not os.fork():
            listening.close()
            be_worker(connection)
        connection.close()


def be_worker(connection: socket.socket) -> None:
    """Be the worker that is ordered, as `setup_worker.py` would make it; never returns."""
    os.setsid()  # Ray ends the whole process group of a worker
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    for target, output in enumerate(outputs, start=1):
        os.dup2(output, target)
    ordered = json.loads(connection.makefile().readline())
    os.environ.clear()
    os.environ.update(ordered["environment"])
    from ray._private.workers.setup_worker import parser

    setup, sys.argv = parser.parse_known_args(ordered["arguments"])
    os.environ.update(json.loads(setup.serialized_runtime_env_context or "{}").get("env_vars", {}))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        os._exit(1)


if __name__ == "__main__":
    if SERVER in os.environ:
        order()
    else:
        import prompts

        for module in IMPORTED:
            importlib.import_module(module)
        for name in prompts.names():
            prompts.load(name)
        serve(socket.socket(fileno=int(sys.argv[1])))
