"""Long work in stages: each is done once for what it was made of, and goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from cli.complaint import MANY_FAILED
from scene.errors import InputError
from scene.files import lock, put_in_place, replace_file
from scene.text import one_line

LEDGER = "stages.json"

Call = Callable[[Sequence[str], Callable[[], None]], int]
"""Runs a command and returns its exit code; calls what it is given every few seconds meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the work: one command.

    Attributes:
        command: Its first word is `monopolylogue` or `proof`.
        makes: A file or folder that is there once the command has ended well.
        reads: Files that the command reads. Where one has changed the command is run again, and takes what is
            there as its own beginning.
        basis: What everything in `folder` depends on, by name: facts, and files by their content.
        folder: It is set aside once something of the basis has changed; what is added to the basis, or falls
            out of it, changes nothing that is there.
    """

    name: str
    command: tuple[str, ...]
    makes: Path
    reads: tuple[Path, ...] = ()
    basis: Mapping[str, str | Path] = field(default_factory=dict)
    folder: Path | None = None

    def made_of(self) -> dict[str, str]:
        """The command, and the content of every file it reads, as they are now."""
        return {"the command": shlex.join(self.command), **{str(path): _digest(path) for path in self.reads}}

    def based_on(self) -> dict[str, str]:
        """The basis, as it is now."""
        return {name: one if isinstance(one, str) else _digest(one) for name, one in self.basis.items()}


@dataclass(kw_only=True)
class Entry:
    """What is noted about a stage when it was last begun, and the seconds since its basis changed last."""

    made_of: dict[str, str]
    based_on: dict[str, str]
    done: bool = False
    seconds: float = 0.0


@dataclass
class Ledger:
    """What is noted in a folder about all stages, in the order in which they were first begun."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """What the folder holds; nothing where it was never noted.

        Raises:
            InputError: The file is damaged.
        """
        path = folder / LEDGER
        if not path.exists():
            return cls(folder)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            entries = TypeAdapter(dict[str, Entry]).validate_python(found["stages"])
            return cls(folder, dict(found["settings"]), entries)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise InputError(
                f"{path} is damaged; remove it: each stage then looks at what is there."
            ) from error

    def write(self) -> None:
        """Replace the file."""
        stages = {name: asdict(entry) for name, entry in self.stages.items()}
        values = {"settings": self.settings, "stages": stages}
        replace_file(self.folder / LEDGER, json.dumps(values, indent=1, ensure_ascii=False) + "\n")

    def is_done(self, stage: Stage) -> bool:
        """Whether a stage has nothing left to do."""
        entry = self.stages.get(stage.name)
        return (
            entry is not None
            and entry.done
            and entry.made_of == stage.made_of()
            and entry.based_on == stage.based_on()
            and stage.makes.exists()
        )


def run_stages(stages: Sequence[Stage], settings: Mapping[str, Any], folder: Path, call: Call) -> Ledger:
    """Run what is not done yet, one stage after the other; a folder notes that, and the settings.

    Raises:
        InputError: Another process works in the folder, or it can't be used.
        typer.Exit: A command did not end well; the rest is left.
    """
    with _locked(folder):
        ledger = Ledger.read(folder)
        ledger.settings = dict(settings)
        for stage in stages:
            _attend(stage, ledger, call)
        ledger.write()
    return ledger


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else works in a folder meanwhile. A process that is begun may inherit the lock, and holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder / ".lock")
    except BlockingIOError as error:
        raise InputError(f"Another process works in {folder}; wait until it ends.") from error
    except OSError as error:
        raise InputError(f"{folder} can't be written ({error.strerror}); name another folder.") from error
    os.set_inheritable(held, True)
    try:
        yield
    finally:
        os.close(held)


def _attend(stage: Stage, ledger: Ledger, call: Call) -> None:
    if ledger.is_done(stage):
        typer.echo(f"{stage.name}: done before", err=True)
        return
    before = ledger.stages.get(stage.name)
    entry = Entry(made_of=stage.made_of(), based_on=stage.based_on())
    if before is None:
        typer.echo(f"{stage.name}: begins", err=True)
    elif changed := _changes(before.based_on, entry.based_on, before.based_on.keys() & entry.based_on):
        aside = _set_aside(stage.folder)
        kept = "" if aside is None else f"; what there was is in {one_line(str(aside))}"
        typer.echo(f"{stage.name}: begins anew, since {changed} changed{kept}", err=True)
    else:
        entry.seconds = before.seconds
        changed = _changes(
            before.made_of | before.based_on,
            entry.made_of | entry.based_on,
            {**before.made_of, **before.based_on, **entry.made_of, **entry.based_on},
        )
        why = f"runs again, since {changed} changed" if changed else "goes on"
        typer.echo(f"{stage.name}: {why}", err=True)
    ledger.stages[stage.name] = entry
    began, earlier = time.monotonic(), entry.seconds

    def note() -> None:
        entry.seconds = round(earlier + time.monotonic() - began, 1)
        ledger.write()

    note()
    try:
        code = call(stage.command, note)
        if code == MANY_FAILED:
            typer.echo(f"{stage.name}: more than a tenth of its scenes failed", err=True)
            code = 0
        entry.done = code == 0
    finally:
        note()
    if code:
        kept = "what is finished is kept, and the same command goes on"
        typer.echo(f"{stage.name} did not end well; {kept}.", err=True)
        raise typer.Exit(code if code > 0 else 1)


def _changes(before: Mapping[str, str], now: Mapping[str, str], names: Iterable[str]) -> str:
    """Which of some names stand for something else now, in words."""
    return " and ".join(sorted(name for name in names if before.get(name) != now.get(name)))


def _set_aside(folder: Path | None) -> Path | None:
    """Rename a folder, since hours may be in it; None where there is none."""
    if folder is None or not folder.exists():
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    put_in_place(folder, aside)
    return aside


def _digest(path: Path) -> str:
    """12 hex digits of a file's content."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
