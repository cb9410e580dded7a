"""What a session's file holds beside LangGraph's checkpoints, and the folder of all sessions."""

import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiosqlite
import platformdirs
from pydantic import ValidationError

from inference.environment import folder
from prompts import OURS, PromptSet
from scene.cast import IMAGINED, Given
from scene.errors import InputError
from scene.nouns import ModelIdentity, Noun
from scene.origin import differences, played_with
from scene.record import ModelCall
from scene.settings import SceneSettings
from scene.state import check_answer, check_question

ENDING = ".sqlite"

TABLES = """
CREATE TABLE IF NOT EXISTS session (info TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (checkpoint_id TEXT PRIMARY KEY, seconds REAL NOT NULL, calls TEXT NOT NULL);
"""


class SessionInfo(Noun):
    """What a session is.

    Attributes:
        id: The name of its file, without the ending; eight hex digits for one that was made here.
        first_answer: The first answer it was begun with, or empty.
        model: What it is played with, as it was named; the arguments of `load_engine`.
        played_by: The model that this turned out to be when the session was begun; None before, and in the
            file of a version that did not keep it.
        prompt_digest: Digest of the prompt files then, or None.
        at: Id of the checkpoint it stands at; None before it was begun.
    """

    id: str
    question: str
    first_answer: str
    settings: dict[str, int | float]
    model: dict[str, str | bool | None]
    played_by: ModelIdentity | None = None
    prompt_digest: str | None = None
    prompt_folder: str | None = None
    given: Given = IMAGINED
    changed: datetime
    at: str | None = None
    stands: str = "not begun"
    broke_off: bool = False


def sessions_folder() -> Path:
    """Where sessions are kept: `MONOPOLYLOGUE_SESSIONS`, or the user's data folder."""
    default = Path(platformdirs.user_data_dir("monopolylogue", appauthor=False)) / "sessions"
    return folder("SESSIONS", default)


def new_session(
    question: str,
    first_answer: str,
    settings: SceneSettings,
    model: dict[str, str | bool | None],
    *,
    prompt_folder: str | None = None,
    given: Given = IMAGINED,
) -> Path:
    """A file for a new session.

    Raises:
        InputError: The folder can't be written, or question or answer can't be used.
    """
    path = new_path()
    info = SessionInfo(
        id=path.stem,
        question=check_question(question),
        first_answer=check_answer(first_answer),
        settings=asdict(settings),
        model=model,
        prompt_folder=prompt_folder,
        given=given,
        changed=datetime.now(UTC),
    )
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(TABLES)
            connection.execute("INSERT INTO session VALUES (?)", (info.model_dump_json(),))
    except sqlite3.Error as error:
        raise _half_made(path, error) from error
    return path


def new_path() -> Path:
    """A file name that no session has, in a folder that is there.

    Raises:
        InputError: The folder can't be made.
    """
    folder = sessions_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (probe := folder / f".{secrets.token_hex(4)}").touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error.strerror) from error
    return folder / f"{secrets.token_hex(4)}{ENDING}"


