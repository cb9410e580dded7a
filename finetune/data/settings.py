"""How a data set is made of scenes: settings, checked on construction."""

from __future__ import annotations

from dataclasses import dataclass

from finetune.data.formats import FORMATS, kinds_for
from finetune.data.rows import KINDS, RowKind
from scene.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """How a data set is made of scenes.

    Attributes:
        format: `prompt-completion`, `messages`, `sharegpt` or `preference`.
        mix: Rows wanted of each kind; None takes all there are of every kind that the format holds.
        refusals: Most answers that turn the asker away; None takes all. Few rows teach how often to refuse:
            with too many a model refuses what is harmless, with too few it does what is harmful.
        validation: Share of the questions whose rows are kept apart, from 0 to below 1.
        examples: Keep the example turns in the prompts of simulation rows.
        harms_removed: Least share of the harms that a second answer must have removed; None lets in any.
        near: Similarity in percent from which on two texts are the same.
        seed: Decides which rows are taken, their order, and which questions are kept apart.
        parquet: Write Parquet instead of JSON Lines.
        license: Licence of the rows, as an SPDX id in small letters; `unknown` by default.
    """

    format: str = "prompt-completion"
    mix: dict[RowKind, int] | None = None
    refusals: int | None = None
    validation: float = 0.1
    examples: bool = False
    harms_removed: float | None = None
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
        unfit = sorted(set(self.mix or ()) - set(kinds_for(self.format)))
        if unfit:
            raise InputError(f"The format {self.format} holds no {unfit[0]} rows; take another --format.")

    @property
    def kinds(self) -> tuple[RowKind, ...]:
        """Kinds of rows to make."""
        return kinds_for(self.format) if self.mix is None else tuple(k for k in KINDS if self.mix.get(k))


def parse_mix(text: str) -> dict[RowKind, int]:
    """`aligned=6000,helpful=6000` as numbers by kind.

    Raises:
        InputError: A kind is unknown or named twice, or a number is none.
    """
    mix: dict[RowKind, int] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        kind = next((kind for kind in KINDS if kind == name), None)
        if kind is None or kind in mix or not number.isdecimal():
            raise InputError(
                f"{part.strip()!r} is no part of a mix; write it like aligned=6000,helpful=6000, "
                f"each of {', '.join(KINDS)} once."
            )
        mix[kind] = int(number)
    return mix
