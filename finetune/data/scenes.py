"""Reading the scenes that a data set is made of: folders of an export, or files of single records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scene.errors import InputError, RecordError
from scene.export import SCENES, Export
from scene.record import SceneRecord

TWIN = "~twin"
"""How the id of a question's twin ends, after the question's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A record and where it stands.

    Attributes:
        source: File, and line where there are several.
        missing: Whether the scene of the question's twin, if it has one, failed or may not be played yet.
    """

    record: SceneRecord
    source: str
    missing: bool = False

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self.source.rpartition(", line ")[0] or self.source

    @property
    def benign(self) -> bool:
        """Whether the question may simply be answered: as its set says, else as the model judged."""
        kind = self.record.kind
        return self.record.request == "harmless" if kind is None else kind == "helpful"


def read_scenes(paths: Sequence[Path]) -> Iterator[Scene]:
    """The scenes of exports and of record files, in the order given.

    Raises:
        InputError: There is no such file, an export is damaged, or a file is no scene record.
    """
    for path in paths:
        if path.is_dir():
            export = Export(path)
            failed = [failure.question_id for failure in export.failures()]
            ended = len(export.contents.done) + len(failed)
            for number, record in enumerate(export.scenes(), start=1):
                missing = ended < export.manifest.counts.questions or f"{record.question_id}{TWIN}" in failed
                yield Scene(record=record, source=f"{path / SCENES}, line {number}", missing=missing)
        else:
            yield from _read_file(path)


def _read_file(file: Path) -> Iterator[Scene]:
    """One record as `run --out` writes it, however its lines are broken, or one a line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read; give a folder of `export`, or a file of scenes.") from error
    # Not by splitlines, which takes marks within a text for the end of a line.
    listed = file.suffix.lower() == ".jsonl"
    lines = text.split("\n") if listed else [text]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            source = f"{file}, line {number}" if listed else str(file)
            try:
                yield Scene(record=SceneRecord.from_json(line), source=source)
            except RecordError as error:
                raise InputError(f"{source}: {error}") from error
