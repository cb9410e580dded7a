"""The prompts and replies of a scene, one at a time."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from cli.views.step_view import call_text, call_title
from scene.record import ModelCall


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
