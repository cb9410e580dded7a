"""What an export leaves in its folder, and reading it: `scenes.jsonl`, `failures.jsonl`, `manifest.json`.

A line counts once it is whole and ends in a line break. Whatever a killed export left behind it in the
last line is passed over, here and by the export that goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scene.errors import ExportError, RecordError
from scene.nouns import Kind, ModelIdentity, Noun, RoleId, Seconds, Text, Turn, first_fault
from scene.origin import differences, played_with
from scene.record import TOKENS, NodeCost, SceneId, SceneRecord

SCENES, FAILURES, MANIFEST = "scenes.jsonl", "failures.jsonl", "manifest.json"

MIN_DIGITS = 4
"""How much of a scene's id has to be given to look for it."""

Setting = int | float | str | bool | None
_Line = TypeVar("_Line", bound=BaseModel)


class Failure(Noun):
    """A question whose scene could not be played to its end.

    Attributes:
        id: Id that its record would have had.
        retries: How often the last reply was asked for again.
        attempt: How often the scene had been played before.
    """

    schema_version: Literal[1] = 1
    id: SceneId
    question_id: str
    kind: Kind | None
    question: Text
    history: tuple[Turn, ...] = Field(default=(), exclude_if=lambda given: not given)
    system: str = Field(default="", exclude_if=lambda given: not given)
    first_answer: str
    error: Text
    reason: str
    node: str | None = None
    role: RoleId | None = None
    turn: int | None = None
    retries: int = Field(default=0, ge=0)
    attempt: int = Field(ge=0)
    seed: int
    seconds: Seconds


class Counts(Noun):
    """Where the questions of an export stand; of the scenes that are done, some may have a failed replay."""

    questions: int = Field(ge=0)
    done: int = Field(ge=0)
    failed: int = Field(ge=0)
    pending: int = Field(ge=0)
    replays_failed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.questions != self.done + self.failed + self.pending:
            raise ValueError("the counts do not add up: questions = done + failed + pending")
        if self.replays_failed > self.done:
            raise ValueError("the counts do not add up: more replays failed than scenes are done")
        return self


class _Name(BaseModel):
    """As much of a record as finding it needs."""

    model_config = ConfigDict(extra="ignore")

    schema_version: Literal[1]
    id: SceneId
    question_id: str | None = None


class _Spent(BaseModel):
    """What was spent by node."""

    model_config = ConfigDict(extra="ignore")

    cost: dict[str, NodeCost]


class _Head(_Name):
    """As much of a record as counting needs."""

    kind: Kind | None = None
    cost: dict[str, NodeCost]
    replay: _Spent | None = None
    replay_failure: dict[str, Any] | None = None


class Totals(Noun):
    """What the finished scenes and their replays took; `hours` is the time during which the export ran.

    Scenes and replays that broke off are not in it.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    hours: Seconds = 0.0

    def plus(self, record: SceneRecord | _Head) -> Self:
        """With what a scene and its replay took; the hours stay."""
        parts = [self, *record.cost.values(), *(record.replay.cost.values() if record.replay else ())]
        sums = {name: sum(getattr(part, name) for part in parts) for name in ("calls", *TOKENS)}
        return self.model_copy(update=sums)


class Manifest(Noun):
    """What an export is, and how far it has come.

    Attributes:
        state: `running` while it runs, and after it was killed.
        settings: What every scene was played with; a change would make other scenes of the same questions.
        malformed: Rows of the source that hold no usable question, each with its place.
    """

    schema_version: Literal[1] = 1
    state: Literal["running", "stopped", "finished"]
    source: str
    settings: dict[str, Setting]
    model: ModelIdentity
    prompt_digest: str
    prompt_folder: str | None = Field(default=None, exclude_if=lambda given: given is None)
    versions: dict[str, str]
    counts: Counts
    totals: Totals = Totals()
    malformed: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    started: datetime
    updated: datetime

    def decisive(self) -> dict[str, Setting]:
        """Everything that a scene depends on beside its question."""
        return {
            "verify": False,  # what it was before it could be set
            **self.settings,
            **played_with(self.model, self.prompt_digest),
        }

    def changes(self, other: Self) -> list[str]:
        """What differs in another manifest and makes its scenes other ones, one phrase each."""
        return differences(self.decisive(), other.decisive())


@dataclass
class Contents:
    """What the files of an export hold, counted line by line.

    Attributes:
        failed: The failures that no finished scene has made good, the latest of each id.
        totals: What the finished scenes and their replays took; the hours are not in the files.
        sizes: Length of each file up to the end of its last whole line, in bytes.
        torn: Names of the files that go on after that.
        superseded: Whether `failures.jsonl` has lines that count no longer.
    """

    done: set[str] = field(default_factory=set)
    kinds: dict[str, Kind | None] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    replays_failed: int = 0
    totals: Totals = field(default_factory=Totals)
    sizes: dict[str, int] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)
    superseded: bool = False

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Count what a folder holds; an absent file is an empty one.

        Raises:
            ExportError: A line is damaged that is not the last one of its file, or two scenes have one id.
        """
        found = cls()
        for number, head in found._lines(folder / SCENES, _Head):
            if head.id in found.done:
                raise ExportError(f"{folder / SCENES} has scene {head.id} twice (line {number}); remove one.")
            found.add(head)
        lines = 0
        for _, failure in found._lines(folder / FAILURES, Failure):
            lines += 1
            if failure.id not in found.done:
                found.failed[failure.id] = failure
        found.superseded = lines != len(found.failed)
        return found

    def add(self, scene: SceneRecord | _Head) -> None:
        """Count a finished scene, which makes good a failure of its id."""
        self.done.add(scene.id)
        self.kinds[scene.id] = scene.kind
        self.superseded |= self.failed.pop(scene.id, None) is not None
        self.replays_failed += scene.replay_failure is not None
        self.totals = self.totals.plus(scene)

    def _lines(self, path: Path, shape: type[_Line]) -> Iterator[tuple[int, _Line]]:
        """The whole lines of a file, checked, with their numbers."""
        self.sizes[path.name] = 0
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    value = shape.model_validate_json(line) if line.endswith(b"\n") else None
                except ValidationError as error:
                    if error.errors()[0]["type"] != "json_invalid" or file.read(1):
                        raise _damaged(path, number, error) from error
                    value = None
                if value is None:
                    self.torn.append(path.name)
                    return
                self.sizes[path.name] += len(line)
                yield number, value


