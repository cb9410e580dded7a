"""The one place that reads `MONOPOLYLOGUE_*`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scene.errors import InputError

PREFIX = "MONOPOLYLOGUE_"

BASE_URLS = (PREFIX + "BASE_URL", "OPENAI_BASE_URL")
"""Variables with the address of a server; the second is that of every program that speaks to one."""

WORDS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
"""What a switch may say; the command line takes the same words."""


def setting(name: str, default: str) -> str:
    """Value of a setting.

    Its name, such as `CACHE`, is without the prefix. An empty variable says nothing.
    """
    return os.environ.get(PREFIX + name) or default


def folder(name: str, default: str | Path) -> Path:
    """A setting that is a folder, as an absolute path; it need not exist.

    Raises:
        InputError: It is in the home of somebody whom this machine does not know.
    """
    said = setting(name, str(default))
    try:
        return Path(said).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{PREFIX}{name} names no folder: there is no home for {said!r}.") from error


def switch(name: str) -> bool:
    """Whether a switch is on; without a word it is off.

    Raises:
        InputError: It says neither yes nor no.
    """
    word = setting(name, "no")
    if (on := WORDS.get(word.strip().lower())) is None:
        raise InputError(f"{PREFIX}{name} must be yes or no, not {word!r}.")
    return on


def numbers(defaults: Mapping[str, int | float]) -> dict[str, int | float]:
    """Settings that are numbers, by their names in small letters; of the kind that their defaults are.

    Raises:
        InputError: A variable is no such number.
    """
    found: dict[str, int | float] = {}
    for name, default in defaults.items():
        said = setting(name.upper(), str(default))
        try:
            found[name] = type(default)(said)
        except ValueError:
            raise InputError(f"{PREFIX}{name.upper()} must be a number, not {said!r}.") from None
    return found


def model_settings() -> dict[str, Any]:
    """Which model to load, and how, for whoever has no command line: arguments of `load_engine`.

    The command has an option for each of these. What `load_engine` reads itself is not among them.

    Raises:
        InputError: A switch says neither yes nor no.
    """
    return {
        "model": setting("MODEL", "default"),
        "engine": setting("ENGINE", "auto"),
        "dtype": setting("DTYPE", "auto"),
        "device": setting("DEVICE", "auto"),
        "base_url": next(filter(None, map(os.environ.get, BASE_URLS)), None),
        "structured": not switch("NO_STRUCTURED"),
    }
