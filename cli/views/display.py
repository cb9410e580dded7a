"""A scene on the terminal, piece by piece: while it unfolds, or from its record.

On a terminal it uses colour, tables and columns; anywhere else plain lines, one thing a line. All text of
the scene is data: it is cleaned and never read as markup.
"""

from collections.abc import Sequence

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from scene.conversation import script
from scene.folding import FoldingTable
from scene.nouns import Consequence, Event, Outcome, Role, Severity, Verdict
from scene.record import NodeCost, SceneRecord, total_cost
from scene.state import SceneState
from scene.text import clean, one_line
from scene.wording import CHANGED_BY_HAND, FATES, OUTCOMES, VERDICTS, request_text

READABLE = 100
"""Longest line of running text, and the narrowest terminal on which two answers fit side by side."""

MARGIN = 8
"""Column at which events begin, after "Turn 12"."""

JUDGED_WORSE = "The revision was judged worse, so the first answer stays."
"""Of scenes of older versions, which compared the two."""

SEVERITY_STYLES: dict[Severity, str] = {
    "none": "green",
    "minor": "yellow",
    "moderate": "bold dark_orange",
    "severe": "bold red",
}


class SceneView:
    """Prints the parts of a scene in the order in which its methods are called.

    Args:
        console: Where to. Its width and whether it is a terminal decide on the layout.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._names: dict[str, str] = {}
        self._turn = 0

    def record(self, record: SceneRecord) -> None:
        """A finished scene from beginning to end."""
        self.question(record)
        if record.edited:
            self._print(Text(CHANGED_BY_HAND, "bold"), indent=2)
        self.first_answer(record.first_answer)
        self.opening(record)
        self.events(record.events, record.consequences)
        self.verdict(record.critique, record.verdict, record.outcome)
        self.answers(record)
        self.cost(record)

    def question(self, scene: SceneState | SceneRecord) -> None:
        """What was asked, and what was said before."""
        if before := script(scene):
            self._section("Conversation", before)
        self._section("Question", scene.question)

    def first_answer(self, answer: str) -> None:
        """The answer that is rehearsed."""
        self._section("First answer", answer)

    def opening(self, scene: SceneState | SceneRecord) -> None:
        """What the request counts as, who is in the scene, and what the asker is about to do."""
        self._section("Request", request_text(scene.request, scene.risk))
        self._section("Situation", scene.situation)
        self._meet(scene.cast)
        self._heading("Cast")
        if self.console.is_terminal:
            self.console.print(_cast_table(scene.cast))
        else:
            for role in scene.cast:
                wants = f"{one_line(role.name)}: {one_line(role.traits)} Wants: {one_line(role.position)}"
                self._entry(role.id, Text(wants))
        granted = scene.stance == "declines" and scene.risk is not None  # older scenes have no risk
        self._plan(scene.plan, "Plan, had the request been granted" if granted else "Plan")

    def events(self, events: Sequence[Event], consequences: Sequence[Consequence]) -> None:
        """A whole log."""
        following = {consequence.event: consequence for consequence in consequences}
        for event in events:
            self.event(event, following.get(event.id))

    def event(self, event: Event, consequence: Consequence | None) -> None:
        """What somebody did or tried to do, who noticed, and what it led to."""
        if not self._turn:
            self._heading("Scene")
        label = f"Turn {event.turn}" if event.turn != self._turn else ""
        self._turn = event.turn
        told = Text.assemble((self._name(event.actor), "bold"), f" ({event.actor}): ")
        if event.admitted:
            told.append(one_line(event.text))
            seen = ", ".join(map(self._name, event.observers)) or "nobody"
            told.append(f" → seen by {seen}", "cyan")
        else:
            told.append(one_line(event.text), "dim strike")
            told.append(f" → refused: {one_line(event.reason)}", "dim")
        self._entry(label, told)
        if consequence is not None:
            self._entry("", self._consequence(consequence), "↳ ")

    def verdict(self, critique: str, verdict: Verdict, outcome: Outcome) -> None:
        """What it all comes to."""
        self._section("What came of it", critique)
        self._section("Verdict", f"{VERDICTS[verdict]} {OUTCOMES[outcome]}")

    def answers(self, record: SceneRecord) -> None:
        """The first answer and the one that the scene ends with."""
        first, final = clean(record.first_answer), clean(record.answer)
        if record.answer == record.first_answer:
            older = record.revision not in ("", record.first_answer)
            self._section("Answer", final, JUDGED_WORSE if older else FATES["kept"])
            return
        if record.fate == "rejected":
            self._section("What became of it", FATES["rejected"])
        if not self.console.is_terminal:
            self._section("First answer", first)
            self._section("Final answer", final)
        elif self.console.width < READABLE:
            self.console.print()
            for title, text, style in (("First answer", first, "dim"), ("Final answer", final, "green")):
                self.console.print(Panel(Text(text), title=title, title_align="left", border_style=style))
        else:
            columns = FoldingTable(box=ROUNDED, expand=True, border_style="dim")
            columns.add_column("First answer", ratio=1)
            columns.add_column("Final answer", ratio=1, header_style="bold green")
            columns.add_row(Text(first), Text(final))
            self.console.print()
            self.console.print(columns)

    def cost(self, record: SceneRecord) -> None:
        """What the scene cost, and what played it."""
        self._heading("Cost")
        self.console.print(cost_table(record))
        self.console.print()
        model = record.model
        who = f"{one_line(model.id)} ({one_line(model.engine)})"
        self._print(Text(f"Played by {who}, seed {record.seed}; scene {record.id}.", "dim"))

    def _meet(self, cast: Sequence[Role]) -> None:
        """Know the names of the cast from here on."""
        self._names = {role.id: one_line(role.name) for role in cast}

    def _plan(self, plan: Sequence[str], title: str = "Plan") -> None:
        self._heading(title)
        for number, step in enumerate(plan, start=1):
            self._entry(f"{number}.", Text(one_line(step)))

    def _consequence(self, consequence: Consequence) -> Text:
        names = ", ".join(map(self._name, consequence.roles)) or "nobody"
        severity = consequence.severity
        word = "no harm" if severity == "none" else severity
        return Text.assemble((word, SEVERITY_STYLES[severity]), f" for {names}: ", one_line(consequence.text))

    def _name(self, role_id: str) -> str:
        return self._names.get(role_id, role_id)

    def _heading(self, title: str) -> None:
        self.console.print()
        self._print(Text(title, "bold"))

    def _section(self, title: str, body: str, note: str = "") -> None:
        self._heading(title)
        self._print(Text(clean(body)), indent=2)
        if note:
            self._print(Text(note, "dim"), indent=2)

    def _entry(self, label: str, body: Text, mark: str = "") -> None:
        """A line with a label in the margin; on a terminal, further lines are indented like the first."""
        if not self.console.is_terminal:
            self._print(Text.assemble(label.ljust(MARGIN), mark, body))
            return
        row = FoldingTable.grid()
        row.add_column(width=MARGIN)
        cells = [mark, body] if mark else [body]
        row.add_row(Text(label, "dim"), *cells)
        self.console.print(row, width=self._line)

    def _print(self, text: Text, indent: int = 0) -> None:
        if self.console.is_terminal:
            self.console.print(Padding(text, (0, 0, 0, indent), expand=False), width=self._line)
        else:
            self.console.print(text, soft_wrap=True)

    @property
    def _line(self) -> int:
        return min(self.console.width, READABLE)


def _cast_table(cast: Sequence[Role]) -> FoldingTable:
    table = FoldingTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for title, ratio in (("", None), ("Who", 2), ("Traits", 4), ("Wants", 4)):
        table.add_column(title, ratio=ratio)
    for role in cast:
        table.add_row(
            Text(role.id, "dim"),
            Text(one_line(role.name), "bold"),
            Text(one_line(role.traits)),
            Text(one_line(role.position)),
        )
    return table


def cost_table(record: SceneRecord) -> FoldingTable:
    """Calls, tokens and seconds by node; below, those of the whole scene and of its replay, end to end."""
    table = FoldingTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("Node")
    for title in ("Calls", "Prompt tokens (cached)", "Generated", "Seconds"):
        table.add_column(title, justify="right")
    for node, cost in record.cost.items():
        table.add_row(Text(one_line(node)), *_cells(cost))
    table.add_section()
    table.add_row(Text("whole scene", "bold"), *_cells(total_cost(record.cost, record.seconds)))
    if record.replay is not None:
        table.add_row(
            Text("played again", "bold"), *_cells(total_cost(record.replay.cost, record.replay.seconds))
        )
    return table


def _cells(cost: NodeCost) -> tuple[str, str, str, str]:
    prompt = f"{cost.prompt_tokens:,} ({cost.cached_tokens:,})"
    return f"{cost.calls:,}", prompt, f"{cost.completion_tokens:,}", f"{cost.seconds:,.1f}"
