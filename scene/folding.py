"""Tables that lose no letter where a terminal is narrow."""

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WORD = 16
"""Width of a column in which text can be read; what is longer is folded. Numbers are not."""


class FoldingTable(Table):
    """A table that folds what does not fit, where rich's own would end it with an ellipsis.

    Where there is no room for a word of each column, every row is told field by field.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show it as it fits."""
        for column in self.columns:
            column.overflow = "fold"
        if self._least(console, options) > options.max_width:
            yield from self._told(console)
        else:
            yield from super().__rich_console__(console, options)

    def _least(self, console: Console, options: ConsoleOptions) -> int:
        """How wide it must be for a word of each column."""
        wide = options.update(max_width=10_000)
        least = Measurement.get(console, wide, self).minimum
        for column in self.columns:
            cells = (column.header, *column.cells)
            words, lines = zip(*(Measurement.get(console, wide, cell) for cell in cells), strict=True)
            longest = max(words)
            if column.width is not None:
                continue
            if column.no_wrap:
                least += max(lines) - longest
            elif column.justify == "left":
                measured = all(isinstance(cell, str | Text) for cell in cells)
                least += (min(longest, WORD) if measured else WORD) - longest
        return least

    def _told(self, console: Console) -> RenderResult:
        def text(cell: RenderableType) -> Text:
            return console.render_str(cell) if isinstance(cell, str) else cell  # type: ignore[return-value]

        if self.title:
            yield Text(str(self.title), self.title_style or "")
        names = [text(column.header) for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            if self.show_header:
                yield Text("")
                for name, cell in zip(names, map(text, row), strict=True):
                    if cell:
                        yield Text.assemble((f"{name}: " if name else "", "dim"), cell)
            else:
                *labels, last = map(text, row)
                yield Text(" ").join(label for label in labels if isinstance(label, Text) and label)
                yield Padding(last, (0, 0, 0, 2))
