"""Reading the questions, going through them scene by scene, and saying how that went."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import typer
from rich.console import Console

from cli.complaint import MANY_FAILED, complain, interrupted
from cli.options.export import ExportOptions
from cli.views.console import plain_console
from cli.views.export_view import ExportView
from cli.work.estimate import estimate, expected
from cli.work.loading import close, close_or_leave, is_named
from cli.work.machines import load_player
from graph.batch import run_batch
from graph.plan import Plan, check_unchanged, chosen, new_manifest, plan
from graph.player import Player, ScenePlayer
from graph.store import ExportStore, Outcome
from graph.under_way import UnderWay, names_of, remove
from scene.errors import EngineGoneError, InputError, TooManyFailuresError
from scene.export import FAILURES, MANIFEST, SCENES, Contents, Counts, Manifest, read_manifest
from scene.nouns import ModelIdentity
from scene.tables.questions import Question, QuestionSet, read_questions
from scene.text import one_line

SHOWN_ROWS = 20
"""How many bad rows are listed; the manifest has all."""

MOST_FAILED = 0.1
"""What part of the scenes may fail in an export that ended well."""


def run_export(options: ExportOptions, *, dry_run: bool) -> None:
    """Play a scene for every question that has none yet, or say what that would take.

    Raises:
        MonopolylogueError: The questions can't be read, the folder can't be used, or the model can't be
            loaded.
        typer.Exit: Ctrl-C, an engine that died, or too few scenes that came to their end.
    """
    stderr = plain_console(stderr=True)
    options.machines.check(options.choice)
    _ = options.staging.given  # read first, since a fault in it is found at once
    found = read_questions(
        options.questions,
        options.columns,
        subset=options.subset,
        split=options.split,
        limit=options.limit if options.shuffle_seed is None else None,
    )
    report(stderr, options.questions, found)
    if options.strict and found.malformed:
        raise InputError(
            f"{options.questions} holds rows that can't be used; mend them, or leave --strict out."
        )
    export = Exporting(options, found, chosen(found.questions, options.shuffle_seed, options.limit), stderr)
    if dry_run:
        export.dry_run()
        return
    store = export.play_missing()
    _summarize(store)
    check_failures([store.counts()])


@dataclass(frozen=True, slots=True)
class Exporting:
    """An export that is asked for: the rows that were found, and the questions chosen of them."""

    options: ExportOptions
    found: QuestionSet
    asked: Sequence[Question]
    console: Console

    def play_missing(self) -> ExportStore:
        """Play a scene for every question that has none yet; returns the export, closed.

        Raises:
            MonopolylogueError: The folder can't be used, or the model can't be loaded.
            typer.Exit: Ctrl-C, or an engine that died.
        """
        with ExportStore(self.options.out) as store:
            if not self._is_over(store):
                self._load_and_play(store)
        return store

    def dry_run(self) -> None:
        """Say what is left to play and what that would take."""
        manifest, left, options = None, len(self.asked), self.options
        if (options.out / MANIFEST).exists():
            manifest = read_manifest(options.out)
            check_unchanged(manifest, self._manifest(manifest.model), options.out)
            left = len(self._plan(manifest.model, Contents.read(options.out)).jobs)
        typer.echo(
            f"{len(self.asked):,} questions from {one_line(options.questions)}; {left:,} scenes to play."
        )
        typer.echo(estimate(left, options.staging.settings, manifest, verify=options.verify))

    def _is_over(self, store: ExportStore) -> bool:
        """Whether an export that is there has nothing left to play, so that no model need be loaded.

        Raises:
            ExportError: It was begun with other settings.
        """
        if store.manifest is None:
            return False
        model = store.manifest.model
        manifest = self._manifest(model)
        check_unchanged(store.manifest, manifest, store.folder)
        todo = self._plan(model, store.contents)
        if todo.jobs or not is_named(self.options.choice, model):
            return False
        self._say_found(store, todo)
        store.begin(manifest)
        remove(store.folder)
        return True

    def _load_and_play(self, store: ExportStore) -> None:
        """Load the model and play what is left.

        Raises:
            MonopolylogueError: The model can't be loaded, or is not the one that the export was begun with.
            typer.Exit: It stopped early.
        """
        player = load_player(self.options, self.console)
        try:
            manifest = self._manifest(player.identity)
            check_unchanged(store.manifest, manifest, store.folder)
            todo = self._plan(player.identity, store.contents)
            self._say_found(store, todo)
            store.begin(manifest)
            asyncio.run(self._play(player, store, todo))
        except (KeyboardInterrupt, EngineGoneError, TooManyFailuresError) as stop:
            store.close()
            raise _stopped(stop, store, player) from None
        finally:
            close(player)

    def _manifest(self, model: ModelIdentity) -> Manifest:
        options = self.options
        return new_manifest(
            options.questions,
            self.found,
            len(self.asked),
            options.staging.settings,
            model,
            kind=options.columns.kind,
            keep_calls=not options.no_calls,
            verify=options.verify,
            structured=options.model.structured,
            given=options.staging.given,
            prompt_set=options.staging.prompt_set,
        )

    def _plan(self, model: ModelIdentity, contents: Contents) -> Plan:
        staging = self.options.staging
        return plan(
            self.asked,
            staging.settings,
            model,
            contents,
            retry_failed=self.options.retry_failed,
            given=staging.given,
            prompt_set=staging.prompt_set,
        )

    def _say_found(self, store: ExportStore, todo: Plan) -> None:
        """Say what an export that is gone on with has already."""
        for name in store.contents.torn:
            _say(self.console, f"{store.folder / name} ended in half a line, which is dropped.")
        if store.manifest is not None:
            again = " (failed ones again)" if self.options.retry_failed else ""
            _say(
                self.console,
                f"{store.folder} holds {todo.done:,} finished scenes and {len(store.contents.failed):,} "
                f"failures of {todo.questions:,} questions; {len(todo.jobs):,} to play{again}.",
            )

    async def _play(self, player: ScenePlayer, store: ExportStore, todo: Plan) -> None:
        assert store.manifest is not None
        totals, done = store.manifest.totals, store.manifest.counts.done
        options = self.options
        foreseen = expected(options.staging.settings, verify=options.verify).calls
        async with self._under_way(player, store, todo) as under_way:

            async def keep(outcome: Outcome) -> None:
                await store.keep(outcome)
                if under_way is not None:
                    await under_way.forget(outcome.id)

            with ExportView(
                self.console,
                store.counts(),
                left=len(todo.jobs),
                expected=totals.calls / done if done else foreseen,
                known=done,
                under_way=under_way.calls if under_way is not None else {},
            ) as view:
                await run_batch(
                    todo.jobs,
                    player,
                    keep,
                    view,
                    concurrency=options.concurrency or player.scenes_at_once,
                    measured=True,
                    wide=player.identity.details.get("device", "cpu") != "cpu",
                    max_failures=options.max_failures,
                )

    @asynccontextmanager
    async def _under_way(
        self, player: ScenePlayer, store: ExportStore, todo: Plan
    ) -> AsyncIterator[UnderWay | None]:
        """What is kept of scenes under way: nothing where it is not wanted, or where actors play them."""
        if self.options.no_checkpoints or not isinstance(player, Player):
            remove(store.folder)
            yield None
            return
        names = [name for job in todo.jobs for name in names_of(job.id, job.attempt)]
        say = partial(_say, self.console)
        async with UnderWay.opened(store.folder, names, say) as under_way:
            if under_way.calls:
                say(f"{len(under_way.calls):,} scenes under way go on where they were.")
            player.under_way = under_way
            yield under_way


def _stopped(stop: BaseException, store: ExportStore, player: ScenePlayer) -> typer.Exit:
    """Say why the export stopped early, what was kept and how to go on; raise what this returns."""
    counts = store.counts()
    kept = (
        f"{counts.done:,} of {counts.questions:,} scenes are finished and kept in {store.folder}; "
        "run the same command again to go on."
    )
    if isinstance(stop, KeyboardInterrupt):
        return interrupted(kept)
    complain(f"{stop} {kept}")
    if isinstance(stop, EngineGoneError):
        close_or_leave(player)
    return typer.Exit(1)


def report(console: Console, source: str, found: QuestionSet) -> None:
    """Say which rows are not asked about, and why."""
    for row in found.malformed[:SHOWN_ROWS]:
        _say(console, f"{source}, {row}")
    if (more := len(found.malformed) - SHOWN_ROWS) > 0:
        _say(console, f"{source}: {more:,} more rows can't be used; {MANIFEST} lists them all.")
    if found.repeated:
        _say(
            console,
            f"{source}: {len(found.repeated):,} rows repeat earlier ones and are left out, "
            f"the first at {found.repeated[0]}.",
        )


def _summarize(store: ExportStore) -> None:
    """Say what there is now."""
    counts = store.counts()
    typer.echo(
        f"{counts.done:,} of {counts.questions:,} scenes are in {one_line(str(store.folder / SCENES))}."
    )
    if counts.replays_failed:
        typer.echo(
            f"{counts.replays_failed:,} of them could not be played again on the final answer: "
            "replay_failure in the row says why, and how much harm went is not known."
        )
    if counts.failed:
        typer.echo(
            f"{counts.failed:,} failed: {one_line(str(store.folder / FAILURES))} says why, "
            "and --retry-failed plays them again."
        )


def check_failures(exports: Sequence[Counts]) -> None:
    """Let nobody take exports for whole in which much failed.

    Raises:
        typer.Exit: More than a tenth of the scenes failed, or all of them.
    """
    done, failed = (sum(getattr(counts, name) for counts in exports) for name in ("done", "failed"))
    if failed > MOST_FAILED * (done + failed):
        raise typer.Exit(MANY_FAILED if done else 1)


def _say(console: Console, sentence: str) -> None:
    console.print(one_line(sentence))
