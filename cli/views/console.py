"""The console that everything is shown on: text as it is, no colours or marks of its own invention."""

import errno
import os
from typing import Any

from rich.console import Console
from rich.text import Text

from scene.text import printable


class PlainConsole(Console):
    """Leaves a reader that went away to the caller; rich would raise SystemExit inside the event loop."""

    def on_broken_pipe(self) -> None:
        """Raise what asyncio can clean up after, and print no more."""
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def print(self, *objects: Any, **options: Any) -> None:
        """Lines of plain text are left as long as they are, for who reads them elsewhere or copies them."""
        text = any(isinstance(one, str) for one in objects)
        super().print(*objects, **({"soft_wrap": True} if text else {}) | options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A plain string without what would act on the terminal; a `Text` is its maker's affair."""
        return super().render_str(printable(text), **options)


def plain_console(*, stderr: bool = False) -> Console:
    """A console for standard output or standard error that takes no text for markup."""
    return PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False)


def is_live(console: Console) -> bool:
    """Whether lines can be drawn over: a terminal, whatever colours were asked for, that moves its cursor."""
    return console.file.isatty() and not console.is_dumb_terminal
