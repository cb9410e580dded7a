"""Playing scenes in Ray actors, on one machine or many: an engine in each, and nothing is written there.

An actor that is lost takes no scene with it: they are played again by others, and another actor is started
in its place. These are actors of Ray's core and not a pipeline of Ray Data: that does not say which rows an
actor took with it, so a scene that kills its actor could not be told from the others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graph.plan import Job
from graph.player import SCENE_SECONDS, SIGN_OF_LIFE_SECONDS, Player, Spend
from graph.ray_cluster import Cluster, threads_each, variables
from graph.store import Outcome
from inference.engine import Engine
from prompts import OURS, PromptSet
from scene.errors import EngineError, EngineGoneError, InputError, reason
from scene.export import Failure
from scene.nouns import ModelIdentity
from scene.origin import played_with
from scene.record import NodeCost, SceneRecord, cost_of

START_SECONDS = 1800.0
"""How long an actor may take to find a place and to load its model."""

TRIES = 2
"""How many actors a scene may lose before it is put off, to be played while nothing else is."""

LoadEngine = Callable[..., Engine]
"""Loads a model; called with `threads`, as `inference.loading.load_engine` can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What an actor says of itself once its model is loaded."""

    identity: ModelIdentity
    prompt_digest: str
    scenes_at_once: int

    @property
    def decisive(self) -> dict[str, str | None]:
        """What its scenes depend on; whoever differs in it would play other ones."""
        return played_with(self.identity, self.prompt_digest)


class SceneActor:
    """What runs in an actor's process: a `Player` with some options, and our prompts if they name none."""

    def __init__(self, load: Callable[[], Engine], **options: Any) -> None:
        """Load nothing yet: what goes wrong in here is not told apart from a lost process."""
        self._load = load
        self._options: dict[str, Any] = {"prompt_set": OURS, **options}
        self._player: Player

    async def ready(self) -> Ready:
        """Load the engine, and see it answer.

        Raises:
            MonopolylogueError: It can't be loaded, or does not answer.
        """
        self._player = Player(self._load(), **self._options)
        await self._player.expect_life("The engine does not answer.")
        return Ready(
            identity=self._player.identity,
            prompt_digest=self._options["prompt_set"].digest(),
            scenes_at_once=self._player.scenes_at_once,
        )

    async def play(self, job: Job) -> AsyncIterator[NodeCost | Outcome]:
        """Play one scene: what each of its model calls cost, and at last its outcome.

        Raises:
            MonopolylogueError: See `Player.play`.
        """
        costs: asyncio.Queue[NodeCost | None] = asyncio.Queue()
        playing = asyncio.create_task(
            self._player.play(job, lambda call: costs.put_nowait(cost_of([call], 1, call.seconds)))
        )
        playing.add_done_callback(lambda _: costs.put_nowait(None))
        while (cost := await costs.get()) is not None:
            yield cost
        yield await playing


@dataclass(slots=True, eq=False)
class _Member:
    """An actor, how to load its engine, and how many scenes it has under way."""

    actor: Any
    load: LoadEngine
    running: int = 0


class _LostError(Exception):
    """An actor is gone, or its engine is."""


