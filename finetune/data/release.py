"""What others need to repeat a training, in one file: a data set, and its scenes without their calls."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from finetune.data.scenes import Scene
from scene.errors import InputError
from scene.export import SCENES
from scene.files import replace_file
from scene.record import SceneRecord

ENDING = ".tar.gz"


def check_name(target: Path) -> None:
    """Refuse a name that does not say what the file is.

    Raises:
        InputError: It does not end as such a file's does.
    """
    if not target.name.endswith(ENDING):
        raise InputError(f"{target} does not end in {ENDING}; give --release a name that does.")


def write_release(folder: Path, scenes: Iterable[Scene], target: Path) -> int:
    """Pack a data set's folder and its scenes, and read back what was written; its size in bytes.

    The same rows and scenes give the same bytes, whenever and by whomever they are packed; each scene counts
    once. A file that is there is replaced.

    Raises:
        InputError: It can't be written, or does not hold what was put in.
    """
    records = {scene.record.id: _without_calls(scene.record) for scene in scenes}
    lines = "".join(f"{records[name].to_json()}\n" for name in sorted(records))
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files[SCENES] = lines.encode()
    top = target.name.removesuffix(ENDING)
    named = {f"{top}/{name}": files[name] for name in sorted(files)}
    try:
        replace_file(target, _packed(named))
        held = sizes_in(target)
    except OSError as error:
        raise InputError(f"{target} can't be written ({error.strerror or error}).") from error
    if held != {name: len(content) for name, content in named.items()}:
        raise InputError(f"{target} does not hold what was put in; write it again, on another disk.")
    return target.stat().st_size


def sizes_in(target: Path) -> dict[str, int]:
    """The files in a release with their sizes, read to the end.

    Raises:
        InputError: It is damaged.
        OSError: It can't be read.
    """
    found = {}
    try:
        with tarfile.open(target, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member)
                found[member.name] = len(file.read()) if file is not None else 0
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{target} is damaged ({error}); write it again.") from error
    return found


def _without_calls(record: SceneRecord) -> SceneRecord:
    replay = record.replay and record.replay.model_copy(update={"calls": None})
    return record.model_copy(update={"calls": None, "replay": replay})


def _packed(files: dict[str, bytes]) -> bytes:
    """A tar file in gzip with nothing in it of when, where and by whom it was made."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as outer,
        tarfile.open(fileobj=outer, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
