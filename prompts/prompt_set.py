"""A set of prompt files: ours, or a folder's where it has any and ours where it hasn't."""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from prompts.loader import Example, Prompt, Tags, field_names, fill
from prompts.words import Words
from scene.strict_yaml import loaded

FOLDER = Path(__file__).parent
EVALUATION = "evaluation"
"""Folder of the prompts that compare systems."""

SHARED = frozenset({"examples", "systems", "words", f"{EVALUATION}/principles"})
"""Names of the files that are no prompts."""


class PromptSet:
    """Prompt files, read once: what plays a scene does not change while it is played.

    Attributes:
        files: What each file holds, by its path in the folder.
        folder: The folder that holds files of its own; None for ours.
    """

    def __init__(self, files: Mapping[str, bytes], folder: str | None = None) -> None:
        self.files = dict(sorted(files.items()))
        self.folder = folder
        self._parsed: dict[str, Any] = {}
        self._prompts: dict[str, Prompt] = {}

    def load(self, name: str) -> Prompt:
        """The prompt of a call.

        Raises:
            FileNotFoundError: No such prompt.
            ValueError: An example's fields are not those of the message.
        """
        if name not in self._prompts:
            self._prompts[name] = self._made(name)
        return self._prompts[name]

    def names(self, folder: str = "") -> tuple[str, ...]:
        """Names of all prompts of a scene, sorted; of `evaluation` those that compare systems."""
        return tuple(
            name
            for name in (path.removesuffix(".yaml") for path in self.files)
            if name.rpartition("/")[0] == folder and name not in SHARED
        )

    def digest(self, folder: str = "") -> str:
        """SHA-256 over the prompt files of a scene, in hex; it changes when any word of any of them does.

        Those of `evaluation` count by themselves: another judge makes no other scene.
        """
        total = hashlib.sha256()
        for path, held in self.files.items():
            parent, _, name = path.rpartition("/")
            if parent == folder:
                total.update(name.encode() + b"\0" + held + b"\0")
        return total.hexdigest()

    @cached_property
    def words(self) -> Words:
        """What the code says in prompts itself, or waits for in replies."""
        return Words.model_validate(self.read("words"))

    @cached_property
    def tags(self) -> Tags:
        """What material stands between."""
        return Tags(self.words.tags)

    @property
    def principles(self) -> str:
        """The principles that some methods go by, one a line."""
        return "\n".join(f"- {principle}" for principle in self.read(f"{EVALUATION}/principles"))

    @property
    def mark(self) -> str:
        """What a scene keeps of the set it is played with; empty for ours."""
        return "" if self.digest() == OURS.digest() else self.digest()

    def read(self, name: str) -> Any:  # noqa: ANN401  # what is in the file
        """What a file holds.

        Raises:
            FileNotFoundError: There is no such file.
        """
        if name not in self._parsed:
            if f"{name}.yaml" not in self.files:
                raise FileNotFoundError(f"There is no prompt {name}.")
            self._parsed[name] = loaded(self.files[f"{name}.yaml"].decode("utf-8-sig"))
        return self._parsed[name]

    def _made(self, name: str) -> Prompt:
        data = self.read(name)
        user = data["user"].strip()
        common = frozenset(word.casefold() for word in self.words.common)
        if after := data.get("after"):
            begun = self.load(after)
            return Prompt(name, begun.system, user, begun.examples, begun.telltale, after, common, self.tags)
        systems, scenes = self.read("systems"), self.read("examples")
        examples = []
        if "shows" in data:
            tag = self.tags.names["question"]
            asked = re.compile(f"<{tag}>.*?</{tag}>", re.DOTALL)
            for one in self.load(data["shows"]).examples:
                found = asked.search(one.user)
                assert found is not None
                examples.append(Example(found[0], one.reply, name))
        for entry in data.get("examples", ()):
            given = (scenes[entry["of"]] if "of" in entry else {}) | entry
            for turn in ({"prompt": name}, *entry.get("then", ())):
                said = user if turn["prompt"] == name else self.read(turn["prompt"])["user"].strip()
                fields = {key: turn.get(key, given.get(key)) for key in field_names(said)}
                filled = fill(f"{name} (example)", said, fields, self.tags)
                examples.append(Example(filled, turn.get("reply", entry["reply"]), turn["prompt"]))
        words = {word.casefold() for scene in scenes.values() for word in scene["telltale"].split(", ")}
        telltale = frozenset(words if examples else ())
        named = data.get("system", "")
        system = systems.get(named, named).format(material=systems["material"])
        return Prompt(name, system.strip(), user, tuple(examples), telltale, "", common, self.tags)


OURS = PromptSet({path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*.yaml")})
"""The set that is played with where no other one is given."""
