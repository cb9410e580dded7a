"""What is wrong with somebody's own prompt files, all of it and file by file."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import ValidationError

from prompts.loader import field_names
from prompts.prompt_set import EVALUATION, OURS, SHARED, PromptSet
from prompts.words import Words
from scene.errors import InputError
from scene.strict_yaml import NO_YAML, fault_of
from scene.text import printable

Faults = dict[str, list[str]]
"""What is wrong, by the file's path in its folder; of the folder itself under an empty name."""

_KEYS = frozenset({"system", "user", "examples", "after", "shows"})
_OF_EXAMPLES = frozenset({"of", "reply", "then", "prompt"})
_MISFIT = "does not fit the other files"
_SPELLED_TAG = re.compile(r"</?([^\W\d]\w*)>")


def read_folder(folder: Path) -> tuple[PromptSet, Faults]:
    """The set of a folder, with ours for the files that it lacks, and what is wrong with it.

    Only a set without a fault may be asked with.

    Raises:
        InputError: There is no such folder, or it can't be read.
    """
    own: dict[str, bytes] = {}
    faults: Faults = defaultdict(list)
    try:
        for path in _entries(folder):
            name = path.relative_to(folder).as_posix()
            if name not in OURS.files:
                faults[name].append("is none of the files that are read; `prompts copy` makes those")
                continue
            try:
                own[name] = path.read_bytes()
            except OSError as error:
                faults[name].append(f"can't be read ({error.strerror})")
    except OSError as error:
        raise InputError(
            f"{folder} can't be read ({error.strerror}); `monopolylogue prompts copy FOLDER` makes a folder."
        ) from error
    if not own and not faults:
        faults[""].append("holds no prompt file; `monopolylogue prompts copy` makes them")
    prompt_set = PromptSet({**OURS.files, **own}, str(folder.absolute()))
    for name in own:
        faults[name] += _file_faults(name.removesuffix(".yaml"), prompt_set)
    if any(fault != _MISFIT for found in faults.values() for fault in found):  # which may be why
        faults = {name: [fault for fault in found if fault != _MISFIT] for name, found in faults.items()}
    return prompt_set, {name: found for name, found in sorted(faults.items()) if found}


def _entries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and any(name.startswith(f"{path.name}/") for name in OURS.files):
            yield from (one for one in sorted(path.iterdir()) if not one.name.startswith("."))
        elif not path.name.startswith("."):
            yield path


def _file_faults(name: str, prompt_set: PromptSet) -> list[str]:
    try:
        data = prompt_set.read(name)
    except NO_YAML as error:
        return [fault_of(error)]
    if hidden := sorted({char for text in _texts(data) for char in set(text) - set(printable(text))}):
        return [f"holds characters that nobody sees: {', '.join(f'U+{ord(char):04X}' for char in hidden)}"]
    if name == "words":
        return list(_word_faults(data))
    if name == f"{EVALUATION}/principles":
        return list(principle_faults(data))
    if not isinstance(data, dict):
        return ["must hold names with a value each"]
    check = {"systems": _system_faults, "examples": _scene_faults}.get(name)
    return list(check(data, prompt_set) if check else _prompt_faults(name, data, prompt_set))


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from (*_texts(key), *_texts(value))
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)


def _word_faults(data: object) -> Iterator[str]:
    try:
        Words.model_validate(data)
    except ValidationError as error:
        for fault in error.errors():
            where = ".".join(map(str, fault["loc"]))
            said = fault["msg"].removeprefix("Value error, ")
            yield f"{where}: {said}" if where else said


def principle_faults(data: object) -> Iterator[str]:
    """What is wrong with a list of principles."""
    if not isinstance(data, list) or not data:
        yield "must hold principles, one a line, each after a dash"
        return
    for number, principle in enumerate(data, 1):
        if not isinstance(principle, str) or not principle.strip():
            yield f"principle {number} must be text; put it between quotation marks"
        elif "\n" in principle or printable(principle) != principle:
            yield f"principle {number} must be text on one line, without characters that nobody sees"


def _system_faults(data: Mapping[str, Any], prompt_set: PromptSet) -> Iterator[str]:
    wanted = OURS.read("systems")
    yield from _key_faults(data, wanted, wanted)
    for key in wanted.keys() & data.keys():
        if (fault := _place_faults(data[key], field_names(wanted[key]))) is not None:
            yield f"{key}: {fault}"
            continue
        try:
            tags = set(prompt_set.tags.names.values())
        except ValueError:
            return  # said of the words
        for tag in dict.fromkeys(_SPELLED_TAG.findall(data[key])):
            if tag not in tags:
                yield f"{key}: speaks of <{tag}>, and no material stands between such tags"


