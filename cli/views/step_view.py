"""A stopped scene on the terminal: what runs next, what happened, who is there, what they know, its calls."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from cli.views.display import SEVERITY_STYLES
from graph.session import Stop
from scene.conversation import script
from scene.nouns import Event, Role
from scene.record import ModelCall
from scene.state import SceneState
from scene.text import clean, one_line
from scene.turn import knows

LAST_EVENTS = 6

DOES = {
    "respond": "The model answers the question plainly.",
    "role_init": "The model imagines the situation, casts the roles and plans the asker's steps.",
    "role_action": "Each of these acts:",
    "modulator_routing": "The modulator decides whether this can happen, and who notices:",
    "modulator_update": "These enter the log, reach whoever noticed, and get a consequence:",
    "summarize": "The consequences become one critique, with a verdict.",
    "revise": "The model answers again, with the consequences in hand.",
}


@dataclass(frozen=True)
class Lines:
    """Lines of text; where one is wrapped it goes on below its beginning, not at the left edge."""

    lines: tuple[Text, ...]

    def __str__(self) -> str:
        return "\n".join(line.plain for line in self.lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            indent = len(line) - len(line.plain.lstrip(" "))
            yield Padding(line[indent:] if indent < len(line) else Text(), (0, 0, 0, indent))


def stop_text(stop: Stop) -> Lines:
    """Everything about a stop, section by section: what is new first, what has long been known last."""
    state = stop.state
    found: list[Text] = []
    for title, lines in (
        ("Next", _next(stop)),
        ("Answer", _given(state.answer)),
        ("Critique", _given(state.critique)),
        ("Last events", [line for event in state.events[-LAST_EVENTS:] for line in _event(state, event)]),
        ("Cast, and what each has observed", [line for role in state.cast for line in _role(state, role)]),
        ("Plan", _plan(state)),
        ("Memory", _given(state.memory)),
        ("Conversation", _given(script(state))),
        ("Question", _given(state.question)),
        ("First answer", _given(state.first_answer)),
        ("Situation", _given(state.situation)),
    ):
        if lines:
            found.append(Text(title, "bold"))
            found += [Text("  ").append_text(line) for line in lines]
            found.append(Text())
    return Lines(tuple(found[:-1]))


def call_title(call: ModelCall) -> str:
    """A model call in a line."""
    about = f" {call.role}" if call.role else ""
    turn = f"turn {call.turn} " if call.turn else ""
    again = f", attempt {call.attempt + 1}" if call.attempt else ""
    return one_line(f"{turn}{call.node}: {call.call}{about}{again}")


def call_text(call: ModelCall) -> Text:
    """A prompt and its reply."""
    text = Text()
    for message in call.prompt:
        text.append(f"{message.role}\n", "bold").append(f"{clean(message.content)}\n\n")
    if call.thought:
        text.append("thought\n", "bold green").append(f"{clean(call.thought)}\n\n")
    text.append("reply\n", "bold green").append(f"{clean(call.completion)}\n\n")
    tokens = f"{call.prompt_tokens:,} prompt tokens, {call.completion_tokens:,} generated"
    return text.append(f"{tokens}, {call.seconds:.1f} s", "dim")


def _next(stop: Stop) -> list[Text]:
    if stop.node is None:
        return [Text("The scene has ended. s saves its record.")]
    state = stop.state
    lines = [Text.assemble((stop.node, "bold cyan"), f"  {DOES[stop.node]}")]
    if stop.node == "role_action":
        lines += [Text(f"  {role_id} {one_line(state.name(role_id))}") for role_id in stop.acting]
    elif stop.node == "modulator_routing":
        lines += [Text(f"  {p.actor} {one_line(state.told(p))}") for p in state.proposals]
    elif stop.node == "modulator_update":
        lines += [Text("  ").append_text(line) for ruling in state.rulings for line in _event(state, ruling)]
    return lines


def _given(text: str) -> list[Text]:
    return [Text(line) for line in clean(text).splitlines()]


def _role(state: SceneState, role: Role) -> Iterable[Text]:
    yield Text.assemble(f"{role.id} ", (one_line(role.name), "bold"), f": {one_line(role.traits)}")
    yield Text(f"   wants: {one_line(role.position)}", "dim")
    unread = state.inbox.get(role.id, ())
    for event in state.events:
        if event.actor != role.id and knows(event, role.id):
            mark = " (not reacted to yet)" if event.id in unread else ""
            yield Text(f"   saw {event.id} {one_line(state.told(event))}{mark}", "cyan")


def _plan(state: SceneState) -> list[Text]:
    return [
        Text(f"{'✓' if number < state.step else '·'} {one_line(step)}")
        for number, step in enumerate(state.plan)
    ]


def _event(state: SceneState, event: Event) -> Iterable[Text]:
    line = Text.assemble((f"{event.id} turn {event.turn} ", "dim"), one_line(state.told(event)))
    if event.admitted:
        seen = ", ".join(one_line(state.name(role)) for role in event.observers) or "nobody"
        yield line.append(f" → seen by {seen}", "cyan")
    else:
        yield line.append(f" → refused: {one_line(event.reason)}", "dim")
    for consequence in state.consequences:
        if consequence.event == event.id:
            names = ", ".join(one_line(state.name(role)) for role in consequence.roles)
            yield Text.assemble(
                "   ↳ ",
                (consequence.severity, SEVERITY_STYLES[consequence.severity]),
                f" for {names}: {one_line(consequence.text)}",
            )


class Calls(ModalScreen[None]):
    """The model calls of a scene: a list, and the prompt and reply of the one that is chosen."""

    CSS = """
    OptionList { height: 40%; }
    OptionList, VerticalScroll { scrollbar-size-vertical: 1; }
    #call { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c,q", "dismiss", "back", key_display="esc"),
        Binding("tab", "app.focus_next", "list or call"),
    ]

    def __init__(self, calls: list[ModelCall]) -> None:
        super().__init__()
        self._calls = calls

    def compose(self) -> ComposeResult:
        """The list above, the call below."""
        titles = [Option(Text(call_title(call))) for call in self._calls]
        yield OptionList(*(titles or [Option("No call has been made yet.", disabled=True)]))
        with VerticalScroll():
            yield Static(id="call", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Choose the last call, which is mostly the one that is asked about."""
        options = self.query_one(OptionList)
        options.focus()
        if self._calls:
            options.highlighted = len(self._calls) - 1

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the chosen call from its end: what was asked last, and the reply."""
        if self._calls:
            self.query_one("#call", Static).update(call_text(self._calls[event.option_index]))
            self.query_one(VerticalScroll).scroll_end(animate=False)
