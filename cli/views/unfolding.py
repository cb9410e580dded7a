"""Following a scene while it is played: each thing is shown once, as soon as it is known."""

from __future__ import annotations

from cli.views.display import SceneView
from cli.views.progress import Working
from scene.record import ModelCall
from scene.state import SceneState
from scene.turn import acting


class Unfolding:
    """Hand `on_state` and `on_call` to `graph.play.play`.

    Args:
        working: The status line.
        view: Where the scene is shown; None shows the status line alone.
    """

    def __init__(self, working: Working, view: SceneView | None) -> None:
        """Nothing is shown yet."""
        self._working = working
        self._view = view
        self._calls = 0
        self._doing = "respond"
        self._shown: set[str] = set()
        self._events = 0
        self._say()

    def on_call(self, call: ModelCall) -> None:
        """Count a finished model call."""
        self._calls += 1
        self._say()

    def on_state(self, state: SceneState) -> None:
        """Show what is new in the state after a step of the graph."""
        self._doing = running_node(state)
        self._say()
        if self._view is None:
            return
        if self._first("question"):
            self._view.question(state)
        if state.first_answer and self._first("first answer"):
            self._view.first_answer(state.first_answer)
        if state.plan and self._first("opening"):
            self._view.opening(state)
        consequences = {consequence.event: consequence for consequence in state.consequences}
        for event in state.events[self._events :]:
            self._view.event(event, consequences.get(event.id))
        self._events = len(state.events)
        if state.outcome is not None and self._first("verdict"):
            self._view.verdict(state.critique, state.verdict, state.outcome)

    def _first(self, what: str) -> bool:
        """Whether this is the first time that it is asked about."""
        if what in self._shown:
            return False
        self._shown.add(what)
        return True

    def _say(self) -> None:
        calls = "1 call" if self._calls == 1 else f"{self._calls} calls"
        self._working.say(f"{self._doing} · {calls}")


def running_node(state: SceneState) -> str:
    """The node that runs after a state was reached, with the turn where there is one."""
    if not state.first_answer:
        return "respond"
    if not state.plan:
        return "role_init"
    if state.outcome is not None:
        return "revise"
    if state.rulings:
        node = "modulator_update"
    elif any(proposal.turn == state.turn for proposal in state.proposals):
        node = "modulator_routing"
    elif acting(state):
        node = "role_action"
    else:
        return "summarize"
    return f"turn {state.turn} · {node}"