def _scene_faults(data: Mapping[str, Any], prompt_set: PromptSet) -> Iterator[str]:
    for name, scene in data.items():
        if not isinstance(scene, dict) or not all(isinstance(text, str) for text in scene.values()):
            yield f"{name}: must hold texts, each with a name"
        elif "telltale" not in scene:
            yield f"{name}: lacks telltale, the words that give a copy away"


def _prompt_faults(name: str, data: Mapping[str, Any], prompt_set: PromptSet) -> Iterator[str]:
    ours = OURS.read(name)
    before = tuple(_key_faults(data, {"user"}, _KEYS))
    yield from before
    for key in ("after", "shows"):
        if data.get(key) != ours.get(key):
            yield f"{key} must be {ours[key]}" if key in ours else f"{key} must be left out"
    if before:
        return
    if (fault := _place_faults(data["user"], field_names(ours["user"]))) is not None:
        yield f"user: {fault}"
        return
    try:
        named = data.get("system", "")
        if named and " " not in named and named not in prompt_set.read("systems"):
            yield f"system: {named!r} is none of those in systems.yaml"
            return
        wrong = list(_example_faults(name, data.get("examples", []), prompt_set))
        yield from wrong
        if not wrong:
            prompt_set.load(name)
    except NO_YAML as error:
        if not isinstance(error, ValidationError | UnicodeDecodeError):  # said of another file
            yield f"examples: {error}" if str(error).startswith("prompt ") else _MISFIT


def _example_faults(name: str, examples: object, prompt_set: PromptSet) -> Iterator[str]:
    if not isinstance(examples, list) or not all(isinstance(one, dict) for one in examples):
        yield "examples: must be a list, each with a reply and what the message is filled with"
        return
    scenes = prompt_set.read("examples")
    for number, entry in enumerate(examples, 1):
        where = f"example {number}"
        if "of" in entry and entry["of"] not in scenes:
            yield f"{where}: {entry['of']!r} is none of those in examples.yaml"
        then = entry.get("then", [])
        if not isinstance(then, list) or not all(isinstance(turn, dict) for turn in then):
            yield f"{where}: then must be a list of turns"
            then = []
        turns = [entry, *then]
        known = set(_OF_EXAMPLES)
        for turn in turns:
            if not isinstance(turn.get("reply"), str):
                yield f"{where}: lacks a reply, or it is no text; put it between quotation marks"
            prompt = name if turn is entry else turn.get("prompt")
            if f"{prompt}.yaml" not in OURS.files or prompt in SHARED:
                yield f"{where}: {prompt!r} is no prompt"
                continue
            known |= field_names(str(OURS.read(str(prompt))["user"]))
            if odd := [key for key, text in turn.items() if key != "then" and not isinstance(text, str)]:
                yield f"{where}: {', '.join(map(str, odd))} must be text; put it between quotation marks"
        unknown = sorted({str(key) for turn in turns for key in turn} - known)
        if unknown:
            yield f"{where}: no message has a place for {', '.join(unknown)}"


def _key_faults(data: Mapping[str, Any], wanted: Any, known: Any) -> Iterator[str]:  # noqa: ANN401  # names
    if missing := sorted(set(wanted) - data.keys()):
        yield f"lacks {', '.join(missing)}"
    if unknown := sorted(map(str, data.keys() - set(known))):
        yield f"has {', '.join(unknown)}, which nothing reads"


def _place_faults(text: object, wanted: frozenset[str]) -> str | None:
    """What is wrong with a message and its places to fill."""
    if not isinstance(text, str) or not text.strip():
        return "must be text; put it between quotation marks"
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        return f"has a brace that is no place to fill ({error}); a real one is written twice"
    found = {field for _, field, _, _ in parsed if field is not None}
    if odd := [field for _, field, spec, conversion in parsed if field is not None and (spec or conversion)]:
        return f"{{{odd[0]}}} must hold the name alone"
    told = [f"lacks {{{name}}}" for name in sorted(wanted - found)]
    told += [f"has {{{name}}}, which nothing fills" for name in sorted(found - wanted)]
    return ", ".join(told) or None
