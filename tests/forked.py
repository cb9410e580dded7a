"""The side of the tests of fork_server.py: processes with pipes, and processes at a terminal."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from pexpect.fdpexpect import fdspawn

from tests.paths import ROOT


class Process:
    """A process that a fork server started, much like `subprocess.Popen`.

    Args:
        report: File that the server tells of it through.
        stdout: What reads its standard output, if anything does.
        stderr: The same for standard error.
    """

    def __init__(self, report: int, stdout: int | None = None, stderr: int | None = None) -> None:
        self._report = os.fdopen(report, "rb", buffering=0)
        self.pid = int(self._report.readline())
        self.returncode: int | None = None
        self.stdout = None if stdout is None else os.fdopen(stdout, encoding="utf-8")
        self.stderr = None if stderr is None else os.fdopen(stderr, encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended, and the server has yet to say so
                self.send_signal(signal.SIGKILL)
        self.wait()
        for file in (self._report, self.stdout, self.stderr):
            if file is not None:
                file.close()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Exit code, or the negative number of the signal that ended it; None while it runs."""
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.returncode = int(self._report.readline())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; fails where that takes longer."""
        if self.returncode is None:
            assert select.select([self._report], [], [], timeout)[0], f"it runs after {timeout} s"
        code = self.poll()
        assert code is not None
        return code

    def communicate(self) -> tuple[str, str]:
        """Everything it says, to its end."""
        assert self.stdout is not None
        assert self.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda stream: said.append(stream.read()), args=(self.stdout,))
        reader.start()
        err = self.stderr.read()
        reader.join()
        self.wait()
        return said[0], err


class Terminal(fdspawn):
    """A process with a pseudo-terminal of its own, much like `pexpect.spawn`."""

    def __init__(self, process: Process, master: int) -> None:
        super().__init__(master, encoding="utf-8", timeout=60)
        self._process = process
        self.exitstatus: int | None = None
        self.signalstatus: int | None = None

    def kill(self, number: int) -> None:
        self._process.send_signal(number)

    def sendintr(self) -> None:
        """Press Ctrl-C."""
        self.send("\x03")

    def close(self, force: bool = False) -> None:
        """Hang up, and wait for the end; by force, see to it."""
        if self.closed:
            return
        if force and self._process.poll() is None:
            self.kill(signal.SIGKILL)
        super().close()
        with self._process as process:
            code = process.wait(60)
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)


class ForkServer:
    """Starts modules in processes of their own; see fork_server.py.

    Args:
        orders: Socket that the server reads from.
    """

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders

    def process(
        self,
        module: str,
        *arguments: str,
        closed: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start one with pipes as standard output and error, or some of the standard streams closed."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        pipes = [os.pipe(), os.pipe()]
        theirs = {0: nothing, 1: pipes[0][1], 2: pipes[1][1]}
        report = self._start(
            module,
            arguments,
            {number: file for number, file in theirs.items() if number not in closed},
            environment,
        )
        for file in theirs.values():
            os.close(file)
        return Process(report, pipes[0][0], pipes[1][0])

    def terminal(
        self,
        module: str,
        *arguments: str,
        size: tuple[int, int],
        environment: Mapping[str, str] | None = None,
    ) -> Terminal:
        """Start one at a terminal of so many rows and columns."""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, size)
        report = self._start(module, arguments, dict.fromkeys(range(3), slave), environment, terminal=True)
        process = Process(report)
        os.close(slave)
        return Terminal(process, master)

    def _start(
        self,
        module: str,
        arguments: Sequence[str],
        streams: Mapping[int, int],
        environment: Mapping[str, str] | None,
        *,
        terminal: bool = False,
    ) -> int:
        order = {
            "module": module,
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "streams": list(streams),
            "terminal": terminal,
        }
        report, told = os.pipe()
        socket.send_fds(self._orders, [json.dumps(order).encode()], [told, *streams.values()])
        os.close(told)
        return report


@contextmanager
def fork_server(*modules: str, **environment: str) -> Iterator[ForkServer]:
    """A server that has imported the modules; what they read of the environment then can be changed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server", *modules],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
    ):
        theirs.close()
        with ours:
            yield ForkServer(ours)
