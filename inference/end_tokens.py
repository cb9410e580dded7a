"""Where a turn ends: the one list of end tokens for training, engines and the check after a training."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING

from jinja2.exceptions import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEMPLATE_ERRORS = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What rendering a chat template raises: its own refusals, and what a mistake in it leads to."""

_USUAL = ("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|end|>", "<end_of_turn>")
"""Those that end a reply where there is no configuration: a GGUF file names one, but there are more."""

_REPLY = "Yes."


def end_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel | None) -> list[int]:
    """Every token that ends a reply: the tokenizer's first, the configurations', and the chat template's.

    Where there is but a GGUF file, there is no model.
    """
    listed: list[int | list[int] | None] = [tokenizer.eos_token_id]
    if model is None:
        added = tokenizer.get_added_vocab()
        # To gpt-oss, which has channels, this one ends a message and not the turn.
        usual = [token for token in _USUAL if token != "<|end|>" or "<|channel|>" not in added]
        listed += [added[token] for token in usual if token in added]
    else:
        generation = model.generation_config
        listed += [
            model.config.get_text_config().eos_token_id,
            None if generation is None else generation.eos_token_id,
        ]
    listed += [_ends_in_template(tokenizer)]
    ends = (token for some in listed for token in (some if isinstance(some, list) else [some]))
    return list(dict.fromkeys(int(token) for token in ends if token is not None))


def _ends_in_template(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The first control token that the chat template writes after a reply, and those that follow at once."""
    chat = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": _REPLY}]
    try:
        said = str(tokenizer.apply_chat_template(chat, tokenize=False))
    except TEMPLATE_ERRORS:  # it refuses the chat, or there is none
        return []
    added = {*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids}
    _, found, after = said.rpartition(_REPLY)
    ids = tokenizer(after if found else "", add_special_tokens=False)["input_ids"]
    return list(takewhile(added.__contains__, dropwhile(lambda token: token not in added, ids)))
