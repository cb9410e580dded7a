"""How much an engine computes and keeps at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is computed and kept at once.

    Attributes:
        rows: Rows in the running batch.
        prefill_tokens: Prompt tokens, padding included, computed between two decode steps.
        cached_tokens: Tokens the cache can grow to with all rows at their caps, padding included. One row is
            always let in. Memory is held for at most about twice as many; see `SPARE` in `kv_cache`.
        prefix_bytes: Keys and values of prompts that are kept to be used again; 0 keeps none.
        pass_tokens: Tokens that are computed in about the time that a forward pass takes before its first
            one. To spare fewer, no pass is worth adding.
    """

    rows: int
    prefill_tokens: int
    cached_tokens: int
    prefix_bytes: int = 2**30
    pass_tokens: int = 48


CPU_LIMITS = Limits(rows=64, prefill_tokens=512, cached_tokens=65_536, prefix_bytes=2**30, pass_tokens=48)
"""On a CPU larger prefills only make running rows wait. 65,536 tokens of the default model take 1.8 GB, and
1 GiB keeps 37,000 tokens of prompts."""

ACCELERATOR_LIMITS = Limits(
    rows=128, prefill_tokens=8_192, cached_tokens=262_144, prefix_bytes=4 * 2**30, pass_tokens=512
)
"""A GPU needs more at once to be busy, and says when its memory is full; then the engine takes fewer rows and
keeps less, until memory has sufficed for a while."""
