"""An evaluation's folder: what was asked of it, and what is finished, so that the same command goes on."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from evaluation.records import Answer, Grade, Journal, Judgement, Likelihood
from evaluation.session import Sampling
from evaluation.systems import System
from prompts import OURS, PromptSet
from prompts.prompt_set import EVALUATION
from scene.errors import InputError
from scene.files import lock, replace_file
from scene.nouns import ModelIdentity, Noun
from scene.origin import SHOWN_DIGITS
from scene.settings import SceneSettings

MANIFEST, ANSWERS, LIKELIHOODS, JUDGEMENTS, GRADES = (
    "evaluation.json",
    "answers.jsonl",
    "likelihoods.jsonl",
    "judgements.jsonl",
    "grades.jsonl",
)

JUDGE, GRADER = "(judge)", "(grader)"
"""Stand for the judge and the grader among the models; no system can be called that."""


class Manifest(Noun):
    """What all answers in a folder have in common, and which models gave them.

    Attributes:
        prompts: Digest of the evaluation's prompts and of those of a scene.
        prompt_folder: Their folder, where they are not ours.
        models: The model of each system, and of the judge, once it was loaded.
        paces: Seconds that each takes for a token of a reply of forced length, where that was measured.
    """

    sampling: dict[str, int | float]
    scene: dict[str, int | float]
    prompts: tuple[str, str]
    prompt_folder: str | None = Field(default=None, exclude_if=lambda given: given is None)
    systems: dict[str, dict[str, Any]] = Field(default_factory=dict)
    models: dict[str, ModelIdentity] = Field(default_factory=dict)
    paces: dict[str, float] = Field(default_factory=dict)


class Store:
    """The folder, made if need be, and locked for this process from opening to closing.

    Raises:
        InputError: Another process evaluates into it, it is damaged or can't be written, or it holds answers
            that were made with other settings.
    """

    def __init__(
        self, folder: Path, sampling: Sampling, scene: SceneSettings, prompt_set: PromptSet = OURS
    ) -> None:
        self.folder, self.prompts = folder, prompt_set
        wanted = Manifest(
            sampling=asdict(sampling),
            scene=asdict(scene),
            prompts=(prompt_set.digest(EVALUATION), prompt_set.digest()),
            prompt_folder=prompt_set.folder,
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(folder / ".lock")
        except BlockingIOError as error:
            raise InputError(
                f"Another process evaluates into {folder}; wait until it ends, or give another --out."
            ) from error
        except OSError as error:
            raise InputError(f"{folder} can't be written ({error.strerror}); give another --out.") from error
        try:
            self.manifest = self._read(wanted)
            self.answers = Journal(folder / ANSWERS, Answer)
            self.likelihoods = Journal(folder / LIKELIHOODS, Likelihood)
            self.judgements = Journal(folder / JUDGEMENTS, Judgement)
            self.grades = Journal(folder / GRADES, Grade)
        except BaseException:
            os.close(self._lock)
            raise

    def add(self, systems: Mapping[str, System]) -> None:
        """Note the systems; one that was there before must be what it was.

        Raises:
            InputError: It is another one.
        """
        given = {name: asdict(system) for name, system in systems.items()}
        for name, system in given.items():
            before = system | self.manifest.systems.get(name, {}) | {"group": system["group"]}
            if changed := next((key for key in system if system[key] != before[key]), None):
                raise self._changed(f"{changed} of the system {name}", before[changed], system[changed])
        self._write(self.manifest.model_copy(update={"systems": self.manifest.systems | given}))

    def loaded(self, name: str, model: ModelIdentity) -> None:
        """Note which model a system turned out to be.

        Raises:
            InputError: It was another one, or had other weights.
        """
        self.check(name, model.id, model.revision)
        self._write(self.manifest.model_copy(update={"models": self.manifest.models | {name: model}}))

    def paced(self, name: str, seconds: float) -> None:
        """Note how long a system takes for a token."""
        self._write(self.manifest.model_copy(update={"paces": self.manifest.paces | {name: seconds}}))

    def check(self, name: str, model_id: str, revision: str | None) -> None:
        """See that a system's model, where it is known already, is what it was.

        Raises:
            InputError: It was another one, or had other weights.
        """
        before = self.manifest.models.get(name)
        if before is None:
            return
        whose = {JUDGE: "the judge", GRADER: "the grader"}.get(name, name)
        if before.id != model_id:
            raise self._changed(f"the model of {whose}", before.id, model_id)
        if before.revision != revision:
            raise self._changed(f"the revision of the weights of {whose}", before.revision, revision)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, wanted: Manifest) -> Manifest:
        path = self.folder / MANIFEST
        if not path.exists():
            if any(self.folder.glob("*.jsonl")):
                raise InputError(
                    f"{self.folder} holds something else than an evaluation; give another --out."
                )
            return wanted
        try:
            found = Manifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputError(f"{path} is damaged; give another --out.") from error
        for what in ("sampling", "scene"):
            before, now = getattr(found, what), getattr(wanted, what)
            if before != now:
                name = next(key for key in now if now[key] != before.get(key))
                raise self._changed(name, before.get(name), now[name])
        for before, now in zip(found.prompts, wanted.prompts, strict=True):
            if before != now:
                raise self._changed("prompts", before[:SHOWN_DIGITS], now[:SHOWN_DIGITS])
        return found

    def _write(self, manifest: Manifest) -> None:
        self.manifest = manifest
        replace_file(self.folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")

    def _changed(self, what: str, before: object, now: object) -> InputError:
        return InputError(
            f"{self.folder} was made with other settings: {what} was {before} and is {now} now; "
            "give another --out, or the same settings."
        )
