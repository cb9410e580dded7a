"""Options that come together: one parameter of a command stands for several, which Typer can't say."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """Put into an annotation: the parameter is what a function makes of its own parameters, but for some."""

    make: Callable[..., Any]
    without: tuple[str, ...] = ()


def grouped(command: Callable[..., T]) -> Callable[..., T]:
    """A command as Typer takes it: for a group, or a dataclass, there are the options it is made of."""
    hints = get_type_hints(command, include_extras=True)
    shown: dict[str, inspect.Parameter] = {}
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        marks = [one for one in getattr(hints[name], "__metadata__", ()) if isinstance(one, Group)]
        if is_dataclass(hints[name]):
            marks = [Group(hints[name])]
        if not marks:
            shown[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        make = grouped(marks[0].make)
        taken = inspect.signature(make).parameters
        own = {key: one for key, one in taken.items() if key not in marks[0].without}
        groups[name] = make, list(own)
        shown |= own

    @wraps(command, updated=())
    def called(**given: Any) -> T:
        for name, (make, own) in groups.items():
            given[name] = make(**{one: given.pop(one) for one in own})
        return command(**given)

    called.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
    called.__annotations__ = {name: one.annotation for name, one in shown.items()}
    return called
