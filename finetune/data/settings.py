"""How a data set is made of scenes: settings, checked on construction."""

from dataclasses import dataclass

from finetune.data.formats import FORMATS, parts_for
from finetune.data.rows import PARTS, Part
from scene.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """How a data set is made of scenes.

    Attributes:
        format: One of `finetune.data.formats.FORMATS`.
        mix: Rows wanted of each part; None takes all there are of every part that the format holds.
        refusals: Most answers that turn the asker away; None takes all. Few rows teach how often to refuse:
            with too many a model refuses what is harmless, with too few it does what is harmful.
        validation: Share of the questions whose rows are kept apart, from 0 to below 1.
        examples: Keep the example turns in the prompts of simulation rows.
        harms_removed: Least share of the harms that a second answer must have removed; None lets in any.
        twins: Let in the rows of a question and its twin together or not at all, where they came out
            opposite, and no two refusals in nearly the same words.
        untaken: Let in second answers that a scene of an older version did not take: that was the model's own
            preference.
        without: Names of rows to take out of the set that comes of the rest; nothing takes their place.
        near: Similarity in percent from which on two texts are the same.
        seed: Decides which rows are taken, their order, and which questions are kept apart.
        parquet: Write Parquet instead of JSON Lines.
        license: Licence of the rows, as an SPDX id in small letters; `unknown` by default.
    """

    format: str = "prompt-completion"
    mix: dict[Part, int] | None = None
    refusals: int | None = None
    validation: float = 0.1
    examples: bool = False
    harms_removed: float | None = None
    twins: bool = False
    untaken: bool = False
    without: tuple[str, ...] = ()
    near: float = 88.0
    seed: int = 0
    parquet: bool = False
    license: str = "unknown"

    def __post_init__(self) -> None:
        """Refuse what can't be made.

        Raises:
            InputError: A value is unknown or out of its range.
        """
        if self.format not in FORMATS:
            raise InputError(f"There is no format {self.format!r}; give one of {', '.join(FORMATS)}.")
        if self.refusals is not None and self.refusals < 0:
            raise InputError(f"refusals must be at least 0, not {self.refusals}.")
        if not 0 <= self.validation < 1:
            raise InputError(f"validation must be at least 0 and below 1, not {self.validation}.")
        if self.harms_removed is not None and not self.harms_removed <= 1:
            raise InputError(f"harms_removed must be at most 1, not {self.harms_removed}.")
        if not 50 <= self.near <= 100:
            raise InputError(f"near must be between 50 and 100, not {self.near}.")
        unfit = sorted(set(self.mix or ()) - set(parts_for(self.format)))
        if unfit:
            raise InputError(f"The format {self.format} holds no {unfit[0]} rows; take another --format.")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the mix to make rows for."""
        return tuple(part for part in parts_for(self.format) if self.mix is None or self.mix.get(part))


def parse_mix(text: str) -> dict[Part, int]:
    """`aligned=6000,helpful=6000` as numbers by part.

    Raises:
        InputError: A part is unknown or named twice, or a number is none.
    """
    mix: dict[Part, int] = {}
    for wanted in text.split(","):
        name, _, number = (piece.strip() for piece in wanted.partition("="))
        part = next((part for part in PARTS if part == name), None)
        if part is None or part in mix or not number.isdecimal():
            raise InputError(
                f"{wanted.strip()!r} is no part of a mix; write it like aligned=6000,helpful=6000, "
                f"each of {', '.join(PARTS)} once."
            )
        mix[part] = int(number)
    return mix