class Export:
    """An export's folder, for reading: checked when it is opened and line by line.

    Raises:
        ExportError: It is no export, is damaged, or has lost scenes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.contents = Contents.read(folder)
        _check_counts(folder, self.manifest, self.contents)

    def scenes(self) -> Iterator[SceneRecord]:
        """The records, in the order in which the scenes ended.

        Raises:
            ExportError: A record is damaged or of another version.
        """
        for number, line in self._lines():
            yield self._record(number, line)

    def failures(self) -> list[Failure]:
        """The failures, in the order in which they were recorded."""
        return list(self.contents.failed.values())

    def find(self, row: str) -> list[SceneRecord | Failure]:
        """The rows that a person may mean.

        They are named by a question's id, by a scene's id or four or more digits of its beginning, or by `@N`
        for line N of `scenes.jsonl`. A question's id goes before a scene's.
        """
        beginning = row if len(row) >= MIN_DIGITS else ""
        by_question: list[SceneRecord | Failure] = []
        by_beginning: list[SceneRecord | Failure] = []
        for number, line in self._lines():
            name = _Name.model_validate_json(line)
            if row == f"@{number}":
                return [self._record(number, line)]
            if name.question_id == row:
                by_question.append(self._record(number, line))
            elif beginning and name.id.startswith(beginning):
                by_beginning.append(self._record(number, line))
        for failure in self.failures():
            if failure.question_id == row:
                by_question.append(failure)
            elif beginning and failure.id.startswith(beginning):
                by_beginning.append(failure)
        return by_question or by_beginning

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The whole lines of `scenes.jsonl`, as many as were there when the folder was opened."""
        if count := len(self.contents.done):
            with (self.folder / SCENES).open("rb") as file:
                yield from enumerate(islice(file, count), start=1)

    def _record(self, number: int, line: bytes) -> SceneRecord:
        try:
            return SceneRecord.from_json(line.decode())
        except (RecordError, UnicodeDecodeError) as error:
            raise _damaged(self.folder / SCENES, number, error) from error


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export.

    Raises:
        ExportError: There is none, or it is damaged or of another version.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder} holds no export (there is no {MANIFEST}); give a folder that `export` wrote."
        ) from error
    except NotADirectoryError as error:
        raise ExportError(f"{folder} is a file; give a folder that `export` wrote.") from error
    except ValidationError as error:
        raise ExportError(f"{path} is damaged: {first_fault(error)}.") from error


def _check_counts(folder: Path, manifest: Manifest, contents: Contents) -> None:
    """Compare what a manifest says with what the files hold; those of a killed export may hold more."""
    counts, done, failed = manifest.counts, len(contents.done), len(contents.failed)
    more_is_fine = manifest.state == "running"
    if done < counts.done or (done > counts.done and not more_is_fine) or done + failed > counts.questions:
        raise ExportError(
            f"{folder} holds {done:,} scenes and {failed:,} failures, where its {MANIFEST} says "
            f"{counts.done:,} and {counts.failed:,} of {counts.questions:,} questions; run the same export "
            "again, which plays what is missing."
        )


def _damaged(path: Path, number: int, error: Exception) -> ExportError:
    fault = first_fault(error) if isinstance(error, ValidationError) else str(error)
    return ExportError(
        f"{path}, line {number} is damaged ({fault}); put the file back as it was, or remove that line and "
        "export again: its scene is then played again."
    )
