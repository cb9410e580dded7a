"""One list of end tokens for training and engines, from all that names any."""

import pytest

from finetune.encoding import Encoder
from inference.end_tokens import end_tokens
from tests.inference.tiny_llama import CHATML, engine, llama, tokenizer

HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% endfor %}"
)


@pytest.mark.parametrize(
    ("tokenizers", "config", "generation", "template", "ends"),
    [
        (0, 0, 0, CHATML, [0, 2]),
        (2, None, None, None, [2]),
        (None, 0, [1, 2], "{{ messages[0].content }}", [0, 1, 2]),
        (0, None, None, CHATML.replace("<|im_end|>", "."), [0]),
        (0, None, 2, "{{ raise_exception('no') }}", [0, 2]),
    ],
)
def test_the_list_is_one(tokenizers, config, generation, template, ends) -> None:
    words = tokenizer(template)
    model = llama(len(words))
    words.eos_token = None if tokenizers is None else words.convert_ids_to_tokens(tokenizers)
    model.config.eos_token_id, model.generation_config.eos_token_id = config, generation
    assert end_tokens(words, model) == ends
    if template is not None:
        assert Encoder(words, model, "x").ends == set(ends)
        made = engine(model, words)
        made.close()
        assert made._end_ids == set(ends)


def test_a_file_without_configuration_ends_at_what_is_usual() -> None:
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
    assert end_tokens(words, None) == [2, 0, words.convert_tokens_to_ids("<|end|>")]


def test_a_message_of_gpt_oss_is_no_turn() -> None:
    words = tokenizer(HARMONY)
    marks = [f"<|{mark}|>" for mark in ("start", "channel", "message", "end", "return")]
    words.add_special_tokens({"additional_special_tokens": marks})
    assert end_tokens(words, None) == [2, 0, words.convert_tokens_to_ids("<|return|>")]
