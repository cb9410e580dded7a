"""Starts modules in processes of their own that have imported everything already.

Run as `python -m tests.fork_server MODULE...`, with a socket as standard input. It imports the modules, and
then forks for every order that it is sent. What it forks runs like `python -m MODULE ARGUMENT...`, and ends
like it. An order is JSON and comes with open files: one through which is told which process that is and how
it ended, and those that become standard input, output and error. It says:

    module, arguments   what to run
    environment         all of it
    streams             which of the standard streams the files are; the others are closed
    terminal            whether the first of them is a terminal, for this process alone
"""

import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import random
import runpy
import socket
import sys
import termios

MOST_BYTES = 200_000
"""Of an order. The environment is the most of it."""


def next_order(orders: socket.socket) -> tuple[dict, list[int]] | None:
    """Wait for orders, and return in a process that is to carry one out; None once there are no more."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, MOST_BYTES, 4)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            return None
        if not os.fork():
            orders.close()
            return json.loads(message), files
        for file in files:
            os.close(file)


def fork_and_report(report: int, streams: list[int]) -> None:
    """Fork, say which process that is, wait for it and say how it ended; goes on in that process alone."""
    if child := os.fork():
        for stream in streams:  # a reader sees their end once the child has closed them
            os.close(stream)
        os.write(report, f"{child}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(report, f"{code}\n".encode())
        os._exit(0)
    os.close(report)


def open_streams(descriptors: list[int], files: list[int], *, terminal: bool) -> None:
    """Make files the standard streams, as an interpreter that starts does."""
    if terminal:
        os.setsid()
        fcntl.ioctl(files[0], termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.close(descriptor)
    for descriptor, file in zip(descriptors, files, strict=True):
        os.dup2(file, descriptor)
        os.close(file)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        if descriptor in descriptors:
            stream = io.TextIOWrapper(
                open(descriptor, "wb" if descriptor else "rb", closefd=False),
                encoding=encoding,
                errors="backslashreplace" if descriptor == 2 else "strict",
                line_buffering=descriptor == 2 or os.isatty(descriptor),
            )
            stream.mode = "w" if descriptor else "r"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Serve, and run what was ordered in the processes that were forked for it."""
    gc.disable()  # what is there once this is done stays, and need not be looked through
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    orders = socket.socket(fileno=os.dup(0))
    received = next_order(orders)
    if received is None:
        return
    order, (report, *files) = received
    fork_and_report(report, files)
    os.environ.clear()
    os.environ.update(order["environment"])
    open_streams(order["streams"], files, terminal=order["terminal"])
    random.seed()
    sys.modules.pop(order["module"], None)
    sys.argv[1:] = order["arguments"]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
