"""What was measured already, so that a run that was cut off goes on where it stopped."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from graph.play import versions
from scene.files import replace_file

ROOT = Path(__file__).resolve().parents[1]

SOURCES = ("benchmarks", "finetune", "graph", "inference", "nodes", "prompts", "scene")
"""Folders that a figure depends on."""


class Ledger:
    """Takes measurements, each in a process of its own, and keeps them in a file until the run is complete.

    A measurement is taken over from a run that was cut off only if everything `about` names is the same.

    Attributes:
        same: Whether the file is of the same circumstances, and with it the figures beside it.
        measured: What a run that was cut off has left, by command.
    """

    def __init__(self, path: Path, about: dict[str, Any], *, anew: bool = False) -> None:
        self._path, self._about = path, about
        self._used: set[str] = set()
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.same: bool = found.get("about") == about
        self.measured: dict[str, dict[str, Any]] = found["measured"] if self.same and not anew else {}

    def take(self, *arguments: str) -> dict[str, Any]:
        """What `python -m benchmarks` prints with these arguments, or printed before.

        It is a process of its own, so that memory is its own and no two models run at once.
        """
        name = " ".join(arguments)
        self._used.add(name)
        if name in self.measured:
            say(f"there already: {name}")
        else:
            say(name)
            command = [sys.executable, "-m", "benchmarks", *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            self.measured[name] = json.loads(done.stdout.splitlines()[-1])
            self._write()
        return self.measured[name]

    def complete(self) -> None:
        """Forget what this run took, so that the next one measures it anew."""
        self.measured = {name: one for name, one in self.measured.items() if name not in self._used}
        self._write()

    def _write(self) -> None:
        content = {"about": self._about, "measured": self.measured}
        replace_file(self._path, json.dumps(content, indent=2) + "\n")


def circumstances() -> dict[str, Any]:
    """The machine, the versions of Python and the packages, and a digest of the sources that are measured."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        },
        "versions": {"python": platform.python_version(), **versions()},
        "sources": _digest(),
    }


def described(about: dict[str, Any]) -> str:
    """The machine and the versions in a line."""
    machine, packages = about["machine"], about["versions"]
    versions_of = ", ".join(f"{name} {version}" for name, version in packages.items())
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:g} GB; {versions_of}"


def _processor() -> str:
    """The name that Linux has for it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _digest() -> str:
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".jsonl"):
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def say(line: str) -> None:
    """Say how it goes, apart from the figures."""
    print(line, file=sys.stderr, flush=True)