def read_info(path: Path) -> SessionInfo:
    """What the session of a file is.

    Raises:
        InputError: It is no session.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            return _parsed(path, connection.execute("SELECT info FROM session").fetchone())
    except sqlite3.Error as error:
        raise InputError(f"{path} is no session ({error}); remove it, or begin a new one.") from error


def check_unchanged(
    info: SessionInfo, model: ModelIdentity | None = None, prompt_set: PromptSet = OURS
) -> None:
    """Refuse to go on with a session under another model or other prompts: its record would lie.

    Before the model is loaded, the prompts alone are looked at.

    Raises:
        InputError: They differ, the sentence says in what; or nobody knows what it was begun with.
    """
    if info.at is None:
        return
    before, digest = info.played_by, info.prompt_digest
    if before is None or digest is None:
        raise InputError(
            f"Session {info.id} was begun by a version that did not keep which model and prompts play it, so "
            "its record could not say so; begin a new one."
        )
    now = played_with(model or before, prompt_set.digest())
    if changes := differences(played_with(before, digest), now):
        raise InputError(
            f"Session {info.id} was begun with something else: {'; '.join(changes)}. "
            "Bring that back to go on with it, or begin a new one."
        )


def find_session(beginning: str) -> Path:
    """The file of the session whose id begins so.

    Raises:
        InputError: There is none, or there are several.
    """
    found = [path for path in _paths() if path.stem.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{beginning} could be {', '.join(path.stem for path in found)}; give more of the id."
        )
    raise InputError(f"There is no session {beginning}; `step --list` shows those there are.")


def sessions() -> tuple[list[SessionInfo], dict[str, str]]:
    """All sessions, the last one moved first; and the ids of files that are none, each with the reason."""
    found: list[SessionInfo] = []
    unreadable: dict[str, str] = {}
    for path in _paths():
        try:
            found.append(read_info(path))
        except InputError as error:
            unreadable[path.stem] = str(error)
    return sorted(found, key=lambda info: info.changed, reverse=True), unreadable


class SessionTables:
    """The rows of a session's file that are not LangGraph's: what the session is, and its model calls.

    Calls are kept by the checkpoint that their node started from, so that every way through the scene finds
    its own.
    """

    def __init__(self, connection: aiosqlite.Connection, info: SessionInfo) -> None:
        self._connection = connection
        self.info = info

    @classmethod
    async def of(cls, connection: aiosqlite.Connection, path: Path) -> Self:
        """The rows of an open file.

        Raises:
            InputError: It is no session.
        """
        async with connection.execute("SELECT info FROM session") as rows:
            return cls(connection, _parsed(path, await rows.fetchone()))

    async def begin(self, model: ModelIdentity, prompt_set: PromptSet) -> None:
        """Remember what plays the session, before anything is played."""
        await self._keep_info({"played_by": model, "prompt_digest": prompt_set.digest()})

    async def stand(self, checkpoint: str, stands: str, *, broke_off: bool) -> None:
        """Remember where the session stands, and whether the last step from there broke off."""
        await self._keep_info({"at": checkpoint, "stands": stands, "broke_off": broke_off})

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Take back what was half written where writing fails; the next commit would keep it."""
        try:
            yield
        except sqlite3.Error:
            await self._connection.rollback()
            raise

    async def keep(self, checkpoint: str, seconds: float, calls: Sequence[ModelCall]) -> None:
        """Keep the calls of a node, beside those it made from the same checkpoint before it was cut off."""
        took, earlier = await self.kept(checkpoint)
        new = {_asked(call): call for call in calls}
        rest = [call for call in earlier if _asked(call) not in new]
        line = json.dumps([call.model_dump(mode="json") for call in (*rest, *calls)])
        row = (checkpoint, seconds + took if rest else seconds, line)
        await self._connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", row)
        await self._connection.commit()

    async def kept(self, checkpoint: str) -> tuple[float, list[ModelCall]]:
        """Seconds and calls of the node that ran from a checkpoint; nothing where none did."""
        query = "SELECT seconds, calls FROM steps WHERE checkpoint_id = ?"
        async with self._connection.execute(query, (checkpoint,)) as rows:
            row = await rows.fetchone()
        if row is None:
            return 0.0, []
        return row[0], [ModelCall.model_validate(call) for call in json.loads(row[1])]

    async def copy(self, path: Path) -> None:
        """Copy the whole file to another place, as a session of its own, or leave nothing there.

        Raises:
            InputError: It can't be written.
        """
        info = self.info.model_copy(update={"id": path.stem, "changed": datetime.now(UTC)})
        try:
            await self._connection.execute("VACUUM INTO ?", (str(path),))
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE session SET info = ?", (info.model_dump_json(),))
        except sqlite3.Error as error:
            raise _half_made(path, error) from error

    async def _keep_info(self, changes: dict[str, object]) -> None:
        info = self.info.model_copy(update={**changes, "changed": datetime.now(UTC)})
        await self._connection.execute("UPDATE session SET info = ?", (info.model_dump_json(),))
        await self._connection.commit()
        self.info = info


def _asked(call: ModelCall) -> tuple[object, ...]:
    return call.role, call.call, call.attempt, call.prompt[-1].content


def _paths() -> list[Path]:
    return sorted(sessions_folder().glob(f"*{ENDING}"))


def _parsed(path: Path, row: sqlite3.Row | tuple[str] | None) -> SessionInfo:
    """A session by the name of its file: one that was copied or renamed by hand goes by its new name."""
    try:
        info = SessionInfo.model_validate_json(row[0] if row else "")
        SceneSettings(**info.settings)  # type: ignore[arg-type]  # checked by it
    except (ValidationError, TypeError, InputError) as error:
        raise other_version(path) from error
    return info.model_copy(update={"id": path.stem})


def other_version(path: Path) -> InputError:
    """Says that a file is a session of another version, or none."""
    return InputError(f"{path} is no session of this version; remove it, or begin a new one.")


def _half_made(path: Path, error: sqlite3.Error) -> InputError:
    """Remove a file that could not be written to its end."""
    path.unlink(missing_ok=True)
    return _unwritable(path.parent, str(error))


def _unwritable(folder: Path, reason: str | None) -> InputError:
    return InputError(
        f"{folder} can't be written ({reason}); set MONOPOLYLOGUE_SESSIONS to a folder that can."
    )
