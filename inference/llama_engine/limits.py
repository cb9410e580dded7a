"""How much the engine computes and keeps at once."""

from dataclasses import dataclass

STEP_TOKENS = 31
"""Tokens computed in one pass, at most. From 32 on the library multiplies in another way, which is a tenth
faster with some number formats and wrong with others: the tiny model's logits then correlate with the right
ones by 0.86 instead of 0.999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is computed and kept at once.

    Attributes:
        rows: Rows that run at once.
        cells: Tokens that there is room for. More is made when a row needs it for itself.
        crowded: Tokens in cells from which on no further row joins. Each token attends to all of them.
        prefix_bytes: Keys and values of prompts that wait in memory to be used again; 0 keeps none.
        step_tokens: Tokens computed in one pass.
    """

    rows: int = 16
    cells: int = 4_096
    crowded: int = 2_560
    prefix_bytes: int = 192 * 2**20
    step_tokens: int = STEP_TOKENS
