"""Where an answer begins, by the templates of models that think: no thought is left open, none is learned."""

import re
from pathlib import Path

import pytest

from finetune.encoding import Encoder
from inference.batching.chat_prompt import ChatPrompts
from inference.engine import ChatMessage
from tests.inference.tiny_llama import CHATML, tokenizer

EMPTY = "<think>\n\n</think>\n\n"
OFF = "{% if enable_thinking is defined and enable_thinking is false %}{}{% endif %}"


def opening(written: str) -> str:
    """ChatML whose generation prompt ends in something."""
    return CHATML.replace("assistant\n{% endif %}", f"assistant\n{written}{{% endif %}}")


def lasting(template: str, written: str) -> str:
    """The same with something before the last reply too."""
    last = "{% if m.role == 'assistant' and loop.last %}" + written + "{% endif %}"
    return template.replace("{{ m.content }}", last + "{{ m.content }}")


QWEN3 = opening(OFF.replace("{}", EMPTY))
HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m.content }}{% if loop.last and m.role == 'assistant' %}<|return|>{% else %}<|end|>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
MARKS = re.compile(r"<\|?[a-zA-Z_]+\|?>|<｜[^｜]+｜>")
TEMPLATES = {
    "chatml": (CHATML, "assistant\n"),
    "switched off": (QWEN3, f"assistant\n{EMPTY}"),
    "before the last reply": (lasting(QWEN3, EMPTY), f"assistant\n{EMPTY}"),
    "opened": (opening("<think>\n"), f"assistant\n{EMPTY}"),
    "opened, empty before a reply": (lasting(opening("<think>\n"), EMPTY), f"assistant\n{EMPTY}"),
    "opened without a line": (opening("<think>"), "assistant\n<think>\n</think>\n\n"),
    "in brackets": (opening("[THINK]"), "assistant\n[THINK]\n[/THINK]\n\n"),
    "switched off by its end": (
        lasting(opening("{% if thinking %}<think>{% else %}</think>{% endif %}"), "</think>"),
        "assistant\n</think>",
    ),
    "its end alone": (opening("</think>"), "assistant\n</think>"),
    "a budget of 0": (
        opening("{% if thinking_budget == 0 %}<seed:think>None.</seed:think>{% endif %}"),
        "assistant\n<seed:think>None.</seed:think>",
    ),
    "channels": (HARMONY, "<|start|>assistant<|channel|>final<|message|>"),
    "no generation prompt": (CHATML.replace("<|im_start|>assistant\n", ""), "<|im_start|>assistant\n"),
}


def words_of(name: str):
    words = tokenizer(TEMPLATES[name][0])
    if name == "channels":
        marks = "start channel message constrain end return call".split()
        words.add_special_tokens({"additional_special_tokens": [f"<|{mark}|>" for mark in marks]})
        words.eos_token = "<|return|>"
    return words


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("system", [(), (ChatMessage("system", "Be kind."),)], ids=["", "system"])
def test_all_that_comes_before_an_answer_is_in_the_prompt(name: str, system: tuple[ChatMessage, ...]) -> None:
    words = words_of(name)
    chat = [
        *system,
        ChatMessage("user", "How? <think>"),
        ChatMessage("assistant", "So."),
        ChatMessage("user", "Why?"),
    ]
    ids = ChatPrompts(words, name).token_ids(chat)
    assert words.decode(ids).endswith(TEMPLATES[name][1])
    encoded = Encoder(words, None, name).encode(chat, "Boil it.")
    assert encoded.prompt == ids
    assert words.decode(encoded.answer) == f"Boil it.{words.eos_token}"


@pytest.mark.parametrize(
    ("family", "end"),
    [
        ("cohere2", "<|CHATBOT_TOKEN|><|START_RESPONSE|>"),
        ("deepseek_r1_distill", "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("gemma4", "<|turn>model\n"),
        ("glm4moe_training", "<|assistant|>\n<think></think>\n"),
        ("gptoss", "<|start|>assistant<|channel|>final<|message|>"),
        ("llama3", "<|end_header_id|>\n\n"),
        ("nemotron_3_nano", "assistant\n<think></think>"),
        ("phi3", "<|assistant|>\n"),
        ("qwen3", f"assistant\n{EMPTY}"),
        ("qwen3_6", f"assistant\n{EMPTY}"),
        ("qwen3_instruct_2507", "assistant\n"),
    ],
)
def test_the_families_own_templates(family: str, end: str) -> None:
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / f"{family}.jinja").read_text(encoding="utf-8")
    words = tokenizer(template)
    words.add_special_tokens({"additional_special_tokens": sorted(set(MARKS.findall(template)))})
    chat = [ChatMessage("system", "Be kind."), ChatMessage("user", "Why?")]
    ids = ChatPrompts(words, family).token_ids(chat)
    assert words.decode(ids).endswith(end)
    encoded = Encoder(words, None, family).encode(chat, "Boil it.")
    assert encoded.prompt == ids
    assert words.decode(encoded.answer[:-1]) == "Boil it."


@pytest.mark.parametrize(
    ("name", "end", "begun"),
    [
        ("chatml", "assistant\n", ""),
        ("switched off", "assistant\n", ""),
        ("opened", "assistant\n<think>\n", "<think>\n"),
        ("switched off by its end", "assistant\n<think>", "<think>"),
        ("a budget of 0", "assistant\n", ""),
        ("channels", "<|start|>assistant", ""),
    ],
)
def test_a_thought_that_is_wanted_is_left_to_the_model(name: str, end: str, begun: str) -> None:
    words = words_of(name)
    ids, in_prompt = ChatPrompts(words, name).thinking([ChatMessage("user", "How?")])
    assert (words.decode(ids)[-len(end) :], in_prompt) == (end, begun)


def test_a_template_that_refuses_replies_still_asks() -> None:
    words = tokenizer(
        "{% if messages[-1].role == 'assistant' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    )
    ids = ChatPrompts(words, "x").token_ids([ChatMessage("user", "How?")])
    assert words.decode(ids).endswith("assistant\n")
