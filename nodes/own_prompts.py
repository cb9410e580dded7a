"""Somebody's own prompts: read strictly, their examples held to the shapes that replies are held to."""

import re
from collections.abc import Iterator
from pathlib import Path

from nodes.prose import Shape
from nodes.shapes import Shapes
from prompts import PromptSet
from prompts.check import Faults, principle_faults, read_folder
from prompts.loader import Example
from prompts.prompt_set import EVALUATION
from scene.errors import InputError
from scene.strict_yaml import NO_YAML, fault_of

PRINCIPLES = f"{EVALUATION}/principles"


def read_prompts(folder: Path) -> PromptSet:
    """The prompts of a folder, with ours for the files that it lacks.

    Raises:
        InputError: It holds something else; the sentence names the first fault and says how many there are.
    """
    prompt_set, faults = checked(folder)
    if faults:
        name, (first, *_) = next(iter(faults.items()))
        number = sum(map(len, faults.values()))
        raise InputError(
            f"{folder / name}: {first}; `monopolylogue prompts check {folder}` lists what is to be mended "
            f"({number} in all)."
        )
    return prompt_set


def checked(folder: Path) -> tuple[PromptSet, Faults]:
    """The prompts of a folder, and everything that is wrong with them, by file.

    Raises:
        InputError: There is no such folder.
    """
    prompt_set, faults = read_folder(folder)
    if not faults:
        found = {f"{name}.yaml": list(_example_faults(name, prompt_set)) for name in prompt_set.names()}
        faults = {name: told for name, told in found.items() if told}
    return prompt_set, faults


def with_principles(prompt_set: PromptSet, path: Path) -> PromptSet:
    """A set with other principles for the methods that go by some.

    Raises:
        InputError: The file can't be read, or holds something else than a list of them.
    """
    try:
        files = {**prompt_set.files, f"{PRINCIPLES}.yaml": path.read_bytes()}
        made = PromptSet(files, prompt_set.folder)
        faults = list(principle_faults(made.read(PRINCIPLES)))
    except (OSError, *NO_YAML) as error:
        raise InputError(f"{path} {fault_of(error)}; give a YAML file.") from error
    if faults:
        raise InputError(f"{path}: {faults[0]}.")
    return made


def _example_faults(name: str, prompt_set: PromptSet) -> Iterator[str]:
    """What is wrong with the example turns of a prompt, as replies to it."""
    prompt = prompt_set.load(name)
    if prompt.after:
        return  # they are those of that one
    for example in prompt.examples:
        if odd := _unshaped(example, prompt_set):
            yield f"an example of {example.prompt} has not the shape that replies are held to: {odd!r}"
        if example.reply in example.user:
            yield f"a reply stands in its own message, so that a model learns to copy: {example.reply!r}"


def _unshaped(example: Example, prompt_set: PromptSet) -> str:
    """What of an example's reply has not the shape that replies are held to; empty where all of it has."""
    words, shapes = prompt_set.words, Shapes(prompt_set.words)
    role, reply = "r[0-9]", example.reply
    lines = reply.splitlines()
    one_of: dict[str, tuple[str, ...]] = {
        "effect": tuple(words.effects.values()),
        "stance": tuple(words.stances.values()),
        "compare": (words.first, words.second),
        "safe": (words.yes, words.no),
    }
    if example.prompt in one_of:
        return "" if reply in one_of[example.prompt] else reply
    if example.prompt in ("cast", "plan"):
        parts = [line.partition(": ")[0] for line in lines]
        if example.prompt == "cast" and (odd := [part for part in parts if part not in words.parts]):
            return odd[0]
        shape = shapes.cast(parts) if example.prompt == "cast" else shapes.plan(len(lines))
        formed = zip(shape.forms, lines, strict=True)
        return next((line for form, line in formed if not re.fullmatch(form, line)), "")
    held_to: dict[str, tuple[Shape, ...]] = {
        "situation": (shapes.situation(),),
        "memory": (shapes.memory,),
        "role_action": (shapes.reaction,),
        "role_again": (shapes.reaction,),
        "routing": (shapes.refused, shapes.admitted(role, len(words.parts))),
        "consequence": (shapes.consequence(role),),
        "critique": (shapes.instead,),
    }
    either = held_to.get(example.prompt, ())
    return reply if either and not any(re.fullmatch(one.pattern, reply) for one in either) else ""
