"""`make studio`'s server in a folder of its own: its command and langgraph.json, with other graphs."""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.environment import without_settings
from tests.paths import ROOT

PATIENCE = 400
"""Seconds for a start, a stop or a run. A few are the rule; a machine busy with a model takes longer."""


def studio_command(port: int) -> list[str]:
    """What `make studio` runs, but with the Python that is running.

    It is asked of make, so that a flag which the Makefile forgets is missing here too.
    """
    asked = ["make", "--no-print-directory", "-C", str(ROOT), "-n", "-o", "setup", "studio", f"PORT={port}"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    program, *arguments = shlex.split(said)
    assert Path(program).name == "langgraph"
    return [sys.executable, "-m", "langgraph_cli", *arguments]


class DevServer:
    """The server, while it runs and after.

    Args:
        folder: Where it runs and keeps its threads, and where its log is.
        graphs: What it serves: files with the name of a graph, by id.
        environment: Variables it gets beside ours.
    """

    def __init__(self, folder: Path, graphs: dict[str, str], **environment: str) -> None:
        """Write the configuration; start nothing."""
        self.folder, self.url, self.starts = folder, "", 0
        self._environment = {
            **without_settings(),
            "PYTHONPATH": str(ROOT),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            **environment,
        }
        config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
        config |= {"dependencies": [str(ROOT)], "graphs": graphs}
        (folder / "langgraph.json").write_text(json.dumps(config))

    def start(self) -> None:
        """Start it, on a port that is free; again on another one if somebody was faster."""
        for _ in range(3):
            if self._starts_on(_free_port()):
                self.starts += 1
                return
        raise AssertionError(self.said())

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """Its log, over all starts."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def complaints(self) -> list[str]:
        """Lines of its log about a call that blocked the loop, or a type that a checkpoint may not hold."""
        faults = ("BlockingError", "blocking call", "blocked deserialization", "unregistered type")
        return [
            line
            for line in self.said().splitlines()
            if any(fault.lower() in line.lower() for fault in faults)
        ]

    def _starts_on(self, port: int) -> bool:
        self.url = f"http://127.0.0.1:{port}"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                studio_command(port),
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/ok", timeout=PATIENCE).is_success:
                    return True
            except httpx.TransportError:
                time.sleep(0.2)
        if self._process.poll() is None:
            self.stop()
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
