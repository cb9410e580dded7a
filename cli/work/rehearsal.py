"""Playing one scene with a model, and showing or keeping what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import nullcontext
from pathlib import Path

from cli.complaint import complain, interrupted
from cli.options import ModelChoice
from cli.output import print_line, quiet_stdout, save
from cli.views.console import plain_console
from cli.views.display import SceneView
from cli.views.progress import Working
from cli.views.replay_view import ReplayView
from cli.views.unfolding import Unfolding
from cli.work.loading import close, load
from graph import build_graph
from graph.build import build_replay
from graph.play import play
from graph.replay import replayed
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from scene.conversation import Conversation
from scene.errors import MonopolylogueError
from scene.record import SceneRecord
from scene.settings import SceneSettings


class _Results:
    """What has been finished, written as soon as it is: the second scene of two may break off.

    Args:
        out: File for the record.
        page: File for the page.
    """

    def __init__(self, out: Path | None, page: Path | None) -> None:
        """Nothing is finished yet."""
        self._out, self._page = out, page
        self._written: list[Path] = []
        self.record: SceneRecord | None = None
        self.whole = False

    def keep(self, record: SceneRecord, *, whole: bool) -> None:
        """Write the record, and its page.

        Args:
            record: The scene, with its replay if that has ended.
            whole: Whether there is nothing left to play.

        Raises:
            InputError: A file can't be written.
        """
        self.record, self.whole = record, whole
        if self._out is not None:
            save(self._out, record.to_json() + "\n")
            self._written.append(self._out)
        if self._page is not None:
            # Here, since the templates' library takes a while to import, and few ask for a page.
            from viewer.page import scene_page

            save(self._page, scene_page(record), "--page")
            self._written.append(self._page)

    @property
    def said(self) -> str:
        """What became of the first scene where the second one was not finished; empty before its end."""
        if self.record is None or self.whole:
            return ""
        where = f"kept in {' and '.join(map(str, self._written))}" if self._written else "in no file"
        return f"Only the scene on the first answer was finished; it is {where}."


def rehearse(
    asked: Conversation,
    first_answer: str,
    settings: SceneSettings,
    choice: ModelChoice,
    *,
    as_json: bool,
    out: Path | None,
    keep_calls: bool,
    verify: bool,
    page: Path | None = None,
) -> None:
    """Play a scene and show it as it unfolds; or, as JSON, print its record and nothing else.

    Where the replay is not finished, the first scene is kept and shown all the same, without one.

    Args:
        asked: The question and what was said before it, checked.
        first_answer: The answer to rehearse; empty for the model's own.
        settings: How to play.
        choice: The model.
        as_json: Print the record instead of the scene.
        out: File to write the record to.
        keep_calls: Keep every model call in the record.
        verify: Play the scene again on the final answer, and compare the two.
        page: File to write the scene's page to.

    Raises:
        MonopolylogueError: The model can't be loaded, the scene failed, or a file can't be written.
        typer.Exit: Ctrl-C in mid-scene.
    """
    stdout, stderr = plain_console(), plain_console(stderr=True)
    shown = stderr if as_json else stdout
    view = None if as_json else SceneView(shown)
    results = _Results(out, page)
    try:
        with quiet_stdout() if as_json else nullcontext():
            engine = load(choice, stderr)
            try:
                with Working(shown) as working:
                    played = _play(
                        engine, asked, first_answer, settings, working, view, keep_calls=keep_calls
                    )
                    asyncio.run(_both(engine, played, working, view, results, verify=verify))
            except KeyboardInterrupt:
                # Said before the engine is closed, which waits for the step it is in.
                raise interrupted(
                    results.said or "Nothing of this scene was kept; run the command again to play it anew."
                ) from None
            except (MonopolylogueError, MemoryError):
                if results.said:
                    complain(results.said)
                raise
            finally:
                close(engine)
    finally:  # neither a replay that breaks off nor a file that can't be written loses the scene
        if results.record is not None:
            if view is None:
                print_line(results.record.to_json())
            elif results.whole:
                view.cost(results.record)


async def _both(
    engine: Engine,
    played: Awaitable[SceneRecord],
    working: Working,
    view: SceneView | None,
    results: _Results,
    *,
    verify: bool,
) -> None:
    """Play the scene, then once more on its final answer if that is asked for."""
    record = await played
    results.keep(record, whole=not verify)
    if verify:
        results.keep(await _replayed(engine, record, working, view), whole=True)


async def _play(
    engine: Engine,
    asked: Conversation,
    first_answer: str,
    settings: SceneSettings,
    working: Working,
    view: SceneView | None,
    *,
    keep_calls: bool,
) -> SceneRecord:
    unfolding = Unfolding(working, view)
    record = await play(
        build_graph(EngineChatModel(engine=engine)),
        asked.question,
        model=engine.identity,
        history=asked.history,
        system=asked.system,
        first_answer=first_answer,
        settings=settings,
        keep_calls=keep_calls,
        on_state=unfolding.on_state,
        on_call=unfolding.on_call,
    )
    if view is not None:
        view.answers(record)
    return record


async def _replayed(
    engine: Engine, record: SceneRecord, working: Working, view: SceneView | None
) -> SceneRecord:
    """The scene, and what follows from its final answer among the same people."""
    again = None if view is None else ReplayView(view.console)
    unfolding = Unfolding(working, again)
    record = await replayed(
        build_replay(EngineChatModel(engine=engine)),
        record,
        model=engine.identity,
        keep_calls=record.calls is not None,
        on_state=unfolding.on_state,
        on_call=unfolding.on_call,
    )
    if again is not None:
        again.changes(record)
    return record
