"""Playing one scene with a model, and showing or keeping what came of it."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

from cli.complaint import complain, interrupted
from cli.options import ModelChoice
from cli.options.own import Staging
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
from prompts import PromptSet
from scene.conversation import Conversation
from scene.errors import MonopolylogueError
from scene.record import SceneRecord


class _Results:
    """What has been finished, written as soon as it is: the second scene of two may break off."""

    def __init__(self, out: Path | None, page: Path | None) -> None:
        self._out, self._page = out, page
        self._written: list[Path] = []
        self.record: SceneRecord | None = None
        self.whole = False

    def keep(self, record: SceneRecord, *, whole: bool) -> None:
        """Write the record, with its replay if that has ended, and its page; whole: nothing is left.

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
    staging: Staging,
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
    An empty first answer stands for the model's own. With `verify` the scene is played again on its final
    answer, and the two are compared.

    Raises:
        MonopolylogueError: The model can't be loaded, the scene failed, or a file can't be written.
        typer.Exit: Ctrl-C in mid-scene.
    """
    stdout, stderr = plain_console(), plain_console(stderr=True)
    shown = stderr if as_json else stdout
    view = None if as_json else SceneView(shown)
    results, prompt_set, given = _Results(out, page), staging.prompt_set, staging.given
    try:
        with quiet_stdout() if as_json else nullcontext():
            engine = load(choice, stderr)
            try:
                with Working(shown) as working:
                    unfolding = Unfolding(working, view)
                    played = play(
                        build_graph(EngineChatModel(engine=engine), prompt_set=prompt_set),
                        asked.question,
                        model=engine.identity,
                        history=asked.history,
                        system=asked.system,
                        first_answer=first_answer,
                        settings=staging.settings,
                        given=given,
                        prompt_set=prompt_set,
                        keep_calls=keep_calls,
                        on_state=unfolding.on_state,
                        on_call=unfolding.on_call,
                    )

                    async def both() -> None:
                        record = await played
                        if view is not None:
                            view.answers(record)
                        results.keep(record, whole=not verify)
                        if verify:
                            record = await _replayed(engine, prompt_set, working, record, view)
                            results.keep(record, whole=True)

                    asyncio.run(both())
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


async def _replayed(
    engine: Engine, prompt_set: PromptSet, working: Working, record: SceneRecord, view: SceneView | None
) -> SceneRecord:
    """The scene, and what follows from its final answer among the same people."""
    again = None if view is None else ReplayView(view.console)
    unfolding = Unfolding(working, again)
    record = await replayed(
        build_replay(EngineChatModel(engine=engine), prompt_set=prompt_set),
        record,
        model=engine.identity,
        prompt_set=prompt_set,
        keep_calls=record.calls is not None,
        on_state=unfolding.on_state,
        on_call=unfolding.on_call,
    )
    if again is not None:
        again.changes(record)
    return record
