"""Where requests are answered: some at once, some more waiting, and what became of each."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from cli.options.serve import Rehearse
from cli.serving.protocol import Answer, Asked, RefusalError, ended_at
from cli.views.console import PlainConsole
from cli.views.display import SceneView
from cli.views.progress import Working
from cli.views.unfolding import Unfolding
from graph.build import build_first_look
from graph.plan import Job
from graph.play import unfold
from graph.player import SCENE_FAULTS, Player
from graph.store import Outcome
from graph.thread import Remembering
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from nodes.look import is_clear
from prompts import digest
from scene.errors import EngineError, EngineGoneError, ExportError, InputError, PromptTooLongError
from scene.export import Failure
from scene.record import ModelCall, NodeCost, scene_id, total_cost
from scene.settings import SceneSettings
from scene.state import SceneInput, SceneState
from scene.tables.questions import Question

RECORD = "x-monopolylogue-record"
"""Header with the id of the scene's record."""

RETRY_SECONDS = 10
"""When a client that found the queue full may ask again."""

NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients ask again by themselves otherwise, and the same scene would fail the same way."""

Tell = Callable[[str], None]


class Desk:
    """Answers requests with one engine, so many at once, while others may wait in the queue.

    `keep` puts what became of a scene where it is safe, `say` is told in a line what became of each request.

    Attributes:
        gone: Why the engine answers nothing any more.
    """

    def __init__(
        self,
        engine: Engine,
        settings: SceneSettings,
        *,
        rehearse: Rehearse,
        scenes: int,
        queue: int,
        keep: Callable[[Outcome], Awaitable[None]] | None = None,
        say: Tell = lambda line: None,
    ) -> None:
        self.settings = settings
        self.gone: EngineGoneError | None = None
        self.answered = 0
        self._engine = engine
        self._rehearse = rehearse
        self._stage = asyncio.Semaphore(scenes)
        self._most = scenes + queue
        self._keep = keep
        self._say = say
        self._under_way: set[asyncio.Task[Answer]] = set()
        self._closed = False

    def take(
        self, asked: Asked, *, begin: Callable[[], None], tell: Tell | None = None
    ) -> asyncio.Task[Answer]:
        """Begin to answer a request; whoever cancels the task withdraws it.

        `begin` is called once it is sure that a scene is played, and `tell` is told it, piece by piece.

        Raises:
            RefusalError: Too many wait already, or no more are taken.
        """
        if self._closed:
            raise RefusalError(503, "The server is stopping.")
        if len(self._under_way) >= self._most:
            raise RefusalError(
                429,
                f"{self._most} requests are being answered or wait already; ask again later.",
                code="rate_limit_exceeded",
                headers={"retry-after": str(RETRY_SECONDS)},
            )
        task = asyncio.create_task(self._answer(asked, begin, tell))
        self._under_way.add(task)
        task.add_done_callback(self._settled)
        return task

    def _settled(self, task: asyncio.Task[Answer]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio would print one that nobody asks for

    def close(self) -> None:
        """Take no more, and end what is under way."""
        self._closed = True
        for task in self._under_way:
            task.cancel()

    def record_id(self, asked: Asked) -> str:
        """Id of the record of a request's scene; the completion's own id tells equal questions apart."""
        said, model = asked.conversation, self._engine.identity
        return scene_id(
            said.question, "", asked.settings, model, digest(), question_id=asked.id, context=said
        )

    async def _answer(self, asked: Asked, begin: Callable[[], None], tell: Tell | None) -> Answer:
        started = time.monotonic()
        said = "failed"
        try:
            answer = await self._answered(asked, begin, tell)
            said = f"scene {answer.record_id}" if answer.record_id else "without a scene"
            self.answered += 1
            return answer
        except RefusalError as refusal:
            said = f"failed: {refusal}"
            raise
        except asyncio.CancelledError:
            said = "the server stopped" if self._closed else "the client went away"
            raise
        finally:
            self._say(f"{asked.id}: {said}, {time.monotonic() - started:.1f} s")

    async def _answered(self, asked: Asked, begin: Callable[[], None], tell: Tell | None) -> Answer:
        engine = Remembering(self._engine)
        player = Player(engine)
        try:
            if self._rehearse != "always":
                graph = build_first_look(EngineChatModel(engine=engine), looked=self._rehearse == "doubtful")
                said = asked.conversation
                start = SceneInput(question=said.question, history=[*said.history], system=said.system)
                state, recorder = await unfold(graph, start, asked.settings)
                if self._rehearse == "never" or is_clear(state):
                    cost = total_cost(recorder.costs(), 0.0)
                    return _answer(asked, engine, state.first_answer, recorder.ended, cost)
            begin()
            async with self._stage:
                return await self._played(player, engine, asked, tell)
        except EngineError as error:
            raise await self._failed(player, error) from error
        except ExportError as error:
            raise RefusalError(500, str(error), headers=NO_RETRY) from error
        except (*SCENE_FAULTS, OSError) as error:
            raise _refusal(type(error).__name__, str(error)) from error

    async def _failed(self, player: Player, error: EngineError) -> RefusalError:
        """What is said of an engine that failed, once it is known whether it goes on."""
        if not isinstance(error, EngineGoneError):
            try:
                await player.expect_life(f"The engine died. {error}")
            except (EngineGoneError, InputError) as reason:
                if isinstance(reason, InputError):
                    return RefusalError(503, str(reason), headers=NO_RETRY)
                error = reason
        if isinstance(error, EngineGoneError):
            self.gone = error
        return RefusalError(503, str(error), headers=NO_RETRY if self.gone else None)

    async def _played(self, player: Player, engine: Remembering, asked: Asked, tell: Tell | None) -> Answer:
        calls: list[ModelCall | NodeCost] = []
        told = _Told(tell) if asked.told_scene else None
        key, said = self.record_id(asked), asked.conversation
        question = Question(id=asked.id, text=said.question, history=said.history, system=said.system)
        job = Job(id=key, question=question, settings=asked.settings)
        try:
            outcome = await player.play(job, calls.append, told.on_state if told is not None else None)
        except InputError as error:  # every scene would be refused, as by a server that asks for another key
            raise RefusalError(503, str(error), headers=NO_RETRY) from error
        if self._keep is not None:
            await self._keep(outcome)
        if isinstance(outcome, Failure):
            raise _refusal(outcome.error, f"The scene broke off: {outcome.reason}", {RECORD: key})
        cost = total_cost(outcome.cost, outcome.seconds)
        answer = _answer(asked, engine, outcome.answer, calls, cost)
        return replace(answer, record_id=key, scene=told.text if told is not None else "")


class _Told:
    """A scene in words, as `run` prints it where there is no terminal."""

    def __init__(self, tell: Tell | None) -> None:
        self.text = ""
        self._tell = tell
        self._page = io.StringIO()
        console = PlainConsole(
            file=self._page, force_terminal=False, markup=False, emoji=False, highlight=False
        )
        self._unfolding = Unfolding(Working(console), SceneView(console))

    def on_state(self, state: SceneState) -> None:
        """Tell what is new."""
        self._unfolding.on_state(state)
        piece = self._page.getvalue()[len(self.text) :]
        self.text += piece
        if piece and self._tell is not None:
            self._tell(piece)


def _answer(
    asked: Asked, engine: Remembering, text: str, calls: Iterable[ModelCall | NodeCost], cost: NodeCost
) -> Answer:
    """An answer; it is the last thing that the model wrote for the asker."""
    written = [
        call.completion
        for call in calls
        if isinstance(call, ModelCall) and call.node in ("respond", "revise")
    ]
    ended = ended_at(text, asked.stop)
    return Answer(text=ended, cut_off=ended == text and written[-1] in engine.cut_off, cost=cost)


def _refusal(error: str, message: str, headers: Mapping[str, str] | None = None) -> RefusalError:
    """What is said of a question that could not be answered, by the name of what went wrong."""
    if error == PromptTooLongError.__name__:
        return RefusalError(400, message, param="messages", code="context_length_exceeded", headers=headers)
    if error == InputError.__name__:
        return RefusalError(400, message, param="messages", headers=headers)
    return RefusalError(500, message, code=error, headers={**NO_RETRY, **(headers or {})})