class RayPlayer:
    """Plays scenes in actors, any number at once; the same as `Player` to whoever hands it scenes.

    Args:
        cluster: Where; closed with the player.
        loads: How actors load their engines: the first takes the first of these, and so on in turn.
        actors: How many actors; one for each machine when None, or for each of `loads` if those are more.
        computes: Whether engines compute in the actors, so that these share the processor cores; else each
            speaks to a server and takes one core.
        prompt_set: What is asked with; ours are read where an actor runs, so that other ones are seen.

    Raises:
        InputError: There is no room for so many actors, they don't have the same model and prompts, or the
            model can't be loaded.
        EngineGoneError: An actor was lost while it loaded its model.

    Attributes:
        threads: Threads that each engine computes with; None where it does not compute.
    """

    def __init__(
        self,
        cluster: Cluster,
        loads: Sequence[LoadEngine],
        actors: int | None = None,
        *,
        computes: bool = True,
        keep_calls: bool = True,
        verify: bool = False,
        scene_seconds: float = SCENE_SECONDS,
        prompt_set: PromptSet = OURS,
    ) -> None:
        self._cluster, self._ray = cluster, cluster.ray
        self._actor_class = self._ray.remote(SceneActor)
        self._options = {
            "keep_calls": keep_calls,
            "verify": verify,
            "scene_seconds": scene_seconds,
            **({} if prompt_set is OURS else {"prompt_set": prompt_set}),
        }
        # The actor gives a scene up itself, unless its process hangs.
        self._patience = scene_seconds + 2 * SIGN_OF_LIFE_SECONDS
        processors = cluster.processors()
        count = actors or max(len(loads), len(processors) if computes else 1)
        share = threads_each(processors, count)
        if not share:
            raise InputError(
                f"There is no room for {count} actors on {sum(processors)} processor cores; give fewer "
                "--ray-actors, or more machines."
            )
        self.threads = share if computes else None
        self._members = [self._start(loads[number % len(loads)]) for number in range(count)]
        self._starting: set[asyncio.Task[None]] = set()
        self._reason = ""
        self._ready = self._wait_for_all()

    @property
    def identity(self) -> ModelIdentity:
        """The first actor's model; the others have the same."""
        return self._ready.identity

    @property
    def scenes_at_once(self) -> int:
        """As many as keep all actors busy."""
        return self._ready.scenes_at_once * len(self._members)

    async def play(self, job: Job, on_spent: Spend | None = None) -> Outcome:
        """Play one scene in the actor that has the least to do, and elsewhere if that one is lost.

        Raises:
            InputError: The engine would refuse every scene.
            EngineGoneError: No actor is left.
            EngineError: The engine failed and goes on, or so many actors were lost that the scene may be why.
        """
        for _ in range(TRIES):
            member = await self._least_busy()
            try:
                return await self._play_in(member, job, on_spent or (lambda cost: None))
            except _LostError as error:
                self._replace(member, error)
        raise EngineError(f"{TRIES} actors were lost while they played this scene.")

    def close(self) -> None:
        """End the actors and the connection."""
        self._cluster.close()

    def _start(self, load: LoadEngine) -> _Member:
        actor = self._actor_class.options(
            num_cpus=self.threads or 1,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": variables(self.threads)},
        ).remote(partial(load, threads=self.threads), **self._options)
        return _Member(actor, load)

    def _wait_for_all(self) -> Ready:
        """Wait until every actor has loaded its model; what they say of themselves."""
        errors = self._ray.exceptions
        try:
            waiting = [member.actor.ready.remote() for member in self._members]
            first, *others = self._ray.get(waiting, timeout=START_SECONDS)
        except errors.GetTimeoutError as error:
            raise InputError(
                f"Not all of the {len(self._members)} actors were ready after {START_SECONDS:g} seconds; see "
                "whether the cluster is busy, or give fewer --ray-actors."
            ) from error
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            raise EngineGoneError(f"An actor was lost while it loaded the model. {reason(error)}.") from error
        assert isinstance(first, Ready)
        for other in others:
            _check_same(first, other)
        return first

    async def _least_busy(self) -> _Member:
        while not self._members:
            self._starting = {task for task in self._starting if not task.done()}
            if not self._starting:
                raise EngineGoneError(f"No actor is left. {self._reason}")
            await asyncio.wait(self._starting, return_when=asyncio.FIRST_COMPLETED)
        return min(self._members, key=lambda member: member.running)

    async def _play_in(self, member: _Member, job: Job, on_spent: Spend) -> Outcome:
        errors = self._ray.exceptions
        member.running += 1
        try:
            async with asyncio.timeout(self._patience):
                async for reference in member.actor.play.remote(job):
                    told = await reference
                    if isinstance(told, SceneRecord | Failure):
                        return told
                    on_spent(told)
            raise _LostError("An actor ended a scene without an outcome.")
        except errors.RayTaskError as error:
            if isinstance(error.cause, EngineGoneError):
                raise _LostError(str(error.cause)) from None
            raise error.cause from None
        except errors.RayError as error:
            raise _LostError(f"An actor was lost: {reason(error)}.") from error
        except TimeoutError as error:
            raise _LostError("An actor no longer answered.") from error
        finally:
            member.running -= 1

    def _replace(self, lost: _Member, error: _LostError) -> None:
        """Start another actor in place of a lost one, unless that was done on behalf of another scene."""
        if lost not in self._members:
            return
        self._reason = str(error)
        self._members.remove(lost)
        self._ray.kill(lost.actor)
        self._starting.add(asyncio.create_task(self._join(lost.load)))

    async def _join(self, load: LoadEngine) -> None:
        """Start an actor, and let it take part once it is ready; if it can't, the others go on without it."""
        member = self._start(load)
        try:
            async with asyncio.timeout(START_SECONDS):
                _check_same(self._ready, await member.actor.ready.remote())
        except self._ray.exceptions.RayTaskError as error:
            self._reason = str(error.cause)
        except (self._ray.exceptions.RayError, InputError) as error:
            self._reason = f"{reason(error)}."
        except TimeoutError:
            self._reason = f"A new one was not ready after {START_SECONDS:g} seconds."
        else:
            self._members.append(member)
            return
        self._ray.kill(member.actor)


def _check_same(first: Ready, other: Ready) -> None:
    if first.decisive != other.decisive:
        was, now = first.identity, other.identity
        raise InputError(
            f"The actors don't have the same model and prompts ({was.id}, {was.revision}, {was.engine} and "
            f"{now.id}, {now.revision}, {now.engine}); bring all machines to the same state."
        )
