"""What a scene was played with beside its settings, and in what two such things differ."""

from collections.abc import Mapping

from scene.nouns import ModelIdentity

SHOWN_DIGITS = 12
"""As many digits of a digest tell one set of prompts from another."""


def played_with(model: ModelIdentity, prompt_digest: str) -> dict[str, str | None]:
    """Everything that another scene would come of if it changed; the machine is not among it."""
    return {
        "model": model.id,
        "model revision": model.revision,
        "engine": model.engine,
        "dtype": model.details.get("dtype"),
        "prompts": prompt_digest[:SHOWN_DIGITS],
    }


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What differs, one phrase each, in the order of what was there before."""
    names = [*before, *(name for name in now if name not in before)]
    return [
        f"{name} was {before.get(name)} and is now {now.get(name)}"
        for name in names
        if before.get(name) != now.get(name)
    ]
