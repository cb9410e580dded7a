"""Stepping through a scene in a terminal: one column, one key for each thing to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from cli.output import save
from cli.views.step_view import Calls, stop_text
from cli.work.draft import Draft
from graph.session import Session
from scene.edit import from_yaml, to_yaml
from scene.errors import InputError, MonopolylogueError
from scene.record import ModelCall
from scene.text import one_line

FAILURES = (MonopolylogueError, MemoryError, sqlite3.Error, OSError)
"""What may fail for a reason of its own; the session goes on."""


Action = Callable[["Stepping"], Coroutine[Any, Any, None]]


def _when_idle(act: Action) -> Action:
    """An action for when no node runs; where it fails for a reason of its own, that is said."""

    @wraps(act)
    async def action(app: Stepping) -> None:
        if app._idle():
            await app._guarded(partial(act, app))

    return action


class Stepping(App[None]):
    """Stops before every node of a session and waits for a key; `drafts` keeps texts until they are right."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #where { height: 1; background: $accent; color: $text; padding: 0 1; }
    #said { height: auto; max-height: 6; padding: 0 1; color: $warning; }
    #stop { padding: 0 1; }
    VerticalScroll { scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next", "next"),
        Binding("t", "turn", "next turn"),
        Binding("r", "run_on", "run on"),
        Binding("escape", "pause", "pause", show=False),
        Binding("b", "back", "back"),
        Binding("e", "edit", "edit"),
        Binding("f", "fork", "fork"),
        Binding("c", "calls", "calls"),
        Binding("s", "save", "save"),
        Binding("q,ctrl+c", "quit", "quit", key_display="q"),
    ]

    def __init__(self, session: Session, out: Path, drafts: Path) -> None:
        super().__init__()
        self._session = session
        self._out = out
        self._drafts = drafts
        self._busy = False
        self._pausing = False
        self._calls = 0
        self._shown = ""

    def compose(self) -> ComposeResult:
        """A line that says where it stands, the scene, what was said last, the keys."""
        yield Static(id="where", markup=False)
        with VerticalScroll():
            yield Static(id="stop", markup=False)
        yield Static(id="said", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show where the session stands."""
        self._show()

    def action_next(self) -> None:
        """Run the next node."""
        self._start(lambda: True)

    def action_turn(self) -> None:
        """Run up to the next turn: before everybody acts, before the summary, or the end."""
        self._start(lambda: self._session.stop.node in ("role_action", "summarize"))

    def action_run_on(self) -> None:
        """Run to the end."""
        self._start(lambda: False)

    def action_pause(self) -> None:
        """Stop once the node that runs has ended."""
        if self._busy:
            self._pausing = True
            self._head()

    @_when_idle
    async def action_back(self) -> None:
        """Go back to before the last node or change."""
        self._say("" if await self._session.back() else "This is the beginning.")
        self._show()

    @_when_idle
    async def action_edit(self) -> None:
        """Change the state in $EDITOR."""
        before, draft = self._session.stop.state, self._draft
        try:
            with self.suspend():
                text = draft.edited(to_yaml(before))
            if not text.strip():
                draft.drop()
                self._say("Nothing was changed.")
                self._head()
                return
            try:
                state = from_yaml(text, before)
            except InputError as error:
                draft.keep(text, str(error))
                raise
            await self._session.edit(state)
        except FAILURES as error:
            kept = "Your text is kept; e opens it again, saving it empty drops it."
            self._say(f"{_sentence(error)} {kept if draft.exists() else ''}")
            self._head()
            return
        draft.drop()
        self._say("Nothing was changed." if state == before else "Changed.")
        self._show()

    @_when_idle
    async def action_calls(self) -> None:
        """Show the prompts and replies that led here."""
        self.push_screen(Calls(await self._session.calls()))

    @_when_idle
    async def action_fork(self) -> None:
        """Copy the session, as it stands, to a new one."""
        name = await self._session.fork()
        self._say(f"Forked: `monopolylogue step --resume {name}` goes on from here; this one stays as it is.")

    @_when_idle
    async def action_save(self) -> None:
        """Save the record, once the scene has ended."""
        record = await self._session.record()
        if record is None:
            self._say("A record holds a whole scene: run on to the end first.")
            return
        save(self._out, record.to_json() + "\n")
        self._say(f"Saved to {self._out}.")

    def _start(self, there: Callable[[], bool]) -> None:
        """Run nodes until a place is reached, away from the keys."""
        if not self._idle():
            return
        if self._session.stop.node is None:
            self._say("The scene has ended; b goes back, s saves its record.")
            return
        self._busy, self._pausing = True, False
        self._say("")
        self.run_worker(self._run_until(there), exclusive=True)

    async def _run_until(self, there: Callable[[], bool]) -> None:
        try:
            while True:
                self._calls = 0
                self._head()
                if not await self._guarded(partial(self._session.step, self._count), "; c shows the replies"):
                    return
                self._show()
                if self._session.stop.node is None or self._pausing or there():
                    return
        finally:
            self._busy = False
            self._show()

    async def _guarded(self, act: Callable[[], Awaitable[None]], hint: str = "") -> bool:
        """Do something; say so where it fails for a reason of its own, and give a hint."""
        try:
            await act()
        except FAILURES as error:
            self._say(f"It did not work: {_sentence(error)} The scene stands where it stood{hint}.")
            return False
        return True

    def _count(self, call: ModelCall) -> None:
        self._calls += 1
        self._head()

    @property
    def _draft(self) -> Draft:
        """The text that is edited at this stop; those of other stops are of no use here."""
        return Draft(self._drafts / f"{self._session.info.id}-{self._session.stop.checkpoint}.yaml")

    def _idle(self) -> bool:
        if self._busy:
            self._say("A node is running; Escape stops after it.")
        return not self._busy

    def _say(self, sentence: str) -> None:
        self.query_one("#said", Static).update(Text(one_line(sentence)))

    def _head(self) -> None:
        stop, name = self._session.stop, self._session.info.id
        if self._busy:
            then = "stops after it" if self._pausing else "Escape stops after it"
            doing = f"running {stop.node}, {self._calls} calls · {then}"
        else:
            doing = f"{stop} · e goes on with your text" if self._draft.exists() else str(stop)
        self.query_one("#where", Static).update(Text(one_line(f"{name} · {doing}")))

    def _show(self) -> None:
        self._head()
        stop = self._session.stop
        self.query_one("#stop", Static).update(stop_text(stop))
        if stop.checkpoint != self._shown:
            self._shown = stop.checkpoint
            self.query_one(VerticalScroll).scroll_home(animate=False)


def _sentence(error: BaseException) -> str:
    """What an error says, as a sentence."""
    said = one_line(str(error)) or type(error).__name__
    return said if said.endswith((".", "!", "?")) else f"{said}."
