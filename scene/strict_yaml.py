"""YAML that somebody wrote by hand: nothing is overlooked, or taken for what it was not meant as."""

from collections.abc import Hashable
from typing import Any

import yaml

NO_YAML = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError
)  # fmt: skip
"""What the loader raises: on purpose, at a tag whose value is none (`!!bool perhaps`), at 3,000 brackets."""


class _Loader(yaml.SafeLoader):
    """Takes a date for the text that it is, since nothing here holds dates and `2024-13-45` is none.

    A name that comes twice is refused: the first value would be lost.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping whose names are all different."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} comes twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def fault_of(error: Exception) -> str:
    """What is wrong with a file that can't be read or holds something else, as in "is no text in UTF-8"."""
    if isinstance(error, OSError):
        return f"can't be read ({error.strerror})"
    if isinstance(error, UnicodeDecodeError):
        return "is no text in UTF-8"
    return f"is not valid YAML: {' '.join(str(error).split())}"


def loaded(text: str) -> Any:  # noqa: ANN401  # whatever it holds
    """What a text holds.

    Raises:
        Exception: One of `NO_YAML`.
    """
    return yaml.load(text, Loader=_Loader)  # a SafeLoader
